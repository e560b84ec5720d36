"""``gateway archive`` on a real broker: nothing is missing, nothing twice, however often it is killed."""

import asyncio
import datetime
import json
import os
import random
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.settings import Settings
from gateway.contract.headers import Origin
from gateway.contract.ledger_entry import read_entry
from gateway.core.province import Province
from gateway.core.times import china_date, parse_instant
from gateway.errors import GatewayError
from gateway.operate.archive.archiver import Archiver
from gateway.operate.archive.follow import run_archive
from gateway.operate.archive.layout import closings_of, days_of, find_manifest, lanes_on, segments_of
from gateway.operate.archive.manifest import Manifest, digest_of
from gateway.operate.archive.parquet import read_rows
from gateway.operate.archive.rows import COLUMNS, INPUTS, LEDGER, OUTPUTS
from gateway.operate.archive.segment import FencedError
from gateway.operate.archive.store import open_store
from gateway.operate.archive.trace import trace_archive
from gateway.operate.simulate import Simulated
from gateway.operate.topics import apply_topics
from gateway.operate.trace.query import Query
from gateway.operate.trace.search import trace
from tests.archives import gateway
from tests.conftest import Broker, settings_apart
from tests.kafka.blind_spots import rejected, work_off
from tests.kafka.harness import Worker, audit, publish, read_topics, simulate, wait_until_accounted, workers
from tests.kafka.one_lane import Notes, delete_before, events, lane_id, read
from tests.kafka.row6 import CHINA, amendment, copy_of_the_list, row_6_event
from tests.kafka.test_redrive import redrive
from tests.patience import PATIENCE_S
from tests.ports import free_port

EVENTS = 600
DAY_S = 86_400


@pytest.fixture(scope="module")
def worked_off(kafka_broker: Broker) -> Settings:
    """Topics of two partitions in which the gateway has done its work, in short turns, and stopped."""
    settings = settings_apart(kafka_broker)
    settings = settings.model_copy(
        update={
            "topics": settings.topics.model_copy(update={"partitions": 2}),
            "relay": settings.relay.model_copy(update={"session_timeout_ms": 6000, "max_records": 20}),
        }
    )

    async def work_off() -> None:
        await apply_topics(settings)
        await publish(settings, simulate(settings, EVENTS, seed=3))
        with workers(settings, 1) as (worker,):
            await wait_until_accounted(settings, EVENTS)
            assert worker.terminate() == 0

    asyncio.run(work_off())
    return settings


def archive(settings: Settings, folder: Path, *, clock: Any = time.time, expect: int = 0, **limits: Any) -> None:
    """Archive all that is there, in this process, with these settings of the archive."""
    limited = settings.model_copy(update={"archive": settings.archive.model_copy(update=limits)})
    assert run_archive(limited, str(folder), once=True, output="json", clock=clock) == expect


def manifests(folder: Path) -> Iterator[tuple[str, Manifest]]:
    """Every segment's folder and manifest, a lane's in their order."""
    store = open_store(str(folder))
    for day in days_of(store):
        for lane in lanes_on(store, day):
            for number in segments_of(store, day, lane):
                found = find_manifest(store, day, lane, number)
                if found is not None:
                    assert found.manifest is not None
                    yield found.path.removesuffix("/manifest.json"), found.manifest


def rows_of(folder: Path, file: str) -> list[dict[str, Any]]:
    """All rows of one kind of file, segment by segment."""
    found = []
    for place, manifest in manifests(folder):
        if any(each.name == file for each in manifest.files):
            rows = read_rows(file, (folder / place / file).read_bytes())
            found += [dict(zip(COLUMNS[file], row, strict=True)) for row in rows]
    return found


