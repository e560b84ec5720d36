"""Whatever stands on a topic that feedback reads, whoever wrote it: the worker counts on, the page answers,
commands end well."""

import asyncio
import contextlib
import json
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition
from confluent_kafka import Producer

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.contract.headers import ORIGIN_HEADER
from gateway.errors import ConfigurationError
from gateway.feedback.changelog import position_key
from gateway.feedback.prepare import prepare_topics
from gateway.feedback.problems import observe
from gateway.feedback.state import FeedbackTopics, read_state
from gateway.operate.topics import apply_topics
from tests.batches import bomb, build, rows, with_bad_header
from tests.kafka.harness import Worker, read_topics
from tests.kafka.relays_work import RelaysWork
from tests.kafka.test_changelogs import end_worker
from tests.kafka.test_feedback import counts_of, equal_rejections, feedback_workers, gateway, rejected_events
from tests.kafka.test_unreadable import produce
from tests.patience import PATIENCE_S
from tests.ports import free_port

Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]
DEEP = b"[" * 100_000


def foreign_records(own: list[Any]) -> Iterator[Record]:
    """What anybody may write: bytes that are nothing, and the gateway's own records (``own``) with a part
    changed."""
    for value in (None, b"", b"\0\xff\xfe", b"[1]", b"null", DEEP, b'{"a":' * 50_000, b'{"data":{"x":' + DEEP + b"}}"):
        yield None, value, []
        yield b"\xff\xfe", value, [(ORIGIN_HEADER, None), ("x", None)]
    for record in own:
        for changed in changes(json.loads(record.value)):
            yield record.key, json.dumps(changed).encode(), [(ORIGIN_HEADER, b"x/99999999999999999999/1"), ("", b"")]
        yield record.key, record.value[:-1] + b',"more":' + DEEP + b"}", list(record.headers)


def unreadable_batches() -> list[bytes]:
    """What no client can read; its first record has a key of feedback's tables."""
    return [with_bad_header(build([(position_key(0).encode(), b"{}", [("zzzz", b"")]), *rows(b"x")])), bomb(20_000_000)]


def changes(content: Any) -> Iterator[Any]:
    """Every part of a record in turn left out, or another thing than it is."""
    yield from changed_parts(content)
    for odd in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "lost|forward", "﷐" * 3000, -1, 10**300, [], {}, None):
        yield from changed_parts(content, odd)


_LEFT_OUT = object()


def changed_parts(content: Any, odd: Any = _LEFT_OUT) -> Iterator[Any]:
    for key in list(content) if isinstance(content, dict) else range(min(len(content), 1)):
        kept = dict(content) if isinstance(content, dict) else list(content)
        if odd is _LEFT_OUT:
            del kept[key]
        else:
            kept[key] = odd
        yield kept
        if isinstance(content[key], dict | list):
            for inner in changed_parts(content[key], odd):
                yield content | {key: inner} if isinstance(content, dict) else [inner, *content[1:]]


def soil(settings: Settings, topics: list[str], own: dict[str, list[Any]]) -> int:
    """Write foreign records to every partition of ``topics``; return how many the broker took."""
    producer, taken = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 20}), []
    for topic in topics:
        for number, (key, value, headers) in enumerate(foreign_records(own.get(topic, []))):
            # A compacted topic takes no record without a key.
            producer.produce(
                topic, value, key, number % 4, headers=headers, on_delivery=lambda error, _: taken.append(not error)
            )
            producer.poll(0)
    producer.flush()
    return sum(taken)


async def own_records(settings: Settings, topics: list[str]) -> dict[str, list[Any]]:
    """Return up to three different records of each topic."""
    found: dict[str, list[Any]] = {}
    async for record in read_topics(settings, topics):
        is_own = (record.value or b"").startswith((b'{"specversion"', b'{"problem"', b'{"places"', b'{"next"'))
        if is_own and len(of_topic := found.setdefault(record.topic, [])) < 3:
            of_topic.append(record)
    return found


