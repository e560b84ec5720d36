"""What clients publish, what the gateway makes of it, and what clients read."""

import asyncio
import copy
import itertools
import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

from gateway.adapters import kafka
from gateway.adapters.kafka_requests import raw_client
from gateway.adapters.partitioning import partition_of
from gateway.adapters.raw_log import _fetch
from gateway.adapters.record_batches import read_batches
from gateway.adapters.settings import Settings
from gateway.contract.rejection import REJECTED_TYPE
from gateway.contract.verification import VERIFIED_TYPE
from gateway.core.province import Province
from tests.clients.programs import CODECS, Program
from tests.kafka.harness import read_topics, wait_until_accounted
from tests.patience import PATIENCE_S

BASES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "bases.yaml").read_text(encoding="utf-8"))
MODES, DATA = ("structured", "binary"), ("object", "bytes")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
GARBAGE = (b"", b"\xff\xfe\x00", b"no JSON", b"[1]", b'{"id":"without-source"}', '{"n":"渝\\u001b'.encode())
_CHINA = timezone(timedelta(hours=8))
_numbers = itertools.count(1)

Order = dict[str, Any]


@dataclass
class Outcomes:
    """What has come of the records so far: outputs by event id, and the inputs that stand where their key
    does not belong."""

    outputs: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    duplicates: int = 0
    misplaced: list[str] = field(default_factory=list)
    codecs: set[int] = field(default_factory=set)
    """The codecs of the batches just published, as Kafka numbers them."""


