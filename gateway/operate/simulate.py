"""Both provincial platforms, simulated: a believable mix of displays, mistakes and garbage, the same for the
same seed.

The people and companies are synthetic: references are digests of a counter, names are masked from the start.
"""

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from gateway.contract.display_event import EVENT_TYPE
from gateway.core.decision import Outcome
from gateway.core.identifier import check_character
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import Recognition, Row
from gateway.core.recognition.editions import ListedRow
from gateway.core.times import china_date, format_instant

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
_REGIONS = {
    Province.SICHUAN: ("510104", "510107", "510704", "511302", "511602"),
    Province.CHONGQING: ("500103", "500105", "500112", "500153"),
}
_UNITS = {  # names that the list's unit rules admit
    "公证机构": {Province.SICHUAN: "成都市蜀都公证处", Province.CHONGQING: "重庆市渝中公证处"},
    "体育部门": {Province.SICHUAN: "成都市体育局", Province.CHONGQING: "重庆市体育局"},
}
_SURNAMES = "王李张刘陈杨赵黄周吴"
_GARBAGE = (
    b"",
    b"\xff\xfe\x00garbage",
    b"not json",
    b"[1,2,3]",
    b'{"id":"no-source"}',
    b'{"specversion":"1.0"',
    b"NaN",
    b"[" * 200,
)

Event = dict[str, Any]


class Simulated(NamedTuple):
    """One record to publish, and what the gateway is to make of it."""

    province: Province
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    expected: Outcome
    codes: tuple[Code, ...]


