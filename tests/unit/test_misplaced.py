"""Records in a partition where their key does not belong: counted per committed turn, reported once a
minute, key unsaid."""

import hashlib

import pytest
from structlog.testing import capture_logs

from gateway.adapters.metrics import LaneStatus, Metrics
from gateway.adapters.partitioning import partition_of
from gateway.contract.topics import LaneId
from gateway.relay.log_budget import LogBudget
from gateway.relay.misplaced import LONGEST_KEY, Misplaced, MisplacedLog, find_misplaced
from gateway.relay.observer import Times
from gateway.relay.reporting import TurnLog
from tests.unit.test_turn import LANE, Record, displays, turn

PARTITIONS = 12
OTHER = LaneId(LANE.province, LANE.topic, 4)


def keys(*, belonging_in: int, count: int) -> list[bytes]:
    """Made-up holders' references that belong in a partition."""
    made = (f"sm3:{hashlib.sha256(str(number).encode()).hexdigest()}".encode() for number in range(10_000))
    return [key for key in made if partition_of(key, PARTITIONS) == belonging_in][:count]


def records(*of: bytes | None) -> list[Record]:
    return [Record(offset, b"{}", key) for offset, key in enumerate(of, start=100)]


def test_records_are_held_against_the_partition_of_their_key() -> None:
    here, there = keys(belonging_in=3, count=3), keys(belonging_in=7, count=2)
    assert find_misplaced(3, records(*here), PARTITIONS) is None
    assert find_misplaced(3, records(here[0], there[0], here[1], there[1]), PARTITIONS) == (2, 101, 7)
    assert find_misplaced(7, records(*there, *here), PARTITIONS) == (3, 102, 3)
    # Of one partition there is no wrong one, and of twice as many another one.
    assert find_misplaced(0, records(*here, *there), 1) is None
    assert find_misplaced(3, records(*(key for key in here if partition_of(key, 24) == 3)), 24) is None


def test_missing_and_endless_keys_are_not_misplaced() -> None:
    longest = b"k" * LONGEST_KEY
    belongs = partition_of(longest, PARTITIONS)
    elsewhere = (belongs + 1) % PARTITIONS
    assert find_misplaced(elsewhere, records(None, None), PARTITIONS) is None
    assert find_misplaced(elsewhere, records(None, longest), PARTITIONS) == (1, 101, belongs)
    for partition in range(PARTITIONS):
        assert find_misplaced(partition, records(longest + b"k"), PARTITIONS) is None


def test_misplaced_records_are_logged_once_a_minute_per_lane() -> None:
    now = 0.0
    log = MisplacedLog(lambda: now)
    with capture_logs() as lines:
        log.note(LANE, Misplaced(2, 100, 7))
        log.note(LANE, Misplaced(3, 110, 5))
        log.note(OTHER, Misplaced(1, 50, 0))
        now = 59.9
        log.note(LANE, Misplaced(4, 120, 6))
        log.report()
        assert [(line["messaging.destination.partition.id"], line["count"]) for line in lines] == [(3, 2), (4, 1)]
        now = 60.0
        log.report()
        log.report()
        now = 200.0
        log.report()
        assert len(lines) == 3
        log.note(LANE, Misplaced(1, 130, 6))
    assert lines[2] == {
        "event": "records.misplaced", "log_level": "warning", "count": 7, "belongs_in": 5,
        "messaging.destination.name": LANE.topic, "messaging.destination.partition.id": 3, "messaging.kafka.offset": 110,
    }  # fmt: skip
    assert (lines[3]["count"], len(lines)) == (1, 4)


def test_misplaced_records_are_counted_without_their_keys() -> None:
    metrics = Metrics()

    def counted(partition: int) -> float | None:
        labels = {"province": "sichuan", "partition": str(partition)}
        return metrics.registry.get_sample_value("gateway_misplaced_records_total", labels)

    metrics.show_lanes([LaneStatus("sichuan", each, "open", 0, 0, 0.0, "") for each in (3, 4)])
    assert (counted(3), counted(4)) == (0, 0)
    turn_log = TurnLog(metrics, LogBudget(1, 1))
    displayed = displays({}, {})
    done = turn(displayed, partitions=PARTITIONS)
    assert done.misplaced is not None
    with capture_logs() as lines:
        for _ in range(2):
            turn_log.committed(LANE, done, Times(0.001, 0.001))
        turn_log.committed(LANE, turn(displayed), Times(0.001, 0.001))
    assert (counted(3), counted(4)) == (4, 0)
    assert [line["count"] for line in lines if line["event"] == "records.misplaced"] == [2]
    assert (displayed[0].key or b"").decode() not in str(lines)


@pytest.mark.parametrize("partitions", [0, PARTITIONS])
def test_partition_does_not_change_the_decision(partitions: int) -> None:
    assert turn(displays({}, {}), partitions=partitions).outputs == turn(displays({}, {})).outputs
