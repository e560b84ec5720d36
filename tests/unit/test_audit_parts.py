"""Parts of the audit without a broker: what may have expired, what was restored, what two lanes forwarded,
which log counts."""

from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.settings import Settings
from gateway.contract.headers import ORIGIN_HEADER, REDRIVE_HEADER
from gateway.contract.outputs import Output
from gateway.core.event import Identity
from gateway.core.remarks import check_remark
from gateway.errors import UsageError
from gateway.operate.audit.account import Accountant
from gateway.operate.audit.expiry import Retention
from gateway.operate.audit.forwards import ForwardLog, find_twice
from gateway.operate.audit.outputs import Offsets
from gateway.operate.audit.statement import LackingItem, LaneItem, OutputItem, RedrivenItem
from gateway.operate.audit.statement_check import Copy, _PartitionCopy
from gateway.operate.epochs import NOWHERE, Epochs
from gateway.relay.horizon import Horizon, key_of, read_occurrences

HOUR = 3_600_000
DIGEST = "sha256:" + "ab" * 32


@given(st.lists(st.integers(0, 60)))
def test_offsets_are_a_set(added: list[int]) -> None:
    offsets = Offsets()
    for offset in added:
        offsets.add(offset)
    assert [offset for offset in range(-1, 62) if offset in offsets] == sorted(set(added))
    assert bool(offsets) is bool(added)


def test_an_epoch_ends_where_a_later_one_begins() -> None:
    epochs = Epochs()
    for epoch, first_offset in [(0, 0), (0, 400), (1, 500), (1, 600), (2, 300), (2, 350), (3, 320)]:
        epochs.note(epoch, first_offset)
    # The log was cut back to 500, to 300, and to 320: of the second epoch nothing is left.
    assert [epochs.end_of(epoch) for epoch in range(4)] == [300, 300, 320, NOWHERE]


@pytest.mark.parametrize(
    ("kept_ms", "age_ms", "may_have"),
    [(HOUR, 2 * HOUR, True), (HOUR, HOUR // 2, False), (-1, 10_000 * HOUR, False), (None, 0, True)],
)
def test_expiry_is_judged_by_a_topics_own_retention(kept_ms: int | None, age_ms: int, may_have: bool) -> None:
    now = 20_000 * HOUR
    assert Retention({"topic": kept_ms}, now).may_have_expired("topic", now - age_ms) is may_have


def remembered(*events: tuple[str, int]) -> bytes:
    """What an entry remembers that forwarded these events, each by its id and when it was received."""
    horizon = Horizon(HOUR, 1_000)
    for name, received_at in events:
        horizon.remember(Identity("urn:chuanyu:sichuan", name, "sm3:0"), DIGEST, received_at)
    return horizon.pending


def test_events_forwarded_twice_are_found(tmp_path: Path) -> None:
    logs = [ForwardLog(tmp_path, number) for number in range(3)]
    many = [(f"{number}", number) for number in range(5_000)]
    logs[0].add(remembered(*many), 10)
    logs[1].add(remembered(("4999", 5_100), ("17", 18 + 2 * HOUR)), 20)  # the second one is beyond the horizon
    logs[1].add(remembered(("own", 1), ("own", 2), ("redriven", 3), ("redriven", 3)), 30)
    logs[2].add(remembered(("3", 1), ("new", 7)), 40)
    for log in logs:
        log.close()
    found = {
        (first.lane, second.lane, second.written_at, second.key) for first, second in find_twice(tmp_path, 3, HOUR)
    }
    keys = {name: key_of(Identity("urn:chuanyu:sichuan", name, "sm3:0")) for name in ("4999", "3", "own")}
    assert found == {(0, 1, 20, keys["4999"]), (2, 0, 10, keys["3"]), (1, 1, 30, keys["own"])}


def test_what_is_remembered_is_read_as_it_was_written() -> None:
    (one,) = read_occurrences(remembered(("id", 1234)))
    assert one == (key_of(Identity("urn:chuanyu:sichuan", "id", "sm3:0")), 1234)


@pytest.mark.parametrize(
    ("words", "says"), [(" ", "missing"), ("x" * 101, "at most 100"), ("a\nb", "printable"), ("13800138000", "mobile")]
)
def test_a_remark_is_bounded_and_nobodys_number(words: str, says: str) -> None:
    assert check_remark("it", " 值班室 ", 100) == "值班室"
    with pytest.raises(UsageError, match=says):
        check_remark("it", words, 100)


def redriven(offset: int, entry: str, written: int) -> ConsumerRecord:
    """A record that ``entry`` redrove, of an input at an offset."""
    headers = ((ORIGIN_HEADER, f"sichuan.display/0/{offset}".encode()), (REDRIVE_HEADER, entry.encode()))
    return ConsumerRecord("sichuan.rejection", 0, 900 + offset, written, 1, None, b"{}", None, 0, 2, headers)


@pytest.mark.parametrize("lacks", [False, True])
def test_a_periods_statement_speaks_of_its_own_redrives(lacks: bool) -> None:
    ends = 5 * HOUR
    listed, later, forged = (
        redriven(3, "listed", 4 * HOUR),
        redriven(102, "later", 6 * HOUR),
        redriven(101, "no", 4 * HOUR),
    )
    accountant = Accountant("sichuan.rejection", 0, "sm3")
    accountant.add_redriven("listed", [listed])
    (account,) = accountant.account.redriven
    item = OutputItem(
        topic="sichuan.rejection", partition=0, records=0, blocks=[],
        redriven=[RedrivenItem(entry=account.entry, records=account.records, digest=account.digest)],
    )  # fmt: skip
    lane = LaneItem(
        topic="sichuan.display", partition=0, first_epoch=0, first_offset=100, last_epoch=0, last_offset=199, records=100,
        outcomes={},
    )  # fmt: skip
    lacking = LackingItem(
        topic="sichuan.rejection", partition=0, first_epoch=0, first_offset=150, last_epoch=0, last_offset=160, redrive=None,
        why="gone",
    )  # fmt: skip
    found = Copy(checked={"sichuan.rejection": 0})
    compared = _PartitionCopy(Settings(), item, lane, ends, [lacking] if lacks else [], found)
    # Of an input before the period; behind the period; and one that no ledger entry of the period speaks of.
    assert [compared._rank(each) for each in (listed, later, forged)] == [None, None, None]
    compared._compare_redriven(TopicPartition("sichuan.rejection", 0))
    kinds = [(each.kind, each.offset) for each in found.findings.kept]
    if lacks:  # either may be among what the statement's archive lacked
        assert (kinds, found.not_stated, found.newer) == ([], 2, 0)
    else:
        assert (kinds, found.not_stated, found.newer) == ([("foreign", forged.offset)], 0, 1)
    assert found.checked == {"sichuan.rejection": 1}


def test_a_block_ends_with_its_day() -> None:
    """So that a copy that no longer has a day can be compared in the others."""
    accountant = Accountant("chongqing.verification", 0, "sha256")
    for day, offsets in (("2026-11-22", (0, 1, 4)), ("2026-11-22", (7,)), ("2026-11-23", (9,)), ("2026-11-24", ())):
        accountant.begin_day(day, (0, 8) if day == "2026-11-23" else (0, 11))
        for offset in offsets:
            accountant.add((0, offset), Output("chongqing.verification", b"key", b"value", ()))
    assert [(each.through, each.records) for each in accountant.close((0, 20)).blocks] == [(8, 4), (20, 1)]
