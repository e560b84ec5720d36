"""The ``gateway`` command: thin; each command's work is a module of ``gateway.operate`` or ``gateway.relay``.

Heavy imports stand inside the commands, so that ``--help`` and ``check`` start at once.
"""

import asyncio
import datetime
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import __version__
from gateway.core.province import Province
from gateway.errors import GatewayError

app = typer.Typer(
    name="gateway", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown",
    help="""Certificates shown (亮证) in Sichuan and Chongqing: consume, check against the recognition list, forward, reject.

    Data goes to stdout, everything else to stderr. Exit codes: 0 fine, 1 findings, 2 usage, 69 broker unreachable,
    78 configuration invalid, 130 interrupted.""",
)  # fmt: skip
list_app = typer.Typer(
    no_args_is_help=True, help="The recognition list (互认实施清单): show it, check its files, compare it."
)
topics_app = typer.Typer(no_args_is_help=True, help="The gateway's topics: what would be done, and do it.")
schema_app = typer.Typer(no_args_is_help=True, help="The contract's files: JSON Schemas, AsyncAPI, examples.")
app.add_typer(list_app, name="list")
app.add_typer(topics_app, name="topics")
app.add_typer(schema_app, name="schema")


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file; also GATEWAY_CONFIG.", show_default=False)
]
Servers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", help="The broker; also GATEWAY_BOOTSTRAP_SERVERS.", show_default=False),
]
Format = Annotated[Output, typer.Option("--format", help="Text for people, or JSON, one object a line.")]
ListDir = Annotated[
    Path | None, typer.Option("--list", help="Folder of list files; default: the settings'.", show_default=False)
]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"gateway {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command itself."""
    # aiokafka logs what it then retries; what it gives up on reaches us as an error. `run` sets logging up for itself.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@app.command()
def run(config: Config = None, bootstrap_servers: Servers = None) -> None:
    """Run the gateway's lanes until SIGTERM; it drains and commits first.

    Start as many as you like: they share the partitions as one consumer group. The log goes to stderr.

    Example: `GATEWAY_BOOTSTRAP_SERVERS=kafka:9092 gateway run`
    """
    from gateway.relay.app import run_gateway

    _exit(run_gateway(_settings(config, bootstrap_servers)))


@app.command()
def demo(
    config: Config = None,
    bootstrap_servers: Servers = None,
    events: Annotated[int, typer.Option(min=1, help="How many events the two provinces publish.")] = 5000,
    partitions: Annotated[int, typer.Option(min=1, max=100, help="Partitions of each topic.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed, the same events.")] = 1,
    external_gateway: Annotated[
        bool,
        typer.Option("--external-gateway", help="The relay runs elsewhere already: only publish, watch and verify."),
    ] = False,
    output: Format = Output.TEXT,
) -> None:
    """A real Kafka, both provinces simulated, the gateway between them, and proof from the topics that nothing was lost.

    Exit code 1 if anything was lost or sent twice.

    Example: `gateway demo --events 20000`
    """
    from gateway.operate.demo import run_demo

    _exit(
        run_demo(
            events=events, partitions=partitions, output=output.value, external_gateway=external_gateway, config=config,
            bootstrap_servers=bootstrap_servers, seed=seed,
        )
    )  # fmt: skip


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="NDJSON, one event a line; - is standard input.")],
    province: Annotated[
        Province | None, typer.Option(help="Whose topic the events came on; default: their source.")
    ] = None,
    list_dir: ListDir = None,
    received_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="RFC 3339; default: each event's own time counts as received.")
    ] = None,
    config: Config = None,
    output: Format = Output.TEXT,
) -> None:
    """Decide events without a broker: would they be forwarded, and if not, why and who can mend it?

    Example: `gateway check events.ndjson --province sichuan --format json`
    """
    from gateway.operate.check import Terms, run_check
    from gateway.operate.times import parse_time

    received = parse_time("--received-at", received_at)
    _exit(run_check(files, Terms(_list_dir(list_dir, config), province, received, output.value)))


@list_app.command("show")
def list_show(
    date: Annotated[str | None, typer.Option(help="As of this day, YYYY-MM-DD (UTC+8); default: today.")] = None,
    row: Annotated[int | None, typer.Option(help="Only this row.")] = None,
    list_dir: ListDir = None,
    config: Config = None,
    output: Format = Output.TEXT,
) -> None:
    """Show the list as of a day, with unresolved cells marked.

    Example: `gateway list show --row 5`
    """
    from gateway.operate.lists import show_list

    china = datetime.timezone(datetime.timedelta(hours=8))
    _exit(
        show_list(
            _recognition(list_dir, config), date or datetime.datetime.now(china).date().isoformat(), row, output.value
        )
    )


