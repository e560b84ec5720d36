"""The relay on a real broker: exactly one outcome for each event, whatever happens to workers, records and
broker."""

import asyncio
import json
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.contract.dead_letter import DEADLETTER_TYPE
from gateway.contract.rejection import REJECTED_TYPE
from gateway.contract.topics import LaneId
from gateway.contract.verification import VERIFIED_TYPE
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.operate.local_kafka import LocalKafka
from gateway.operate.simulate import Simulated
from gateway.operate.topics import apply_topics
from tests.kafka.harness import (
    audit,
    publish,
    read_account,
    read_topics,
    simulate,
    wait_until_accounted,
    with_short_sessions,
    workers,
)
from tests.patience import PATIENCE_S

LANES = 8


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return with_short_sessions(settings)


async def test_each_event_has_its_outcome_key_and_partition(settings: Settings) -> None:
    await apply_topics(settings)
    records = simulate(settings, 3000)
    with workers(settings, 1) as (worker,):
        await publish(settings, records)
        account = await wait_until_accounted(settings, len(records))
        account.assert_proper(len(records))
        assert account.outcome_count(VERIFIED_TYPE) == sum(each.expected is Outcome.FORWARD for each in records)
        assert account.outcome_count(REJECTED_TYPE) == sum(each.expected is Outcome.REJECT for each in records)
        assert account.outcome_count(DEADLETTER_TYPE) == sum(each.expected is Outcome.DEAD_LETTER for each in records)
        assert account.duplicates == sum(each.expected is Outcome.DUPLICATE for each in records)
        assert worker.terminate() == 0
        rejected = worker.events("record.rejected")
        assert len(rejected) == account.outcome_count(REJECTED_TYPE)
        assert {"code", "field", "batch", "row", "responsible_units", "trace_id", "messaging.kafka.offset"} <= rejected[
            0
        ].keys()
        log = worker.log.read_text(encoding="utf-8")
        assert "sm3:" not in log
        assert "**" not in log
    topics = settings.topic_names
    async with kafka.consumer(settings) as consumer:
        partitions = await kafka.partitions_of(settings, [topics.verification(Province.CHONGQING)])
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        first = next(iter((await consumer.getmany(timeout_ms=PATIENCE_S * 1000)).values()))[0]
        origin = dict(first.headers)["chuanyu-origin"].decode()
        assert origin.split("/")[1] == str(first.partition)
        assert json.loads(first.value)["data"]["holder"]["ref"].encode() == first.key
        assert first.timestamp_type == 1


async def test_workers_killed_and_frozen_lose_and_double_nothing(settings: Settings) -> None:
    """12,000 events, two workers, SIGKILL and SIGSTOP past the session at random, and the rebalances that
    follow."""
    await apply_topics(settings)
    records, dice = simulate(settings, 12_000, seed=7), random.Random(7)
    with workers(settings, 2) as running:
        running[0].wait_for("lane.opened", LANES // 2)

        def disturb() -> None:
            for _ in range(6):
                worker = dice.choice(running)
                if dice.random() < 0.5:
                    worker.kill()
                    time.sleep(dice.uniform(0.2, 1.5))
                    worker.start()
                else:
                    worker.signal(signal.SIGSTOP)
                    time.sleep(8)  # longer than the session: it comes back as a zombie
                    worker.signal(signal.SIGCONT)
                time.sleep(dice.uniform(1, 4))

        chaos = threading.Thread(target=disturb)
        chaos.start()
        await publish(settings, records, pause_every=120, pause_s=0.3)
        await asyncio.to_thread(chaos.join)
        account = await wait_until_accounted(settings, len(records))
    account.assert_proper(len(records))
    assert account.duplicates == sum(each.expected is Outcome.DUPLICATE for each in records)
    assert account.outcome_count(VERIFIED_TYPE) == sum(each.expected is Outcome.FORWARD for each in records)
    result = await asyncio.to_thread(audit, settings, "--prove")
    assert (result["ok"], result["offsets"], result["proved"]) == (True, len(records), len(records))


async def test_output_refused_by_the_broker_is_dead_lettered(settings: Settings) -> None:
    await apply_topics(settings)
    topics = settings.topic_names
    small = {"max.message.bytes": "20000", "message.timestamp.type": "LogAppendTime"}
    async with kafka.admin(settings) as admin:
        for topic in (topics.verification(Province.CHONGQING), topics.verification(Province.SICHUAN)):
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, small)])
    records = [
        each for each in simulate(settings, 2000, seed=3) if each.expected is Outcome.FORWARD and not each.headers
    ]
    large = {}
    for index in (100, 500):
        event = json.loads(records[index].value) | {"note": "x" * 30_000}
        records[index] = replace_value(records[index], event)
        large[event["id"]] = index
    with workers(settings, 1):
        await publish(settings, records)
        account = await wait_until_accounted(settings, len(records))
    account.assert_proper(len(records))
    assert account.outcome_count(DEADLETTER_TYPE) == len(large)
    letters = [each for outputs in account.outputs.values() for each in outputs if each["type"] == DEADLETTER_TYPE]
    assert {letter["data"]["error"]["code"] for letter in letters} == {"REFUSED_BY_BROKER"}
    assert account.outcome_count(VERIFIED_TYPE) == len(records) - len(large)


