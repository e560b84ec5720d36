"""What several commands have in common: their options, and what is done with them."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.adapters.terminal import say, write_json

if TYPE_CHECKING:
    from gateway.adapters.settings import Settings
    from gateway.core.recognition import Recognition


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file; also GATEWAY_CONFIG.", show_default=False),
]
Servers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        help="The broker; by default what GATEWAY_BOOTSTRAP_SERVERS says.",
        show_default=False,
    ),
]
Format = Annotated[Output, typer.Option("--format", help="Text for people, or JSON, one object per line.")]
ListDir = Annotated[
    Path | None,
    typer.Option("--list", metavar="FOLDER", help="Folder of list files; default: the settings'.", show_default=False),
]
Row = Annotated[
    str | None,
    typer.Option(
        "--row", metavar="BATCH/ROW", help="Only this row of the list, such as 1/5; or 5, where only one batch has it."
    ),
]
Date = Annotated[str | None, typer.Option("--date", metavar="DAY", help="As of this day (UTC+8); default: today.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="From this day on, or this instant: 2026-11-23, 2026-11-23T08:00:00+08:00."
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Up to and including this day, or before this instant."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")]


def _codes(incomplete: str) -> list[str]:
    from gateway.operate.completion import complete_codes

    return complete_codes(incomplete)


def _units(incomplete: str) -> list[str]:
    from gateway.operate.completion import complete_units

    return complete_units(incomplete)


def _statuses(incomplete: str) -> list[str]:
    from gateway.operate.completion import complete_statuses

    return complete_statuses(incomplete)


def _new_statuses(incomplete: str) -> list[str]:
    from gateway.operate.completion import complete_new_statuses

    return complete_new_statuses(incomplete)


def _topics(incomplete: str) -> list[str]:
    from gateway.operate.completion import complete_topics

    return complete_topics(incomplete)


_REASON = typer.Option(
    "--reason", metavar="CODE", help="Only with this reason code, or dead letter's error code.", autocompletion=_codes
)
_UNIT = typer.Option("--unit", metavar="UNIT", help="Only of this responsible unit.", autocompletion=_units)
Reason = Annotated[str | None, _REASON]
Reasons = Annotated[list[str] | None, _REASON]
Unit = Annotated[str | None, _UNIT]
Units = Annotated[list[str] | None, _UNIT]
Status = Annotated[
    str | None,
    typer.Option(
        "--status", metavar="STATUS", help="open (未办结), pending (待处理), fed_back (已反馈) or verified (已复核).",
        autocompletion=_statuses,
    ),
]  # fmt: skip
NewStatus = Annotated[
    str,
    typer.Argument(metavar="STATUS", help="fed_back (已反馈) or verified (已复核).", autocompletion=_new_statuses),
]
TopicNames = Annotated[
    list[str],
    typer.Argument(metavar="TOPIC", help="Such as sichuan.rejection gateway.deadletter.", autocompletion=_topics),
]
EventFiles = Annotated[
    list[str], typer.Argument(metavar="FILE", help="NDJSON, one event per line; - is standard input.")
]


def load(config: Path | None, bootstrap_servers: str | None = None) -> "Settings":
    """Return the settings, with these options; what is logged goes to stderr from now on. Raises
    ConfigurationError."""
    from gateway.adapters.logs import configure_command_logs
    from gateway.adapters.settings import load_settings

    settings = load_settings(config, bootstrap_servers=bootstrap_servers)
    configure_command_logs(settings.log)
    return settings


def recognition(list_dir: Path | None, config: Path | None) -> "Recognition":
    """Load the list in the folder, else the settings'. Raises RecognitionListError."""
    from gateway.adapters.list_files import load_recognition

    return load_recognition(list_folder(list_dir, config))


def list_folder(list_dir: Path | None, config: Path | None) -> Path:
    """Return the folder of list files: the option's, else the settings'."""
    from gateway.adapters.settings import load_settings

    return list_dir or load_settings(config).recognition_dir


def print_paths(paths: list[Path], output: Output) -> None:
    """Print which files there are now, one per line."""
    for path in paths:
        if output is Output.JSON:
            write_json({"file": str(path)})
        else:
            say(str(path))


def finish(code: int) -> None:
    """End the command with ``code``."""
    if code:
        raise typer.Exit(code)
