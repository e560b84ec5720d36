"""The commands of the documents do what the pages say, in their order, on a real broker."""

import asyncio
import contextlib
import datetime
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.adapters.settings import Settings, packaged_config
from gateway.feedback.prepare import prepare_topics
from gateway.operate.topics import apply_topics
from tests.kafka.harness import Worker, audit, publish, simulate, wait_until_accounted, with_short_sessions, workers
from tests.kafka.row6 import CHINA, amendment, row_6_event
from tests.kafka.test_sandbox import clean_environment, kept_demo
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
_FINDINGS = frozenset({1})
_ANY = frozenset({0, 1})
_NOT_HERE = frozenset({2})

EXIT_CODES: dict[str, dict[str, frozenset[int]]] = {
    "proving.md": {"gateway list diff config/recognition draft": _FINDINGS},
    "runbook.md": {
        "gateway doctor": _ANY,
        "gateway list diff config/recognition draft": _FINDINGS,
        "gateway list diff config/recognition draft --impact": _FINDINGS,
        "gateway replay --list draft --format json": _ANY,
        "gateway feedback rebuild --dry-run": _ANY,
        'gateway acknowledge sichuan.display-3 --offsets 1200-1299 --by "值班室" --why "published again on 27 November"': (
            _NOT_HERE
        ),
    },
}
"""The commands of a page that may end with another exit code than 0, and with which."""


def commands(page: str) -> list[tuple[str, frozenset[int]]]:
    """Return the page's commands in their order, each with the exit codes that it may have."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    expected = EXIT_CODES.get(page, {})
    found = [line.partition("  #")[0].strip() for line in lines if line.strip()]
    assert expected.keys() <= set(found), f"{page} has no longer: {expected.keys() - set(found)}"
    return [(command, expected.get(command, frozenset({0}))) for command in found]


Run = Callable[[str, frozenset[int]], str]


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    """Where a reader sits: settings and list, the examples, and a draft of the list with an amendment in
    it."""
    shutil.copytree(packaged_config(), tmp_path / "config")
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    shutil.copytree(packaged_config() / "recognition", tmp_path / "draft")
    today = datetime.datetime.now(CHINA).date()
    (tmp_path / "draft" / "amendment-1.yaml").write_text(amendment(today), encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(settings: Settings, folder: Path) -> Run:
    """Run a command there; fail where its exit code is not one of those expected."""
    environment = os.environ | with_short_sessions(settings).as_environment() | {
        "GATEWAY_CONFIG": "config/gateway.yaml", "GATEWAY_TOPICS__PARTITIONS": str(settings.topics.partitions),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip

    def run_it(command: str, codes: frozenset[int]) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode in codes, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run_it


async def work_off(settings: Settings, now: datetime.datetime) -> None:
    """Topics with all that the pages speak of in them."""
    await apply_topics(settings)
    row_6 = [row_6_event(number, now) for number in range(30)]
    known = row_6_event(99, now, id="example-sichuan-1")
    with workers(settings, 1) as (worker,):
        await publish(settings, [*simulate(settings, 1000, seed=31), *row_6, known])
        await wait_until_accounted(settings, 1031)
        assert worker.terminate() == 0


def test_how_to_prove_that_nothing_was_lost(settings: Settings, run: Run) -> None:
    settings = with_short_sessions(settings)
    asyncio.run(work_off(settings, datetime.datetime.now(CHINA)))
    said = {command: run(command, codes) for command, codes in commands("proving.md")}
    assert "一致" in said["gateway audit"]
    assert "LIST_ROW_UNRESOLVED" in said["gateway trace example-sichuan-1"]
    assert "31" in said["gateway redrive --reason LIST_ROW_UNRESOLVED --row 1/6 --yes"]
    assert audit(settings)["redriven"] == 31


def test_the_runbook_and_what_feedback_says(settings: Settings, run: Run) -> None:
    settings = with_short_sessions(settings)
    asyncio.run(work_off(settings, datetime.datetime.now(CHINA)))
    asyncio.run(prepare_topics(settings))
    said = {command: run(command, codes) for command, codes in commands("runbook.md")}
    assert "矿产" not in said["gateway list diff config/recognition draft"]
    assert "道路运输从业资格证" in said["gateway list diff config/recognition draft"]
    assert "31" in said["gateway redrive --reason LIST_ROW_UNRESOLVED --row 1/6 --yes"]
    assert "shares of cases" in said["gateway feedback rebuild"]
    for command, codes in commands("feedback.md"):
        run(command, codes)


@contextlib.contextmanager
def _a_gateway(settings: Settings) -> Iterator[None]:
    worker = Worker(settings).start()
    try:
        yield
    finally:
        worker.discard()


def test_getting_started(settings: Settings, run: Run, tmp_path: Path) -> None:
    """In an empty folder, against the sandbox that it starts; then on a Kafka of one's own."""
    steps = commands("getting-started.md")
    own = next(number for number, (command, _) in enumerate(steps) if command == "gateway topics plan")
    empty, said = tmp_path / "empty", {}
    empty.mkdir()
    with kept_demo() as sandbox:
        environment = clean_environment(SANDBOX=str(sandbox.folder))
        for command, codes in steps[:own]:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=empty,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert done.returncode in codes, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            said[command] = done.stdout
    output = "\n".join(said.values())
    assert '"id":"first-chongqing-1","province":"chongqing","outcome":"forward"' in output
    assert "let no event through" in said["gateway list show"]
    assert "id=first-sichuan-1" in next(out for command, out in said.items() if "chongqing.verification" in command)
    assert "id=first-sichuan-2" in next(out for command, out in said.items() if "sichuan.rejection" in command)
    trace = next(out for command, out in said.items() if "gateway trace" in command)
    assert "已转发 forwarded" in trace
    assert "CHANNEL_NOT_RECOGNISED" in trace
    assert "一致" in next(out for command, out in said.items() if "gateway audit" in command)

    settings = with_short_sessions(settings)
    with contextlib.ExitStack() as running:
        for command, codes in steps[own:]:
            said[command] = run(command, codes)
            if command == "gateway topics apply":
                running.enter_context(_a_gateway(settings))
    assert "created" in said["gateway topics apply"]
    assert "已转发 forwarded" in said["gateway trace second-sichuan-1"]
    assert "一致" in said["gateway audit"]


