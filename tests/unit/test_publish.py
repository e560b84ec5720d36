"""What `gateway publish` says of each line before it is sent, and what a mapping makes of a platform's own
records."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.core.province import Province
from gateway.operate.examples import display_event
from gateway.operate.publish import lines as publish_lines
from gateway.operate.publish.lines import read_lines
from tests.patience import PATIENCE_S

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "mapping"


def publish(
    *arguments: str, stdin: bytes = b"", cwd: Path | None = None, command: Sequence[str] = ("publish",)
) -> "subprocess.CompletedProcess[str]":
    # Nothing answers at port 1: what is refused is refused before a broker is asked.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *command, *arguments], input=stdin, capture_output=True, check=False,
        cwd=cwd, env=environment | {"GATEWAY_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    )  # fmt: skip
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()
    )


def event(province: Province = Province.SICHUAN, **changes: Any) -> bytes:
    return json.dumps(display_event(province) | changes, ensure_ascii=False).encode()


def unmasked() -> bytes:
    broken = display_event(Province.SICHUAN)
    broken["data"]["holder"]["name_masked"] = "没有脱敏的名字"
    del broken["data"]["display"]["region_code"]
    broken["data"]["display"]["phone"] = "13912345678"
    return json.dumps(broken, ensure_ascii=False).encode()


def test_invalid_lines_stop_publishing_and_show_no_values(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_bytes(
        b"\n".join([event(), b"", unmasked(), b"no json", event(Province.CHONGQING)])
    )
    done = publish("events.ndjson", "--province", "sichuan", "--invalid", "refuse", cwd=tmp_path)
    assert done.returncode == 1
    assert "events.ndjson:3: holder.name_masked: 姓名未脱敏 must be masked" in done.stderr
    assert "events.ndjson:3: display.region_code: 缺少必填字段 required, but missing (INVALID_EVENT)" in done.stderr
    assert "events.ndjson:3: display.phone: " in done.stderr
    assert "events.ndjson:4: event: " in done.stderr
    assert "(NOT_JSON)" in done.stderr
    assert "events.ndjson:5: source: " in done.stderr
    assert "(SOURCE_MISMATCH)" in done.stderr
    assert "3 of 4 lines are invalid; nothing was sent. Fix them" in done.stderr
    assert done.stdout == ""
    assert "没有脱敏的名字" not in done.stderr
    assert "13912345678" not in done.stderr


def test_json_names_every_line_and_ends_with_the_counts() -> None:
    done = publish(
        "-", "--province", "sichuan", "--invalid", "refuse", "--format", "json", stdin=b"\n".join([unmasked()] * 30)
    )
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [line["line"] for line in lines] == list(range(1, 31))
    assert {problem["field"] for problem in lines[0]["problems"]} == {
        "holder.name_masked", "display.region_code", "display.phone",
    }  # fmt: skip
    assert last == {"topic": "sichuan.display", "lines": 30, "sent": 0, "invalid": 30, "refused": 30}


def test_many_invalid_lines_are_summed_up_in_text() -> None:
    done = publish("-", "--province", "sichuan", "--invalid", "refuse", stdin=b"\n".join([b"?"] * 30))
    assert "standard input:20: " in done.stderr
    assert "standard input:21: " not in done.stderr
    assert "… and 10 more lines" in done.stderr
    assert "30 × event (NOT_JSON)" in done.stderr


@pytest.mark.parametrize(
    ("invalid", "kept", "code"), [("skip", [0, 2], 1), ("send", [0, 1, 2], 0), (None, [0, 1, 2], 0)]
)
def test_invalid_lines_are_left_out_or_sent_as_asked(invalid: str | None, kept: list[int], code: int) -> None:
    lines = [event(), unmasked(), event(id="second")]
    asked = ["--invalid", invalid] if invalid else []
    done = publish("-", "--province", "sichuan", "--dry-run", *asked, stdin=b"\n".join(lines))
    assert done.returncode == code
    assert "standard input:2: holder.name_masked: " in done.stderr
    assert done.stdout.encode().splitlines() == [lines[index] for index in kept]


def test_invalid_option_combinations_are_reported() -> None:
    assert publish("-", "--province", "sichuan", "--dry-run", "--format", "json").returncode == 2
    missing = publish("nowhere.ndjson", "--province", "sichuan")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "nowhere.ndjson cannot be read" in missing.stderr
    assert publish("-", "--province", "sichuan", stdin=event()).returncode == 69


def test_piped_lines_are_published_at_once_until_interrupted() -> None:
    command = [
        sys.executable,
        "-m",
        "gateway",
        "publish",
        "-",
        "--province",
        "sichuan",
        "--dry-run",
        "--invalid",
        "skip",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(event(id=f"e{number}") + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == f"e{number}"  # while the pipe stays open
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130


async def test_lines_are_whole_whatever_the_chunks(tmp_path: Path) -> None:
    words = [b"x" * length for length in (1, 70_000, 3, 200_000)]
    (tmp_path / "a").write_bytes(b"\r\n".join([*words, b"", b"last"]))
    (tmp_path / "b").write_bytes(b"\n\nonly\n")
    found = [line for lines in [part async for part in read_lines([str(tmp_path / n) for n in "ab"])] for line in lines]
    assert [line.raw for line in found] == [*words, b"last", b"only"]
    assert [line.number for line in found] == [1, 2, 3, 4, 6, 3]


async def test_line_beyond_all_bounds_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_lines, "LONGEST_LINE", 100_000)
    (tmp_path / "a").write_bytes(b"x" * 250_000 + b"\nlast")
    found = [line for lines in [part async for part in read_lines([str(tmp_path / "a")])] for line in lines]
    assert [(line.number, len(line.raw), line.size) for line in found] == [(1, 100_000, 250_000), (2, 4, 4)]


def test_byte_order_mark_before_an_event_is_ignored(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + event(id=name) + b"\r\n" + event(id=name + "2"))
    done = publish("a", "b", "--province", "sichuan", "--dry-run", cwd=tmp_path)
    assert (done.returncode, [json.loads(line)["id"] for line in done.stdout.splitlines()]) == (
        0,
        ["a", "a2", "b", "b2"],
    )
    assert done.stderr == "4 events written, none sent\n"


def test_byte_order_mark_is_known_in_pieces() -> None:
    for text, expected in ((b"\xef\xbb\xbf{}\n[]", [b"{}", b"[]"]), (b"\xef\xbb", [b"\xef\xbb"]), (b"\xef", [b"\xef"])):
        collector = publish_lines._Collector("a pipe")
        lines = [line for number in range(len(text)) for line in collector.add(text[number : number + 1])]
        assert [line.raw for line in (*lines, *collector.end())] == expected


TWO = [event(id="one"), event(id="two")]
OTHER_FORMATS = {
    "CSV": "编号,名称,时间\n1,某公司,2026-11-27\n".encode(),
    "CSV (docs/provinces.md": b"id\tname\n1\tx\n",
    "CSV ": b'"a";"b,c"\n"d";"e"\n',
    "pretty-printed JSON (jq -c . FILE)": json.dumps(json.loads(TWO[0]), indent=2).encode(),
    "a JSON array": b"[\n" + b",\n".join(TWO) + b"\n]",
    "a JSON array (jq -c '.[]' FILE)": b"[" + b",".join(TWO) + b"]\n",
    "UTF-16": TWO[0].decode().encode("utf-16"),
    "UTF-16 text (iconv": TWO[0].decode().encode("utf-16-le"),
    "GBK text (iconv -f GBK -t UTF-8 FILE)": b"\n".join(TWO).decode().encode("gbk"),
    "GBK": "编号,名称\n1,某公司\n".encode("gbk"),
    "an Excel workbook or a zip archive (save it as CSV": b"PK\x03\x04\x14\x00\x06\x00",
    "compressed by gzip": gzip.compress(TWO[0]),
    "XML": b"<?xml version='1.0'?><a/>\n",
}


@pytest.mark.parametrize("seems", OTHER_FORMATS)
def test_file_of_another_kind_is_refused_whole(seems: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(OTHER_FORMATS[seems])
    (tmp_path / "events").write_bytes(b"\n".join(TWO))
    done = publish("other", "events", "--province", "sichuan", "--dry-run", cwd=tmp_path)
    assert done.returncode == 1
    assert f"the file seems to be {seems}" in done.stderr
    assert "other: 每行应为一个 JSON 对象" in done.stderr
    assert "2 events written, none sent; 1 whole file was refused" in done.stderr
    assert done.stdout.encode().splitlines() == TWO


def test_kind_of_file_is_said_in_json_too() -> None:
    options = ("--province", "sichuan", "--format", "json", "--invalid", "refuse")
    first, guess, second, counts = map(json.loads, publish("-", *options, stdin=b"a,b\n1,2\n").stdout.splitlines())
    assert [(each["file"], each["line"]) for each in (first, second)] == [("standard input", 1), ("standard input", 2)]
    assert (guess["file"], guess["guess"]["en"]) == ("standard input", "CSV")
    assert counts == {"topic": "sichuan.display", "lines": 2, "sent": 0, "invalid": 2, "refused": 2}


@pytest.mark.parametrize("broken", [b"{", b"no event", b'"text"', b"{}", '{"名称":"某公司"}'.encode("gbk")])
def test_lines_that_are_not_events_are_refused(broken: bytes) -> None:
    lines = [TWO[0], broken, TWO[1]]
    done = publish("-", "--province", "sichuan", "--dry-run", stdin=b"\n".join(lines))
    assert (done.returncode, done.stdout.encode().splitlines()) == (1, TWO)
    assert "standard input:2: event: " in done.stderr
    assert "2 events written, none sent; 1 line was refused" in done.stderr
    everything = publish("-", "--province", "sichuan", "--dry-run", "--invalid", "send", stdin=b"\n".join(lines))
    assert everything.returncode == 0


@pytest.mark.parametrize("command", [["publish", "--province", "sichuan"], ["check"]])
def test_standard_input_is_not_read_twice(command: list[str]) -> None:
    done = publish("-", "-", command=command, stdin=TWO[0])
    assert (done.returncode, done.stdout) == (2, "")
    assert "- is named twice, but standard input can be read only once" in done.stderr
