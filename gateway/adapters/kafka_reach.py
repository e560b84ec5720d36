"""How long aiokafka's clients try to reach a broker, and how soon again.

aiokafka gives a connection as long as a request (a consumer's: 40 s), and a client sets up one at a time: while it waits for a
broker that has vanished it reaches no other, not even for metadata that say who leads now. Java's clients have settings of their
own for both times, ``socket.connection.setup.timeout.ms`` (KIP-601) and ``reconnect.backoff.ms`` (KIP-144); aiokafka has none.
"""

import asyncio
from typing import Any

import aiokafka.client
from aiokafka.conn import create_conn

SETUP_TIMEOUT_S = 10.0
RECONNECT_BACKOFF_S = 0.25


async def _set_up(*address: Any, **options: Any) -> Any:
    """``create_conn`` within ``SETUP_TIMEOUT_S``, logging in included; an error is told ``RECONNECT_BACKOFF_S`` later."""
    try:
        async with asyncio.timeout(SETUP_TIMEOUT_S):
            return await create_conn(*address, **options)
    except Exception:
        await asyncio.sleep(RECONNECT_BACKOFF_S)
        raise


def bound_connections() -> None:
    """Make it so for every client of this process."""
    aiokafka.client.create_conn = _set_up