_OTHER_PROGRAMS = ("cd docs/examples/java", "java -cp", "tail -F")
"""The Java example is tried by test_sandbox; a pipe that does not end, by nobody."""


def test_what_a_platform_does_first(tmp_path: Path) -> None:
    """The commands of provinces.md, in their order and one shell, where docs/examples is."""
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    with kept_demo() as sandbox:
        lines = ["set -euo pipefail", ". $SANDBOX/sichuan.env"]
        for command, _ in commands("provinces.md"):
            line = command.partition("   #")[0].replace("127.0.0.1:9094", sandbox.announced["bootstrap_servers"])
            line = line.replace("secrets/sichuan", "$SANDBOX/sichuan")
            if line.startswith("python docs/examples/python/consumer.py"):
                read = "for _ in $(seq 300); do grep -q example-2 read.out && break; sleep 1; done"
                line = f"{line} > read.out & reader=$!; {read}; kill $reader; cat read.out"  # until it is ended
            if not line.startswith(_OTHER_PROGRAMS) and not line.startswith("gateway demo"):
                lines.append(line)
        done = subprocess.run(
            ["bash", "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            env=clean_environment(SANDBOX=str(sandbox.folder)),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 delivered" in done.stderr
    assert '{"event":"example-2","outcome":"rejected","reasons":["CHANNEL_NOT_RECOGNISED"]}' in done.stdout.replace(
        " ", ""
    )
    assert "已转发forwarded" in done.stdout.replace(" ", "")
    assert '"id":"ctsb-' in done.stdout.replace(" ", "")  # of the mapping
    assert '"id":"ctsb-20261124-000320"' in done.stdout.replace(" ", "")  # of the CSV file's second row
