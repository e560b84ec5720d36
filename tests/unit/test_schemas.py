"""The contract's files: what the code says, and what a validator that is not ours says of what the code makes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
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
    assert document["asyncapi"] == "3.0.0"
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