def place_of(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["topic"], row["partition"], row["offset"]


async def all_records(settings: Settings) -> dict[tuple[str, int, int], Any]:
    names = [name for name in settings.topic_names.all if name != settings.topic_names.feedback]
    return {(each.topic, each.partition, each.offset): each async for each in read_topics(settings, names)}


def assert_same_as_topics(settings: Settings, folder: Path) -> None:
    """Every record of the topics stands in the archive once, as the same bytes; nothing else does."""
    here = asyncio.run(all_records(settings))
    outputs = [row for file in (LEDGER, *OUTPUTS) for row in rows_of(folder, file)]
    inputs = rows_of(folder, INPUTS)
    places = Counter(map(place_of, [*outputs, *inputs]))
    assert places == Counter(here.keys())
    for row in outputs:
        record = here[place_of(row)]
        assert (row["key"], row["headers"], row["value"], row["timestamp"]) == (
            record.key, list(record.headers), record.value, record.timestamp,
        )  # fmt: skip
    numbers: dict[str, list[int]] = {}
    for _, manifest in manifests(folder):
        numbers.setdefault(manifest.lane, []).append(manifest.segment)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


def test_archive_holds_what_the_topics_hold(worked_off: Settings, tmp_path: Path, capfd: Any) -> None:
    archive(worked_off, tmp_path, segment_entries=5)
    done = json.loads(capfd.readouterr().out)
    assert (done["records"], done["lost"], done["waiting"]) == (EVENTS, 0, [])
    assert_same_as_topics(worked_off, tmp_path)
    outcomes = Counter(row["outcome"] for row in rows_of(tmp_path, INPUTS))
    entries = [read_entry(row["value"]) for row in rows_of(tmp_path, LEDGER)]
    assert outcomes == sum((Counter({c.outcome: c.count}) for e in entries if e for c in e.counts), Counter())
    assert all(row["event_id"] for row in rows_of(tmp_path, INPUTS) if row["outcome"] == "duplicate")
    archive(worked_off, tmp_path)  # again: nothing is new
    assert json.loads(capfd.readouterr().out)["segments"] == 0
    assert_same_as_topics(worked_off, tmp_path)


def test_killed_anywhere_nothing_is_missing_or_twice(worked_off: Settings, tmp_path: Path) -> None:
    dice, kills = random.Random(7), 0
    for _ in range(8):
        kills += die_at(dice.randrange(1, 40), worked_off, tmp_path)
    assert kills >= 4
    archive(worked_off, tmp_path, segment_entries=2)
    assert_same_as_topics(worked_off, tmp_path)
    assert not list(tmp_path.rglob("*.part"))


def die_at(step: int, settings: Settings, folder: Path) -> bool:
    """Archive in a process that is killed at its n-th step of writing; tell whether it got there."""
    child = os.fork()
    if child == 0:
        left = [step]

        def dying(real: Any) -> Any:
            def write(*arguments: Any) -> Any:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments)

            return write

        for module, name in ((os, "fsync"), (os, "link"), (Path, "replace")):
            setattr(module, name, dying(getattr(module, name)))
        try:
            archive(settings, folder, segment_entries=2)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_empty_topics_give_no_segment(settings: Settings, tmp_path: Path, capfd: Any) -> None:
    asyncio.run(apply_topics(settings))
    archive(settings, tmp_path)
    assert json.loads(capfd.readouterr().out)["segments"] == 0
    assert list(manifests(tmp_path)) == []
    assert days_of(open_store(str(tmp_path))) == []
    assert [each.name for each in (tmp_path / "lists").rglob("*.yaml")] == ["batch-1.yaml"]


async def test_a_growing_lane_and_the_change_of_days(one: Settings, notes: Notes, tmp_path: Path) -> None:
    began, store = time.time(), open_store(str(tmp_path))
    await work_off(one, notes, events(0, 3), rejected(3, 2), events(0, 1))
    now = time.time()
    today, next_day = (china_date(round((now + days * DAY_S) * 1e6)) for days in (0, 1))
    archiver = Archiver.prepared(one, store, now)
    states = await archiver.run_pass(now, everything=False)
    assert not list(manifests(tmp_path))  # not due yet: neither old nor full nor of a day that is over
    assert states[str(lane_id(one))].open_day == today
    assert began - 1 < states[str(lane_id(one))].open_since / 1000 < now + 1
    hasty = one.model_copy(update={"archive": one.archive.model_copy(update={"segment_minutes": 1})})
    await Archiver.prepared(hasty, store, now).run_pass(now + 90, everything=False)
    assert [(each.segment, each.day, each.entries) for _, each in manifests(tmp_path)] == [(1, today, 3)]
    await work_off(one, notes, events(10, 2))
    # Another archiver goes on where the manifests end, once the day is over; and then the day is closed.
    later = midnight_after(now) + 600
    archiver = Archiver.prepared(one, store, later)
    await archiver.run_pass(later, everything=False)
    assert [(each.segment, each.day, each.entries) for _, each in manifests(tmp_path)] == [(1, today, 3), (2, today, 1)]
    (closed,) = closings_of(store)
    assert closed[2] is not None
    assert [(each.lane, each.segment, each.day) for each in closed[2].lanes] == [(str(lane_id(one)), 2, today)]
    # What is written for a day that is closed belongs to the next one.
    await work_off(one, notes, events(20, 1))
    await archiver.run_pass(later + DAY_S, everything=False)
    assert [(each.segment, each.day) for _, each in manifests(tmp_path)] == [(1, today), (2, today), (3, next_day)]
    first, second = closings_of(store)
    assert second[2] is not None
    assert second[2].previous == digest_of("sm3", first[1])
    await asyncio.to_thread(assert_same_as_topics, one, tmp_path)


