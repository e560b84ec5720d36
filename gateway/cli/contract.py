"""``gateway topics`` and ``gateway schema``."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.options import Config, Format, Output, Servers, finish, load, print_paths, recognition

if TYPE_CHECKING:
    from gateway.operate.apply_access import GrantPlan

topics_app = typer.Typer(no_args_is_help=True, help="The gateway's topics: what would be done, and do it.")
schema_app = typer.Typer(no_args_is_help=True, help="The contract's files: JSON Schemas, AsyncAPI, examples.")
_FOLDER = Annotated[Path, typer.Argument(help="The folder.")]


@topics_app.command("plan")
def topics_plan(config: Config = None, bootstrap_servers: Servers = None, output: Format = Output.TEXT) -> None:
    """Say what `topics apply` would do; exit code 1 if a topic does not fit.

    Example: `gateway topics plan`
    """
    from gateway.operate.apply_access import plan_access
    from gateway.operate.topics import plan_topics

    settings = load(config, bootstrap_servers)
    plans = asyncio.run(plan_topics(settings))
    _print_plans(plans, output)
    _print_access(asyncio.run(plan_access(settings)), output)
    finish(int(any(plan.action == "refuse" for plan in plans)))


@topics_app.command("apply")
def topics_apply(
    config: Config = None,
    bootstrap_servers: Servers = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    output: Format = Output.TEXT,
) -> None:
    """Create what is missing; refuse what does not fit, before anything is done. On a broker with an authorizer also grant
    each principal what the contract says, and set the passwords of `access.passwords_dir`: run it as the broker's admin.

    Example: `gateway topics apply --dry-run`
    """
    from gateway.operate.apply_access import apply_access, plan_access
    from gateway.operate.topics import apply_topics, plan_topics, refuse_misfits

    settings = load(config, bootstrap_servers)
    plans = asyncio.run(plan_topics(settings) if dry_run else apply_topics(settings))
    _print_plans(plans, output)
    _print_access(asyncio.run(plan_access(settings) if dry_run else apply_access(settings)), output)
    refuse_misfits(plans)  # a dry run ends as the real one would


def _print_plans(plans: list[Any], output: Output) -> None:
    for plan in plans:
        if output is Output.JSON:
            typer.echo(
                json.dumps({"topic": plan.name, "action": plan.action, "detail": plan.detail}, ensure_ascii=False)
            )
        else:
            typer.echo(f"{plan.action:7} {plan.name}  {plan.detail}")


def _print_access(plans: "list[GrantPlan] | None", output: Output) -> None:
    if plans is None:
        typer.echo("this broker has no authorizer: whoever reaches it may read and write everything", err=True)
    for plan in plans or []:
        grant, resource = plan.grant, plan.grant.name + ("*" if plan.grant.prefixed else "")
        if output is Output.JSON:
            told = {"principal": plan.principal, "action": plan.action, "operation": grant.operation,
                    "resource_type": grant.kind.name, "resource": grant.name, "prefixed": grant.prefixed}  # fmt: skip
            typer.echo(json.dumps(told, ensure_ascii=False))
        else:
            kind = grant.kind.name.lower().replace("_", " ")
            typer.echo(f"{plan.action:7} {plan.principal}  {grant.operation.lower()} {kind} {resource}")


@schema_app.command("export")
def schema_export(folder: _FOLDER = Path("schemas"), config: Config = None, output: Format = Output.TEXT) -> None:
    """Write JSON Schemas, AsyncAPI and examples.

    Example: `gateway schema export schemas`
    """
    from gateway.operate.schemas import export_schemas

    print_paths(export_schemas(folder, recognition(None, config)), output)


@schema_app.command("check")
def schema_check(folder: _FOLDER = Path("schemas"), config: Config = None, output: Format = Output.TEXT) -> None:
    """Fail (exit code 1) where a file is not what the code says.

    Example: `gateway schema check schemas`
    """
    from gateway.operate.schemas import DriftError, check_schemas

    list_now = recognition(None, config)
    try:
        number = check_schemas(folder, list_now)
    except DriftError as error:
        if output is Output.JSON:
            typer.echo(json.dumps({"ok": False, "drifted": error.files}, ensure_ascii=False))
        raise
    if output is Output.JSON:
        typer.echo(json.dumps({"ok": True, "drifted": []}))
    typer.echo(f"{folder}: {number} files are what the code says", err=True)
