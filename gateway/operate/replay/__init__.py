"""``gateway replay``: history decided again under another list; sends nothing."""
