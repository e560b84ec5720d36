"""Signed events through a real broker: what must be signed and is not goes back, and the audit proves it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topics import Topics
from gateway.core.province import Province
from gateway.core.records import REJECTED_TYPE, VERIFIED_TYPE
from gateway.operate.topics import apply_topics
from tests.kafka.harness import audit, wait_until_accounted, workers
from tests.signing import event_signed_by, settings_with

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
    events, topic = signed_events(), Topics(settings.topic_prefix).display(Province.SICHUAN)
    with workers(settings, 1):
        async with kafka.producer(settings) as producer:
            for raw in events:
                key = json.loads(raw)["data"]["holder"]["ref"].encode()
                await producer.send(topic, raw, key=key, partition=0)
        account = await wait_until_accounted(settings, EVENTS, 60)
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
    assert not audit(without, "--prove", expect=1)["ok"]


def test_check_asks_for_signatures_as_the_settings_say(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "required")
    lines = list(signed_events())[:5]
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-", "--format", "json"], input=b"\n".join(lines),
        env=os.environ | settings.as_environment(), capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    decided = [json.loads(line)["reasons"] for line in done.stdout.splitlines()]
    assert decided == [["SIGNATURE_INVALID"], ["SIGNATURE_KEY_UNKNOWN"], ["SIGNATURE_MISSING"], [], []]
