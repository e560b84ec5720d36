"""Reads a Kafka record's bytes: a display event, or what is wrong with it. The plain reader; ``fast_reader`` is its twin."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import EllipsisType
from typing import Any

from pydantic import ValidationError

from gateway.contract.display_event.extensions import (
    are_valid,
    carried,
    carried_although_invalid,
    content_of,
    is_extension,
)
from gateway.contract.display_event.fast_reader import (
    holds_personal,
    read_event_fast,
    to_event,
    to_event_fast,
    wording_of,
)
from gateway.contract.display_event.model import MAX_EVENT_BYTES, MAX_ID_LENGTH, DisplayEvent
from gateway.contract.headers import Headers, is_binary
from gateway.contract.strict_json import Document, NotJsonError, read
from gateway.core.digest import canonical, sha256
from gateway.core.event import Event, Found, Invalid, Reading, UnreadableError, Valid
from gateway.core.privacy import holds_personal_number
from gateway.core.province import SOURCES
from gateway.core.times import parse_instant

_CONTEXT = frozenset(DisplayEvent.model_fields)
_MOST_PROBLEMS = 100
_SAYABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")

_PROBLEMS = {
    "missing": ("缺少必填字段", "required, but missing"),
    "extra_forbidden": ("约定之外的字段", "unknown field; it may be personal data"),
    "string_type": ("应为字符串", "must be a string"),
    "string_too_short": ("不能为空", "must not be empty"),
    "string_too_long": ("过长", "too long"),
    "string_pattern_mismatch": ("格式不符", "malformed"),
    "string_unicode": ("含非法字符", "not valid Unicode"),
    "literal_error": ("不是允许的取值", "not one of the allowed values"),
    "model_type": ("应为JSON对象", "must be a JSON object"),
    "date": ("应为存在的日期（YYYY-MM-DD）", "must be a calendar date, YYYY-MM-DD"),
    "instant": ("应为带时区的有效时间（RFC 3339）", "must be an existing date-time with an offset, RFC 3339"),
    "unmasked": ("姓名未脱敏", "must be masked with *, ＊, 某 or ○"),
    "repeated": ("同一字段重复出现", "stands more than once in its object"),
    "not_json": ("不是UTF-8编码的JSON", "must be JSON in UTF-8"),
    "surrogate": ("含非法字符", "not valid Unicode"),
    "personal": ("含居民身份证号或手机号", "holds a resident identity number or a mobile number"),
    "extension": ("扩展属性名称或取值不符合CloudEvents 1.0", "extension attribute that CloudEvents 1.0 does not allow"),
    "key": ("记录键与holder.ref不一致", "the record's key is not the holder.ref"),
}
_OTHER_PROBLEM = ("取值不符合约定", "does not fit the schema")


def read_event(raw: bytes, headers: Headers = (), *, key: bytes | EllipsisType | None = ...) -> Reading:
    """Read one record: CloudEvents 1.0 in structured mode, or in binary mode where ``ce_`` headers say so.

    ``key`` is the record's key; left out, there is none to compare. Raises UnreadableError.
    """
    if len(raw) + (sum(len(value or b"") for _, value in headers) if headers else 0) > MAX_EVENT_BYTES:
        raise UnreadableError("TOO_LARGE", f"larger than {MAX_EVENT_BYTES} bytes")
    in_binary_mode = bool(headers) and is_binary(headers)
    # Nearly every event is as it should be, and the fast reader knows; whatever else there is takes the plain one.
    fast = None if in_binary_mode else read_event_fast(raw)
    if fast is not None and (key is ... or key == fast.event.data.holder.ref.encode()):
        return fast
    return read_event_plainly(raw, headers if in_binary_mode else (), key=key)


def read_event_plainly(raw: bytes, headers: Headers = (), *, key: bytes | EllipsisType | None = ...) -> Reading:
    """Read one record as ``read_event`` does, by the models alone; ``headers`` only where it is in binary mode."""
    try:
        document = _read_binary(raw, headers) if headers else read(raw)
    except NotJsonError as error:
        raise UnreadableError(error.code, str(error)) from None
    attributes = document.value
    if not isinstance(attributes, dict):
        raise UnreadableError("NOT_A_CLOUDEVENT", "the JSON text is not an object")
    ambiguous = {path[0] for path, kind in document.flaws if kind == "repeated" and len(path) == 1}
    event_id = _readable(attributes, "id", ambiguous)
    source = _readable(attributes, "source", ambiguous)
    extensions = {name: attributes[name] for name in attributes.keys() - _CONTEXT}
    event, problems = _validate(attributes, extensions, document, key)
    content_digest = sha256(canonical(content_of(attributes)))
    if event is None:
        return Invalid(event_id, source, content_digest, carried_although_invalid(extensions), problems)
    return Valid(event, wording_of(event), parse_instant(event.time) or 0, content_digest, carried(extensions))


def _read_binary(raw: bytes, headers: Headers) -> Document:
    """Return the event as its structured form would read (CloudEvents Kafka binding 1.0.2, clause 3.2)."""
    attributes: dict[str, Any] = {}
    flaws: list[tuple[tuple[str, ...], str]] = []
    for header, value in headers:
        name = header.removeprefix("ce_") if header.startswith("ce_") else header
        if header == "content-type":
            name = "datacontenttype"
        elif not header.startswith("ce_"):
            continue
        if name in attributes:
            flaws.append(((name,), "repeated"))
        try:
            attributes[name] = (value or b"").decode("utf-8")
        except UnicodeDecodeError:
            raise NotJsonError("NOT_UTF8", "a ce_ header is not UTF-8") from None
    try:
        document = read(raw)
    except NotJsonError:
        # The headers say whose event it is: its platform receives the rejection. Contents are distinguished by digest.
        document = Document(sha256(raw), (((), "not_json"),))
    attributes["data"] = document.value
    return Document(attributes, (*flaws, *((("data", *path), kind) for path, kind in document.flaws)))


def _readable(attributes: Mapping[str, Any], name: str, ambiguous: set[str]) -> str:
    value = attributes.get(name)
    if isinstance(value, str) and value in SOURCES and name not in ambiguous:
        return value
    if (
        isinstance(value, str)
        and 0 < len(value) <= MAX_ID_LENGTH
        and name not in ambiguous
        and value.isprintable()
        and not holds_personal_number(value)
    ):
        return value
    raise UnreadableError("NOT_A_CLOUDEVENT", f"no {name} can be read: it must stand there once, as a printable string")


def _validate(
    attributes: dict[str, Any], extensions: dict[str, Any], document: Document, key: bytes | EllipsisType | None
) -> tuple[Event | None, tuple[Found, ...]]:
    error = None
    event = None if document.flaws else to_event_fast(attributes)
    if event is None:
        try:
            DisplayEvent.model_validate(attributes)
            event = to_event(attributes)
        except ValidationError as validation_error:
            error = validation_error
    if (
        event is not None
        and not document.flaws
        and (key is ... or key == event.data.holder.ref.encode())
        and are_valid(extensions)
        and not holds_personal(event, wording_of(event))
    ):
        return event, ()
    return None, _problems(attributes, document, key, error)


def _problems(
    attributes: dict[str, Any], document: Document, key: bytes | EllipsisType | None, error: ValidationError | None
) -> tuple[Found, ...]:
    """List everything that is wrong with the event, each field once; beyond the first hundred only how many there are.

    A rejection must not outgrow what the broker takes, however many fields a small event breaks.
    """
    problems = {_field(path): kind for path, kind in document.flaws}
    for each in error.errors(include_url=False, include_context=False, include_input=False) if error else ():
        path = each["loc"]
        if len(path) > 1 and path[0] != "data":  # beyond an extension's name stand only a union's branches
            problems.setdefault(_field(path[:1]), "extension")
        else:
            problems.setdefault(_field(path), each["type"])
    for name, value in attributes.items():
        for path in _personal_in(value, (name,)):
            problems[_field(path)] = "personal"
        if name not in _CONTEXT and not is_extension(name, value):
            problems.setdefault(_field((name,)), "extension")
    if key is not ... and not _key_fits(key, attributes):
        problems.setdefault("key", "key")
    named = [
        Found(field, detail=_PROBLEMS.get(kind, _OTHER_PROBLEM))
        for field, kind in islice(problems.items(), _MOST_PROBLEMS)
    ]
    if more := len(problems) - len(named):
        named.append(Found("event", detail=(f"另有{more}处错误", f"and {more} more problems")))
    return tuple(named)


def _key_fits(key: bytes | None, attributes: Mapping[str, Any]) -> bool:
    data = attributes.get("data")
    holder = data.get("holder") if isinstance(data, dict) else None
    ref = holder.get("ref") if isinstance(holder, dict) else None
    # Where there is no reference to compare with, that is the problem, and it is reported already.
    return not isinstance(ref, str) or key == ref.encode("utf-8", "surrogatepass")


def _personal_in(value: Any, path: tuple[str | int, ...]) -> Iterable[tuple[str | int, ...]]:
    if isinstance(value, str):
        if holds_personal_number(value):
            yield path
    elif isinstance(value, dict):
        for name, member in value.items():
            if holds_personal_number(name):
                yield (*path, name)
            yield from _personal_in(member, (*path, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _personal_in(member, (*path, index))


def _field(path: Sequence[str | int]) -> str:
    """Return a path as a rejection names it; a name that could itself be personal is not repeated."""
    steps = [step if isinstance(step, int) or _is_sayable(step) else "(unnamed)" for step in path]
    if len(steps) > 1 and steps[0] == "data":
        steps = steps[1:]
    return ".".join(str(step) for step in steps) or "event"


def _is_sayable(name: str) -> bool:
    return _SAYABLE_NAME.fullmatch(name) is not None and not holds_personal_number(name)
