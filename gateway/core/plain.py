"""The event as decisions use it: the contract's fields as plain structs, made at a tenth of the cost of the models.

``gateway.core.event`` is the contract. What is here only says yes where those models say yes (property-tested); to whatever it
does not recognise at once it says nothing, and the models are asked.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_type_hints

import msgspec
from msgspec import UNSET, UnsetType

from gateway.core.event import MAX_ID_LENGTH
from gateway.core.identifier import MAX_LENGTH as MAX_IDENTIFIER_LENGTH
from gateway.core.privacy import holds_personal_number, is_masked
from gateway.core.times import RFC3339, is_date, parse_instant

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=500)]


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See ``gateway.core.event.Certificate``."""

    type_name: Name
    type_code: str | None = None
    identifier: Annotated[str, msgspec.Meta(max_length=MAX_IDENTIFIER_LENGTH)] | None = None
    issuer_name: Name
    issuer_code: str | None = None
    valid_from: str | None = None
    valid_until: str | None = None


class Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See ``gateway.core.event.Holder``."""

    kind: Literal["person", "organisation"]
    ref: str
    name_masked: Name | None = None


class Display(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See ``gateway.core.event.Display``."""

    channel: Name
    scenario: Name
    matter_name: Text | None = None
    matter_code: Text | None = None
    region_code: str
    verifier_name: Text | None = None
    verifier_code: Text | None = None


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See ``gateway.core.event.DisplayData``."""

    certificate: Certificate
    holder: Holder
    display: Display


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """See ``gateway.core.event.DisplayEvent``; extension attributes stay beside it."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
    source: Literal["urn:chuanyu:sichuan", "urn:chuanyu:chongqing"]
    type: Literal["cn.chuanyu.certificate.displayed.v1"]
    time: str
    data: Data
    datacontenttype: Literal["application/json"] | None = None


class Decoded(NamedTuple):
    """An event out of bytes: ``content`` is its canonical JSON without the trace context."""

    event: Event
    content: bytes
    traceparent: str | None
    tracestate: str | None


def plain_event(attributes: Mapping[str, Any]) -> Event | None:
    """The event of these attributes, if they surely keep the contract's schema; None is no verdict."""
    try:
        event = msgspec.convert(attributes, Event)
    except msgspec.ValidationError:
        return None
    return event if _fits(event) else None


def decode_plain(raw: bytes) -> Decoded | None:
    """The event in ``raw``, if it surely keeps the contract's schema and holds nothing personal; None is no verdict.

    Its extension attributes may be the trace context, none else. No key stands twice: every key has one colon, and a
    colon in a string stays one (unless it was written as an escape), so that as many must stand in ``content``.
    """
    try:
        wire = _decode(raw)
    except (msgspec.MsgspecError, ValueError):
        return None
    parent, state = wire.traceparent, wire.tracestate
    wire.traceparent = wire.tracestate = UNSET
    content = _encode(wire)
    colons = content.count(b":") + (parent is not UNSET) + (state is not UNSET)
    if raw.count(b":") != colons or b"\\u003" in raw:
        return None
    event = _decode_event(content)
    if not _fits(event) or holds_personal(event):
        return None
    return Decoded(event, content, None if parent is UNSET else parent, None if state is UNSET else state)


def valid_event(attributes: Mapping[str, Any]) -> Event:
    """The event of attributes that the models have found valid."""
    return msgspec.convert({**attributes, "datacontenttype": None}, Event)


def _wire(struct: type[msgspec.Struct], **more: Any) -> Any:
    """``struct`` as it stands in bytes: what is absent is told from what is null, and fields are in canonical order."""
    hints = get_type_hints(struct, include_extras=True) | more
    optional = {field.name for field in msgspec.structs.fields(struct) if not field.required} | more.keys()
    fields: list[Any] = []
    for name in sorted(hints):
        kind = _WIRE.get(hints[name], hints[name])
        fields.append((name, Union[kind, UnsetType], UNSET) if name in optional else (name, kind))  # noqa: UP007 — built at run time
    return msgspec.defstruct(f"Wire{struct.__name__}", fields, kw_only=True, forbid_unknown_fields=True)


_WIRE: dict[Any, Any] = {}
for _struct in (Certificate, Holder, Display, Data):
    _WIRE[_struct] = _wire(_struct)
_decode = msgspec.json.Decoder(_wire(Event, traceparent=str | None, tracestate=str | None)).decode
_encode = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(Event).decode


def _fits(event: Event) -> bool:
    """Whether an event of the right types has the right shapes too."""
    certificate, holder, display = event.data.certificate, event.data.holder, event.data.display
    return bool(
        _HOLDER_REF.fullmatch(holder.ref)
        and (holder.name_masked is None or is_masked(holder.name_masked))
        and _codes_fit(display.region_code, certificate.type_code, certificate.issuer_code)
        and (certificate.valid_from is None or is_date(certificate.valid_from))
        and (certificate.valid_until is None or is_date(certificate.valid_until))
        and _INSTANT.match(event.time)
        and parse_instant(event.time) is not None
    )


@lru_cache(maxsize=16_384)  # these codes are few and come again and again
def _codes_fit(region: str, type_code: str | None, issuer_code: str | None) -> bool:
    return bool(
        _REGION.fullmatch(region)
        and (type_code is None or _TYPE_CODE.fullmatch(type_code))
        and (issuer_code is None or _ORGANISATION_CODE.fullmatch(issuer_code))
    )


def holds_personal(event: Event) -> bool:
    """Whether a string of a valid event that has room for a personal number holds one; the others' shapes leave none."""
    certificate, display = event.data.certificate, event.data.display
    name = event.data.holder.name_masked
    return (
        (name is not None and holds_personal_number(name))
        or (certificate.identifier is not None and holds_personal_number(certificate.identifier))
        or _any_holds_personal(
            certificate.type_name, certificate.issuer_name, certificate.issuer_code, display.channel, display.scenario,
            display.matter_name, display.matter_code, display.verifier_name, display.verifier_code,
        )
    )  # fmt: skip


@lru_cache(maxsize=16_384)  # what is shown where, by whom: few combinations, and they come again and again
def _any_holds_personal(*texts: str | None) -> bool:
    return any(text is not None and holds_personal_number(text) for text in texts)


_HOLDER_REF = re.compile(r"sm3:[0-9a-fA-F]{64}")
_INSTANT = re.compile(RFC3339.replace("$", r"\Z"))
_REGION = re.compile(r"[0-9]{6}")
_TYPE_CODE = re.compile(r"[0-9A-Z]{18}[0-9]{3}")
_ORGANISATION_CODE = re.compile(r"[0-9A-Z]{18}")
