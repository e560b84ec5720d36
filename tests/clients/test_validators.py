"""The published schemas by validators that are not ours: ajv (ECMA-262's patterns) beside jsonschema
(Python's)."""

import base64
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from gateway.core.times import parse_instant
from tests.clients.mutations import PERSONAL, Event, mutated_events
from tests.clients.programs import NODE, ROOT

SCHEMAS = ROOT / "schemas"
DISPLAY_EVENT = SCHEMAS / "display-event.schema.json"
EVENTS, SEED = 6000, 19
SCHEMA = Draft202012Validator(json.loads(DISPLAY_EVENT.read_text("utf-8")), format_checker=FormatChecker())


def node(*arguments: str) -> list[Any]:
    """What ``schemas.mjs`` prints, a JSON value a line."""
    if not (NODE / "node_modules").exists():
        pytest.fail("tests/clients/node/node_modules is missing: make clients builds it", pytrace=False)
    done = subprocess.run(
        ["node", str(NODE / "schemas.mjs"), *arguments], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def test_ajv_compiles_every_schema_in_strict_mode() -> None:
    paths = sorted(map(str, SCHEMAS.glob("*.schema.json")))
    [errors] = node("compile", *paths)
    assert errors == dict.fromkeys(paths)


def test_asyncapi_document_is_valid() -> None:
    assert node("asyncapi", str(SCHEMAS / "asyncapi.yaml")) == [{"version": "3.1.0", "findings": []}]


@dataclass(frozen=True)
class Verdicts:
    """Whether an event is valid, by each."""

    jsonschema: bool
    ajv: bool
    gateway: bool


@dataclass(frozen=True)
class Difference:
    """Who alone says what, of which events, and why that is right or the validator's own."""

    verdicts: Verdicts
    concerns: Callable[[Event], bool]
    reason: str


def opened(event: Event) -> Event | None:
    """The event with the data that stand in its ``data_base64``; None where they cannot be read."""
    if not isinstance(encoded := event.get("data_base64"), str):
        return event
    try:
        data = json.loads(base64.b64decode(encoded, validate=True))
    except ValueError:
        return None
    return {name: value for name, value in event.items() if name != "data_base64"} | {"data": data}


def texts(value: Any) -> Iterator[str]:
    """Every string in a JSON value, names of members too."""
    if isinstance(value, str):
        yield value
    for each in value.items() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from texts(each)


ONLY_GATEWAY_REFUSES = Verdicts(jsonschema=True, ajv=True, gateway=False)
ONLY_JSONSCHEMA_TAKES = Verdicts(jsonschema=True, ajv=False, gateway=False)
NONCHARACTERS = {"\ufdd0", "\U0001ffff"}

DIFFERENCES = (
    Difference(
        ONLY_GATEWAY_REFUSES,
        lambda event: (inner := opened(event)) is not event and not (inner and SCHEMA.is_valid(inner)),
        "what stands in data_base64 is only annotated by JSON Schema (contentSchema)",
    ),
    Difference(
        ONLY_GATEWAY_REFUSES,
        lambda event: any(number in text for text in texts(opened(event)) for number in PERSONAL),
        "a person's number has a check character and a real date, which no pattern knows",
    ),
    Difference(
        ONLY_GATEWAY_REFUSES,
        lambda event: any(text in NONCHARACTERS for text in texts(event)),
        "patterns that every dialect reads name no characters beyond the basic plane",
    ),
    Difference(
        ONLY_GATEWAY_REFUSES,
        lambda event: any(isinstance(value, float) and value.is_integer() for value in event.values()),
        "JSON Schema counts 1.0 as an integer; in CloudEvents an integer has no fraction",
    ),
    Difference(
        ONLY_GATEWAY_REFUSES,
        lambda event: str(event.get("time")).startswith("9999-12-31T"),
        "a moment whose day in China lies outside of the years 1 to 9999",
    ),
    Difference(
        ONLY_JSONSCHEMA_TAKES,
        lambda event: any(text.endswith("\n") for text in texts(event)),
        "Python's $ matches before a last line end; ECMA-262's, which JSON Schema means, does not",
    ),
    Difference(
        ONLY_JSONSCHEMA_TAKES,
        lambda event: isinstance(event.get("time"), str) and parse_instant(event["time"]) is None,
        "jsonschema looks at the format date-time only with a package that we do not install",
    ),
)


def gateway_takes(path: Path) -> list[bool]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", str(path), "--format", "json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line["outcome"] != "dead_letter" and "INVALID_EVENT" not in line["reasons"] for line in lines]


def test_validators_and_gateway_agree(tmp_path: Path) -> None:
    """On mutated events; where they differ, DIFFERENCES says why, and each of its entries occurs."""
    events, path = mutated_events(EVENTS, SEED), tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    by_ajv, by_gateway = node("validate", str(DISPLAY_EVENT), str(path)), gateway_takes(path)
    occurred: Counter[str] = Counter()
    unexplained = []
    valid = 0
    for event, error, taken in zip(events, by_ajv, by_gateway, strict=True):
        verdicts = Verdicts(SCHEMA.is_valid(event), error is None, taken)
        valid += taken
        if len({verdicts.jsonschema, verdicts.ajv, verdicts.gateway}) == 1:
            continue
        reasons = [each.reason for each in DIFFERENCES if each.verdicts == verdicts and each.concerns(event)]
        occurred.update(reasons)
        if not reasons:
            unexplained.append((verdicts, error, event))
    assert not unexplained, f"{len(unexplained)} without a reason, such as {unexplained[:5]}"
    assert EVENTS * 0.2 < valid < EVENTS * 0.8
    assert occurred.keys() == {each.reason for each in DIFFERENCES}
