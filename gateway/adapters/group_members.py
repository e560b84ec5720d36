"""Who is in a consumer group, as the broker knows it."""

from collections.abc import Collection
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient

from gateway.adapters.aiokafka_patches import partitions_in, topics_in
from gateway.adapters.kafka import CLIENT_ID


class Member(NamedTuple):
    """A member of a group; ``topics`` it subscribes to (none while the group rebalances), ``partitions`` it
    has."""

    id: str
    client: str
    host: str
    topics: tuple[str, ...]
    partitions: tuple[tuple[str, int], ...]

    @property
    def short_id(self) -> str:
        """See ``short_id``."""
        return short_id(self.id)

    def is_ours(self, topics: Collection[str]) -> bool:
        """Tell whether it is a worker of the gateway's: by its client id, and as it reads no other than
        these topics."""
        return self.client == CLIENT_ID and set(self.topics) <= set(topics)


def short_id(member_id: str) -> str:
    """Return by what page, ``gateway top`` and logs name a worker: the end of its id's random part."""
    return member_id[-8:]


async def members_of(admin: AIOKafkaAdminClient, group: str) -> list[Member]:
    """Return the members of ``group``; none where there is no such group."""
    return [
        _member(each)
        for response in await admin.describe_consumer_groups([group])
        for described in response.groups
        for each in described[5]
    ]


def _member(described: tuple[object, ...]) -> Member:
    member_id, client, host, metadata, assignment = described[0], *described[-4:]
    return Member(
        str(member_id), str(client), str(host).lstrip("/"),
        tuple(topics_in(metadata)) if isinstance(metadata, bytes) and metadata else (),
        tuple(partitions_in(assignment)) if isinstance(assignment, bytes) and assignment else (),
    )  # fmt: skip
