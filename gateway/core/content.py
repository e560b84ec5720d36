"""What the outgoing records say, as plain values: the words of the contract, one function a part.

``gateway.core.assembly`` writes the same bytes as ``encode(verification(…))`` and ``encode(rejection(…))``, faster; the
tests hold the two against each other.
"""

from typing import Any

import msgspec

from gateway.core.decision import ENGINE_VERSION, Decision
from gateway.core.plain import Event, Wording
from gateway.core.reading import Reading
from gateway.core.reasons import Reason
from gateway.core.recognition import Dimension, Listing
from gateway.core.records import GATEWAY_SOURCE, REJECTED_TYPE, VERIFIED_TYPE
from gateway.core.times import format_instant

encode = msgspec.json.Encoder().encode


def envelope(event_type: str, decision: Decision) -> dict[str, Any]:
    """The CloudEvents attributes of a record about ``decision``."""
    return {
        "specversion": "1.0",
        "id": record_id(decision),
        "source": GATEWAY_SOURCE,
        "type": event_type,
        "time": format_instant(decision.received_at * 1000),
        "datacontenttype": "application/json",
    }


def record_id(decision: Decision) -> str:
    """The record's id: half of the decision's digest, so that the same decision has the same id again."""
    return decision.digest.partition(":")[2][:32]


def verification(decision: Decision) -> dict[str, Any]:
    """The verification record of a decision to forward."""
    reading, event, wording, listing = parts_of(decision)
    certificate, holder = event.data.certificate, event.data.holder
    names = canonical_names(listing)
    return {
        **envelope(VERIFIED_TYPE, decision),
        **reading.carried,
        "data": {
            "event": {"id": event.id, "source": event.source, "time": event.time},
            "list": list_ref(listing, decision.list_digest),
            "certificate": {
                "type_name": names[0],
                "type_code": certificate.type_code,
                "identifier": certificate.identifier,
                "issuer_name": names[1],
                "issuer_code": certificate.issuer_code,
                "valid_from": certificate.valid_from,
                "valid_until": certificate.valid_until,
            },
            "holder": {"kind": holder.kind, "ref": holder.ref, "name_masked": holder.name_masked},
            "display": canonical_display(listing, wording),
            "decision": decision_ref(decision, reading),
        },
    }


def rejection(decision: Decision) -> dict[str, Any]:
    """The rejection of a decision to reject."""
    reading = decision.reading
    assert reading is not None  # noqa: S101 — only a dead letter has none
    return {
        **envelope(REJECTED_TYPE, decision),
        **reading.carried,
        "data": {
            "event": {
                "id": reading.id,
                "source": reading.source,
                "time": reading.event.time if reading.event else None,
            },
            "input_digest": decision.input_digest,
            "reasons": [reason_item(reason) for reason in decision.reasons],
            "nearest_row": nearest_row(decision.listing),
            "responsible_units": decision.responsible_units,
            "decision": decision_ref(decision, reading),
            "list_digest": decision.list_digest,
        },
    }


def parts_of(decision: Decision) -> tuple[Reading, Event, Wording, Listing]:
    """What a decision to forward surely has."""
    reading, listing = decision.reading, decision.listing
    assert reading is not None and reading.event is not None and reading.wording is not None and listing is not None  # noqa: S101, PT018
    return reading, reading.event, reading.wording, listing


def decision_ref(decision: Decision, reading: Reading) -> dict[str, Any]:
    """What proves the decision again."""
    return {
        "received": format_instant(decision.received_at * 1000),
        "engine_version": ENGINE_VERSION,
        "input_digest": decision.input_digest,
        "content_digest": reading.content_digest,
        "digest": decision.digest,
    }


def list_ref(listing: Listing, list_digest: str | None) -> dict[str, Any]:
    """The row that let the event through."""
    assert listing.row is not None  # noqa: S101 — a forward has one
    return {"batch": listing.row.batch, "row": listing.row.number, "digest": list_digest}


def canonical_names(listing: Listing) -> tuple[str | None, str | None]:
    """The list's own words for certificate and issuer."""
    assert listing.verdict is not None  # noqa: S101 — a forward has passed all five checks
    return listing.verdict.certificate.canonical, listing.verdict.issuer.canonical


def canonical_display(listing: Listing, wording: Wording) -> dict[str, Any]:
    """Where and to whom it was shown, with the list's own channel and scenario."""
    row, verdict, shown = listing.row, listing.verdict, listing.shown
    assert row is not None and verdict is not None  # noqa: S101, PT018 — as above
    scenario = row.scenario(shown.scenario)
    assert scenario is not None  # noqa: S101 — as above
    return {
        "channel": verdict.channel.canonical,
        "scenario": {"code": scenario.code, "text": scenario.text},
        "matter_name": wording.matter_name,
        "matter_code": wording.matter_code,
        "region_code": shown.region_code,
        "verifier_name": shown.verifier_name,
        "verifier_code": wording.verifier_code,
    }


def reason_item(reason: Reason) -> dict[str, Any]:
    """One reason, with what was found if it is not personal and what would have been accepted."""
    return {
        "code": reason.code.value,
        "field": reason.field,
        "found": reason.found,
        "accepted": reason.accepted,
        "message": {"zh": reason.zh, "en": reason.en},
    }


def nearest_row(listing: Listing | None) -> dict[str, Any] | None:
    """The row that lists the certificate or comes closest, and the five checks against it."""
    if listing is None or listing.nearest is None or listing.verdict is None:
        return None
    return {
        "batch": listing.nearest.batch,
        "row": listing.nearest.number,
        "certificate": listing.nearest.certificate,
        "listed": listing.row is not None,
        "in_effect": listing.in_effect,
        "checks": [_dimension(dimension) for dimension in listing.verdict.all],
    }


def _dimension(dimension: Dimension) -> dict[str, Any]:
    return {
        "dimension": dimension.name,
        "field": dimension.field,
        "found": dimension.found,
        "accepted": dimension.accepted,
        "result": dimension.finding.value,
    }
