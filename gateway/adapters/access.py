"""Who may do what on the broker: the principals and grants of each topic. Deny is the broker's default."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from gateway.adapters.settings import Settings
from gateway.contract.topics import LANE_WRITER
from gateway.core.province import Province


class Role(StrEnum):
    """A principal by what it is for; `access.principals` says what it is called on the broker."""

    SICHUAN = "sichuan"
    CHONGQING = "chongqing"
    GATEWAY = "gateway"
    OPERATOR = "operator"

    @classmethod
    def of(cls, province: Province) -> "Role":
        """Return the role of a province's platform."""
        return cls(province.value)


CLUSTER = "kafka-cluster"
"""The one resource of its kind."""


class Kind(StrEnum):
    """What a grant is about, as Kafka names it."""

    TOPIC = "TOPIC"
    GROUP = "GROUP"
    TRANSACTIONAL_ID = "TRANSACTIONAL_ID"
    CLUSTER = "BROKER"
    """Its resource type's name in Kafka's clients; the resource itself is ``CLUSTER``."""


class Grant(NamedTuple):
    """One allowed operation (Kafka's name for it); with ``prefixed``, on all resources whose names begin
    with ``name``."""

    role: Role
    kind: Kind
    name: str
    operation: str
    prefixed: bool = False


def needed_grants(settings: Settings) -> list[Grant]:
    """Return the grants that the topics with this prefix need, and no more. READ and WRITE include
    DESCRIBE."""
    return [*_provinces(settings), *_gateway(settings), *_operator(settings)]


def _provinces(settings: Settings) -> Iterator[Grant]:
    topics = settings.topic_names
    for province in Province:
        role = Role.of(province)
        yield Grant(role, Kind.TOPIC, topics.display(province), "WRITE")
        yield Grant(role, Kind.TOPIC, topics.verification(province), "READ")
        yield Grant(role, Kind.TOPIC, topics.rejection(province), "READ")
        own = f"{settings.topic_prefix}{province.value}"  # groups and transactions of whatever runs there
        yield Grant(role, Kind.GROUP, own, "READ", prefixed=True)
        yield Grant(role, Kind.TRANSACTIONAL_ID, own, "WRITE", prefixed=True)
        if province.value in settings.access.mirrored:
            # As config/kafka/mirror-maker.properties names them.
            for operation in ("CREATE", "READ", "WRITE", "DESCRIBE_CONFIGS"):
                yield Grant(role, Kind.TOPIC, f"{province.value}.mirror-", operation, prefixed=True)
            leader = f"connect-cluster-{province.value}-mirror"
            yield Grant(role, Kind.TRANSACTIONAL_ID, leader, "WRITE")


def _gateway(settings: Settings) -> Iterator[Grant]:
    topics = settings.topic_names
    for topic in topics.all:
        yield Grant(Role.GATEWAY, Kind.TOPIC, topic, "READ")
        if topic in topics.displays:  # to see at start that they are neither compacted nor timed by their publishers
            yield Grant(Role.GATEWAY, Kind.TOPIC, topic, "DESCRIBE_CONFIGS")
        else:
            yield Grant(Role.GATEWAY, Kind.TOPIC, topic, "WRITE")
    for changelog in settings.changelogs:
        for operation in ("READ", "WRITE", "CREATE"):
            yield Grant(Role.GATEWAY, Kind.TOPIC, changelog, operation)
    for group in settings.groups:
        yield Grant(Role.GATEWAY, Kind.GROUP, group, "READ")
    for writer in writers_of(settings):
        yield Grant(Role.GATEWAY, Kind.TRANSACTIONAL_ID, writer, "WRITE", prefixed=True)


def _operator(settings: Settings) -> Iterator[Grant]:
    for topic in (*settings.topic_names.all, *settings.changelogs):
        yield Grant(Role.OPERATOR, Kind.TOPIC, topic, "READ")
        yield Grant(Role.OPERATOR, Kind.TOPIC, topic, "DESCRIBE_CONFIGS")
    for group in settings.groups:
        yield Grant(Role.OPERATOR, Kind.GROUP, group, "DESCRIBE")
    for writer in writers_of(settings):
        yield Grant(Role.OPERATOR, Kind.TRANSACTIONAL_ID, writer, "DESCRIBE", prefixed=True)
    yield Grant(Role.OPERATOR, Kind.CLUSTER, CLUSTER, "DESCRIBE")
    yield Grant(Role.OPERATOR, Kind.CLUSTER, CLUSTER, "DESCRIBE_CONFIGS")


def writers_of(settings: Settings) -> tuple[str, str]:
    """Say how the gateway's transactional ids begin: those of lanes, whatever their group is called, and
    feedback's."""
    return settings.topic_prefix + LANE_WRITER, f"{settings.groups[1]}-"
