"""The command line as a user meets it: data on stdout, the rest on stderr, exit codes as in the contract."""

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from gateway.adapters.cores import usable_cores
from gateway.cli.main import app
from gateway.core.province import Province
from gateway.operate.examples import display_event
from tests.unit.second_batch import CERTIFICATES, second_batch_content, second_batch_event

ROOT = Path(__file__).parents[2]


def gateway(
    *arguments: str, stdin: bytes = b"", cwd: Path = ROOT, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"} | environment,
    )


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)


def test_check_decides_in_input_order_and_exits_zero() -> None:
    sichuan, chongqing = display_event(Province.SICHUAN), display_event(Province.CHONGQING)
    refused = display_event(Province.SICHUAN) | {"id": "other"}
    refused["data"]["display"]["channel"] = "微信小程序"
    stdin = lines(sichuan, chongqing, sichuan, refused) + b"garbage\n\n" + lines({**sichuan, "source": "urn:x"})
    done = gateway("check", "-", "--format", "json", stdin=stdin)
    assert done.returncode == 0
    assert done.stderr == b""
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"id": "example-sichuan-1", "province": "sichuan", "outcome": "forward", "batch": 1, "row": 5, "reasons": []},
        {
            "id": "example-chongqing-1",
            "province": "chongqing",
            "outcome": "forward",
            "batch": 1,
            "row": 1,
            "reasons": [],
        },
        {
            "id": "example-sichuan-1",
            "province": "sichuan",
            "outcome": "duplicate",
            "batch": None,
            "row": None,
            "reasons": [],
        },
        {
            "id": "other",
            "province": "sichuan",
            "outcome": "reject",
            "batch": 1,
            "row": 5,
            "reasons": ["CHANNEL_NOT_RECOGNISED"],
        },
        {
            "id": None,
            "province": None,
            "outcome": "dead_letter",
            "batch": None,
            "row": None,
            "reasons": [],
            "error": {"code": "NOT_JSON", "message": "not JSON: Expecting value at character 0"},
        },
        {
            "id": "example-sichuan-1",
            "province": None,
            "outcome": "reject",
            "batch": None,
            "row": None,
            "reasons": ["INVALID_EVENT"],
        },
    ]


@pytest.mark.parametrize("time", ["2026-11-23T08:00:00", "2026-11-23", "8 o'clock", "", 1795392000, None])
def test_check_goes_on_where_a_time_says_no_moment(time: Any) -> None:
    stdin = lines(display_event(Province.SICHUAN) | {"time": time}, display_event(Province.CHONGQING))
    done = gateway("check", "-", "--format", "json", stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["reasons"] for result in results] == [["INVALID_EVENT"], []]


@pytest.fixture(params=[1, None], ids=["one core", "all cores"])
def cores(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let commands use this number of cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[: request.param])
    yield
    os.sched_setaffinity(0, allowed)


@pytest.mark.usefixtures("cores")
def test_check_on_all_cores_keeps_order_and_horizon(tmp_path: Path) -> None:
    """Several thousand lines are decided in as many processes as there are cores; a repetition is known all
    the same."""
    events = [display_event(Province.SICHUAN) | {"id": str(number % 5000)} for number in range(9000)]
    events[7000]["data"]["display"]["channel"] = "渝快办"
    events[2500]["data"]["display"]["channel"] = "微信小程序"  # rejected, then fixed under its id, then repeated
    events += [events[7500], events[2500]]
    file = tmp_path / "events.ndjson"
    file.write_bytes(lines(*events))
    results = [json.loads(line) for line in gateway("check", str(file), "--format", "json").stdout.splitlines()]
    assert [result["id"] for result in results] == [event["id"] for event in events]
    outcomes = {number: result["outcome"] for number, result in enumerate(results)}
    assert {number for number in range(5000) if outcomes[number] != "forward"} == {2500}
    assert results[2500]["reasons"] == ["CHANNEL_NOT_RECOGNISED"]
    assert {number for number in range(5000, 9001) if outcomes[number] != "duplicate"} == {7000, 7500}
    assert results[7000]["reasons"] == ["ID_REUSED"]
    assert outcomes[7500] == "forward"
    assert results[9001]["reasons"] == ["ID_REUSED", "CHANNEL_NOT_RECOGNISED"]


