"""docker-compose.yml as it ships: built, brought up, used from outside, scaled, stopped in full flow, taken down."""

import asyncio
import json
import subprocess
import time
import urllib.request
from typing import Any

import pytest

from gateway.adapters import kafka
from gateway.adapters.access import Role
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, packaged_config
from gateway.adapters.topics import Topics
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.records import DEADLETTER_TYPE, REJECTED_TYPE, VERIFIED_TYPE
from gateway.errors import BrokerUnreachableError, ConfigurationError
from gateway.operate.simulate import Simulated, Simulator
from tests.compose.conftest import Stack
from tests.kafka.harness import Account, publish, read_topics, wait_until_accounted

STOP_GRACE_S = 15  # docker-compose.yml: relay.stop_grace_period


async def test_what_ships_forwards_scales_and_stops_with_nothing_lost(stack: Stack) -> None:
    await asyncio.to_thread(stack.compose, "up", "--build", "--wait")
    relay = wait_until_healthy(stack, 1)[0]
    assert_confined(relay)

    settings = stack.acting_as(Role.OPERATOR)
    records = simulate(settings, 6000)
    await publish_each(stack, records[:1000])
    account = await wait_until_accounted(settings, 1000, 60)
    assert_proper(account, records[:1000])
    await assert_both_provinces_read(stack)
    await asyncio.to_thread(wait_until_the_page_counts, stack, account)

    # A second relay joins while events come in.
    flow = asyncio.create_task(publish_each(stack, records[1000:4000], pause_every=100, pause_s=0.2))
    await asyncio.to_thread(stack.compose, "up", "--detach", "--no-build", "--no-recreate", "--scale", "relay=2")
    relays = wait_until_healthy(stack, 2)
    await flow
    assert_proper(await wait_until_accounted(settings, 4000, 90), records[:4000])
    await asyncio.gather(*(asyncio.to_thread(wait_until_it_has_lanes, each) for each in relays))

    # All relays stop in full flow, within their grace, and the next ones go on where they stopped.
    flow = asyncio.create_task(publish_each(stack, records[4000:], pause_every=100, pause_s=0.2))
    await asyncio.sleep(1)
    started = time.monotonic()
    await asyncio.to_thread(stack.compose, "stop", "relay")
    assert time.monotonic() - started < STOP_GRACE_S
    assert [exit_code(each) for each in relays] == [0, 0]
    await flow
    await asyncio.to_thread(stack.compose, "start", "relay")
    account = await wait_until_accounted(settings, len(records), 90)
    assert_proper(account, records)

    # The whole stack goes and comes again: the volume has kept everything.
    await asyncio.to_thread(stack.compose, "down")
    await asyncio.to_thread(stack.compose, "up", "--detach", "--no-build")
    again = await wait_until_accounted(settings, len(records), 60)
    assert again.outputs == account.outputs
    assert again.ledger == account.ledger

    # Feedback has its tables again from Kafka, and has counted what came meanwhile.
    await asyncio.to_thread(wait_until_the_page_counts, stack, account)

    # The demo's profile publishes through the same stack, and verifies by reading back.
    await asyncio.to_thread(stack.compose, "--profile", "demo", "run", "--rm", "-T", "demo")


async def test_with_its_override_the_stack_speaks_tls(stack: Stack) -> None:
    script = packaged_config() / "kafka" / "development-ca.sh"
    await asyncio.to_thread(subprocess.run, ["sh", script, stack.secrets_dir], check=True, capture_output=True)
    files = ("-f", "docker-compose.yml", "-f", "docker-compose.tls.yml")
    await asyncio.to_thread(stack.compose, *files, "up", "--detach", "--wait", "--build", "relay")
    settings = stack.acting_as(Role.OPERATOR)
    with pytest.raises(BrokerUnreachableError):
        await asyncio.wait_for(kafka.partitions_of(settings, list(Topics().all)), 60)
    changed = {"security_protocol": "SASL_SSL", "ca_file": stack.secrets_dir / "ca.pem"}
    over_tls = settings.model_copy(update={"kafka": settings.kafka.model_copy(update=changed)})
    assert len(await kafka.partitions_of(over_tls, list(Topics().all))) == 9 * settings.topics.partitions
    relay = wait_until_healthy(stack, 1)[0]
    await asyncio.to_thread(wait_until_it_has_lanes, relay)


def simulate(settings: Settings, count: int) -> list[Simulated]:
    simulator = Simulator(load_recognition(settings.recognition_dir), 3)
    now = int(time.time() * 1000)
    return [simulator.next_event(now) for _ in range(count)]


def wait_until_it_has_lanes(relay: Any) -> None:
    deadline = time.monotonic() + 60
    while b'"lane.opened"' not in relay.logs():
        assert time.monotonic() < deadline, "a relay got no partition"
        time.sleep(0.5)


def wait_until_the_page_counts(stack: Stack, account: Account) -> None:
    """The page, asked from outside, tells of listed certificates as many displays as the ledger has."""
    deadline = time.monotonic() + 120
    items = [item for entries in account.ledger.values() for entry in entries for item in entry["counts"]]
    expected = {
        told: sum(item["count"] for item in items if item["outcome"] == outcome and item["row"] and item["region"])
        for told, outcome in (("forwarded", Outcome.FORWARD), ("refused", Outcome.REJECT))
    }
    while True:
        found: Any = "no answer"
        try:
            found = dict.fromkeys(expected, 0)
            for province in Province:
                with urllib.request.urlopen(f"{stack.page}/api/effectiveness?province={province}", timeout=5) as answer:
                    areas = [area for row in json.load(answer)["rows"] for area in row["areas"].values()]
                found = {told: count + sum(area[told] for area in areas) for told, count in found.items()}
        except OSError:
            pass  # not up yet
        if found == expected:
            return
        assert time.monotonic() < deadline, f"{found}, not {expected}\n{stack.logs()}"
        time.sleep(0.5)


def wait_until_healthy(stack: Stack, count: int, timeout_s: float = 120) -> list[Any]:
    """The relays, once so many are healthy."""
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


def assert_confined(relay: Any) -> None:
    """From inside the container: no root, nothing to write on but /tmp, no capability, no way to gain one."""
    probe = """
import os, pathlib
for folder in ("/", "/opt/gateway", "/etc"):
    try:
        (pathlib.Path(folder) / "probe").write_text("")
    except OSError as error:
        print(folder, type(error).__name__, error.strerror)
(pathlib.Path("/tmp") / "probe").write_text("")
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/1/status").read_text().splitlines())
print(os.getuid(), os.getgid(), int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"].strip())
"""
    code, output = relay.exec_run(["python", "-c", probe])
    assert code == 0, output
    lines = output.decode().splitlines()
    assert lines[0] == "/ OSError Read-only file system"
    assert [line.split()[0] for line in lines[:-1]] == ["/", "/opt/gateway", "/etc"]
    uid, gid, effective, bounding, no_new_privileges = lines[-1].split()
    assert int(uid) != 0
    assert int(gid) != 0
    assert (effective, bounding, no_new_privileges) == ("0", "0", "1")


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
    """Each province finds verification records and rejections in its own topics; the other's it may not read."""
    topics = Topics()
    for province in Province:
        its = stack.acting_as(Role.of(province))
        for topic in (topics.verification(province), topics.rejection(province)):
            assert [record async for record in read_topics(its, [topic])], f"nothing in {topic}"
        with pytest.raises(ConfigurationError, match=f"does not allow {province}"):
            await kafka.partitions_of(its, [topics.rejection(province.other)])
