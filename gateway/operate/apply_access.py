"""``gateway topics``, its second half: who may use the topics. Passwords and grants of the principals."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gateway.adapters import kafka
from gateway.adapters.access import Grant, Role, needed_grants
from gateway.adapters.kafka_admin import AccessAdmin, read_passwords
from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError, GatewayError

_IN_FORCE_TIMEOUT_S = 30
_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class GrantPlan:
    """What becomes of one grant: ``grant`` it, leave it ``unchanged``, or it is ``surplus``: there, and not
    asked for."""

    grant: Grant
    principal: str
    action: Literal["grant", "unchanged", "surplus"]


async def plan_access(settings: Settings) -> list[GrantPlan] | None:
    """Compare the broker's grants with the contract's; None where the broker has no authorizer. Raises
    GatewayError."""
    found = await asyncio.to_thread(_find, settings)
    if found is None:
        return None
    needed = needed_grants(settings)
    surplus = sorted(each for each in found - set(needed) if any(_covers(each, resource) for resource in needed))
    name_of = settings.access.name_of
    return [
        *(GrantPlan(each, name_of(each.role), "unchanged" if each in found else "grant") for each in needed),
        *(GrantPlan(each, name_of(each.role), "surplus") for each in surplus),
    ]


async def apply_access(settings: Settings) -> list[GrantPlan] | None:
    """Carry the plan out: set the passwords of ``access.passwords_dir``, and grant what is missing. Returns
    the plan.

    Surplus grants stay: to take one away is a decision of the broker's admin. Raises GatewayError.
    """
    passwords = read_passwords(settings)
    plans = await plan_access(settings)
    if plans is not None:
        await asyncio.to_thread(_apply, settings, passwords, [plan.grant for plan in plans if plan.action == "grant"])
        await _wait_until_in_force(settings, passwords)
    return plans


def _find(settings: Settings) -> set[Grant] | None:
    admin = AccessAdmin(settings)
    return admin.find_grants() if admin.has_authorizer() else None


def _apply(settings: Settings, passwords: dict[Role, str], missing: list[Grant]) -> None:
    admin = AccessAdmin(settings)
    if passwords:
        admin.set_passwords(passwords)
    admin.add_grants(missing)


async def _wait_until_in_force(settings: Settings, roles: Iterable[Role]) -> None:
    """Wait until the broker has learned passwords and grants from its controller. Raises GatewayError after
    a time."""
    deadline = time.monotonic() + _IN_FORCE_TIMEOUT_S
    while time.monotonic() < deadline:
        is_granted = all(plan.action != "grant" for plan in await plan_access(settings) or ())
        if is_granted and all([await _can_log_in(settings.acting_as(role)) for role in roles]):
            return
        await asyncio.sleep(_RETRY_S)
    raise GatewayError(
        f"the broker has taken passwords and grants, but does not go by them after {_IN_FORCE_TIMEOUT_S} s"
    )


async def _can_log_in(settings: Settings) -> bool:
    try:
        async with kafka.admin(settings):
            return True
    except ConfigurationError:
        return False


def _covers(grant: Grant, resource: Grant) -> bool:
    """Tell whether ``grant`` holds for the resource that ``resource`` is about."""
    if grant.kind is not resource.kind:
        return False
    return grant.name in {resource.name, "*"} or (grant.prefixed and resource.name.startswith(grant.name))
