"""Workers as processes, traffic, and a strict account of what came out. Shared by the tests on a real
broker."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.contract.headers import ORIGIN_HEADER
from gateway.errors import BrokerUnreachableError
from gateway.operate.simulate import Simulated, Simulator
from tests.patience import PATIENCE_S

OPEN_S = 5.0
"""How long to wait for the end of a transaction that may stay open."""


class Worker:
    """One ``gateway run`` (or ``feedback run``) process with a log of its own."""

    program: tuple[str, ...] = ("-m", "gateway")
    """What Python runs."""

    def __init__(self, settings: Settings, *command: str, **environment: str) -> None:
        self._command = command or ("run",)
        self._environment = os.environ | {
            **settings.as_environment(),
            "GATEWAY_RELAY__SESSION_TIMEOUT_MS": str(settings.relay.session_timeout_ms),
            "GATEWAY_RELAY__MAX_RECORDS": str(settings.relay.max_records),
            "GATEWAY_RELAY__DRAIN_TIMEOUT_S": "60",  # a busy machine is no fault of the worker's
            "GATEWAY_LOG__FORMAT": "json",
            "GATEWAY_LOG__LEVEL": "debug",  # with a line for each transaction
            **environment,
        }
        descriptor, name = tempfile.mkstemp(prefix="worker-", suffix=".log")
        os.close(descriptor)
        self.log = Path(name)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Worker":
        with self.log.open("ab") as log:
            command = [sys.executable, *self.program, *self._command]
            self.process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout_s: float = PATIENCE_S) -> int:
        """Send SIGTERM; return the exit code. Where it is not 0, pytest shows the log's end with the
        failure."""
        assert self.process is not None
        self.process.terminate()
        if code := self.process.wait(timeout_s):
            print(f"a worker ended with exit code {code}:\n{self.log.read_text()[-20_000:]}")
        return code

    def discard(self) -> None:
        """End the process if it still runs, frozen or not, and remove its log; of a test that fails, pytest
        shows what it ended with."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()
        if self.log.exists():
            print(f"the log of {' '.join(self._command)} ended with:\n{self.log.read_text()[-4000:]}")
            self.log.unlink()

    def events(self, name: str) -> list[dict[str, object]]:
        """The log lines of this event name."""
        return [line for line in self.lines() if line.get("event") == name]

    def lines(self) -> list[dict[str, object]]:
        """The log's lines that are whole."""
        found = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def wait_for(self, name: str, count: int = 1, timeout_s: float = PATIENCE_S) -> None:
        """Until the log has ``count`` lines of this event name."""
        deadline = time.monotonic() + timeout_s
        while len(self.events(name)) < count:
            assert self.process is not None
            assert self.process.poll() is None, f"the worker ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"no {name} in {timeout_s} s:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)


def with_short_sessions(settings: Settings) -> Settings:
    """Shorten sessions and turns, so that a frozen worker soon loses its lanes and a test has many
    transactions."""
    return settings.model_copy(
        update={"relay": settings.relay.model_copy(update={"session_timeout_ms": 6000, "max_records": 200})}
    )


@contextlib.contextmanager
def workers(settings: Settings, count: int, **environment: str) -> Iterable[list[Worker]]:
    """Start ``count`` workers; kill those that still run at the end."""
    started = [Worker(settings, **environment).start() for _ in range(count)]
    try:
        yield started
    finally:
        for worker in started:
            worker.discard()


def simulate(settings: Settings, count: int, seed: int = 1) -> list[Simulated]:
    """What the simulator makes of both provinces, shown shortly before now."""
    simulator, now = Simulator(load_recognition(settings.recognition_dir), seed), int(time.time() * 1000)
    return [simulator.next_event(now) for _ in range(count)]


async def publish(
    settings: Settings, records: Iterable[Simulated], *, pause_every: int = 0, pause_s: float = 0
) -> None:
    """Send ``records`` in order, all acknowledged at the end; with a pause after every ``pause_every`` of
    them."""
    topics = settings.topic_names
    # As long as a broker that is killed, or starts again on a busy machine, may be away.
    options = {"enable_idempotence": True, "linger_ms": 5, "request_timeout_ms": 120_000}
    async with kafka.producer(settings, **options) as producer:
        futures = []
        for number, record in enumerate(records, start=1):
            topic = topics.display(record.province)
            futures.append(await producer.send(topic, value=record.value, key=record.key, headers=record.headers))
            if pause_every and number % pause_every == 0:
                await asyncio.sleep(pause_s)
        await asyncio.gather(*futures)


