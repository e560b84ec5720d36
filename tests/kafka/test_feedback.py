"""Feedback on a real broker: counts that survive kills and rebalances, cases announced once, tables rebuilt
from the topics."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.own_signatures import load_record_check
from gateway.adapters.settings import Settings
from gateway.contract.headers import CONTENT_TYPE
from gateway.core.province import Province
from gateway.feedback.changelog import encode
from gateway.feedback.prepare import prepare_topics
from gateway.feedback.problems import observe
from gateway.feedback.state import FeedbackTopics, State, StateFollower, read_state
from gateway.operate.simulate import Simulated, Simulator
from gateway.operate.topics import apply_topics
from tests.kafka.harness import Worker, read_topics
from tests.kafka.relays_work import RelaysWork
from tests.patience import PATIENCE_S
from tests.signing import settings_signing

# `make chaos` makes it 100,000.
REJECTIONS = int(os.environ.get("REJECTIONS", "10000"))


@contextmanager
def feedback_workers(settings: Settings, count: int, **environment: str) -> Iterable[list[Worker]]:
    environment = {"GATEWAY_FEEDBACK__SESSION_TIMEOUT_MS": "6000", "GATEWAY_FEEDBACK__ANNOUNCE_S": "0.5", **environment}
    started = [Worker(settings, "feedback", "run", **environment).start() for _ in range(count)]
    try:
        yield started
    finally:
        for worker in started:
            if worker.process is not None and worker.process.poll() is None:
                worker.kill()
            worker.log.unlink(missing_ok=True)


def rejected_events(settings: Settings, count: int, seed: int) -> list[Simulated]:
    simulator = Simulator(
        load_recognition(settings.recognition_dir), seed,
        reject_share=1.0, duplicate_share=0, garbage_share=0.01, binary_share=0,
    )  # fmt: skip
    now = int(time.time() * 1000)
    return [simulator.next_event(now) for _ in range(count)]


async def expected_cases(settings: Settings) -> Counter[str]:
    """Case id → events, counted from the topics themselves, committed records only."""
    topics, found = settings.topic_names, Counter()
    async for record in read_topics(settings, [*topics.rejections, topics.deadletter]):
        observation = observe(record.value, record.headers, topics.rejections.get(record.topic))
        found.update({problem.case_id for problem in observation.problems})
    return found


async def ledger_counts(settings: Settings) -> Counter[tuple[str, str]]:
    topics, found = settings.topic_names, Counter()
    async for record in read_topics(settings, [topics.ledger]):
        data = json.loads(record.value)["data"]
        for item in data["counts"]:
            found[data["province"], item["outcome"]] += item["count"]
    return found


def counts_of(state: State) -> Counter[str]:
    return Counter({case.id: case.count for case in state.cases.values()})


def day_counts_of(state: State) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for day in state.days:
        for place, count in day.places.items():
            found[day.province, place.outcome] += count
    return found


@pytest.fixture
async def follower(settings: Settings) -> AsyncIterator[StateFollower]:
    """The topics are made, and feedback's state is followed."""
    await apply_topics(settings)
    await prepare_topics(settings)
    follower = StateFollower(settings)
    task = asyncio.create_task(follower.run())
    yield follower
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def wait_for_state(
    follower: StateFollower, ready: Callable[[State], bool], timeout_s: float = PATIENCE_S
) -> State:
    deadline = time.monotonic() + timeout_s
    while not (follower.is_ready and ready(follower.state)):
        counted = counts_of(follower.state).total()
        assert time.monotonic() < deadline, f"not so after {timeout_s} s: {counted} counted"
        await asyncio.sleep(0.2)
    return follower.state


