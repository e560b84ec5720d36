"""What goes out, as pydantic models: the contract's records, from which ``schemas/`` is exported.

All are CloudEvents 1.0 in structured mode. ``gateway.core.building`` writes them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from gateway.core.decision import Outcome
from gateway.core.event import (
    Date,
    EventId,
    HolderRef,
    Instant,
    MaskedName,
    OptionalText,
    OrganisationCode,
    RegionCode,
    TypeCode,
)
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import Finding

VERIFIED_TYPE = "cn.chuanyu.certificate.verified.v1"
REJECTED_TYPE = "cn.chuanyu.certificate.rejected.v1"
DEADLETTER_TYPE = "cn.chuanyu.gateway.deadletter.v1"
LEDGER_TYPE = "cn.chuanyu.gateway.ledger.v1"
CASE_TYPE = "cn.chuanyu.feedback.case.v1"
DIGEST_TYPE = "cn.chuanyu.feedback.digest.v1"
GATEWAY_SOURCE = "urn:chuanyu:gateway"

Digest = Annotated[str, StringConstraints(pattern=r"^(sha256|sm3):[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", title=None)


def _may_be_absent(schema: dict[str, Any]) -> None:
    """An attribute that is left out, and never null."""
    del schema["default"]


class _CloudEvent(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | bool | int]

    specversion: Literal["1.0"]
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] = Field(description="From the decision's digest.")
    source: Literal["urn:chuanyu:gateway"]
    time: Instant = Field(description="When the input record was received: the broker's timestamp.")
    datacontenttype: Literal["application/json"]
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")] | SkipJsonSchema[None] = Field(
        None, description="The gateway's, over id, source, time and data (docs/signing.md), where it signs.",
        json_schema_extra=_may_be_absent,
    )  # fmt: skip
    signaturekey: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | SkipJsonSchema[None] = Field(
        None, description="The id of the key that made it.", json_schema_extra=_may_be_absent
    )


class EventRef(_Part):
    """Which event a record is about. ``time`` is null where it could not be read."""

    id: EventId
    source: str
    time: Instant | None


class DecisionRef(_Part):
    """What proves the decision again: input, content, list and engine (see ``gateway.core.decision``)."""

    received: Instant
    engine_version: str
    input_digest: Digest = Field(description="Over the input record's bytes.")
    content_digest: Digest = Field(description="Over the event in canonical form without trace context.")
    digest: Digest = Field(description="Over input digest, list digest, engine version, outcome and reasons.")


class ListRef(_Part):
    """The row that let the event through, and the digest of the list in force when it was shown."""

    batch: int
    row: int
    digest: Digest


class VerifiedCertificate(_Part):
    """The certificate, with the list's own names."""

    type_name: str
    type_code: TypeCode | None
    identifier: str | None
    issuer_name: str
    issuer_code: OrganisationCode | None
    valid_from: Date | None
    valid_until: Date | None


class VerifiedHolder(_Part):
    """The holder, as pseudonymous as the event had it."""

    kind: Literal["person", "organisation"]
    ref: HolderRef
    name_masked: MaskedName | None


class ScenarioRef(_Part):
    """A scenario of the list."""

    code: str
    text: str


class VerifiedDisplay(_Part):
    """Where and to whom it was shown, with the list's own channel and scenario."""

    channel: str
    scenario: ScenarioRef
    matter_name: OptionalText
    matter_code: OptionalText
    region_code: RegionCode
    verifier_name: OptionalText
    verifier_code: OptionalText


class VerificationData(_Part):
    """A verification record's ``data``."""

    event: EventRef
    list: ListRef
    certificate: VerifiedCertificate
    holder: VerifiedHolder
    display: VerifiedDisplay
    decision: DecisionRef


class VerificationRecord(_CloudEvent):
    """Sent to the other province: this certificate was shown there and is recognised."""

    type: Literal["cn.chuanyu.certificate.verified.v1"]
    data: VerificationData


class Message(_Part):
    """A sentence for people, in Chinese and English."""

    zh: str
    en: str


class ReasonItem(_Part):
    """One reason: what is wrong, with which field, what was found if it is not personal, what would have been accepted."""

    code: Code
    field: str
    found: str | None
    accepted: list[str]
    message: Message


class DimensionItem(_Part):
    """One of the five list checks."""

    dimension: Literal["certificate", "issuer", "channel", "scenario", "scope"]
    field: str
    found: str | None
    accepted: list[str]
    result: Finding


class NearestRow(_Part):
    """The row that lists the certificate or comes closest to it, and the event held against it."""

    batch: int
    row: int
    certificate: str | None
    listed: bool = Field(description="Whether this row lists the certificate; false: it is only similar.")
    in_effect: bool
    checks: Annotated[list[DimensionItem], Field(min_length=5, max_length=5)]


