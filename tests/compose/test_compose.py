"""docker-compose.yml as it ships: built, brought up, used from outside, scaled, stopped in full flow, taken
down."""

import asyncio
import contextlib
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway import __version__
from gateway.adapters import kafka
from gateway.adapters.access import Role
from gateway.adapters.certificates import CA
from gateway.adapters.settings import Settings, packaged_config
from gateway.contract.dead_letter import DEADLETTER_TYPE
from gateway.contract.rejection import REJECTED_TYPE
from gateway.contract.topics import Topics
from gateway.contract.verification import VERIFIED_TYPE
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.errors import BrokerUnreachableError, ConfigurationError
from gateway.operate.simulate import Simulated
from tests.compose.conftest import Stack
from tests.kafka import harness
from tests.kafka.harness import Account, publish, read_topics, simulate
from tests.patience import PATIENCE_S


async def test_what_ships_forwards_scales_and_loses_nothing(make_stack: Callable[..., Stack], prometheus: str) -> None:
    stack = make_stack()
    # All of profile observe but Grafana, whose files are checked by its queries below.
    observed = ("relay", "feedback", "audit", "prometheus")
    await asyncio.to_thread(stack.compose, "--profile", "observe", "up", "--no-build", "--wait", *observed)
    assert_small_and_labelled(stack)
    wait_until_healthy(stack, 1)
    for service in ("relay", "feedback", "audit"):
        assert_confined(*stack.containers(service))
    assert_not_root(*stack.containers("kafka"))

    settings = stack.acting_as(Role.OPERATOR)
    records = simulate(settings, 7000, seed=3)
    await publish_each(stack, records[:1000])
    account = await wait_until_accounted(stack, 1000)
    assert_proper(account, records[:1000])
    await assert_both_provinces_read(stack)
    await asyncio.to_thread(wait_until_the_page_counts, stack, account)
    # Reports by schedule: those of the week before are due, and the page has them. And an archive.
    more = ("--profile", "report", "--profile", "archive", "up", "--detach", "--no-build", "report", "archive")
    await asyncio.to_thread(stack.compose, *more)
    await asyncio.to_thread(wait_until_there_are_reports, stack)
    await asyncio.to_thread(
        wait_until_prometheus_has, stack, "count(gateway_archive_progress_timestamp_seconds > 0)", 1
    )
    assert_confined(*stack.containers("archive"))

    # Three more relays join while events come in.
    flow = asyncio.create_task(publish_each(stack, records[1000:4000], pause_every=100, pause_s=0.2))
    scaled = ("up", "--detach", "--no-build", "--no-recreate", "--scale", "relay=4", "relay")
    await asyncio.to_thread(stack.compose, *scaled)
    relays = wait_until_healthy(stack, 4)
    await flow
    await wait_until_accounted(stack, 4000)
    await asyncio.gather(*(asyncio.to_thread(wait_until_it_has_lanes, each) for each in relays))
    await asyncio.to_thread(wait_until_prometheus_has, stack, 'count(up{job="relay"} == 1)', 4)

    # The broker goes and comes again while events come in.
    flow = asyncio.create_task(publish_each(stack, records[4000:5000], pause_every=50, pause_s=0.2))
    await asyncio.sleep(1)
    await asyncio.to_thread(stack.compose, "restart", "kafka")
    await flow
    assert_proper(await wait_until_accounted(stack, 5000), records[:5000])

    # An alert fires, an audit is good, and every query of the dashboard says something.
    firing = 'count by (alertname) (ALERTS{alertstate="firing", alertname="%s"}) > bool 0'
    await asyncio.to_thread(wait_until_prometheus_has, stack, firing % "DeadLetters", 1)
    await asyncio.to_thread(wait_until_prometheus_has, stack, "min(gateway_audit_ok)", 1)
    assert ask(stack, firing % "AuditFailed") == []
    assert_every_panel_says_something(stack)

    # All relays stop in full flow, within their grace, and the next ones go on where they stopped.
    flow = asyncio.create_task(publish_each(stack, records[5000:], pause_every=100, pause_s=0.2))
    await asyncio.sleep(1)
    await asyncio.to_thread(stack.compose, "stop", "relay")
    # One that its grace is over for is killed, which is 137.
    assert [exit_code(each) for each in relays] == [0, 0, 0, 0], stack.logs()
    await flow
    # The whole stack goes and comes again: the volume has kept everything.
    await asyncio.to_thread(stack.compose, "--profile", "observe", "down")
    await asyncio.to_thread(stack.compose, "up", "--detach", "--no-build")
    account = await wait_until_accounted(stack, len(records))
    assert_proper(account, records)

    # Feedback has its tables again from Kafka, and has counted what came meanwhile.
    await asyncio.to_thread(wait_until_the_page_counts, stack, account)

    # The demo's profile publishes through the same stack, and verifies by reading back.
    await asyncio.to_thread(stack.compose, "--profile", "demo", "run", "--rm", "--no-deps", "-T", "demo")


