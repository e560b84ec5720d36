"""A lane's turn without Kafka: the horizon, the outputs and the ledger entry."""

import hashlib
import json
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract.headers import REMEMBERED_HEADER
from gateway.contract.ledger_entry import LedgerEntry, Previous
from gateway.contract.outputs import Output, digest, output_digest, outputs_digest
from gateway.contract.topics import LaneId, Topics
from gateway.core.digest import sha256
from gateway.core.event import Identity
from gateway.core.province import Province
from gateway.core.signature import SignatureStatus
from gateway.core.times import format_instant
from gateway.operate.examples import display_event
from gateway.relay import deciding
from gateway.relay import horizon as horizons
from gateway.relay import turn as turns
from gateway.relay.deciding import parts_of
from gateway.relay.horizon import Horizon
from gateway.relay.turn import Turn, decide_turn, take_turn

LIST = load_recognition(packaged_config() / "recognition")
TOPICS = Topics("x.")
LANE = LaneId(Province.SICHUAN, TOPICS.display(Province.SICHUAN), 3)
NOW = 1_795_392_003_000
HOUR = 3_600_000
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
A_BEGINS, B_BEGINS = A[: 7 + 18], B[: 7 + 18]


@dataclass
class Record:
    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int = NOW
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def displays(*changes: dict[str, Any], first_offset: int = 100) -> list[Record]:
    records = []
    for number, change in enumerate(changes):
        event = display_event(Province.SICHUAN) | {"id": f"id-{number}"} | change
        records.append(
            Record(first_offset + number, json.dumps(event).encode(), event["data"]["holder"]["ref"].encode())
        )
    return records


def turn(
    records: list[Record], horizon: Horizon | None = None, previous: Previous | None = None, **options: Any
) -> Turn:
    horizon = Horizon(HOUR, 100) if horizon is None else horizon
    return take_turn(LANE, records, LIST, horizon, previous, topics=TOPICS, algorithm="sm3", **options)


def outcomes(horizon: Horizon, *steps: tuple[dict[str, Any], int], signature: str = "unasked") -> list[str]:
    """What becomes of events, each received some milliseconds after NOW in a committed turn of its own."""
    found = []
    for offset, (event, after) in enumerate(steps):
        record = Record(offset, json.dumps(event).encode(), event["data"]["holder"]["ref"].encode(), NOW + after)
        status = SignatureStatus(signature)
        done = decide_turn(LANE, [record], LIST, horizon, topics=TOPICS, signatures=[status])
        horizon.keep()
        found += [facets.reason or facets.outcome for facets in done.counts]
    return found


def outcomes_of(done: Turn) -> dict[str, int]:
    """How many of a turn's records came to what."""
    counts: Counter[str] = Counter()
    for facets, number in done.counts.items():
        counts[facets.outcome] += number
    return dict(counts)


def shown(after: int = 0, channel: str = "天府通办", **changes: Any) -> dict[str, Any]:
    """A display ``after`` milliseconds after NOW."""
    event = display_event(Province.SICHUAN) | {"time": format_instant((NOW + after) * 1000)} | changes
    event["data"]["display"]["channel"] = channel
    return event


def entry_of(done: Turn) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(done.outputs[-1].value)
    LedgerEntry.model_validate(content)
    return content["data"]


def test_entry_counts_what_became_of_every_record() -> None:
    records = [
        *displays({}, {}, {"source": "urn:chuanyu:chongqing"}),
        Record(107, b"garbage"),
        *displays({}, first_offset=110),
    ]
    done = turn(records)
    entry = entry_of(done)
    assert (entry["first_offset"], entry["last_offset"], entry["records"], entry["outputs"]) == (100, 110, 5, 4)
    counted = {(item["outcome"], item["batch"], item["row"], item["reason"]): item["count"] for item in entry["counts"]}
    assert counted == {
        ("forward", 1, 5, None): 2, ("reject", 1, 5, "SOURCE_MISMATCH"): 1,
        ("dead_letter", None, None, None): 1, ("duplicate", None, None, None): 1,
    }  # fmt: skip
    assert done.next_offset == 111
    assert [output.topic for output in done.outputs] == [
        "x.chongqing.verification", "x.chongqing.verification", "x.sichuan.rejection", "x.gateway.deadletter", "x.gateway.ledger",
    ]  # fmt: skip
    assert dict(done.outputs[0].headers)["chuanyu-origin"] == b"x.sichuan.display/3/100"
    assert done.outputs[0].key == records[0].key


