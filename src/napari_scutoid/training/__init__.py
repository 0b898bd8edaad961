"""From corrected stacks to a model of one's own."""
