"""The duplicates' horizon of one lane: which ids, with which contents, came within the last hours. Bounded memory."""

import hashlib

from gateway.core.reading import Identity

# An id takes two objects of 48 bytes: a key of 120 bits, by which two ids of a province are not to be expected to meet; and when
# it came, with 72 bits of its content's digest, enough to tell one content from another under the same id.
_KEY_BYTES = 15
_RECEIVED_BYTES = 6
_DIGEST_BYTES = 9
_PREFIX = "sha256:"
_DIGEST_END = len(_PREFIX) + 2 * _DIGEST_BYTES


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
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._pending: dict[bytes, bytes] = {}
        self._young_since = 0
        # What is asked for is remembered next: its key is made, and its entry looked up, once.
        self._identity: Identity | None = None
        self._key = b""
        self._entry: bytes | None = None
        self.truncated = False
        """Whether ids had to be forgotten before their time, for want of room."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def at(self, received_at: int) -> "Horizon":
        """This horizon as seen from ``received_at`` (milliseconds since the epoch)."""
        self._now = received_at
        return self

    def get(self, identity: Identity, default: tuple[str, ...], /) -> tuple[str, ...]:
        """The beginnings of the content digests under ``identity`` within the horizon, or ``default``."""
        entry = self._find(identity)
        if entry is None or _received(entry) < self._now - self._horizon_ms:
            return default
        digests = entry[_RECEIVED_BYTES:]
        steps = range(0, len(digests), _DIGEST_BYTES)
        return tuple(_PREFIX + digests[step : step + _DIGEST_BYTES].hex() for step in steps)

    def remember(self, identity: Identity, content_digest: str, received_at: int) -> None:
        """Remember, pending, that ``identity`` came with this content at ``received_at``."""
        known = self._find(identity)
        digest = bytes.fromhex(content_digest[len(_PREFIX) : _DIGEST_END])
        if known is not None and _received(known) >= received_at - self._horizon_ms:
            # Further content under the same id: counted from its first coming, like the id.
            self._pending[self._key] = known + digest
        else:
            self._pending[self._key] = max(received_at, 0).to_bytes(_RECEIVED_BYTES) + digest
        self._identity = None

    def keep(self) -> None:
        """Make what is pending last: its transaction was committed."""
        self._identity = None
        if not self._pending:
            return
        newest = _received(max(self._pending.values()))
        full = len(self._young) + len(self._pending) > self._max_half
        if self._young and (full or newest - self._young_since > self._horizon_ms):
            oldest_kept = newest - self._horizon_ms
            self.truncated = self.truncated or (full and bool(self._old) and self._young_since > oldest_kept)
            self._old, self._young = self._young, {}
        if not self._young:
            self._young_since = newest
        self._young.update(self._pending)
        self._pending = {}

    def forget(self) -> None:
        """Drop what is pending: its transaction was aborted."""
        self._identity = None
        self._pending = {}

    def _find(self, identity: Identity) -> bytes | None:
        if identity is not self._identity:
            key = _key(identity)
            self._identity, self._key = identity, key
            self._entry = self._pending.get(key) or self._young.get(key) or self._old.get(key)
        return self._entry


def _key(identity: Identity) -> bytes:
    return hashlib.blake2b(f"{identity.source}\n{identity.id}".encode(), digest_size=_KEY_BYTES).digest()


def _received(entry: bytes) -> int:
    return int.from_bytes(entry[:_RECEIVED_BYTES])