def test_entries_are_chained_and_vouch_for_the_outputs() -> None:
    first = turn(displays({}))
    second = turn(displays({}, first_offset=101), previous=Previous(first.entry_digest, NOW))
    assert entry_of(first)["previous"] is None
    assert entry_of(second)["previous"] == first.entry_digest == digest("sm3", [first.outputs[-1].value])
    assert entry_of(first)["outputs_digest"] == outputs_digest("sm3", first.outputs[:-1])


def test_outputs_digest_is_one_over_the_outputs_digests() -> None:
    outputs = [Output("t", b"k", b"value", (("h", b"v"),)), Output("topic", None, b"", ())]
    leaves = [hashlib.sha256(each).digest() for each in (b"1 1 6 5\ntk1 1 hvvalue", b"5 -1 0 0\ntopic")]
    assert outputs_digest("sha256", outputs) == f"sha256:{hashlib.sha256(leaves[0] + leaves[1]).hexdigest()}"
    assert [output_digest("sha256", each) for each in outputs] == leaves


@given(
    st.lists(
        st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3), st.binary(max_size=3)),
        min_size=2,
        max_size=4,
        unique=True,
    )
)
def test_outputs_digest_tells_any_two_sequences_apart(parts: list[tuple[str, bytes | None, bytes]]) -> None:
    outputs = [Output(topic, key, value, (("h", b"v"),)) for topic, key, value in parts]
    known = outputs_digest("sm3", outputs)
    assert outputs_digest("sm3", outputs) == known
    assert outputs_digest("sm3", outputs[::-1]) != known
    assert outputs_digest("sm3", outputs[:-1]) != known
    assert outputs_digest("sm3", [outputs[0], *outputs]) != known


