"""``gateway audit``: proof from the log alone that nothing was dropped, doubled or altered."""
