"""``gateway redrive`` on a real broker: once, linked, on the ledger, and without going round in circles."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway.adapters.settings import Settings
from gateway.adapters.topics import Topics
from gateway.core.province import Province
from gateway.core.records import REJECTED_TYPE, VERIFIED_TYPE
from gateway.operate.topics import apply_topics
from tests.kafka.harness import audit, publish, read_topics, wait_until_accounted, with_short_sessions, workers
from tests.kafka.row6 import CHINA, amendment, copy_of_the_list, row_6_event
from tests.kafka.test_audit import simulate
from tests.signing import settings_signing


def redrive(settings: Settings, folder: Path, *options: str, expect: int = 0) -> dict[str, Any]:
    environment = os.environ | settings.as_environment() | {"GATEWAY_RECOGNITION": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "redrive", "--format", "json", *options],
        env=environment, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}


async def ends(settings: Settings) -> int:
    return len([record async for record in read_topics(settings, Topics(settings.topic_prefix).all)])


async def test_rejected_events_go_through_once_under_the_amended_list(settings: Settings, tmp_path: Path) -> None:
    folder = copy_of_the_list(tmp_path)
    # The gateway signs, and the audits below ask for it: of redriven records and their entries too.
    settings = settings_signing(with_short_sessions(settings), tmp_path, "ed25519")
    await apply_topics(settings)
    now = datetime.datetime.now(CHINA)
    others = simulate(settings, 500, seed=21)
    settled = [row_6_event(number, now) for number in range(40)]
    too_early = [row_6_event(number, now - datetime.timedelta(days=1)) for number in range(40, 60)]
    wrong_channel = [row_6_event(number, now) for number in range(60, 70)]
    wrong_channel = [
        each._replace(value=each.value.replace("天府通办".encode(), "微信".encode())) for each in wrong_channel
    ]
    reused = [each._replace(value=each.value.replace("张*".encode(), "李*".encode())) for each in settled[:3]]
    with workers(settings, 1) as (worker,):
        await publish(settings, [*others, *settled, *too_early, *wrong_channel, *reused])
        await wait_until_accounted(settings, 573, 60)
        assert worker.terminate(10) == 0
    chosen = (
        "--reason",
        "LIST_ROW_UNRESOLVED",
        "--row",
        "6",
        "--id",
        *" --id ".join(f"row6-{n}" for n in range(70)).split(),
    )
    unchanged = redrive(settings, folder, *chosen)
    assert (unchanged["selected"], unchanged["unchanged"], unchanged["written"]) == (73, 73, 0)
    (folder / "amendment-1.yaml").write_text(amendment(now.date()), encoding="utf-8")
    before = await ends(settings)
    plan = redrive(settings, folder, *chosen, "--dry-run")
    expected = {"forward": 40, "unchanged": 20, "reject": 13}
    assert {name: plan[name] for name in expected} == expected
    assert (plan["dry_run"], plan["reasons"], await ends(settings)) == (
        True, {"CHANNEL_NOT_RECOGNISED": 10, "ID_REUSED": 3}, before,
    )  # fmt: skip
    done = redrive(settings, folder, *chosen)
    assert ({name: done[name] for name in expected}, done["written"]) == (expected, 53)
    again = redrive(settings, folder, *chosen)
    assert (again["forward"], again["reject"], again["written"]) == (0, 0, 0)
    await assert_linked(settings)
    result = audit(settings, "--prove")
    assert (result["ok"], result["offsets"], result["redriven"], result["unsigned"]) == (True, 573, 53, 0)
    # The relay goes on where it was, and knows that these ids have been.
    with workers(settings, 1) as (worker,):
        await publish(settings, settled)
        account = await wait_until_accounted(settings, 573 + 40 + 53, 60)
        assert worker.terminate(10) == 0
    assert account.duplicates == sum(each.expected.value == "duplicate" for each in others) + 40
    assert audit(settings)["ok"] is True


async def assert_linked(settings: Settings) -> None:
    """Each redriven record names its input, its ledger entry and the rejection that it supersedes."""
    topics = Topics(settings.topic_prefix)
    records, entries, redriven = {}, {}, []
    async for record in read_topics(settings, topics.all):
        headers = dict(record.headers)
        records[f"{record.topic}/{record.partition}/{record.offset}"] = record
        if record.topic == topics.ledger and record.key.startswith(b"redrive-"):
            entry = json.loads(record.value)
            entries[entry["id"]] = entry["data"]
        elif "chuanyu-redrive" in headers:
            redriven.append(record)
    assert len(redriven) == sum(entry["records"] for entry in entries.values()) == 53
    for record in redriven:
        headers = {name: value.decode() for name, value in record.headers}
        superseded = records[headers["chuanyu-supersedes"]]
        assert dict(superseded.headers)["chuanyu-origin"].decode() == headers["chuanyu-origin"]
        assert int(headers["chuanyu-origin"].rsplit("/", 1)[1]) in entries[headers["chuanyu-redrive"]]["redriven"]
        now, then = json.loads(record.value), json.loads(superseded.value)
        assert (now["data"]["event"], then["type"]) == (then["data"]["event"], REJECTED_TYPE)
        assert record.key == superseded.key
        if record.topic == topics.verification(Province.CHONGQING):
            assert (now["type"], now["data"]["list"]["row"]) == (VERIFIED_TYPE, 6)


def test_somebody_has_to_say_which(settings: Settings, tmp_path: Path) -> None:
    assert "--all" in redrive(settings, copy_of_the_list(tmp_path), expect=2)["stderr"]
