"""``gateway feedback``: the worker with its page, and the cases for a person at a terminal."""