async def test_of_three_nodes_one_may_be_killed(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack("docker-compose.three-nodes.yml")
    await asyncio.to_thread(stack.compose, "up", "--no-build", "--wait", "relay")
    settings = stack.acting_as(Role.OPERATOR)
    assert await copies_and_least(settings) == ({3}, {"2"})

    records = simulate(settings, 3000)
    flow = asyncio.create_task(publish_each(stack, records, pause_every=50, pause_s=0.3))
    await asyncio.sleep(2)
    (node,) = stack.containers("kafka-2")
    node.kill()
    await flow
    assert_proper(await wait_until_accounted(stack, len(records)), records)
    deadline, others = time.monotonic() + PATIENCE_S, [*stack.containers("kafka"), *stack.containers("kafka-3")]
    while not all(health(each) == "healthy" for each in others):
        assert time.monotonic() < deadline, "a node is not healthy without another"
        await asyncio.sleep(0.5)

    await asyncio.to_thread(stack.compose, "up", "--detach", "--no-recreate", "--wait", "kafka-2")
    deadline = time.monotonic() + PATIENCE_S
    while min(await in_sync(settings)) < 3:
        assert time.monotonic() < deadline, "the node that came again does not catch up"
        await asyncio.sleep(0.5)


async def test_with_its_override_the_stack_speaks_tls(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack("docker-compose.tls.yml")
    script = packaged_config() / "kafka" / "development-ca.sh"
    await asyncio.to_thread(subprocess.run, ["sh", script, stack.secrets_dir], check=True, capture_output=True)
    await asyncio.to_thread(stack.compose, "up", "--no-build", "--wait", "relay")
    settings = stack.acting_as(Role.OPERATOR)
    with pytest.raises(BrokerUnreachableError):
        await asyncio.wait_for(kafka.partitions_of(settings, list(Topics().all)), PATIENCE_S)
    changed = {"security_protocol": "SASL_SSL", "ca_file": stack.secrets_dir / "ca.pem"}
    over_tls = settings.model_copy(update={"kafka": settings.kafka.model_copy(update=changed)})
    assert len(await kafka.partitions_of(over_tls, list(Topics().all))) == 9 * settings.topics.partitions
    relay = wait_until_healthy(stack, 1)[0]
    await asyncio.to_thread(wait_until_it_has_lanes, relay)
    # What the alert for certificates that end looks at.
    ask_itself = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:6066/metrics').read().decode())"
    metrics = run_inside(relay, "python", "-c", ask_itself)
    ends = dict(re.findall(r'gateway_tls_certificate_end_timestamp_seconds{certificate="(.+)"} (.+)', metrics))
    assert {name: round((float(end) - time.time()) / 86400) for name, end in ends.items()} == {
        "kafka:9092": 365,
        CA: 730,
    }


async def wait_until_accounted(stack: Stack, published: int) -> Account:
    """Wait as the harness does; where that fails, show what the services wrote."""
    try:
        return await harness.wait_until_accounted(stack.acting_as(Role.OPERATOR), published)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{await asyncio.to_thread(stack.logs)}") from None


def wait_until_it_has_lanes(relay: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while b'"lane.opened"' not in relay.logs():
        assert time.monotonic() < deadline, "a relay got no partition"
        time.sleep(0.5)


def wait_until_the_page_counts(stack: Stack, account: Account) -> None:
    """Wait until the page, asked from outside, counts as many displays of listed certificates as the ledger
    has."""
    deadline = time.monotonic() + PATIENCE_S
    items = [
        (item, Province(entry["province"]).other.region_prefix)
        for entries in account.ledger.values()
        for entry in entries
        for item in entry["counts"]
    ]
    # What was shown outside the other side is counted beside the table.
    expected = {
        name: sum(
            item["count"]
            for item, prefix in items
            if item["outcome"] == outcome and item["row"] and (item["region"] or "").startswith(prefix)
        )
        for name, outcome in (("forwarded", Outcome.FORWARD), ("refused", Outcome.REJECT))
    }
    while True:
        found: Any = "no answer"
        try:
            found = dict.fromkeys(expected, 0)
            for province in Province:
                with urllib.request.urlopen(
                    f"{stack.page}/api/effectiveness?province={province}", timeout=10
                ) as answer:
                    areas = [area for row in json.load(answer)["rows"] for area in row["areas"].values()]
                found = {name: count + sum(area[name] for area in areas) for name, count in found.items()}
        except OSError:
            pass  # not up yet
        if found == expected:
            return
        assert time.monotonic() < deadline, f"{found}, not {expected}\n{stack.logs()}"
        time.sleep(0.5)


def wait_until_there_are_reports(stack: Stack) -> None:
    """The page serves the index of a set that the service has written, though its own view of the volume is
    read-only."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{stack.page}/reports/", timeout=10) as answer,
        ):
            index = answer.read().decode()
            assert "部门报告" in index
            return
        assert time.monotonic() < deadline, f"no reports\n{stack.logs()}"
        time.sleep(1)


def wait_until_healthy(stack: Stack, count: int, timeout_s: float = PATIENCE_S) -> list[Any]:
    """Return the relays once ``count`` are healthy."""
    deadline = time.monotonic() + timeout_s
    while True:
        relays = stack.containers("relay")
        healthy = [each for each in relays if health(each) == "healthy"]
        if len(healthy) == count:
            return relays
        assert time.monotonic() < deadline, f"{len(healthy)} of {count} relays are healthy\n{stack.logs()}"
        time.sleep(0.5)


def health(container: Any) -> str:
    state = container.attrs["State"]
    return str((state.get("Health") or {}).get("Status"))


def exit_code(container: Any) -> int:
    container.reload()
    return int(container.attrs["State"]["ExitCode"])


PROBE = """
import os, pathlib
for folder in ("/", "/opt/gateway", "/etc"):
    try:
        (pathlib.Path(folder) / "probe").write_text("")
    except OSError as error:
        print(folder, type(error).__name__, error.strerror)
(pathlib.Path("/tmp") / "probe").write_text("")
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/1/status").read_text().splitlines())
print(os.getuid(), os.getgid(), int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"].strip())
limits = (pathlib.Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory/memory.limit_in_bytes"))
print(next(path.read_text().strip() for path in limits if path.exists()))
"""


def run_inside(container: Any, *command: str) -> str:
    """Run ``command``, which prints something, in a container.

    A busy engine's answer may end before what was printed comes; then it is asked again.
    """
    for _ in range(5):
        code, output = container.exec_run(list(command))
        assert code == 0, output
        if output:
            return str(output.decode())
    raise AssertionError(f"{command[0]} printed nothing in {container.name}")


def assert_confined(container: Any) -> None:
    """Assert from inside: no root, nothing writable but /tmp, no capability and no way to gain one, bounded
    memory."""
    *lines, own, limit = run_inside(container, "python", "-c", PROBE).splitlines()
    assert lines[0] == "/ OSError Read-only file system"
    assert [line.split()[0] for line in lines] == ["/", "/opt/gateway", "/etc"]
    uid, gid, effective, bounding, no_new_privileges = own.split()
    assert int(uid) != 0
    assert int(gid) != 0
    assert (effective, bounding, no_new_privileges) == ("0", "0", "1")
    assert int(limit) == 1 << 30


def assert_not_root(container: Any) -> None:
    said = run_inside(container, "sh", "-c", "grep -E '^(Uid|NoNewPrivs)' /proc/1/status")
    status = dict(line.split(":", 1) for line in said.splitlines())
    assert "0" not in status["Uid"].split()
    assert status["NoNewPrivs"].strip() == "1"


def assert_small_and_labelled(stack: Stack) -> None:
    """The image says what it is; what is put on top of Python's own image stays below 350 MB, of which
    pyarrow is half."""
    image = stack.engine.images.get(stack.containers("relay")[0].attrs["Config"]["Image"])
    labels = image.labels
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.title"] == "chuanyu-display-gateway"
    below = stack.engine.images.get(labels["org.opencontainers.image.base.name"])
    print(
        f"the image: {(image.attrs['Size'] - below.attrs['Size']) / 1e6:.0f} MB on top of {below.attrs['Size'] / 1e6:.0f} MB"
    )
    assert image.attrs["Size"] - below.attrs["Size"] < 350e6


def ask(stack: Stack, query: str) -> list[Any]:
    """Return what Prometheus answers to a query: samples."""
    with urllib.request.urlopen(f"{stack.prometheus}/api/v1/query?{urlencode({'query': query})}", timeout=10) as answer:
        result = json.load(answer)
    assert result["status"] == "success", result
    return list(result["data"]["result"])


def wait_until_prometheus_has(stack: Stack, query: str, value: float, timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    found: Any = None
    while True:
        try:
            found = [float(sample["value"][1]) for sample in ask(stack, query)]
            if found == [value]:
                return
        except OSError:
            pass  # not up yet
        assert time.monotonic() < deadline, f"{query}: {found}, not {value}\n{stack.logs()}"
        time.sleep(1)


def assert_every_panel_says_something(stack: Stack) -> None:
    """Each query of Grafana's dashboard, asked of Prometheus as Grafana would, finds what there is to be
    found now."""
    dashboard = json.loads((packaged_config() / "grafana" / "dashboards" / "gateway.json").read_text())
    silent = []
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "10m").replace("$province", "sichuan|chongqing")
            assert "$" not in query, query
            if not ask(stack, query):
                silent.append(target["expr"])
    # Without TLS no certificate ends, and what was before these minutes is not known.
    assert [each for each in silent if "certificate" not in each and "ratio6h" not in each] == []


async def copies_and_least(settings: Settings) -> tuple[set[int], set[str]]:
    """How many copies the contract's partitions have, and how many must take a write."""
    async with kafka.admin(settings) as admin:
        described = await admin.describe_topics(list(Topics().all))
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, name, {"min.insync.replicas": None}) for name in Topics().all
        ]
        answers = await admin.describe_configs(resources)
    copies = {len(each["replicas"]) for topic in described for each in topic["partitions"]}
    return copies, {entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}


async def in_sync(settings: Settings) -> list[int]:
    async with kafka.admin(settings) as admin:
        described = await admin.describe_topics(list(Topics().all))
    return [len(each["isr"]) for topic in described for each in topic["partitions"]]


def assert_proper(account: Account, published: list[Simulated]) -> None:
    """Exactly one outcome for each event, and the one that the simulator expects."""
    account.assert_proper(len(published))
    found = {
        Outcome.FORWARD: account.outcome_count(VERIFIED_TYPE),
        Outcome.REJECT: account.outcome_count(REJECTED_TYPE),
        Outcome.DEAD_LETTER: account.outcome_count(DEADLETTER_TYPE),
        Outcome.DUPLICATE: account.duplicates,
    }
    assert found == {outcome: sum(each.expected is outcome for each in published) for outcome in found}


async def publish_each(stack: Stack, records: list[Simulated], **pauses: float) -> None:
    """Each province publishes its own events, as its own principal."""
    await asyncio.gather(
        *(
            publish(
                stack.acting_as(Role.of(province)), [each for each in records if each.province is province], **pauses
            )
            for province in Province
        )
    )


async def assert_both_provinces_read(stack: Stack) -> None:
    """Each province finds verification records and rejections in its own topics; the other's it may not
    read."""
    topics = Topics()
    for province in Province:
        its = stack.acting_as(Role.of(province))
        for topic in (topics.verification(province), topics.rejection(province)):
            assert [record async for record in read_topics(its, [topic])], f"nothing in {topic}"
        with pytest.raises(ConfigurationError, match=f"does not allow {province}"):
            await kafka.partitions_of(its, [topics.rejection(province.other)])
