"""What several commands have in common: their options, and what is done with them."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.adapters.settings import Settings
    from gateway.core.recognition import Recognition


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

Row = Annotated[str | None, typer.Option("--row", metavar="BATCH/ROW", help="Only this row of the list, such as 1/5.")]


def load(config: Path | None, bootstrap_servers: str | None = None) -> "Settings":
    """The settings, with these options. Raises ConfigurationError."""
    from gateway.adapters.settings import load_settings

    return load_settings(config, bootstrap_servers=bootstrap_servers)


def recognition(list_dir: Path | None, config: Path | None) -> "Recognition":
    """The list in the folder, else the settings'. Raises RecognitionListError."""
    from gateway.adapters.list_files import load_recognition

    return load_recognition(list_folder(list_dir, config))


def list_folder(list_dir: Path | None, config: Path | None) -> Path:
    """The folder of list files: the option's, else the settings'."""
    return list_dir or load(config).recognition_dir


def print_paths(paths: list[Path], output: Output) -> None:
    """What files there are now, one a line."""
    for path in paths:
        typer.echo(json.dumps({"file": str(path)}, ensure_ascii=False) if output is Output.JSON else str(path))


def finish(code: int) -> None:
    """End the command with ``code``."""
    if code:
        raise typer.Exit(code)