def replace_value(record: Simulated, event: dict[str, object]) -> Simulated:
    return record._replace(value=json.dumps(event, ensure_ascii=False).encode())


async def test_poisoned_lane_does_not_stop_the_others(settings: Settings) -> None:
    """The rejections of one province cannot be written at all; the other province's lanes go on, and it
    heals."""
    await apply_topics(settings)
    topics = settings.topic_names
    poisoned, healthy = topics.verification(Province.CHONGQING), Province.CHONGQING
    dead = topics.deadletter
    records = [each for each in simulate(settings, 1500, seed=4) if each.expected is Outcome.FORWARD]
    good = [each for each in records if each.province is healthy]

    async def allow(size: str) -> None:
        async with kafka.admin(settings) as admin:
            for topic in (poisoned, dead):
                configs = {"max.message.bytes": size, "message.timestamp.type": "LogAppendTime"}
                await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])

    await allow("100")
    with workers(settings, 1) as (worker,):
        await publish(settings, records)
        account = await wait_until_accounted(settings, len(good))
        assert account.outcome_count(VERIFIED_TYPE) >= len(good)
        worker.wait_for("lane.failed")
        await allow("1000000")
        account = await wait_until_accounted(settings, len(records))
    account.assert_proper(len(records))
    # Those that stood alone when even their dead letter was refused may be dead letters; none is lost.
    assert account.outcome_count(VERIFIED_TYPE) + account.outcome_count(DEADLETTER_TYPE) == len(records)


async def test_a_flood_of_rejections_fills_neither_log_nor_memory(settings: Settings) -> None:
    await apply_topics(settings)
    flood = [
        Simulated(
            Province.SICHUAN, b"k", b'{"id":"f%d","source":"urn:chuanyu:sichuan"}' % number, [], Outcome.REJECT, ()
        )
        for number in range(3000)
    ]
    garbage = [
        Simulated(Province.CHONGQING, None, b"garbage %d" % number, [], Outcome.DEAD_LETTER, ())
        for number in range(2000)
    ]
    limits = {"GATEWAY_LOG__REJECTIONS_BURST": "100", "GATEWAY_LOG__REJECTIONS_PER_S": "1"}
    with workers(settings, 1, **limits) as (worker,):
        await publish(settings, [*flood, *garbage])
        account = await wait_until_accounted(settings, 5000)
        assert worker.terminate() == 0
        withheld = Counter[tuple[object, object]]()
        for line in worker.events("log.withheld"):
            withheld[line["withheld"], line["code"]] += int(str(line["count"]))
        written = {name: len(worker.events(name)) for name in ("record.rejected", "record.dead_lettered")}
    assert account.outcome_count(REJECTED_TYPE) == 3000
    assert account.outcome_count(DEADLETTER_TYPE) == 2000
    assert 100 <= written["record.rejected"] < 200
    assert 100 <= written["record.dead_lettered"] < 200
    assert withheld == {
        ("record.rejected", "INVALID_EVENT"): 3000 - written["record.rejected"],
        ("record.dead_lettered", "NOT_JSON"): 2000 - written["record.dead_lettered"],
    }


async def test_each_lane_reports_a_truncated_horizon_once(
    settings: Settings,
) -> None:
    await apply_topics(settings)
    records = [each for each in simulate(settings, 6000, seed=13) if each.expected is Outcome.FORWARD]
    with workers(settings, 1, GATEWAY_DUPLICATES__MAX_IDS="50") as (worker,):
        await publish(settings, records)
        await wait_until_accounted(settings, len(records))
        assert worker.terminate() == 0
        forgetful = worker.events("horizon.truncated")
    assert 1 <= len(forgetful) <= LANES  # each lane says so once
    assert {line["setting"] for line in forgetful} == {"duplicates.max_ids"}
    # Two generations, and a turn is kept whole.
    assert all(int(str(line["remembered_ids"])) <= 2 * settings.relay.max_records for line in forgetful)


async def test_duplicates_are_known_again_after_a_restart(settings: Settings) -> None:
    await apply_topics(settings)
    records = [each for each in simulate(settings, 600, seed=5) if each.expected in {Outcome.FORWARD, Outcome.REJECT}]
    with workers(settings, 1) as (worker,):
        await publish(settings, records)
        await wait_until_accounted(settings, len(records))
        worker.kill()
    with workers(settings, 1):
        await publish(settings, records)
        account = await wait_until_accounted(settings, 2 * len(records))
    account.assert_proper(2 * len(records))
    # What was rejected is open: it is decided again, and rejected again.
    forwarded = sum(each.expected is Outcome.FORWARD for each in records)
    assert account.duplicates == forwarded == account.outcome_count(VERIFIED_TYPE)
    assert account.outcome_count(REJECTED_TYPE) == 2 * (len(records) - forwarded)


