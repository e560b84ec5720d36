"""The rejection: sent back to the province that published, it says why its event was not forwarded, and who
can put it right."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from gateway.contract.envelope import (
    DecisionRef,
    Digest,
    EventRef,
    Message,
    Part,
    SentDecision,
    SentEnvelope,
    SentEvent,
    build_decision_ref,
    build_record,
    encode,
    record_id,
)
from gateway.core.decision import Reject
from gateway.core.reasons import Code, Reason
from gateway.core.recognition import Dimension, Listed, Listing, Match

REJECTED_TYPE = "cn.chuanyu.certificate.rejected.v1"
NEAREST_ROW = b'"nearest_row":'
"""What stands before it in a rejection."""


class ReasonItem(Part):
    """One reason: what is wrong, with which field, what was found if it is not personal, what would have
    been accepted."""

    code: Code
    field: str
    found: str | None
    accepted: list[str]
    message: Message
    responsible_units: Annotated[list[str], Field(min_length=1)] = Field(description="Who can put this one right.")


class DimensionItem(Part):
    """One of the five list checks."""

    dimension: Literal["certificate", "issuer", "channel", "scenario", "scope"]
    field: str
    found: str | None
    accepted: list[str]
    result: Match


class NearestRow(Part):
    """The row that lists the certificate or comes closest to it, and the event compared with it."""

    batch: int
    row: int
    certificate: str | None
    listed: bool = Field(description="Whether this row lists the certificate; false: it is only similar.")
    in_effect: bool
    checks: Annotated[list[DimensionItem], Field(min_length=5, max_length=5)]


class RejectionData(Part):
    """A rejection's ``data``."""

    event: EventRef
    input_digest: Digest
    reasons: Annotated[list[ReasonItem], Field(min_length=1)]
    nearest_row: NearestRow | None
    responsible_units: Annotated[list[str], Field(min_length=1)] = Field(
        description="Those of all reasons, the primary one's first."
    )
    decision: DecisionRef
    list_digest: Digest | None


class RejectionRecord(SentEnvelope):
    """Sent back to the province that published: why its event was not forwarded."""

    type: Literal["cn.chuanyu.certificate.rejected.v1"]
    data: RejectionData


def build_rejection(decision: Reject) -> bytes:
    """Build the rejection of a decision to reject, as JSON; the same decision gives the same bytes."""
    reading = decision.reading
    proof = build_decision_ref(decision, reading.content_digest)
    data = {
        "event": SentEvent(reading.id, reading.source, reading.time),
        "input_digest": decision.input_digest,
        "reasons": [_reason(reason) for reason in decision.reasons],
        "nearest_row": msgspec.Raw(encode_nearest_row(decision.listing)),
        "responsible_units": decision.units,
        "decision": proof,
        "list_digest": decision.list_digest,
    }
    return build_record(REJECTED_TYPE, record_id(decision.digest), proof.received, data, reading.carried)


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code.value,
        "field": reason.field,
        "found": reason.found,
        "accepted": reason.accepted,
        "message": {"zh": reason.zh, "en": reason.en},
        "responsible_units": reason.units,
    }


def encode_nearest_row(listing: Listing | None) -> bytes:
    """Encode the row that lists the certificate or comes closest, and the event compared with it, as it
    stands behind ``NEAREST_ROW``."""
    nearest: Any = listing if isinstance(listing, Listed) else listing and listing.nearest
    if listing is None or nearest is None:
        return b"null"
    batch, row = nearest.row.ref
    return encode(
        {
            "batch": batch,
            "row": row,
            "certificate": nearest.row.certificate,
            "listed": isinstance(listing, Listed),
            "in_effect": isinstance(listing, Listed) and listing.in_effect,
            "checks": [_dimension(each) for each in nearest.comparison.all],
        }
    )


def _dimension(dimension: Dimension) -> dict[str, Any]:
    return {
        "dimension": dimension.name,
        "field": dimension.field,
        "found": dimension.found,
        "accepted": dimension.accepted,
        "result": dimension.match.value,
    }


class SentMessage(msgspec.Struct, frozen=True):
    """``Message``, read back."""

    zh: str
    en: str


class SentReason(msgspec.Struct, frozen=True):
    """``ReasonItem``, read back."""

    code: Code
    field: str
    found: str | None
    accepted: tuple[str, ...]
    message: SentMessage
    responsible_units: tuple[str, ...]


class SentNearestRow(msgspec.Struct, frozen=True):
    """Of ``NearestRow``, what the gateway itself reads again."""

    batch: int
    row: int
    certificate: str | None
    listed: bool
    in_effect: bool


class SentRejectionData(msgspec.Struct, frozen=True):
    """``RejectionData``, read back."""

    event: SentEvent
    reasons: tuple[SentReason, ...]
    nearest_row: SentNearestRow | None
    responsible_units: tuple[str, ...]
    decision: SentDecision
    list_digest: str | None


class SentRejection(msgspec.Struct, frozen=True):
    """A rejection, read back."""

    type: Literal["cn.chuanyu.certificate.rejected.v1"]
    data: SentRejectionData


_decode = msgspec.json.Decoder(SentRejection).decode


def read_rejection(value: bytes | None) -> SentRejection | None:
    """Read a rejection back; None if ``value`` is not one of ours."""
    try:
        return _decode(value or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
