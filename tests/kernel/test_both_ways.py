"""The native kernel and the reference make the same of everything; where they do not, nothing is written."""

import dataclasses
import datetime
from collections.abc import Callable
from random import Random
from typing import Any

import gateway_kernel
import pytest

from gateway.adapters.list_files import load_recognition
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.signature import SignatureStatus
from gateway.operate.simulate import Simulator
from gateway.relay.deciders import KernelDiffersError, VerifiedTurns
from gateway.relay.horizons import BothHorizons
from gateway.relay.kernel import KernelTurns
from gateway.relay.reported import Decided, Repeated
from gateway.relay.turn import DecidedTurn, decide_turn
from tests.kafka.row6 import amendment, copy_of_the_list
from tests.kernel.both_ways import LANES, LIST, TOPICS, BothWays
from tests.kernel.crossed_list import crossed_list
from tests.kernel.mutations import NOW, Mutated, record

SICHUAN = Province.SICHUAN


def simulated(count: int, seed: int, **shares: float) -> list[Any]:
    """Events of Sichuan, as records of one lane."""
    simulator = Simulator(LIST, seed, **shares)
    events = (simulator.next_event(NOW) for _ in range(20 * count))
    chosen = [event for event in events if event.province is SICHUAN][:count]
    return [
        record(offset, NOW + offset // 7, event.key, event.value, tuple(event.headers))
        for offset, event in enumerate(chosen)
    ]


def asked(both: BothWays, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offsets of the records that the kernel asks the reference about."""
    offsets: list[int] = []
    decide_record = gateway_kernel_side().decide_record

    def watched(lane: Any, each: Any, *others: Any) -> Any:
        offsets.append(each.offset)
        return decide_record(lane, each, *others)

    monkeypatch.setattr(gateway_kernel_side(), "decide_record", watched)
    return offsets


def gateway_kernel_side() -> Any:
    import gateway.relay.kernel as side

    return side


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_mutated_events_come_out_the_same(seed: int) -> None:
    random, done, outcomes = Random(seed), 0, set[str]()
    recognition = LIST if seed == 11 else crossed_list()
    both = BothWays(recognition, algorithm="sha256" if seed == 12 else "sm3", epoch=3 if seed == 13 else 0)
    for province, records in Mutated(recognition, seed).turns():
        turn = both.take(province, records, aborts=random.random() < 0.1)
        outcomes |= {facets.outcome for facets in turn.counts}
        done += len(records)
        if done > 6000:
            break
    assert outcomes == {Outcome.FORWARD, Outcome.REJECT, Outcome.DUPLICATE, Outcome.DEAD_LETTER}


@pytest.mark.parametrize("horizon", [(259_560_000, 1_000_000), (60, 1_000_000), (3_600_000, 1500)])
def test_horizons_that_forget_forget_the_same(horizon: tuple[int, int]) -> None:
    both = BothWays(horizon=horizon)
    records = simulated(6000, 4, reject_share=0.2, duplicate_share=0.2, garbage_share=0.03, binary_share=0.1)
    for start in range(0, len(records), 700):
        both.take(SICHUAN, records[start : start + 700])
    assert both.horizons[SICHUAN].truncated is (horizon[1] == 1500)


def test_what_came_once_is_no_longer_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    both = BothWays()
    offsets = asked(both, monkeypatch)
    (first, *_) = simulated(1, 5, reject_share=0, duplicate_share=0, garbage_share=0, binary_share=0)
    again = [
        dataclasses.replace(first, offset=each, value=first.value.replace(b'"id":"', b'"id":"%d-' % each))
        for each in range(5)
    ]
    turn = both.take(SICHUAN, again)
    assert offsets == [0]
    assert [(facets.outcome, count) for facets, count in turn.counts.items()] == [(Outcome.FORWARD, 5)]


def test_rejections_by_the_list_alone_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    both = BothWays()
    (first, *_) = simulated(1, 5, reject_share=0, duplicate_share=0, garbage_share=0, binary_share=0)
    channel = first.value.split(b'"channel":"')[1].split(b'"')[0]
    value = first.value.replace(channel, "无此渠道".encode())
    wrong = [
        dataclasses.replace(first, offset=each, value=value.replace(b'"id":"', b'"id":"%d-' % each))
        for each in range(4)
    ]
    both.take(SICHUAN, wrong)
    one, *others = both.kernel.last.reported
    assert [type(one), *map(type, others)] == [Decided, Repeated, Repeated, Repeated]
    expected = decide_turn(LANES[SICHUAN], wrong, LIST, BothWays().horizons[SICHUAN], topics=TOPICS).reported
    assert [each.names for each in others] == [each.names for each in expected[1:]]
    assert others[0].alike.reasons[0].code is Code.CHANNEL_NOT_RECOGNISED  # type: ignore[union-attr]


def test_another_list_is_learnt_anew(tmp_path: Any) -> None:
    both = BothWays()
    records = simulated(3000, 6, reject_share=0.1, duplicate_share=0, garbage_share=0, binary_share=0)
    both.take(SICHUAN, records[:1500])
    assert len(both.kernel._kernel) > 0
    folder = copy_of_the_list(tmp_path)
    (folder / "amendment-1.yaml").write_text(amendment(datetime.date(2026, 11, 1)), encoding="utf-8")
    both.recognition = load_recognition(folder)
    before = both.take(SICHUAN, records[1500:])
    assert before.list_digest == both.recognition.digest != LIST.digest


def test_signature_statuses_are_told_apart() -> None:
    both = BothWays()
    records = simulated(2000, 7, reject_share=0, duplicate_share=0, garbage_share=0, binary_share=0)
    statuses = [list(SignatureStatus)[offset % len(SignatureStatus)] for offset in range(2000)]
    turn = both.take(SICHUAN, records, signatures=statuses)
    assert {facets.reason for facets in turn.counts} >= {None, Code.SIGNATURE_MISSING, Code.SIGNATURE_KEY_UNKNOWN}


def test_long_words_are_not_learnt_and_spoil_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    both = BothWays()
    (first, *_) = simulated(1, 5, reject_share=0, duplicate_share=0, garbage_share=0, binary_share=0)
    expired = first.value.replace(b'"valid_until":"2035', b'"valid_until":"2025')
    padded = expired
    for name in (b'"scenario":"', b'"channel":"', b'"issuer_name":"', b'"verifier_name":"'):
        padded = padded.replace(name, name + ("」" * 180).encode())  # the list compares names without them
    offsets = asked(both, monkeypatch)
    for number in range(5):
        code = b'"issuer_code":"%018d"' % number
        values = [padded, padded.replace(b'"issuer_code":null', code)]
        both.take(SICHUAN, [dataclasses.replace(first, offset=at, value=value) for at, value in enumerate(values)])
    kernel = both.kernel
    assert len(offsets) == 10
    assert (len(kernel._kernel), len(kernel._groups), len(kernel._rejections)) == (1, 0, 0)  # the region
    both.take(SICHUAN, [dataclasses.replace(first, offset=10 + at, value=expired) for at in range(3)])
    assert offsets[10:] == [10]


def test_where_they_differ_nothing_is_decided() -> None:
    class Other(KernelTurns):
        def decide(self, *arguments: Any, **options: Any) -> DecidedTurn:
            turn = super().decide(*arguments, **options)
            assert turn.packed is not None
            account = turn.packed.account._replace(outputs_digest="sm3:" + "0" * 64)
            return dataclasses.replace(turn, packed=turn.packed._replace(account=account))

    horizon = BothHorizons(10**9, 100, gateway_kernel.Horizon(10**9, 100))
    records = simulated(20, 8, reject_share=0, duplicate_share=0, garbage_share=0, binary_share=0)
    with pytest.raises(
        KernelDiffersError, match=r"differs in outputs_digest, offsets 0 to 19; set relay\.kernel to off"
    ):
        VerifiedTurns(Other(gateway_kernel, "sm3"), "sm3").decide(LANES[SICHUAN], records, LIST, horizon, topics=TOPICS)


def test_a_rejection_named_wrongly_is_a_difference() -> None:
    """Also where the record that is taken for it is no event at all."""

    class Other(KernelTurns):
        def decide(self, *arguments: Any, **options: Any) -> DecidedTurn:
            turn = super().decide(*arguments, **options)
            return dataclasses.replace(turn, reported=tuple(map(change, turn.reported)))

    records = simulated(400, 8, reject_share=0.9, duplicate_share=0, garbage_share=0, binary_share=0)
    changes: list[Callable[[Any], Any]] = [
        lambda each: dataclasses.replace(each, record=dataclasses.replace(each.record, value=b"no event")),
        lambda each: dataclasses.replace(each, said={**each.said, "row": 0}),
    ]
    for change_one in changes:
        change = lambda each, of=change_one: of(each) if isinstance(each, Repeated) else each  # noqa: E731
        horizon = BothHorizons(10**9, 1000, gateway_kernel.Horizon(10**9, 1000))
        with pytest.raises(KernelDiffersError, match=r"differs in reported, offsets"):
            VerifiedTurns(Other(gateway_kernel, "sm3"), "sm3").decide(
                LANES[SICHUAN], records, LIST, horizon, topics=TOPICS
            )


def test_turns_that_report_everything_are_the_references() -> None:
    turns, horizon = KernelTurns(gateway_kernel, "sm3"), gateway_kernel.Horizon(10**9, 100)
    records = simulated(5, 9, reject_share=0, duplicate_share=0, garbage_share=0, binary_share=0)
    turn = turns.decide(LANES[SICHUAN], records, LIST, horizon, topics=TOPICS, report_all=True)
    assert (turn.packed, len(turn.reported), turn.remembered) == (None, 5, horizon.pending)
    refused = turns.decide(LANES[SICHUAN], records[:1], LIST, horizon, topics=TOPICS, refused_by_broker=True)
    assert [facets.outcome for facets in refused.counts] == [Outcome.DEAD_LETTER]


def test_a_panic_of_the_kernel_costs_no_event(capsys: pytest.CaptureFixture[str]) -> None:
    class Panicking:
        def turn(self, *arguments: Any) -> None:
            arguments[-3].learn(b"x" * 30)  # what a panic leaves behind
            raise gateway_kernel.PanicException("quotes an event")

        def clear(self, _: Any) -> None:
            pass

        def __len__(self) -> int:
            return 0

    turns, horizon = KernelTurns(gateway_kernel, "sm3"), gateway_kernel.Horizon(10**9, 100)
    turns._kernel = Panicking()
    records = simulated(5, 9, reject_share=0, duplicate_share=0, garbage_share=0, binary_share=0)
    turn = turns.decide(LANES[SICHUAN], records, LIST, horizon, topics=TOPICS)
    expected = decide_turn(LANES[SICHUAN], records, LIST, gateway_kernel.Horizon(10**9, 100), topics=TOPICS)
    assert turn == expected
    said = capsys.readouterr()
    assert "kernel.panicked" in said.out
    assert "quotes" not in said.out + said.err


def test_what_is_learnt_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_kernel_side(), "MOST_LEARNT", 50)
    both = BothWays()
    records = simulated(4000, 5, reject_share=0.3, duplicate_share=0, garbage_share=0, binary_share=0)
    most = 0
    for start in range(0, len(records), 20):
        both.take(SICHUAN, records[start : start + 20])
        kernel = both.kernel
        sizes = (kernel._kernel, kernel._facets, kernel._rejections, kernel._groups, kernel._regions)
        most = max(most, *map(len, sizes))
    assert 50 < most <= 50 + 8 * 20  # a case counts for eight


def test_with_little_room_what_comes_again_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    both = BothWays()
    (first, *_) = simulated(1, 5, reject_share=0, duplicate_share=0, garbage_share=0, binary_share=0)
    channel = first.value.split(b'"channel":"')[1].split(b'"')[0]

    def take(names: list[str], each_as: str) -> list[int]:
        values = [
            first.value.replace(channel, name.encode()).replace(b'"id":"', b'"id":"%b-' % each_as.encode())
            for name in names
        ]
        both.take(SICHUAN, [dataclasses.replace(first, offset=at, value=value) for at, value in enumerate(values)])
        return offsets

    offsets = asked(both, monkeypatch)
    take([f"渠道{number}" for number in range(2100)], "a")
    assert len(offsets) == 2100
    learnt = len(both.kernel._kernel)
    for name in ("b", "c", "d"):
        take(["另一渠道"], name)
    assert offsets[2100:] == [0, 0]
    assert 8 * 2048 <= learnt < len(both.kernel._kernel) <= learnt + 8


def test_a_panic_ends_what_was_learnt() -> None:
    """What was taught in that turn the kernel may not have learnt."""
    turns, horizon = KernelTurns(gateway_kernel, "sm3"), gateway_kernel.Horizon(10**9, 100)
    records = simulated(200, 5, duplicate_share=0, garbage_share=0, binary_share=0)
    turns.decide(LANES[SICHUAN], records, LIST, horizon, topics=TOPICS)
    assert turns._cases

    def panic(*_: Any) -> None:
        raise gateway_kernel.PanicException

    kernel = turns._kernel
    turns._kernel = type("Panicking", (), {"turn": panic, "__len__": lambda _: 0})()
    turns.decide(LANES[SICHUAN], records, LIST, horizon, topics=TOPICS)
    turns._kernel = kernel
    turns.decide(LANES[SICHUAN], records[:1], LIST, gateway_kernel.Horizon(10**9, 100), topics=TOPICS)
    assert not turns._cases
