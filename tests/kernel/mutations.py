"""Records of a lane that are nearly events: simulated ones, of which each is changed in a way that
platforms, or somebody who means ill, might think of."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from aiokafka.structs import ConsumerRecord

from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.times import china_date, format_instant
from gateway.operate.simulate import Simulator

NOW = 1_795_392_003_000
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_IDENTIFIER = "11100000000013338W011.11430000006122244L.20230000403.001"

# Texts for any field: the empty, the long, the masked, what looks like a person's number (synthetic), what
# looks like another field's, what JSON escapes.
_TEXTS = [
    "", " ", "a", "*", "王**", "某公司", "＊" * 3, "a" * 199 + "*", "a" * 200 + "*", "证" * 200, "证" * 201, "x" * 300, "x" * 500, "x" * 501,
    "13800138000", "x13800138000", "号13800138000*", "１３８００１３８０００＊", "11010519491231002X", "110105194912310021*",
    "138-0013-8000", "138 0013 8000", "138--00138000", "+86 138.0013.8000", "008613800138000", "138\u200b00138000", "1380013800",
    "110105 19491231 002X", "110105-19491231-0021", "1101051949123100 2 1", "20261127-000123", "00000000000", "11111111111",
    "⑩⑩⑩⑩⑩⑩*abcdefgh", "王㈱**", "a\u0000*", "a\n*", 'q"*', "\\*", "\u2028*", "\u200b", "\ud800", "\U0001f600*", "é*", "ﾊ*", "阿依·古丽*", "null",
    "sm3:" + "0" * 64, "sm3:" + "A" * 64, "sm3:" + "g" * 64, "2024-01-01", "2024-02-30", "2024-2-1", "20240101", "0001-01-01",
    "9999-12-31", "2024-01-01 ", "٢٠٢٤-٠١-٠١", "2026-11-23T02:00:00Z", "2026-11-23t02:00:00z", "2026-11-23T02:00:00.123456789Z",
    "2026-11-23T02:00:00.1234567890Z", "2026-11-23T10:00:00+08:00", "2026-11-23T10:00:00+24:00", "2026-11-23T10:00:60Z",
    "2026-11-23T02:00:00", "2026-11-23 02:00:00Z", "2026-11-23T02:00:00-00:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+08:00",
    _IDENTIFIER + ".U", "1.2.156.3005.2." + _IDENTIFIER + ".U", _IDENTIFIER + ".V", _IDENTIFIER.replace("20230000403", "13800138000") + ".U",
    TRACE, TRACE.replace("00-", "ff-", 1), TRACE.upper(), "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "a=1,b=2", "a=13800138000",
    "urn:chuanyu:sichuan", "urn:chuanyu:chongqing", "person", "organisation", "1.0", "510104", "500103", "天府通办", "渝快办",
    "application/json", "application/json; charset=utf-8", "Application/JSON", "text/json", "application/x+json", "text/plain",
    "cn.chuanyu.certificate.displayed.v1", "eyJhIjoxfQ==", "a:b", '{"a":1}', "[1]", "1" * 10, "13800138000" * 3, "%b", "<script>", "\x7f*", "\x9f*",
]  # fmt: skip
_OTHERS = [
    None, True, False, 0, -0.0, 1, -5, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 1.0, 1e3, 1e400, 10**30,
    [], {}, [1], {"a": "b"}, ["x"],
]  # fmt: skip
_OWN = [
    (None, "id"), (None, "time"), ("holder", "ref"), ("holder", "name_masked"), ("certificate", "identifier"),
    ("certificate", "valid_from"), ("certificate", "valid_until"), ("display", "matter_name"), ("display", "matter_code"),
    ("display", "verifier_code"),
]  # fmt: skip
_WORDS = [
    (None, "source"), (None, "type"), (None, "specversion"), (None, "datacontenttype"), ("holder", "kind"),
    ("certificate", "type_name"), ("certificate", "type_code"), ("certificate", "issuer_name"), ("certificate", "issuer_code"),
    ("display", "channel"), ("display", "scenario"), ("display", "region_code"), ("display", "verifier_name"),
]  # fmt: skip
# Words of which not all has a say, or not always: places, units, codes.
_REGIONS = ("510104", "510185", "511902", "500103", "500155", "110101", "519999", "50010", "５００１０３", None)
_UNITS = (
    "重庆市渝中公证处", "重庆市渝中 公证处", "成都市蜀都公证处", "公证处", "重庆图书馆", "四川省图书馆", "成都图书馆", "重庆市体育局", "重庆市农业农村委员会",
    "重庆市文化和旅游发展委员会", "四川省政务服务办事大厅", "四川省政府政务服务和公共资源交易服务中心", "重庆市政务服务中心", "第1政务服务中心", '"处"', "", None,
)  # fmt: skip
_ISSUER_CODES = ("11510000008282201X", "11500000009275780P", "115100000082822010", "11510000138001380X", "x", None)
_TYPE_CODES = ("11100000000013338W011", "11100000000013338W022", "11100000013800138W011", "x", None)
_HOUR, _DAY = 3_600_000, 86_400_000
# Milliseconds from when an event is received to when it was shown: in time, on the edges of future and of
# stale, beyond them; before the list, where its certificates are not in effect.
_SHOWN = [-1000, 300_000, 300_001, 1_200_000, -72 * _HOUR, -72 * _HOUR - 1, -80 * _HOUR, -16 * _HOUR, -1500 * _DAY]
_EXTENSIONS = [
    "traceparent", "tracestate", "subject", "evidence", "signature", "signaturekey", "dataschema", "data_base64", "a1", "Bad",
    "x_y", "n13800138000", "zz", "data2", "specversion2", "m",
]  # fmt: skip
_INSERTED = [
    b"\\u0061", b"\\u003a", b"\\u0000", b"\\", b"\\ud83d\\ude00", b"\\ud800", b"\\n", b"\\/", b"\\x", b"\x7f", b"\x1f", b"[", b"]", b"\xff", b" ",
]  # fmt: skip
_HEADERS = [
    (), (), (), (("traceparent", TRACE.encode()),), (("traceparent", TRACE.encode()), ("tracestate", b"a=1")), (("traceparent", b"x"),),
    (("content-type", b"application/cloudevents+json"),), (("content-type", None), ("other", b"\xff")), (("CE_ID", b"x"),),
    (("ce_id", b"1"), ("ce_specversion", b"1.0")), (("ce_other", b"1"),), (("tracestate", b"a=13800138000"), ("traceparent", TRACE.encode())),
    (("x", b"y" * 5000),),
]  # fmt: skip


def record(offset: int, timestamp: int, key: bytes | None, value: bytes | None, headers: Any = ()) -> ConsumerRecord:
    """A record of a lane's input."""
    return ConsumerRecord("t", 0, offset, timestamp, 0, key, value, None, 0, 0, headers)


