"""``gateway report``: a department's report as a file, or a folder with everybody's."""

import asyncio
import datetime
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import say, write_json
from gateway.core.province import COORDINATING_CENTRES
from gateway.core.recognition import Recognition
from gateway.core.times import china_date
from gateway.errors import UsageError
from gateway.feedback.report.folder import write_set
from gateway.feedback.report.model import Report, known_units
from gateway.feedback.report.words import chinese_period
from gateway.feedback.report.write import form_of, make_report, period_of
from gateway.feedback.state import State, read_state
from gateway.operate.feedback.cases import say_counted_again
from gateway.operate.times import parse_day

Output = Literal["text", "json"]


def write_report(
    settings: Settings, unit: str | None, since: str | None, until: str | None, file: Path, output: Output
) -> int:
    """Make the report and write it whole; returns the exit code. Raises UsageError and what `read_state`
    raises."""
    form = form_of(file.suffix)
    since, until = parse_day("--since", since), parse_day("--until", until)
    if not file.resolve().parent.is_dir():
        raise UsageError(f"--output: there is no folder {file.resolve().parent}")
    recognition = load_recognition(settings.recognition_dir)
    state = asyncio.run(read_state(settings))
    say_counted_again(state)
    now = datetime.datetime.now(datetime.UTC)
    report = make_report(state, recognition, unit, since, until, now, settings.feedback.answer)
    _write(file, form.render(report))
    if output == "json":
        line = {
            "file": str(file), "unit": report.unit, "since": report.first, "until": report.last,
            "shown": report.now.shown, "recognised": report.now.recognised, "refused": report.now.refused,
            "cases": {status.value: count for status, count in report.by_status.items()},
        }  # fmt: skip
        write_json(line)
    else:
        period = chinese_period(report.first, report.last)
        so_far = "，今日数据尚不完整 today so far" if report.last >= _day_of(now) else ""
        say(f"{file}: {report.title}，{period}，问题{len(report.cases)}项{so_far}", err=True)
    return 0


def write_reports(
    settings: Settings, since: str | None, until: str | None, folder: Path, forms: Sequence[str], output: Output
) -> int:
    """Write everybody's report into a dated folder of ``folder``, all or none; returns the exit code.

    Raises UsageError and what `read_state` raises.
    """
    require_forms(forms)
    since, until = parse_day("--since", since), parse_day("--until", until)
    recognition = load_recognition(settings.recognition_dir)
    now = datetime.datetime.now(datetime.UTC)
    period = period_of_set(since, until, now)
    state = asyncio.run(read_state(settings))
    say_counted_again(state)
    written = write_all(settings, state, recognition, period, now, folder, forms)
    if output == "json":
        write_json({"folder": str(written), "since": period[0], "until": period[1]})
    else:
        say(f"{written}: 部门报告，{chinese_period(*period)}", err=True)
    return 0


def period_of_set(since: str | None, until: str | None, now: datetime.datetime) -> tuple[str, str]:
    """Return the first and the last day of a set, which is written once: of days that are over, by default
    30 of them up to yesterday. Raises UsageError."""
    today = _day_of(now)
    yesterday = (datetime.date.fromisoformat(today) - datetime.timedelta(days=1)).isoformat()
    for option, day in (("--since", since), ("--until", until)):
        if day is not None and day >= today:
            raise UsageError(
                f"{option}: {day} is not over in Beijing, and a set is written once: use {yesterday} or an earlier day. "
                "`gateway report --output FILE` writes one report with what there is of today."
            )
    return period_of(since, until or yesterday, now)


def _day_of(now: datetime.datetime) -> str:
    return china_date(int(now.timestamp() * 1_000_000))


def require_forms(forms: Sequence[str]) -> None:
    """Raise UsageError for a form that there is not, ConfigurationError where its extra is missing."""
    for form in {*forms, "html"}:  # the indexes are pages
        form_of(form)


def write_all(
    settings: Settings, state: State, recognition: Recognition, period: tuple[str, str], now: datetime.datetime,
    folder: Path, forms: Sequence[str],
) -> Path:  # fmt: skip
    """Write the set of ``period`` (first and last day): the centres' report and each department's; return
    its folder."""

    def make(unit: str | None) -> Report:
        return make_report(state, recognition, unit, *period, now, settings.feedback.answer)

    units = sorted(known_units(state, recognition) - set(COORDINATING_CENTRES))
    return write_set(folder, [None, *units], make, list(dict.fromkeys(forms)))


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
