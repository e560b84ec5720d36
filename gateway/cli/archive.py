"""``gateway archive``."""

from typing import Annotated

import typer

from gateway.cli.app import App
from gateway.cli.options import Config, Format, Output, Servers, Yes, finish, load

app = App(help="Evidence that outlives the topics: write the archive, remove old days.")

_PLACE = "FOLDER|URL"


@app.command("run")
def archive_run(
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar=_PLACE,
            help="Where the archive lies, unless as archive.place says; a new folder is created.",
            show_default=False,
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Archive all that is there now, and end.")] = False,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Archive what the ledger accounts for, by day and lane, until SIGTERM: Parquet files with chained
    manifests.

    It only reads, and holds no lane up. A segment is there whole or not at all: killed anywhere and started
    again, it goes on where the last manifest ends. With --once the exit code is 1 where records were gone
    already, or an open transaction hides some, or the ledger's end. --format is for --once; the log goes to
    stderr.

    Example: `gateway archive run --to /srv/archive`
    """
    from gateway.adapters import extras

    extras.require("archive", "`gateway archive`")
    from gateway.operate.archive.follow import run_archive
    from gateway.operate.archive.place import place_of

    settings = load(config, bootstrap_servers)
    finish(run_archive(settings, place_of(settings, to, "--to"), once=once, output=output.value))


@app.command("expire")
def archive_expire(
    before: Annotated[str, typer.Option(metavar="DAY", help="The first day (UTC+8) whose data are kept.")],
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive",
            metavar=f"[{_PLACE}]",
            help="Where the archive lies, unless as archive.place says.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Yes = False,
    config: Config = None,
    output: Format = Output.TEXT,
) -> None:
    """Remove the data of closed days before a day; their manifests stay, so that the chain can still be
    proved.

    Example: `gateway archive expire --archive /srv/archive --before 2026-05-01 --dry-run`
    """
    from gateway.adapters import extras

    extras.require("archive", "`gateway archive`")
    from gateway.operate.archive.expire import expire
    from gateway.operate.archive.place import place_of

    settings = load(config)
    place = place_of(settings, archive, "--archive")
    finish(expire(settings, place, before, dry_run=dry_run, confirmed=yes, output=output.value))
