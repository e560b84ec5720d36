"""Writes docs/reference/ from the code: ``make reference``. What follows from the contract is kept in the
repository, and ``make check`` holds it to the code; commands and metrics are written when the pages are
built."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from docs.guide import render_guide
from gateway.adapters.metrics import LaneStatus, Metrics
from gateway.contract.topics import Topics
from gateway.core.dead_letter_codes import DeadLetterCode, DeadLetterRecipient
from gateway.core.province import Province
from gateway.core.reasons import Code, Recipient
from gateway.feedback.report.tables import field_name
from gateway.operate.schemas import MODELS, json_schema

FOLDER = Path(__file__).parent / "reference"
GUIDE = "../../gateway/feedback/page/static/guide.html"
"""The guide for clerks as the page shows it, from ``docs/clerks.zh-CN.md``."""
_MADE = "<!-- Written by `make reference` from the code: edit the code. -->\n"

RECIPIENTS: dict[Recipient | DeadLetterRecipient, tuple[str, str]] = {
    Recipient.PLATFORM: ("发布平台", "the publishing platform"),
    Recipient.CENTRES: ("两个协调中心", "both coordinating centres"),
    Recipient.ROW_ISSUERS: ("该行两地签发单位", "the row's issuing units, both sides"),
    Recipient.ROW_ISSUER_OF_ORIGIN: ("该行发布方签发单位", "the row's issuing unit in the province that published"),
    DeadLetterRecipient.PLATFORM: ("发布平台", "the publishing platform"),
    DeadLetterRecipient.OPERATORS: ("运维人员", "operators"),
}
_T = Topics()
_ON = {
    "display-event": [_T.display(p) for p in Province],
    "verification-record": [_T.verification(p) for p in Province],
    "rejection-record": [_T.rejection(p) for p in Province],
    "dead-letter": [_T.deadletter],
    "ledger-entry": [_T.ledger],
    "feedback-case": [_T.feedback],
    "feedback-digest": [_T.feedback],
}
_EXAMPLES = {"display-event": ".sichuan", "verification-record": ".chongqing"}


def pages() -> dict[str, str]:
    """Every file that is written, by its path from ``docs/reference``, with its content."""
    return {
        "messages.md": messages(), "reasons.md": reasons(), "commands.md": commands(), "metrics.md": metrics(),
        GUIDE: render_guide(),
    }  # fmt: skip


KEPT = {"messages.md", "reasons.md", GUIDE}


def main() -> None:
    """Write the files; with ``--check`` only look whether those that are kept say what the code says."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in pages().items():
        path = FOLDER / name
        if "--check" in sys.argv:
            if name in KEPT and (not path.is_file() or path.read_text(encoding="utf-8") != content):
                sys.exit(f"{_shown(path)} is not what it is made from: run `make reference`, read it, commit it")
            continue
        path.write_text(content, encoding="utf-8")
        print(_shown(path), file=sys.stderr)


def _shown(path: Path) -> str:
    return str(path.resolve().relative_to(FOLDER.parents[1]))


# Messages


def messages() -> str:
    """Every message's fields, from its JSON Schema."""
    lines = [
        _MADE, "# Events and records", "",
        "Every message is a CloudEvent 1.0 in structured mode (`application/cloudevents+json`); display events may come in binary mode "
        "(`ce_…` headers) too. The JSON Schemas and the AsyncAPI document in [schemas/](../../schemas/asyncapi.yaml) are made from the same "
        "models. Consumers read with `isolation.level=read_committed`.", "",
    ]  # fmt: skip
    for name, model in MODELS.items():
        schema = json_schema(name)
        example = f"{name}{_EXAMPLES.get(name, '')}.json"
        lines += [
            f"## {model.__name__}", "",
            f"{_one_line(model.__doc__)} On {_listed(f'`{topic}`' for topic in _ON[name])}. "
            f"[Schema](../../schemas/{name}.schema.json) · [example](../../schemas/examples/{example})", "",
            *_table(("field", "中文", "required", "type", "what it is"), _fields(schema, schema, "", required=True)), "",
        ]  # fmt: skip
    return "\n".join(lines)


def _fields(schema: dict[str, Any], node: dict[str, Any], path: str, *, required: bool) -> Iterator[tuple[str, ...]]:
    node, optional = _resolved(schema, node)
    if path:
        chinese = field_name(path.removeprefix("data."))
        yield (
            f"`{path}`", "" if chinese == path.removeprefix("data.") else chinese, "yes" if required else "",
            _type(schema, node) + (" or null" if optional else ""), _one_line(node.get("description", "")),
        )  # fmt: skip
    if node.get("type") == "array":
        inner, _ = _resolved(schema, node["items"])
        if inner.get("properties"):
            yield from _inside(schema, inner, f"{path}[].")
    else:
        yield from _inside(schema, node, f"{path}." if path else "")


