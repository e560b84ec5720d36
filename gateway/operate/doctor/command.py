"""Makes the checks and prints what they find, line by line as it is found."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path
from typing import Literal

from aiokafka.errors import KafkaError

from gateway.adapters.console import Terminal, several_lines
from gateway.adapters.logs import configure_command_logs
from gateway.adapters.settings import Settings, load_settings
from gateway.adapters.terminal import say, write_json
from gateway.errors import ConfigurationError, GatewayError
from gateway.operate.doctor.broker import NO_TOPICS
from gateway.operate.doctor.checks import BROKER, CHECKS, TOPICS
from gateway.operate.doctor.result import Check, CheckResult, CheckStatus, Installation, problem, unchecked

_TIMEOUT_S = 60
_CONFIGURATION = 78
_WORDS_AT = 16
"""In which column a result's words begin, and its advice below them."""
_STYLES = {
    CheckStatus.PROBLEM: "bold red",
    CheckStatus.NOTICE: "yellow",
    CheckStatus.UNCHECKED: "cyan",
    CheckStatus.FINE: "green",
}
_ADVICE = {
    1: "act on the message, then run this again",
    69: "see that the broker runs, and that bootstrap_servers is what it listens on for this machine",
    78: "correct what the message names: bootstrap_servers, the settings under kafka, or the topics",
}
"""By the exit code of the error that ended a check; the message says more."""


def run_doctor(config: Path | None, bootstrap_servers: str | None, output: Literal["text", "json"]) -> int:
    """Check everything; returns the exit code.

    0 where there is no problem, 1 where there is one; 78 where nothing, and 69 where nothing of the broker,
    could be checked: the code that any command would end with there. What could not be checked is said, and
    is not a problem.
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
    configure_command_logs(settings.log)
    return asyncio.run(_examine(settings, output))


async def _examine(settings: Settings, output: Literal["text", "json"]) -> int:
    code, counts, later = 0, Counter[CheckStatus](), list[tuple[Check, CheckResult]]()
    async for check, finding in examine(Installation(settings)):
        counts[finding.status] += 1
        if finding.status is CheckStatus.PROBLEM:
            code = max(code, finding.exit_code if check is BROKER else 1)
        if output == "json" or finding.status in {CheckStatus.PROBLEM, CheckStatus.NOTICE}:
            _print(check, finding, output)
        else:
            later.append((check, finding))
    # What is wrong comes first, as it is found; the rest at the end, in short.
    for status in (CheckStatus.UNCHECKED, CheckStatus.FINE):
        _print_short([each for each in later if each[1].status is status])
    say("，".join(f"{status.chinese} {status} {counts[status]}" for status in CheckStatus), err=True)
    return code


def _print_short(found: list[tuple[Check, CheckResult]]) -> None:
    """Print results, each message once: of one check with its subjects, of several with their names."""
    for (message, advice), group in groupby(found, key=lambda each: (each[1].message, each[1].advice)):
        same = list(group)
        checks = {check.name: check.chinese for check, _ in same}
        names = ", ".join(f"{name} {chinese}" for name, chinese in checks.items())
        subjects = f" · {', '.join(finding.subject for _, finding in same)}" if len(checks) == 1 else ""
        _line(same[0][1].status, f"{names}{subjects}: {message}", advice)


async def examine(installation: Installation) -> AsyncIterator[tuple[Check, CheckResult]]:
    """Yield every finding as it is found, in the order of the table of checks."""
    is_reached = has_topics = has_all = True
    for check in CHECKS:
        if check.needs_broker and not is_reached:
            yield check, unchecked("all", "the broker was not reached")
            continue
        if check.needs_topics and not has_topics:
            yield check, unchecked("all", "there are no topics yet")
            continue
        for finding in await run_check(check, installation):
            if check.needs_topics and not has_all and finding.exit_code == _CONFIGURATION:
                yield check, unchecked("all", "topics are missing")  # of which there is a problem already
                continue
            yield check, finding
            if check is BROKER and finding.exit_code != 1:
                is_reached = False
            elif check is TOPICS and finding.exit_code != 1:
                has_all, has_topics = False, finding.message != NO_TOPICS


async def run_check(check: Check, installation: Installation) -> list[CheckResult]:
    """Run ``check``; where it cannot be finished, return that as a problem."""
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
        fields = {
            "check": check.name, "status": finding.status.value, "subject": finding.subject, "message": finding.message,
            "advice": finding.advice or None,
        }  # fmt: skip
        write_json(fields, flush=True)
    else:
        _line(finding.status, f"{check.name} {check.chinese} · {finding.subject}: {finding.message}", finding.advice)


def _line(status: CheckStatus, words: str, advice: str = "") -> None:
    console, shown = Terminal(), several_lines([f"{status.chinese} {status:9}  "])  # _WORDS_AT columns
    shown.stylize(_STYLES[status])
    first, *more = words.splitlines() or [""]
    shown.append_text(several_lines([first, *(f"{'':{_WORDS_AT}}{line}" for line in more)]))
    if advice:
        shown.append_text(several_lines(["", f"{'':{_WORDS_AT}}→ {advice}"]))
    console.print(shown)
    sys.stdout.flush()
