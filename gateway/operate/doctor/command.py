"""Makes the checks and prints what they find, line by line as it is found."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from aiokafka.errors import KafkaError

from gateway.adapters.settings import Settings, load_settings
from gateway.errors import ConfigurationError, GatewayError
from gateway.operate.doctor.checks import BROKER, CHECKS
from gateway.operate.doctor.result import Check, CheckResult, Installation, Status, problem, unchecked

_TIMEOUT_S = 60
_ADVICE = {
    1: "act on the message, then run this again",
    69: "see that the broker runs, and that bootstrap_servers is what it listens on for this machine",
    78: "correct what the message names: bootstrap_servers, the settings under kafka, or the topics",
}
"""By the exit code of the error that ended a check; the message says more."""


def run_doctor(config: Path | None, bootstrap_servers: str | None, output: Literal["text", "json"]) -> int:
    """Check everything; returns the exit code.

    0 where there is no problem, 1 where there is one; 78 where nothing, and 69 where nothing of the broker, could be
    checked: the code that any command would end with there. What could not be checked is said, and is no problem.
    """
    try:
        settings = load_settings(config, bootstrap_servers=bootstrap_servers)
    except ConfigurationError as error:
        _print(
            CHECKS[0],
            problem("settings", str(error), "correct what is named; nothing else was checked", error.exit_code),
            output,
        )
        return error.exit_code
    return asyncio.run(_examine(settings, output))


async def _examine(settings: Settings, output: Literal["text", "json"]) -> int:
    code, counts = 0, Counter[Status]()
    async for check, finding in examine(Installation(settings)):
        _print(check, finding, output)
        counts[finding.status] += 1
        if finding.status is Status.PROBLEM:
            code = max(code, finding.exit_code if check is BROKER else 1)
    summary = ", ".join(f"{status.chinese} {status} {counts[status]}" for status in Status)
    sys.stderr.write(f"{summary}\n")
    return code


async def examine(installation: Installation) -> AsyncIterator[tuple[Check, CheckResult]]:
    """Every finding, in the order of the table of checks, as it is found."""
    is_reached = True
    for check in CHECKS:
        if check.needs_broker and not is_reached:
            yield check, unchecked("all", "the broker was not reached")
            continue
        for finding in await look(check, installation):
            yield check, finding
            if check is BROKER and finding.exit_code != 1:
                is_reached = False


async def look(check: Check, installation: Installation) -> list[CheckResult]:
    """What ``check`` finds; where it cannot be finished, that is a problem."""
    try:
        return await asyncio.wait_for(check.look(installation), _TIMEOUT_S)
    except GatewayError as error:
        return [problem("check", str(error), _ADVICE[error.exit_code], error.exit_code)]
    except (KafkaError, OSError) as error:
        return [
            problem("check", f"could not be finished ({type(error).__name__})", "run this again; see the broker's log")
        ]


def _print(check: Check, finding: CheckResult, output: Literal["text", "json"]) -> None:
    if output == "json":
        told = {
            "check": check.name, "status": finding.status.value, "subject": finding.subject, "message": finding.message,
            "advice": finding.advice or None,
        }  # fmt: skip
        line = json.dumps(told, ensure_ascii=False)
    else:
        heading = f"{finding.status.chinese} {finding.status:9}  {check.name} {check.chinese}"
        line = f"{heading} · {finding.subject}: {finding.message}"
        if finding.advice:
            line += f"\n               → {finding.advice}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