class Simulator:
    """Makes records one by one; it never reads a clock, the caller says what time it is.

    Shares are of 1; what is left of them is forwarded, ``binary_share`` of that in binary mode. Repetitions
    and ID_REUSED go back to one of about the last ``memory`` events: what was forwarded is a duplicate when
    it comes again, what was rejected is rejected again.
    """

    def __init__(
        self, recognition: Recognition, seed: int, *, reject_share: float = 0.09, duplicate_share: float = 0.02,
        garbage_share: float = 0.01, binary_share: float = 0.05, codes: tuple[Code, ...] | None = None,
        memory: int = 1000,
    ) -> None:  # fmt: skip
        self._random = random.Random(seed)  # noqa: S311 — a simulation, no secret
        self._seed = seed
        self._rows = recognition.editions[-1].rows
        self._reject, self._duplicate, self._garbage = reject_share, duplicate_share, garbage_share
        self._binary, self._memory = binary_share, memory
        self._mistakes = tuple(_MISTAKES[code] for code in codes or tuple(_MISTAKES))
        self._listed = [each for each in self._rows if all(_resolved(each.row, province) for province in Province)]
        self._unresolved = [
            each
            for each in self._rows
            if each.row.certificate.value and not any(_resolved(each.row, p) for p in Province)
        ]
        self._count = 0
        self._sent: list[Simulated] = []

    def next_event(self, now_ms: int) -> Simulated:
        """Return the next record, shown shortly before ``now_ms`` (milliseconds since the epoch)."""
        self._count += 1
        province = self._random.choice(tuple(Province))
        dice = self._random.random()
        if dice < self._garbage:
            # Numbered, so that no two are alike in a test's eyes.
            value = self._random.choice(_GARBAGE)
            return Simulated(province, None, value, [], Outcome.DEAD_LETTER, ())
        if dice < self._garbage + self._duplicate and self._sent:
            first = self._random.choice(self._sent)
            return first._replace(expected=Outcome.DUPLICATE) if first.expected is Outcome.FORWARD else first
        if dice < self._garbage + self._duplicate + self._reject:
            return self._remember(self._random.choice(self._mistakes)(self, province, now_ms))
        event = self.display(province, now_ms)
        return self._remember(
            self._record(province, event, Outcome.FORWARD, (), binary=self._random.random() < self._binary)
        )

    def display(self, province: Province, now_ms: int, listed: ListedRow | None = None) -> Event:
        """Make a display that the list recognises, as an event; of ``listed``, else of any resolved row."""
        listed = listed or self._random.choice(self._listed)
        row, place, pick = listed.row, province.other, self._random.choice
        shown = now_ms - self._random.randrange(1, 2 * _MINUTE_MS)
        scope = row.scope.of(place).value
        unit = f"{place.chinese}市政务服务中心"
        if scope and scope.units:
            unit = pick(scope.units)
        elif scope and scope.rule:
            unit = _UNITS.get(scope.rule, {}).get(place, "")
        scenario = pick(row.scenarios.value) if row.scenarios.value else None
        person = self._random.random() < 0.7
        number = self._random.randrange(50_000)
        return {
            "specversion": "1.0",
            # The letter parts the digits: together they could be somebody's telephone number.
            "id": f"{province.value}-{self._seed}-e{self._count:08d}",
            "source": province.source,
            "type": EVENT_TYPE,
            "time": format_instant(shown * 1000),
            "datacontenttype": "application/json",
            **({"traceparent": self._traceparent()} if self._random.random() < 0.5 else {}),
            "data": {
                "certificate": {
                    "type_name": row.certificate.value,
                    "type_code": None,
                    "identifier": self._identifier() if self._random.random() < 0.3 else None,
                    "issuer_name": pick(row.issuers.of(province).value or ("未知",)),
                    "issuer_code": None,
                    "valid_from": "2024-01-01",
                    "valid_until": "2035-12-31",
                },
                "holder": {
                    "kind": "person" if person else "organisation",
                    "ref": "sm3:" + hashlib.sha256(f"{province.value} {number}".encode()).hexdigest(),
                    "name_masked": pick(_SURNAMES) + ("**" if person else "**有限公司"),
                },
                "display": {
                    "channel": pick(row.channels.value or ("天府通办",)) + pick(("", "", "APP")),
                    "scenario": (scenario.code if self._random.random() < 0.7 else scenario.text)
                    if scenario
                    else "窗口",
                    "matter_name": None,
                    "matter_code": None,
                    "region_code": pick(_REGIONS[place]),
                    "verifier_name": unit,
                    "verifier_code": None,
                },
            },
        }

    def pick_row(self, *, whole: bool | None = None) -> ListedRow:
        """Pick a resolved row; ``whole`` asks for one whose scope is the whole province (True) or units
        (False)."""
        matching = [each for each in self._listed if whole in {None, _is_whole(each.row)}]
        return self._random.choice(matching)

    def pick_unresolved(self) -> ListedRow:
        """Pick a row with a name that no event passes."""
        return self._random.choice(self._unresolved)

    def pick_forwarded(self) -> Simulated | None:
        """Pick a record in structured mode that was made before and is forwarded; None where the one picked
        is not such."""
        picked = self._random.choice(self._sent) if self._sent else None
        return picked if picked and picked.expected is Outcome.FORWARD and not picked.headers else None

    def reject(self, province: Province, event: Event, *codes: Code, key: bytes | None = None) -> Simulated:
        """Return ``event`` as a record that is to be rejected for ``codes``."""
        return self._record(province, event, Outcome.REJECT, codes, key=key)

    def _record(
        self, province: Province, event: Event, expected: Outcome, codes: tuple[Code, ...], *,
        key: bytes | None = None, binary: bool = False,
    ) -> Simulated:  # fmt: skip
        key = key or event["data"]["holder"]["ref"].encode()
        if binary:
            headers = [
                (f"ce_{name}", str(value).encode())
                for name, value in event.items()
                if name not in {"data", "datacontenttype"}
            ]
            return Simulated(
                province, key, _json(event["data"]), [*headers, ("content-type", b"application/json")], expected, codes
            )
        return Simulated(province, key, _json(event), [], expected, codes)

    def _remember(self, record: Simulated) -> Simulated:
        if Code.FUTURE_EVENT in record.codes:
            return record  # it is no longer early when it comes again
        if len(self._sent) < self._memory:
            self._sent.append(record)
        else:
            self._sent[self._random.randrange(self._memory)] = record
        return record

    def _traceparent(self) -> str:
        return f"00-{self._random.getrandbits(128) or 1:032x}-{self._random.getrandbits(64) or 1:016x}-01"

    def _identifier(self) -> str:
        body = f"11100000000019713D013.11510000008282201X.{self._random.randrange(10**12):012d}.001"
        return f"{body}.{check_character(body)}"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _resolved(row: Row, province: Province) -> bool:
    cells = ("certificate", f"issuers.{province.value}", "channels", "scenarios", f"scope.{province.other.value}")
    return all(row.cell(cell).resolved for cell in cells)


def _is_whole(row: Row) -> bool:
    return all(
        scope is not None and scope.whole is not None for scope in (row.scope.sichuan.value, row.scope.chongqing.value)
    )


# One mistake each, by the code it is to be rejected for.


def _invalid_event(sim: Simulator, province: Province, now_ms: int) -> Simulated:
    event = sim.display(province, now_ms)
    kind = now_ms % 4
    if kind == 0:
        event["data"]["holder"]["name_masked"] = "未脱敏姓名"
    elif kind == 1:
        del event["data"]["certificate"]["issuer_name"]
    elif kind == 2:
        event["data"]["display"]["phone"] = "-"
    return sim.reject(province, event, Code.INVALID_EVENT, key=b"not-the-holder" if kind == 3 else None)


def _source_mismatch(sim: Simulator, province: Province, now_ms: int) -> Simulated:
    event = sim.display(province, now_ms) | {"source": province.other.source}
    return sim.reject(province, event, Code.SOURCE_MISMATCH)


