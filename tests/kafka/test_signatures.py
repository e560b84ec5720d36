"""Signed events through a real broker: what must be signed and is not goes back, and the audit proves it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.contract.rejection import REJECTED_TYPE
from gateway.contract.signing import without_signature
from gateway.contract.verification import VERIFIED_TYPE
from gateway.core.province import Province
from gateway.operate.simulate import Simulator
from gateway.operate.topics import apply_topics
from tests.kafka.harness import audit, publish, read_topics, wait_until_accounted, workers
from tests.patience import PATIENCE_S
from tests.signing import event_signed_by, make_own_key, settings_signing, settings_with

EVENTS = 200


def signed_events() -> dict[bytes, str | None]:
    """Value → the reason code that it is to be rejected with."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    events: dict[bytes, str | None] = {}
    for number in range(EVENTS):
        raw = event_signed_by(("sichuan-1", "sichuan-2")[number % 2], id=f"e{number}", time=now)
        match number % 5:
            case 0:
                events[raw.replace(b'"500103"', b'"500105"')] = "SIGNATURE_INVALID"
            case 1:
                events[raw.replace(b'"sichuan-', b'"somebody-')] = "SIGNATURE_KEY_UNKNOWN"
            case 2:
                event = json.loads(raw)
                del event["signature"], event["signaturekey"]
                events[json.dumps(event).encode()] = "SIGNATURE_MISSING"
            case _:
                events[raw] = None
    return events


async def test_required_signatures_are_verified_in_order_and_proved_again(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"signatures": settings_with(tmp_path, "required").signatures})
    await apply_topics(settings)
    events, topic = signed_events(), settings.topic_names.display(Province.SICHUAN)
    with workers(settings, 1):
        async with kafka.producer(settings) as producer:
            for raw in events:
                key = json.loads(raw)["data"]["holder"]["ref"].encode()
                await producer.send(topic, raw, key=key, partition=0)
        account = await wait_until_accounted(settings, EVENTS)
        account.assert_proper(EVENTS)
        assert account.outcome_count(VERIFIED_TYPE) == EVENTS * 2 // 5
        assert account.outcome_count(REJECTED_TYPE) == EVENTS * 3 // 5
    for raw, code in events.items():
        event = json.loads(raw)
        (origin,) = [each for each, value in account.inputs.items() if value == raw]
        (output,) = account.outputs[origin]
        found = [reason["code"] for reason in output["data"].get("reasons", [])]
        assert found == ([code] if code else []), event["id"]
    assert audit(settings, "--prove")["ok"]
    without = settings.model_copy(update={"signatures": settings.signatures.model_copy(update={"sichuan": "off"})})
    # Under other settings for signatures it is not the log that is wrong; what was decided by them cannot be
    # proved.
    proved = audit(without, "--prove")
    assert proved["ok"]
    assert sum(proved["unprovable"].values()) > 0


def test_check_asks_for_signatures_as_the_settings_say(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "required")
    lines = list(signed_events())[:5]
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-", "--format", "json"], input=b"\n".join(lines),
        env=os.environ | settings.as_environment(), capture_output=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    decided = [json.loads(line)["reasons"] for line in done.stdout.splitlines()]
    assert decided == [["SIGNATURE_INVALID"], ["SIGNATURE_KEY_UNKNOWN"], ["SIGNATURE_MISSING"], [], []]


async def test_records_are_signed_and_forgeries_are_found(settings: Settings, tmp_path: Path) -> None:
    without, settings = settings, settings_signing(settings, tmp_path, "sm2")
    await apply_topics(settings)
    simulator = Simulator(load_recognition(settings.recognition_dir), 5, reject_share=0.3, garbage_share=0.1)
    records = [simulator.next_event(int(time.time() * 1000)) for _ in range(EVENTS)]
    with workers(settings, 1):
        await publish(settings, records)
        account = await wait_until_accounted(settings, EVENTS)
    account.assert_proper(EVENTS)
    topics = settings.topic_names
    result = audit(settings, "--prove")
    assert (result["ok"], result["unsigned"], result["proved"]) == (True, 0, EVENTS)
    assert audit(without, "--prove")["ok"]  # whoever does not ask for them is not disturbed by them
    async for record in read_topics(settings, [name for name in topics.all if name not in topics.displays]):
        assert without_signature(record.value) != record.value, f"{record.topic} holds a record without signature"
        assert json.loads(record.value)["signaturekey"] == "gateway-1"


async def test_topics_rewritten_without_the_key_are_found(settings: Settings, tmp_path: Path) -> None:
    """What neither chain nor digest can show: whoever has every right on the broker plays a gateway of his
    own."""
    settings_of_auditor = settings_signing(settings, tmp_path, "ed25519")
    await apply_topics(settings)
    simulator = Simulator(load_recognition(settings.recognition_dir), 6)
    records = [simulator.next_event(int(time.time() * 1000)) for _ in range(EVENTS)]
    with workers(settings, 1):
        await publish(settings, records)
        await wait_until_accounted(settings, EVENTS)
    assert audit(settings, "--prove")["ok"]
    found = audit(settings_of_auditor, expect=1)
    assert found["unsigned"] == found["entries"] + found["outputs"] > EVENTS // 2
    assert {each["detail"] for each in found["findings"]} == {"the record bears no signature"}
    # And with a key of his own he has no gateway that starts, beside the public keys that readers have.
    private = settings_of_auditor.signatures.own_key
    assert private is not None
    make_own_key(private, "ed25519")
    said = await asyncio.to_thread(what_a_refused_gateway_says, settings_of_auditor)
    assert "own.pem is not the private key of gateway-1" in said
    assert "PRIVATE" not in said


def what_a_refused_gateway_says(settings: Settings) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "run"], env=os.environ | settings.as_environment(),
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    return done.stderr
