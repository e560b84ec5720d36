"""``gateway acknowledge`` on a real broker: what was lost is listed until somebody has taken note of it by
name."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from gateway.adapters import hidden_ends, kafka
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.errors import GatewayError
from gateway.operate.acknowledge import Remark, list_lost
from gateway.operate.acknowledge import acknowledge as take_note
from gateway.operate.doctor.feedback_checks import check_lost
from gateway.operate.doctor.result import CheckStatus, Installation
from gateway.operate.simulate import Simulated
from gateway.operate.topics import apply_topics
from tests.kafka.harness import audit, publish, read_topics, wait_until_accounted, with_short_sessions, workers
from tests.kafka.test_trace import permit, trace
from tests.patience import PATIENCE_S

WHO = ("--by", "值班室", "--why", "已请川方重发")


def acknowledge(
    settings: Settings, *options: str, expect: int = 0, parse: bool = True
) -> tuple[list[dict[str, Any]], str]:
    """What `gateway acknowledge` prints: its JSON objects, and its standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "acknowledge", "--format", "json", *options],
        env=os.environ | settings.as_environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines() if parse], done.stderr


async def delete_before(settings: Settings, *places: tuple[str, int, int]) -> None:
    """Delete the records of topic and partition before an offset, as retention does."""
    async with kafka.admin(settings) as admin:
        await admin.delete_records(
            {TopicPartition(topic, number): RecordsToDelete(before_offset=at) for topic, number, at in places}
        )


def one_partition(settings: Settings) -> Settings:
    settings = with_short_sessions(settings)
    return settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 1})})


def permits(numbers: Iterable[int]) -> list[Simulated]:
    return [permit(number, f"permit-{number}") for number in numbers]


async def entries(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(record.value)["data"] async for record in read_topics(settings, [settings.topic_names.ledger])]


async def test_lost_offsets_are_listed_until_somebody_has_taken_note(settings: Settings) -> None:
    settings = one_partition(settings)
    display = settings.topic_names.display(Province.SICHUAN)
    first, later = permits(range(5)), permits(range(5, 15))
    await apply_topics(settings)
    assert acknowledge(settings)[0] == []
    with workers(settings, 1) as (worker,):
        await publish(settings, first)
        await wait_until_accounted(settings, 5)
        assert worker.terminate() == 0
    await publish(settings, later)
    await delete_before(settings, (display, 0, 12))
    gone = audit(settings, expect=1)  # no worker has noted it yet
    assert (gone["lost"], gone["pending"], gone["findings"][0]["offset"]) == (7, 3, 5)
    with workers(settings, 1) as (worker,):
        await wait_until_accounted(settings, 8)
        (lost,), _ = acknowledge(settings, expect=1)
        assert {name: lost[name] for name in ("lane", "epoch", "first_offset", "last_offset", "count")} == {
            "lane": "sichuan.display-0", "epoch": 0, "first_offset": 5, "last_offset": 11, "count": 7,
        }  # fmt: skip
        lane = "sichuan.display-0"
        hint = "gateway acknowledge sichuan.display-0 --offsets 5-11 --by NAME --why WHY"
        assert hint in acknowledge(settings, "--format", "text", expect=1, parse=False)[1]
        for name in (lane, f"{display}-0"):  # as it is listed, and as the log names it
            assert "it has 5-11" in acknowledge(settings, name, "--offsets", "5-10", *WHO, expect=2)[1]
        number = ("--by", "电话 13800138000", "--why", "x")
        assert "mobile number" in acknowledge(settings, lane, "--offsets", "5-11", *number, expect=2)[1]
        (said,) = await check_lost(Installation(settings))
        assert (said.status, said.subject) == (CheckStatus.PROBLEM, lane)
        assert "offsets 5–11 (7)" in said.message
        found = audit(settings, expect=1)
        assert (found["lost"], found["outcomes"]["lost"], found["acknowledged"]) == (7, 7, 0)
        assert [(each["kind"], each["topic"]) for each in found["findings"]] == [("lost", settings.topic_names.ledger)]
        (told,) = trace(settings, "--at", "sichuan.display/0/7")["occurrences"]
        assert (told["outcome"], told["input"]["is_kept"], told["ledger"]["first_offset"]) == ("lost", False, 5)
        assert "LANE" in acknowledge(settings, "--offsets", "5-11", *WHO, expect=2)[1]
        assert "has 1 partition," in acknowledge(settings, "sichuan.display-1", "--horizon", *WHO, expect=2)[1]
        assert "does not wait" in acknowledge(settings, lane, "--horizon", *WHO, expect=2)[1]
        assert len(await entries(settings)) == 3

        (done,), _ = acknowledge(settings, lane, "--offsets", "5–11", *WHO)  # copied from the list
        assert (done["entry"], done["by"], done["why"]) == (lost["entry"], "值班室", "已请川方重发")
        assert acknowledge(settings)[0] == []
        assert [each.status for each in await check_lost(Installation(settings))] == [CheckStatus.FINE]
        # The worker opens the lane again behind it, and knows what it had forwarded.
        await publish(settings, [first[3], later[0]])
        account = await wait_until_accounted(settings, 10)
        assert worker.terminate() == 0
    assert account.duplicates == 1
    closed = audit(settings, "--prove")
    assert (closed["ok"], closed["lost"], closed["acknowledged"], closed["offsets"]) == (True, 0, 7, 10)
    last = (await entries(settings))[3]
    assert (last["first_offset"], last["last_offset"], last["records"], last["outputs"]) == (15, 14, 0, 0)
    assert last["acknowledged"] == {"entry": lost["entry"], "by": "值班室", "why": "已请川方重发"}