def _id_reused(sim: Simulator, province: Province, now_ms: int) -> Simulated:
    first = sim.pick_forwarded()
    if first is None:
        return _source_mismatch(sim, province, now_ms)
    event = json.loads(first.value)
    fresh = sim.display(first.province, now_ms) | {"id": event["id"]}
    fresh["data"]["holder"] = event["data"]["holder"]  # the same key, so that it meets the first one in its partition
    return sim.reject(first.province, fresh, Code.ID_REUSED)


def _at(offset_ms: int, code: Code) -> Callable[[Simulator, Province, int], Simulated]:
    def make(sim: Simulator, province: Province, now_ms: int) -> Simulated:
        event = sim.display(province, now_ms) | {"time": format_instant((now_ms + offset_ms) * 1000)}
        return sim.reject(province, event, code)

    return make


def _before_the_list(sim: Simulator, province: Province, now_ms: int) -> Simulated:
    event = sim.display(province, now_ms) | {"time": "2022-10-22T15:59:59Z"}
    event["data"]["certificate"]["valid_from"] = None
    return sim.reject(province, event, Code.STALE_EVENT, Code.LIST_NOT_IN_EFFECT)


def _not_cross_province(sim: Simulator, province: Province, now_ms: int) -> Simulated:
    listed = sim.pick_row()
    event = sim.display(province, now_ms, listed)
    event["data"]["display"]["region_code"] = _REGIONS[province][0]
    scope = listed.row.scope.of(province.other).value
    also = (Code.OUT_OF_PILOT_SCOPE,) if scope and scope.whole else ()
    return sim.reject(province, event, Code.NOT_CROSS_PROVINCE, *also)


def _changed(section: str, field: str, value: str, code: Code) -> Callable[[Simulator, Province, int], Simulated]:
    def make(sim: Simulator, province: Province, now_ms: int) -> Simulated:
        event = sim.display(province, now_ms)
        event["data"][section][field] = value
        return sim.reject(province, event, code)

    return make


def _unresolved(sim: Simulator, province: Province, now_ms: int) -> Simulated:
    return sim.reject(province, sim.display(province, now_ms, sim.pick_unresolved()), Code.LIST_ROW_UNRESOLVED)


def _out_of_scope(sim: Simulator, province: Province, now_ms: int) -> Simulated:
    event = sim.display(province, now_ms, sim.pick_row(whole=False))
    event["data"]["display"]["verifier_name"] = "某某超市"
    return sim.reject(province, event, Code.OUT_OF_PILOT_SCOPE)


def _expired(sim: Simulator, province: Province, now_ms: int) -> Simulated:
    event = sim.display(province, now_ms)
    event["data"]["certificate"]["valid_until"] = china_date((now_ms - 48 * _HOUR_MS) * 1000)
    return sim.reject(province, event, Code.CERTIFICATE_EXPIRED)


def _not_yet_valid(sim: Simulator, province: Province, now_ms: int) -> Simulated:
    event = sim.display(province, now_ms)
    event["data"]["certificate"]["valid_from"] = china_date((now_ms + 48 * _HOUR_MS) * 1000)
    return sim.reject(province, event, Code.CERTIFICATE_NOT_YET_VALID)


_MISTAKES: dict[Code, Callable[[Simulator, Province, int], Simulated]] = {
    Code.INVALID_EVENT: _invalid_event,
    Code.SOURCE_MISMATCH: _source_mismatch,
    Code.ID_REUSED: _id_reused,
    Code.FUTURE_EVENT: _at(20 * _MINUTE_MS, Code.FUTURE_EVENT),
    Code.STALE_EVENT: _at(-80 * _HOUR_MS, Code.STALE_EVENT),
    Code.NOT_CROSS_PROVINCE: _not_cross_province,
    Code.CERTIFICATE_NOT_LISTED: _changed("certificate", "type_name", "居民户口簿", Code.CERTIFICATE_NOT_LISTED),
    Code.LIST_ROW_UNRESOLVED: _unresolved,
    Code.LIST_NOT_IN_EFFECT: _before_the_list,
    Code.IDENTIFIER_INVALID: _changed(
        "certificate",
        "identifier",
        "11100000000013338W011.11430000006122244L.20230000403.001.V",
        Code.IDENTIFIER_INVALID,
    ),
    Code.ISSUER_NOT_RECOGNISED: _changed("certificate", "issuer_name", "某市某局", Code.ISSUER_NOT_RECOGNISED),
    Code.CHANNEL_NOT_RECOGNISED: _changed("display", "channel", "微信小程序", Code.CHANNEL_NOT_RECOGNISED),
    Code.SCENARIO_NOT_RECOGNISED: _changed("display", "scenario", "网上购物", Code.SCENARIO_NOT_RECOGNISED),
    Code.OUT_OF_PILOT_SCOPE: _out_of_scope,
    Code.CERTIFICATE_NOT_YET_VALID: _not_yet_valid,
    Code.CERTIFICATE_EXPIRED: _expired,
}
