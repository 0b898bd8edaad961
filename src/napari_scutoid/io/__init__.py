"""Files: one format, one module; `open` picks by content."""
