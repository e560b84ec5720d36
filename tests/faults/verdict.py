"""The four properties, checked record by record: acknowledged is delivered, nothing is invented, payloads
are intact, all is alive."""

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.adapters.settings import Settings
from gateway.contract.dead_letter import DEADLETTER_TYPE
from gateway.contract.rejection import REJECTED_TYPE
from gateway.contract.verification import VERIFIED_TYPE
from gateway.core.decision import Outcome
from tests.faults.traffic import Sent
from tests.kafka.harness import Account, audit, wait_until_accounted

_TYPES = {Outcome.FORWARD: VERIFIED_TYPE, Outcome.REJECT: REJECTED_TYPE, Outcome.DEAD_LETTER: DEADLETTER_TYPE}
_ACCOUNT_TIMEOUT_S = 180


@dataclass(frozen=True)
class Verdict:
    """How many events were acknowledged, and what became of them."""

    events: int
    lost: int
    doubled: int


async def judge(settings: Settings, sent: Sequence[Sent]) -> Verdict:
    """Wait for the account of all that was ``sent``, and count. ``assert_proper`` says what is wrong with a
    bad one."""
    account = await wait_until_accounted(settings, len(sent), _ACCOUNT_TIMEOUT_S)
    repetitions = {each.origin for each in sent if each.record.expected is Outcome.DUPLICATE}
    origins = {each.origin for each in sent}
    doubled = {
        origin: records for origin, records in account.outputs.items() if len(records) > (origin not in repetitions)
    }
    verdict = Verdict(
        events=len(sent),
        lost=len(origins - account.inputs.keys()) + len(origins - repetitions - account.outputs.keys()),
        doubled=sum(len(records) - (origin not in repetitions) for origin, records in doubled.items()),
    )
    for origin, records in doubled.items():  # what pytest shows of a failure: which ones, and what they became
        print(f"doubled: {origin}, a repetition: {origin in repetitions}, {[each['data'] for each in records]}")
    if not (verdict.lost or verdict.doubled):
        account.assert_proper(len(sent))
        for each in sent:
            assert_intact(each, account)
        # The audit decides every input again, and holds each byte of what came out against it.
        result = await asyncio.to_thread(audit, settings, "--prove")
        assert (result["ok"], result["offsets"], result["proved"]) == (True, len(sent), len(sent))
    return verdict


def assert_intact(sent: Sent, account: Account) -> None:
    """The record came in as it was sent, and what came out is about it, with the outcome that its maker
    meant."""
    record = sent.record
    assert account.inputs[sent.origin] == record.value, f"{sent.origin} is not what was sent"
    if record.expected is Outcome.DUPLICATE:
        return
    (output,) = account.outputs[sent.origin]
    assert output["type"] == _TYPES[record.expected], f"{sent.origin} became {output['type']}: {record}"
    data: Any = output["data"]
    if record.expected is Outcome.DEAD_LETTER:
        # Bytes that may name somebody are withheld; their digest, which the audit checks, stands for them.
        assert data["withheld"] or base64.b64decode(data["bytes_base64"]) == record.value, f"{sent.origin} is changed"
        assert data["size"] == len(record.value)
        return
    content = json.loads(record.value)
    attributes = {name.removeprefix("ce_"): value.decode() for name, value in record.headers} or content
    assert data["event"]["id"] == attributes["id"], f"{sent.origin} came out as another event"
    if record.expected is Outcome.FORWARD:
        event = content if record.headers else content["data"]
        assert data["holder"] == event["holder"], f"{sent.origin} has another holder"
        assert data["display"]["region_code"] == event["display"]["region_code"]