def test_check_counts_an_id_within_its_holder() -> None:
    event = display_event(Province.SICHUAN)
    other = display_event(Province.SICHUAN)
    other["data"]["holder"]["ref"] = "sm3:" + "0" * 64
    done = gateway("check", "-", "--format", "json", stdin=lines(event, other, event))
    assert [json.loads(line)["outcome"] for line in done.stdout.splitlines()] == ["forward", "forward", "duplicate"]


def test_check_takes_province_and_received_at() -> None:
    event = display_event(Province.SICHUAN)
    done = gateway("check", "-", "--format", "json", "--province", "chongqing", stdin=lines(event))
    assert json.loads(done.stdout)["reasons"][0] == "SOURCE_MISMATCH"
    done = gateway("check", "-", "--format", "json", "--received-at", "2026-12-01T00:00:00Z", stdin=lines(event))
    assert json.loads(done.stdout)["reasons"] == ["STALE_EVENT"]


def test_check_explains_in_chinese_and_shows_no_holder() -> None:
    event = display_event(Province.SICHUAN)
    event["data"]["display"]["channel"] = "微信小程序"
    done = gateway("check", "-", stdin=lines(event))
    text = done.stdout.decode()
    assert "亮证渠道不在清单该行所列渠道内" in text
    assert "四川省交通运输厅" in text
    assert "row 1/5" in text
    assert "应为：天府通办；渝快办" in text
    assert "怎么办：请签发单位确认该渠道是否可以亮证" in text
    assert "成都**" not in text
    assert "reject 1" in done.stderr.decode()


