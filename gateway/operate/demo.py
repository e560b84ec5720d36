"""``gateway demo``: a real Kafka, both provinces simulated, the gateway between them, and what came of it,
read back."""

import asyncio
import os
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.access import Role
from gateway.adapters.console import Terminal
from gateway.adapters.list_files import load_recognition
from gateway.adapters.logs import configure_command_logs
from gateway.adapters.settings import Settings, load_settings
from gateway.adapters.tasks import end_tasks
from gateway.adapters.terminal import say, write_json
from gateway.contract.topics import Topics
from gateway.core.province import Province
from gateway.errors import GatewayError, UsageError
from gateway.operate.apply_access import apply_access
from gateway.operate.background import background
from gateway.operate.demo_view import LiveView, print_summary
from gateway.operate.local_kafka import local_kafka
from gateway.operate.local_kafka.users import as_admin
from gateway.operate.sandbox import hold, sandbox
from gateway.operate.secret_files import make_passwords
from gateway.operate.simulate import Simulated, Simulator
from gateway.operate.topics import apply_topics, delete_topics
from gateway.operate.verify import DemoCounts, Verifier

_IDLE_LIMIT_S = 60.0
"""How long nothing may come out before the demo stops waiting and counts what is missing as lost."""
_PUBLISH_CHUNK = 100


def run_demo(
    *, events: int, partitions: int, output: Literal["text", "json"], external_gateway: bool, config: Path | None,
    bootstrap_servers: str | None, seed: int, keep: bool = False,
) -> int:  # fmt: skip
    """Run the demo; returns the exit code: 1 if anything was lost or sent twice. Raises GatewayError.

    With ``keep`` broker and relay stay, with the page beside them, until SIGINT or SIGTERM (see
    ``sandbox``).
    """
    console = Terminal(err=True, wrap=True)
    with ExitStack() as stack:
        configured = configured_broker(config, bootstrap_servers)
        if keep and (configured or external_gateway):
            raise UsageError(
                "--keep has a Kafka and a gateway of its own: leave --external-gateway, --bootstrap-servers, "
                "GATEWAY_BOOTSTRAP_SERVERS and a settings file's bootstrap_servers out"
            )
        broker = "configured"
        passwords_dir = None
        kept = None
        if not configured:
            console.print("Starting a Kafka on this machine …")
            passwords_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-")))
            make_passwords(passwords_dir)
            server = stack.enter_context(local_kafka(passwords_dir=passwords_dir, announce=console.print))
            configured, broker = server.bootstrap_servers, server.description
        settings = load_settings(config, bootstrap_servers=configured)
        configure_command_logs(settings.log)
        if passwords_dir is not None:
            settings = as_admin(settings, passwords_dir)
        settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": partitions})})
        console.print(f"Kafka: {broker} at {configured}")
        if not external_gateway:
            if asyncio.run(_is_in_use(settings)):
                # Somebody's own topics: made-up events do not belong there.
                settings = settings.model_copy(update={"topic_prefix": f"demo-{time.time_ns()}."})
                stack.callback(_delete_topics, settings)
                console.print(
                    f"The gateway's topics are in use here; the demo's own begin with {settings.topic_prefix}"
                )
            asyncio.run(apply_topics(settings))
            asyncio.run(apply_access(settings))
            relay = stack.enter_context(background(settings.acting_as(Role.GATEWAY), "run"))
            if keep and passwords_dir is not None:
                kept = stack.enter_context(sandbox(settings, passwords_dir, relay))
        if broker == "configured":
            seed += time.time_ns()  # ids that an earlier demo on this broker has not used
        started = time.monotonic()
        tally = asyncio.run(_publish_and_watch(settings, events, seed, console))
        seconds = time.monotonic() - started
        if kept is not None:
            if output == "text":
                print_summary(tally, seconds, broker)
            hold(kept, console, output)
    if output == "json":
        write_json({**tally.summary(), "seconds": round(seconds, 3), "broker": broker})
    elif not keep:
        print_summary(tally, seconds, broker)
    return 0 if tally.is_proper else 1


def configured_broker(config: Path | None, bootstrap_servers: str | None) -> str | None:
    """Return the broker that option, environment or settings file names; None for the default, which every
    file has."""
    servers = load_settings(config, bootstrap_servers=bootstrap_servers).bootstrap_servers
    is_named = bootstrap_servers or os.environ.get("GATEWAY_BOOTSTRAP_SERVERS")
    return servers if is_named or servers != Settings.model_fields["bootstrap_servers"].default else None


def _delete_topics(settings: Settings) -> None:
    """Delete the demo's own topics; where they stay, what the demo found is said all the same."""
    try:
        asyncio.run(delete_topics(settings))
    except (GatewayError, KafkaError) as error:
        say(f"gateway: {str(error) or type(error).__name__}; they begin with {settings.topic_prefix}", err=True)


async def _is_in_use(settings: Settings) -> bool:
    async with kafka.admin(settings) as admin:
        return not set(settings.topic_names.all).isdisjoint(await admin.list_topics())


async def _publish_and_watch(settings: Settings, events: int, seed: int, console: Terminal) -> DemoCounts:
    recognition = load_recognition(settings.recognition_dir)
    simulator = Simulator(recognition, seed)
    tally = DemoCounts()
    async with Verifier(settings.acting_as(Role.OPERATOR), tally).watching() as verifier:
        with LiveView(tally, events, console) as view:
            publishing = asyncio.create_task(_publish(settings, simulator, events, tally))
            try:
                await _watch(publishing, verifier, tally, view)
                await publishing
            except BaseException:  # Ctrl-C too: the producers are to be closed before the event loop is
                await end_tasks(publishing)
                raise
            # Once all is there, whatever still comes was sent twice: look once more.
            await verifier.poll_to_end()
            view.update()
    return tally


async def _watch(publishing: "asyncio.Task[None]", verifier: Verifier, tally: DemoCounts, view: LiveView) -> None:
    """Take in what comes out until all is there, or nothing has come for a while."""
    quiet_since, seen = time.monotonic(), -1
    while not (publishing.done() and tally.is_complete):
        await verifier.poll()
        view.update()
        if publishing.done():
            publishing.result()
        if tally.received != seen:
            quiet_since, seen = time.monotonic(), tally.received
        elif time.monotonic() - quiet_since > _IDLE_LIMIT_S:
            break


async def _publish(settings: Settings, simulator: Simulator, events: int, tally: DemoCounts) -> None:
    topics = settings.topic_names
    async with AsyncExitStack() as stack:
        producers = {}
        for province in Province:
            its = settings.acting_as(Role.of(province))
            producers[province] = await stack.enter_async_context(
                kafka.producer(its, enable_idempotence=True, linger_ms=5)
            )
        for first in range(0, events, _PUBLISH_CHUNK):
            chunk = [
                simulator.next_event(int(time.time() * 1000)) for _ in range(first, min(first + _PUBLISH_CHUNK, events))
            ]
            for record in chunk:
                tally.publish(record)
            await asyncio.gather(*[await _send(producers[record.province], topics, record) for record in chunk])


async def _send(producer: AIOKafkaProducer, topics: Topics, record: Simulated) -> "asyncio.Future[object]":
    topic = topics.display(record.province)
    future: asyncio.Future[object] = await producer.send(
        topic, value=record.value, key=record.key, headers=record.headers
    )
    return future
