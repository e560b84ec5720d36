"""``gateway replay`` and ``list diff --impact`` on a real broker: counts are those of the decisions, and
nothing is written."""

import asyncio
import copy
import datetime
import json
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.core.decision import Decision, Forward, Outcome, Reject, codes_of, row_of
from gateway.core.event import Valid
from gateway.core.times import format_instant
from gateway.decide import decide_bytes
from gateway.operate.simulate import Simulator
from gateway.operate.topics import apply_topics
from tests.kafka.harness import publish, read_topics
from tests.kafka.row6 import CHINA, amendment, copy_of_the_list, row_6_event
from tests.kafka.test_commands import gateway

SIMULATED, ROW_6 = 3000, 25


async def test_replay_counts_what_the_decisions_say_and_writes_nothing(settings: Settings, tmp_path: Path) -> None:
    folder = await prepare(settings, tmp_path)
    offsets = await all_ends(settings)
    lists = ("--list", str(folder))
    done = await asyncio.to_thread(gateway, settings, "replay", *lists, "--format", "json", "--examples", "2")
    result = read_json(done)
    expected = await expect(settings, folder)
    assert result["events"] == SIMULATED + ROW_6
    assert_is(result, expected)
    assert result["opened"] >= ROW_6
    assert result["closed"] > 0
    assert result["lists"] == {
        "against": load_recognition(settings.recognition_dir).digest,
        "list": load_recognition(folder).digest,
    }
    assert all(len(change["examples"]) == min(2, change["count"]) for change in result["changes"])
    # The other way round, everything is mirrored.
    back = await asyncio.to_thread(
        gateway,
        settings,
        "replay",
        "--list",
        str(settings.recognition_dir),
        "--against",
        str(folder),
        "--format",
        "json",
    )
    mirrored = read_json(back)
    assert (mirrored["opened"], mirrored["closed"]) == (result["closed"], result["opened"])
    assert kinds(mirrored) == {(after, before): count for (before, after), count in kinds(result).items()}
    assert await all_ends(settings) == offsets


async def test_replay_for_people_names_units_and_nobody_else(settings: Settings, tmp_path: Path) -> None:
    folder, page = await prepare(settings, tmp_path), tmp_path / "report.md"
    done = await asyncio.to_thread(gateway, settings, "replay", "--list", str(folder), "--output", str(page))
    text, markdown = done.stdout.decode(), page.read_text(encoding="utf-8")
    assert done.returncode == 0
    for words in ("判定将改变", "行 1/6", "通过 forward", "重庆市交通局", "CHANNEL_NOT_RECOGNISED", "500103"):
        assert words in text
        assert words in markdown or words == "行 1/6"
    assert "events decided under two lists" in done.stderr.decode()
    assert not re.search(r"sm3:|张\*|\*\*|某\*", text + markdown + done.stderr.decode())


