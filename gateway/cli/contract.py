"""``gateway topics`` and ``gateway schema``."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.adapters.terminal import say, write_json
from gateway.cli.app import App
from gateway.cli.options import Config, Format, Output, Servers, finish, load, print_paths, recognition
from gateway.core.words import count_of

if TYPE_CHECKING:
    from gateway.operate.apply_access import GrantPlan

topics_app = App(help="Plan and create topics and ACLs.")
schema_app = App(help="The contract's files: JSON Schemas, AsyncAPI, examples.")
_FOLDER = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder.")]


@topics_app.command("plan")
def topics_plan(config: Config = None, bootstrap_servers: Servers = None, output: Format = Output.TEXT) -> None:
    """Show what `topics apply` would do; exit code 1 if a topic does not match.

    Example: `gateway topics plan`
    """
    from gateway.operate.apply_access import plan_access
    from gateway.operate.topics import plan_topics

    settings = load(config, bootstrap_servers)
    plans, grants = asyncio.run(plan_topics(settings)), asyncio.run(plan_access(settings))
    _print_plans(plans, output, done=False)
    _print_access(grants, output, done=False)
    _print_sum(plans, grants, done=False)
    finish(int(any(plan.action == "refuse" for plan in plans)))


@topics_app.command("apply")
def topics_apply(
    config: Config = None,
    bootstrap_servers: Servers = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    output: Format = Output.TEXT,
) -> None:
    """Create what is missing, and say what was done; refuse topics that do not match, before anything is
    done.

    On a broker with an authorizer also grant each principal what the contract says, and set the passwords of
    `access.passwords_dir`: run it as the broker's admin.

    Example: `gateway topics apply --dry-run`
    """
    from gateway.operate.apply_access import apply_access, plan_access
    from gateway.operate.topics import apply_topics, plan_topics, require_matching

    settings = load(config, bootstrap_servers)
    plans = asyncio.run(plan_topics(settings) if dry_run else apply_topics(settings))
    _print_plans(plans, output, done=not dry_run)
    grants = asyncio.run(plan_access(settings) if dry_run else apply_access(settings))
    _print_access(grants, output, done=not dry_run)
    _print_sum(plans, grants, done=not dry_run)
    require_matching(plans)  # a dry run ends as the real one would


_WORDS = {
    "create": ("would create", "created"),
    "correct": ("would correct", "corrected"),
    "grant": ("would grant", "granted"),
    "unchanged": ("unchanged", "unchanged"),
    "refuse": ("does not match", "does not match"),
    "surplus": ("surplus", "surplus"),
}
"""By the action of a plan: what is said before it is carried out, and after."""
_DOES = ("create", "correct", "grant")


def _print_plans(plans: list[Any], output: Output, *, done: bool) -> None:
    for plan in plans:
        if output is Output.JSON:
            is_done = done and plan.action in _DOES
            write_json({"topic": plan.name, "action": plan.action, "done": is_done, "detail": plan.detail})
        else:
            say(f"{_WORDS[plan.action][done]:14}  {plan.name}  {plan.detail}")


def _print_access(plans: "list[GrantPlan] | None", output: Output, *, done: bool) -> None:
    if plans is None:
        say("this broker has no authorizer: whoever reaches it may read and write everything", err=True)
    for plan in plans or []:
        grant, resource = plan.grant, plan.grant.name + ("*" if plan.grant.prefixed else "")
        if output is Output.JSON:
            line = {"principal": plan.principal, "action": plan.action, "done": done and plan.action in _DOES,
                    "operation": grant.operation, "resource_type": grant.kind.name, "resource": grant.name,
                    "prefixed": grant.prefixed}  # fmt: skip
            write_json(line)
        else:
            kind = grant.kind.name.lower().replace("_", " ")
            say(f"{_WORDS[plan.action][done]:14}  {plan.principal}  {grant.operation.lower()} {kind} {resource}")


def _print_sum(topics: list[Any], grants: "list[GrantPlan] | None", *, done: bool) -> None:
    """Say on stderr how much was done, or would be."""
    actions = Counter(plan.action for plan in (*topics, *(grants or ())))
    parts = [
        f"{count_of(actions[action], noun)} {_WORDS[action][1]}"
        for action, noun in (("create", "topic"), ("correct", "topic"), ("grant", "ACL"))
        if actions[action]
    ]
    if not parts:
        say(
            "nothing to do: topics and ACLs are as they should be" if not actions["refuse"] else "nothing was done",
            err=True,
        )
    elif done:
        say(", ".join(parts), err=True)
    else:
        say(f"nothing was done; `gateway topics apply` would leave {', '.join(parts)}", err=True)


@schema_app.command("export")
def schema_export(folder: _FOLDER = Path("schemas"), config: Config = None, output: Format = Output.TEXT) -> None:
    """Write JSON Schemas, AsyncAPI and examples.

    Example: `gateway schema export schemas`
    """
    from gateway.operate.schemas import export_schemas

    print_paths(export_schemas(folder, recognition(None, config)), output)


@schema_app.command("check")
def schema_check(folder: _FOLDER = Path("schemas"), config: Config = None, output: Format = Output.TEXT) -> None:
    """Exit 1 if a contract file is missing or out of date.

    Example: `gateway schema check schemas`
    """
    from gateway.operate.schemas import DriftError, check_schemas

    list_now = recognition(None, config)
    try:
        number = check_schemas(folder, list_now)
    except DriftError as error:
        if output is Output.JSON:
            write_json({"ok": False, "drifted": error.files})
        raise
    if output is Output.JSON:
        write_json({"ok": True, "drifted": []})
    say(f"{folder}: {count_of(number, 'file')} up to date", err=True)
