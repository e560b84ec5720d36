"""What a peer gets from its environment, and the two jobs that it may be given. Imports nothing of any peer,
and no settings."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.adapters.list_files import load_recognition
from gateway.contract.dead_letter import build_dead_letter
from gateway.contract.headers import Origin
from gateway.contract.rejection import build_rejection
from gateway.contract.topics import Topics
from gateway.contract.verification import build_verification
from gateway.core.decision import DeadLetter, Forward, Reject
from gateway.core.province import Province
from gateway.decide import decide_bytes

Input = tuple[str, int, int, int, bytes | None, bytes]
"""Topic, partition, offset, the broker's time in milliseconds, key, value."""
Job = Callable[[Input], tuple[str, bytes]]
"""An input → the topic that its output goes to, and the output's bytes."""


@dataclass(frozen=True)
class Task:
    """The broker, whose topics, the consumer group, which job, and which of how many workers this is."""

    bootstrap_servers: str = field(default_factory=lambda: os.environ["BENCH_BOOTSTRAP_SERVERS"])
    topics: Topics = field(default_factory=lambda: Topics(os.environ["BENCH_PREFIX"]))
    group_id: str = field(default_factory=lambda: os.environ["BENCH_GROUP"])
    job: str = field(default_factory=lambda: os.environ["BENCH_JOB"])
    list_dir: Path = field(default_factory=lambda: Path(os.environ["BENCH_LIST"]))
    state_dir: Path = field(default_factory=lambda: Path(os.environ["BENCH_STATE_DIR"]))
    worker: int = field(default_factory=lambda: int(os.environ["BENCH_WORKER"]))
    workers: int = field(default_factory=lambda: int(os.environ["BENCH_WORKERS"]))

    @property
    def outputs(self) -> dict[str, str]:
        """Input topic → where what is forwarded from it goes."""
        return {topic: self.topics.verification(province.other) for topic, province in self.topics.displays.items()}

    @property
    def written(self) -> list[str]:
        """The topics that this job writes to."""
        reduced = sorted(self.outputs.values())
        return reduced if self.job == "reduced" else [*reduced, *self.topics.rejections, self.topics.deadletter]

    def make_job(self) -> Job:
        """``reduced``: parse, serialise, forward. ``decision``: the gateway's own decision and record."""
        return self._make_decision() if self.job == "decision" else self._make_reduced()

    def _make_reduced(self) -> Job:
        outputs, decode, encode = self.outputs, msgspec.json.Decoder().decode, msgspec.json.Encoder().encode

        def parse_and_serialise(record: Input) -> tuple[str, bytes]:
            return outputs[record[0]], encode(decode(record[5]))

        return parse_and_serialise

    def _make_decision(self) -> Job:
        topics, recognition = self.topics, load_recognition(self.list_dir)
        provinces = topics.displays

        def decide_and_build(record: Input) -> tuple[str, bytes]:
            topic, partition, offset, received, key, raw = record
            province: Province = provinces[topic]
            decision = decide_bytes(raw, province, received, recognition, key=key)
            match decision:
                case Forward():
                    return topics.verification(province.other), build_verification(decision)
                case Reject():
                    return topics.rejection(province), build_rejection(decision)
                case DeadLetter():
                    origin = Origin(topic, partition, offset)
                    return topics.deadletter, build_dead_letter(decision, raw, origin)
            raise AssertionError("a duplicate, where nothing was forwarded before")

        return decide_and_build
