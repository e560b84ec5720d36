"""What the tables' changelogs hold, read back, whoever wrote there: shares, and up to where they count.

A position stands in the changelog beside the shares, written after them. A changelog that was deleted, cut
back, or has lost shares is therefore known by itself: the group's committed offsets alone would say that all
was counted.
"""

import re
from collections.abc import Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from gateway.core.province import Province
from gateway.core.times import is_date
from gateway.feedback.bounds import CountOf, OffsetOf
from gateway.feedback.cases import Share, case_of
from gateway.feedback.days import DayShare, has_known_keys

encode = msgspec.json.Encoder().encode
"""Writes a share, or a position, as JSON."""

T = TypeVar("T", bound=Share | DayShare)

_POSITION = re.compile(r"(0|[1-9][0-9]{0,5})/@")
_SHARE = re.compile(r"(0|[1-9][0-9]{0,5})/[0-9a-f]{16}")
_DAY = re.compile(r"(0|[1-9][0-9]{0,5})/([a-z]+)/([0-9-]{10})")
_PROVINCES = {province.value for province in Province}


class Position(msgspec.Struct, frozen=True):
    """Up to where a changelog's partition counts.

    ``next``: by source topic the next offset to count. ``keys``: how many shares the partition has at least.
    ``times``: when the newest record that was counted was written, in milliseconds. ``until``: the end up to
    which a topic is counted again, as long as it is.
    """

    next: dict[str, OffsetOf]
    keys: CountOf
    times: dict[str, int] = {}
    until: dict[str, OffsetOf] = {}


class Written(NamedTuple, Generic[T]):
    """A share as it was written; None where it was deleted."""

    key: str
    share: T | None


class ChangelogRecord(Protocol):
    """What is read of a changelog's record."""

    @property
    def partition(self) -> int: ...  # noqa: D102

    @property
    def key(self) -> bytes | None: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102


def position_key(partition: int) -> str:
    """Return the key of the position of a changelog's ``partition``."""
    return f"{partition}/@"


def partition_of(key: str) -> int:
    """Return the changelog's partition that ``key`` names."""
    return int(key.partition("/")[0])


class ChangelogReader(Generic[T]):
    """Reads the records of one table's changelog; ``kind`` is the class of its shares."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode
        self._decode_position = msgspec.json.Decoder(Position).decode

    def read(self, record: ChangelogRecord) -> Written[T] | Position | None:
        """Read a record; None if this version did not write it. Never raises."""
        try:
            key = (record.key or b"").decode()
            if partition_of(key) != record.partition:
                return None
            if _POSITION.fullmatch(key):
                return self._decode_position(record.value or b"")
            if not _is_key(self._kind, key):
                return None
            if record.value is None:
                return Written(key, None)
            share = self._decode(record.value)
            return Written(key, share) if _belongs_to(key, share) else None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None


def _is_key(kind: type, key: str) -> bool:
    if kind is Share:
        return _SHARE.fullmatch(key) is not None
    found = _DAY.fullmatch(key)
    return found is not None and found[2] in _PROVINCES and is_date(found[3])


def _belongs_to(key: str, share: Share | DayShare) -> bool:
    if isinstance(share, Share):
        problem = share.problem
        return problem.province in {None, *_PROVINCES} and problem.case_id == case_of(key)
    return has_known_keys(share)


class ReadTable(Generic[T]):
    """A table as its changelog has it, folded from the records; ``foreign`` counts those that this version
    did not write."""

    def __init__(self, kind: type[T]) -> None:
        self._reader = ChangelogReader(kind)
        self.shares: dict[str, T] = {}
        self.positions: dict[int, Position] = {}
        self.foreign = 0

    def take(self, record: ChangelogRecord) -> None:
        """Fold a record in. A share that is older than the one held came late, from a worker that was
        frozen."""
        match self._reader.read(record):
            case None:
                self.foreign += 1
            case Position() as position:
                self.positions[record.partition] = position
            case Written(key, None):
                self.shares.pop(key, None)
            case Written(key, share) if share is not None:
                held = self.shares.get(key)
                if held is None or share.applied >= held.applied:
                    self.shares[key] = share


def count_keys(shares: Mapping[str, object], partition: int) -> int:
    """Count the shares of ``partition``."""
    prefix = f"{partition}/"
    return sum(key.startswith(prefix) for key in shares)
