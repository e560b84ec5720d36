"""The duplicates' horizon of one lane: which events were forwarded within the last hours. Bounded memory."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gateway.core.event import Identity

# An occurrence takes 30 bytes: when the event was received; a key of 120 bits, in which no two identities of
# a province are to be expected to collide; and 72 bits of its content's digest, enough to tell contents
# apart under one id.
_RECEIVED_BYTES = 6
_KEY_BYTES = 15
_DIGEST_BYTES = 9
OCCURRENCE_BYTES = _RECEIVED_BYTES + _KEY_BYTES + _DIGEST_BYTES
_KEY = slice(_RECEIVED_BYTES, _RECEIVED_BYTES + _KEY_BYTES)
_PREFIX = "sha256:"
_DIGEST_END = len(_PREFIX) + 2 * _DIGEST_BYTES

# As objects of their own they would take 150 bytes, so several share a bucket. Where a generation holds
# 500,000, half of what a lane remembers by default, a bucket is 450 bytes long, and searched within half a
# microsecond.
_BUCKETS = 32_768


class Occurrence(NamedTuple):
    """A forwarded event as the ledger remembers it: the hash of its identity, and when it was received, in
    milliseconds."""

    key: bytes
    received_at: int


def read_occurrences(remembered: bytes) -> Iterator[Occurrence]:
    """Read what was ``Horizon.pending``."""
    return (Occurrence(each[_KEY], _received(each)) for each in _split(remembered))


def key_of(identity: Identity) -> bytes:
    """Hash an event's identity, as ``Occurrence`` has it."""
    text = f"{identity.source}\n{identity.holder}\n{identity.id}"
    return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest()


class Horizon:
    """Remembers forwarded events for ``horizon_ms`` of broker time, ``max_ids`` of them at the most.

    What was not forwarded is open: it may be sent again, fixed, under the same id.

    Two generations: when the younger one spans the whole horizon, or holds half of ``max_ids``, it becomes
    the older one, and the old one, whose events are all beyond the horizon, is forgotten whole, at no cost
    per event. In a transaction what is remembered is pending: ``keep`` makes it last, ``forget`` drops it
    (an aborted transaction never happened).
    """

    def __init__(self, horizon_ms: int, max_ids: int) -> None:
        self._horizon_ms = horizon_ms
        self._max_half = max(1, max_ids // 2)
        self._now = 0
        self._young = _Generation()
        self._old = _Generation()
        self._young_since = 0
        self._pending: dict[bytes, bytes] = {}
        # What is asked for is remembered next: its key is made, and what came under it looked up, once.
        self._identity: Identity | None = None
        self._key = b""
        self._occurrences: list[bytes] = []
        self.truncated = False
        """Whether ids had to be forgotten before their time, for want of room."""

    def __len__(self) -> int:
        return self._young.size + self._old.size

    def at(self, received_at: int) -> "Horizon":
        """Look from ``received_at`` (milliseconds since the epoch); returns this horizon."""
        self._now = received_at
        return self

    def get(self, identity: Identity, default: tuple[str, ...], /) -> tuple[str, ...]:
        """Return the beginnings of the content digests under ``identity`` within the horizon, or
        ``default``."""
        occurrences = self._find(identity)
        if not occurrences:
            return default
        since = self._now - self._horizon_ms
        return (
            tuple(_PREFIX + each[-_DIGEST_BYTES:].hex() for each in occurrences if _received(each) >= since) or default
        )

    def remember(self, identity: Identity, content_digest: str, received_at: int) -> None:
        """Remember, pending, that the event ``identity`` was forwarded with this content, received at
        ``received_at``."""
        self._find(identity)
        digest = bytes.fromhex(content_digest[len(_PREFIX) : _DIGEST_END])
        occurrence = max(received_at, 0).to_bytes(_RECEIVED_BYTES) + self._key + digest
        self._pending[self._key] = self._pending.get(self._key, b"") + occurrence
        self._identity = None

    @property
    def pending(self) -> bytes:
        """The occurrences that are pending, ``OCCURRENCE_BYTES`` each; another horizon can ``learn``
        them."""
        return b"".join(self._pending.values())

    def learn(self, occurrences: bytes) -> None:
        """Remember, pending, what was ``pending`` in another horizon. Raises ValueError where its length
        cannot be that."""
        if len(occurrences) % OCCURRENCE_BYTES:
            message = f"{len(occurrences)} bytes are not a whole number of occurrences of {OCCURRENCE_BYTES}"
            raise ValueError(message)
        pending = self._pending
        for occurrence in _split(occurrences):
            key = occurrence[_KEY]
            pending[key] = pending.get(key, b"") + occurrence
        self._identity = None

    def keep(self) -> None:
        """Make what is pending last: its transaction was committed."""
        self._identity = None
        if not self._pending:
            return
        newest = _received(max(self._pending.values()))
        full = self._young.size + len(self._pending) > self._max_half
        if self._young.size and (full or newest - self._young_since > self._horizon_ms):
            oldest_kept = newest - self._horizon_ms
            self.truncated = self.truncated or (full and self._old.size > 0 and self._young_since > oldest_kept)
            self._old, self._young = self._young, _Generation()
        if not self._young.size:
            self._young_since = newest
        self._young.add(self._pending)
        self._pending = {}

    def forget(self) -> None:
        """Drop what is pending: its transaction was aborted."""
        self._identity = None
        self._pending = {}

    def _find(self, identity: Identity) -> list[bytes]:
        """Find the occurrences of ``identity``, the first one first."""
        if identity != self._identity:
            key = key_of(identity)
            bucket = hash(key) % _BUCKETS
            old, young = self._old.buckets.get(bucket, b""), self._young.buckets.get(bucket, b"")
            pending = self._pending.get(key, b"")
            self._identity, self._key, self._occurrences = identity, key, []
            if key in old or key in young or pending:  # seldom
                self._occurrences = [
                    occurrence for occurrence in _split(old + young + pending) if occurrence[_KEY] == key
                ]
        return self._occurrences


class _Generation:
    """Occurrences, in ``buckets`` by their keys' hash, and their number."""

    def __init__(self) -> None:
        self.size = 0
        self.buckets: dict[int, bytes] = {}

    def add(self, occurrences: Mapping[bytes, bytes]) -> None:
        """Add occurrences, given by their key."""
        buckets = self.buckets
        for key, those in occurrences.items():
            bucket = hash(key) % _BUCKETS
            buckets[bucket] = buckets.get(bucket, b"") + those
        self.size += sum(map(len, occurrences.values())) // OCCURRENCE_BYTES


def _split(bucket: bytes) -> Iterator[bytes]:
    return (bucket[start : start + OCCURRENCE_BYTES] for start in range(0, len(bucket), OCCURRENCE_BYTES))


def _received(occurrence: bytes) -> int:
    return int.from_bytes(occurrence[:_RECEIVED_BYTES])
