"""The messages to the departments' systems: a case that is new, back or marked, and digests of how known
cases have grown."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway.contract.display_event.model import Instant
from gateway.contract.envelope import Message, Part, SentEnvelope
from gateway.core.province import Province

CASE_TYPE = "cn.chuanyu.feedback.case.v1"
DIGEST_TYPE = "cn.chuanyu.feedback.digest.v1"

CaseId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class CaseSummary(Part):
    """Which problem a case is about: reason, row of the list, field, and the value at fault where it is one
    of values."""

    id: CaseId
    province: Province | None = Field(description="Whose events have it; null where that is not known.")
    code: str = Field(description="A reason code, or a dead letter's error code.")
    batch: int | None = Field(description="The list batch of the row.")
    row: int | None
    field: str
    value: str | None


class CaseItem(CaseSummary):
    """A case: all rejections with one problem."""

    certificate: str | None
    accepted: list[str] = Field(description="What the list has there.")
    message: Message
    responsible_units: Annotated[list[str], Field(min_length=1)]
    first_seen: Instant
    last_seen: Instant
    count: Annotated[int, Field(ge=1)]
    behind: int = Field(
        0, ge=0, description="Of `count`: events whose primary reason is another unit's matter, which comes first."
    )
    examples: Annotated[list[str], Field(max_length=5)] = Field(
        description="Event ids, newest first; of dead letters `topic/partition/offset`."
    )


class StatusItem(Part):
    """Where a case stands: 待处理 → 已反馈 → 已复核."""

    code: Literal["pending", "fed_back", "verified"]
    zh: Literal["待处理", "已反馈", "已复核"]


class CaseData(Part):
    """A case message's ``data``."""

    case: CaseItem
    change: Literal["opened", "reopened", "marked"]
    status: StatusItem
    by: str | None = Field(description="Who marked it.")
    note: str | None


class CaseRecord(SentEnvelope):
    """For the departments' systems: a problem is new, is back, or was marked. Keyed by the case's id.

    A problem that occurs only where another unit's matter comes first is not announced until it is its own
    units' too.
    """

    type: Literal["cn.chuanyu.feedback.case.v1"]
    data: CaseData


class DigestCase(CaseSummary):
    """A case that has grown."""

    count: Annotated[int, Field(ge=1)]
    behind: int = Field(
        0, ge=0, description="Of `count`: events whose primary reason is another unit's matter, which comes first."
    )
    added: Annotated[int, Field(ge=1)] = Field(description="Since the last message about it.")


class DigestData(Part):
    """A digest's ``data``: what has come to a unit's cases since the last message about each.

    More cases than one message names are named in further ones of the same time.
    """

    unit: str
    since: Instant | None = Field(description="When this unit's last digest was; null for its first.")
    added: Annotated[int, Field(ge=1)] = Field(
        description="The sum over `cases`: a rejection that has several of them counts in each, and a case in one digest."
    )
    cases: list[DigestCase]
    more_cases: int = Field(description="Cases that the digests after this one name; they are not in `added`.")


class DigestRecord(SentEnvelope):
    """For the departments' systems: how known problems have grown, in one message instead of one per
    event."""

    type: Literal["cn.chuanyu.feedback.digest.v1"]
    data: DigestData
