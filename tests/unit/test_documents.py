"""The documents are true to the code: links, commands, targets, services, settings; and both READMEs say the
same."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from typer.main import get_command

from docs.outside import outside
from gateway.adapters.settings import Settings
from gateway.cli.main import app
from gateway.contract.headers import CONTENT_TYPE
from gateway.contract.outputs import Output, output_parts, outputs_digest
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs/reference").glob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
)
COMPOSE = [
    yaml.safe_load(path.read_text(encoding="utf-8").replace("!override", "").replace("!reset", ""))
    for path in sorted(ROOT.glob("docker-compose*.yml"))
]
BUILT_ONLY = {"docs/reference/commands.md", "docs/reference/metrics.md"}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)

per_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """A heading's anchor, as repositories' pages and MyST make it."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", title)
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-"))
    return found


@per_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if str(found.relative_to(ROOT)) in BUILT_ONLY:
            continue
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def lines(page: Path) -> Iterator[str]:
    """What a reader may type: code blocks' lines that are commands, and code in the text."""
    text = page.read_text(encoding="utf-8")
    for language, block in _BLOCK.findall(text):
        if language in {"sh", "console", "bash"}:
            yield from (line.partition("  #")[0].strip() for line in block.replace("\\\n", " ").splitlines())
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(page))


def said(page: Path, program: str) -> Iterator[list[str]]:
    for line in lines(page):
        for part in re.split(r"\s\|\s|&&|;", line.replace("\\|", "|")):
            try:
                words = shlex.split(part.strip("() "), comments=True)  # a subshell has parentheses
            except ValueError:
                continue
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                del words[0]
            words = [Path(words[0]).name, *words[1:]] if words else words
            if words[:1] == [program]:
                yield words[1:]


@per_page
def test_every_gateway_command_and_option_is_one(page: Path) -> None:
    for words in said(page, "gateway"):
        command: Any = get_command(app)
        for word in words:
            if word.startswith("-"):
                name = word.partition("=")[0]
                known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {
                    "--help",
                    "-",
                }
                assert name in known, (words, name)
                if hasattr(command, "commands"):
                    break  # an option of `gateway` itself, perhaps with a value
            elif hasattr(command, "commands") and word != "…":
                for one in word.split("|"):  # such as `feedback list|show`
                    assert one in command.commands, (words, one)
                command = command.commands[word.split("|")[0]]


@per_page
def test_every_make_target_is_one(page: Path) -> None:
    targets = set(re.findall(r"^([a-z.-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for words in said(page, "make"):
        assert {word for word in words if re.fullmatch(r"[a-z-]+", word)} <= targets, words


@per_page
def test_every_service_and_profile_is_one(page: Path) -> None:
    services = {name for file in COMPOSE for name in file["services"]}
    profiles = {
        each for file in COMPOSE for service in file["services"].values() for each in service.get("profiles", ())
    }
    for words in said(page, "docker"):
        for before, word in pairwise(words):
            if before == "--profile":
                assert word in profiles, words
            elif before == "--scale":
                assert word.partition("=")[0] in services, words
            elif before == "-f":
                assert (ROOT / word).is_file(), words
        if "run" in words:
            service = next(word for word in words[words.index("run") + 1 :] if not word.startswith("-"))
            assert service in services, words


@per_page
def test_every_setting_is_one(page: Path) -> None:
    not_settings = {"GATEWAY_CONFIG", "GATEWAY_IMAGE"}
    for name in set(re.findall(r"\bGATEWAY_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8"))) - not_settings:
        model: Any = Settings
        for part in name.removeprefix("GATEWAY_").lower().split("__"):
            assert part in model.model_fields, name
            model = model.model_fields[part].annotation


# The front page and the style


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in line)


@pytest.mark.parametrize(
    "page", [each for each in PAGES if each.parent.name != "reference"], ids=lambda page: page.name
)
def test_lines_of_prose_are_short(page: Path) -> None:
    text = re.sub(r"<!-- figures:.*?<!-- figures end", "", prose(page), flags=re.DOTALL)  # written by the benchmarks
    text = re.sub(r"^ +```.*?^ +```", "", text, flags=re.DOTALL | re.MULTILINE)
    wide = [line for line in text.splitlines() if columns(line) >= 110 and not line.lstrip().startswith(("|", "!["))]
    assert wide == []


@per_page
def test_directives_for_tests_stand_in_the_tests(page: Path) -> None:
    assert re.findall(r"# (?:exits \d|any exit)", page.read_text(encoding="utf-8")) == []


def test_every_document_that_is_named_is_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = [ROOT / name for name in listed.stdout.splitlines()] or PAGES
    names = re.compile(r"\b(?:CONTRACT|DESIGN|FACTS|EXAMPLES)(?:\.md\b|:|'s\b)|/work/")
    found = {}
    for path in files:
        if path == Path(__file__) or path.suffix not in {
            ".md",
            ".py",
            ".yml",
            ".yaml",
            ".toml",
            ".json",
            ".java",
            ".js",
            "",
        }:
            continue
        text = path.read_text(encoding="utf-8")
        if hits := names.findall(text):
            found[str(path.relative_to(ROOT))] = hits
    assert found == {}


