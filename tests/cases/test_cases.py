"""The decision, case by case: each YAML entry is an event, what happens to it, and why. See README.md beside
this file."""

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.core.decision import DeadLetter, Decision, Forward, Outcome, Reject, codes_of, row_of
from gateway.core.event import Identity
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import Amendment, Batch, Recognition, RowRef
from gateway.core.signature import SignatureStatus
from gateway.core.times import parse_instant
from gateway.decide import decide_bytes
from tests.unit.second_batch import second_batch
from tests.unit.written import MODELS, READERS, problems_of_cloudevent, record_of, said_by

HERE = Path(__file__).parent
BASES: dict[str, Any] = yaml.safe_load((HERE / "bases.yaml").read_text(encoding="utf-8"))
CASES = [
    (file.stem, case)
    for file in sorted(HERE.glob("*.yaml"))
    if file.stem != "bases"
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]
RECEIVED = "2026-11-23T00:00:03.000Z"
LIST = load_recognition(packaged_config() / "recognition")
SHIPPED = yaml.safe_load((packaged_config() / "recognition" / "batch-1.yaml").read_text(encoding="utf-8"))


def event_of(case: dict[str, Any]) -> dict[str, Any]:
    """The base event with the case's changes; a path that begins with a part of data goes there."""
    event = copy.deepcopy(BASES[case.get("base", "sichuan")])
    for path, value in case.get("change", {}).items():
        parent, name = _parent(event, path)
        parent[name] = value
    for path in case.get("remove", []):
        parent, name = _parent(event, path)
        del parent[name]
    return event


