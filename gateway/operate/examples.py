"""One example of each message, decided by the code itself; the company and the person in them are made
up."""

import datetime
import json
from dataclasses import dataclass, field
from typing import Any

from gateway.contract.display_event import EVENT_TYPE
from gateway.contract.headers import ORIGIN_HEADER
from gateway.contract.topics import LaneId, Topics
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.feedback.cases import CaseCounter, Share, merge
from gateway.feedback.history import Change, Status, case_message, digest_messages
from gateway.feedback.problems import observe
from gateway.relay.horizon import Horizon
from gateway.relay.turn import take_turn

_RECEIVED = 1_795_392_003_000  # 2026-11-23T00:00:03Z, three seconds after the examples' displays


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = _RECEIVED
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def display_event(province: Province) -> dict[str, Any]:
    """Return a display that is recognised: a transport permit at a roadside check, a driver's licence at a
    notary's."""
    if province is Province.SICHUAN:
        certificate = {
            "type_name": "道路运输证", "type_code": "11100000000019713D013", "identifier": None,
            "issuer_name": "四川省交通运输厅", "issuer_code": None, "valid_from": "2024-01-01", "valid_until": "2028-01-01",
        }  # fmt: skip
        holder = {"kind": "organisation", "ref": "sm3:" + "5c" * 32, "name_masked": "成都**运输公司"}
        display = {
            "channel": "天府通办", "scenario": "05-2", "matter_name": None, "matter_code": None,
            "region_code": "500103", "verifier_name": "重庆市渝中区交通局", "verifier_code": None,
        }  # fmt: skip
    else:
        certificate = {
            "type_name": "机动车驾驶证", "type_code": "11100000000013338W011",
            "identifier": "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U",
            "issuer_name": "重庆市公安局", "issuer_code": None, "valid_from": "2020-05-01", "valid_until": "2030-04-30",
        }  # fmt: skip
        holder = {"kind": "person", "ref": "sm3:" + "a1" * 32, "name_masked": "李**"}
        display = {
            "channel": "“交管12123”移动端", "scenario": "到公证机构申办机动车驾驶证公证", "matter_name": "机动车驾驶证公证",
            "matter_code": None, "region_code": "510104", "verifier_name": "成都市蜀都公证处", "verifier_code": None,
        }  # fmt: skip
    return {
        "specversion": "1.0",
        "id": f"example-{province.value}-1",
        "source": province.source,
        "type": EVENT_TYPE,
        "time": "2026-11-23T08:00:00+08:00",
        "datacontenttype": "application/json",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "data": {"certificate": certificate, "holder": holder, "display": display},
    }


def events_to_try(prefix: str, province: Province | None, now_ms: int) -> list[dict[str, Any]]:
    """Return events shown at ``now_ms``, of one province or of both: one that passes, one from an app that
    is not listed.

    Their ids are ``PREFIX-province-1`` and ``-2``.
    """
    events = []
    for each in Province if province is None else (province,):
        for number in (1, 2):
            event = display_event(each) | {"id": f"{prefix}-{each}-{number}", "time": _in_china(now_ms)}
            del event["traceparent"]  # no trace began here
            events.append(event)
        events[-1]["data"]["display"]["channel"] = "微信小程序"
    return events


def _in_china(time_ms: int) -> str:
    zone = datetime.timezone(datetime.timedelta(hours=8))
    return datetime.datetime.fromtimestamp(time_ms / 1000, zone).isoformat(timespec="seconds")


def examples(recognition: Recognition) -> dict[str, Any]:
    """Return messages by name: ``schema.province`` or ``schema``; each name starts with that of its
    schema."""
    found: dict[str, Any] = {}
    for province in Province:
        event = display_event(province)
        found[f"display-event.{province.value}"] = event
        turn = _turn(recognition, province, [_raw(event)])
        found[f"verification-record.{province.other.value}"] = json.loads(turn[0])
    refused = display_event(Province.SICHUAN)
    refused["data"]["display"] |= {"channel": "微信小程序", "scenario": "网上购物"}
    rejection, dead_letter, entry = _turn(recognition, Province.SICHUAN, [_raw(refused), (None, b"not an event")])
    found["rejection-record"] = json.loads(rejection)
    found["dead-letter"] = json.loads(dead_letter)
    found["ledger-entry"] = json.loads(entry)
    return found | _feedback(rejection)


def _feedback(rejection: bytes) -> dict[str, Any]:
    """Return the case that the rejection opens, and the digest that its unit receives when there are 12
    more."""
    observation = observe(rejection, [(ORIGIN_HEADER, b"sichuan.display/3/1700")], Province.SICHUAN)
    assert observation is not None  # noqa: S101 — it was made a moment ago
    shares: dict[str, Share] = {}
    counter = CaseCounter(shares, 3)
    counter.count([(41, observation)])
    case = merge(shares.items())[0]
    opened = case_message(case, Change.OPENED, Status.PENDING, _RECEIVED + 1_000)
    counter.count((42 + number, observation) for number in range(12))
    (unit, *_) = case.problem.units
    grown = next(each for each in merge(shares.items()) if each.id == case.id)
    (digest,) = digest_messages(unit, [(grown, case.count)], None, _RECEIVED + 3_600_000)
    return {"feedback-case": json.loads(opened.value), "feedback-digest": json.loads(digest.value)}


def _raw(event: dict[str, Any]) -> tuple[bytes, bytes]:
    return event["data"]["holder"]["ref"].encode(), json.dumps(event, ensure_ascii=False).encode()


def _turn(recognition: Recognition, province: Province, records: list[tuple[bytes | None, bytes]]) -> list[bytes]:
    topics = Topics()
    lane = LaneId(province, topics.display(province), 3)
    taken = [_Record(1_700 + index, key, value) for index, (key, value) in enumerate(records)]
    turn = take_turn(lane, taken, recognition, Horizon(10**9, 10), None, topics=topics, algorithm="sha256")
    return [output.value for output in turn.outputs]
