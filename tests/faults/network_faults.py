"""What can happen between workers and broker: a network that is late, thin, silent or cut. The stage's ground is a proxy."""

import asyncio
import contextlib
from collections.abc import Iterator

from gateway.operate.local_kafka import LocalKafka, local_kafka
from tests.faults.proxy import Proxy
from tests.faults.stage import Scenario, Stage


@contextlib.contextmanager
def broker_behind_proxy() -> Iterator[tuple[LocalKafka, Proxy]]:
    """A broker that everyone is told to reach by the proxy, as the broker itself does for its markers of transactions."""
    with Proxy() as proxy:
        advertised = {"advertised.listeners": f"INTERNAL://127.0.0.1:{proxy.port}"}
        broker = local_kafka(prefer="java", properties=advertised, announce=print)
        proxy.target = int(broker.bootstrap_servers.rpartition(":")[2])
        with broker:
            yield broker, proxy


async def delay(stage: Stage) -> None:
    """A fifth of a second each way, more or less."""
    stage.ground.delay_s = 0.1
    await asyncio.sleep(5)
    stage.ground.heal()


async def cut(stage: Stage) -> None:
    """Every connection is reset, again and again, then none is let in for two seconds."""
    for _ in range(3):
        stage.ground.cut()
        await asyncio.sleep(0.1)
        stage.ground.heal()
        await asyncio.sleep(0.4)
    stage.ground.cut()
    await asyncio.sleep(2)
    stage.ground.heal()


async def drip(stage: Stage) -> None:
    """A modem's 5 kB a second for each connection: answers come in pieces, and late."""
    stage.ground.bytes_per_s = 5_000
    await asyncio.sleep(5)
    stage.ground.heal()


async def silence(stage: Stage) -> None:
    """Nothing passes for longer than the session, and nobody is told; then connections turn out to be dead."""
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
