"""The event as decisions use it: the contract's fields as plain structs, made at a tenth of the cost of the models.

``gateway.core.event`` is the contract. What is here only says yes where those models say yes (property-tested); to whatever it
does not recognise at once it says nothing, and the models are asked.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_type_hints

import msgspec
from msgspec import UNSET, UnsetType

from gateway.core.digest import canonical
from gateway.core.event import MAX_ID_LENGTH, TRACE_CONTEXT
from gateway.core.extensions import are_fit, without_trace_context
from gateway.core.identifier import MAX_LENGTH as MAX_IDENTIFIER_LENGTH
from gateway.core.privacy import holds_personal_number, is_masked
from gateway.core.province import Province
from gateway.core.recognition import Shown
from gateway.core.times import is_date, parse_instant

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=500)]


# Fields stand in alphabetical order: that of canonical JSON. Nothing here can be part of a cycle, so none is searched (gc).


class Certificate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """See ``gateway.core.event.Certificate``."""

    identifier: Annotated[str, msgspec.Meta(max_length=MAX_IDENTIFIER_LENGTH)] | None = None
    issuer_code: str | None = None
    issuer_name: Name
    type_code: str | None = None
    type_name: Name
    valid_from: str | None = None
    valid_until: str | None = None


class Display(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """See ``gateway.core.event.Display``."""

    channel: Name
    matter_code: Text | None = None
    matter_name: Text | None = None
    region_code: str
    scenario: Name
    verifier_code: Text | None = None
    verifier_name: Text | None = None


class Holder(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """See ``gateway.core.event.Holder``."""

    kind: Literal["person", "organisation"]
    name_masked: Name | None = None
    ref: str


class Data(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """See ``gateway.core.event.DisplayData``."""

    certificate: Certificate
    display: Display
    holder: Holder


class Event(msgspec.Struct, kw_only=True, gc=False):
    """See ``gateway.core.event.DisplayEvent``; extension attributes stay beside it."""

    data: Data
    datacontenttype: Literal["application/json"] | None = None
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
    source: Literal["urn:chuanyu:sichuan", "urn:chuanyu:chongqing"]
    specversion: Literal["1.0"]
    time: str
    type: Literal["cn.chuanyu.certificate.displayed.v1"]


class Wording(msgspec.Struct, frozen=True, eq=False):
    """The words of an event that come again and again: all but the id, the instants, the holder and the identifier.

    ``fits`` is whether their shapes are the contract's, ``personal`` whether one holds a personal number; ``shown`` is what the
    list has a say in, by the province that published: the same object again, so that it is looked up by identity.
    """

    fits: bool
    personal: bool
    shown: Mapping[Province, Shown]
    type_code: str | None
    issuer_code: str | None
    verifier_code: str | None
    matter_name: str | None
    matter_code: str | None


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """An event out of bytes: ``content`` is its canonical JSON without the trace context; ``shown_at`` its ``time``."""

    event: Event
    wording: Wording
    shown_at: int
    content: bytes
    extensions: Mapping[str, Any]


def plain_event(attributes: Mapping[str, Any]) -> Event | None:
    """The event of these attributes, if they surely keep the contract's schema; None is no verdict."""
    try:
        event = msgspec.convert(attributes, Event)
    except msgspec.ValidationError:
        return None
    return event if _has_shapes(event, wording_of(event)) and parse_instant(event.time) is not None else None


def decode_plain(raw: bytes) -> Decoded | None:
    """The event in ``raw``, if it surely keeps the contract's schema and holds nothing personal; None is no verdict.

    No key stands twice, and its extension attributes are fit.
    """
    try:
        event = _decode(raw)
        extensions = _trace_context(event)
        content = _encode(event)
        if not _is_whole(raw, content, extensions):
            extensions |= _other_extensions(raw)
            if not are_fit(extensions):
                return None
            content = _content_with(event, extensions)
            if not _is_whole(raw, content, extensions):
                return None
        elif extensions and not are_fit(extensions):
            return None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    _settle(event)
    wording = wording_of(event)
    shown_at = parse_instant(event.time)
    if shown_at is None or not _has_shapes(event, wording) or holds_personal(event, wording):
        return None
    return Decoded(event, wording, shown_at, content, extensions)


def _trace_context(event: Any) -> dict[str, Any]:
    """The trace context, taken out of ``event``."""
    found: dict[str, Any] = {}
    if event.traceparent is not UNSET:
        found["traceparent"], event.traceparent = event.traceparent, UNSET
    if event.tracestate is not UNSET:
        found["tracestate"], event.tracestate = event.tracestate, UNSET
    return found


def _other_extensions(raw: bytes) -> dict[str, Any]:
    """The extension attributes of the event in ``raw`` beside the trace context."""
    return {name: _decode_any(value) for name, value in _split(raw).items() if name not in _KNOWN}


def _content_with(event: Event, extensions: Mapping[str, Any]) -> bytes:
    """The canonical JSON of ``event`` with ``extensions``, which are fit: they have such a form."""
    members = without_trace_context(extensions)
    for name in Event.__struct_fields__:
        if (value := getattr(event, name)) is not UNSET:
            members[name] = value
    return canonical(members)


def _is_whole(raw: bytes, content: bytes, extensions: Mapping[str, Any]) -> bool:
    """Whether ``raw`` surely holds no member that ``content``, made of it without its trace context, has not.

    Members are lost where their key stands more than once, or where nobody has looked for them. Where nothing is escaped and
    there are no blanks, what is missing in ``content`` is missing in its length. Else keys are counted by their colons: a
    colon in a string stays one, unless it was written as an escape.
    """
    if b"\\" in raw:
        if b"\\u003" in raw:
            return False
    elif len(raw) == len(content) + (_length_of_trace_context(extensions) if extensions else 0):
        return True
    more = [extensions[name] for name in TRACE_CONTEXT if name in extensions]
    return raw.count(b":") == content.count(b":") + sum([1 + (value or "").count(":") for value in more])


