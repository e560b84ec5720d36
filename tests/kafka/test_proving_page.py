"""The commands of docs/proving.md do what the page says, in its order."""

import asyncio
import datetime
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from gateway.adapters.settings import Settings, packaged_config
from gateway.operate.topics import apply_topics
from tests.kafka.harness import audit, publish, wait_until_accounted, with_short_sessions, workers
from tests.kafka.row6 import CHINA, amendment, row_6_event
from tests.kafka.test_audit import simulate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "proving.md"


def commands() -> list[tuple[str, int]]:
    """The page's commands with the exit code that each is to have."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [(line.split("  #")[0], 1 if line.endswith("# exits 1") else 0) for line in lines]


async def work_off(settings: Settings, now: datetime.datetime) -> None:
    """Topics with all that the page speaks of in them."""
    await apply_topics(settings)
    row_6 = [row_6_event(number, now) for number in range(30)]
    known = row_6_event(99, now, id="example-sichuan-1")
    with workers(settings, 1) as (worker,):
        await publish(settings, [*simulate(settings, 1000, seed=31), *row_6, known])
        await wait_until_accounted(settings, 1031, 60)
        assert worker.terminate(10) == 0


def test_commands_of_the_page(settings: Settings, tmp_path: Path) -> None:
    settings, now = with_short_sessions(settings), datetime.datetime.now(CHINA)
    shutil.copytree(packaged_config(), tmp_path / "config")
    shutil.copytree(packaged_config() / "recognition", tmp_path / "draft")
    (tmp_path / "draft" / "amendment-1.yaml").write_text(amendment(now.date()), encoding="utf-8")
    asyncio.run(work_off(settings, now))
    environment = os.environ | settings.as_environment()
    environment |= {
        "GATEWAY_CONFIG": "config/gateway.yaml",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    said = {}
    for command, code in commands():
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        said[command] = done.stdout
    assert "一致" in said["gateway audit"]
    assert "LIST_ROW_UNRESOLVED" in said["gateway trace example-sichuan-1"]
    assert "31" in said["gateway redrive --reason LIST_ROW_UNRESOLVED --row 6 --yes"]
    assert audit(settings)["redriven"] == 31
