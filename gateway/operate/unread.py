"""What a command could not read of the topics: it goes on with the rest, names the place, and does not end
with exit code 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.error_details import describe, place_of, save_details
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import say
from gateway.adapters.topic_reader import UnreadablePartitionError
from gateway.errors import BrokerUnreachableError, GatewayError, InternalError


@dataclass(frozen=True, slots=True)
class Unread:
    """A partition that was not read to its end: from ``offset`` on, or at all where that is None; and why
    not."""

    topic: str
    partition: int
    offset: int | None
    why: str
    exit_code: int = GatewayError.exit_code
    details: tuple[str, ...] = ()
    """Of an internal error, its types and places."""

    def __str__(self) -> str:
        """Name the place and the reason."""
        place = f"{self.topic}/{self.partition}" + ("" if self.offset is None else f" from offset {self.offset} on")
        return f"{place}: {self.why}"

    def as_dict(self) -> dict[str, Any]:
        """Return place and reason, for JSON."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset, "why": self.why}


def unread_by(error: Exception, topic: str, partition: int, settings: Settings) -> Unread:
    """Make of ``error``, which ended the reading of a lane, what is said of it; ``topic`` and ``partition``
    are the lane's.

    Raises a GatewayError that is not about one lane: of the settings, the list, or what the principal may
    do.
    """
    if isinstance(error, UnreadablePartitionError):
        return Unread(error.topic, error.partition, error.offset, f"it cannot be read ({error.why})")
    if isinstance(error, KafkaError | OSError):
        error = kafka.unreachable(settings, error)
    if isinstance(error, BrokerUnreachableError):
        return Unread(topic, partition, None, str(error), BrokerUnreachableError.exit_code)
    if isinstance(error, GatewayError):
        raise error
    why = f"internal error: {type(error).__name__} at {place_of(error)}"
    return Unread(topic, partition, None, why, InternalError.exit_code, tuple(describe(error)))


def report_unread(unread: Sequence[Unread]) -> None:
    """Say on stderr, a line each, what was not read; the details of internal errors go to a file."""
    for each in unread:
        say(f"未能读取 not read: {each}. 结果不含此部分 The answer is without it.", err=True)
    details = [line for each in unread if each.details for line in (str(each), *each.details, "")]
    if details and (file := save_details(details)):
        say(
            f"{file} has the details of the internal errors, places and types and no values; send it to whoever maintains the "
            "gateway",
            err=True,
        )


def exit_code_of(unread: Sequence[Unread], *, all_lanes: int) -> int:
    """Return the exit code for what was not read of ``all_lanes`` lanes: 0 for nothing, 1 for a part.

    69 where no lane could be read for want of a broker, 70 where anything is an internal error.
    """
    codes = [each.exit_code for each in unread]
    if InternalError.exit_code in codes:
        return InternalError.exit_code
    if codes.count(BrokerUnreachableError.exit_code) >= all_lanes > 0:
        return BrokerUnreachableError.exit_code
    return int(bool(codes))