def test_check_works_in_an_empty_folder(tmp_path: Path) -> None:
    done = gateway("check", "-", "--format", "json", stdin=lines(display_event(Province.SICHUAN)), cwd=tmp_path)
    assert json.loads(done.stdout)["outcome"] == "forward"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["bogus"], 2, "No such command"),
        (["check"], 2, "Missing argument"),
        (["check", "no-such-file"], 2, "no-such-file cannot be read"),
        (["check", "-", "--received-at", "yesterday"], 2, "--received-at"),
        (["check", "-", "--list", "no-such-folder"], 78, "no-such-folder"),
        (["check", "-", "--province", "hubei"], 2, "hubei"),
        (["list", "show", "--date", "2026-02-30"], 2, "--date"),
        (["list", "show", "--row", "99"], 2, "--row: the list has no row 99"),
        (["list", "show", "--row", "2/5"], 2, "--row: the list has no row 2/5"),
        (["list", "show", "--row", "1-5"], 2, "--row: '1-5' is not a row"),
        (["list", "show", "--row", "1/5", "--date", "2020-01-01"], 2, "--row: no row 1/5 is in force on 2020-01-01"),
        (["tail", "sichuan.rejection", "--row", "99", "--bootstrap-servers", "127.0.0.1:1"], 2, "has no row 99"),
        (["list", "validate", "--config", "none.yaml"], 78, "none.yaml"),
        (["schema", "check", "no-such-folder"], 1, "gateway schema export"),
        (["topics", "plan", "--bootstrap-servers", "127.0.0.1:1"], 69, "127.0.0.1:1"),
        (["tail", "sichuan.rejection", "--bootstrap-servers", "127.0.0.1:1"], 69, "127.0.0.1:1"),
        (
            ["tail", "sichuan.rejection", "--reason", "CHANEL", "--bootstrap-servers", "127.0.0.1:1"],
            2,
            "CHANNEL_NOT_REC",
        ),
        (
            ["redrive", "--reason", "channel", "--bootstrap-servers", "127.0.0.1:1"],
            2,
            "--reason: 'channel' is not a reason",
        ),
        (["feedback", "list", "--reason", "X", "--bootstrap-servers", "127.0.0.1:1"], 2, "TOO_LARGE"),
        (
            ["redrive", "--since", "yesterday", "--dry-run"],
            2,
            "--since: 'yesterday' is not a day (2026-11-23) or an instant",
        ),
        (
            ["audit", "--until", "2026-02-30", "--bootstrap-servers", "127.0.0.1:1"],
            2,
            "--until: '2026-02-30' is not a day",
        ),
        (["trace", "x", "--since", "2026-11-23T25:00:00Z"], 2, "there is no such time of day"),
        (
            ["report", "--output", "x.md", "--since", "last week", "--bootstrap-servers", "127.0.0.1:1"],
            2,
            "--since: 'last",
        ),
        (["list", "validate", "--list", "/nope"], 78, "/nope: does not exist"),
        (["tail", "sichuan.nothing", "--bootstrap-servers", "127.0.0.1:1"], 2, "sichuan.verification"),
        (["publish", "-", "--province", "sichuan", "--bootstrap-servers", "127.0.0.1:1"], 69, "127.0.0.1:1"),
        (["run", "--bootstrap-servers", "127.0.0.1:1"], 69, "127.0.0.1:1"),
        (["top", "--bootstrap-servers", "127.0.0.1:1"], 2, "gateway tail"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_exit_codes_and_messages(arguments: list[str], code: int, said: str) -> None:
    done = gateway(*arguments)
    assert done.returncode == code, done.stderr.decode()
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert done.stdout == b""


def test_demo_takes_the_broker_that_the_settings_file_names(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("bootstrap_servers: 127.0.0.1:1\n", encoding="utf-8")
    done = gateway("demo", "--config", str(file))
    assert done.returncode == 69
    assert "cannot reach Kafka at 127.0.0.1:1" in done.stderr.decode()


def test_list_show_marks_unresolved_cells() -> None:
    text = gateway("list", "show", "--date", "2026-11-23").stdout.decode()
    assert "〔缺失〕" in text
    assert "〔推断〕" in text
    assert "20 rows in force" in text
    row_19 = gateway("list", "show", "--date", "2026-11-23", "--row", "1/19", COLUMNS="200").stdout.decode()
    assert row_19.partition("rows in force")[0].count("〔缺失〕") == 4  # scenarios, matters, both sides of the scope
    row_16 = gateway("list", "show", "--date", "2026-11-23", "--row", "1/16").stdout.decode()
    assert "川渝通办事项  —〔推断〕" in row_16  # inferred that there are none
    rows = [json.loads(line) for line in gateway("list", "show", "--format", "json").stdout.splitlines()]
    assert [row["row"] for row in rows] == list(range(1, 21))
    assert rows[18]["unresolved"] == ["scenarios", "matters", "scope.sichuan", "scope.chongqing"]
    assert rows[4]["channels"] == {
        "provenance": "read",
        "value": ["天府通办", "渝快办"],
        "note": None,
        "document": None,
    }


def test_ambiguous_row_numbers_need_their_batch(tmp_path: Path) -> None:
    folder = tmp_path / "recognition"
    shutil.copytree(ROOT / "config" / "recognition", folder)
    (folder / "batch-2.yaml").write_text(yaml.safe_dump(second_batch_content(), allow_unicode=True), encoding="utf-8")
    options = ("--list", str(folder), "--date", "2026-11-23", "--format", "json")
    ambiguous = gateway("list", "show", "--row", "5", *options)
    assert (ambiguous.returncode, ambiguous.stdout) == (2, b"")
    assert "several batches have a row 5; say which: 1/5, 2/5" in ambiguous.stderr.decode()
    shown = json.loads(gateway("list", "show", "--row", "2/5", *options).stdout)
    assert (shown["batch"], shown["row"], shown["certificate"]["value"]) == (2, 5, CERTIFICATES[5])
    assert json.loads(gateway("list", "show", "--row", "19", *options).stdout)["batch"] == 1
    stdin = lines(display_event(Province.SICHUAN), second_batch_event(Province.SICHUAN))
    decided = gateway("check", "-", "--list", str(folder), "--format", "json", stdin=stdin)
    rows = [(each["batch"], each["row"]) for each in map(json.loads, decided.stdout.splitlines())]
    assert rows == [(1, 5), (2, 5)]


def test_list_validate_names_mistakes(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("batch: 1\n", encoding="utf-8")
    done = gateway("list", "validate", "--list", str(tmp_path))
    assert done.returncode == 78
    assert "x.yaml: rows: is missing" in done.stderr.decode()
    assert gateway("list", "validate").returncode == 0
    done = gateway("list", "validate", "--format", "json")
    (edition,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (edition["since"], edition["rows"], edition["unresolved_cells"]) == ("2022-10-23", 20, 38)
    assert done.stderr == b""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from leaves(inner, (*path, name))
    else:
        yield path


@pytest.mark.parametrize("path", [*leaves(get_command(app))], ids=" ".join)
def test_help_teaches_every_command_with_an_example(path: tuple[str, ...]) -> None:
    done = CliRunner(env={"NO_COLOR": "1", "TERMINAL_WIDTH": "100"}).invoke(app, [*path, "-h"])
    assert done.exit_code == 0
    assert "Example" in done.output
    assert "\x1b[" not in done.output
    assert re.findall(r"<\w[^>]*>", done.output) == []  # Python's names of types


@pytest.mark.parametrize("path", [*leaves(get_command(app))], ids=" ".join)
def test_help_is_whole_on_80_columns(path: tuple[str, ...]) -> None:
    """No name that one has to type, such as a variable's, is cut short."""
    done = CliRunner(env={"NO_COLOR": "1", "TERMINAL_WIDTH": "80"}).invoke(app, [*path, "-h"])
    assert "--help" in done.output
    assert [line for line in done.output.splitlines() if "…" in line] == []


def test_help_lists_the_commands_in_groups() -> None:
    shown = gateway("-h", NO_COLOR="1").stdout.decode()
    groups = re.findall(r"^╭─ (.+?) ─", shown, re.MULTILINE)
    assert groups == ["Options", "Run", "Prepare", "Events", "The list", "Prove", "Cases and reports", "The contract"]
    table = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \*\*(.+?)\*\* \|", table, re.MULTILINE) == groups[1:]


def test_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """As a shell says of a process that SIGPIPE ended, and without a word."""
    file = tmp_path / "events.ndjson"
    file.write_bytes(lines(*[display_event(Province.SICHUAN) | {"id": str(number)} for number in range(3000)]))
    command = f"{sys.executable} -m gateway check {file} --format json | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, cwd=ROOT)
    assert len(done.stdout.splitlines()) == 1
    assert (done.returncode, done.stderr) == (141, b"")


def test_check_exits_1_where_asked_to(tmp_path: Path) -> None:
    events = gateway("examples", "--id", "try", "--province", "sichuan")
    assert [json.loads(line)["id"] for line in events.stdout.splitlines()] == ["try-sichuan-1", "try-sichuan-2"]
    good, _ = events.stdout.splitlines(keepends=True)
    assert gateway("check", "-", stdin=events.stdout).returncode == 0
    assert gateway("check", "-", "--exit-code", stdin=events.stdout).returncode == 1
    assert gateway("check", "-", "--exit-code", stdin=good).returncode == 0
    assert gateway("check", "-", "--exit-code", stdin=b"garbage\n").returncode == 1


def test_examples_are_of_now() -> None:
    """So they are decided as they say, however old the repository is."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    events = gateway("examples").stdout
    done = gateway("check", "-", "--format", "json", "--received-at", now, stdin=events)
    decided = [json.loads(line) for line in done.stdout.splitlines()]
    reasons = [[], ["CHANNEL_NOT_RECOGNISED"]] * 2
    assert [each["reasons"] for each in decided] == reasons
    assert [each["province"] for each in decided] == ["sichuan", "sichuan", "chongqing", "chongqing"]


def test_written_and_drifted_files_are_listed_in_json(tmp_path: Path) -> None:
    made = gateway("secrets", str(tmp_path / "secrets"), "--format", "json")
    files = [json.loads(line)["file"] for line in made.stdout.splitlines()]
    assert str(tmp_path / "secrets" / "admin") in files
    exported = gateway("schema", "export", str(tmp_path / "schemas"), "--format", "json")
    names = [Path(json.loads(line)["file"]) for line in exported.stdout.splitlines()]
    assert all(path.is_file() for path in names)
    same = gateway("schema", "check", str(tmp_path / "schemas"), "--format", "json")
    assert (same.returncode, json.loads(same.stdout)) == (0, {"ok": True, "drifted": []})
    names[0].unlink()
    other = gateway("schema", "check", str(tmp_path / "schemas"), "--format", "json")
    assert (other.returncode, json.loads(other.stdout)) == (1, {"ok": False, "drifted": [str(names[0])]})


def test_ctrl_c_during_loading_prints_no_traceback() -> None:
    program = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "gateway.cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from gateway.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_cores_are_those_that_the_process_is_kept_to() -> None:
    allowed = os.sched_getaffinity(0)
    program = f"import os; os.sched_setaffinity(0, {{{min(allowed)}}}); from gateway.adapters.cores import usable_cores; print(usable_cores())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT)
    assert done.stdout == b"1\n"
    assert usable_cores() == len(allowed)