@list_app.command("validate")
def list_validate(list_dir: ListDir = None, config: Config = None) -> None:
    """Check the list's files; every mistake is named by file, row and cell (exit code 78).

    Example: `gateway list validate --list config/recognition`
    """
    from gateway.operate.lists import validate_list

    _exit(validate_list(_list_dir(list_dir, config)))


@list_app.command("diff")
def list_diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="Folder of list files.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Folder of the list files to compare with A's.")],
    date: Annotated[str | None, typer.Option(help="As of this day, YYYY-MM-DD (UTC+8); default: today.")] = None,
    impact: Annotated[bool, typer.Option("--impact", help="Count the events received lately that it touches.")] = False,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="With --impact: of the last so many days; default: 7.")
    ] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """What list B says otherwise than list A, cell by cell; exit code 1 where they differ.

    Example: `gateway list diff config/recognition amended/recognition --date 2026-12-15 --impact`
    """
    from gateway.operate.list_diff import run_diff

    settings = _settings(config, bootstrap_servers) if impact else None
    china = datetime.timezone(datetime.timedelta(hours=8))
    day = date or datetime.datetime.now(china).date().isoformat()
    _exit(run_diff(before, after, day, output.value, settings=settings, days=days))


@topics_app.command("plan")
def topics_plan(config: Config = None, bootstrap_servers: Servers = None, output: Format = Output.TEXT) -> None:
    """Say what `topics apply` would do; exit code 1 if a topic does not fit.

    Example: `gateway topics plan`
    """
    from gateway.operate.topics import plan_topics

    plans = asyncio.run(plan_topics(_settings(config, bootstrap_servers)))
    _print_plans(plans, output)
    _exit(int(any(plan.action == "refuse" for plan in plans)))


@topics_app.command("apply")
def topics_apply(
    config: Config = None,
    bootstrap_servers: Servers = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    output: Format = Output.TEXT,
) -> None:
    """Create what is missing; refuse what does not fit, before anything is done.

    Example: `gateway topics apply --dry-run`
    """
    from gateway.operate.topics import apply_topics, plan_topics

    settings = _settings(config, bootstrap_servers)
    _print_plans(asyncio.run(plan_topics(settings) if dry_run else apply_topics(settings)), output)


@app.command()
def publish(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="NDJSON, one event a line; - is standard input.")],
    province: Annotated[Province, typer.Option(help="Whose topic to publish to.")],
    config: Config = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Put events into a province's topic, keyed by holder.ref.

    Example: `gateway publish events.ndjson --province chongqing`
    """
    from gateway.operate.publish import publish as publish_files

    _exit(asyncio.run(publish_files(_settings(config, bootstrap_servers), files, province)))


@app.command()
def tail(
    topics: Annotated[
        list[str], typer.Argument(metavar="TOPIC…", help="Such as sichuan.rejection gateway.deadletter.")
    ],
    code: Annotated[str | None, typer.Option(help="Only rejections and dead letters with this code.")] = None,
    row: Annotated[int | None, typer.Option(help="Only this row of the list.")] = None,
    unit: Annotated[str | None, typer.Option(help="Only rejections for this responsible unit.")] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Not only what comes from now on.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Stop after so many seconds.")] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Watch what comes out, one line a record; Ctrl-C ends it.

    Example: `gateway tail sichuan.rejection --from-beginning --code CHANNEL_NOT_RECOGNISED`
    """
    from gateway.operate.tail import Filter
    from gateway.operate.tail import tail as tail_topics

    settings = _settings(config, bootstrap_servers)
    _exit(
        asyncio.run(
            tail_topics(
                settings, topics, Filter(code, row, unit), from_beginning=from_beginning, limit=limit, timeout_s=timeout,
                output=output.value,
            )
        )
    )  # fmt: skip


@app.command()
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
    from gateway.operate.trace import Query, parse_at
    from gateway.operate.trace import trace as find
    from gateway.operate.trace_view import show_trace

    if sum(each is not None for each in (event_id, trace_id, at)) != 1:
        raise UsageError("say which event: its ID, or --trace-id, or --at")
    query = Query(
        event_id, trace_id.lower() if trace_id else None, parse_at(at) if at else None, province, partition,
        parse_time("--since", since), parse_time("--until", until),
    )  # fmt: skip
    _exit(show_trace(find(_settings(config, bootstrap_servers), query, key), output.value))


