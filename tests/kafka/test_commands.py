"""The commands that speak to Kafka, as a user calls them, on a real broker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from aiokafka.admin import NewTopic

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.examples import display_event
from gateway.operate.topics import apply_topics
from tests.kafka.harness import workers
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


def gateway(
    settings: Settings, *arguments: str, stdin: bytes = b"", prefix: str | None = None
) -> "subprocess.CompletedProcess[bytes]":
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "160",
        "GATEWAY_CONFIG": str(settings.file),
        "GATEWAY_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "GATEWAY_TOPIC_PREFIX": settings.topic_prefix if prefix is None else prefix,
        "GATEWAY_TOPICS__PARTITIONS": "4",
    }
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], input=stdin, capture_output=True, check=False, env=environment
    )


def test_topics_plan_apply_and_refusal(settings: Settings) -> None:
    planned = gateway(settings, "topics", "plan", "--format", "json")
    assert {json.loads(line)["action"] for line in planned.stdout.splitlines()} == {"create"}
    dry = gateway(settings, "topics", "apply", "--dry-run")
    assert dry.returncode == 0
    assert {
        json.loads(line)["action"]
        for line in gateway(settings, "topics", "plan", "--format", "json").stdout.splitlines()
    } == {"create"}
    assert gateway(settings, "topics", "apply").returncode == 0
    plans = [json.loads(line) for line in gateway(settings, "topics", "plan", "--format", "json").stdout.splitlines()]
    assert {plan["topic"] for plan in plans} == set(settings.topic_names.all)
    assert {plan["action"] for plan in plans} == {"unchanged"}
    assert gateway(settings, "topics", "apply").returncode == 0


async def test_wrong_partition_count_is_refused_before_any_change(settings: Settings) -> None:
    topics = settings.topic_names
    async with kafka.admin(settings) as admin:
        await admin.create_topics([NewTopic(topics.display(Province.SICHUAN), 3, 1)])
    for dry_run in (["--dry-run"], []):  # which ends as the real one does
        refused = await asyncio.to_thread(gateway, settings, "topics", "apply", *dry_run)
        assert refused.returncode == 78
        assert f"{topics.display(Province.SICHUAN)} has 3 partitions, needs 4" in refused.stderr.decode()
    async with kafka.admin(settings) as admin:
        assert set(topics.all) & set(await admin.list_topics()) == {topics.display(Province.SICHUAN)}


async def test_apply_corrects_only_a_topics_time_and_policy(settings: Settings) -> None:
    name = settings.topic_names.display(Province.SICHUAN)
    wrong = {"message.timestamp.type": "CreateTime", "cleanup.policy": "compact", "max.message.bytes": "54321"}
    async with kafka.admin(settings) as admin:
        await admin.create_topics([NewTopic(name, 4, 1, topic_configs=wrong)])
    await asyncio.sleep(0.5)
    planned = await asyncio.to_thread(gateway, settings, "topics", "plan")
    needs = "message.timestamp.type is CreateTime, needs LogAppendTime, cleanup.policy is compact, needs delete"
    assert f"would correct   {name}" in planned.stdout.decode()
    assert "`gateway topics apply` would leave" in planned.stderr.decode()
    assert needs in planned.stdout.decode()
    applied = await asyncio.to_thread(gateway, settings, "topics", "apply")
    assert f"corrected       {name}" in applied.stdout.decode()
    assert "1 topic corrected" in applied.stderr.decode()
    await asyncio.sleep(0.5)
    planned = await asyncio.to_thread(gateway, settings, "topics", "plan")
    assert f"unchanged       {name}" in planned.stdout.decode()
    async with kafka.admin(settings) as admin:
        configs = await kafka.topic_configs(admin, [name])
    assert configs is not None
    right = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete", "max.message.bytes": "54321"}
    assert {key: configs[name][key] for key in right} == right


def test_publish_run_and_tail(settings: Settings, tmp_path: Path) -> None:
    gateway(settings, "topics", "apply")
    passed, refused = display_event(Province.CHONGQING), display_event(Province.CHONGQING) | {"id": "refused"}
    del passed["time"], refused["time"]
    import datetime

    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    refused["data"]["display"]["channel"] = "微信小程序"
    file = tmp_path / "events.ndjson"
    events = [json.dumps(event | {"time": now}, ensure_ascii=False) for event in (passed, refused)]
    file.write_text("\n".join([*events, "no event", "", ""]), encoding="utf-8")
    refused_all = gateway(settings, "publish", str(file), "--province", "chongqing", "--invalid", "refuse")
    assert refused_all.returncode == 1
    assert b"nothing was sent" in refused_all.stderr
    published = gateway(settings, "publish", str(file), "--province", "chongqing", "--invalid", "send")
    assert published.returncode == 0
    assert b"3 events sent" in published.stderr
    assert b"1 of them has no holder.ref" in published.stderr
    with workers(settings, 1):
        options = ("--from-beginning", "--limit", "1", "--timeout", str(PATIENCE_S))
        verified = gateway(settings, "tail", "sichuan.verification", *options, "--format", "json")
        rejected = gateway(settings, "tail", "chongqing.rejection", *options)
        dead = gateway(settings, "tail", "gateway.deadletter", *options)
        other = gateway(
            settings, "tail", "chongqing.rejection", "--from-beginning", "--reason", "STALE_EVENT", "--timeout", "3"
        )
    record = json.loads(verified.stdout)
    assert record["data"]["event"]["id"] == "example-chongqing-1"
    assert record["data"]["certificate"]["type_name"] == "中华人民共和国机动车驾驶证"
    text = rejected.stdout.decode()
    assert "CHANNEL_NOT_RECOGNISED" in text
    assert "亮证渠道不在清单该行所列渠道内" in text
    assert "重庆市公安局" in text
    assert "李**" not in text
    assert "NOT_JSON" in dead.stdout.decode()
    assert other.stdout == b""


def test_publish_without_topics_says_what_to_do(settings: Settings) -> None:
    event = json.dumps(display_event(Province.SICHUAN)).encode()
    done = gateway(settings, "publish", "-", "--province", "sichuan", stdin=event)
    assert done.returncode == 78
    assert "Run `gateway topics apply` first" in done.stderr.decode()


async def test_tail_shows_whatever_a_topic_holds(settings: Settings) -> None:
    """A province may send anything, and a rogue may write what only looks like the gateway's."""
    await apply_topics(settings)
    topics = settings.topic_names
    forged = [
        b'{"data":[]}',
        b'{"type":"cn.chuanyu.certificate.verified.v1","data":{}}',
        b'{"type":"cn.chuanyu.certificate.rejected.v1","data":{"reasons":[1]}}',
        b'{"type":"cn.chuanyu.gateway.ledger.v1"}',
        b'{"type":"cn.chuanyu.gateway.deadletter.v1","data":{"error":3}}',
    ]
    pretty = json.dumps(display_event(Province.SICHUAN), ensure_ascii=False, indent=2).encode()
    personal = b'{"id":"13800138000"}'
    async with kafka.producer(settings) as producer:
        for topic in (topics.display(Province.SICHUAN), topics.rejection(Province.SICHUAN)):
            for value in [*forged, b"\xff", pretty, personal]:
                await producer.send_and_wait(topic, value=value, partition=0)
    options = ("tail", "sichuan.display", "sichuan.rejection", "--from-beginning", "--timeout")
    text = await asyncio.to_thread(gateway, settings, *options, "30", "--limit", "16")
    assert (text.returncode, len(text.stdout.splitlines())) == (0, 16), text.stderr.decode()
    shown = [line for line in text.stdout.decode().splitlines() if "sichuan.display/0" in line]
    assert "example-sichuan-1" in shown[6]
    assert "13800138000" not in "".join(shown)
    as_json = await asyncio.to_thread(gateway, settings, *options, "30", "--limit", "14", "--format", "json")
    assert as_json.returncode == 0
    lines = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [lines.count(json.loads(value)) for value in [*forged, pretty, personal]] == [2] * 7
    assert as_json.stderr.count(b"/5: not a JSON object") == 2
    wanted = await asyncio.to_thread(gateway, settings, *options, "2", "--row", "1/5", "--reason", "NOT_JSON")
    assert (wanted.returncode, wanted.stdout) == (0, b"")


