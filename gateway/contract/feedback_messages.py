"""Writes the messages to the departments' systems, and reads them back; ``gateway.contract.feedback`` has
their models."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from gateway.contract.envelope import build_record
from gateway.contract.feedback import CASE_TYPE, DIGEST_TYPE
from gateway.core.digest import sha256
from gateway.core.times import format_instant

MAX_DIGEST_CASES = 100


class Status(StrEnum):
    """Where a case stands; ``zh`` is the departments' word."""

    PENDING = "pending"
    FED_BACK = "fed_back"
    VERIFIED = "verified"

    @property
    def zh(self) -> str:
        """The Chinese word."""
        return {"pending": "待处理", "fed_back": "已反馈", "verified": "已复核"}[self.value]


class Change(StrEnum):
    """What a message says of a case."""

    OPENED = "opened"
    REOPENED = "reopened"
    MARKED = "marked"


class SentText(msgspec.Struct, frozen=True):
    """A sentence in Chinese and English."""

    zh: str
    en: str


class SentSummary(msgspec.Struct, frozen=True, kw_only=True):
    """``CaseSummary``, as it is sent and read back."""

    id: str
    province: str | None
    code: str
    batch: int | None
    row: int | None
    field: str
    value: str | None


class SentCase(SentSummary, frozen=True, kw_only=True):
    """``CaseItem``, as it is sent and read back."""

    certificate: str | None
    accepted: tuple[str, ...]
    message: SentText
    responsible_units: tuple[str, ...]
    first_seen: str
    last_seen: str
    count: int
    behind: int = 0
    examples: tuple[str, ...]


class SentStatus(msgspec.Struct, frozen=True):
    """``StatusItem``, as it is sent and read back."""

    code: Status
    zh: str


class SentCaseData(msgspec.Struct, frozen=True):
    """``CaseData``, as it is sent and read back."""

    case: SentCase
    change: Change
    status: SentStatus
    by: str | None
    note: str | None


class SentDigestCase(SentSummary, frozen=True, kw_only=True):
    """``DigestCase``, as it is sent and read back."""

    count: int
    behind: int = 0
    added: int


class SentDigestData(msgspec.Struct, frozen=True):
    """``DigestData``, as it is sent and read back."""

    unit: str
    since: str | None
    added: int
    cases: tuple[SentDigestCase, ...]
    more_cases: int


class SentCaseMessage(msgspec.Struct, frozen=True, tag_field="type", tag=CASE_TYPE):
    """A case message, read back."""

    id: str
    data: SentCaseData


class SentDigestMessage(msgspec.Struct, frozen=True, tag_field="type", tag=DIGEST_TYPE):
    """A digest, read back."""

    id: str
    data: SentDigestData


def build_case_message(
    case: SentCase, change: Change, status: Status, now: int, *, by: str | None = None, note: str | None = None
) -> bytes:
    """Build the message that ``case`` was opened, reopened or marked; ``now`` in milliseconds."""
    data = SentCaseData(case, change, SentStatus(status, status.zh), by, note)
    identity = _message_id(CASE_TYPE, case.id, change, status, case.count, now)
    return build_record(CASE_TYPE, identity, format_instant(now * 1000), data)


def build_digests(unit: str, cases: Sequence[SentDigestCase], since: int | None, now: int) -> list[bytes]:
    """Build the digests of what has come to ``unit``'s cases: each case is named, and counted, in one of
    them.

    ``since`` is when the unit's last digests went out, and ``now`` when these do; both in milliseconds.
    """
    digests = []
    for first in range(0, len(cases), MAX_DIGEST_CASES):
        named = tuple(cases[first : first + MAX_DIGEST_CASES])
        data = SentDigestData(
            unit,
            None if since is None else format_instant(since * 1000),
            sum(case.added for case in named),
            named,
            len(cases) - first - len(named),
        )
        identity = _message_id(DIGEST_TYPE, unit, since, now, *([first] if first else []))
        digests.append(build_record(DIGEST_TYPE, identity, format_instant(now * 1000), data))
    return digests


def _message_id(*identity: str | int | None) -> str:
    """Make the id of a message: the same message has the same id again."""
    return sha256(msgspec.json.encode(identity)).partition(":")[2][:32]


SentFeedback = SentCaseMessage | SentDigestMessage
"""Either message."""

_decoder: msgspec.json.Decoder[SentFeedback] = msgspec.json.Decoder(SentFeedback)


def read_feedback(value: bytes | None) -> SentFeedback | None:
    """Read a message to the departments' systems back; None if ``value`` is not one of ours."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
