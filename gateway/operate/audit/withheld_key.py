"""A record's key that was not kept, as it is no holder's reference and could be anybody's name: its digest
stands for it."""

from gateway.core.digest import sha256


class WithheldKey(bytes):
    """The digest of a key, ``sha256:…``, which is also the key of what went out for such a record.

    It equals whatever has that digest, so that whether it was the holder's reference can still be told.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes) and (bytes(other) == bytes(self) or sha256(other).encode() == bytes(self))

    def __hash__(self) -> int:
        return bytes.__hash__(self)