class Mutated:
    """Turns of mutated records of both provinces, without end; the same for the same seed."""

    def __init__(self, recognition: Recognition, seed: int) -> None:
        self._random, self._seed, self._made = Random(seed), seed, 0
        simulator = Simulator(
            recognition, seed, reject_share=0.1, duplicate_share=0, garbage_share=0.005, binary_share=0.02
        )
        self._events: dict[Province, list[Any]] = {province: [] for province in Province}
        for _ in range(1500):
            event = simulator.next_event(NOW - 1000)
            self._events[event.province].append(event)
        self._offsets = dict.fromkeys(Province, 0)
        self._recent: dict[Province, list[dict[str, Any]]] = {province: [] for province in Province}

    def turns(self) -> Iterator[tuple[Province, list[ConsumerRecord]]]:
        """Give out turns of 1 to 200 records; the clock goes on, and jumps now and then."""
        number = 0
        while True:
            province = self._random.choice(list(Province))
            size = self._random.choice((1, 20, 60, 200))
            yield province, [self._record(province, NOW + number * 500) for _ in range(size)]
            number += 1

    def _record(self, province: Province, now: int) -> ConsumerRecord:
        random = self._random
        event = random.choice(self._events[province])
        key, raw, headers = event.key, event.value, tuple(event.headers)
        if not headers and raw[:1] == b"{" and len(raw) > 200:
            content = json.loads(raw)
            self._made += 1
            content["id"] = f"seen-{random.randrange(40)}" if random.random() < 0.2 else f"{self._seed}-{self._made}"
            kind = random.random()
            if kind < 0.25:
                self._condition(content, now)
            elif kind < 0.75:
                self._change(content)
            if kind < 0.1 or kind > 0.65:
                self._place(content)
            if random.random() < 0.1 and (recent := self._recent[province]):
                content = self._again(random.choice(recent))
            self._recent[province] = [*self._recent[province][-60:], content]
            raw = self._written(content)
            data = content.get("data")
            holder = data.get("holder") if isinstance(data, dict) else None
            reference = holder.get("ref") if isinstance(holder, dict) else None
            if isinstance(reference, str):
                key = reference.encode("utf-8", "surrogatepass")
            if random.random() < 0.02:
                key = random.choice((None, b"", b"x"))
            if random.random() < 0.1:
                headers = random.choice(_HEADERS)
            if random.random() < 0.005:
                raw = None
        offset = self._offsets[province]
        self._offsets[province] += 1
        time = now + random.choice((0, 0, 0, 1, 60_000, 4_000_000, -5_000))
        return record(offset, time, key, raw, headers)

    def _condition(self, event: dict[str, Any], now: int) -> None:
        """Change what a valid event's own checks look at: its time, the days of validity around midnight in
        China, the identifier's check character, the source."""
        random, certificate = self._random, event["data"]["certificate"]
        midnight = (now + 8 * _HOUR) // _DAY * _DAY - 8 * _HOUR
        shown = random.choice((*(now + each for each in _SHOWN), midnight - 1, midnight))
        event["time"] = format_instant(shown * 1000)
        day = china_date(shown * 1000)
        others = [china_date((shown + each) * 1000) for each in (-_DAY, _DAY)]
        certificate["valid_from"] = random.choice(("2020-01-01", "2020-01-01", day, *others, None))
        certificate["valid_until"] = random.choice(("2035-12-31", "2035-12-31", day, *others, None))
        certificate["identifier"] = random.choice((None, None, _IDENTIFIER + ".V", _IDENTIFIER + ".U"))
        if random.random() < 0.1:
            event["source"] = random.choice(("urn:chuanyu:sichuan", "urn:chuanyu:chongqing"))

    def _place(self, event: dict[str, Any]) -> None:
        """Change where a valid event was shown and to whom, what its holder is, and codes."""
        random, data = self._random, event.get("data")
        if not isinstance(data, dict):
            return
        for place, name, values in (
            ("display", "region_code", _REGIONS), ("display", "verifier_name", _UNITS), ("holder", "kind", ("person", "organisation")),
            ("certificate", "issuer_code", _ISSUER_CODES), ("certificate", "type_code", _TYPE_CODES),
        ):  # fmt: skip
            if random.random() < 0.5 and isinstance(data.get(place), dict):
                data[place][name] = random.choice(values)

    def _again(self, event: dict[str, Any]) -> dict[str, Any]:
        """An event that came before, forwarded or not, as it was or with one thing changed."""
        event = copy.deepcopy(event)
        if self._random.random() < 0.5:
            self._change(event)
        return event

    def _value(self) -> Any:
        return (
            self._random.choice(_TEXTS) if self._random.random() < 0.8 else copy.deepcopy(self._random.choice(_OTHERS))
        )

    def _change(self, event: dict[str, Any]) -> None:
        random = self._random
        for _ in range(random.choice((0, 0, 0, 1, 1, 1, 2, 3))):
            kind = random.random()
            data = event.get("data")
            if kind < 0.65:
                where, name = random.choice(_OWN if kind < 0.5 else _WORDS)
                place = event if where is None else data.get(where) if isinstance(data, dict) else None
                if isinstance(place, dict):
                    self._set(place, name)
            elif kind < 0.9:
                event[random.choice(_EXTENSIONS)] = self._value()
            elif kind < 0.93:
                event["data"] = self._value() if random.random() < 0.3 else data
            elif isinstance(data, dict):
                where = random.choice(("certificate", "holder", "display"))
                place = data.get(where) if kind < 0.96 else data
                if isinstance(place, dict):
                    self._set(place, random.choice(("x", "phone", "names", "") if kind < 0.96 else (where, "more")))

    def _set(self, place: dict[str, Any], name: str) -> None:
        if self._random.random() < 0.15:
            place.pop(name, None)
        else:
            place[name] = self._value()

    def _written(self, event: dict[str, Any]) -> bytes:
        """Write an event as somebody might: shuffled, spaced, escaped, with a key twice, a byte changed."""
        random = self._random
        if random.random() < 0.3:
            event = self._shuffled(event)
        separators = random.choice(((",", ":"), (",", ":"), (", ", ": "), (" , ", "\n:\t")))
        text = json.dumps(event, ensure_ascii=random.random() < 0.2, separators=separators)
        raw, kind = text.encode("utf-8", "surrogatepass"), random.random()
        place = random.randrange(len(raw))
        if kind < 0.06:
            name = random.choice([name for _, name in _OWN + _WORDS]).encode()
            raw = raw.replace(b'"%b"' % name, b'"%b":null,"%b"' % (name, name), 1)
        elif kind < 0.10:
            raw = raw[:place] + bytes([random.randrange(256)]) + raw[place + 1 :]
        elif kind < 0.12:
            raw = raw[:place] + raw[place + 1 :]
        elif kind < 0.14:
            raw = random.choice((b" ", b"\n", b"\xef\xbb\xbf", b"[")) + raw
        elif kind < 0.16:
            raw += random.choice((b" ", b"\n", b",", b"x", b"{}", b"\0"))
        elif kind < 0.18:
            raw = raw[:place] + random.choice(_INSERTED) + raw[place:]
        return raw

    def _shuffled(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = [(name, self._shuffled(member)) for name, member in value.items()]
        self._random.shuffle(items)
        return dict(items)
