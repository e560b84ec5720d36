"""What a check says, and what it is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.adapters.access import Role
from gateway.adapters.settings import Settings


class Status(StrEnum):
    """How a thing stands; ``UNCHECKED`` where it could not be seen, which is no verdict."""

    FINE = "fine"
    PROBLEM = "problem"
    UNCHECKED = "unchecked"

    @property
    def chinese(self) -> str:
        """The same in Chinese."""
        return {"fine": "正常", "problem": "问题", "unchecked": "未查"}[self.value]


class CheckResult(NamedTuple):
    """One line: how ``subject`` stands, in words, and what to do about it (empty where there is nothing to do).

    ``exit_code`` is a problem's: 1, or that of the error which ended the check where any command would end so.
    """

    status: Status
    subject: str
    message: str
    advice: str = ""
    exit_code: int = 1


def fine(subject: str, message: str, advice: str = "") -> CheckResult:
    """``subject`` is as it should be."""
    return CheckResult(Status.FINE, subject, message, advice)


def problem(subject: str, message: str, advice: str, exit_code: int = 1) -> CheckResult:
    """Something is to be done."""
    return CheckResult(Status.PROBLEM, subject, message, advice, exit_code)


def unchecked(subject: str, message: str, advice: str = "") -> CheckResult:
    """Nobody knows."""
    return CheckResult(Status.UNCHECKED, subject, message, advice)


@dataclass(frozen=True, slots=True)
class Account:
    """A principal that the doctor can act as: ``role`` by the contract, None of another (the broker's admin, nobody)."""

    role: Role | None
    settings: Settings

    @property
    def name(self) -> str:
        """What it is called on the broker."""
        return self.settings.kafka.username or "anonymous"


@dataclass(frozen=True, slots=True)
class Installation:
    """The installation that is looked at."""

    settings: Settings

    @property
    def own(self) -> Account:
        """Whom the settings name."""
        access, name = self.settings.access, self.settings.kafka.username
        return Account(next((role for role in Role if access.name_of(role) == name), None), self.settings)

    @property
    def is_secured(self) -> bool:
        """Whether the settings log in at all."""
        return self.settings.kafka.security_protocol.startswith("SASL")

    @property
    def accounts(self) -> list[Account]:
        """All that the doctor has a password for: the settings' own, and those of ``access.passwords_dir``."""
        own, folder = self.own, self.settings.access.passwords_dir
        others = [role for role in Role if role is not own.role] if folder is not None and self.is_secured else []
        readable = [role for role in others if folder and (self.settings.beside_file(folder) / role).is_file()]
        return [own, *(Account(role, self.settings.acting_as(role)) for role in readable)]

    def able(self, *roles: Role) -> Account | None:
        """An account that may do what is for ``roles`` (or for the broker's admin); None where there is no password for one."""
        return next((each for each in self.accounts if each.role is None or each.role in roles), None)


@dataclass(frozen=True, slots=True)
class Check:
    """One subject of the doctor's: ``title`` in English and Chinese; ``needs_broker`` if it is silent without one."""

    name: str
    chinese: str
    look: Callable[[Installation], Awaitable[list[CheckResult]]]
    needs_broker: bool = True
