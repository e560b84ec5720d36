"""What a broker says that cannot answer now is nobody's "there is nothing"."""

from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import BrokerResponseError, LeaderNotAvailableError, NotLeaderForPartitionError, UnknownError
from aiokafka.protocol.admin import DescribeConfigsResponse_v2
from aiokafka.protocol.offset import OffsetResponse_v3

from gateway.adapters import kafka
from gateway.adapters.kafka_requests import find_open_transactions, raw_client
from gateway.adapters.log_facts import describe_logs
from gateway.contract.topics import LaneId
from gateway.core.province import Province
from gateway.errors import BrokerUnreachableError, ConfigurationError
from gateway.operate.archive import collect
from gateway.operate.archive.collect import LaneCollector
from gateway.operate.audit import head
from gateway.operate.audit.expiry import find_retention
from gateway.operate.audit.head import find_committed
from gateway.operate.doctor.broker import _replicas
from gateway.operate.doctor.feedback_checks import _count_lost, check_feedback
from gateway.operate.doctor.result import Installation
from gateway.operate.topics import plan_topics, retention_ms
from gateway.relay.committed import Committed
from tests.unit.answering import Broker, answering, committed

TOPIC = "sichuan.display"
INPUT = TopicPartition(TOPIC, 0)
UNKNOWN, NO_TOPIC, NO_LEADER, NOT_LEADER, TOO_LATE, LOADING, NOT_COORDINATOR, DENIED = -1, 3, 5, 6, 7, 14, 16, 29


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with answering() as broker:
        yield broker


@pytest.mark.parametrize("code", [NO_TOPIC, NO_LEADER, NOT_LEADER])
async def test_a_new_leader_has_no_log_to_describe(broker: Broker, code: int) -> None:
    broker.locate(TOPIC)
    broker.answer(OffsetResponse_v3(0, [(TOPIC, [(0, code, -1, -1)])]))
    async with raw_client(broker.settings) as client:
        assert await describe_logs(client, [INPUT]) == {}


@pytest.mark.parametrize("said", [{"leader": -1}, {"code": NO_TOPIC}])
async def test_transactions_without_a_leader_are_not_none(broker: Broker, said: dict[str, int]) -> None:
    broker.describe(TOPIC, **said)
    async with raw_client(broker.settings) as client:
        with pytest.raises(LeaderNotAvailableError):
            await find_open_transactions(client, [INPUT])


async def test_a_broker_that_starts_is_no_cluster(broker: Broker) -> None:
    broker.describe(is_starting=True)
    with pytest.raises(BrokerUnreachableError, match=r"cannot do this now \(NoBrokersAvailable\)"):
        async with raw_client(broker.settings):
            pass


@pytest.mark.parametrize(
    ("code", "raises", "says"),
    [
        (NO_TOPIC, ConfigurationError, "no such topic"),
        (DENIED, ConfigurationError, "does not allow"),
        (NO_LEADER, BrokerUnreachableError, "cannot do this now"),
        (UNKNOWN, BrokerUnreachableError, "cannot do this now"),
    ],
)
async def test_only_a_missing_topic_is_missing(broker: Broker, code: int, raises: type[Exception], says: str) -> None:
    broker.describe(TOPIC, code=code)
    with pytest.raises(raises, match=says):
        await kafka.partitions_of(broker.settings, [TOPIC])


@pytest.mark.parametrize("code", [UNKNOWN, NO_TOPIC, TOO_LATE, DENIED])
async def test_a_retention_not_told_is_not_guessed(broker: Broker, code: int) -> None:
    broker.answer(DescribeConfigsResponse_v2(0, [(code, None, 2, TOPIC, [])]))
    asking = find_retention(broker.settings, [TOPIC])
    if code in {NO_TOPIC, DENIED}:
        assert (await asking).kept_ms == {TOPIC: retention_ms(broker.settings, TOPIC)}
    else:
        with pytest.raises(BrokerUnreachableError):
            await asking


async def test_no_archive_of_a_log_nobody_leads(broker: Broker) -> None:
    """Another log under the same name would be taken for the one that the ledger speaks of."""
    broker.locate(TOPIC, leader=-1)
    nobody: Any = None
    collector = LaneCollector(broker.settings, LaneId(Province.SICHUAN, TOPIC, 0), nobody, nobody, None, False)
    with mock.patch.object(collect, "find_spans", mock.AsyncMock()), pytest.raises(NotLeaderForPartitionError):
        await collector._open_streams(mock.Mock(timestamp=0))


@pytest.mark.parametrize("code", [UNKNOWN, NO_LEADER])
async def test_doctor_takes_no_error_for_an_absence(broker: Broker, code: int) -> None:
    settings = broker.settings
    broker.describe(*settings.changelogs, *settings.topic_names.all, code=code)
    broker.answer(committed())
    async with kafka.admin(settings) as admin:
        for check in (
            plan_topics(settings),
            _replicas(admin, settings.changelogs, 1), check_feedback(Installation(settings)), _count_lost(settings),
        ):  # fmt: skip
            with pytest.raises(BrokerResponseError) as raised:
                await check
            assert raised.type in {UnknownError, LeaderNotAvailableError}


async def test_doctor_knows_changelogs_that_are_missing(broker: Broker) -> None:
    settings = broker.settings
    broker.describe(*settings.changelogs, code=NO_TOPIC)
    broker.answer(committed())
    assert [each.message for each in await check_feedback(Installation(settings))] == ["feedback has never run here"]
    assert await _count_lost(settings) is None


async def test_an_audit_waits_for_a_group_to_load(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_AGAIN_S", 0.01)
    lane, known = LaneId(Province.SICHUAN, TOPIC, 0), committed((TOPIC, 7))
    broker.answer(committed(code=LOADING), committed(code=NOT_COORDINATOR), known)
    assert await find_committed(broker.settings, lane) == Committed(7)
    monkeypatch.setattr(head, "SETTLE_S", 0.05)
    broker.answer(committed(code=LOADING))
    with pytest.raises(BrokerUnreachableError, match=r"the group \S+ is not loaded"):
        await find_committed(broker.settings, lane)