@dataclass
class Account:
    """Everything that stands in the output topics, by the input record it came from
    (``topic/partition/offset``)."""

    inputs: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, list[dict[str, object]]] = field(default_factory=lambda: defaultdict(list))
    order: dict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    ledger: dict[tuple[str, int], list[dict[str, object]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def duplicates(self) -> int:
        entries = (entry for lane in self.ledger.values() for entry in lane)
        return sum(item["count"] for entry in entries for item in entry["counts"] if item["outcome"] == "duplicate")

    @property
    def accounted(self) -> int:
        return sum(entry["records"] for lane in self.ledger.values() for entry in lane)

    def outcome_count(self, event_type: str) -> int:
        return sum(1 for records in self.outputs.values() for record in records if record["type"] == event_type)

    def assert_proper(self, published: int) -> None:
        """Every input has exactly one outcome, none is invented, order is kept, the ledger's chain is
        whole."""
        assert len(self.inputs) == published
        doubled = [origin for origin, records in self.outputs.items() if len(records) > 1]
        assert not doubled, f"sent twice: {doubled[:5]}"
        assert not self.outputs.keys() - self.inputs.keys(), "an output without an input"
        assert len(self.outputs) + self.duplicates == published, "lost or doubled"
        for lane, offsets in self.order.items():
            assert offsets == sorted(offsets), f"order is not kept in {lane}"
        covered = set()
        for (topic, partition), entries in self.ledger.items():
            previous_last = -1
            for entry in entries:
                assert entry["first_offset"] > previous_last, (
                    f"two entries for {topic}/{partition}@{entry['first_offset']}"
                )
                previous_last = entry["last_offset"]
                covered.update(f"{topic}/{partition}/{n}" for n in range(entry["first_offset"], previous_last + 1))
        assert self.inputs.keys() <= covered, "an input offset without a ledger entry"


async def read_account(settings: Settings) -> Account:
    """Read all that the relays read and write from the beginning, committed records only."""
    topics, account = settings.topic_names, Account()
    async for record in read_topics(settings, [name for name in topics.all if name != topics.feedback]):
        if record.topic in topics.displays:
            account.inputs[f"{record.topic}/{record.partition}/{record.offset}"] = record.value
        elif record.topic == topics.ledger:
            data = json.loads(record.value)["data"]
            account.ledger[data["topic"], data["partition"]].append(data)
        else:
            origin = dict(record.headers)[ORIGIN_HEADER].decode()
            account.outputs[origin].append(json.loads(record.value))
            account.order[f"{record.topic} {origin.rsplit('/', 1)[0]}", record.partition].append(
                int(origin.rsplit("/", 1)[1])
            )
    return account


async def read_topics(settings: Settings, names: Iterable[str]) -> AsyncIterator[object]:
    """Every committed record of the topics as they stand.

    A broker says that a transaction is committed before each partition has the marker of it: what stands
    behind the last marker is waited for, as far as it is no transaction that somebody leaves open.
    """
    partitions = await kafka.partitions_of(settings, list(names))
    async with kafka.consumer(settings, isolation_level="read_uncommitted") as consumer:
        written = await consumer.end_offsets(partitions)
    async with kafka.consumer(settings) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        awaited, given_up = written, time.monotonic() + OPEN_S
        unread = {partition for partition in partitions if written[partition] > 0}
        while unread:
            for batch in (await consumer.getmany(*unread, timeout_ms=500)).values():
                for record in batch:
                    yield record
            if awaited is written and time.monotonic() > given_up:
                awaited = await consumer.end_offsets(partitions)  # what stands behind it, somebody leaves open
            unread = {partition for partition in unread if await consumer.position(partition) < awaited[partition]}


async def wait_until_accounted(
    settings: Settings,
    published: int,
    timeout_s: float = PATIENCE_S,
    progress: Callable[[], None] = lambda: None,
) -> Account:
    """Read until the ledger accounts for ``published`` records. A broker that starts again meanwhile is
    waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        topics, accounted, unreachable = settings.topic_names, 0, ""
        try:
            async for record in read_topics(settings, [topics.ledger]):
                accounted += json.loads(record.value)["data"]["records"]
            if accounted >= published:
                return await read_account(settings)
        except BrokerUnreachableError as error:
            unreachable = f" ({error})"
        progress()
        still = f"only {accounted} of {published} accounted for after {timeout_s} s{unreachable}"
        assert time.monotonic() < deadline, still
        await asyncio.sleep(0.5)


def audit(settings: Settings, *options: str, expect: int = 0) -> dict[str, Any]:
    """What `gateway audit` says of the topics; where it says nothing, its ``stderr``."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "audit", "--format", "json", *options],
        env=os.environ | settings.as_environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}
