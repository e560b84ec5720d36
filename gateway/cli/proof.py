"""What has happened, what if, and putting it right: ``gateway trace``, ``audit``, ``replay``, ``redrive``,
and others."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Config, Format, Output, Reasons, Servers, Since, Units, Until, Yes, finish, load
from gateway.core.province import Province

Archive = Annotated[
    str | None,
    typer.Option(
        metavar="[FOLDER|URL]",
        help="Ask this archive (docs/archive.md), without a broker; without a value the one at archive.place.",
    ),
]


def trace(
    event_id: Annotated[str | None, typer.Argument(metavar="ID", help="The event's id.", show_default=False)] = None,
    trace_id: Annotated[
        str | None, typer.Option(metavar="ID", help="A W3C trace id: all events that carry it.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="PLACE", help="The input record at TOPIC/PARTITION/OFFSET.")] = None,
    province: Annotated[Province | None, typer.Option(help="Only what this province published.")] = None,
    key: Annotated[
        str | None, typer.Option(metavar="REF", help="The holder.ref: only the partition that it belongs to.")
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition.")] = None,
    since: Since = None,
    until: Until = None,
    archive: Archive = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Show what happened to an event: where it came in, what was decided and why, what went out, and its
    ledger entry.

    Example: `gateway trace b6f1c2d4 --since 2026-11-23`

    Example: `gateway trace b6f1c2d4 --archive /srv/archive`
    """
    from gateway.errors import UsageError
    from gateway.operate.times import parse_since, parse_until
    from gateway.operate.trace.query import Query
    from gateway.operate.trace.search import parse_at
    from gateway.operate.trace.search import trace as find
    from gateway.operate.trace.view import show_trace

    if sum(each is not None for each in (event_id, trace_id, at)) != 1:
        before = f"; {archive} is taken for the archive's place: put the ID before --archive" if archive else ""
        raise UsageError(f"say which event: its ID, or --trace-id, or --at{before}")
    settings = load(config, bootstrap_servers)
    place = parse_at(at, settings.topic_prefix) if at else None
    query = Query(
        event_id, trace_id.lower() if trace_id else None, place, province, partition,
        parse_since(since), parse_until(until),
    )  # fmt: skip
    if archive is not None:
        from gateway.adapters import extras

        if key is not None:
            raise UsageError("--archive: say --partition, or leave it out; how many there were may have changed since")
        extras.require("archive", "--archive")
        from gateway.operate.archive.place import place_of
        from gateway.operate.archive.trace import trace_archive

        story, incomplete = trace_archive(settings, place_of(settings, archive, "--archive FOLDER"), query)
        finish(max(incomplete, show_trace(story, output.value)))
        return
    story, incomplete = find(settings, query, key)
    finish(max(incomplete, show_trace(story, output.value)))


def audit(
    since: Since = None,
    until: Until = None,
    prove: Annotated[bool, typer.Option("--prove", help="Make every decision again from input and list.")] = False,
    sample: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="SHARE", help="Make only this share of the decisions again, such as 0.01."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a statement (JSON, and Markdown beside it) for the other province."),
    ] = None,
    signed_by: Annotated[str | None, typer.Option(metavar="NAME", help="Signatory named in the statement.")] = None,
    statement: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Verify this cluster's topics, or the --archive, against a statement."),
    ] = None,
    archive: Archive = None,
    every: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="SECONDS", help="Repeat every SECONDS until SIGTERM, for /metrics (web.enabled) and the log."
        ),
    ] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Prove from the log that nothing was dropped, doubled or altered; exit code 1 where something was.

    Example: `gateway audit --since 2026-11-23 --sample 0.01 --export statement.json`

    Example: `gateway audit --archive /srv/archive --until 2026-05-31 --prove`

    Example: `gateway audit --archive /srv/archive --since 2026-05-01 --export statement.json`

    Example: `gateway audit --archive /srv/archive --statement statement.json`
    """
    from gateway.operate.audit.command import run_audit

    share = sample if sample is not None else float(prove)
    if archive is not None:
        from gateway.adapters import extras
        from gateway.errors import UsageError

        if every is not None:
            raise UsageError("--archive does not go with --every: an archive does not change but by the archiver")
        if statement and (export or share or since or until):
            raise UsageError(
                "--statement says itself what to look at: it goes with none of --since --until --prove --sample --export"
            )
        if signed_by is not None and export is None:
            raise UsageError("--signed-by belongs to --export")
        extras.require("archive", "--archive")
        from gateway.operate.archive.audit import Export, audit_archive
        from gateway.operate.archive.place import place_of
        from gateway.operate.archive.statement_check import check_archive_statement
        from gateway.operate.times import parse_since, parse_until

        settings = load(config, bootstrap_servers)
        place = place_of(settings, archive, "--archive FOLDER")
        if statement is not None:
            finish(check_archive_statement(settings, place, statement, output.value))
            return
        wanted = None if export is None else Export(export, signed_by)
        finish(audit_archive(settings, place, parse_since(since), parse_until(until), share, output.value, wanted))
        return
    finish(
        run_audit(
            load(config, bootstrap_servers), since=since, until=until, prove=share,
            export=export, signed_by=signed_by, statement=statement, every=every, output=output.value,
        )
    )  # fmt: skip


def replay(
    list_dir: Annotated[Path, typer.Option("--list", metavar="FOLDER", help="Folder of the list files to try.")],
    against: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the list to compare with; default: the settings'.")
    ] = None,
    since: Since = None,
    until: Until = None,
    examples: Annotated[int, typer.Option(min=0, help="Show N event ids for each kind of change.")] = 3,
    file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the report there too, as Markdown.")
    ] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Re-decide past events under another list, and say which decisions would change. Sends nothing.

    Example: `gateway replay --list amended/recognition --since 2026-11-16`
    """
    from gateway.operate.replay.command import Question, run_replay
    from gateway.operate.times import parse_since, parse_until

    settings, times = load(config, bootstrap_servers), (parse_since(since), parse_until(until))
    question = Question(list_dir, against or settings.recognition_dir, *times, examples)
    finish(run_replay(settings, question, output.value, file))


