"""A display event as the rules see it, and what reading a record came to. ``gateway.contract.display_event``
reads them.

Nothing here can be part of a reference cycle, so the garbage collector need not look for one (``gc=False``).
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from gateway.core.province import Province
from gateway.core.recognition import Shown

Carried = Mapping[str, str | bool | int]
"""Extension attributes of an event that go out again with what becomes of it, by name."""


class Certificate(msgspec.Struct, kw_only=True, gc=False):
    """The certificate (电子证照) that was shown."""

    identifier: str | None = None
    issuer_code: str | None = None
    issuer_name: str
    type_code: str | None = None
    type_name: str
    valid_from: str | None = None
    valid_until: str | None = None


class Display(msgspec.Struct, kw_only=True, gc=False):
    """Where, how and to whom it was shown (亮证)."""

    channel: str
    matter_code: str | None = None
    matter_name: str | None = None
    region_code: str
    scenario: str
    verifier_code: str | None = None
    verifier_name: str | None = None


class Holder(msgspec.Struct, kw_only=True, gc=False):
    """The holder (持证主体): a pseudonymous reference and a masked name."""

    kind: Literal["person", "organisation"]
    name_masked: str | None = None
    ref: str


class Data(msgspec.Struct, kw_only=True, gc=False):
    """The event's ``data``."""

    certificate: Certificate
    display: Display
    holder: Holder


class Event(msgspec.Struct, kw_only=True, gc=False):
    """A display event that keeps the schema; its extension attributes stay beside it."""

    data: Data
    id: str
    source: str
    specversion: str
    time: str
    type: str


def shown_of(event: Event, province: Province) -> Shown:
    """Return what the list has a say in, of an event that ``province`` published."""
    certificate, display = event.data.certificate, event.data.display
    return Shown(
        province, certificate.type_name, certificate.issuer_name, display.channel, display.scenario,
        display.region_code, display.verifier_name,
    )  # fmt: skip


class Identity(msgspec.Struct, frozen=True, gc=False):
    """What makes an event the same event: CloudEvents' source and id, within its record's key, the holder's
    reference."""

    source: str
    id: str
    holder: str


class Names(NamedTuple):
    """What an event is known by where it is spoken of: its id and source, and the trace context that goes
    out with it."""

    id: str
    source: str
    trace_context: Carried


class Found(NamedTuple):
    """What a check found wrong: the field, its value where that is never personal, and what would have been
    accepted.

    ``detail`` (Chinese, English) says more than the reason's own sentence.
    """

    field: str
    found: str | None = None
    accepted: tuple[str, ...] = ()
    detail: tuple[str, str] | None = None


class Valid(msgspec.Struct, frozen=True, gc=False):
    """A record that holds an event which keeps the schema; ``shown_at`` is its time in microseconds since
    the epoch.

    Two events with equal ``content_digest`` say the same, in whatever mode and spelling they came: it is
    over the canonical form without nulls, media type, signature and trace context, with ``time`` as an
    instant.
    """

    event: Event
    shown_at: int
    content_digest: str
    carried: Carried

    @property
    def identity(self) -> Identity:
        """What repetitions of the event are recognised by."""
        return Identity(self.event.source, self.event.id, self.event.data.holder.ref)

    @property
    def id(self) -> str:
        """The event's id."""
        return self.event.id

    @property
    def source(self) -> str:
        """The event's source."""
        return self.event.source

    @property
    def time(self) -> str | None:
        """The event's time, as it stands there."""
        return self.event.time


class Invalid(msgspec.Struct, frozen=True, gc=False):
    """A record whose id and source can be read, but whose event breaks the schema: ``problems``, at least
    one."""

    id: str
    source: str
    content_digest: str
    carried: Carried
    problems: tuple[Found, ...]

    @property
    def time(self) -> str | None:
        """None: nothing vouches for the time of an event that breaks the schema."""
        return None


Reading = Valid | Invalid


class UnreadableError(Exception):
    """No id and source can be read from a record; ``code`` says why, the message quotes nothing out of the
    bytes."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)
