"""What a check says, and what it is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.adapters.access import Role
from gateway.adapters.settings import Settings


class CheckStatus(StrEnum):
    """How a thing stands, the worst first.

    ``NOTICE`` is nothing wrong, and something to do or to know; ``UNCHECKED``, what could not be seen, is no
    verdict.
    """

    PROBLEM = "problem"
    NOTICE = "notice"
    UNCHECKED = "unchecked"
    FINE = "fine"

    @property
    def chinese(self) -> str:
        """The same in Chinese."""
        return {"fine": "正常", "notice": "提示", "problem": "问题", "unchecked": "未查"}[self.value]


HIDDEN_ADVICE = (
    "`gateway doctor` (topic ends) says whose transaction it is, and once it is silent for a minute how to end it; that of a "
    "worker that was killed ends by itself. Then run this again"
)
"""What to do where an open transaction hides what is looked for."""


class CheckResult(NamedTuple):
    """One line: how ``subject`` stands, in words, and what to do about it (empty where there is nothing to
    do).

    ``exit_code`` is a problem's: 1, or that of the error which ended the check where any command would end
    so.
    """

    status: CheckStatus
    subject: str
    message: str
    advice: str = ""
    exit_code: int = 1


def fine(subject: str, message: str) -> CheckResult:
    """Return that ``subject`` is as it should be."""
    return CheckResult(CheckStatus.FINE, subject, message)


def notice(subject: str, message: str, advice: str) -> CheckResult:
    """Return that ``subject`` is not wrong, and what to do about it all the same."""
    return CheckResult(CheckStatus.NOTICE, subject, message, advice)


def problem(subject: str, message: str, advice: str, exit_code: int = 1) -> CheckResult:
    """Return a problem with ``subject``, and what to do about it."""
    return CheckResult(CheckStatus.PROBLEM, subject, message, advice, exit_code)


def unchecked(subject: str, message: str, advice: str = "") -> CheckResult:
    """Return that ``subject`` could not be checked."""
    return CheckResult(CheckStatus.UNCHECKED, subject, message, advice)


@dataclass(frozen=True, slots=True)
class Account:
    """A principal that the doctor can act as: ``role`` by the contract, None of another (the broker's admin,
    nobody)."""

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
        """All that the doctor has a password for: the settings' own, and those of
        ``access.passwords_dir``."""
        own, folder = self.own, self.settings.access.passwords_dir
        others = [role for role in Role if role is not own.role] if folder is not None and self.is_secured else []
        readable = [role for role in others if folder and (self.settings.beside_file(folder) / role).is_file()]
        return [own, *(Account(role, self.settings.acting_as(role)) for role in readable)]

    def able(self, *roles: Role) -> Account | None:
        """Return an account that may do what ``roles`` (or the broker's admin) may; None where there is no
        password for one."""
        return next((each for each in self.accounts if each.role is None or each.role in roles), None)


@dataclass(frozen=True, slots=True)
class Check:
    """One subject of the doctor's: ``title`` in English and Chinese; ``needs_broker`` if it is silent
    without one, ``needs_topics`` if it is while there are none."""

    name: str
    chinese: str
    look: Callable[[Installation], Awaitable[list[CheckResult]]]
    needs_broker: bool = True
    needs_topics: bool = True
