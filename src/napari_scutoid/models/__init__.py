"""The built-in model folders: ``config.json`` and weights."""
