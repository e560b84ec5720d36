"""Reads a Kafka record's bytes: a display event, or what is wrong with it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import EllipsisType
from typing import Any

import msgspec
from pydantic import ValidationError

from gateway.contract.data_encoding import DATA_BASE64, DATACONTENTTYPE, JSON_TYPE, decode_base64, same_media_type
from gateway.contract.display_event.extensions import (
    carried_although_invalid,
    carried_if_valid,
    content_of,
    problem_of,
)
from gateway.contract.display_event.model import DATE, MAX_EVENT_BYTES, MAX_ID_LENGTH, TRACE_CONTEXT, DisplayEvent
from gateway.contract.headers import (
    CONTENT_TYPE,
    TRACEPARENT,
    TRACESTATE,
    Headers,
    has_misnamed_attributes,
    is_binary,
    parse_traceparent,
)
from gateway.contract.strict_json import Document, NotJsonError, read
from gateway.core.digest import canonical, sha256
from gateway.core.event import Event, Found, Invalid, Names, Reading, UnreadableError, Valid
from gateway.core.privacy import holds_personal_code, holds_personal_identifier, holds_personal_number
from gateway.core.times import RFC3339

_CONTEXT = frozenset({*DisplayEvent.model_fields, DATA_BASE64})
_DATA = ("data", DATA_BASE64)
_NAMING = frozenset({"id", "source"})
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_PROBLEMS = 100
_SAYABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")

_PROBLEMS = {
    "missing": ("缺少必填字段", "required, but missing"),
    "extra_forbidden": ("存在未约定的字段", "unknown field; it may be personal data"),
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
    "unprintable": ("含不可打印的字符", "holds a character that cannot be printed"),
    "repeated": ("同一字段重复出现", "duplicate field: it stands more than once in its object"),
    "not_json": ("不是UTF-8编码的JSON", "must be JSON in UTF-8"),
    "surrogate": ("含非法字符", "not valid Unicode"),
    "personal": ("含居民身份证号或手机号", "holds a resident identity number or a mobile number"),
    "disallowed": (
        "含CloudEvents 1.0不允许的字符（控制字符或非字符）",
        "holds a character that CloudEvents 1.0 does not allow: a control character or noncharacter",
    ),
    "attribute_name": (
        "属性名称只能由小写英文字母和数字组成",
        "an attribute's name must be lower-case letters and digits only",
    ),
    "attribute_type": (
        "扩展属性的值须为字符串、布尔值或32位整数",
        "an extension attribute must be a string, a boolean or an integer of 32 bits",
    ),
    "media_type": (
        "数据须为UTF-8编码的JSON：application/json、text/json或application/*+json，字符集仅可为utf-8",
        "must be a media type of JSON: application/json, text/json or application/*+json, with charset utf-8 if any",
    ),
    "media_types": (
        "消息头content-type与ce_datacontenttype不一致",
        "the headers content-type and ce_datacontenttype differ",
    ),
    "base64": ("不是标准的Base64（RFC 4648，含填充、无空白）", "not Base64 (RFC 4648, padded, without blanks)"),
    "two_data": ("不得与data同时出现", "must not stand beside data"),
    "no_header": ("二进制模式下数据只能是记录的值", "in binary mode the data is the record's value, and no header"),
    "key": ("消息键与持证主体标识（holder.ref）不一致", "the record's key is not the holder.ref"),
}
_KIND_OF_PATTERN = {DATE: "date", RFC3339: "instant", JSON_TYPE: "media_type"}
"""Patterns for which there is more to say than that they do not match."""
_HOLDS_PERSONAL: Mapping[tuple[str | int, ...], Callable[[str], bool]] = {
    ("data", "certificate", "identifier"): holds_personal_identifier,
    ("data", "certificate", "issuer_code"): holds_personal_code,
    ("data", "display", "verifier_code"): holds_personal_code,
}
"""How a field is looked at in which not everything that looks like a person's number is one; as
``_holds_personal`` does."""
_MISNAMED = "attributes in headers are not read where their names do not begin with ce_, in lower case"
_OTHER_PROBLEM = ("取值不符合约定", "does not match the schema")


def read_event(raw: bytes, headers: Headers = (), *, key: bytes | EllipsisType | None = ...) -> Reading:
    """Read one record: CloudEvents 1.0 in structured mode, or in binary mode where ``ce_`` headers say so.

    ``key`` is the record's key; left out, there is none to compare. Raises UnreadableError.
    """
    if _size(raw, headers, key) > MAX_EVENT_BYTES:
        raise UnreadableError("TOO_LARGE", f"larger than {MAX_EVENT_BYTES} bytes")
    try:
        document = _read_binary(raw, headers) if headers and is_binary(headers) else _read_structured(raw)
        return _read_document(document, key)
    except (NotJsonError, UnreadableError) as error:
        more = f"; {_MISNAMED}" if headers and has_misnamed_attributes(headers) else ""
        raise UnreadableError(error.code, f"{error}{more}") from None


class _Named(msgspec.Struct):
    id: str
    source: str
    traceparent: str | None = None
    tracestate: str | None = None


_decode_named = msgspec.json.Decoder(_Named).decode


def read_names(raw: bytes) -> Names:
    """Read of an event what it is known by, at a tenth of what ``read_event`` costs. It must be one in
    structured mode that is known to be valid."""
    named = _decode_named(raw)
    context = {TRACEPARENT: named.traceparent, TRACESTATE: named.tracestate}
    return Names(named.id, named.source, carried_if_valid(context) or {})


def names_of(reading: Reading) -> Names:
    """Return what the event of ``reading`` is known by."""
    context = {name: value for name, value in reading.carried.items() if name in TRACE_CONTEXT}
    return Names(reading.id, reading.source, context)


def _size(raw: bytes, headers: Headers, key: bytes | EllipsisType | None) -> int:
    """Count the bytes of the whole record: each of its parts takes time and room."""
    size = len(raw) if key is ... or key is None else len(raw) + len(key)
    if not headers:
        return size
    return size + sum(len(name.encode("utf-8", "surrogatepass")) + len(value or b"") for name, value in headers)


def _read_document(document: Document, key: bytes | EllipsisType | None) -> Reading:
    attributes = document.value
    if not isinstance(attributes, dict):
        raise UnreadableError("NOT_A_CLOUDEVENT", "the JSON text is not an object")
    ambiguous = {path[0] for path, kind in document.flaws if kind == "repeated" and len(path) == 1}
    event_id = as_repeated(_readable(attributes, "id", ambiguous))
    source = _readable(attributes, "source", ambiguous)
    if not _is_repeatable(source):
        raise _unreadable("source")
    extensions = {name: attributes[name] for name in attributes.keys() - _CONTEXT}
    content = content_of(attributes)
    content_digest = sha256(canonical(content))
    broken = _find_broken(attributes)
    if broken is None and not document.flaws:
        event, carried = msgspec.convert(attributes, Event), carried_if_valid(extensions)
        is_its_key = key is ... or key == event.data.holder.ref.encode()
        if is_its_key and carried is not None and not _holds_personal(event):
            return Valid(event, content["time"], content_digest, carried)
    problems = _problems(attributes, document, key, broken)
    return Invalid(event_id, source, content_digest, carried_although_invalid(extensions), problems)


def _read_structured(raw: bytes) -> Document:
    """Return the event with its data decoded, where it stands in ``data_base64`` (CloudEvents JSON format
    1.0.2, clause 3.1)."""
    document = read(raw)
    attributes = document.value
    if not isinstance(attributes, dict) or (encoded := attributes.get(DATA_BASE64)) is None:
        return document
    content = decode_base64(encoded)
    if attributes.get("data") is not None:
        return _flawed(document, "two_data")
    if content is None:
        return _flawed(document, "base64")
    try:
        data = read(content)
    except NotJsonError:
        return _flawed(document, "not_json")
    members = {name: value for name, value in attributes.items() if name != DATA_BASE64} | {"data": data.value}
    return Document(members, (*document.flaws, *((("data", *path), kind) for path, kind in data.flaws)))


def _flawed(document: Document, kind: str) -> Document:
    return Document(document.value, (*document.flaws, ((DATA_BASE64,), kind)))


def _read_binary(raw: bytes, headers: Headers) -> Document:
    """Return the event as its structured form would read (CloudEvents Kafka binding 1.0.2, clause 3.2)."""
    attributes: dict[str, Any] = {}
    media_types: list[str] = []
    flaws: list[tuple[tuple[str, ...], str]] = []
    for header, value in headers:
        is_media_type = header == CONTENT_TYPE[0]
        if value is None or not (is_media_type or header.startswith("ce_")):
            continue
        name = DATACONTENTTYPE if is_media_type else header.removeprefix("ce_")
        text = value.decode("utf-8", "surrogateescape")
        if not text.isascii() and _LONE_SURROGATE.search(text):
            if name in _NAMING:
                raise NotJsonError("NOT_UTF8", f"the header ce_{name} is not UTF-8")
            flaws.append(((name,), "surrogate"))
        if is_media_type:
            media_types.append(text)
        elif name in attributes:
            flaws.append(((name,), "repeated"))
        else:
            attributes[name] = text
    if media_types:
        declared = attributes.setdefault(DATACONTENTTYPE, media_types[0])
        if not all(same_media_type(each, declared) for each in media_types):
            flaws.append(((DATACONTENTTYPE,), "media_types"))
    flaws += [((f"ce_{name}",), "no_header") for name in _DATA if attributes.pop(name, None) is not None]
    try:
        document = read(raw)
    except NotJsonError:
        # The headers say whose event it is: its platform receives the rejection. Contents are distinguished
        # by digest.
        document = Document(sha256(raw), (((), "not_json"),))
    attributes["data"] = document.value
    return Document(attributes, (*flaws, *((("data", *path), kind) for path, kind in document.flaws)))


def _readable(attributes: Mapping[str, Any], name: str, ambiguous: set[str]) -> str:
    """Return an attribute that names the event. Raises UnreadableError where it does not stand there once,
    as a string."""
    value = attributes.get(name)
    if isinstance(value, str) and value and name not in ambiguous:
        return value
    raise _unreadable(name)


def _unreadable(name: str) -> UnreadableError:
    return UnreadableError(
        "NOT_A_CLOUDEVENT", f"no {name} can be read: it must stand there once, as a printable string"
    )


def as_repeated(event_id: str) -> str:
    """Return an id as what goes out repeats it: as it is, or by its digest where it is not allowed."""
    return event_id if _is_repeatable(event_id) else sha256(event_id.encode("utf-8", "surrogatepass"))


def _is_repeatable(text: str) -> bool:
    return len(text) <= MAX_ID_LENGTH and text.isprintable() and not holds_personal_number(text)


def _find_broken(attributes: dict[str, Any]) -> ValidationError | None:
    """Return what the model says against the event, if anything."""
    try:
        DisplayEvent.model_validate(attributes)
    except ValidationError as error:
        return error
    return None


def _holds_personal(event: Event) -> bool:
    """Tell whether a string of an event that keeps the schema holds a personal number, of those that have
    room for one; the others' shapes leave none."""
    certificate, holder, display = event.data.certificate, event.data.holder, event.data.display
    texts = (
        event.id, certificate.type_name, certificate.issuer_name, holder.name_masked, display.channel,
        display.scenario, display.verifier_name, display.matter_name, display.matter_code,
    )  # fmt: skip
    return (
        any(text is not None and holds_personal_number(text) for text in texts)
        or any(
            code is not None and holds_personal_code(code) for code in (certificate.issuer_code, display.verifier_code)
        )
        or (certificate.identifier is not None and holds_personal_identifier(certificate.identifier))
    )