def gateway(settings: Settings, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env=os.environ | settings.as_environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout or done.stderr


async def announcements(settings: Settings) -> list[dict[str, Any]]:
    names = FeedbackTopics(settings)
    return [json.loads(record.value) async for record in read_topics(settings, [names.announcements])]


async def test_counts_survive_kills_and_rebalances_and_rebuilding(settings: Settings, follower: StateFollower) -> None:
    work = RelaysWork(settings)
    events = rejected_events(settings, REJECTIONS, seed=11)
    now = int(time.time() * 1000)
    await work.write(events[: REJECTIONS * 4 // 10], now, abort_share=0.1)
    expected = await expected_cases(settings)
    total = expected.total()
    with ExitStack() as stack:
        first, second = stack.enter_context(feedback_workers(settings, 2))
        await wait_for_state(follower, lambda state: counts_of(state).total() > total // 10)
        first.kill()
        await work.write(events[REJECTIONS * 4 // 10 : REJECTIONS * 7 // 10], now, abort_share=0.1)
        first.start()  # a rebalance, and everything of half the partitions to be recovered
        await wait_for_state(follower, lambda state: counts_of(state).total() > total)
        second.kill()
        (third,) = stack.enter_context(feedback_workers(settings, 1))
        await work.write(events[REJECTIONS * 7 // 10 :], now, abort_share=0.1)
        # Frozen past its session, it loses its partitions; awake again, it may write what it had in hand.
        first.signal(signal.SIGSTOP)
        await asyncio.sleep(8)
        first.signal(signal.SIGCONT)
        expected = await expected_cases(settings)
        assert expected.total() >= REJECTIONS * 0.98
        days = await ledger_counts(settings)
        state = await wait_for_state(
            follower,
            lambda state: counts_of(state).total() >= expected.total() and day_counts_of(state).total() >= days.total(),
        )
        assert counts_of(state) == expected
        assert day_counts_of(state) == days
        # What is killed is a member of the group until its session ends, and nobody may rebuild beside
        # members.
        codes = first.terminate(), third.terminate()
        assert codes == (0, 0), first.log.read_text()[-3000:]
    again = await read_state(settings)
    assert counts_of(again) == expected

    compared = json.loads(gateway(settings, "feedback", "rebuild", "--dry-run", "--format", "json"))
    assert compared["changed"] == 0
    assert compared["shares"] == len(again.shares) > 100
    await _damage(settings, again)
    gateway(settings, "feedback", "rebuild", "--dry-run", expect=1)
    gateway(settings, "feedback", "rebuild")
    rebuilt = await read_state(settings)
    assert rebuilt.shares == again.shares
    assert rebuilt.day_shares == again.day_shares
    # A worker goes on from there and counts nothing twice.
    with feedback_workers(settings, 1):
        await work.write(rejected_events(settings, 1000, seed=12), now)
        expected = await expected_cases(settings)
        state = await wait_for_state(follower, lambda state: counts_of(state).total() >= expected.total())
        assert counts_of(state) == expected


async def test_what_a_frozen_worker_writes_late_is_written_over(settings: Settings, follower: StateFollower) -> None:
    names, work = FeedbackTopics(settings), RelaysWork(settings)
    with feedback_workers(settings, 1):
        await work.write(equal_rejections(settings, 20, 4), int(time.time() * 1000))
        state = await wait_for_state(follower, lambda state: counts_of(state).total() == 20)
        key, newest = max(state.shares.items(), key=lambda item: item[1].applied)
        older = msgspec.structs.replace(newest, count=1, applied=newest.applied - 1)
        async with kafka.producer(settings) as producer:
            await producer.send_and_wait(names.shares, key=key.encode(), value=encode(older), partition=int(key[0]))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            said = [
                record.value async for record in read_topics(settings, [names.shares]) if record.key == key.encode()
            ]
            if said[-1] != encode(older):
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.3)
    assert said[-2:] == [encode(older), encode(newest)]


async def _damage(settings: Settings, state: State) -> None:
    names = FeedbackTopics(settings)
    (lost, wrong, *_) = sorted(state.shares)
    async with kafka.producer(settings) as producer:
        await producer.send_and_wait(names.shares, key=lost.encode(), value=None, partition=int(lost.split("/")[0]))
        altered = json.dumps(json.loads(encode(state.shares[wrong])) | {"count": 1}).encode()
        await producer.send_and_wait(
            names.shares, key=wrong.encode(), value=altered, partition=int(wrong.split("/")[0])
        )


def equal_rejections(settings: Settings, count: int, seed: int) -> list[Simulated]:
    """Events of one row, shown in a channel that the row does not have: one problem, again and again."""
    from gateway.operate.examples import display_event

    found = []
    for number in range(count):
        event = display_event(Province.SICHUAN)
        event["id"] = f"equal-{seed}-{number}"
        event["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event["data"]["display"]["channel"] = "微信小程序"
        key = event["data"]["holder"]["ref"].encode()
        found.append(Simulated(Province.SICHUAN, key, json.dumps(event).encode(), [], "reject", ()))
    return found


async def announced(settings: Settings, unit: str) -> int:
    """How many records the unit was told of: at a case's opening, and since."""
    said = [(each["type"].rsplit(".", 2)[1], each["data"]) for each in await announcements(settings)]
    opened = [data["case"]["count"] for kind, data in said if kind == "case" and data["change"] == "opened"]
    return sum(opened) + sum(data["added"] for kind, data in said if kind == "digest" and data["unit"] == unit)


async def test_bursts_are_announced_once_and_recurrences_reopen_cases(
    settings: Settings, follower: StateFollower
) -> None:
    work = RelaysWork(settings)
    with ExitStack() as stack:
        (worker,) = stack.enter_context(feedback_workers(settings, 1, GATEWAY_FEEDBACK__DIGEST_S="4"))
        worker.wait_for("announcer.leads")
        await work.write(equal_rejections(settings, 5_000, 1), int(time.time() * 1000))
        await wait_for_state(follower, lambda state: bool(state.history.steps))  # opened by fewer than all
        await work.write(equal_rejections(settings, 5_000, 5), int(time.time() * 1000))
        state = await wait_for_state(follower, lambda state: counts_of(state).total() == 10_000)
        (case,) = state.cases.values()
        async with asyncio.timeout(PATIENCE_S):
            while not all([await announced(settings, unit) == 10_000 for unit in case.problem.units]):  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        worker.kill()  # the next one knows from the topic what was said
        (worker,) = stack.enter_context(feedback_workers(settings, 1, GATEWAY_FEEDBACK__DIGEST_S="4"))
        worker.wait_for("announcer.leads")
        await asyncio.sleep(2)
        said = await announcements(settings)
        opened = [each for each in said if each["type"] == "cn.chuanyu.feedback.case.v1"]
        assert [each["data"]["change"] for each in opened] == ["opened"]
        assert opened[0]["data"]["case"]["responsible_units"] == list(case.problem.units)
        digests = [each["data"] for each in said if each["type"] == "cn.chuanyu.feedback.digest.v1"]
        assert {digest["unit"] for digest in digests} == {"四川省交通运输厅", "重庆市交通局"}
        for unit in case.problem.units:
            added = sum(digest["added"] for digest in digests if digest["unit"] == unit)
            assert opened[0]["data"]["case"]["count"] + added == 10_000

        gateway(settings, "feedback", "mark", case.id, "verified", "--by", "省大数据中心", expect=2)
        gateway(settings, "feedback", "mark", case.id[:8], "fed_back", "--by", "省大数据中心", "--note", "已发函")
        gateway(settings, "feedback", "mark", case.id, "已复核", "--by", "省大数据中心")
        again = gateway(settings, "feedback", "mark", case.id, "verified", "--by", "省大数据中心")
        assert "此前已是已复核，未重复标记 was already verified; nothing was written" in again
        shown = json.loads(gateway(settings, "feedback", "show", case.id, "--format", "json"))
        assert shown["status"] == {"code": "verified", "zh": "已复核"}
        assert [(step["change"], step["by"]) for step in shown["history"]] == [
            ("opened", None), ("marked", "省大数据中心"), ("marked", "省大数据中心"),
        ]  # fmt: skip
        await work.write(equal_rejections(settings, 3, 2), int(time.time() * 1000))
        await wait_for_state(follower, lambda state: state.history.steps[case.id][-1].change == "reopened")
        listed = gateway(settings, "feedback", "list", "--status", "pending", "--format", "json")
        assert [json.loads(line)["id"] for line in listed.splitlines()] == [case.id]
        for row, expected in {"1/5": [case.id], "5": [case.id], "1/6": []}.items():
            listed = gateway(settings, "feedback", "list", "--row", row, "--format", "json").splitlines()
            assert [json.loads(line)["id"] for line in listed] == expected
        assert (shown["batch"], shown["row"]) == (1, 5)
        assert "has no row 9/5" in gateway(settings, "feedback", "list", "--row", "9/5", expect=2)
        nobody = gateway(settings, "feedback", "list", "--unit", "四川省交通厅", expect=2)
        assert "no department called 四川省交通厅" in nobody
        assert "四川省交通运输厅" in nobody  # the nearest
        shown_to_people = gateway(settings, "feedback", "show", case.id)
        assert "1/5 道路运输证" in shown_to_people
        assert "怎么办 what to do: 请签发单位确认该渠道是否可以亮证" in shown_to_people
        listed = gateway(settings, "feedback", "list")  # on 80 columns; what one copies stays in one piece
        assert case.id[:8] in listed
        assert "\t不符内容或字段 value or field\t" in listed  # in a pipe, by what its cells hold
        assert case.problem.code in listed


async def test_case_notes_are_signed_and_hold_nothing_personal(
    settings: Settings, follower: StateFollower, tmp_path: Path
) -> None:
    settings = settings_signing(settings, tmp_path, "ed25519")
    work = RelaysWork(settings)
    with feedback_workers(settings, 1):
        await work.write(equal_rejections(settings, 1, 3), int(time.time() * 1000))
        state = await wait_for_state(follower, lambda state: bool(state.history.steps))
    (case,) = state.cases.values()
    number = "1" + "3" * 10
    refused = gateway(
        settings, "feedback", "mark", case.id, "fed_back", "--by", "省大数据中心", "--note", number, expect=2
    )
    assert number not in refused
    assert (await read_state(settings)).standing(case).status == "pending"
    gateway(settings, "feedback", "mark", case.id, "fed_back", "--by", "省大数据中心")
    check, said = load_record_check(settings), 0
    async for record in read_topics(settings, [FeedbackTopics(settings).announcements]):
        assert check.problem(record) is None
        assert tuple(record.headers) == (
            CONTENT_TYPE,
        )  # the announcer's and the person's: any CloudEvents SDK reads them
        said += 1
    assert said == 2
    assert (await read_state(settings)).standing(case).status == "fed_back"


def test_commands_say_what_to_do_before_feedback_ever_ran(settings: Settings) -> None:
    asyncio.run(apply_topics(settings))
    said = gateway(settings, "feedback", "list", expect=78)
    assert "gateway feedback run" in said


@pytest.mark.parametrize("arguments", [("list", "--status", "closed"), ("mark", "zz", "open", "--by", "x")])
def test_an_invalid_status_is_named(settings: Settings, arguments: tuple[str, ...]) -> None:
    said = gateway(settings, "feedback", *arguments, expect=2)
    assert "待处理" in said