def _parent(event: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    steps = path.split(".")
    place = event["data"] if steps[0] in {"certificate", "holder", "display"} else event
    for step in steps[:-1]:
        place = place[step]
    return place, steps[-1]


def raw_of(case: dict[str, Any]) -> bytes:
    if "raw" in case:
        return case["raw"].encode()
    if "raw_base64" in case:
        return base64.b64decode(case["raw_base64"])
    if "raw_repeat" in case:
        return "".join(part * times for part, times in case["raw_repeat"]).encode()
    if "raw_text" in case:
        return case["raw_text"]["text"].encode(case["raw_text"]["as"])
    event = event_of(case)
    if case.get("mode") == "base64":
        data = json.dumps(event.pop("data"), ensure_ascii=False).encode()
        event = {"data_base64": base64.b64encode(data).decode()} | event
    text = json.dumps(event["data"] if case.get("mode") == "binary" else event, ensure_ascii=case.get("ascii", False))
    for old, new in case.get("replace", {}).items():
        assert old in text, f"nothing to replace: {old}"
        text = text.replace(old, new)
    text = case.get("before", "") + text + case.get("behind", "")
    return text.encode("utf-8", "surrogatepass") + b" " * max(0, case.get("size", 0) - len(text.encode()))


def headers_of(case: dict[str, Any]) -> list[tuple[str, bytes | None]]:
    headers = [(name, _header_value(value)) for name, value in case.get("headers", {}).items()]
    if case.get("mode") != "binary":
        return headers
    event = event_of(case)
    own = [
        (f"ce_{name}", _header_value(value)) for name, value in event.items() if name not in {"data", "datacontenttype"}
    ]
    return own + headers


def _header_value(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else str(value).encode()


def recognition_of(case: dict[str, Any]) -> Recognition:
    if not case.keys() & {"amendment", "list", "second_batch"}:
        return LIST
    batches = [("batch-1.yaml", Batch.model_validate(SHIPPED | case.get("list", {})))]
    if case.get("second_batch"):
        batches.append(("batch-2.yaml", second_batch()))
    amendments = [("amendment.yaml", Amendment.model_validate(case["amendment"]))] if "amendment" in case else []
    return Recognition(batches, amendments)


def decide_case(case: dict[str, Any]) -> Decision:
    """Decide the events under ``after`` in order, then the case's own; what was forwarded is remembered,
    nothing else."""
    forwarded: dict[Identity, tuple[str, ...]] = {}
    for earlier in case.get("after", []):
        decision = _decide(earlier, forwarded)
        if isinstance(decision, Forward):
            reading = decision.reading
            forwarded[reading.identity] = (*forwarded.get(reading.identity, ()), reading.content_digest)
    return _decide(case, forwarded)


def _decide(case: dict[str, Any], forwarded: dict[Identity, tuple[str, ...]]) -> Decision:
    province = Province(case.get("province") or case.get("base", "sichuan"))
    received = parse_instant(case.get("received", RECEIVED))
    assert received is not None
    key = ... if "key" not in case else case["key"] and case["key"].encode()
    raw, headers, recognition = raw_of(case), headers_of(case), recognition_of(case)
    return decide_bytes(
        raw, province, received // 1000, recognition, key=key, headers=headers, forwarded=forwarded,
        signature=SignatureStatus(case.get("signature", "unasked")),
    )  # fmt: skip


@pytest.mark.parametrize(("file", "case"), CASES, ids=[f"{file}: {case['case']}" for file, case in CASES])
def test_case(file: str, case: dict[str, Any]) -> None:
    decision, expect = decide_case(case), case["expect"]
    reasons = decision.reasons if isinstance(decision, Reject) else ()
    row = RowRef(expect.get("batch", 1), expect["row"]) if "row" in expect else None
    got = (decision.outcome.value, row_of(decision), [code.value for code in codes_of(decision)])
    wanted = (expect["outcome"], row, expect.get("reasons", []))
    assert got == wanted, [f"{reason.field}: {reason.en}" for reason in reasons] or decision
    if "fields" in expect:
        assert [reason.field for reason in reasons] == expect["fields"]
    if "says" in expect:
        assert expect["says"] in reasons[0].en
    if "units" in expect:
        assert isinstance(decision, Reject)
        assert list(decision.units) == expect["units"]
    if "error" in expect:
        assert isinstance(decision, DeadLetter)
        assert decision.code == expect["error"]
    record = record_of(decision, raw_of(case))
    if record is None:
        assert not case.keys() & {"secret"} | expect.keys() & {"record", "carried"}, "nothing goes out to look at"
        return
    MODELS[decision.outcome].model_validate_json(record, strict=True)
    assert READERS[decision.outcome](record) is not None
    content = json.loads(record)
    assert problems_of_cloudevent(content) == []
    for path, value in expect.get("record", {}).items():
        found = content["data"]
        for step in path.split("."):
            found = found[int(step) if step.isdigit() else step]
        assert found == value, path
    for name, value in expect.get("carried", {}).items():
        assert content.get(name) == value, name
    if row is not None:
        named = content["data"]["list"] if isinstance(decision, Forward) else content["data"]["nearest_row"]
        assert (named["batch"], named["row"]) == row
    # What a case calls secret is in nothing that goes out, and in nothing that could be logged.
    for secret in case.get("secret", []):
        bytes_out = content["data"].get("bytes_base64") or ""
        everything = (
            record.decode()
            + "".join(base64.b64decode(bytes_out).decode(code, "replace") for code in ("utf-8", "gb18030", "utf-16"))
            + said_by(decision)
        )
        assert secret not in everything


def test_cases_cover_every_code_and_outcome_in_both_directions() -> None:
    assert len(CASES) >= 80
    decisions = [decide_case(case) for _, case in CASES]
    assert {decision.outcome for decision in decisions} == set(Outcome) - {Outcome.LOST}  # an offset's, not a record's
    for province in Province:
        codes = {code for decision in decisions if decision.province is province for code in codes_of(decision)}
        assert codes == set(Code), f"{province.value}: {set(Code) - codes}"


def test_every_row_that_is_resolved_forwards_and_no_other() -> None:
    decisions = [decide_case(case) for _, case in CASES if recognition_of(case) is LIST]
    for province in Province:
        forwarded = {
            row_of(decision)
            for decision in decisions
            if isinstance(decision, Forward) and decision.province is province
        }
        assert forwarded == {RowRef(1, row) for row in (1, 2, 3, 4, 5, 8, 9, 11, 12, 13, 15, 18)}
