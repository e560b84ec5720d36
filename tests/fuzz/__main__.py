"""Coverage-guided fuzzing (Atheris) of reading, deciding and building, from the cases as seeds:
``make fuzz``.

    python -m tests.fuzz FOLDER [libFuzzer options]

FOLDER keeps what was found interesting. An input is a record: its first byte says which province's topic it
came on and whether its value comes with ``ce_`` headers, which are then its first lines. What makes it fail
belongs into ``tests/cases``.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gateway.core", "gateway.contract", "gateway.decide"]):
    from gateway.adapters.list_files import load_recognition
    from gateway.adapters.settings import packaged_config
    from gateway.contract.outputs import build_output
    from gateway.contract.signing import read_signed
    from gateway.contract.topics import Topics, lanes_of
    from gateway.core.province import Province
    from gateway.decide import decide_bytes

LIST = load_recognition(packaged_config() / "recognition")
RECEIVED = 1_795_406_400_000
PROVINCES = tuple(Province)
MOST_HEADERS = 12
TOPICS = Topics()
LANES = {lane.province: lane for lane in lanes_of(TOPICS, dict.fromkeys(TOPICS.displays, 1))}


@dataclass(frozen=True)
class Record:
    value: bytes
    headers: list[tuple[str, bytes]]
    offset: int = 0
    timestamp: int = RECEIVED
    key: bytes | None = None


def record_of(data: bytes) -> tuple[Province, bytes, list[tuple[str, bytes]]]:
    """The province, value and headers that an input stands for."""
    kind = data[0] if data else 0
    raw = data[1:]
    if not kind & 2:
        return PROVINCES[kind & 1], raw, []
    *lines, value = raw.split(b"\n", MOST_HEADERS)
    pairs = (line.partition(b"=") for line in lines)
    return PROVINCES[kind & 1], value, [(name.decode("utf-8", "replace"), text) for name, _, text in pairs]


def check(data: bytes) -> None:
    """Every input has one outcome, the same again, and what goes out is JSON."""
    province, raw, headers = record_of(data)
    read_signed(raw, headers)
    decision = decide_bytes(raw, province, RECEIVED, LIST, headers=headers)
    output = build_output(LANES[province], Record(value=raw, headers=headers), decision, TOPICS)
    if output is None:
        raise AssertionError("a duplicate, where nothing was forwarded before")
    json.loads(output.value)
    again = decide_bytes(raw, province, RECEIVED, LIST, headers=headers)
    if again.digest != decision.digest or again.outcome is not decision.outcome:
        raise AssertionError("not the same decision again")


def write_seeds(folder: Path) -> None:
    """The cases' records as inputs."""
    from tests.cases.test_cases import CASES, headers_of, raw_of

    folder.mkdir(parents=True, exist_ok=True)
    for _, case in CASES:
        raw, headers = raw_of(case), headers_of(case)[:MOST_HEADERS]
        lines = b"".join(name.encode() + b"=" + value + b"\n" for name, value in headers if b"\n" not in value)
        kind = 2 if headers else 0
        seed = bytes([kind + (case.get("base") == "chongqing")]) + lines + raw
        if len(seed) < 20_000:
            (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
