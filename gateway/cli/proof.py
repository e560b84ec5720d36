"""What has happened, what if, and putting it right: ``gateway trace``, ``audit``, ``replay``, ``redrive``."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Config, Format, Output, Servers, finish, load
from gateway.core.province import Province


def trace(
    event_id: Annotated[str | None, typer.Argument(metavar="ID", help="The event's id.", show_default=False)] = None,
    trace_id: Annotated[str | None, typer.Option(help="A W3C trace id: all events that carry it.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TOPIC/PARTITION/OFFSET", help="The input record there.")] = None,
    province: Annotated[Province | None, typer.Option(help="Only what this province published.")] = None,
    key: Annotated[str | None, typer.Option(help="The holder.ref: only the partition that it belongs to.")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Received since, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Received before, RFC 3339.")] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """What happened to an event: where it came in, what was decided and why, what went out, and its ledger entry.

    Example: `gateway trace b6f1c2d4 --since 2026-11-23T00:00:00+08:00`
    """
    from gateway.errors import UsageError
    from gateway.operate.times import parse_time
    from gateway.operate.trace.search import Query, parse_at
    from gateway.operate.trace.search import trace as find
    from gateway.operate.trace.view import show_trace

    if sum(each is not None for each in (event_id, trace_id, at)) != 1:
        raise UsageError("say which event: its ID, or --trace-id, or --at")
    query = Query(
        event_id, trace_id.lower() if trace_id else None, parse_at(at) if at else None, province, partition,
        parse_time("--since", since), parse_time("--until", until),
    )  # fmt: skip
    finish(show_trace(find(load(config, bootstrap_servers), query, key), output.value))


def audit(
    since: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339; default: all that is kept.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339; default: up to now.")] = None,
    prove: Annotated[bool, typer.Option("--prove", help="Make every decision again from input and list.")] = False,
    sample: Annotated[
        float | None, typer.Option(min=0, max=1, help="Make only this share of the decisions again, such as 0.01.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write a statement (JSON, and Markdown beside it) for the other province.")
    ] = None,
    signed_by: Annotated[str | None, typer.Option(help="Who answers for the statement; goes into it.")] = None,
    statement: Annotated[
        Path | None, typer.Option(help="Hold this cluster's copy of the topics against somebody's statement.")
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="SECONDS", help="Again and again until SIGTERM, for /metrics (web.enabled) and the log."
        ),
    ] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Prove from the log that nothing was dropped, doubled or altered; exit code 1 where something was.

    Example: `gateway audit --since 2026-11-23T00:00:00+08:00 --sample 0.01 --export statement.json`
    """
    from gateway.operate.audit.command import run_audit

    finish(
        run_audit(
            load(config, bootstrap_servers), since=since, until=until, prove=sample if sample is not None else float(prove),
            export=export, signed_by=signed_by, statement=statement, every=every, output=output.value,
        )
    )  # fmt: skip


def replay(
    list_dir: Annotated[Path, typer.Option("--list", help="Folder of the list files to try.")],
    against: Annotated[
        Path | None, typer.Option(help="Folder of the list to compare with; default: the settings'.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Received since, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Received before, RFC 3339.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="So many event ids for each kind of change.")] = 3,
    file: Annotated[Path | None, typer.Option("--output", help="Write the report, as Markdown, there too.")] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """What if? Decide what was received again under another list, and say which decisions would change. Sends nothing.

    Example: `gateway replay --list amended/recognition --since 2026-11-16T00:00:00+08:00`
    """
    from gateway.operate.replay.command import Question, run_replay
    from gateway.operate.times import parse_time

    settings, times = load(config, bootstrap_servers), (parse_time("--since", since), parse_time("--until", until))
    question = Question(list_dir, against or settings.recognition_dir, *times, examples)
    finish(run_replay(settings, question, output.value, file))


def redrive(
    reason: Annotated[list[str] | None, typer.Option(help="Reason or error code; may be given again.")] = None,
    row: Annotated[
        list[str] | None,
        typer.Option(metavar="BATCH/ROW", help="Row of the list that has the certificate, such as 1/5."),
    ] = None,
    unit: Annotated[list[str] | None, typer.Option(help="Responsible unit.")] = None,
    event_id: Annotated[list[str] | None, typer.Option("--id", help="Event id.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Rejected since, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Rejected before, RFC 3339.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every rejection and dead letter that is kept.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, on a terminal either.")] = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Put rejected or dead-lettered events through again under the list as it is now, ids kept, on the ledger.

    Each event is decided by the edition in force at its time. What would be rejected for the same reasons is not sent again.
    A running worker loses each lane for a moment: what it had in hand it decides again.

    Example: `gateway redrive --reason LIST_ROW_UNRESOLVED --row 1/6 --dry-run`
    """
    from gateway.operate.codes import require_codes
    from gateway.operate.redrive.command import Selection, run_redrive
    from gateway.operate.times import parse_time

    selection = Selection(
        require_codes("--reason", *(reason or ())), tuple(row or ()), frozenset(event_id or ()), frozenset(unit or ()),
        parse_time("--since", since), parse_time("--until", until), everything,
    )  # fmt: skip
    settings = load(config, bootstrap_servers)
    finish(run_redrive(settings, selection, dry_run=dry_run, confirmed=yes, output=output.value))
