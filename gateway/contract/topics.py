"""The contract's topics by name, with the deployment's prefix; and the lanes, one per input partition."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from gateway.core.province import Province

LANE_WRITER = "gateway.lane-"
"""How the transactional ids of lanes begin, after the deployment's prefix."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics' names; ``prefix`` is empty unless several gateways share a cluster."""

    prefix: str = ""

    def display(self, province: Province) -> str:
        """Name the topic of the events that ``province`` publishes."""
        return f"{self.prefix}{province}.display"

    def verification(self, reader: Province) -> str:
        """Name the topic of the verification records that ``reader`` reads: what the other side
        displayed."""
        return f"{self.prefix}{reader}.verification"

    def rejection(self, province: Province) -> str:
        """Name the topic that says why ``province``'s own events were not forwarded."""
        return f"{self.prefix}{province}.rejection"

    @property
    def deadletter(self) -> str:
        """Bytes that could not be attributed to an event."""
        return f"{self.prefix}gateway.deadletter"

    @property
    def ledger(self) -> str:
        """One entry per transaction."""
        return f"{self.prefix}gateway.ledger"

    @property
    def feedback(self) -> str:
        """Cases and digests for the responsible units."""
        return f"{self.prefix}gateway.feedback"

    @property
    def displays(self) -> dict[str, Province]:
        """Input topic → the province that writes it."""
        return {self.display(province): province for province in Province}

    @property
    def rejections(self) -> dict[str, Province]:
        """Rejection topic → the province whose events it is about."""
        return {self.rejection(province): province for province in Province}

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic of the contract."""
        return (
            *(self.display(p) for p in Province),
            *(self.verification(p) for p in Province),
            *(self.rejection(p) for p in Province),
            self.deadletter,
            self.ledger,
            self.feedback,
        )


@dataclass(frozen=True)
class LaneId:
    """Names the input partition that a lane reads."""

    province: Province
    topic: str
    partition: int

    @cached_property
    def origin(self) -> bytes:
        """What the origin header says of its records, up to the offset."""
        return f"{self.topic}/{self.partition}/".encode()

    @property
    def transactional_id(self) -> str:
        """Name the lane's one writer: whoever starts a producer of this id fences the one before, whatever
        its group.

        It begins as no province's own transactional ids may (see ``gateway.adapters.access``).
        """
        prefix = self.topic.removesuffix(f"{self.province.value}.display")
        return f"{prefix}{LANE_WRITER}{self.province.value}-{self.partition}"

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


def lanes_of(topics: Topics, partitions: Mapping[str, int]) -> list[LaneId]:
    """List every lane; ``partitions`` says how many each topic has."""
    return [
        LaneId(province, topic, partition)
        for topic, province in topics.displays.items()
        for partition in range(partitions[topic])
    ]
