"""The ledger's chain: any interleaving of kills gives one that can be followed; any change to it is
found."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.ledger_entry import UNKNOWN_LOG, Entry, Previous, read_entry
from gateway.contract.outputs import digest
from gateway.operate.audit.chain import ChainAudit
from gateway.operate.audit.findings import Findings
from gateway.relay.continuity import Standing
from gateway.relay.horizon import Horizon
from gateway.relay.turn import stand_after, take_turn
from tests.unit.test_turn import HOUR, LANE, LIST, TOPICS, Record, displays


@dataclass
class Kept:
    """A ledger record as it stands in the topic."""

    offset: int
    value: bytes
    key: bytes = str(LANE).encode()
    topic: str = TOPICS.ledger
    partition: int = LANE.partition


INPUT = [Record(record.offset, record.value, record.key) for record in displays(*[{}] * 30, first_offset=0)]
FATES = st.sampled_from(["committed", "killed before the commit", "killed after the commit", "fenced"])
STEPS = st.lists(st.tuples(st.integers(1, 6), FATES, st.sampled_from(["sm3", "sha256"])), min_size=4, max_size=20)


def work_off(steps: list[tuple[int, str, str]]) -> list[Kept]:
    """What stands in the ledger after workers took turns and met their fates; each starts from what the
    group committed."""
    log: list[Kept] = []
    standing, horizon, offset = Standing(0, None, UNKNOWN_LOG), Horizon(HOUR, 1000), 0
    for size, fate, algorithm in steps:
        records = [record for record in INPUT if record.offset >= standing.next_offset][:size]
        if not records:
            break
        turn = take_turn(LANE, records, LIST, horizon, standing.previous, topics=TOPICS, algorithm=algorithm)
        offset += 3  # markers of transactions, aborted entries
        if fate in {"committed", "killed after the commit"}:
            horizon.keep()
            log.append(Kept(offset, turn.outputs[-1].value))
            standing, _ = stand_after(turn, standing)
        else:
            horizon.forget()
    return log


def follow(log: list[Kept]) -> tuple[list[Entry], Findings]:
    findings, followed = Findings(), list[Entry]()
    chain = ChainAudit(findings, starts_anywhere=False)
    for record in log:
        entry = read_entry(record.value)
        if entry is not None:
            followed += [each for _, each in chain.feed(record, entry)]
    return followed + [each for _, each in chain.rest()], findings


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_kills_leave_a_chain_without_gap_or_overlap(steps: list[tuple[int, str, str]]) -> None:
    log = work_off(steps)
    followed, findings = follow(log)
    assert not findings.counts
    assert len(followed) == len(log)
    covered = [offset for entry in followed for offset in range(entry.first_offset, entry.last_offset + 1)]
    assert covered == list(range(len(covered)))


@settings(max_examples=200, deadline=None)
@given(STEPS, st.data())
def test_any_change_to_the_chain_is_found(steps: list[tuple[int, str, str]], data: Any) -> None:
    log = work_off(steps)
    if len(log) < 2:
        return
    # The last entry has none after it that would vouch for it; the offset that the group committed does
    # (tests/kafka).
    index = data.draw(st.integers(0, len(log) - 2), label="where")
    match data.draw(st.sampled_from(["remove", "alter", "swap", "double", "insert"]), label="what"):
        case "remove":
            changed = log[:index] + log[index + 1 :]
        case "alter":
            content = json.loads(log[index].value)
            content["data"]["records"] += 1
            changed = [*log[:index], Kept(log[index].offset, json.dumps(content).encode()), *log[index + 1 :]]
        case "swap":
            changed = [*log[:index], log[index + 1], log[index], *log[index + 2 :]]
        case "double":
            changed = [*log[: index + 1], log[index], *log[index + 1 :]]
        case _:
            content = json.loads(log[index].value)
            content["data"]["previous"] = digest("sm3", [b"somebody's"])
            changed = [*log[: index + 1], Kept(1, json.dumps(content).encode()), *log[index + 1 :]]
    _, findings = follow(changed)
    assert findings.counts["broken_link"] + findings.counts["foreign"] >= 1
    assert findings.counts.total() == len(findings.kept)  # nothing is counted that is not listed, and nothing twice


def test_an_entry_whose_forerunner_is_lost_is_no_beginning() -> None:
    turn = take_turn(LANE, INPUT[:3], LIST, Horizon(HOUR, 1000), Previous(None, 1), topics=TOPICS, algorithm="sm3")
    _, findings = follow([Kept(0, turn.outputs[-1].value)])
    assert findings.counts == {"broken_link": 1}
    assert [each.detail for each in findings.kept] == ["the first entry says that there was one before it"]
