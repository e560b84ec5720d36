"""What a rejection or dead letter says is wrong, one problem a reason: what cases are grouped by. Pure."""

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from gateway.core.province import COORDINATING_CENTRES, Province
from gateway.core.reasons import MEANINGS, Code, Hears
from gateway.core.records import DEADLETTER_TYPE, REJECTED_TYPE
from gateway.core.times import parse_instant
from gateway.relay.turn import origin_of

MAX_VALUE = 100
"""Characters of a value at fault that a case keeps."""

DEAD_LETTERS_ZH = {
    "TOO_LARGE": "消息过大，无法处理",
    "NOT_UTF8": "消息不是UTF-8编码",
    "NOT_JSON": "消息不是有效的JSON",
    "NOT_A_CLOUDEVENT": "消息不是CloudEvents事件，读不出标识和来源",
    "REFUSED_BY_BROKER": "消息代理拒收由该事件生成的记录",
    "UNDECIDABLE": "该消息无法作出判定",
}
"""The error codes of dead letters, in words for departments."""

# What is wrong lies in the value itself; of the others the field or the row says all.
_VALUE_AT_FAULT = frozenset(
    {
        Code.SOURCE_MISMATCH, Code.NOT_CROSS_PROVINCE, Code.CERTIFICATE_NOT_LISTED, Code.ISSUER_NOT_RECOGNISED,
        Code.CHANNEL_NOT_RECOGNISED, Code.SCENARIO_NOT_RECOGNISED, Code.OUT_OF_PILOT_SCOPE,
    }
)  # fmt: skip
_NOT_ITS_ROW = frozenset({Code.CERTIFICATE_NOT_LISTED})  # the nearest row is only similar


class Problem(msgspec.Struct, frozen=True):
    """What is wrong, and who can mend it. ``code`` is a reason code, or a dead letter's error code.

    ``value`` is the value at fault, where the problem is one of values; ``accepted`` are the list's own words.
    """

    province: str | None
    code: str
    row: int | None
    certificate: str | None
    field: str
    value: str | None
    accepted: tuple[str, ...]
    zh: str
    en: str
    units: tuple[str, ...]

    @property
    def case_id(self) -> str:
        """The case it belongs to: province, reason, row, field and value at fault; 16 hexadecimal digits."""
        identity = msgspec.json.encode((self.province, self.code, self.row, self.field, self.value))
        return hashlib.sha256(identity).hexdigest()[:16]


class Observation(NamedTuple):
    """One rejection or dead letter: its problems, when its event was received (ms), and which event it is about."""

    event_id: str | None
    received: int
    origin: str
    problems: tuple[Problem, ...]


def observe(value: bytes | None, headers: Iterable[tuple[str, bytes]], province: Province | None) -> Observation | None:
    """Read a record of a rejection topic (``province``'s) or the dead-letter topic; None where it is none of ours."""
    try:
        record = msgspec.json.decode(value or b"")
        data = record["data"]
        origin = origin_of(list(headers))
        place = f"{origin[0]}/{origin[1]}/{origin[2]}" if origin else ""
        if record["type"] == REJECTED_TYPE and province is not None:
            problems = tuple(dict.fromkeys(_problems(data, province)))
            received = _milliseconds(data["decision"]["received"])
            return Observation(str(data["event"]["id"]), received, place, problems)
        if record["type"] == DEADLETTER_TYPE:
            letter = _dead_letter(data, _province_of(data["origin"]["topic"]))
            return Observation(None, _milliseconds(data["received"]), place, (letter,))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None  # a foreign record; `gateway audit` names it
    return None


def _problems(data: dict[str, Any], province: Province) -> Iterable[Problem]:
    nearest, units = data["nearest_row"], data["responsible_units"]
    for reason in data["reasons"]:
        code = Code(reason["code"])
        is_the_rows = nearest and nearest["listed"] and code not in _NOT_ITS_ROW
        row = nearest["row"] if is_the_rows and MEANINGS[code].hears is not Hears.PLATFORM else None
        value = reason["found"] if code in _VALUE_AT_FAULT else None
        yield Problem(
            province.value,
            code.value,
            row,
            nearest["certificate"] if row is not None else None,
            reason["field"],
            value[:MAX_VALUE] if value else None,
            tuple(reason["accepted"]),
            reason["message"]["zh"],
            reason["message"]["en"],
            _units(code, province, nearest, units),
        )


def _units(code: Code, province: Province, nearest: dict[str, Any] | None, all_units: list[str]) -> tuple[str, ...]:
    """Who hears of this one reason; the record names those of all its reasons together."""
    hears = MEANINGS[code].hears
    if hears is Hears.PLATFORM:
        return (province.platform,)
    if hears is Hears.ROW_ISSUER_OF_ORIGIN and nearest:
        issuers = next(check["accepted"] for check in nearest["checks"] if check["dimension"] == "issuer")
        return tuple(unit for unit in issuers if unit in all_units) or COORDINATING_CENTRES
    if hears is Hears.ROW_ISSUERS:
        others = {province.platform, *COORDINATING_CENTRES}
        return tuple(unit for unit in all_units if unit not in others) or COORDINATING_CENTRES
    return COORDINATING_CENTRES


def _dead_letter(data: dict[str, Any], province: Province | None) -> Problem:
    code = str(data["error"]["code"])
    units = (province.platform,) if province else COORDINATING_CENTRES
    zh = DEAD_LETTERS_ZH.get(code, code)
    return Problem(
        province.value if province else None, code, None, None, "event", None, (), zh, data["error"]["message"], units
    )


def _province_of(topic: str) -> Province | None:
    return next((province for province in Province if topic.endswith(f"{province.value}.display")), None)


def _milliseconds(instant: str) -> int:
    parsed = parse_instant(instant)
    if parsed is None:
        raise ValueError(instant)
    return parsed // 1000
