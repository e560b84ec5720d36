"""The contract's files: what the code says, and what a validator that is not ours says of what the code
makes."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract.display_event import read_event
from gateway.contract.display_event.model import MAX_EVENT_BYTES
from gateway.contract.rejection import build_rejection
from gateway.contract.topics import Topics
from gateway.contract.verification import build_verification
from gateway.core.decision import DeadLetter, Forward, Reject
from gateway.core.event import Valid
from gateway.core.province import Province
from gateway.decide import decide_bytes
from gateway.operate.examples import display_event
from gateway.operate.schemas import MODELS, DriftError, check_schemas, export_schemas, json_schema
from gateway.operate.simulate import Simulator
from tests.unit.written import problems_of_cloudevent

ROOT = Path(__file__).parents[2]
LIST = load_recognition(packaged_config() / "recognition")


def validator(name: str) -> Draft202012Validator:
    schema = json_schema(name)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def test_files_in_the_repository_are_what_the_code_says() -> None:
    assert check_schemas(ROOT / "schemas", LIST) == 18


@pytest.mark.parametrize("path", sorted((ROOT / "schemas" / "examples").glob("*.json")), ids=lambda path: path.stem)
def test_each_example_is_valid(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    validator(path.stem.split(".")[0]).validate(content)
    assert problems_of_cloudevent(content) == []


def test_simulated_events_and_their_records_are_valid() -> None:
    simulator, now = Simulator(LIST, 5), 1_795_400_000_000
    schemas = {name: validator(name) for name in MODELS}
    for _ in range(600):
        record = simulator.next_event(now)
        decision = decide_bytes(record.value, record.province, now, LIST, key=record.key, headers=record.headers)
        if not isinstance(decision, DeadLetter) and isinstance(decision.reading, Valid) and not record.headers:
            schemas["display-event"].validate(json.loads(record.value))
        if isinstance(decision, Forward):
            schemas["verification-record"].validate(json.loads(build_verification(decision)))
        elif isinstance(decision, Reject):
            schemas["rejection-record"].validate(json.loads(build_rejection(decision)))


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("display", "phone", "x"),
        ("holder", "ref", "sm3:12"),
        ("holder", "name_masked", "未脱敏"),
        ("display", "region_code", "5001"),
        ("certificate", "valid_from", "2026-02-30"),
        ("certificate", "type_name", ""),
    ],
)
def test_schema_refuses_what_the_gateway_refuses(section: str, field: str, value: str) -> None:
    event: dict[str, Any] = display_event(Province.SICHUAN)
    event["data"][section][field] = value
    with pytest.raises(ValidationError):
        validator("display-event").validate(event)


@pytest.mark.parametrize(
    ("event_id", "valid"),
    [
        ("i" * 256, True), ("i" * 257, False), ("", False), ("a b", True), ("亮证-1", True), ("𠀀", True), ("é#/{}\"'", True),
        ("a\u00a0b", False), ("a\tb", False), ("a\u0000", False), ("\u202eb", False), ("a\u200b", False), ("a\u2028b", False),
        ("\ufeffa", False), ("a\u3000b", False), ("\ue000", False),
    ],
)  # fmt: skip
def test_schema_says_which_ids_the_gateway_takes(event_id: str, valid: bool) -> None:
    event: dict[str, Any] = display_event(Province.SICHUAN) | {"id": event_id}
    assert validator("display-event").is_valid(event) is valid
    taken = event_id and isinstance(read_event(json.dumps(event).encode()), Valid)
    assert bool(taken) is valid


ATTRIBUTES = [
    ({"subject": "x"}, True), ({"subject": ""}, False), ({"subject": 5}, False), ({"subject": None}, True),
    ({"subject": "a\n"}, False), ({"subject": "\ufdd0"}, False), ({"subject": "\x85"}, False), ({"subject": "证\u200b"}, True),
    ({"dataschema": ""}, False), ({"dataschema": "urn:x"}, True), ({"traceparent": 5}, False), ({"traceparent": "malformed"}, True),
    ({"tracestate": True}, False), ({"x": ""}, True), ({"x": "\x00"}, False), ({"x": "\uffff"}, False), ({"x": 2**31 - 1}, True),
    ({"x": 2**31}, False), ({"x": -(2**31)}, True), ({"x": -(2**31) - 1}, False), ({"x": 1.5}, False), ({"x": True}, True),
    ({"x": None}, True), ({"x": []}, False), ({"x": {}}, False), ({"a" * 20: 1}, True), ({"a" * 21: 1}, True), ({"a_b": 1}, False),
    ({"A": 1}, False), ({"": 1}, False), ({"四": 1}, False), ({"datacontenttype": None}, True), ({"datacontenttype": 5}, False),
    ({"datacontenttype": "Text/JSON"}, True), ({"datacontenttype": "application/a+json; charset=UTF-8"}, True),
    ({"datacontenttype": "application/json; charset=gbk"}, False), ({"datacontenttype": "text/plain"}, False),
    ({"data_base64": None}, True), ({"data_base64": "e30="}, False), ({"data": None}, False), ({"data_base64": 5, "data": None}, False),
    ({"data_base64": "e30", "data": None}, False),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "valid"), ATTRIBUTES, ids=lambda value: ascii(value))
def test_schema_says_which_attributes_the_gateway_takes(attributes: dict[str, Any], valid: bool) -> None:
    event = display_event(Province.SICHUAN) | attributes
    assert validator("display-event").is_valid(event) is valid
    assert isinstance(read_event(json.dumps(event).encode()), Valid) is valid


def test_schema_takes_data_in_base64() -> None:
    event = display_event(Province.SICHUAN)
    encoded = base64.b64encode(json.dumps(event.pop("data")).encode()).decode()
    assert not validator("display-event").is_valid(event)
    for more in ({}, {"data": None}):
        event |= {"data_base64": encoded} | more
        validator("display-event").validate(event)
        assert isinstance(read_event(json.dumps(event).encode()), Valid)


_NOT_IN_EVERY_ENGINE = re.compile(r"\(\?(?![:])|\\[^.\\/ut]|\\u(?![0-9a-f]{4})|[*+?}]\+|\[\[|&&|--|~~")
"""What is not in ECMA-262 before 2025, or not the same in Python's patterns: groups other than ``(?:``,
classes and anchors of a letter such as ``\\s`` or ``\\A``, possessive quantifiers, classes within
classes."""


def patterns_of(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "pattern" and isinstance(value, str):
                yield value
            yield from patterns_of(value)
    elif isinstance(node, list):
        for each in node:
            yield from patterns_of(each)


@pytest.mark.parametrize("name", MODELS)
def test_every_validator_compiles_every_pattern(name: str) -> None:
    patterns = set(patterns_of(json_schema(name)))
    assert patterns
    for pattern in patterns:
        assert not _NOT_IN_EVERY_ENGINE.search(pattern), pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "^(?i:a)$",
        "(?P<n>a)",
        r"\Aa",
        r"a\Z",
        "a*+",
        "a{2}+",
        "(?<!a)b",
        "(?=a)",
        r"\s",
        r"\x41",
        r"\p{L}",
        "[[:alpha:]]",
        "a&&b",
    ],
)
def test_a_pattern_that_some_validators_refuse_is_found(pattern: str) -> None:
    assert _NOT_IN_EVERY_ENGINE.search(pattern)


def test_schema_says_in_words_what_no_pattern_can() -> None:
    schema = json_schema("display-event")
    assert f"{MAX_EVENT_BYTES:,} bytes at the most, and no object has a member twice" in schema["description"]
    for said in (schema["$defs"]["DisplayData"], schema["additionalProperties"], schema["properties"]["id"]):
        assert re.search("resident identity number or (a )?mobile number", said["description"])


def test_drift_names_the_file(tmp_path: Path) -> None:
    export_schemas(tmp_path, LIST)
    (tmp_path / "asyncapi.yaml").write_text("changed", encoding="utf-8")
    (tmp_path / "examples" / "ledger-entry.json").unlink()
    (tmp_path / "stray.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DriftError) as caught:
        check_schemas(tmp_path, LIST)
    for name in ("asyncapi.yaml", "ledger-entry.json", "stray.json"):
        assert name in str(caught.value)
    assert "display-event" not in str(caught.value)


def test_asyncapi_names_the_contracts_topics_and_its_references_resolve() -> None:
    document = yaml.safe_load((ROOT / "schemas" / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert document["asyncapi"] == "3.1.0"
    keys = {name: each["bindings"]["kafka"]["key"] for name, each in document["components"]["messages"].items()}
    assert "partitioner=murmur2_random" in keys["display-event"]["description"]
    assert {channel["address"] for channel in document["channels"].values()} == set(Topics().all)
    references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))
    assert references
    for reference in references:
        if reference.startswith("#"):
            place = document
            for step in reference.removeprefix("#/").split("/"):
                place = place[step]
        else:
            assert (ROOT / "schemas" / reference).is_file()
