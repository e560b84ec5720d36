"""``gateway feedback`` and ``gateway report``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.app import App
from gateway.cli.options import (
    Config,
    Format,
    NewStatus,
    Output,
    Reason,
    Row,
    Servers,
    Since,
    Status,
    Unit,
    Until,
    finish,
    load,
)

if TYPE_CHECKING:
    from gateway.feedback.history import Status as CaseStatus

app = App(help="Cases (问题) from rejections: worker, page, list, mark.")
CaseId = Annotated[str, typer.Argument(metavar="CASE", help="The case's id, or its beginning.")]


@app.command("run")
def feedback_run(config: Config = None, bootstrap_servers: Servers = None) -> None:
    """Run a feedback worker until SIGTERM or SIGHUP: counts rejections into cases, announces, serves the
    page (`web.enabled`).

    Start as many as you like: they share the partitions as one consumer group. The log goes to stderr. It
    ends within `relay.drain_timeout_s`; exit code 1 where it could not stop by then, and a second SIGTERM
    ends it at once.

    Example: `GATEWAY_WEB__ENABLED=true gateway feedback run`
    """
    from gateway.operate.feedback.serve import serve_feedback

    finish(serve_feedback(load(config, bootstrap_servers)))


@app.command("list")
def feedback_list(
    status: Status = None,
    reason: Reason = None,
    row: Row = None,
    unit: Unit = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """List the cases, the one last seen first.

    Example: `gateway feedback list --status open --unit 四川省交通运输厅`
    """
    from gateway.operate.codes import require_codes
    from gateway.operate.feedback.cases import CaseFilter, find_row, list_cases

    require_codes("--reason", *([reason] if reason else []))
    settings = load(config, bootstrap_servers)
    which = CaseFilter(_statuses(status), reason, find_row(settings, row) if row else None, unit)
    finish(list_cases(settings, which, output.value))


@app.command("show")
def feedback_show(
    case: CaseId, config: Config = None, bootstrap_servers: Servers = None, output: Format = Output.TEXT
) -> None:
    """Show one case: what is wrong, where, how often, examples, and its history.

    Example: `gateway feedback show 3f2a`
    """
    from gateway.operate.feedback.cases import show_case

    finish(show_case(load(config, bootstrap_servers), case, output.value))


@app.command("mark")
def feedback_mark(
    case: CaseId,
    status: NewStatus,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who says so: a name or an office.")],
    note: Annotated[str | None, typer.Option(help="A note for the record; no personal data.")] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Mark a case as fed back to its department, then as verified; it reopens by itself if the problem
    returns.

    Example: `gateway feedback mark 3f2a fed_back --by 省大数据中心 --note 已发函`
    """
    from gateway.operate.feedback.cases import mark_case

    finish(mark_case(load(config, bootstrap_servers), case, _status(status), by, note))


@app.command("rebuild")
def feedback_rebuild(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only compare with what the tables hold; exit code 1 where they differ.")
    ] = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Count everything again from the topics into the tables. Stop the feedback workers first; `--dry-run`
    may run beside them.

    Example: `gateway feedback rebuild --dry-run`
    """
    from gateway.operate.feedback.cases import rebuild_tables

    finish(rebuild_tables(load(config, bootstrap_servers), dry_run=dry_run, output=output.value))


def report(
    file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="The file to write: .html, .md or .xlsx.")
    ] = None,
    unit: Unit = None,
    since: Since = None,
    until: Until = None,
    each: Annotated[
        bool, typer.Option("--each", help="Every department's report and the centres', in a dated folder of --to.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="With --each: the folder of dated reports.")
    ] = None,
    forms: Annotated[
        list[str] | None,
        typer.Option("--form", metavar="FORM", help="With --each: html, xlsx or md; repeat it. Default: html, xlsx."),
    ] = None,
    every: Annotated[
        str | None, typer.Option(metavar="day|week", help="With --each: for each past day or week, until SIGTERM.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="HH:MM", help="With --every: from when on the next day (UTC+8); default: 07:00."),
    ] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Write a department's report (部门报告): what happened, how much, what to repair; in Chinese.

    It counts days (UTC+8), by default the last 30 with today so far; --each takes days that are over only.
    Without --unit it is the coordinating centres'
    report, on all.

    Example: `gateway report --unit 四川省交通运输厅 --since 2026-10-01 --output report.html`

    Example: `gateway report --each --to reports --every week --at 07:00`
    """
    from gateway.errors import UsageError
    from gateway.operate.feedback.report import write_report, write_reports
    from gateway.operate.feedback.schedule import keep_reporting, parse_clock, parse_every

    for option, needs, is_wrong in (
        ("--to", "--each", folder is not None and not each),
        ("--form", "--each", bool(forms) and not each),
        ("--every", "--each", every is not None and not each),
        ("--at", "--every", at is not None and every is None),
    ):
        if is_wrong:
            raise UsageError(f"{option} belongs to {needs}")
    if each and (unit or file):
        raise UsageError("--each writes all departments' reports into --to FOLDER: leave --unit and --output out")
    settings = load(config, bootstrap_servers)
    if not each:
        if file is None:
            raise UsageError("say where the report goes: --output FILE, or --each --to FOLDER for everybody's")
        finish(write_report(settings, unit, since, until, file, output.value))
        return
    if folder is None:
        raise UsageError("--each: say into which folder by --to FOLDER")
    wanted = forms or ["html", "xlsx"]
    if every is None:
        finish(write_reports(settings, since, until, folder, wanted, output.value))
    elif since or until:
        raise UsageError("--every sets the days itself: leave --since and --until out")
    else:
        finish(keep_reporting(settings, folder, wanted, parse_every(every), parse_clock(at or "07:00")))


def _statuses(text: str | None) -> "frozenset[CaseStatus]":
    """Return the statuses that ``--status`` names: one of them, those of an open case, or all."""
    from gateway.feedback.history import Status as CaseStatus

    if text is None:
        return frozenset(CaseStatus)
    if text in {"open", "未办结"}:
        return frozenset(CaseStatus) - {CaseStatus.VERIFIED}
    return frozenset({_status(text, also="open (未办结), ")})


def _status(text: str, *, also: str = "") -> "CaseStatus":
    from gateway.errors import UsageError
    from gateway.feedback.history import Status as CaseStatus

    found = next((each for each in CaseStatus if text in {each.value, each.zh}), None)
    if found is None:
        raise UsageError(
            f"'{text}' is not a status: use {also}pending (待处理), fed_back (已反馈) or verified (已复核)"
        )
    return found
