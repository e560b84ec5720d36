"""The horizon's cases once more, by `gateway check`: its whole input is one horizon, and says the same as
the relay's decision."""

import json
import subprocess
import sys
from typing import Any

from tests.cases.test_cases import CASES, RECEIVED, raw_of

_OF_A_RECORD = {"key", "headers", "mode", "signature", "received", "raw", "province"}
"""What a case says of the record around the event: `check` has events only, all received at one time."""


def test_check_decides_the_horizons_cases_as_the_relay_does() -> None:
    cases = [case for file, case in CASES if file == "horizon" and is_of_events_only(case)]
    assert len(cases) >= 25
    lines, places = [], []
    for number, case in enumerate(cases):
        events = [raw_of(each).replace(b'"case-', b'"%d-case-' % number) for each in (*case["after"], case)]
        lines += events
        places.append(len(lines) - 1)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-", "--format", "json", "--received-at", RECEIVED],
        input=b"\n".join(lines), capture_output=True, check=True,
    )  # fmt: skip
    decided = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(decided) == len(lines)
    for place, case in zip(places, cases, strict=True):
        found, expect = decided[place], case["expect"]
        assert found["outcome"] == expect["outcome"], case["case"]
        assert found["reasons"] == expect.get("reasons", []), case["case"]
        row = expect.get("row")
        assert (found["batch"], found["row"]) == (row and 1, row), case["case"]


def is_of_events_only(case: dict[str, Any]) -> bool:
    return not any(each.keys() & _OF_A_RECORD for each in (case, *case["after"]))
