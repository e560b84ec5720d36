"""The list is edited while events flow through two workers: each event is decided by the edition in force at
its time."""

import asyncio
import datetime
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.adapters.settings import Settings
from gateway.contract.verification import VERIFIED_TYPE
from gateway.operate.topics import apply_topics
from tests.kafka.harness import Account, audit, publish, wait_until_accounted, with_short_sessions, workers
from tests.kafka.row6 import CHINA, amendment, copy_of_the_list, row_6_event
from tests.patience import PATIENCE_S
from tests.ports import free_port


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


class Feed:
    """Sends events of row 6, shown today and yesterday alike."""

    def __init__(self, settings: Settings) -> None:
        self.shown: dict[str, str] = {}
        self.today = datetime.datetime.now(CHINA)
        self._settings = settings

    async def send(self, seconds: float, until: Callable[[], bool] = lambda: False) -> set[str]:
        """Without pause for so long, or until then; returns the ids."""
        sent, deadline = set(), time.monotonic() + seconds
        while time.monotonic() < deadline and not until():
            for ago, day in ((0, "today"), (1, "yesterday")):
                numbers = range(len(self.shown), len(self.shown) + 20)
                shown = self.today - datetime.timedelta(days=ago)
                await publish(self._settings, [row_6_event(number, shown) for number in numbers])
                ids = {f"row6-{number}" for number in numbers}
                self.shown.update(dict.fromkeys(ids, day))
                sent |= ids
        return sent

    async def until_accounted(self) -> Account:
        """Until all is accounted for."""
        return await wait_until_accounted(self._settings, len(self.shown))


async def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_only_valid_list_edits_take_effect_in_workers(settings: Settings, tmp_path: Path) -> None:
    settings, folder, port = with_short_sessions(settings), copy_of_the_list(tmp_path), free_port()
    await apply_topics(settings)
    feed, phases = Feed(settings), dict[str, set[str]]()
    environment = {"GATEWAY_RECOGNITION": str(folder), "GATEWAY_RECOGNITION_POLL_S": "0.3"}
    page = {"GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__PORT": str(port)}
    with workers(settings, 1, **environment) as (one,), workers(settings, 1, **environment, **page) as (other,):

        def both_say(event: str, count: int = 1) -> bool:
            return all(len(worker.events(event)) >= count for worker in (one, other))

        await wait(lambda: both_say("lane.opened", 4))
        phases["before"] = await feed.send(1)
        await feed.until_accounted()
        (folder / "amendment-1.yaml").write_text(amendment(feed.today.date()), encoding="utf-8")
        await feed.send(30, until=lambda: both_say("list.loaded"))
        phases["after"] = await feed.send(1)
        await feed.until_accounted()
        (folder / "amendment-2.yaml").write_text("amends: 1\nset: [", encoding="utf-8")
        await wait(lambda: both_say("list.refused"))
        refused, digest = other.events("list.refused")[0], one.events("list.loaded")[0]["list_digest"]
        assert "amendment-2.yaml: not readable YAML" in str(refused["problems"])
        assert refused["list_digest_in_force"] == digest
        metrics = scrape(port)
        assert "gateway_list_edit_refused 1.0" in metrics
        assert f'gateway_list_info{{digest="{digest}"}} 1.0' in metrics
        assert 'gateway_rejections_total{province="sichuan",reason="LIST_ROW_UNRESOLVED"}' in metrics
        phases["in spite"] = await feed.send(1)
        account = await feed.until_accounted()
        (folder / "amendment-2.yaml").unlink()
        await wait(lambda: both_say("list.loaded", 2))
        assert "gateway_list_edit_refused 0.0" in scrape(port)
    account.assert_proper(len(feed.shown))
    forwarded, digests = Counter[tuple[str, str]](), set()
    for (record,) in account.outputs.values():
        data: Any = record["data"]
        event_id, is_verified = data["event"]["id"], record["type"] == VERIFIED_TYPE
        phase = next((name for name, ids in phases.items() if event_id in ids), "meanwhile")
        forwarded[phase, feed.shown[event_id]] += is_verified
        digests.add(data["list"]["digest"] if is_verified else data["list_digest"])
    assert forwarded["before", "today"] == 0
    assert forwarded["after", "today"] == len(phases["after"]) // 2
    assert forwarded["in spite", "today"] == len(phases["in spite"]) // 2
    assert sum(count for (_, day), count in forwarded.items() if day == "yesterday") == 0
    assert len(digests) == 2  # of the edition before the amendment's day, and of the one from it on
    assert audit(settings)["ok"] is True
