"""``gateway list``."""

import datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.app import App
from gateway.cli.options import (
    Config,
    Date,
    Format,
    ListDir,
    Output,
    Row,
    Servers,
    finish,
    list_folder,
    load,
    recognition,
)

app = App(help="The recognition list (互认实施清单): show it, check its files, compare it.")


@app.command("show")
def list_show(
    date: Date = None,
    row: Row = None,
    list_dir: ListDir = None,
    config: Config = None,
    output: Format = Output.TEXT,
) -> None:
    """Show the list as of a day, with unresolved cells marked.

    Example: `gateway list show --row 1/5`
    """
    from gateway.operate.lists.show import show_list

    china = datetime.timezone(datetime.timedelta(hours=8))
    finish(
        show_list(
            recognition(list_dir, config), date or datetime.datetime.now(china).date().isoformat(), row, output.value
        )
    )


@app.command("validate")
def list_validate(list_dir: ListDir = None, config: Config = None, output: Format = Output.TEXT) -> None:
    """Check the list's files; every mistake is named by file, row and cell (exit code 78).

    Example: `gateway list validate --list config/recognition`
    """
    from gateway.operate.lists.show import validate_list

    finish(validate_list(list_folder(list_dir, config), output.value))


@app.command("diff")
def list_diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="Folder of list files.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Folder of the list files to compare with A's.")],
    date: Date = None,
    impact: Annotated[
        bool,
        typer.Option("--impact", help="Count the events of the last days whose decision the difference would change."),
    ] = False,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, metavar="N", help="With --impact: of the last N days; default: 7.")
    ] = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    output: Format = Output.TEXT,
) -> None:
    """Show how list B differs from list A, cell by cell; exit code 1 where they differ.

    Example: `gateway list diff config/recognition amended/recognition --date 2026-12-15 --impact`
    """
    from gateway.operate.lists.diff import run_diff

    settings = load(config, bootstrap_servers) if impact else None
    china = datetime.timezone(datetime.timedelta(hours=8))
    day = date or datetime.datetime.now(china).date().isoformat()
    finish(run_diff(before, after, day, output.value, settings=settings, days=days))