async def test_since_uses_broker_time_and_remembers_earlier_ids(settings: Settings, tmp_path: Path) -> None:
    folder = copy_of_the_list(tmp_path)
    now = datetime.datetime.now(CHINA)
    (folder / "amendment-1.yaml").write_text(amendment(now.date() - datetime.timedelta(days=3)), encoding="utf-8")
    await apply_topics(settings)
    early = [row_6_event(number, now) for number in range(10)]
    late = [row_6_event(number, now) for number in range(10, 30)]
    await publish(settings, early)
    await asyncio.sleep(0.05)
    between = format_instant(time.time_ns() // 1000)
    await asyncio.sleep(0.05)
    await publish(settings, [*early, *late])

    async def ask(*options: str) -> dict[str, Any]:
        command = ("replay", "--list", str(folder), "--format", "json", *options)
        return read_json(await asyncio.to_thread(gateway, settings, *command))

    whole, since, until = await ask(), await ask("--since", between), await ask("--until", between)
    assert [(each["events"], each["opened"]) for each in (whole, since, until)] == [(40, 30), (30, 20), (10, 10)]
    assert since["outcomes"]["list"] == {"duplicate": 10, "forward": 20}
    assert (await ask("--since", "2100-01-01T00:00:00Z"))["events"] == 0
    # What takes effect on a day to come touches nothing that was: said, so that nobody takes it for
    # harmless.
    (folder / "amendment-1.yaml").write_text(amendment(datetime.date(2100, 1, 1)), encoding="utf-8")
    done = await asyncio.to_thread(gateway, settings, "replay", "--list", str(folder))
    assert "判定均不改变" in done.stdout.decode()
    assert "2100-01-01" in done.stderr.decode()


async def test_impact_counts_the_rows_that_differ(settings: Settings, tmp_path: Path) -> None:
    folder = await prepare(settings, tmp_path)
    offsets = await all_ends(settings)
    command = ("list", "diff", str(settings.recognition_dir), str(folder), "--impact", "--days", "1")
    done = await asyncio.to_thread(gateway, settings, *command, "--format", "json")
    assert done.returncode == 1, done.stderr.decode()
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    rows = {each["row"]: each for each in objects if each["kind"] == "impact"}
    assert [each["row"] for each in objects if each["kind"] == "row"] == [5, 6]
    # Other rows change only where an id was used for several events, of which another one is forwarded now.
    assert rows.keys() >= {5, 6}
    expected = await expect(settings, folder)
    touched = Counter(row[1] for old, new in expected for row in {row_of(old), row_of(new)} if row)
    changed = Counter(row[1] for old, new in expected if side(old) != side(new) and (row := row_of(new) or row_of(old)))
    assert {row: (each["events"], each["changed"]) for row, each in rows.items()} == {
        row: (touched[row], changed[row]) for row in changed
    }
    total = objects[-1]
    assert (total["kind"], total["days"], total["events"], total["changed"]) == (
        "impact_total", 1, SIMULATED + ROW_6, changed.total(),
    )  # fmt: skip
    text = (await asyncio.to_thread(gateway, settings, *command)).stdout.decode()
    assert "影响 impact" in text
    assert await all_ends(settings) == offsets


def test_topics_that_are_not_there_are_named(settings: Settings) -> None:
    done = gateway(settings, "replay", "--list", str(settings.recognition_dir))
    assert (done.returncode, done.stdout) == (78, b"")
    assert f"{settings.topic_prefix}sichuan.display" in done.stderr.decode()


async def prepare(settings: Settings, folder: Path) -> Path:
    """A history in the topics, and a list that resolves row 6's areas and takes a channel from row 5."""
    await apply_topics(settings)
    now = datetime.datetime.now(CHINA)
    simulator = Simulator(load_recognition(settings.recognition_dir), seed=31, reject_share=0.3)
    records = [simulator.next_event(int(now.timestamp() * 1000)) for _ in range(SIMULATED)]
    await publish(settings, [*records, *(row_6_event(number, now) for number in range(ROW_6))])
    edited = copy_of_the_list(folder)
    content = yaml.safe_load(amendment(datetime.date(2022, 10, 23)))
    (edited / "amendment-1.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    content = copy.deepcopy(content)
    content["document"]["number"] = "测试〔2026〕2号"
    content["set"] = [{"row": 5, "cell": "channels", "value": ["天府通办"]}]
    (edited / "amendment-2.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return edited


async def expect(settings: Settings, folder: Path) -> list[tuple[Decision, Decision]]:
    """Return every event decided twice, by the decision alone, remembering what each list forwards."""
    lists = [load_recognition(settings.recognition_dir), load_recognition(folder)]
    topics, forwarded, decisions = settings.topic_names, ({}, {}), []
    async for record in read_topics(settings, topics.displays):
        both = []
        for recognition, all_known in zip(lists, forwarded, strict=True):
            known = all_known.setdefault((record.topic, record.partition), {})
            decision = decide_bytes(
                record.value, topics.displays[record.topic], record.timestamp, recognition,
                key=record.key, headers=record.headers, forwarded=known,
            )  # fmt: skip
            if isinstance(decision, Forward):
                identity = decision.reading.identity
                known[identity] = (*known.get(identity, ()), decision.reading.content_digest)
            both.append(decision)
        decisions.append((both[0], both[1]))
    return decisions


def assert_is(result: dict[str, Any], expected: list[tuple[Decision, Decision]]) -> None:
    """Assert every count of ``result`` against the decisions."""
    changed = [(old, new) for old, new in expected if side(old) != side(new)]
    assert kinds(result) == Counter((side(old), side(new)) for old, new in changed)
    assert result["changed"] == len(changed)
    assert result["outcomes"] == {
        name: dict(sorted(Counter(pair[index].outcome.value for pair in expected).items()))
        for index, name in enumerate(("against", "list"))
    }
    opened = [new for old, new in changed if new.outcome is Outcome.FORWARD]
    closed = [new for old, new in changed if old.outcome is Outcome.FORWARD]
    assert (result["opened"], result["closed"]) == (len(opened), len(closed))
    same = [(old, new) for old, new in expected if side(old) == side(new)]
    assert result["further_reasons"] == sum(codes_of(old) != codes_of(new) for old, new in same)
    assert from_to(result["by_reason"], "reason") == counted(
        [(codes_of(old)[:1], codes_of(new)[:1]) for old, new in changed]
    )
    units = [(units_of(old), units_of(new)) for old, new in changed]
    assert from_to(result["by_unit"], "unit") == counted(units)
    regions = [
        [code for each in part for code in region_of(each)] for part in ([new for _, new in changed], opened, closed)
    ]
    for name, codes in zip(("changed", "opened", "closed"), regions, strict=True):
        assert {each["region"]: each[name] for each in result["by_region"] if each[name]} == Counter(codes)
        rows = {"changed": [new for _, new in changed], "opened": opened, "closed": closed}[name]
        found = {(each["batch"], each["row"]): each[name] for each in result["by_row"] if each[name]}
        assert found == Counter(row for each in rows if (row := row_of(each)))
    touched = Counter(row for old, new in expected for row in {row_of(old), row_of(new)} if row)
    assert {(each["batch"], each["row"]): each["events"] for each in result["by_row"]} == touched


def side(decision: Decision) -> tuple[str, str | None, tuple[int, int] | None]:
    codes = codes_of(decision)
    return decision.outcome.value, codes[0].value if codes else None, row_of(decision)


def units_of(decision: Decision) -> tuple[str, ...]:
    return decision.units if isinstance(decision, Reject) else ()


def region_of(decision: Decision) -> tuple[str, ...]:
    reading = getattr(decision, "reading", None)
    return (reading.event.data.display.region_code,) if isinstance(reading, Valid) else ()


def kinds(result: dict[str, Any]) -> dict[Any, int]:
    return {
        tuple(
            (
                each[end]["outcome"],
                each[end]["reason"],
                (each[end]["batch"], each[end]["row"]) if each[end]["row"] else None,
            )
            for end in ("from", "to")
        ): each["count"]
        for each in result["changes"]
    }


def from_to(counts: list[dict[str, Any]], name: str) -> dict[str, tuple[int, int]]:
    return {each[name]: (each["from"], each["to"]) for each in counts}


def counted(pairs: list[tuple[tuple[str, ...], tuple[str, ...]]]) -> dict[str, tuple[int, int]]:
    before = Counter(str(word) for old, _ in pairs for word in old)
    after = Counter(str(word) for _, new in pairs for word in new)
    return {word: (before[word], after[word]) for word in before | after}


async def all_ends(settings: Settings) -> dict[Any, int]:
    """Where every partition of every topic ends."""
    partitions = await kafka.partitions_of(settings, list(settings.topic_names.all))
    async with kafka.consumer(settings) as consumer:
        return dict(await consumer.end_offsets(partitions))


def read_json(done: "subprocess.CompletedProcess[bytes]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    (line,) = done.stdout.splitlines()
    return json.loads(line)
