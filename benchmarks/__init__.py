"""Measurements on one broker in one run; prints what it measured, beside the peers."""
