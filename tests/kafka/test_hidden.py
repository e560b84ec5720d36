"""What somebody's open transaction hides is neither missing nor written again."""

import asyncio
import contextlib
import datetime
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.simulate import Simulated
from gateway.operate.topics import apply_topics
from tests.kafka.blind_spots import kinds, work_off
from tests.kafka.harness import audit
from tests.kafka.harness import publish as publish_simulated
from tests.kafka.one_lane import Notes, events, verified
from tests.kafka.relays_work import RelaysWork
from tests.kafka.row6 import CHINA, amendment, copy_of_the_list, row_6_event
from tests.kafka.test_feedback import announcements, equal_rejections, feedback_workers
from tests.patience import PATIENCE_S


@contextlib.asynccontextmanager
async def held(settings: Settings, topic: str, partitions: int = 1) -> AsyncIterator[None]:
    """A stranger's transaction in the topic's partitions, which is aborted at the end."""
    who = f"{settings.topic_prefix}stranger"
    async with kafka.producer(settings, transactional_id=who, transaction_timeout_ms=600_000) as stranger:
        await stranger.begin_transaction()
        for partition in range(partitions):
            await stranger.send_and_wait(topic, b"{}", partition=partition)
        yield
        await stranger.abort_transaction()


def refused(settings: Settings, *command: str, **environment: str) -> str:
    """What the command says on stderr, and on stdout, when it ends with exit code 1."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *command], env=os.environ | settings.as_environment() | environment,
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stderr + done.stdout


async def test_hidden_forwards_are_not_restored(one: Settings, notes: Notes) -> None:
    verification = one.topic_names.verification(Province.CHONGQING)
    await work_off(one, notes, events(0, 3))
    async with held(one, verification):
        await work_off(one, notes, events(10, 5))
        for options in ((), ("--dry-run",)):
            said = refused(one, "restore", *options)
            assert f"{verification}/0 cannot be read from offset 4 on (an open transaction hides what follows" in said
        result = audit(one, expect=1)
        assert (kinds(result), result["missing"]) == (["unreadable"], 0)
        (finding,) = result["findings"]
        assert (finding["topic"], finding["partition"], finding["offset"]) == (verification, 0, 4)
        assert "an open transaction hides what follows" in finding["detail"]
    result = audit(one, "--prove")
    assert (result["ok"], result["proved"]) == (True, 8)
    assert await verified(one) == [f"id-{number}" for number in (0, 1, 2, 10, 11, 12, 13, 14)]


async def test_what_is_hidden_is_not_redriven(one: Settings, notes: Notes, tmp_path: Path) -> None:
    """Corrected by its publisher, and forwarded, behind an open transaction."""
    verification, folder = one.topic_names.verification(Province.CHONGQING), copy_of_the_list(tmp_path)
    now = datetime.datetime.now(CHINA)
    amended = one.model_copy(update={"recognition": folder})
    await publish_simulated(one, [Simulated(*row_6_event(1, now))])
    await work_off(one, notes)
    (folder / "amendment-1.yaml").write_text(amendment(now.date()), encoding="utf-8")
    async with held(one, verification):
        await publish_simulated(one, [Simulated(*row_6_event(1, now - datetime.timedelta(seconds=1)))])
        await work_off(amended, notes)
        for options in ((), ("--dry-run",)):
            said = refused(one, "redrive", "--all", "--yes", *options, GATEWAY_RECOGNITION=str(folder))
            assert f"{verification}/0 from offset 0 on: it cannot be read (an open transaction hides what" in said
    assert await verified(one) == ["row6-1"]


async def test_a_hidden_ledger_is_no_short_one(one: Settings, notes: Notes) -> None:
    await work_off(one, notes, events(0, 3))
    async with held(one, one.topic_names.ledger):
        tomorrow = (datetime.datetime.now(CHINA) + datetime.timedelta(days=1)).isoformat(timespec="seconds")
        for options in ((), ("--until", tomorrow)):
            result = audit(one, *options, expect=1)
            assert set(kinds(result)) == {"unreadable"}
            assert {finding["topic"] for finding in result["findings"]} == {one.topic_names.ledger}
        an_hour_ago = (datetime.datetime.now(CHINA) - datetime.timedelta(hours=1)).isoformat(timespec="seconds")
        assert audit(one, "--until", an_hour_ago)["ok"] is True  # what is hidden is of a later time
    assert audit(one)["ok"] is True


async def test_what_was_announced_behind_it_is_not_repeated(settings: Settings) -> None:
    await apply_topics(settings)
    topic, work = settings.topic_names.feedback, RelaysWork(settings)
    with feedback_workers(settings, 1) as (worker,):
        worker.wait_for("announcer.leads")
        async with held(settings, topic, settings.topics.partitions):
            await work.write(equal_rejections(settings, 5, 1), int(time.time() * 1000))
            await asyncio.to_thread(worker.wait_for, "feedback.announced")
            worker.kill()
            with feedback_workers(settings, 1) as (other,):
                await asyncio.to_thread(other.wait_for, "announcer.waiting")
                (line, *_) = other.events("announcer.waiting")
                assert line["error"] == "UnreadablePartitionError"
                assert f"{topic}/0 cannot be read from offset 0 on (an open transaction hides it" in str(line["why"])
                assert not other.events("announcer.leads")
        with feedback_workers(settings, 1) as (other,):
            await asyncio.to_thread(other.wait_for, "announcer.leads")
            await asyncio.sleep(2)
    said = await announcements(settings)
    assert [each["data"]["change"] for each in said if each["type"] == "cn.chuanyu.feedback.case.v1"] == ["opened"]
