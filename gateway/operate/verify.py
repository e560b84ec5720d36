"""Reads back what the gateway wrote, committed records only, and holds it against what was published."""

from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.contract.dead_letter import DEADLETTER_TYPE
from gateway.contract.ledger_entry import LEDGER_TYPE
from gateway.contract.rejection import REJECTED_TYPE
from gateway.contract.verification import VERIFIED_TYPE
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.decide import digest_input
from gateway.operate.simulate import Simulated

_decode = msgspec.json.Decoder().decode
_OUTPUTS = {VERIFIED_TYPE: Outcome.FORWARD, REJECTED_TYPE: Outcome.REJECT, DEADLETTER_TYPE: Outcome.DEAD_LETTER}


@dataclass(slots=True)
class DemoCounts:
    """What was published, what came out, and the difference.

    Outputs are matched by input digest, so the bytes are compared and not only the ids. Duplicates leave no
    record but are counted in the ledger.
    """

    published: Counter[str] = field(default_factory=Counter)  # by province
    forwarded: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    newest: deque[tuple[str, str, str, str]] = field(default_factory=lambda: deque(maxlen=8))
    foreign: int = 0
    """Outputs for which nothing was published: none may be."""
    wrong: list[str] = field(default_factory=list)
    """Ids whose outcome or reasons are not what the simulator expects."""
    _expected: dict[tuple[str, Outcome], list[Simulated]] = field(default_factory=dict)
    _duplicates_expected: int = 0
    _outputs_expected: int = 0
    _outputs: Counter[tuple[str, Outcome]] = field(default_factory=Counter)

    def publish(self, record: Simulated) -> None:
        """Count ``record`` as published."""
        self.published[record.province.value] += 1
        if record.expected is Outcome.DUPLICATE:
            self._duplicates_expected += 1
            return
        self._outputs_expected += 1
        self._expected.setdefault((digest_input(record.value, record.headers), record.expected), []).append(record)

    def receive(self, record: dict[str, Any], topic_province: str) -> None:
        """Count one output record or ledger entry; ``topic_province`` is whose event it is about, where the
        topic says so."""
        kind, data = record["type"], record["data"]
        if kind == LEDGER_TYPE:
            self.duplicates[data["province"]] += sum(
                item["count"] for item in data["counts"] if item["outcome"] == Outcome.DUPLICATE.value
            )
            return
        outcome = _OUTPUTS[kind]
        decision = data.get("decision") or data
        key = (decision["input_digest"], outcome)
        if key not in self._expected:
            self.foreign += 1
            return
        self._outputs[key] += 1
        if outcome is Outcome.FORWARD:
            self.forwarded[topic_province] += 1
        elif outcome is Outcome.REJECT:
            self.rejected[topic_province] += 1
            codes = tuple(dict.fromkeys(reason["code"] for reason in data["reasons"]))
            self.reasons[codes[0]] += 1
            first = data["reasons"][0]
            self.newest.append((topic_province, codes[0], first["message"]["zh"], data["responsible_units"][0]))
            if codes != tuple(code.value for code in self._expected[key][0].codes):
                self.wrong.append(data["event"]["id"])
        else:
            self.dead_letters[topic_province] += 1

    @property
    def received(self) -> int:
        """Inputs that are accounted for."""
        return sum(self._outputs.values()) + self.duplicates.total()

    @property
    def lost(self) -> int:
        """Published, but nothing came out."""
        missing = sum(max(0, len(sent) - self._outputs[key]) for key, sent in self._expected.items())
        return missing + max(0, self._duplicates_expected - self.duplicates.total())

    @property
    def doubled(self) -> int:
        """Sent more than once, or for no reason at all."""
        extra = sum(max(0, self._outputs[key] - len(sent)) for key, sent in self._expected.items())
        return extra + self.foreign + max(0, self.duplicates.total() - self._duplicates_expected)

    @property
    def is_complete(self) -> bool:
        """Whether as many inputs are accounted for as were published."""
        return self.received >= self.published.total()

    @property
    def is_proper(self) -> bool:
        """Whether every event has exactly one outcome, the right one."""
        return not (self.lost or self.doubled or self.wrong)

    def summary(self) -> dict[str, int]:
        """Return the counts that `gateway demo --format json` ends with."""
        return {
            "published": self.published.total(),
            "forwarded": self.forwarded.total(),
            "rejected": self.rejected.total(),
            "duplicates": self.duplicates.total(),
            "dead_letters": self.dead_letters.total(),
            "lost": self.lost,
            "duplicated": self.doubled,
        }


class Verifier:
    """Reads every output topic from where it stands now on, and fills a tally."""

    def __init__(self, settings: Settings, tally: DemoCounts) -> None:
        self._settings = settings
        self._tally = tally
        topics = settings.topic_names
        self._province = {topics.verification(p): p.other.value for p in Province}
        self._province |= {topics.rejection(p): p.value for p in Province}
        self._dead_letters, self._topics = topics.deadletter, [*self._province, topics.deadletter, topics.ledger]
        self._inputs = {topic: province.value for topic, province in topics.displays.items()}
        self._consumer: AIOKafkaConsumer | None = None

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Verifier"]:
        """Watch new records until the block ends."""
        partitions = await kafka.partitions_of(self._settings, self._topics)
        async with kafka.consumer(self._settings) as consumer:
            consumer.assign(partitions)
            for partition, offset in (await consumer.end_offsets(partitions)).items():
                consumer.seek(partition, offset)
            self._consumer = consumer
            yield self

    async def poll(self, timeout_ms: int = 100) -> int:
        """Take in what has come; returns how many records."""
        assert self._consumer is not None  # noqa: S101 — inside watching()
        count = 0
        for batch in (await self._consumer.getmany(timeout_ms=timeout_ms)).values():
            for message in batch:
                try:
                    record = _decode(message.value or b"")
                    province = self._province.get(message.topic, "")
                    if message.topic == self._dead_letters:
                        province = self._inputs.get(record["data"]["origin"]["topic"], "")
                    self._tally.receive(record, province)
                except (msgspec.MsgspecError, UnicodeError, RecursionError, LookupError, TypeError):
                    self._tally.foreign += 1  # somebody else's, who writes there too
                count += 1
        return count

    async def poll_to_end(self) -> None:
        """Take in what is there until a second passes with nothing new."""
        while await self.poll(timeout_ms=1000):
            pass
