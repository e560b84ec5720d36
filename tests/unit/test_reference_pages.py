"""The tables of docs that follow from the code say all that it has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from gateway.adapters.settings import Settings
from gateway.cli.main import app

ROOT = Path(__file__).parents[2]


def rows(page: str) -> Iterator[list[str]]:
    """The cells of a page's tables, line by line, heads left out."""
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def defaults(model: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every setting by its path, with its default as YAML writes it."""
    for name, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from defaults(field.annotation, f"{path}{name}.")
        else:
            yield f"{path}{name}", as_yaml(field.default)


def as_yaml(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        value = list(value)
    return '""' if value == "" else str(value)


def test_every_setting_has_its_line_and_default() -> None:
    written = {
        cells[0].strip("`"): cells[1].strip("`") for cells in rows("docs/settings.md") if cells[0].startswith("`")
    }
    assert written == dict(defaults(Settings))


LOGGING = {"debug", "info", "warning", "error", "critical", "_log"}


def logged_events() -> set[str]:
    """The event names that the code gives to a log: dotted, in lower case."""
    found = set()
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "WaitingLog":
                found |= {each.value for each in node.args if isinstance(each, ast.Constant)}
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            first = node.args[0]
            if (
                node.func.attr in LOGGING
                and "log" in ast.unparse(node.func)
                and isinstance(first, ast.Constant)
                and isinstance(first.value, str)
            ):
                found |= set(re.findall(r"^[a-z]+\.[a-z_]+$", first.value))
    return found


def test_every_log_event_has_its_line() -> None:
    written = {name for cells in rows("docs/logs.md") for name in re.findall(r"`([a-z]+\.[a-z_]+)`", cells[0])}
    written -= {"error.type", "error.message"}  # fields
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gateway").rglob("*.py"))
    assert {name for name in written if f'"{name}"' not in source} == set()
    assert logged_events() - written == set()


def leaves(command: Any, path: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            if not inner.hidden:
                yield from leaves(inner, f"{path} {name}")
    else:
        yield path


def test_every_command_has_its_line() -> None:
    text = "\n".join(cells[0] for cells in rows("docs/commands.md"))
    assert [name for name in leaves(get_command(app), "gateway") if not re.search(rf"`{name}\b", text)] == []


def test_each_glossary_term_has_chinese_and_a_meaning() -> None:
    entries = [cells for cells in rows("docs/glossary.md") if len(cells) == 4 and cells[0] != "term"]
    assert len(entries) > 80
    assert [
        cells for cells in entries if not (re.search(r"[\u4e00-\u9fff]|Kafka", cells[1]) and cells[2] and cells[3])
    ] == []
    terms = [cells[0] for cells in entries]
    assert len(set(terms)) == len(terms)
