"""The ``gateway`` command: thin; each command's work is a module of ``gateway.operate`` or
``gateway.relay``.

Heavy imports stand inside the commands, so that ``--help`` and ``check`` start at once.
"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway import __version__
from gateway.adapters.terminal import say, write_json
from gateway.cli import archive, contract, feedback, lists, proof
from gateway.cli.app import CASES, CONTRACT, EVENTS, LIST, PREPARE, PROVE, RUN, App
from gateway.cli.ending import debug_first
from gateway.cli.options import (
    Config,
    EventFiles,
    Format,
    ListDir,
    Output,
    Reason,
    Row,
    Servers,
    TopicNames,
    Unit,
    finish,
    list_folder,
    load,
    print_paths,
)
from gateway.core.province import Province
from gateway.core.words import count_of
from gateway.errors import UsageError

app = App(
    name="gateway", pretty_exceptions_enable=False, rich_markup_mode="markdown",
    help="""Certificates shown (亮证) in Sichuan and Chongqing: consume, check against the recognition list, forward, reject.

    Data goes to stdout, everything else to stderr. Exit codes: 0 fine, 1 findings, 2 usage, 69 broker unreachable,
    70 internal error, 74 output not written, 78 configuration invalid, 130 interrupted, 141 nobody reads the output.""",
)  # fmt: skip
app.add_typer(lists.app, name="list", rich_help_panel=LIST)
app.add_typer(contract.topics_app, name="topics", rich_help_panel=PREPARE)
app.add_typer(contract.schema_app, name="schema", rich_help_panel=CONTRACT)
app.add_typer(archive.app, name="archive", rich_help_panel=PROVE)
app.add_typer(feedback.app, name="feedback", rich_help_panel=CASES)


def _version(value: bool) -> None:
    if value:
        say(f"gateway {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show an internal error whole; it may hold values of events.")
    ] = False,
) -> None:
    """Handle the options of the command itself."""
    if not debug:
        # aiokafka logs what it then retries, and asyncio, with tracebacks, what else reaches us as an error.
        # `run` sets logging up for itself.
        for name in ("aiokafka", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


@app.command(rich_help_panel=RUN)
def run(
    config: Config = None,
    bootstrap_servers: Servers = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1, max=64, help="Worker processes, each on a core of its own; the n-th serves at web.port + n."
        ),
    ] = 1,
    process: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the gateway's lanes until SIGTERM or SIGHUP; it drains and commits first, within
    `relay.drain_timeout_s`.

    Start as many as you like, on one machine by --workers: they share the partitions as one consumer group,
    and one that ends by itself is started again. The log goes to stderr. Exit code 1 where it could not
    drain in time; what was left is done again by whoever gets the lane. A second SIGTERM ends it at once.

    Example: `GATEWAY_BOOTSTRAP_SERVERS=kafka:9092 gateway run --workers 4`
    """
    settings = load(config, bootstrap_servers)
    if workers == 1:
        from gateway.relay.app import run_gateway

        finish(run_gateway(settings, process))
    else:
        from gateway.relay.workers import run_workers

        options = {"--config": config, "--bootstrap-servers": bootstrap_servers}
        finish(
            run_workers(workers, settings, [f"{name}={value}" for name, value in options.items() if value is not None])
        )


@app.command(rich_help_panel=RUN)
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
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave broker, gateway, page and users running until Ctrl-C: a sandbox.")
    ] = False,
    output: Format = Output.TEXT,
) -> None:
    """Run a real Kafka, both provinces simulated and the gateway between them; prove from the topics that
    nothing was lost.

    Exit code 1 if anything was lost or sent twice. With --keep everything stays for a platform's own program
    to be tried against, and the lines to connect with are printed.

    Example: `gateway demo --events 20000`, `gateway demo --events 500 --keep`
    """
    from gateway.operate.demo import run_demo

    finish(
        run_demo(
            events=events, partitions=partitions, output=output.value, external_gateway=external_gateway, config=config,
            bootstrap_servers=bootstrap_servers, seed=seed, keep=keep,
        )
    )  # fmt: skip


@app.command(rich_help_panel=PREPARE)
def secrets(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the password files go.")] = Path("secrets"),
    output: Format = Output.TEXT,
) -> None:
    """Create missing password files: one per principal, one for Grafana.

    They are what `access.passwords_dir` and docker-compose.yml want.

    Example: `gateway secrets secrets`
    """
    from gateway.operate.secret_files import make_passwords

    made = make_passwords(folder)
    print_paths(made, output)
    say(
        f"{folder}: {count_of(len(made), 'file')} created; keep them out of version control and of others' backups",
        err=True,
    )


@app.command(rich_help_panel=PREPARE)
def doctor(config: Config = None, bootstrap_servers: Servers = None, output: Format = Output.TEXT) -> None:
    """Check configuration, secrets, list, broker, topics, access, clock and lag: what is fine, what is not,
    what to do.

    Nothing is changed. What the settings' principal may not see is tried with the passwords of
    `access.passwords_dir`, and is else said to be unchecked. Exit code 1 where there is a problem; 69 or 78
    where broker or settings let nothing be checked.

    Example: `gateway doctor --format json`
    """
    from gateway.operate.doctor.command import run_doctor

    finish(run_doctor(config, bootstrap_servers, output.value))


