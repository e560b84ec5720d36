"""Keeps a second archiver out of a place that has no locks: a file there says who writes, and is renewed
while it does."""

import contextlib
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import structlog

from gateway.errors import GatewayError

log = structlog.get_logger("gateway.archive")

LEASE = ".archive.lease"
RENEW_S, LASTS_S = 15.0, 90.0
"""How often a lease is renewed; and how long one that is not has to be waited out."""
_HELD_S = 60.0
"""For how long after a renewal its holder may write: less than others wait, as clocks and requests take
time."""


class _Holder(msgspec.Struct, frozen=True):
    """Who holds the lease; ``count`` is another one at each renewal."""

    id: str
    host: str
    process: int
    count: int


class Lease:
    """The lease of the archive at ``place``, whose files are read, written and removed by the three
    functions."""

    def __init__(
        self, place: str, read: Callable[[str], bytes | None], write: Callable[[str, bytes], None],
        remove: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._place, self._read, self._write, self._remove = place, read, write, remove
        self._id, self._count, self._renewed = secrets.token_hex(8), 0, 0.0
        self._stopping = threading.Event()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lease. Raises GatewayError where another archiver does; a dead one's is waited out."""
        self._wait_until_free()
        self._renew()
        self._refuse_others()
        renewing = threading.Thread(target=self._keep_renewing, name="archive-lease", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._stopping.set()
            renewing.join()
            with contextlib.suppress(GatewayError):  # it ends by itself then
                self._refuse_others()
                self._remove(LEASE)

    def require(self, *, look: bool) -> None:
        """Raise GatewayError where the lease is no longer held: by the clock, or with ``look`` by what the
        file says."""
        if time.monotonic() - self._renewed > _HELD_S:
            self._refuse_others()
            self._renew()
        elif look:
            self._refuse_others()

    def _wait_until_free(self) -> None:
        """Wait until there is no lease, or one that nobody has renewed for as long as it lasts."""
        seen, since = self._read(LEASE), time.monotonic()
        if seen is not None:
            log.warning("archive.lease_found", archive=self._place, wait_s=LASTS_S)
        while seen is not None and time.monotonic() - since < LASTS_S:
            time.sleep(min(1.0, LASTS_S))
            if (now := self._read(LEASE)) is not None and now != seen:
                raise self._taken(now)
            seen = seen if now is not None else None

    def _keep_renewing(self) -> None:
        while not self._stopping.wait(RENEW_S):
            with contextlib.suppress(GatewayError):  # whoever writes is told, once it has not succeeded for long
                self._refuse_others()
                self._renew()

    def _renew(self) -> None:
        began, self._count = time.monotonic(), self._count + 1
        holder = _Holder(self._id, platform.node(), os.getpid(), self._count)
        self._write(LEASE, msgspec.json.encode(holder))
        self._renewed = began

    def _refuse_others(self) -> None:
        found = self._read(LEASE)
        if found is not None and _id_of(found) != self._id:
            raise self._taken(found)

    def _taken(self, lease: bytes) -> GatewayError:
        try:
            holder = msgspec.json.decode(lease, type=_Holder)
            who = f", process {holder.process} on {holder.host},"
        except msgspec.MsgspecError:
            who = ""
        return GatewayError(
            f"another archiver{who} writes to {self._place}: one is enough. End that one, or use another place."
        )


def _id_of(lease: bytes) -> str | None:
    try:
        return msgspec.json.decode(lease, type=_Holder).id
    except msgspec.MsgspecError:
        return None
