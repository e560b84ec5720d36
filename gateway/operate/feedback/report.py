"""``gateway report``: a department's report as a file."""

import asyncio
import datetime
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Literal

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.errors import UsageError
from gateway.feedback.report.write import form_of, make_report
from gateway.feedback.state import read_state


def write_report(
    settings: Settings, unit: str | None, since: str | None, until: str | None, file: Path,
    output: Literal["text", "json"],
) -> int:  # fmt: skip
    """Make the report and write it whole; returns the exit code. Raises UsageError and what `read_state` raises."""
    form = form_of(file.suffix)
    if not file.resolve().parent.is_dir():
        raise UsageError(f"--output: there is no folder {file.resolve().parent}")
    recognition = load_recognition(settings.recognition_dir)
    state = asyncio.run(read_state(settings))
    report = make_report(state, recognition, unit, since, until, datetime.datetime.now(datetime.UTC))
    _write(file, form.render(report))
    if output == "json":
        told = {
            "file": str(file), "unit": report.unit, "since": report.first, "until": report.last,
            "shown": report.now.shown, "recognised": report.now.recognised, "refused": report.now.refused,
            "cases": {status.value: count for status, count in report.by_status.items()},
        }  # fmt: skip
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"{file}: {report.title}，{report.first} 至 {report.last}，问题 {len(report.cases)} 个\n")
    return 0


def _write(file: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.resolve().parent, prefix=file.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as part:
            part.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise UsageError(f"--output: {file} cannot be written ({error.strerror})") from None