def _problems(
    attributes: dict[str, Any], document: Document, key: bytes | EllipsisType | None, error: ValidationError | None
) -> tuple[Found, ...]:
    """List everything that is wrong with the event, each field once; beyond the first hundred only how many
    there are.

    A rejection must not outgrow what the broker takes, however many fields a small event breaks.
    """
    problems = {_field(path): kind for path, kind in document.flaws}
    for each in error.errors(include_url=False, include_input=False) if error else ():
        path = each["loc"]
        if path[0] in _CONTEXT and not (path == ("data",) and DATA_BASE64 in problems):
            kind = _KIND_OF_PATTERN.get(each.get("ctx", {}).get("pattern", ""), each["type"])
            problems.setdefault(_field(path), kind)
    for name, value in attributes.items():
        # A parent's digits are nobody's number, though two of its parts may look like one.
        if name != TRACEPARENT or not parse_traceparent(value):
            problems |= {_field(path): "personal" for path in _personal_in(value, (name,))}
        if name not in _CONTEXT and (problem := problem_of(name, value)) is not None:
            problems.setdefault(_field((name,)), problem)
    if key is not ... and not _key_matches(key, attributes):
        problems.setdefault("key", "key")
    named = [
        Found(field, detail=_PROBLEMS.get(kind, _OTHER_PROBLEM))
        for field, kind in islice(problems.items(), _MOST_PROBLEMS)
    ]
    if more := len(problems) - len(named):
        named.append(Found("event", detail=(f"另有{more}处错误", f"and {more} more problems")))
    return tuple(named)


def _key_matches(key: bytes | None, attributes: Mapping[str, Any]) -> bool:
    data = attributes.get("data")
    holder = data.get("holder") if isinstance(data, dict) else None
    ref = holder.get("ref") if isinstance(holder, dict) else None
    # Where there is no reference to compare with, that is the problem, and it is reported already.
    return not isinstance(ref, str) or key == ref.encode("utf-8", "surrogatepass")


def _personal_in(value: Any, path: tuple[str | int, ...]) -> Iterable[tuple[str | int, ...]]:
    if isinstance(value, str):
        if _HOLDS_PERSONAL.get(path, holds_personal_number)(value):
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
