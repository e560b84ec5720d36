"""``gateway publish``: a province's events out of a file or a pipe, looked at before they are sent."""

from gateway.operate.publish.desk import Invalid
from gateway.operate.publish.mapping import load_mapping
from gateway.operate.publish.run import publish

__all__ = ["Invalid", "load_mapping", "publish"]
