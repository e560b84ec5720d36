"""What the gateway is for: bytes, list and received time in, decision out. Pure: no I/O, no clock, no
logging."""
