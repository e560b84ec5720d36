"""Which of an event's words have a say: what the kernel is told has none, has none."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from gateway.contract.facets import facets_of
from gateway.contract.rejection import encode_nearest_row
from gateway.core.decision import Decision, Outcome, Reject
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.times import format_instant
from gateway.decide import decide_bytes
from gateway.operate.simulate import Simulator
from tests.kernel.both_ways import LIST, BothWays
from tests.kernel.crossed_list import UNITS, crossed_list
from tests.kernel.mutations import NOW, record
from tests.kernel.test_both_ways import asked

SICHUAN = Province.SICHUAN
PLACES = {
    "sichuan": ("510104", "510185", "519999"),
    "chongqing": ("500103", "500155", "509900"),
    "": ("110101", "520000"),
}
LISTS: dict[str, Callable[[], Recognition]] = {"shipped": lambda: LIST, "crossed": crossed_list}

Event = dict[str, Any]


def events(recognition: Recognition, seed: int, count: int) -> list[Event]:
    """Displays of Sichuan, one in three with something wrong, shown today or before the second batch was in
    force."""
    random, simulator = Random(seed), Simulator(recognition, seed)
    made = []
    for _ in range(count):
        event = simulator.display(SICHUAN, NOW)
        display, certificate = event["data"]["display"], event["data"]["certificate"]
        if random.random() < 0.2:
            event["time"] = format_instant((NOW - 60 * 3_600_000) * 1000)
        if random.random() < 0.3:
            place, name, value = random.choice(
                [
                    (display, "channel", "无此渠道"),
                    (display, "scenario", "无此场景"),
                    (certificate, "type_name", "无此证照"),
                    (certificate, "issuer_name", "无此单位"),
                    (certificate, "type_name", "公证书副本"),
                ]
            )
            place[name] = value
        made.append(event)
    return made


def decided(recognition: Recognition, event: Event) -> Decision:
    raw = json.dumps(event, ensure_ascii=False).encode()
    return decide_bytes(raw, SICHUAN, NOW, recognition, key=event["data"]["holder"]["ref"].encode())


def said(decision: Decision, region: str) -> tuple[Any, ...]:
    """What a decision comes to, but for the region where it is repeated."""
    reasons, facets = decision.reasons if isinstance(decision, Reject) else (), facets_of(decision)
    plain = [(each.code, each.field, each.found == region or each.found, each.accepted, each.units) for each in reasons]
    nearest = encode_nearest_row(decision.listing).replace(b'"%b"' % region.encode(), b"region")  # type: ignore[union-attr]
    return facets._replace(region=facets.region == region or facets.region), plain, nearest


@pytest.mark.parametrize("made", LISTS.values(), ids=LISTS)
def test_of_a_region_only_the_province_has_a_say(made: Callable[[], Recognition]) -> None:
    recognition, outcomes = made(), set[str]()
    for event in events(recognition, 1, 300):
        for regions in PLACES.values():
            alike = set[str]()
            for region in regions:
                event["data"]["display"]["region_code"] = region
                decision = decided(recognition, event)
                alike.add(str(said(decision, region)))
                outcomes.add(decision.outcome)
            assert len(alike) == 1
    assert outcomes == {Outcome.FORWARD, Outcome.REJECT}


@pytest.mark.parametrize("made", LISTS.values(), ids=LISTS)
def test_a_unit_not_looked_at_has_no_say(made: Callable[[], Recognition]) -> None:
    recognition, with_a_say, changed = made(), 0, 0
    for event in events(recognition, 2, 300):
        display = event["data"]["display"]
        region, first = display["region_code"], decided(recognition, event)
        answers = set[str]()
        for unit in (None, "", "某县政务服务中心", display["verifier_name"], *UNITS["chongqing"], *UNITS["sichuan"]):
            display["verifier_name"] = unit
            answers.add(str(said(decided(recognition, event), region)))
        if first.listing.unit_matters:  # type: ignore[union-attr]
            with_a_say += 1
            changed += len(answers) > 1
        else:
            assert len(answers) == 1
    assert 0 < changed <= with_a_say < 300


class Lane:
    """A lane whose events are one display, changed."""

    def __init__(self, *, whole: bool) -> None:
        self.both = BothWays()
        simulator = Simulator(LIST, 5)
        self._first = simulator.display(SICHUAN, NOW, simulator.pick_row(whole=whole))
        self._next = 0

    def take(self, *changes: dict[str, dict[str, Any]]) -> list[int]:
        """Take a turn of one event for each of ``changes``; return their offsets."""
        records = [self.event(each) for each in changes]
        self.both.take(SICHUAN, records)
        return [each.offset for each in records]

    def event(self, changes: dict[str, dict[str, Any]]) -> ConsumerRecord:
        event = json.loads(json.dumps(self._first))
        event["id"] = f"e{self._next}"
        for place, values in changes.items():
            event["data"][place] |= values
        offset, self._next = self._next, self._next + 1
        key = event["data"]["holder"]["ref"].encode()
        return record(offset, NOW, key, json.dumps(event, ensure_ascii=False).encode())


def shown(**values: Any) -> dict[str, dict[str, Any]]:
    return {"display": values}


def test_a_unit_never_seen_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane(whole=True)
    lane.take(shown())
    offsets = asked(lane.both, monkeypatch)
    lane.take(*[shown(verifier_name=f"第{number}政务服务中心") for number in range(50)], shown(verifier_name=None))
    assert offsets == []
    personal = lane.take(shown(verifier_name="13800138000"))
    assert offsets == personal


def test_a_unit_in_other_characters_is_asked_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane(whole=True)
    lane.take(shown())
    offsets = asked(lane.both, monkeypatch)
    names = (
        "重庆市政务服务中心－3号窗口",
        "（１号厅）",
        "〔第3〕大厅",
        "Ⅱ区",
        "渝中　大厅",
        "023-63000000转8001号窗口",
    )
    units = [shown(verifier_name=name) for name in names]
    first = lane.take(*units)
    assert offsets == first
    lane.take(*units, *units)
    assert offsets == first


def test_repetitions_alone_teach_their_region(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane(whole=True)
    forwarded = [lane.event(shown(region_code=code)) for code in ("500103", "500112")]
    lane.both.take(SICHUAN, forwarded)
    lane.both.kernel._recognition = None  # as after a list was loaded
    offsets = asked(lane.both, monkeypatch)
    lane.both.take(SICHUAN, forwarded * 3)
    assert offsets == [0, 1]


def test_a_unit_with_a_say_is_asked_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane(whole=False)
    lane.take(shown())
    offsets = asked(lane.both, monkeypatch)
    others = [shown(verifier_name=f"第{number}政务服务中心") for number in range(3)]
    first = lane.take(*others)
    assert offsets == first
    lane.take(*others, shown())
    assert offsets == first


def test_a_region_is_asked_about_once_for_all_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane(whole=True)
    places = [shown(region_code=code) for code in ("500103", "500112", "510104", "110101")]
    lane.take(*places)
    offsets = asked(lane.both, monkeypatch)
    other = {"certificate": {"issuer_name": "无此单位"}}
    taught = lane.take(*[each | other for each in places])
    assert offsets == [taught[0], taught[2], taught[3]]  # one for each province, one for neither
    turn = lane.take(*places, *[each | other for each in places])
    assert turn
    assert len(offsets) == 3


def test_codes_and_kinds_are_known_for_all_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane(whole=True)
    codes = {"issuer_code": "11510000008282201X", "type_code": "11100000000013338W011"}
    organisation = {"holder": {"kind": "organisation", "name_masked": "某公司"}}
    lane.take(shown(), {"certificate": codes}, organisation)
    lane.take(shown(scenario="无此场景"))
    offsets = asked(lane.both, monkeypatch)
    lane.take({"certificate": codes}, organisation, organisation, shown(scenario="无此场景") | {"certificate": codes})
    assert offsets == []
    wrong = lane.take({"certificate": codes | {"type_code": "x"}})
    assert offsets == wrong


@pytest.mark.parametrize(
    ("made", "certificate", "matters"),
    [
        ("crossed", "道路运输证", True),  # chosen is the row for all of Chongqing, and the other one is for units
        ("shipped", "道路运输证", False),
        ("shipped", "图书馆借书证", True),
        ("shipped", "图书馆借书证附页", True),  # unlisted, and compared with a row for units
        ("shipped", "道路运输证附页", False),
    ],
)
def test_the_unit_matters_where_any_row_asks_for_it(made: str, certificate: str, matters: bool) -> None:
    recognition = LISTS[made]()
    event = events(recognition, 3, 1)[0]
    event["time"] = format_instant(NOW * 1000)
    event["data"]["certificate"]["type_name"] = certificate
    event["data"]["display"] |= {"region_code": "500103", "verifier_name": "某处"}
    listing = decided(recognition, event).listing  # type: ignore[union-attr]
    assert listing.unit_matters is matters
    if made == "crossed":
        assert listing.comparison.scope.field == "display.region_code"


def test_regions_are_counted_each_for_itself() -> None:
    lane = Lane(whole=True)
    places = [shown(region_code=code) for code in ("500103", "500103", "500112", "510104")]
    lane.take(*places)
    lane.take(*places)
    counted = {(facets.region, facets.outcome): count for facets, count in lane.both.kernel.last.counts.items()}
    assert counted == {
        ("500103", Outcome.FORWARD): 2, ("500112", Outcome.FORWARD): 1, ("510104", Outcome.REJECT): 1,
    }  # fmt: skip
