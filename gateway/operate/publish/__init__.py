"""``gateway publish``: a province's events out of a file or a pipe, looked at before they are sent."""

from gateway.operate.publish.command import publish
from gateway.operate.publish.line_checker import Invalid
from gateway.operate.publish.mapping import load_mapping

__all__ = ["Invalid", "load_mapping", "publish"]
