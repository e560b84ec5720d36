"""What can happen between workers and broker: a network that is late, thin, silent or cut. The stage's
ground is a proxy."""

import asyncio
import contextlib
from collections.abc import Iterator

from gateway.operate.local_kafka import LocalKafka, local_kafka
from tests.faults.proxy import Proxy
from tests.faults.stage import Scenario, Stage


@contextlib.contextmanager
def broker_behind_proxy() -> Iterator[tuple[LocalKafka, Proxy]]:
    """Yield a broker that all clients reach through the proxy, as it does itself for its markers of
    transactions."""
    with Proxy() as proxy:
        advertised = {"advertised.listeners": f"INTERNAL://127.0.0.1:{proxy.port}"}
        broker = local_kafka(prefer="java", properties=advertised, announce=print)
        proxy.target = int(broker.bootstrap_servers.rpartition(":")[2])
        with broker:
            yield broker, proxy


async def delay(stage: Stage) -> None:
    """Delay everything by about 0.1 s each way."""
    stage.ground.delay_s = 0.1
    await asyncio.sleep(5)
    stage.ground.heal()


async def cut(stage: Stage) -> None:
    """Reset every connection, again and again, then let none in for two seconds."""
    for _ in range(3):
        stage.ground.cut()
        await asyncio.sleep(0.1)
        stage.ground.heal()
        await asyncio.sleep(0.4)
    stage.ground.cut()
    await asyncio.sleep(2)
    stage.ground.heal()


async def drip(stage: Stage) -> None:
    """Limit each connection to 5 kB a second: answers arrive in pieces, and late."""
    stage.ground.bytes_per_s = 5_000
    await asyncio.sleep(5)
    stage.ground.heal()


async def silence(stage: Stage) -> None:
    """Let nothing pass for longer than the session, and close no connection; then they turn out to be
    dead."""
    stage.ground.is_silent = True
    await asyncio.sleep(8)
    stage.ground.heal()


SCENARIOS = (
    Scenario("network: 100 ms late", (delay,)),
    Scenario("network: connections cut", (cut,)),
    Scenario("network: 5 kB/s", (drip,)),
    Scenario("network: silent 8 s", (silence,)),
)
QUICK = Scenario("network: cut, thin, silent", (cut, drip, silence))