class RejectionData(_Part):
    """A rejection's ``data``."""

    event: EventRef
    input_digest: Digest
    reasons: Annotated[list[ReasonItem], Field(min_length=1)]
    nearest_row: NearestRow | None
    responsible_units: Annotated[list[str], Field(min_length=1)]
    decision: DecisionRef
    list_digest: Digest | None


class RejectionRecord(_CloudEvent):
    """Sent back to the province that published: why its event was not forwarded."""

    type: Literal["cn.chuanyu.certificate.rejected.v1"]
    data: RejectionData


class Origin(_Part):
    """Where an input record stands in Kafka."""

    topic: str
    partition: int
    offset: int


class ErrorItem(_Part):
    """Why bytes could not be attributed to an event."""

    code: Literal["TOO_LARGE", "NOT_UTF8", "NOT_JSON", "NOT_A_CLOUDEVENT", "REFUSED_BY_BROKER", "UNDECIDABLE"]
    message: str


class DeadLetterData(_Part):
    """A dead letter's ``data``. ``bytes_base64`` is null where the bytes are withheld: ``withheld`` says why."""

    origin: Origin
    error: ErrorItem
    size: int = Field(description="Bytes of the input record's value.")
    input_digest: Digest
    bytes_base64: str | None
    withheld: Literal["personal data", "too large"] | None
    received: Instant
    digest: Digest


class DeadLetter(_CloudEvent):
    """For operators: bytes that no event could be read from, or whose record the broker would not take."""

    type: Literal["cn.chuanyu.gateway.deadletter.v1"]
    data: DeadLetterData


class CountItem(_Part):
    """How many input records of a transaction are alike in all of these; what does not apply is null."""

    outcome: Outcome
    row: int | None
    channel: str | None
    scenario: str | None
    region: str | None
    reason: Code | None = Field(description="The primary reason.")
    count: Annotated[int, Field(ge=1)]


class LedgerData(_Part):
    """A ledger entry's ``data``: what became of each input offset of one transaction."""

    province: Province
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int = Field(description="Input records decided; offsets in between that hold none are gaps of the log.")
    counts: list[CountItem]
    outputs: int = Field(description="Records written by this transaction, this entry left out.")
    outputs_digest: Digest = Field(description="Over topic, key, headers and value of every output, in order.")
    list_digest: Digest
    engine_version: str
    previous: Digest | None = Field(description="Digest of the lane's previous entry; null for its first.")
    redriven: list[int] | None = Field(
        None, description="Input offsets put through again by `gateway redrive`; null for a lane's own turn."
    )


class LedgerEntry(_CloudEvent):
    """One entry a transaction, written in it: the lane's account, chained by digest."""

    type: Literal["cn.chuanyu.gateway.ledger.v1"]
    data: LedgerData


CaseId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class CaseSummary(_Part):
    """Which problem a case is about: reason, row of the list, field, and the value at fault where it is one of values."""

    id: CaseId
    province: Province | None = Field(description="Whose events have it; null where that is not known.")
    code: str = Field(description="A reason code, or a dead letter's error code.")
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
    examples: Annotated[list[str], Field(max_length=5)] = Field(
        description="Event ids, newest first; of dead letters `topic/partition/offset`."
    )


class StatusItem(_Part):
    """Where a case stands: 待处理 → 已反馈 → 已复核."""

    code: Literal["pending", "fed_back", "verified"]
    zh: Literal["待处理", "已反馈", "已复核"]


class CaseData(_Part):
    """A case message's ``data``."""

    case: CaseItem
    change: Literal["opened", "reopened", "marked"]
    status: StatusItem
    by: str | None = Field(description="Who marked it.")
    note: str | None


class CaseRecord(_CloudEvent):
    """For the departments' systems: a problem is new, is back, or was marked. Keyed by the case's id."""

    type: Literal["cn.chuanyu.feedback.case.v1"]
    data: CaseData


class DigestCase(CaseSummary):
    """A case that has grown."""

    count: Annotated[int, Field(ge=1)]
    added: Annotated[int, Field(ge=1)] = Field(description="Since the last message about it.")


class DigestData(_Part):
    """A digest's ``data``: what has come to a unit's cases since the last message about each."""

    unit: str
    since: Instant | None = Field(description="When this unit's last digest was; null for its first.")
    added: Annotated[int, Field(ge=1)]
    cases: list[DigestCase]
    more_cases: int


class DigestRecord(_CloudEvent):
    """For the departments' systems: how known problems have grown, in one message instead of one an event."""

    type: Literal["cn.chuanyu.feedback.digest.v1"]
    data: DigestData