def ask(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE_S) as answer:
        content = answer.read()
        return json.loads(content) if path.startswith("api/") and "report" not in path else content


def ask_for_everything(port: int) -> dict[str, Any]:
    ask(port, "metrics")
    for path in ("codes", "rejections?limit=200", "cases", "list", "effectiveness?province=sichuan",
                 "effectiveness?province=chongqing", "report?format=md", "report?format=html", "report?format=xlsx"):  # fmt: skip
        ask(port, f"api/{path}")
    return ask(port, "api/overview")


async def wait_until_counted(settings: Settings, worker: Worker) -> None:
    """Wait until every rejection and dead letter is counted that can be read as one, and none twice."""
    topics, expected = settings.topic_names, Counter[str]()
    async for record in read_topics(settings, [*topics.rejections, topics.deadletter]):
        if (seen := observe(record.value, record.headers, topics.rejections.get(record.topic))) is not None:
            expected.update({problem.case_id for problem in seen.problems})
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(ConfigurationError):
            if (counted := counts_of(await read_state(settings))) == expected:
                return
        assert worker.process is not None
        assert worker.process.poll() is None, worker.log.read_text()[-3000:]
        assert time.monotonic() < deadline, (expected - counted, counted - expected, worker.log.read_text()[-2000:])
        await asyncio.sleep(0.5)


async def test_no_foreign_record_stops_worker_page_or_command(settings: Settings, tmp_path: Path) -> None:
    topics, names, work = settings.topic_names, FeedbackTopics(settings), RelaysWork(settings)
    await apply_topics(settings)
    await prepare_topics(settings)
    port = free_port()
    web = {"GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__PORT": str(port)}
    sources = [*topics.rejections, topics.deadletter, topics.ledger]
    everything = [*sources, *names.all]
    soil(settings, everything, {})
    with feedback_workers(settings, 1, **web) as (worker,):
        await work.write(rejected_events(settings, 200, seed=21), int(time.time() * 1000))
        await wait_for_announcements(settings, worker)
        await wait_until_counted(settings, worker)
        # Beside the gateway's own records, and made of them; with the tables' own keys, too.
        assert soil(settings, everything, await own_records(settings, everything)) > 2000
        for topic in everything:
            await produce(settings, TopicPartition(topic, 0), *unreadable_batches())
        async with kafka.producer(settings) as producer:
            for changelog in names.changelogs:
                for key in (position_key(0), "0/" + "0" * 16, "0/sichuan/2026-11-23"):
                    await producer.send_and_wait(changelog, key=key.encode(), value=DEEP, partition=0)
        await wait_until_counted(settings, worker)
        overview = await asyncio.to_thread(ask_for_everything, port)
        assert overview["connected"]
        end_worker(worker)
        worker.start()  # and reads all of that at its start
        await work.write(equal_rejections(settings, 12, 31), int(time.time() * 1000))
        await wait_until_counted(settings, worker)
        await asyncio.to_thread(ask_for_everything, port)
        assert json.loads(await asyncio.to_thread(ask, port, "readyz"))["ready"]
        for said, expected in {
            "records.foreign": True,
            "feedback.task_failed": False,
            "record.not_counted": False,
        }.items():
            assert bool(worker.events(said)) == expected, worker.events(said)
        end_worker(worker)
    for arguments in (("list",), ("list", "--format", "json"), ("rebuild",), ("rebuild", "--dry-run")):
        gateway(settings, "feedback", *arguments)
    compared = gateway(settings, "feedback", "rebuild", "--dry-run", "--format", "json")
    assert json.loads(compared)["changed"] == 0  # what it logs of foreign records is no data
    for form in ("md", "html", "xlsx"):
        gateway(settings, "report", "--output", str(tmp_path / f"report.{form}"), "--format", "json")


async def wait_for_announcements(settings: Settings, worker: Worker) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not worker.events("feedback.announced"):
        assert time.monotonic() < deadline, worker.log.read_text()[-3000:]
        await asyncio.sleep(0.3)