def skeleton(name: str) -> dict[str, Any]:
    """What must be the same in both languages: sections, code, links, pictures, the tables' sizes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    plain = _BLOCK.sub("", text)
    return {
        "sections": [len(each) for each in re.findall(r"^(#+) ", plain, re.MULTILINE)],
        "code": [
            [line.partition("  #")[0].rstrip() for line in block.splitlines()]
            for language, block in _BLOCK.findall(text) if language != "mermaid"
        ],
        "links": sorted(re.findall(r"\]\(([^)]+)\)", plain)),
        "numbers": sorted(re.findall(r"\d[\d,.]*\d", plain)),
        "tables": [line.count("|") for line in plain.splitlines() if line.startswith("|")],
    }  # fmt: skip


def test_both_readmes_say_the_same() -> None:
    english, chinese = skeleton("README.md"), skeleton("README.zh-CN.md")
    for name in english:
        ours = [each for each in english[name] if each != "README.zh-CN.md"]
        assert [each for each in chinese[name] if each != "README.md"] == ours, name


def test_each_alert_has_its_paragraph() -> None:
    alerts = ["lag-growing", "no-commits", "rejection-share-jumped", "dead-letters", "lanes-fenced", "list-refused",
              "unresolved-rows", "certificate-ending", "audit-failed"]  # fmt: skip
    assert set(alerts) <= anchors(ROOT / "docs/runbook.md")


def test_pages_that_fetch_from_outside_are_named(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<link rel="canonical" href="https://a.example/"><a href="https://b.example/">b</a><script src="//c.example/x.js"></script>'
        '<img src="x.png"><link rel="stylesheet" href="https://d.example/d.css">', encoding="utf-8",
    )  # fmt: skip
    (tmp_path / "s.css").write_text("@import 'https://e.example/e.css'; a{background:url(data:x)}", encoding="utf-8")
    assert [each.partition(": ")[2] for each in outside(tmp_path)] == [
        "//c.example/x.js", "https://d.example/d.css", "https://e.example/e.css",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("gateway fe", "feedback"),
        ("gateway feedback m", "mark"),
        ("gateway audit --pr", "--prove"),
        ("gateway tail gateway.d", "gateway.deadletter"),
        ("gateway redrive --reason LIST_ROW", "LIST_ROW_UNRESOLVED"),
        ("gateway feedback list --status p", "pending"),
        ("gateway tail sichuan.rejection --unit 四川省大", "四川省大数据中心"),
        ("gateway report --unit 四川省交通", "四川省交通运输厅"),
        ("gateway publish x --province s", "sichuan"),
    ],
)
def test_bash_completes(typed: str, offered: str) -> None:
    environment = os.environ | {
        "_GATEWAY_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1),
    }  # fmt: skip
    done = subprocess.run(
        [Path(sys.executable).parent / "gateway"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout.split() == [offered]


def test_the_wheel_is_typed(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE_S)
    (wheel,) = tmp_path.glob("*.whl")
    names = ZipFile(wheel).namelist()
    assert "gateway/py.typed" in names
    assert "gateway/_config/recognition/batch-1.yaml" in names


def test_hooks_run_what_make_check_runs() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    hooks = [hook for repo in yaml.safe_load(text)["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in yaml.safe_load(text)["repos"]} == {"local"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(BIN)", ".venv/bin")
    for hook in hooks:
        assert hook["entry"].replace(" --force-exclude", "") in makefile, hook["id"]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert "gateway" in scripts


def run_gateway(*arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    return done.stdout


def blocks(page: str, language: str) -> list[str]:
    return [block for each, block in _BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if each == language]


def test_the_readmes_event_is_decided_as_shown() -> None:
    command = next(block for block in blocks("README.md", "sh") if block.startswith("gateway check"))
    assert run_gateway(*shlex.split(command)[1:]) == blocks("README.md", "json")[0]


def test_the_documented_amendment_has_its_documented_effect(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config/recognition", tmp_path / "draft")
    (tmp_path / "draft/amendment-1.yaml").write_text(blocks("docs/list.md", "yaml")[0], encoding="utf-8")
    command = shlex.split(blocks("docs/list.md", "sh")[0].replace(" draft", f" {tmp_path / 'draft'}"))
    assert blocks("docs/list.md", "text")[0].strip() in run_gateway(*command[1:], expect=1)


def test_names_of_tests_are_short() -> None:
    found = [
        name
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in re.findall(r"^\s*(?:async )?def test_(\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(found) > 500
    assert [name for name in found if len(name.split("_")) >= 10] == []


def test_docstrings_and_comments_are_under_110_columns() -> None:
    """But for tables, trees and lists in them, whose lines are what they are."""
    wide = []
    for path in (
        path for folder in ("benchmarks", "docs", "gateway", "tests") for path in (ROOT / folder).rglob("*.py")
    ):
        text = path.read_text(encoding="utf-8")
        wide += [f"{path.relative_to(ROOT)}:{number}" for number, line in prose_of(text) if columns(line) >= 110]
    assert wide == []


def prose_of(program: str) -> Iterator[tuple[int, str]]:
    """The lines of its docstrings and of comments that stand alone, with their numbers."""
    lines = program.splitlines()
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                if not re.match(r"[ │├└]*[-├└│]|.*  \d\d  ", lines[number - 1]) and "``: ``" not in lines[number - 1]:
                    yield number, lines[number - 1]
    yield from ((number, line) for number, line in enumerate(lines, start=1) if re.match(r" *# \S", line))


def test_openssl_alone_computes_an_entrys_digest(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "proving.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```bash\n(digest_of.*?)```", page, re.DOTALL)
    headers = (CONTENT_TYPE, ("chuanyu-origin", "四川".encode()))
    outputs = [Output("topic", b"key", b"first value", headers), Output("other", b"", b"second\n", headers[:1])]
    for number, output in enumerate(outputs, start=1):
        (folder := tmp_path / f"record-{number:02}").mkdir()
        for name, content in zip(("topic", "key", "headers", "value"), output_parts(output)[1:], strict=True):
            (folder / name).write_bytes(content)
    printed = subprocess.run(["sh", "-c", block], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "sm3:" + printed.split()[-1] == outputs_digest("sm3", outputs)