async def test_a_lane_without_horizon_opens_after_an_acknowledgement(settings: Settings) -> None:
    settings = one_partition(settings)
    topics = settings.topic_names
    await apply_topics(settings)
    with workers(settings, 1) as (worker,):
        await publish(settings, permits(range(5)))
        await wait_until_accounted(settings, 5)
        await publish(settings, permits(range(5, 10)))
        await wait_until_accounted(settings, 10)
        assert worker.terminate() == 0
    last = max([record.offset async for record in read_topics(settings, [topics.ledger])])
    await delete_before(settings, (topics.ledger, 0, last), (topics.verification(Province.CHONGQING), 0, 2))
    with workers(settings, 1) as (worker,):
        worker.wait_for("horizon.incomplete")
        await publish(settings, permits(range(10, 12)))
        (done,), _ = acknowledge(settings, "sichuan.display-0", "--horizon", *WHO)
        assert (done["lane"], done["entry"], done["by"]) == ("sichuan.display-0", None, "值班室")
        while not any(entry["first_offset"] == 10 and entry["records"] for entry in await entries(settings)):
            assert worker.process is not None
            assert worker.process.poll() is None
        assert "does not wait" in acknowledge(settings, "sichuan.display-0", "--horizon", *WHO, expect=2)[1]
        assert worker.terminate() == 0


async def test_what_a_hidden_ledger_lost_is_not_known(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hidden_ends, "SETTLE_S", 0.5)
    settings = one_partition(settings)
    ledger = settings.topic_names.ledger
    await apply_topics(settings)
    async with kafka.producer(settings, transactional_id=f"{settings.topic_prefix}somebody") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(ledger, b"x", partition=0)
        for output in ("text", "json"):
            capfd.readouterr()
            assert await asyncio.to_thread(list_lost, settings, output) == 1
            shown = capfd.readouterr()
            assert shown.out == ""
            assert f"{ledger}/0" in shown.err
            assert "hides the ledger's end" in " ".join(shown.err.split())
            assert "nothing is lost" not in shown.err
        with pytest.raises(GatewayError, match=f"{ledger}/0"):
            await asyncio.to_thread(
                take_note, settings, "sichuan.display-0", "5-11", Remark("值班室", "x"), confirmed=True, output="json"
            )
        (said,) = await check_lost(Installation(settings))
        assert (said.status, said.subject, bool(said.advice)) == (CheckStatus.PROBLEM, f"{ledger}/0", True)
        await producer.abort_transaction()
    # The marker may come later than the answer.
    monkeypatch.setattr(hidden_ends, "SETTLE_S", PATIENCE_S)
    assert await asyncio.to_thread(list_lost, settings, "json") == 0
    assert [each.status for each in await check_lost(Installation(settings))] == [CheckStatus.FINE]