def _inside(schema: dict[str, Any], node: dict[str, Any], prefix: str) -> Iterator[tuple[str, ...]]:
    needed = set(node.get("required", ()))
    for name, inner in node.get("properties", {}).items():
        yield from _fields(schema, inner, prefix + name, required=name in needed)


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The node that ``node`` refers to, with its own description first; and whether null stands beside
    it."""
    optional = False
    if "anyOf" in node:
        others = [each for each in node["anyOf"] if each.get("type") != "null"]
        optional = len(others) < len(node["anyOf"])
        if len(others) == 1:
            node = {**others[0], **{key: value for key, value in node.items() if key != "anyOf"}}
    while "$ref" in node:
        found = schema["$defs"][node["$ref"].rpartition("/")[2]]
        node = {**found, **{key: value for key, value in node.items() if key != "$ref"}}
    return node, optional


def _type(schema: dict[str, Any], node: dict[str, Any]) -> str:
    if "const" in node:
        return f"`{json.dumps(node['const'])}`"
    if "enum" in node:
        few = node["enum"][:6]
        return _listed(f"`{each}`" for each in few) + (
            f" … ({len(node['enum'])}, see [reasons](reasons.md))" if len(node["enum"]) > 6 else ""
        )
    if node.get("type") == "array":
        inner, _ = _resolved(schema, node["items"])
        return f"array of {'objects' if inner.get('properties') else _type(schema, inner)}"
    # A format's name says more than the pattern that holds validators to it.
    limits = [f"`{node['pattern']}`"] if "pattern" in node and "format" not in node else []
    limits += [f"{word} {node[key]}" for key, word in _LIMITS.items() if key in node]
    return ", ".join([node.get("format", node.get("type", "any")), *limits])


_LIMITS = {"minLength": "at least", "maxLength": "at most", "minimum": "from", "maximum": "up to"}

# Reasons


def reasons() -> str:
    """The reason codes and the error codes of dead letters, in Chinese and English."""

    def table(codes: Iterable[Code | DeadLetterCode], language: int) -> list[str]:
        heads = (("原因", "含义", "退回给", "如何处理"), ("reason", "meaning", "goes back to", "what to do"))[language]
        rows = []
        for code in codes:
            entry, who = code.entry, RECIPIENTS[code.entry.recipient][language]
            words = ((entry.zh, entry.advice_zh), (entry.en, entry.advice_en))[language]
            rows.append((f"`{code.value}`", words[0], who, words[1]))
        return [*_table(heads, rows), ""]

    return "\n".join([
        _MADE, "# Reason codes 退回原因", "",
        "In the order in which they become the primary reason. A rejection names all that apply, not only the first. "
        "以下按成为首要原因的先后排列；退回记录列出全部适用的原因。", "",
        "## 中文", "", *table(Code, 0), "## English", "", *table(Code, 1),
        "## Dead letters 无法识别的消息", "",
        "Bytes of which no event can be read get no rejection but a dead letter on `gateway.deadletter`. "
        "读不出事件的消息不产生退回记录，而进入 `gateway.deadletter`。", "",
        *table(DeadLetterCode, 0), *table(DeadLetterCode, 1),
    ])  # fmt: skip


# Commands


def commands() -> str:
    """Every command's help."""
    from gateway.cli.main import app

    lines = [
        _MADE, "# Commands", "",
        "Data goes to stdout, everything else to stderr; `--format json` writes one object per line. Exit codes: 0 fine, 1 findings, 2 usage, "
        "69 broker unreachable, 78 configuration invalid, 130 interrupted.", "",
    ]  # fmt: skip
    for path, command in sorted(_leaves(get_command(app), ("gateway",))):
        text = _one_line((command.help or "").replace("\n\n", " \n\n ").partition("Example:")[0])
        example = (command.help or "").partition("Example:")[2].strip()
        lines += [f"## {' '.join(path)}", "", text, ""]
        if example:
            lines += ["Example: " + _one_line(example), ""]
        rows = [
            ("`" + "`, `".join(each.opts + each.secondary_opts) + "`", _plain(getattr(each, "help", None) or ""))
            if each.param_type_name == "option" else (f"`{each.metavar or each.name.upper()}`", _plain(getattr(each, "help", None) or ""))
            for each in command.params
        ]  # fmt: skip
        lines += [*_table(("", "what it is"), rows), ""]
    return "\n".join(lines)


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            if not inner.hidden:
                yield from _leaves(inner, (*path, name))
    else:
        yield path, command


# Metrics


def metrics() -> str:
    """What ``/metrics`` of a relay has."""
    made = Metrics()
    for name in ("count_abort", "count_fence"):
        getattr(made, name)("sichuan")
    made.count_turn("sichuan", {"forward": 1}, {"INVALID_EVENT": 1}, 0.1, 0.1)
    made.show_lanes([LaneStatus("sichuan", 0, "open", 0, 0, 0, "")])
    rows = []
    for family in made.registry.collect():
        labels = sorted({label for sample in family.samples for label in sample.labels if label != "le"})
        name = family.name + ("_total" if family.type == "counter" else "")
        rows.append((f"`{name}`", family.type, _listed(f"`{each}`" for each in labels), _plain(family.documentation)))
    return "\n".join([
        _MADE, "# Metrics", "",
        "A worker with `web.enabled` serves `/metrics` (Prometheus), `/healthz` and `/readyz` on `web.port`. Counts begin at 0 with the "
        "process. These are a relay's; a feedback worker has `gateway_feedback_cases`, by status, beside Faust's own.", "",
        *_table(("metric", "kind", "labels", "what it is"), rows), "",
    ])  # fmt: skip


# Markdown


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [" | ".join(heads)]
    lines += ["|".join("---" for _ in lines[0].split(" | "))]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {line} |" for line in lines]


def _plain(text: str) -> str:
    return _one_line(text).replace("<", "&lt;")


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)


if __name__ == "__main__":
    main()
