"""Display events with one to three things changed, the same ones for the same seed."""

import base64
import copy
import json
import random
from collections.abc import Callable
from typing import Any

from gateway.core.province import Province
from gateway.operate.examples import display_event

Event = dict[str, Any]
Path = tuple[str, ...]

ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "datacontenttype",
    "subject",
    "dataschema",
    "traceparent",
    "tracestate",
    "data",
)
EXTENSIONS = (
    "department",
    "x",
    "x1",
    "Bad",
    "with_line",
    "with-dash",
    "a" * 21,
    "a" * 300,
    "1",
    "ü",
    "",
    "signature",
    "signaturekey",
    "data_base64",
)
PERSONAL = (
    "13800138000",
    "138-0013-8000",
    "11010519491231002X",
)  # a number that belongs to nobody, and GB 11643's own example
ANYTHING = (
    None, True, False, 0, 1, -1, 5, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53, 1.0, 1.5, 1e300, "", " ", "x", "5", "true", "null",
    [], ["x"], {}, {"x": 1}, "x" * 21, "x" * 128, "x" * 129, "x" * 200, "x" * 201, "x" * 256, "x" * 257, "x" * 500, "x" * 501,
    "a\tb", "a\nb", "a\n", "\n", "a\x00b", "a\x7f", "a\x85b", "a\ufffe", "\ufdd0", "\U0001ffff", "\u202ea", "a\u200bb", "a\u00a0b",
    "\u2028", "\ufeffx", "\u3000", "\ue000", "𠀀", "四川", "５", "tel 13800138000", "+86 138-0013-8000", "11010519491231002X",
)  # fmt: skip
TIMES = (
    "2026-11-23T08:00:00Z", "2026-11-23t08:00:00z", "2026-11-23 08:00:00Z", "2026-11-23T08:00:00", "2026-11-23T08:00:00.1+08:00",
    "2026-11-23T08:00:00.123456789Z", "2026-11-23T08:00:00." + "1" * 30 + "Z", "2026-11-23T08:00:60Z", "2026-12-31T23:59:60Z",
    "2016-12-31T23:59:60Z", "2017-01-01T07:59:60+08:00", "2026-11-23T24:00:00Z", "2026-11-23T08:60:00Z", "2026-02-29T08:00:00Z",
    "2024-02-29T08:00:00Z", "2026-11-31T08:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+08:00",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-08:00", "10000-01-01T00:00:00Z", "2026-11-23T08:00:00+24:00", "2026-11-23T08:00:00+23:59",
    "2026-11-23T08:00:00+0800", "2026-11-23T08:00:00-00:00", "2026-11-23T08:00:00,5Z", "2026-11-23T08:00Z", "２026-11-23T08:00:00Z",
    "2026-11-23T08:00:00Z\n", " 2026-11-23T08:00:00Z",
)  # fmt: skip
DATES = ("2026-02-28", "2026-02-29", "2024-02-29", "2026-2-1", "0000-01-01", "0001-01-01", "9999-12-31", "2026-11-31", "20261101", "2026-11-01\n", "２026-11-01")  # fmt: skip
CONTENT_TYPES = (
    "application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8", "application/json ;x", "text/json",
    "application/vnd.x+json", "application/cloudevents+json", "text/plain", "application/json-patch", "json", "application/xml", "application/json\n",
)  # fmt: skip
CODES = (
    "11100000000019713D013",
    "11100000000019713d013",
    "11100000000019713D01",
    "91510100MA6XXXXX2K",
    "11430000006122244L",
    "１1430000006122244L",
)
IDENTIFIERS = (
    "11100000000013338W011.11430000006122244L.20230000403.001.U", "11100000000013338W011.11430000006122244L.20230000403.001.A",
    "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U", "x.y",
)  # fmt: skip
REFERENCES = (
    "sm3:" + "5c" * 32,
    "sm3:" + "5C" * 32,
    "sm3:" + "5c" * 31,
    "sha256:" + "5c" * 32,
    "sm3:" + "5c" * 32 + "\n",
)
MASKED = ("成都**公司", "成都＊公司", "王某", "王○", "王", "*", "**13800138000")
POOLS: dict[str, tuple[Any, ...]] = {
    "time": TIMES, "valid_from": DATES, "valid_until": DATES, "datacontenttype": CONTENT_TYPES, "type_code": CODES, "issuer_code": CODES,
    "verifier_code": CODES, "matter_code": CODES, "identifier": IDENTIFIERS, "ref": REFERENCES, "name_masked": MASKED,
    "kind": ("person", "organisation", "Person"), "region_code": ("500103", "5001", "5001０3", "500103\n", "510104"),
    "specversion": ("1.0", "0.3", "1.1", 1.0), "source": ("urn:chuanyu:sichuan", "urn:chuanyu:chongqing", "urn:chuanyu:beijing", "//x"),
    "dataschema": ("urn:x:1", "http://example.org/ x", "x"),
}  # fmt: skip


def mutated_events(count: int, seed: int) -> list[Event]:
    """Return ``count`` events; each has an id of its own, unless the id is what was changed."""
    chance = random.Random(seed)
    events = []
    for number in range(count):
        event = display_event(chance.choice(tuple(Province)))
        event["id"] = f"mutated-{number}"
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            chance.choice(_MUTATIONS)(event, chance)
        events.append(event)
    return events


def _paths(event: Event) -> list[Path]:
    paths: list[Path] = [(name,) for name in ATTRIBUTES]
    data = event.get("data")
    if isinstance(data, dict):
        paths += [("data", part) for part in data]
        paths += [
            ("data", part, name) for part, members in data.items() if isinstance(members, dict) for name in members
        ]
    return paths


def _holder(event: Event, path: Path) -> Event:
    for step in path[:-1]:
        event = event[step]
    return event


def _replace(event: Event, chance: random.Random) -> None:
    path = chance.choice(_paths(event))
    _holder(event, path)[path[-1]] = copy.deepcopy(chance.choice(ANYTHING))


def _replace_by_its_kind(event: Event, chance: random.Random) -> None:
    path = chance.choice([path for path in _paths(event) if path[-1] in POOLS] or [("time",)])
    _holder(event, path)[path[-1]] = chance.choice(POOLS[path[-1]])


def _remove(event: Event, chance: random.Random) -> None:
    path = chance.choice(_paths(event))
    _holder(event, path).pop(path[-1], None)


def _extend(event: Event, chance: random.Random) -> None:
    event[chance.choice(EXTENSIONS)] = copy.deepcopy(chance.choice(ANYTHING))


def _add_unknown(event: Event, chance: random.Random) -> None:
    parts = [part for part in (event.get("data"), *_parts(event)) if isinstance(part, dict)]
    if parts:
        chance.choice(parts)[chance.choice(("phone", "type_name", "x"))] = copy.deepcopy(chance.choice(ANYTHING))


def _encode(event: Event, chance: random.Random) -> None:
    content = json.dumps(event.pop("data", None)).encode()
    event["data_base64"] = base64.b64encode(
        content[: chance.choice((len(content), len(content), len(content) - 1))]
    ).decode()


def _parts(event: Event) -> list[Any]:
    data = event.get("data")
    return list(data.values()) if isinstance(data, dict) else []


_MUTATIONS: tuple[Callable[[Event, random.Random], None], ...] = (
    _replace, _replace_by_its_kind, _replace_by_its_kind, _remove, _extend, _add_unknown, _encode,
)  # fmt: skip
