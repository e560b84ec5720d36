"""Groups of commands whose help is short to read: ``-h`` beside ``--help``, and values by name, not by
Python's types."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

C = TypeVar("C", bound=Callable[..., Any])

RUN, PREPARE, EVENTS, LIST = "Run", "Prepare", "Events", "The list"
PROVE, CASES, CONTRACT = "Prove", "Cases and reports", "The contract"
"""The groups of ``gateway --help``, as in docs/commands.md."""

_NAMES = {int: "N", float: "N", Path: "PATH"}


def _named(params: Iterable[Any]) -> list[Any]:
    """Give each option that has no name for its value one; a flag has no value, and an argument's name is
    enough."""
    found = list(params)
    for each in found:
        if each.param_type_name == "argument":
            each.display_type_rich = _no_type
        elif each.metavar is None:
            kind = each.type_descriptor
            choices = "|".join(str(getattr(choice, "value", choice)) for choice in kind.choices or ())
            each.metavar = "" if each.is_flag else choices or _NAMES.get(kind.annotation, "TEXT")
    return found


def _no_type(**_: Any) -> None:
    """Show no type."""


def _with_empty_values(params: Iterable[Any], arguments: list[str]) -> list[str]:
    """Give each option whose value may be left out, as its name for it in brackets says, an empty one where
    it is: at the end, and before another option. Typer knows no such options."""
    optional = {name for each in params if (each.metavar or "").startswith("[") for name in each.opts}
    found = list[str]()
    for number, each in enumerate(arguments):
        if each == "--":
            return found + arguments[number:]
        follows = arguments[number + 1 : number + 2]
        is_left_out = each in optional and (not follows or (follows[0].startswith("-") and follows != ["-"]))
        found.append(f"{each}=" if is_left_out else each)
    return found


class Command(TyperCommand):
    """A command with such a help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, options without their value among them."""
        return super().parse_args(ctx, _with_empty_values(self.params, args))

    def get_params(self, ctx: Any) -> list[Any]:
        """Return arguments and options, ``--help`` among them."""
        return _named(super().get_params(ctx))


class Group(TyperGroup):
    """A group with such a help."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options, ``--help`` among them."""
        return _named(super().get_params(ctx))


class App(typer.Typer):
    """A group of commands, all of them with such a help."""

    def __init__(self, **options: Any) -> None:
        names = {"help_option_names": ["--help", "-h"]}
        super().__init__(cls=Group, no_args_is_help=True, context_settings=names, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[C], C]:
        """Return the decorator that makes a function a command."""
        return super().command(name, cls=Command, **options)
