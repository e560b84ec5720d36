"""The duplicates' horizon of one lane: which ids, with which contents, came within the last hours. Bounded memory."""

import hashlib
from collections.abc import Iterator, Mapping

from gateway.core.reading import Identity

# A coming takes 30 bytes: when the id came; a key of 120 bits, by which two ids of a province are not to be expected to meet;
# and 72 bits of its content's digest, enough to tell one content from another under the same id.
_RECEIVED_BYTES = 6
_KEY_BYTES = 15
_DIGEST_BYTES = 9
COMING_BYTES = _RECEIVED_BYTES + _KEY_BYTES + _DIGEST_BYTES
_KEY = slice(_RECEIVED_BYTES, _RECEIVED_BYTES + _KEY_BYTES)
_PREFIX = "sha256:"
_DIGEST_END = len(_PREFIX) + 2 * _DIGEST_BYTES

# As objects of their own they would take 150 bytes, so many share a bucket. Where a generation holds 500,000,
# half of what a lane remembers by default, a bucket is 450 bytes long, and searched within half a microsecond.
_BUCKETS = 32_768


class Horizon:
    """Remembers identities for ``horizon_ms`` of broker time, ``max_ids`` of them at the most.

    Two generations: when the younger one spans the whole horizon, or holds half of ``max_ids``, it becomes the older one, and
    the old one, whose ids are all beyond the horizon, is forgotten whole: forgetting costs nothing an event. Within a transaction
    what is remembered is pending: ``keep`` makes it last, ``forget`` drops it (an aborted transaction never happened).
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
        self._comings: list[bytes] = []
        self.truncated = False
        """Whether ids had to be forgotten before their time, for want of room."""

    def __len__(self) -> int:
        return self._young.size + self._old.size

    def at(self, received_at: int) -> "Horizon":
        """This horizon as seen from ``received_at`` (milliseconds since the epoch)."""
        self._now = received_at
        return self

    def get(self, identity: Identity, default: tuple[str, ...], /) -> tuple[str, ...]:
        """The beginnings of the content digests under ``identity`` within the horizon, or ``default``."""
        comings = self._find(identity)
        if not comings:
            return default
        since = self._now - self._horizon_ms
        return tuple(_PREFIX + each[-_DIGEST_BYTES:].hex() for each in comings if _received(each) >= since) or default

    def remember(self, identity: Identity, content_digest: str, received_at: int) -> None:
        """Remember, pending, that ``identity`` came with this content at ``received_at``."""
        received = max(received_at, 0)
        if comings := self._find(identity):
            # Further content under the same id is counted from its first coming, like the id.
            within = (first for each in comings if (first := _received(each)) >= received_at - self._horizon_ms)
            received = next(within, received)
        digest = bytes.fromhex(content_digest[len(_PREFIX) : _DIGEST_END])
        coming = received.to_bytes(_RECEIVED_BYTES) + self._key + digest
        self._pending[self._key] = self._pending.get(self._key, b"") + coming
        self._identity = None

    @property
    def pending(self) -> bytes:
        """The comings that are pending, ``COMING_BYTES`` each; another horizon can ``learn`` them."""
        return b"".join(self._pending.values())

    def learn(self, comings: bytes) -> None:
        """Remember, pending, what was ``pending`` in another horizon. Raises ValueError where ``comings`` are no whole ones."""
        if len(comings) % COMING_BYTES:
            message = f"{len(comings)} bytes are no whole number of comings of {COMING_BYTES}"
            raise ValueError(message)
        pending = self._pending
        for coming in _split(comings):
            key = coming[_KEY]
            pending[key] = pending.get(key, b"") + coming
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
        """The comings of ``identity``, the first one first."""
        if identity is not self._identity:
            key = hashlib.blake2b(f"{identity.source}\n{identity.id}".encode(), digest_size=_KEY_BYTES).digest()
            bucket = hash(key) % _BUCKETS
            old, young = self._old.buckets.get(bucket, b""), self._young.buckets.get(bucket, b"")
            pending = self._pending.get(key, b"")
            self._identity, self._key, self._comings = identity, key, []
            if key in old or key in young or pending:  # seldom
                self._comings = [coming for coming in _split(old + young + pending) if coming[_KEY] == key]
        return self._comings


class _Generation:
    """Comings, in ``buckets`` by their keys' hash, and their number."""

    def __init__(self) -> None:
        self.size = 0
        self.buckets: dict[int, bytes] = {}

    def add(self, comings: Mapping[bytes, bytes]) -> None:
        """Add comings, given by their key."""
        buckets = self.buckets
        for key, those in comings.items():
            bucket = hash(key) % _BUCKETS
            buckets[bucket] = buckets.get(bucket, b"") + those
        self.size += sum(map(len, comings.values())) // COMING_BYTES


def _split(bucket: bytes) -> Iterator[bytes]:
    return (bucket[start : start + COMING_BYTES] for start in range(0, len(bucket), COMING_BYTES))


def _received(coming: bytes) -> int:
    return int.from_bytes(coming[:_RECEIVED_BYTES])