class Exchange:
    """A gateway's topics as provinces' platforms see them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bootstrap = settings.bootstrap_servers
        self._published = 0
        self._looked_at: Counter[Any] = Counter()

    def orders(self) -> list[Order]:
        """New events in each mode, form of data and codec: of each province one that is forwarded, and one
        rejected."""
        return [
            self.order(event, mode, data, codec)
            for mode, data, codec in itertools.product(MODES, DATA, CODECS)
            for event in (plain("sichuan"), adorned("chongqing"), elsewhere("sichuan"))
        ]

    def order(self, event: dict[str, Any], mode: str, data: str, codec: str) -> Order:
        province = Province(event["source"].rsplit(":", 1)[1])
        topic, key = self.settings.topic_names.display(province), event["data"]["holder"]["ref"]
        return {"topic": topic, "key": key, "mode": mode, "data": data, "codec": codec, "event": event}

    async def publish(self, program: Program, orders: list[Order]) -> Outcomes:
        """Publish by ``program``, wait until the ledger accounts for it all, and return what has come out so
        far."""
        program.publish(self.bootstrap, orders)
        return await self._settle(len(orders))

    async def publish_garbage(self) -> Outcomes:
        """Publish what no event can be read from."""
        async with kafka.producer(self.settings) as producer:
            for value in GARBAGE:
                await producer.send_and_wait(self.settings.topic_names.display(Province.SICHUAN), value=value)
        return await self._settle(len(GARBAGE))

    async def _settle(self, published: int) -> Outcomes:
        self._published += published
        account = await wait_until_accounted(self.settings, self._published)
        assert account.accounted == self._published
        found = Outcomes(duplicates=account.duplicates, codecs=await self._codecs())
        for record in itertools.chain.from_iterable(account.outputs.values()):
            if event := record["data"].get("event"):
                found.outputs[event["id"]].append(record)
        topics = self.settings.topic_names
        async for record in read_topics(self.settings, topics.displays):
            if record.key and partition_of(record.key, self.settings.topics.partitions) != record.partition:
                found.misplaced.append(f"{record.topic}/{record.partition}/{record.offset}")
        return found

    async def _codecs(self) -> set[int]:
        """Return the codecs of the batches that have come since this was called last."""
        found = set()
        async with raw_client(self.settings) as client:
            for partition in await kafka.partitions_of(self.settings, list(self.settings.topic_names.displays)):
                while data := (await _fetch(client, partition, self._looked_at[partition], 0)).data:
                    for batch in read_batches(data):
                        found.add(batch.codec)
                        self._looked_at[partition] = batch.next_offset
        return found

    async def written(self, *types: str) -> dict[tuple[str, int, int], Any]:
        """Return every record that the gateway has written, by topic, partition and offset, once ``types``
        are among them."""
        topics = [name for name in self.settings.topic_names.all if name not in self.settings.topic_names.displays]
        deadline = time.monotonic() + PATIENCE_S
        while True:
            records = [record async for record in read_topics(self.settings, topics)]
            found = {(each.topic, each.partition, each.offset): json.loads(each.value) for each in records}
            if not (silent := {*types} - {each["type"] for each in found.values()}):
                assert {topic for topic, _, _ in found} == {*topics}
                return found
            assert time.monotonic() < deadline, f"not written after 60 s: {sorted(silent)}"
            await asyncio.sleep(0.5)


def plain(province: str) -> dict[str, Any]:
    """Return a new event that is forwarded, as in the examples; its time has an offset and no fraction."""
    event = copy.deepcopy(BASES[province])
    shown = datetime.now(_CHINA) - timedelta(seconds=30)
    return event | {"id": f"clients-{next(_numbers)}", "time": shown.isoformat(timespec="seconds")}


def adorned(province: str) -> dict[str, Any]:
    """Return a new event that is forwarded, with all that CloudEvents allows beside: its time is in UTC with
    milliseconds."""
    event = plain(province)
    shown = datetime.fromisoformat(event["time"]).astimezone(UTC) + timedelta(milliseconds=120)
    return event | {
        "id": f'{event["id"]}/亮证 "𠀀"',
        "time": shown.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "subject": "道路运输证/1",
        "traceparent": TRACEPARENT,
        "department": "五处 %41",
    }


def elsewhere(province: str) -> dict[str, Any]:
    """Return a new event that is rejected: the list does not have its channel."""
    event = plain(province)
    event["data"]["display"]["channel"] = "别的客户端"
    return event


def odd() -> list[dict[str, Any]]:
    """Return new events whose records are the hardest to read: typed attributes, characters that parsers
    stumble over, bad ids."""
    typed = adorned("sichuan") | {"sequence": 2**31 - 1, "negative": -(2**31), "urgent": True, "tracestate": "a=1,b=2"}
    written = adorned("chongqing")
    written["data"]["display"]["matter_name"] = 'a\u2028\u2029\ufeff\u0000\x1b\x7f\u0085"\\/\ufffe𠀀\u202e'
    return [typed, written, plain("sichuan") | {"id": "tel 13800138000"}, plain("sichuan") | {"id": "i" * 257}]


def is_rejected(order: Order) -> bool:
    return order["event"]["data"]["display"]["channel"] == "别的客户端"


def assert_each_once(outcomes: Outcomes, orders: list[Order], *, times_published: int = 1) -> None:
    """Each forwarded event was verified once however often it was published, each rejected one rejected
    every time."""
    wrong = []
    for order in orders:
        event, outputs = order["event"], outcomes.outputs[order["event"]["id"]]
        expected = [REJECTED_TYPE] * times_published if is_rejected(order) else [VERIFIED_TYPE]
        if [output["type"] for output in outputs] != expected:
            reasons = [
                (each["code"], each["field"]) for output in outputs for each in output["data"].get("reasons", ())
            ]
            wrong.append((*(order[name] for name in ("mode", "data", "codec")), event["id"], len(outputs), reasons))
            continue
        assert datetime.fromisoformat(outputs[0]["data"]["event"]["time"]) == datetime.fromisoformat(event["time"])
        for name in ("subject", "traceparent", "department") if not is_rejected(order) else ():
            assert outputs[0].get(name) == event.get(name)
    assert not wrong, (
        f"mode, data, codec, id, outputs and reasons of what was not forwarded or rejected as expected: {wrong}"
    )
    assert not outcomes.misplaced, "not in its key's partition"


def as_read(record: dict[str, Any]) -> dict[str, Any]:
    """Return what an SDK must give of a record, beside its place."""
    names = ("id", "source", "type", "subject", "time", "traceparent", "data")
    return with_instant({name: record.get(name) for name in names})


def with_instant(line: dict[str, Any]) -> dict[str, Any]:
    """Return the line with its time as an instant: SDKs write the same one in several ways."""
    return line | {"time": line["time"] and datetime.fromisoformat(line["time"])}