def _length_of_trace_context(extensions: Mapping[str, Any]) -> int:
    """How many characters it takes where nothing is escaped and there are no blanks."""
    length = 0
    for name, least in _TRACE_CONTEXT_LENGTHS.items():
        if name in extensions:
            value: str | None = extensions[name]
            length += least + (len("null") if value is None else len(value) + len('""'))
    return length


def valid_event(attributes: Mapping[str, Any]) -> Event:
    """The event of attributes that the models have found valid."""
    return msgspec.convert({**attributes, "datacontenttype": None}, Event)


def _wire(struct: type[msgspec.Struct], *, closed: bool = True, **more: Any) -> Any:
    """``struct`` as it stands in bytes: what is absent is told from what is null."""
    hints = get_type_hints(struct, include_extras=True) | more
    optional = {field.name for field in msgspec.structs.fields(struct) if not field.required} | more.keys()
    fields: list[Any] = []
    for name in sorted(hints):
        kind = _WIRE.get(hints[name], hints[name])
        fields.append((name, Union[kind, UnsetType], UNSET) if name in optional else (name, kind))  # noqa: UP007 — built at run time
    return msgspec.defstruct(
        f"Wire{struct.__name__}", fields, bases=(struct,), kw_only=True, forbid_unknown_fields=closed
    )


_WIRE: dict[Any, Any] = {}
for _struct in (Certificate, Holder, Display, Data):
    _WIRE[_struct] = _wire(_struct)
_decode = msgspec.json.Decoder(_wire(Event, closed=False, traceparent=str | None, tracestate=str | None)).decode
_encode = msgspec.json.Encoder().encode
_split = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode
_TRACE_CONTEXT_LENGTHS = {name: len(f',"{name}":') for name in TRACE_CONTEXT}
_KNOWN = TRACE_CONTEXT | set(Event.__struct_fields__)


def _settle(event: Event) -> None:
    """What was absent is null from here on: nothing tells a decoded event from any other. (A loop over names costs more.)"""
    certificate, display, holder = event.data.certificate, event.data.display, event.data.holder
    unset: Any = UNSET
    if event.datacontenttype is unset:
        event.datacontenttype = None
    if certificate.identifier is unset:
        certificate.identifier = None
    if certificate.issuer_code is unset:
        certificate.issuer_code = None
    if certificate.type_code is unset:
        certificate.type_code = None
    if certificate.valid_from is unset:
        certificate.valid_from = None
    if certificate.valid_until is unset:
        certificate.valid_until = None
    if display.matter_code is unset:
        display.matter_code = None
    if display.matter_name is unset:
        display.matter_name = None
    if display.verifier_code is unset:
        display.verifier_code = None
    if display.verifier_name is unset:
        display.verifier_name = None
    if holder.name_masked is unset:
        holder.name_masked = None


def wording_of(event: Event) -> Wording:
    """The words of ``event`` that come again and again."""
    certificate, display = event.data.certificate, event.data.display
    return _wording(
        certificate.type_name, certificate.type_code, certificate.issuer_name, certificate.issuer_code,
        display.channel, display.scenario, display.region_code, display.verifier_name,
        display.verifier_code, display.matter_name, display.matter_code,
    )  # fmt: skip


@lru_cache(maxsize=65_536)  # what is shown where, by whom: few combinations, and they come again and again
def _wording(
    type_name: str, type_code: str | None, issuer_name: str, issuer_code: str | None,
    channel: str, scenario: str, region: str, verifier_name: str | None,
    verifier_code: str | None, matter_name: str | None, matter_code: str | None,
) -> Wording:  # fmt: skip
    texts = (
        type_name, issuer_name, issuer_code, channel, scenario, verifier_name, verifier_code, matter_name, matter_code,
    )  # fmt: skip
    fits = (
        _REGION.fullmatch(region) is not None
        and (type_code is None or _TYPE_CODE.fullmatch(type_code) is not None)
        and (issuer_code is None or _ORGANISATION_CODE.fullmatch(issuer_code) is not None)
    )
    personal = any(text is not None and holds_personal_number(text) for text in texts)
    shown = {
        province: Shown(province, type_name, issuer_name, channel, scenario, region, verifier_name)
        for province in Province
    }
    return Wording(fits, personal, shown, type_code, issuer_code, verifier_code, matter_name, matter_code)


def _has_shapes(event: Event, wording: Wording) -> bool:
    """Whether an event of the right types has the right shapes too; its ``time`` is ``parse_instant``'s matter."""
    certificate, holder = event.data.certificate, event.data.holder
    return (
        wording.fits
        and _HOLDER_REF.fullmatch(holder.ref) is not None
        and (holder.name_masked is None or is_masked(holder.name_masked))
        and (certificate.valid_from is None or is_date(certificate.valid_from))
        and (certificate.valid_until is None or is_date(certificate.valid_until))
    )


def holds_personal(event: Event, wording: Wording) -> bool:
    """Whether a string of a valid event that has room for a personal number holds one; the others' shapes leave none."""
    name, identifier = event.data.holder.name_masked, event.data.certificate.identifier
    return (
        wording.personal
        or (name is not None and holds_personal_number(name))
        or (identifier is not None and holds_personal_number(identifier))
    )


_HOLDER_REF = re.compile(r"sm3:[0-9a-fA-F]{64}")
_REGION = re.compile(r"[0-9]{6}")
_TYPE_CODE = re.compile(r"[0-9A-Z]{18}[0-9]{3}")
_ORGANISATION_CODE = re.compile(r"[0-9A-Z]{18}")
