"""The ``gateway`` command: thin; each command's work is a module of ``gateway.operate`` or ``gateway.relay``.

Heavy imports stand inside the commands, so that ``--help`` and ``check`` start at once.
"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway import __version__
from gateway.cli import contract, feedback, lists, proof
from gateway.cli.options import Config, Format, ListDir, Output, Row, Servers, finish, list_folder, load, print_paths
from gateway.core.province import Province
from gateway.errors import GatewayError, UsageError

app = typer.Typer(
    name="gateway", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown",
    help="""Certificates shown (亮证) in Sichuan and Chongqing: consume, check against the recognition list, forward, reject.

    Data goes to stdout, everything else to stderr. Exit codes: 0 fine, 1 findings, 2 usage, 69 broker unreachable,
    78 configuration invalid, 130 interrupted.""",
)  # fmt: skip
app.add_typer(lists.app, name="list")
app.add_typer(contract.topics_app, name="topics")
app.add_typer(contract.schema_app, name="schema")
app.add_typer(feedback.app, name="feedback")


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
def run(
    config: Config = None,
    bootstrap_servers: Servers = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1, max=64, help="Worker processes, each on a core of its own; the n-th serves at web.port + n."
        ),
    ] = 1,
) -> None:
    """Run the gateway's lanes until SIGTERM; it drains and commits first.

    Start as many as you like, on one machine by --workers: they share the partitions as one consumer group, and one that
    ends by itself is started again. The log goes to stderr.

    Example: `GATEWAY_BOOTSTRAP_SERVERS=kafka:9092 gateway run --workers 4`
    """
    settings = load(config, bootstrap_servers)
    if workers == 1:
        from gateway.relay.app import run_gateway

        finish(run_gateway(settings))
    else:
        from gateway.relay.workers import run_workers

        options = {"--config": config, "--bootstrap-servers": bootstrap_servers}
        finish(
            run_workers(workers, settings, [f"{name}={value}" for name, value in options.items() if value is not None])
        )


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
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave broker, gateway, page and users running until Ctrl-C: a sandbox.")
    ] = False,
    output: Format = Output.TEXT,
) -> None:
    """A real Kafka, both provinces simulated, the gateway between them, and proof from the topics that nothing was lost.

    Exit code 1 if anything was lost or sent twice. With --keep everything stays for a platform's own program to be tried
    against, and the lines to connect with are printed.

    Example: `gateway demo --events 20000`, `gateway demo --events 500 --keep`
    """
    from gateway.operate.demo import run_demo

    finish(
        run_demo(
            events=events, partitions=partitions, output=output.value, external_gateway=external_gateway, config=config,
            bootstrap_servers=bootstrap_servers, seed=seed, keep=keep,
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
    """Decide events without a broker: would they be forwarded, and if not, why and who can fix it?

    Example: `gateway check events.ndjson --province sichuan --format json`
    """
    from gateway.operate.check import Terms, run_check
    from gateway.operate.times import parse_time

    received = parse_time("--received-at", received_at)
    finish(run_check(files, Terms(config, list_folder(list_dir, config), province, received, output.value)))


@app.command()
def publish(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="NDJSON, one event a line; - is standard input.")],
    province: Annotated[Province, typer.Option(help="Whose topic to publish to.")],
    mapping: Annotated[
        Path | None, typer.Option(help="How your own records become events (docs/provinces.md).", show_default=False)
    ] = None,
    invalid: Annotated[
        Literal["refuse", "skip", "send"],
        typer.Option(help="Where a line is no valid event: send nothing, send the others, or send it all the same."),
    ] = "send",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the events to standard output; send none.")] = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Put events into a province's topic, keyed by holder.ref; what is no valid event is named by line and field.

    It is sent all the same, and the gateway says to its platform what is wrong with it. `--invalid refuse` reads all before it
    sends any, and sends none where one is wrong; `skip` sends the others. Exit code 1 where a line was not sent.

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


@app.command()
def tail(
    topics: Annotated[
        list[str], typer.Argument(metavar="TOPIC…", help="Such as sichuan.rejection gateway.deadletter.")
    ],
    code: Annotated[str | None, typer.Option(help="Only rejections and dead letters with this code.")] = None,
    row: Row = None,
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
    from gateway.adapters.list_files import load_recognition
    from gateway.operate.codes import require_codes
    from gateway.operate.rows import require_rows
    from gateway.operate.tail import Filter
    from gateway.operate.tail import tail as tail_topics

    require_codes("--code", *([code] if code else []))
    settings = load(config, bootstrap_servers)
    wanted = next(iter(require_rows("--row", load_recognition(settings.recognition_dir), row))) if row else None
    finish(
        asyncio.run(
            tail_topics(
                settings, topics, Filter(code, wanted, unit), from_beginning=from_beginning, limit=limit, timeout_s=timeout,
                output=output.value,
            )
        )
    )  # fmt: skip


@app.command()
def doctor(config: Config = None, bootstrap_servers: Servers = None, output: Format = Output.TEXT) -> None:
    """Check configuration, secrets, list, broker, topics, access, clock and lag: what is fine, what is not, what to do.

    Nothing is changed. What the settings' principal may not see is tried with the passwords of `access.passwords_dir`, and is
    else said to be unchecked. Exit code 1 where there is a problem; 69 or 78 where broker or settings let nothing be checked.

    Example: `gateway doctor --format json`
    """
    from gateway.operate.doctor.command import run_doctor

    finish(run_doctor(config, bootstrap_servers, output.value))


@app.command()
def top(
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.1, max=60, help="Redraw so often.")] = 1,
    config: Config = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Watch both directions on a terminal: rates, outcomes, lag, lanes and workers, reasons, newest rejections; q quits.

    Read from the topics and the consumer group, as `operator` may: nothing is written, and no worker is asked.

    Example: `gateway top`
    """
    from gateway.operate.top import require_terminal, run_top

    require_terminal()
    finish(run_top(load(config, bootstrap_servers), every))


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the password files go.")] = Path("secrets"),
    output: Format = Output.TEXT,
) -> None:
    """Make the password files that are missing, one a principal and Grafana's: for `access.passwords_dir` and docker-compose.yml.

    Example: `gateway secrets secrets`
    """
    from gateway.operate.secret_files import make_passwords

    made = make_passwords(folder)
    print_paths(made, output)
    typer.echo(f"{folder}: {len(made)} made; keep them out of version control and backups of others", err=True)


for _command in (proof.trace, proof.audit, proof.replay, proof.redrive, feedback.report):
    app.command()(_command)


def main() -> None:
    """Run the command line; every expected error is one message on stderr and its exit code."""
    try:
        app()
    except GatewayError as error:
        sys.stderr.write(f"gateway: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