@app.command(rich_help_panel=EVENTS)
def check(
    files: EventFiles,
    province: Annotated[
        Province | None, typer.Option(help="Whose topic the events came on; default: their source.")
    ] = None,
    list_dir: ListDir = None,
    received_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="RFC 3339; default: each event's own time counts as received.")
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 if an event is rejected or cannot be read, for scripts.")
    ] = False,
    config: Config = None,
    output: Format = Output.TEXT,
) -> None:
    """Decide events without a broker: would they be forwarded, and if not, why and who can fix it?

    A decision is a result, and no finding: the exit code is 0 also where events are rejected, but for
    --exit-code.

    Example: `gateway check events.ndjson --province sichuan --format json`
    """
    from gateway.operate.check import Terms, run_check
    from gateway.operate.times import parse_time

    received = parse_time("--received-at", received_at)
    terms = Terms(config, list_folder(list_dir, config), province, received, output.value)
    finish(run_check(files, terms, exit_code=exit_code))


@app.command(rich_help_panel=EVENTS)
def examples(
    prefix: Annotated[
        str | None, typer.Option("--id", metavar="PREFIX", help="How their ids begin; default: example- and the time.")
    ] = None,
    province: Annotated[Province | None, typer.Option(help="Only of this province.")] = None,
) -> None:
    """Write events of now to try the gateway with, one per line: per province one that passes, and one that
    does not.

    The second was shown with an app that the list does not name. The company and the person in them are made
    up.

    Example: `gateway examples --id first > events.ndjson; gateway check events.ndjson`
    """
    import time

    from gateway.operate.examples import events_to_try

    now = time.time()
    for event in events_to_try(prefix or f"example-{int(now)}", province, int(now * 1000)):
        write_json(event)


@app.command(rich_help_panel=EVENTS)
def publish(
    files: EventFiles,
    province: Annotated[Province, typer.Option(help="Whose topic to publish to.")],
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="How your own records become events (docs/provinces.md).", show_default=False
        ),
    ] = None,
    invalid: Annotated[
        Literal["refuse", "skip", "events", "send"],
        typer.Option(
            metavar="HOW",
            help="Where a line is not a valid event: `refuse` sends nothing, `skip` sends the others, `events` sends it if it is "
            "an event at all, `send` sends it whatever it is.",
        ),
    ] = "events",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the events to standard output; send none.")] = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Publish events to a province's topic, keyed by holder.ref.

    Invalid events are reported by line and field; they are sent anyway, and the gateway rejects them back to
    the platform. A line that is not an event at all is refused, and a file that does not begin with a JSON
    object is refused as a whole, with a guess what it is. `--invalid refuse` reads all before it sends any,
    and sends none where one is invalid; `skip` sends the others; `send` sends everything. Exit code 1 where
    a line was not sent. It is safe to run it again: what was forwarded is a duplicate.

    Example: `gateway publish events.ndjson --province chongqing --invalid refuse`
    """
    from gateway.operate.publish import Invalid, load_mapping
    from gateway.operate.publish import publish as publish_files

    if dry_run and output is Output.JSON:
        raise UsageError("--dry-run writes the events themselves to standard output: leave --format json out")
    rules = load_mapping(mapping, province) if mapping else None
    finish(
        asyncio.run(
            publish_files(
                load(config, bootstrap_servers), files, province, invalid=Invalid(invalid), mapping=rules, dry_run=dry_run,
                output=output.value,
            )
        )
    )  # fmt: skip


@app.command(rich_help_panel=EVENTS)
def tail(
    topics: TopicNames,
    reason: Reason = None,
    row: Row = None,
    unit: Unit = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Start at the oldest record.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after N records.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="Stop after SECONDS.")] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Watch what comes out, one line per record; Ctrl-C ends it.

    Example: `gateway tail sichuan.rejection --from-beginning --reason CHANNEL_NOT_RECOGNISED`
    """
    from gateway.adapters.list_files import load_recognition
    from gateway.feedback.report.model import require_listed_units
    from gateway.operate.codes import require_codes
    from gateway.operate.rows import require_rows
    from gateway.operate.tail import Filter
    from gateway.operate.tail import tail as tail_topics

    require_codes("--reason", *([reason] if reason else []))
    settings = load(config, bootstrap_servers)
    recognition = load_recognition(settings.recognition_dir)
    wanted = next(iter(require_rows("--row", recognition, row))) if row else None
    require_listed_units([unit] if unit else [], recognition)
    finish(
        asyncio.run(
            tail_topics(
                settings, topics, Filter(reason, wanted, unit), from_beginning=from_beginning, limit=limit, timeout_s=timeout,
                output=output.value,
            )
        )
    )  # fmt: skip


@app.command(rich_help_panel=EVENTS)
def top(
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.1, max=60, help="Refresh interval.")] = 1,
    config: Config = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Watch both directions on a terminal: rates, outcomes, lag, lanes and workers, reasons, newest
    rejections; q quits.

    Read from the topics and the consumer group, as `operator` may: nothing is written, and no worker is
    asked.

    Example: `gateway top`
    """
    from gateway.operate.top import require_terminal, run_top

    require_terminal()
    finish(run_top(load(config, bootstrap_servers), every))


for _panel, _command in (
    (EVENTS, proof.trace),
    (LIST, proof.replay),
    (LIST, proof.redrive),
    (PROVE, proof.audit),
    (PROVE, proof.acknowledge),
    (PROVE, proof.restore),
    (CASES, feedback.report),
):
    app.command(rich_help_panel=_panel)(_command)


def main() -> None:
    """Run the command line; what it raises is reported by ``ending``."""
    app(args=debug_first(sys.argv[1:]))
