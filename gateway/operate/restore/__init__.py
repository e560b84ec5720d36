"""``gateway restore``: forwards that an output topic no longer has are written again, as the same bytes."""