@pytest.mark.parametrize("step", ["read_event", "decide_read"])
def test_event_that_cannot_be_decided_becomes_a_dead_letter(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Its neighbours in the part go on, and the one that repeats it is no duplicate."""
    before = getattr(deciding, step)
    calls = count()

    def fail(*arguments: object, **named: object) -> object:
        if next(calls) == 1:
            raise ZeroDivisionError("13900000000")
        return before(*arguments, **named)

    monkeypatch.setattr(deciding, step, fail)
    repeated = {"id": "repeated"}
    done = turn(displays({}, repeated, repeated, {}))
    letter = json.loads(done.outputs[1].value)["data"]
    assert letter["error"] == {"code": "UNDECIDABLE", "message": "the decision failed with ZeroDivisionError"}
    assert [(item["outcome"], item["count"]) for item in entry_of(done)["counts"]] == [
        ("forward", 3),
        ("dead_letter", 1),
    ]
    assert [dict(output.headers)["chuanyu-origin"][-3:] for output in done.outputs[:-1]] == [
        b"100",
        b"101",
        b"102",
        b"103",
    ]


@given(st.lists(st.integers(0, 300_000), max_size=40), st.integers(1, 30))
def test_parts_hold_all_records_in_order(sizes: list[int], copies: int) -> None:
    records = [Record(offset, b"x" * size) for offset, size in enumerate(sizes * copies)]
    parts = [records[where] for where in parts_of(records)]
    assert [record for part in parts for record in part] == records
    for part in parts:
        assert len(part) <= 250
        assert len(part) == 1 or sum(len(record.value or b"") for record in part) <= 400_000


def test_a_turn_in_parts_is_that_of_single_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records repeat one another across parts and within them, are rejected, fixed, reused and
    unreadable."""
    kinds = [{}, {"id": "a"}, {"id": "a", "subject": "b"}, {"id": "c", "time": "yesterday"}, {"id": "c"}]
    records = [
        Record(offset, b"{" if offset % 7 == 6 else displays(kinds[offset * 7 % 11 % 5])[0].value, displays({})[0].key)
        for offset in range(700)
    ]
    whole = turn(records)
    monkeypatch.setattr(deciding, "_MOST_RECORDS", 1)
    assert turn(records) == whole
    assert {item["outcome"] for item in entry_of(whole)["counts"]} == {"forward", "reject", "duplicate", "dead_letter"}


def test_refused_records_become_dead_letters_with_their_origin() -> None:
    done = turn(displays({}), refused_by_broker=True)
    letter = json.loads(done.outputs[0].value)["data"]
    assert letter["error"]["code"] == "REFUSED_BY_BROKER"
    assert letter["origin"] == {"topic": "x.sichuan.display", "partition": 3, "offset": 100}


def test_keys_other_than_references_go_out_as_digests() -> None:
    reference = displays({})[0].key
    for key in (reference, b"sm3:" + b"aB" * 32, None):
        for value in (b"{", displays({})[0].value, displays({"type": "x"})[0].value):
            assert turn([Record(5, value, key)]).outputs[0].key == key
    for key in (
        "赵钱孙".encode(),
        "赵钱孙".encode("gb18030"),
        b"13900000000",
        b"other",
        b"",
        b"sm3:" + b"5c" * 31,
        b"SM3:" + b"5c" * 32,
    ):
        for value in (b"{", displays({})[0].value, None):
            assert turn([Record(5, value, key)]).outputs[0].key == sha256(key).encode()


def test_record_without_value_is_a_dead_letter() -> None:
    assert json.loads(turn([Record(5, None)]).outputs[0].value)["data"]["error"]["code"] == "NOT_JSON"


def test_horizon_remembers_until_it_is_past_and_not_longer() -> None:
    horizon, event = Horizon(HOUR, 100), Identity("s", "1", "h")
    horizon.remember(event, A, NOW)
    assert horizon.at(NOW).get(event, ()) == (A_BEGINS,)
    horizon.keep()
    assert horizon.at(NOW + HOUR).get(event, ()) == (A_BEGINS,)
    assert horizon.at(NOW + HOUR + 1).get(event, ()) == ()
    horizon.remember(event, B, NOW + 2 * HOUR)
    assert horizon.at(NOW + 2 * HOUR).get(event, ()) == (B_BEGINS,)


def test_rejected_event_fixed_under_its_id_is_forwarded() -> None:
    horizon = Horizon(72 * HOUR, 100)
    wrong, fixed = shown(channel="微信小程序"), shown()
    assert outcomes(horizon, (wrong, 0), (wrong, 1), (fixed, 2), (fixed, 3), (wrong, 4)) == [
        "CHANNEL_NOT_RECOGNISED", "CHANNEL_NOT_RECOGNISED", "forward", "duplicate", "ID_REUSED",
    ]  # fmt: skip
    broken, whole = shown(time="yesterday", id="another"), shown(id="another")
    assert outcomes(horizon, (broken, 5), (whole, 6)) == ["INVALID_EVENT", "forward"]
    assert len(horizon) == 2


def test_signing_again_forwards_only_what_was_rejected() -> None:
    horizon = Horizon(72 * HOUR, 100)
    first, again = (shown(signature=digit * 128, signaturekey=f"key-{digit}") for digit in "ab")
    assert outcomes(horizon, (first, 0), signature="invalid") == ["SIGNATURE_INVALID"]
    assert outcomes(horizon, (again, 1), (first, 2), (shown(), 3), signature="valid") == [
        "forward",
        "duplicate",
        "duplicate",
    ]


def test_an_id_is_reserved_while_it_is_remembered() -> None:
    """A is forwarded; B, under A's id, is refused as often as it comes while A is remembered, and does not
    prolong that."""
    horizon = Horizon(72 * HOUR, 100)
    a, b = shown(), shown(2 * HOUR)
    steps = [(a, 0), (b, 2 * HOUR), (b, 71 * HOUR), (b, 73 * HOUR), (b, 73 * HOUR + 1), (a, 73 * HOUR + 2)]
    assert outcomes(horizon, *steps) == ["forward", "ID_REUSED", "ID_REUSED", "forward", "duplicate", "ID_REUSED"]


def test_one_id_for_two_holders_is_two_events() -> None:
    one, other = shown(), shown()
    other["data"]["holder"]["ref"] = "sm3:" + "77" * 32
    assert outcomes(Horizon(72 * HOUR, 100), (one, 0), (other, 1), (one, 2), (other, 3)) == [
        "forward", "forward", "duplicate", "duplicate",
    ]  # fmt: skip


def test_aborted_turn_leaves_no_memory() -> None:
    horizon, records = Horizon(HOUR, 100), displays({})
    turn(records, horizon)
    horizon.forget()
    assert entry_of(turn(records, horizon))["counts"][0]["outcome"] == "forward"
    horizon.keep()
    assert entry_of(turn(records, horizon))["counts"][0]["outcome"] == "duplicate"


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc"), st.integers(0, 3 * HOUR)), max_size=60),
    st.integers(1, 5),
)
def test_horizon_agrees_with_a_plain_one(steps: list[tuple[int, str, int]], batch: int) -> None:
    """Whatever is remembered when, and however many ids share a bucket: of each id, the contents within the
    horizon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(horizons, "_BUCKETS", 2)
        horizon, plain = Horizon(HOUR, 10_000), dict[Identity, list[tuple[int, str]]]()
        for number, (name, content, moment) in enumerate(sorted(steps, key=lambda step: step[2])):
            event, begins = Identity("s", str(name), "h"), f"sha256:{content * 18}"
            contents = tuple(each for first, each in plain.get(event, ()) if first >= moment - HOUR)
            assert horizon.at(moment).get(event, ()) == contents
            if begins not in contents:
                horizon.remember(event, f"sha256:{content * 64}", moment)
                plain.setdefault(event, []).append((moment, begins))
            if number % batch == 0:
                horizon.keep()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc"), st.integers(0, 3 * HOUR)), max_size=40),
    st.integers(1, 5),
)
def test_horizon_learns_what_another_had_pending(steps: list[tuple[int, str, int]], batch: int) -> None:
    horizon, learner = Horizon(HOUR, 20), Horizon(HOUR, 20)
    for number, (name, content, moment) in enumerate(sorted(steps, key=lambda step: step[2]), 1):
        horizon.remember(Identity("s", str(name), "h"), f"sha256:{content * 64}", moment)
        if number % batch == 0:
            learner.learn(horizon.pending)
            horizon.keep()
            learner.keep()
            for other in map(str, range(10)):
                event = Identity("s", other, "h")
                assert learner.at(moment).get(event, ()) == horizon.at(moment).get(event, ())
    assert len(learner) <= len(horizon)


def test_entry_says_what_its_turn_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    horizon = Horizon(HOUR, 100)
    entry = turn([*displays({}, {}, {"source": "urn:chuanyu:chongqing"}), Record(107, b"garbage")], horizon).outputs[-1]
    remembered = dict(entry.headers)[REMEMBERED_HEADER]
    assert remembered == horizon.pending
    assert len(remembered) == 2 * horizons.OCCURRENCE_BYTES  # what was forwarded, and nothing else
    horizon.keep()
    assert dict(turn(displays({}), horizon).outputs[-1].headers)[REMEMBERED_HEADER] == b""  # a repetition
    monkeypatch.setattr(turns, "MOST_REMEMBERED", 1)
    assert REMEMBERED_HEADER not in dict(turn(displays({}, {})).outputs[-1].headers)
    with pytest.raises(ValueError, match="not a whole number"):
        horizon.learn(remembered[1:])


@pytest.mark.parametrize("channel", ["天府通办", None], ids=["forwarded", "rejected"])
def test_long_texts_leave_nothing_in_memory(channel: str | None) -> None:
    """Nothing is remembered that costs more than names do: 33,000 valid events with long texts took 1 GB."""
    texts = ("matter_name", "matter_code", "verifier_name", "verifier_code")

    def long_displays(first: int, events: int) -> list[Record]:
        changes = []
        for number in range(first, first + events):
            data = display_event(Province.SICHUAN)["data"]
            data["display"] |= dict.fromkeys(texts, f"{number:08d}" + "川" * 492)
            data["display"]["channel"] = channel or f"{number:08d}" + "渝" * 192
            data["display"]["scenario"] = data["display"]["scenario"] if channel else f"{number:08d}" + "巴" * 192
            changes.append({"data": data, "id": f"long-{number}"})
        return displays(*changes)

    warm, more = long_displays(0, 20), long_displays(20, 400)
    turn(warm)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert outcomes_of(turn(more)) == {"forward" if channel else "reject": 400}
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken < 1000 * 400  # bytes; remembered, each event took 20,000


def test_remembered_ids_are_small() -> None:
    """200,000 of them within 60 bytes each; as objects of their own they took 150."""
    horizon, contents = Horizon(HOUR, 1_000_000), [f"sha256:{number:064x}" for number in range(1000)]
    tracemalloc.start()
    try:
        for number in range(200_000):
            horizon.remember(Identity("s", f"{number}", "h"), contents[number % 1000], NOW)
            if number % 1000 == 999:
                horizon.keep()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken / len(horizon) < 60


def test_a_full_horizon_forgets_and_is_marked_truncated() -> None:
    horizon = Horizon(HOUR, 1000)
    for number in range(5000):
        horizon.remember(Identity("s", str(number), "h"), A, NOW)
        horizon.keep()
    assert len(horizon) <= 1000
    assert horizon.truncated
    assert horizon.get(Identity("s", "4999", "h"), ()) == (A_BEGINS,)
