"""``gateway restore`` on a real broker: forwards that were lost stand there again, once, with the bytes that
they had."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.simulate import Simulated
from tests.kafka.blind_spots import rejected, work_off
from tests.kafka.harness import audit
from tests.kafka.harness import publish as publish_simulated
from tests.kafka.one_lane import Notes, delete_before, events, lane_id, publish, read, until, working
from tests.kafka.row6 import CHINA, amendment, copy_of_the_list, row_6_event
from tests.kafka.test_audit import append, rewrite
from tests.kafka.test_redrive import redrive
from tests.patience import PATIENCE_S


def restore(settings: Settings, *options: str, expect: int = 0, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "restore", "--format", "json", *options],
        env=os.environ | settings.as_environment() | environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return dict(json.loads(done.stdout))


def content(records: list[Any]) -> list[tuple[Any, ...]]:
    return [(record.key, record.value, tuple(record.headers)) for record in records]


async def test_missing_forwards_are_restored_as_the_same_bytes(one: Settings, notes: Notes, tmp_path: Path) -> None:
    verification = one.topic_names.verification(Province.CHONGQING)
    first, second = [*events(0, 5), *rejected(5, 2), *events(0, 1)], events(10, 5)
    await work_off(one, notes, first, second)
    before = content(await read(one, verification))
    await rewrite(one, verification, 0, lambda records: records.clear())
    await work_off(one, notes, events(20, 3))  # which now stand first
    assert audit(one, expect=1)["missing"] == 10
    plan = restore(one, "--dry-run")
    assert (plan["missing"], plan["restored"], plan["left"]) == (10, 0, {})
    assert len(await read(one, verification)) == 3
    done = restore(one)
    assert (done["missing"], done["restored"], done["left"]) == (10, 10, {})
    assert content(await read(one, verification))[3:] == before
    result = audit(one, "--prove", "--export", str(tmp_path / "statement.json"))
    assert (result["ok"], result["offsets"], result["proved"]) == (True, 16, 16)
    assert audit(one, "--statement", str(tmp_path / "statement.json"))["records"] == 15
    again = restore(one)
    assert (again["missing"], again["restored"]) == (0, 0)
    # The lane goes on as if nothing had been: what it forwarded is known.
    async with working(one, notes) as lane:
        await until(lane, 16)
        await publish(one, [*second, *events(30, 2)])
        await until(lane, 23)
    assert len(await read(one, verification)) == 15
    result = audit(one)
    assert (result["ok"], result["outcomes"]["duplicate"]) == (True, 6)
    # Restored is restored once: a second copy of it is one too many.
    record = (await read(one, verification))[4]
    await append(one, verification, 0, record.key, record.value, record.headers)
    assert [each["kind"] for each in audit(one, expect=1)["findings"]] == ["doubled"]


async def test_redriven_forwards_are_restored_under_their_own_list(one: Settings, notes: Notes, tmp_path: Path) -> None:
    verification, folder = one.topic_names.verification(Province.CHONGQING), copy_of_the_list(tmp_path)
    now = datetime.datetime.now(CHINA)
    unresolved = [row_6_event(number, now) for number in range(3)]
    await publish_simulated(one, [Simulated(*each) for each in unresolved])
    await work_off(one, notes, events(0, 2))
    (folder / "amendment-1.yaml").write_text(amendment(now.date()), encoding="utf-8")
    assert redrive(one, folder, "--all")["forward"] == 3
    before = content(await read(one, verification))
    await rewrite(one, verification, 0, lambda records: records.clear())
    other = restore(one, expect=1, GATEWAY_RECOGNITION=str(folder))
    assert (other["restored"], other["left"]) == (3, {"decided under another edition of the list than the one here": 2})
    done = restore(one)
    assert (done["missing"], done["restored"]) == (2, 2)
    assert sorted(content(await read(one, verification))) == sorted(before)
    assert audit(one)["ok"] is True


async def test_what_cannot_be_restored_is_named(one: Settings, notes: Notes) -> None:
    verification, topic = one.topic_names.verification(Province.CHONGQING), lane_id(one).topic
    await work_off(one, notes, events(0, 3), events(3, 3))
    await rewrite(one, verification, 0, lambda records: records.clear())
    await delete_before(one, topic, 2)
    done = restore(one, expect=1)
    why = "an input record is no longer there, or another one stands in its place"
    assert (done["missing"], done["restored"], done["left"]) == (6, 3, {why: 3})