def test_ctrl_c_ends_with_130_and_without_a_word(settings: Settings) -> None:
    async def write_one() -> None:
        await apply_topics(settings)
        async with kafka.producer(settings) as producer:
            await producer.send_and_wait(settings.topic_names.deadletter, value=b"{}")

    asyncio.run(write_one())
    tail = subprocess.Popen(
        [sys.executable, "-m", "gateway", "tail", "gateway.deadletter", "--from-beginning"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | settings.as_environment(),
    )  # fmt: skip
    assert tail.stdout is not None
    assert tail.stdout.readline()
    tail.send_signal(signal.SIGINT)
    _, said = tail.communicate(timeout=PATIENCE_S)
    assert (tail.returncode, said) == (130, b"")


def test_demo_leaves_a_configured_brokers_topics_alone(settings: Settings) -> None:
    gateway(settings, "topics", "apply")
    done = gateway(settings, "demo", "--events", "1500", "--partitions", "4", "--format", "json")
    assert done.returncode == 0, done.stderr.decode()
    summary = json.loads(done.stdout.splitlines()[-1])
    assert list(summary) == [
        "published", "forwarded", "rejected", "duplicates", "dead_letters", "lost", "duplicated", "seconds", "broker",
    ]  # fmt: skip
    assert summary["published"] == 1500
    assert summary["lost"] == summary["duplicated"] == 0
    assert sum(summary[name] for name in ("forwarded", "rejected", "duplicates", "dead_letters")) == 1500
    quiet = gateway(settings, "tail", "gateway.ledger", "--from-beginning", "--limit", "1", "--timeout", "3")
    assert quiet.stdout == b""


def test_demo_in_text_shows_both_directions() -> None:
    """With nothing configured it brings a Kafka of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | {
        "PYTHONPATH": str(ROOT)
    }
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--events", "800"], capture_output=True, check=False, env=environment
    )
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert "四川 → 重庆" in text
    assert "every event has exactly one outcome" in text