def midnight_after(now: float) -> float:
    """The end of the day in China, in seconds since the epoch."""
    return ((now + 8 * 3600) // DAY_S + 1) * DAY_S - 8 * 3600


async def test_what_retention_took_is_in_the_manifest(one: Settings, notes: Notes, tmp_path: Path) -> None:
    await work_off(one, notes, events(0, 3), events(10, 3))
    verification = one.topic_names.verification(Province.CHONGQING)
    await delete_before(one, one.topic_names.display(Province.SICHUAN), 2)
    await delete_before(one, verification, 1)
    await asyncio.to_thread(archive, one, tmp_path, expect=1)
    ((_, manifest),) = manifests(tmp_path)
    found = [(each.what, each.topic, each.first, each.last, each.count) for each in manifest.lost]
    assert found == [("outputs", verification, None, None, 1), ("inputs", manifest.topic, 0, 1, 2)]
    # Ledger entries that go before they are archived leave a gap too.
    await work_off(one, notes, events(20, 1), events(30, 1))
    end = (await read(one, one.topic_names.ledger))[-1].offset
    await delete_before(one, one.topic_names.ledger, end)
    await asyncio.to_thread(archive, one, tmp_path, expect=1)
    *_, (_, manifest) = manifests(tmp_path)
    assert [(each.what, each.first, each.last) for each in manifest.lost] == [("ledger", 3, end - 1)]


async def test_a_second_archiver_is_kept_out(one: Settings, notes: Notes, tmp_path: Path) -> None:
    await work_off(one, notes, events(0, 2))
    store, now = open_store(str(tmp_path)), time.time()
    with store.locked(), pytest.raises(GatewayError, match="another archiver writes to"):
        await asyncio.to_thread(archive, one, tmp_path)
    # Where locks do not reach, as over a network, the manifest that is there first counts.
    first, second = (Archiver.prepared(one, store, now) for _ in range(2))
    second._before[str(lane_id(one))] = None
    await first.run_pass(now, everything=True)
    with pytest.raises(FencedError, match="another archiver has written this segment"):
        await second.run_pass(now, everything=True)
    await asyncio.to_thread(assert_same_as_topics, one, tmp_path)


async def test_a_lane_that_fails_holds_no_other_up(one: Settings, notes: Notes, tmp_path: Path, capfd: Any) -> None:
    await work_off(one, notes, events(0, 2))
    await asyncio.to_thread(archive, one, tmp_path)
    ((place, _),) = manifests(tmp_path)
    path = tmp_path / place / "manifest.json"
    content = json.loads(path.read_bytes())
    content["next"]["ledger"] = 10_000
    path.write_bytes(json.dumps(content).encode())
    capfd.readouterr()
    await asyncio.to_thread(archive, one, tmp_path, expect=1)
    (why,) = json.loads(capfd.readouterr().out)["failed"]
    assert "this is another ledger" in why
    states = await Archiver.prepared(one, open_store(str(tmp_path)), time.time()).run_pass(time.time(), everything=True)
    assert [each.failed for each in states.values()] == [why, None]
    assert states[str(lane_id(one))].open_since is not None  # so that its age grows, and the alert fires


def test_archive_and_topics_are_audited_alike(worked_off: Settings, tmp_path: Path) -> None:
    archive(worked_off, tmp_path, segment_entries=3, input_bytes=True)
    there, here = audit(worked_off, "--prove"), gateway(worked_off, "audit", "--archive", str(tmp_path), "--prove")
    assert here["findings"] == []
    assert (here["ok"], here["proved"], here["unprovable"]) == (True, EVENTS, {})
    for name in ("offsets", "outcomes", "entries", "outputs", "redriven", "gaps", "digest_mismatches"):
        assert here[name] == there[name]
    assert there.keys() - here.keys() == set()


async def test_redriven_events_are_proved_under_their_list(one: Settings, notes: Notes, tmp_path: Path) -> None:
    folder, place = copy_of_the_list(tmp_path), tmp_path / "archive"
    now = datetime.datetime.now(CHINA)
    await publish(one, [Simulated(*row_6_event(number, now)) for number in range(3)])
    await work_off(one, notes, events(0, 2))
    await asyncio.to_thread(archive, one, place, input_bytes=True)
    (folder / "amendment-1.yaml").write_text(amendment(now.date()), encoding="utf-8")
    assert (await asyncio.to_thread(redrive, one, folder, "--all"))["forward"] == 3
    amended = one.model_copy(update={"recognition": folder})
    await asyncio.to_thread(archive, amended, place, input_bytes=True)
    found = await asyncio.to_thread(gateway, one, "audit", "--archive", str(place), "--prove")
    assert found["findings"] == []
    assert (found["redriven"], found["proved"], found["archive"]["lists"]) == (3, 5, 2)
    assert found["archive"]["settings_changes"] == 2  # the folder of the list is a setting
    await asyncio.to_thread(assert_same_as_topics, one, place)


def test_the_archive_tells_the_same_story(one: Settings, notes: Notes, tmp_path: Path) -> None:
    bare, whole = tmp_path / "bare", tmp_path / "whole"
    trace_of = "a" * 32
    traced = [each | {"traceparent": f"00-{trace_of}-00f067aa0ba902b7-01"} for each in events(5, 1)]
    asyncio.run(work_off(one, notes, events(0, 2), rejected(3, 1), [*events(0, 1), *traced]))
    for folder, with_bytes in ((bare, False), (whole, True)):
        archive(one, folder, input_bytes=with_bytes, segment_entries=1)

    def told(folder: Path, query: Query) -> list[dict[str, Any]]:
        story, code = trace_archive(one, str(folder), query)
        assert (code, story["searched"]["unread"]) == (0, [])
        days = [each.pop("archived_day") for each in story["occurrences"]]
        assert days == [china_date(parse_instant(each["input"]["received"]) or 0) for each in story["occurrences"]]
        return list(story["occurrences"])

    for name, count in (("id-0", 2), ("id-3", 1)):
        there = trace(one, Query(name), None)[0]["occurrences"]
        assert len(there) == count
        assert told(whole, Query(name)) == there
        for old, new in zip(there, told(bare, Query(name)), strict=True):
            differ = {name for name in old if old[name] != new[name]}
            assert differ <= {"proved", "proved_zh", "checks", "source", "shown_at", "trace_id"}
            assert new["proved"] == "not proved: the input's bytes are not archived"
            # Of a duplicate, which has no output, the id alone is kept.
            assert old["outcome"] == "duplicate" or differ <= {"proved", "proved_zh", "checks"}
    for query, name in ((Query(trace_id=trace_of), "id-5"), (Query(at=Origin("sichuan.display", 0, 2)), "id-3")):
        (found,) = told(bare, query)
        assert found["id"] == name
    assert told(bare, Query("id-9")) == []


def test_it_runs_until_sigterm_and_shows_metrics(worked_off: Settings, tmp_path: Path) -> None:
    port = free_port()
    worker = Worker(
        worked_off, "archive", "run", "--to", str(tmp_path),
        GATEWAY_ARCHIVE__SEGMENT_MINUTES="0.001", GATEWAY_WEB__ENABLED="true", GATEWAY_WEB__PORT=str(port),
    ).start()  # fmt: skip
    try:
        worker.wait_for("archive.written", 4)
        deadline, shown = time.monotonic() + PATIENCE_S, dict[str, float]()
        while shown.get("gateway_archive_records_total") != EVENTS and time.monotonic() < deadline:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
                families = text_string_to_metric_families(answer.read().decode())
                shown = {sample.name: sample.value for family in families for sample in family.samples}
            time.sleep(0.1)
        assert shown["gateway_archive_records_total"] == EVENTS
        assert shown["gateway_archive_oldest_unarchived_seconds"] == 0
        assert shown["gateway_archive_retention_seconds"] == worked_off.topics.retention_hours * 3600
        assert worker.terminate() == 0
        assert [line["event"] for line in worker.lines()][-1] == "archive.stopped"
        assert worker.events("archive.not_written") == []
    finally:
        worker.discard()
    assert_same_as_topics(worked_off, tmp_path)
