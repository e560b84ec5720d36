"""Installations for doctor, and what it finds in them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway.adapters.settings import Settings
from gateway.operate.apply_access import apply_access
from gateway.operate.doctor.checks import CHECKS
from gateway.operate.doctor.command import run_check
from gateway.operate.doctor.result import CheckResult, CheckStatus, Installation
from gateway.operate.topics import apply_topics
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


def doctor(settings: Settings, *options: str, program: tuple[str, ...] = ("-m", "gateway"), **environment: str) -> Any:
    """The exit code, and the findings."""
    folder = settings.access.passwords_dir
    done = subprocess.run(
        [sys.executable, *program, "doctor", "--format", "json", *options],
        env=os.environ | settings.as_environment() | {
            "PYTHONPATH": str(ROOT), "GATEWAY_TOPICS__PARTITIONS": str(settings.topics.partitions),
            "GATEWAY_ACCESS__PASSWORDS_DIR": str(folder) if folder else "",
        } | environment,
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


async def problems(settings: Settings, *checks: str) -> list[CheckResult]:
    """The problems that these checks find, each with something to do about it."""
    found = [
        finding
        for check in CHECKS if check.name in checks
        for finding in await run_check(check, Installation(settings)) if finding.status is CheckStatus.PROBLEM
    ]  # fmt: skip
    assert all(finding.advice for finding in found)
    return found


async def set_up(admin: Settings, prefix: str) -> Settings:
    settings = admin.model_copy(update={"topic_prefix": prefix})
    await apply_topics(settings)
    await apply_access(settings)
    return settings
