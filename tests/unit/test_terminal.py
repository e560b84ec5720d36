"""What others wrote reaches no terminal raw, names that look alike can be told apart, and no encoding ends a
command."""

import ast
import io
import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from gateway.adapters.console import Terminal, several_lines
from gateway.adapters.terminal import prepare, say, write_events, write_json
from gateway.core.province import Province
from gateway.core.visible import _RANGES, ascii_json, visible, visible_json
from gateway.operate.examples import display_event
from tests.unit.test_cli import gateway, lines

PACKAGE = Path(__file__).parents[2] / "gateway"
FORGED = "x\x1b[1A\x1b[2K\r核对 check ✓ 符合\x1b[8m"
ALIKE = ("天府通办", "天府\u200b通办", "天府通办\u202e", "\u2066天府通办\u2069", "天\u00ad府通办", "天府通办\U000e0041")
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def _stdout(monkeypatch: pytest.MonkeyPatch, encoding: str) -> io.BytesIO:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, write_through=True))
    prepare()
    return written


def test_every_hidden_character_is_shown() -> None:
    """Controls, formats, separators, odd spaces and surrogates; formats that are drawn, as Arabic's number
    signs, stay."""
    drawn = {0x70F, 0x6DD, 0x8E2, 0x110BD, 0x110CD, *range(0x600, 0x606), 0x890, 0x891, *range(0x13430, 0x1345F)}
    for code in (*range(0x3000), *range(0x3001, 0x120000 - 0x10000), *range(0xE0000, 0xE1000)):
        category = unicodedata.category(chr(code))
        if category in {"Cc", "Cf", "Cs", "Zl", "Zp"} or (category == "Zs" and code != ord(" ")):
            assert code in drawn or visible(chr(code)) != chr(code), hex(code)
    assert visible("四川 省　A—z…“”、é\U00020000✓") == "四川 省　A—z…“”、é\U00020000✓"
    assert visible("\x1b\n\u202e\U000e0041") == r"\x1b\n\u202e\U000e0041"
    assert visible("a\nb\r", lines=True) == "a\nb\\r"


def test_names_that_look_alike_differ_when_shown() -> None:
    assert len({visible(name) for name in ALIKE}) == len(ALIKE)
    assert not RAW.search("".join(map(visible, ALIKE)))


@pytest.mark.parametrize("escape", [visible_json, ascii_json])
def test_json_reads_back_the_same(escape: "type[visible_json]") -> None:
    text = json.dumps([FORGED, *ALIKE, "\x9b31m", "\ud800", "𠀀"], ensure_ascii=False)
    assert json.loads(escape(text)) == json.loads(text)
    assert not RAW.search(escape(text))


def test_the_page_hides_what_python_hides() -> None:
    script = (PACKAGE / "feedback/page/static/visible.js").read_text(encoding="utf-8")
    found = re.search(r"HIDDEN = /\[(.*)\]/gu;", script)
    assert found is not None
    ranges = re.sub(r"\\u\{([0-9a-f]+)\}", lambda match: f"\\U{match[1]:0>8}", found[1])
    assert ranges == _RANGES


def test_no_markup_and_no_escape_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever way text comes in: as a line, in a table, as Rich's own Text."""
    channel = "[/red][bold]:smile: " + FORGED
    console, table = Terminal(), Table()
    table.add_column("channel")
    table.add_row(channel)
    table.add_row(several_lines([channel, "second"]))
    console.print(channel)
    console.print(table)
    console.print(Text(channel))
    say(channel)
    write_json({"channel": channel})
    shown = capsys.readouterr().out
    assert not RAW.search(shown)
    assert shown.count("[/red][bold]:smile: x\\x1b[1A\\x1b[2K") == 5
    assert json.loads(shown.splitlines()[-1]) == {"channel": channel}


def test_a_value_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().print("found: a\n    check  ✓ 符合")
    assert capsys.readouterr().out == "found: a\\n    check  ✓ 符合\n"


def test_a_character_that_the_encoding_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A like one stands for it, else its escape; JSON is the same JSON in ASCII."""
    latin_1 = _stdout(monkeypatch, "latin-1")
    say("✓ × — 符合 é")
    write_json({"é": "符合𠀀"})
    first, second = latin_1.getvalue().decode("latin-1").splitlines()
    assert first == r"+ × - \u7b26\u5408 é"
    assert json.loads(second) == {"é": "符合𠀀"}
    gbk = _stdout(monkeypatch, "gbk")
    say("✓ ✗ 符合")
    Terminal().print("✓ 符合")
    assert gbk.getvalue().decode("gbk") == "√ × 符合\n√ 符合\n"


@pytest.mark.parametrize("encoding", ["gbk", "latin-1", "ascii"])
@pytest.mark.parametrize(
    "command", [("check", "-"), ("list", "show"), ("list", "show", "--format", "json"), ("--help",)]
)
def test_no_encoding_ends_a_command(encoding: str, command: tuple[str, ...]) -> None:
    event = display_event(Province.SICHUAN)
    event["data"]["display"]["channel"] = "✓\u202e" + FORGED
    done = gateway(*command, stdin=lines(event), PYTHONIOENCODING=encoding)
    assert (done.returncode, b"rror" in done.stderr) == (0, False)
    assert b"\x1b" not in done.stdout
    assert done.stdout.decode(encoding)


def test_check_shows_ids_and_values_with_escapes() -> None:
    event = display_event(Province.SICHUAN) | {"id": "a\u200bb"}
    event["data"]["display"]["channel"] = FORGED
    for output in ("text", "json"):
        done = gateway("check", "-", "--format", output, stdin=lines(event, event))
        assert not RAW.search(done.stdout.decode())


def test_events_are_escaped_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    event = json.dumps({"id": "a\u202e"}, ensure_ascii=False).encode()
    written = _stdout(monkeypatch, "utf-8")
    write_events([event])
    assert written.getvalue() == event + b"\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    write_events([event])
    assert written.getvalue().splitlines()[1] == b'{"id": "a\\u202e"}'


def test_there_is_one_door() -> None:
    """No command prints past ``terminal`` and ``console``; the two guards' pipes are not terminals."""
    past = []
    for folder in ("cli", "operate", "relay", "feedback"):
        for path in (PACKAGE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                if called in {"print", "typer.echo", "Console"} or called.startswith(
                    ("sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer")
                ):
                    past.append(path.relative_to(PACKAGE).as_posix())
    assert past == ["operate/local_kafka/guard.py"]
