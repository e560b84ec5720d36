"""The certificate-display event (亮证事件): its model, and the readers that turn a record's bytes into
it."""

from gateway.contract.display_event.model import EVENT_TYPE, DisplayEvent
from gateway.contract.display_event.reader import as_repeated, names_of, read_event, read_names

__all__ = ["EVENT_TYPE", "DisplayEvent", "as_repeated", "names_of", "read_event", "read_names"]
