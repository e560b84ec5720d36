"""The verification record: sent to the other province, it says that a certificate was shown there and is
recognised."""

from typing import Literal

import msgspec

from gateway.contract.display_event.model import (
    Date,
    HolderRef,
    MaskedName,
    OptionalText,
    OrganisationCode,
    RegionCode,
    TypeCode,
)
from gateway.contract.envelope import (
    DecisionRef,
    Digest,
    EventRef,
    Part,
    SentDecision,
    SentEnvelope,
    SentEvent,
    build_decision_ref,
    build_record,
    encode,
    record_id,
)
from gateway.core.decision import Forward
from gateway.core.event import Display
from gateway.core.recognition import Listed

VERIFIED_TYPE = "cn.chuanyu.certificate.verified.v1"


class ListRef(Part):
    """The row that let the event through, and the digest of the list in force when it was shown."""

    batch: int
    row: int
    digest: Digest


class VerifiedCertificate(Part):
    """The certificate, with the list's own names."""

    type_name: str
    type_code: TypeCode | None
    identifier: str | None
    issuer_name: str
    issuer_code: OrganisationCode | None
    valid_from: Date | None
    valid_until: Date | None


class VerifiedHolder(Part):
    """The holder, as pseudonymous as the event had it."""

    kind: Literal["person", "organisation"]
    ref: HolderRef
    name_masked: MaskedName | None


class ScenarioRef(Part):
    """A scenario of the list."""

    code: str
    text: str


class VerifiedDisplay(Part):
    """Where and to whom it was shown, with the list's own channel and scenario."""

    channel: str
    scenario: ScenarioRef
    matter_name: OptionalText
    matter_code: OptionalText
    region_code: RegionCode
    verifier_name: OptionalText
    verifier_code: OptionalText


class VerificationData(Part):
    """A verification record's ``data``."""

    event: EventRef
    list: ListRef
    certificate: VerifiedCertificate
    holder: VerifiedHolder
    display: VerifiedDisplay
    decision: DecisionRef


class VerificationRecord(SentEnvelope):
    """Sent to the other province: this certificate was shown there and is recognised."""

    type: Literal["cn.chuanyu.certificate.verified.v1"]
    data: VerificationData


class SentListRef(msgspec.Struct, frozen=True, gc=False):
    """``ListRef``, as it is sent and read back."""

    batch: int
    row: int
    digest: str


class SentCertificate(msgspec.Struct, frozen=True, gc=False):
    """``VerifiedCertificate``, as it is sent and read back."""

    type_name: str | None
    type_code: str | None
    identifier: str | None
    issuer_name: str | None
    issuer_code: str | None
    valid_from: str | None
    valid_until: str | None


class SentHolder(msgspec.Struct, frozen=True, gc=False):
    """``VerifiedHolder``, as it is sent and read back."""

    kind: str
    ref: str
    name_masked: str | None


class SentVerificationData(msgspec.Struct, frozen=True, gc=False):
    """``VerificationData``, as it is sent and read back; the gateway itself does not read ``display``
    again."""

    event: SentEvent
    list: SentListRef
    certificate: SentCertificate
    holder: SentHolder
    display: msgspec.Raw
    decision: SentDecision


class SentVerification(msgspec.Struct, frozen=True):
    """A verification record, read back."""

    type: Literal["cn.chuanyu.certificate.verified.v1"]
    data: SentVerificationData


def build_verification(decision: Forward) -> bytes:
    """Build the verification record of a decision to forward, as JSON; the same decision gives the same
    bytes."""
    reading, listing = decision.reading, decision.listing
    event, certificate, holder = reading.event, reading.event.data.certificate, reading.event.data.holder
    batch, row = listing.row.ref
    proof = build_decision_ref(decision, reading.content_digest)
    data = SentVerificationData(
        event=SentEvent(event.id, event.source, event.time),
        list=SentListRef(batch, row, decision.list_digest),
        certificate=SentCertificate(
            type_name=listing.comparison.certificate.canonical,
            type_code=certificate.type_code,
            identifier=certificate.identifier,
            issuer_name=listing.comparison.issuer.canonical,
            issuer_code=certificate.issuer_code,
            valid_from=certificate.valid_from,
            valid_until=certificate.valid_until,
        ),
        holder=SentHolder(holder.kind, holder.ref, holder.name_masked),
        display=_display(listing, event.data.display),
        decision=proof,
    )
    return build_record(VERIFIED_TYPE, record_id(decision.digest), proof.received, data, reading.carried)


def _display(listing: Listed, display: Display) -> msgspec.Raw:
    """Encode where and to whom it was shown, with the list's own channel and scenario."""
    code = listing.comparison.scenario.canonical
    return msgspec.Raw(
        encode(
            {
                "channel": listing.comparison.channel.canonical,
                "scenario": {"code": code, "text": listing.row.scenario_text(code)},
                "matter_name": display.matter_name,
                "matter_code": display.matter_code,
                "region_code": display.region_code,
                "verifier_name": display.verifier_name,
                "verifier_code": display.verifier_code,
            }
        )
    )


_decode = msgspec.json.Decoder(SentVerification).decode


def read_verification(value: bytes | None) -> SentVerification | None:
    """Read a verification record back; None if ``value`` is not one of ours."""
    try:
        return _decode(value or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