async def test_lost_group_offsets_do_not_send_anything_again(settings: Settings) -> None:
    """The committed offsets are gone (as after a week's idle group): the ledger says where each lane
    stands."""
    await apply_topics(settings)
    records = simulate(settings, 400, seed=6)
    with workers(settings, 1) as (worker,):
        await publish(settings, records)
        await wait_until_accounted(settings, len(records))
        assert worker.terminate() == 0
    more = simulate(settings, 200, seed=66)
    with workers(settings, 1, GATEWAY_RELAY__GROUP_ID="another-group"):
        await publish(settings, more)
        account = await wait_until_accounted(settings, len(records) + len(more))
    account.assert_proper(len(records) + len(more))


async def test_offsets_set_by_hand_and_foreign_records_change_nothing(settings: Settings) -> None:
    """Somebody sets the group back to the beginning and writes garbage into the gateway's own topics."""
    await apply_topics(settings)
    topics, records = settings.topic_names, simulate(settings, 400, seed=11)
    with workers(settings, 1) as (worker,):
        await publish(settings, records)
        await wait_until_accounted(settings, len(records))
        assert worker.terminate() == 0
    inputs = await kafka.partitions_of(settings, list(topics.displays))
    group_id = settings.topic_prefix + settings.relay.group_id
    async with kafka.consumer(settings, group_id=group_id) as consumer:
        consumer.assign(inputs)
        await consumer.commit(dict.fromkeys(inputs, 0))
    async with kafka.producer(settings) as producer:
        for partition in range(4):
            await producer.send_and_wait(topics.verification(Province.CHONGQING), b"garbage", partition=partition)
            # Somebody's record in the lane's name follows from no entry.
            lane = LaneId(Province.SICHUAN, topics.display(Province.SICHUAN), partition)
            await producer.send_and_wait(topics.ledger, b"garbage", str(lane).encode(), partition=partition)
    more = simulate(settings, 200, seed=12)
    with workers(settings, 1) as (worker,):
        await publish(settings, more)
        worker.wait_for("lane.opened", LANES)
        worker.wait_for("turn.committed", LANES)
        worker.wait_for("lane.overruled", LANES)
        assert worker.terminate() == 0
    written = [each.value async for each in read_topics(settings, [topics.ledger])]
    entries = [json.loads(value)["data"] for value in written if value != b"garbage"]
    first_offsets = [(entry["topic"], entry["partition"], entry["first_offset"]) for entry in entries]
    assert len(first_offsets) == len(set(first_offsets)), "an offset was decided twice"
    assert not [entry for entry in entries if entry["previous"] is None and entry["first_offset"] > 0], (
        "a chain was broken"
    )


async def test_broker_restart_in_the_middle_is_survived(own_broker: LocalKafka, settings: Settings) -> None:
    settings = settings.model_copy(update={"bootstrap_servers": own_broker.bootstrap_servers})
    await apply_topics(settings)
    first, second = simulate(settings, 4000, seed=8), simulate(settings, 1000, seed=9)
    with workers(settings, 1) as (worker,):
        await publish(settings, first)
        worker.wait_for("turn.committed", 3)
        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.start)
        await publish(settings, second)
        account = await wait_until_accounted(settings, len(first) + len(second))
        assert worker.process is not None
        assert worker.process.poll() is None
        assert worker.terminate() == 0
    account.assert_proper(len(first) + len(second))


async def test_sigterm_in_full_flow_drains(settings: Settings) -> None:
    await apply_topics(settings)
    records = simulate(settings, 20_000, seed=10)
    await publish(settings, records)
    with workers(settings, 1, GATEWAY_RELAY__MAX_RECORDS="20") as (worker,):  # which takes it long
        worker.wait_for("turn.committed", 2)
        assert worker.terminate() == 0
        assert [line["drained"] for line in worker.events("relay.stopped")] == [True]
    before = await read_account(settings)
    assert before.accounted < len(records)
    with workers(settings, 1):
        account = await wait_until_accounted(settings, len(records))
    account.assert_proper(len(records))


@pytest.mark.parametrize("damage", ["unreachable", "no topics", "bad setting", "bad list"])
def test_run_says_what_is_wrong_and_exits(settings: Settings, damage: str, tmp_path: Path) -> None:
    environment = {
        "unreachable": {"GATEWAY_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
        "no topics": {},
        "bad setting": {"GATEWAY_RELAY__MAX_RECORDS": "none"},
        "bad list": {"GATEWAY_RECOGNITION": str(tmp_path)},
    }[damage]
    with workers(settings, 1, **environment) as (worker,):
        assert worker.process is not None
        code = worker.process.wait(PATIENCE_S)
        said = worker.log.read_text(encoding="utf-8")
    assert code == (69 if damage == "unreachable" else 78)
    expected = {
        "unreachable": "127.0.0.1:1",
        "no topics": "topics apply",
        "bad setting": "GATEWAY_RELAY__MAX_RECORDS",
        "bad list": str(tmp_path),
    }
    assert expected[damage] in said
    assert "Traceback" not in said