@app.command()
def audit(
    since: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339; default: all that is kept.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339; default: up to now.")] = None,
    prove: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the decisions to make again from input and list; 1 is all.")
    ] = 0.0,
    export: Annotated[
        Path | None, typer.Option(help="Write a statement (JSON, and Markdown beside it) for the other province.")
    ] = None,
    signed_by: Annotated[str | None, typer.Option(help="Who answers for the statement; goes into it.")] = None,
    statement: Annotated[
        Path | None, typer.Option(help="Hold this cluster's copy of the topics against somebody's statement.")
    ] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Prove from the log that nothing was dropped, doubled or altered; exit code 1 where something was.

    Example: `gateway audit --since 2026-11-23T00:00:00+08:00 --prove 0.01 --export statement.json`
    """
    from gateway.operate.audit.command import run_audit

    _exit(
        run_audit(
            _settings(config, bootstrap_servers), since=since, until=until, prove=prove, export=export,
            signed_by=signed_by, statement=statement, output=output.value,
        )
    )  # fmt: skip


@app.command()
def redrive(
    reason: Annotated[list[str] | None, typer.Option(help="Reason or error code; may be given again.")] = None,
    row: Annotated[list[int] | None, typer.Option(help="Row of the list that has the certificate.")] = None,
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

    Example: `gateway redrive --reason LIST_ROW_UNRESOLVED --row 6 --dry-run`
    """
    from gateway.operate.redrive import Selection, run_redrive
    from gateway.operate.times import parse_time

    selection = Selection(
        frozenset(reason or ()), frozenset(row or ()), frozenset(event_id or ()), frozenset(unit or ()),
        parse_time("--since", since), parse_time("--until", until), everything,
    )  # fmt: skip
    settings = _settings(config, bootstrap_servers)
    _exit(run_redrive(settings, selection, dry_run=dry_run, confirmed=yes, output=output.value))


@app.command()
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
    from gateway.operate.replay import Question, run_replay
    from gateway.operate.times import parse_time

    settings, times = _settings(config, bootstrap_servers), (parse_time("--since", since), parse_time("--until", until))
    question = Question(list_dir, against or settings.recognition_dir, *times, examples)
    _exit(run_replay(settings, question, output.value, file))


_FOLDER = Annotated[Path, typer.Argument(help="The folder.")]


@schema_app.command("export")
def schema_export(folder: _FOLDER = Path("schemas"), config: Config = None) -> None:
    """Write JSON Schemas, AsyncAPI and examples.

    Example: `gateway schema export schemas`
    """
    from gateway.operate.schemas import export_schemas

    for path in export_schemas(folder, _recognition(None, config)):
        typer.echo(str(path))


@schema_app.command("check")
def schema_check(folder: _FOLDER = Path("schemas"), config: Config = None) -> None:
    """Fail (exit code 1) where a file is not what the code says.

    Example: `gateway schema check schemas`
    """
    from gateway.operate.schemas import check_schemas

    number = check_schemas(folder, _recognition(None, config))
    typer.echo(f"{folder}: {number} files are what the code says", err=True)


def _settings(config: Path | None, bootstrap_servers: str | None = None) -> Any:
    from gateway.adapters.settings import load_settings

    return load_settings(config, bootstrap_servers=bootstrap_servers)


def _recognition(list_dir: Path | None, config: Path | None) -> Any:
    from gateway.adapters.list_files import load_recognition

    return load_recognition(_list_dir(list_dir, config))


def _list_dir(list_dir: Path | None, config: Path | None) -> Path:
    return list_dir or Path(_settings(config).recognition_dir)


def _print_plans(plans: list[Any], output: Output) -> None:
    import json

    for plan in plans:
        if output is Output.JSON:
            typer.echo(
                json.dumps({"topic": plan.name, "action": plan.action, "detail": plan.detail}, ensure_ascii=False)
            )
        else:
            typer.echo(f"{plan.action:7} {plan.name}  {plan.detail}")


def _exit(code: int) -> None:
    if code:
        raise typer.Exit(code)


def main() -> None:
    """Run the command line; every expected error is one message on stderr and its exit code."""
    try:
        app()
    except GatewayError as error:
        sys.stderr.write(f"gateway: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
