"""What a coordinator says of a whole group: aiokafka alone does not hear it."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError, NoError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.commit import OffsetFetchResponse_v1, OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata

from gateway.adapters import aiokafka_patches

LANE = TopicPartition("sichuan.display", 0)
UNKNOWN, LOADING, NOT_COORDINATOR, TOPIC_DENIED, DENIED, NO_SUCH_GROUP = -1, 14, 16, 29, 30, 69
COMMITTED = OffsetFetchResponse_v3(0, [(LANE.topic, [(LANE.partition, 7, "m", 0)])], 0)


@pytest.fixture(params=["patched", "unpatched"])
def is_heard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether aiokafka is patched."""
    aiokafka_patches.hear_coordinators()
    if request.param == "unpatched":
        monkeypatch.setattr(AIOKafkaAdminClient, "_send_request", aiokafka_patches.send_as_admin)
        monkeypatch.setattr(GroupCoordinator, "_send_req", aiokafka_patches.send_as_member)
    return bool(request.param == "patched")


class Coordinator:
    """Answers any request in turn; ``asked`` is how often."""

    def __init__(self, *answers: Any) -> None:
        self._answers: Iterator[Any] = iter(answers)
        self.asked = 0

    async def send(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        return next(self._answers)


def admin_of(coordinator: Coordinator) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient.__new__(AIOKafkaAdminClient)
    admin._client = coordinator
    return admin


def refused(code: int) -> OffsetFetchResponse_v3:
    return OffsetFetchResponse_v3(0, [], code)


@pytest.mark.parametrize("code", [LOADING, NOT_COORDINATOR, DENIED])
async def test_a_group_not_loaded_is_not_one_without_offsets(code: int, *, is_heard: bool) -> None:
    asking = admin_of(Coordinator(refused(code))).list_consumer_group_offsets("g", 1, [LANE])
    if is_heard:
        with pytest.raises(for_code(code)):
            await asking
    else:
        assert await asking == {}  # once this fails, the patch can go


@pytest.mark.parametrize("version", [OffsetFetchResponse_v1, OffsetFetchResponse_v3])
async def test_a_partitions_error_is_raised_as_what_it_is(version: Any, *, is_heard: bool) -> None:
    topics = [(LANE.topic, [(LANE.partition, -1, "", TOPIC_DENIED)])]
    answer = version(topics) if version is OffsetFetchResponse_v1 else version(0, topics, 0)
    unheard = AttributeError if version is OffsetFetchResponse_v1 else NoError
    with pytest.raises(TopicAuthorizationFailedError if is_heard else unheard):
        await admin_of(Coordinator(answer)).list_consumer_group_offsets("g", 1, [LANE])


@pytest.mark.parametrize("code", [LOADING, NOT_COORDINATOR, DENIED])
async def test_a_group_not_loaded_is_not_one_without_members(code: int, *, is_heard: bool) -> None:
    described = DescribeGroupsResponse_v3(0, [(code, "g", "", "", "", [], 0)])
    asking = admin_of(Coordinator(described)).describe_consumer_groups(["g"], 1)
    if is_heard:
        with pytest.raises(for_code(code)):
            await asking
    else:
        assert [group[5] for (answer,) in [await asking] for group in answer.groups] == [[]]


async def test_what_a_coordinator_knows_is_given_out() -> None:
    aiokafka_patches.hear_coordinators()
    old = OffsetFetchResponse_v1([(LANE.topic, [(LANE.partition, 7, "m", 0)])])
    for answer in (COMMITTED, old):
        found = await admin_of(Coordinator(answer)).list_consumer_group_offsets("g", 1, [LANE])
        assert found == {LANE: OffsetAndMetadata(7, "m")}
    nobody = DescribeGroupsResponse_v3(0, [(NO_SUCH_GROUP, "g", "Dead", "", "", [], 0)])
    (answer,) = await admin_of(Coordinator(nobody)).describe_consumer_groups(["g"], 1)
    assert [group[5] for group in answer.groups] == [[]]


def member_of(coordinator: Coordinator, forgotten: list[bool]) -> Any:
    """What a consumer's own coordinator is made of, as far as it fetches offsets."""

    async def known() -> None: ...

    member = SimpleNamespace(
        group_id="g", coordinator_id=1, _client=coordinator, _retry_backoff_ms=1, ensure_coordinator_known=known,
        coordinator_dead=lambda: forgotten.append(True),
    )  # fmt: skip
    for name in ("_send_req", "_do_fetch_commit_offsets"):
        setattr(member, name, getattr(GroupCoordinator, name).__get__(member))
    return member


async def test_a_consumer_asks_until_its_group_is_loaded(*, is_heard: bool) -> None:
    answers = [refused(each) for each in (LOADING, NOT_COORDINATOR, UNKNOWN)]
    broker, forgotten = Coordinator(*answers, COMMITTED), list[bool]()
    fetched = await GroupCoordinator.fetch_committed_offsets(member_of(broker, forgotten), [LANE])
    if is_heard:
        assert fetched == {LANE: OffsetAndMetadata(7, "m")}
        assert (broker.asked, len(forgotten)) == (4, 1)
    else:
        assert (fetched, broker.asked) == ({}, 1)  # to begin where auto_offset_reset says


async def test_a_consumer_denied_its_group_is_told(*, is_heard: bool) -> None:
    fetching = GroupCoordinator.fetch_committed_offsets(member_of(Coordinator(refused(DENIED)), []), [LANE])
    if is_heard:
        with pytest.raises(GroupAuthorizationFailedError):
            await asyncio.wait_for(fetching, 5)
    else:
        assert await fetching == {}
