"""Whatever is wrong in a file that a person writes, it is said in our words, not in pydantic's."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway.adapters.settings import Settings, packaged_config
from gateway.adapters.signatures import Keys
from gateway.adapters.strict_yaml import read_yaml
from gateway.core.mistakes import words_of
from gateway.core.recognition.document import Amendment, Batch
from gateway.operate.publish.mapping import MappingFile
from tests.unit.test_cli import ROOT, gateway

BATCH = read_yaml(packaged_config() / "recognition" / "batch-1.yaml")
BATCH["rows"] = BATCH["rows"][:2]
KEY = {
    "id": "a", "algorithm": "sm2", "public_key": "x", "valid_from": "2026-01-01T00:00:00Z",
    "valid_until": "2027-01-01T00:00:00Z",
}  # fmt: skip
AMENDMENT = {
    "amends": 1, "document": BATCH["document"], "effective_from": "2026-01-01",
    "set": [{"row": 6, "cell": "matters", "value": ["x"]}], "add": [BATCH["rows"][0]],
}  # fmt: skip
FILES: dict[type[BaseModel], Any] = {
    Settings: read_yaml(packaged_config() / "gateway.yaml"),
    Batch: BATCH,
    Amendment: AMENDMENT,
    Keys: {"keys": [KEY | {"province": "sichuan"}], "gateway_keys": [KEY]},
    MappingFile: read_yaml(ROOT / "docs" / "examples" / "mapping" / "sichuan-transport.yaml"),
}
WRONG = [None, 5, -1, 2.5, "x", "", [], {}, True, [1], {"a": 1}, "2026-13-01", float("nan"), float("inf"), 10**30]


def places(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for step, each in inner:
        yield from places(each, (*place, step))


def put(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(content)
    inner = changed
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return changed


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.__name__)
def test_no_mistake_is_said_in_pydantics_words(kind: type[BaseModel]) -> None:
    said, pydantics = 0, set()
    for place in places(FILES[kind]):
        for value in WRONG:
            try:
                kind.model_validate(put(FILES[kind], place, value))
            except ValidationError as error:
                for problem in error.errors(include_url=False):
                    said += 1
                    words = words_of(problem)
                    if words == problem["msg"] or words.startswith("Value error"):
                        pydantics.add((problem["type"], words))
    assert said > 100
    assert pydantics == set()


@pytest.mark.parametrize("command", [("tail", "sichuan.rejection"), ("redrive", "--dry-run")])
def test_an_unknown_unit_is_refused(command: tuple[str, ...]) -> None:
    """Nothing would be found, and nobody would see why; the broker is not even asked."""
    done = gateway(*command, "--unit", "四川交通运输厅", GATEWAY_BOOTSTRAP_SERVERS="127.0.0.1:1")
    said = done.stderr.decode()
    assert done.returncode == 2, said
    assert "no department called 四川交通运输厅 is in the list; nearest: 四川省交通运输厅" in said