def redrive(
    reason: Reasons = None,
    row: Annotated[
        list[str] | None,
        typer.Option(metavar="BATCH/ROW", help="Only of this row of the list, such as 1/5."),
    ] = None,
    unit: Units = None,
    event_id: Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Only this event.")] = None,
    since: Since = None,
    until: Until = None,
    everything: Annotated[bool, typer.Option("--all", help="Every rejection and dead letter that is kept.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of them.")] = False,
    yes: Yes = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Put rejected or dead-lettered events through again under the list as it is now, ids kept, on the
    ledger.

    --reason, --row, --unit and --id may be given again. Each event is decided by the edition in force at its
    time. What would be rejected for the same reasons is not sent again. A running worker loses each lane for
    a moment: what it had in hand it decides again.

    Example: `gateway redrive --reason LIST_ROW_UNRESOLVED --row 1/6 --dry-run`
    """
    from gateway.operate.codes import require_codes
    from gateway.operate.redrive.command import Selection, run_redrive
    from gateway.operate.times import parse_since, parse_until

    selection = Selection(
        require_codes("--reason", *(reason or ())), tuple(row or ()), frozenset(event_id or ()), frozenset(unit or ()),
        parse_since(since), parse_until(until), everything,
    )  # fmt: skip
    settings = load(config, bootstrap_servers)
    finish(run_redrive(settings, selection, dry_run=dry_run, confirmed=yes, output=output.value))


def acknowledge(
    lane: Annotated[
        str | None, typer.Argument(metavar="LANE", help="Such as sichuan.display-3.", show_default=False)
    ] = None,
    offsets: Annotated[
        str | None, typer.Option(metavar="FIRST-LAST", help="The lost offsets to take note of, as they are listed.")
    ] = None,
    horizon: Annotated[
        bool, typer.Option("--horizon", help="Open a lane that waits because its memory of duplicates is incomplete.")
    ] = False,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who takes note: a name or an office.")] = None,
    why: Annotated[str | None, typer.Option(help="Why it is closed; no personal data.")] = None,
    yes: Yes = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """List what the log lost before it was decided, exit code 1 where there is any, or an open transaction
    hides the ledger's end; or take note of it, on the ledger.

    Offsets that are lost stay a finding of `gateway audit` until somebody has taken note of them: an entry
    in the lane's chain says who, when and why. A running worker loses the lane for a moment.

    Example: `gateway acknowledge sichuan.display-3 --offsets 1200-1299 --by 值班室 --why 已请川方重发`
    """
    from gateway.errors import UsageError
    from gateway.operate.acknowledge import Remark, list_lost
    from gateway.operate.acknowledge import acknowledge as write

    if lane is None:
        if offsets or horizon or by or why:
            raise UsageError("say which LANE, such as sichuan.display-3")
        finish(list_lost(load(config, bootstrap_servers), output.value))
        return
    if (offsets is None) is not horizon:
        raise UsageError("say what to take note of: --offsets FIRST-LAST, or --horizon")
    if by is None or why is None:
        raise UsageError("say who takes note and why: --by and --why")
    finish(write(load(config, bootstrap_servers), lane, offsets, Remark(by, why), confirmed=yes, output=output.value))


def restore(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what is missing, and what could be restored.")
    ] = False,
    yes: Yes = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Write forwards again that an output topic no longer has (deleted, disk lost): the same bytes, from
    input and ledger.

    Each is decided again and held against its ledger entry's digest; what has expired is not missing. Exit
    code 1 where some cannot be restored, with why. A running worker loses each lane for a moment.

    Example: `gateway restore --dry-run`
    """
    from gateway.operate.restore.command import run_restore

    finish(run_restore(load(config, bootstrap_servers), dry_run=dry_run, confirmed=yes, output=output.value))
