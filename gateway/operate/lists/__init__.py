"""``gateway list``: the recognition list shown, checked and compared."""
