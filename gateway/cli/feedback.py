"""``gateway feedback`` and ``gateway report``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Config, Format, Output, Servers, finish, load

if TYPE_CHECKING:
    from gateway.feedback.history import Status

app = typer.Typer(
    no_args_is_help=True, help="What the rejections teach: the worker with its page, and cases (问题) for departments."
)
CaseId = Annotated[str, typer.Argument(metavar="CASE", help="The case's id, or its beginning.")]


@app.command("run")
def feedback_run(config: Config = None, bootstrap_servers: Servers = None) -> None:
    """Run a feedback worker until SIGTERM: counts rejections into cases, announces them, and serves the page (`web.enabled`).

    Start as many as you like: they share the partitions as one consumer group. The log goes to stderr.

    Example: `GATEWAY_WEB__ENABLED=true gateway feedback run`
    """
    from gateway.operate.feedback.serve import serve_feedback

    finish(serve_feedback(load(config, bootstrap_servers)))


@app.command("list")
def feedback_list(
    status: Annotated[
        str | None, typer.Option(help="pending (待处理), fed_back (已反馈) or verified (已复核).")
    ] = None,
    code: Annotated[str | None, typer.Option(help="Reason code, or a dead letter's error code.")] = None,
    row: Annotated[
        str | None,
        typer.Option(
            metavar="BATCH/ROW", help="Row of the list, such as 1/5; or 5, where only one batch has that row."
        ),
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Responsible unit.")] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """List the cases, the one last seen first.

    Example: `gateway feedback list --status pending --unit 四川省交通运输厅`
    """
    from gateway.operate.codes import require_codes
    from gateway.operate.feedback.cases import CaseFilter, find_row, list_cases

    require_codes("--code", *([code] if code else []))
    settings = load(config, bootstrap_servers)
    which = CaseFilter(_status(status), code, find_row(settings, row) if row else None, unit)
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
    status: Annotated[str, typer.Argument(help="fed_back (已反馈) or verified (已复核).")],
    by: Annotated[str, typer.Option(help="Who says so: a name or an office.")],
    note: Annotated[str | None, typer.Option(help="A note for the record; no personal data.")] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Mark a case as fed back to its department, then as verified; it reopens by itself if the problem returns.

    Example: `gateway feedback mark 3f2a fed_back --by 省大数据中心 --note 已发函`
    """
    from gateway.operate.feedback.cases import mark_case

    chosen = _status(status)
    assert chosen is not None  # noqa: S101 — only None gives None
    finish(mark_case(load(config, bootstrap_servers), case, chosen, by, note))


@app.command("rebuild")
def feedback_rebuild(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only compare with what the tables hold; exit code 1 where they differ.")
    ] = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Count everything anew from the topics into the tables. Stop the feedback workers first; `--dry-run` may run beside them.

    Example: `gateway feedback rebuild --dry-run`
    """
    from gateway.operate.feedback.cases import rebuild_tables

    finish(rebuild_tables(load(config, bootstrap_servers), dry_run=dry_run, output=output.value))


def report(
    file: Annotated[Path, typer.Option("--output", help="The file to write: .html, .md or .xlsx.")],
    unit: Annotated[
        str | None, typer.Option(help="Department; default: the coordinating centres' report, on all.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="First day (UTC+8); default: 30 days back.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="Last day (UTC+8); default: today.")] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Write a department's report (部门报告): what happened, how much, what to repair; in Chinese.

    Example: `gateway report --unit 四川省交通运输厅 --since 2026-10-01 --output report.html`
    """
    from gateway.operate.feedback.report import write_report

    finish(write_report(load(config, bootstrap_servers), unit, since, until, file, output.value))


def _status(text: str | None) -> "Status | None":
    from gateway.errors import UsageError
    from gateway.feedback.history import Status

    if text is None:
        return None
    found = next((each for each in Status if text in {each.value, each.zh}), None)
    if found is None:
        raise UsageError(f"{text} is no status: say pending (待处理), fed_back (已反馈) or verified (已复核)")
    return found
