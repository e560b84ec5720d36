"""The checks, one function each, in the order in which they become the primary reason (CONTRACT: reason codes).

A check returns a reason for each thing that is wrong; none is the answer that lets an event through. All checks are made and
all reasons reported. One kind looks at the event; another only at what came of its signature; the third only at what the list
says of it. What the last two find is the same for very many events, and is remembered. To add one: write the function, put it
into ``CHECKS``, add its code to ``gateway.core.reasons``.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from gateway.core.identifier import is_valid_identifier
from gateway.core.plain import Event
from gateway.core.province import SOURCES, Province
from gateway.core.reasons import Code, Reason
from gateway.core.recognition import Dimension, Finding, Listing, Provenance
from gateway.core.signing import Verdict
from gateway.core.times import HOUR, MINUTE

FUTURE_TOLERANCE = 5 * MINUTE
STALE_AFTER = 72 * HOUR

_CELLS_ZH = {
    "certificate": "电子证照名称",
    "issuers": "签发单位",
    "channels": "亮证渠道",
    "scenarios": "应用场景",
    "scope": "试点范围",
}


class Facts(msgspec.Struct, frozen=True, gc=False):
    """All that a check of the event may look at. Instants in microseconds since the epoch; ``shown_on`` a date in UTC+8."""

    event: Event
    province: Province
    shown_at: int
    shown_on: str
    received_at: int
    id_reused: bool
    signature: Verdict
    listing: Listing


Reasons = tuple[Reason, ...]
NONE: Reasons = ()


def source_mismatch(facts: Facts) -> Reasons:
    """``source`` is not the province whose topic the event came on."""
    if SOURCES[facts.event.source] is facts.province:
        return NONE
    return (Reason(Code.SOURCE_MISMATCH, "source", facts.event.source, (facts.province.source,)),)


def signature_missing(signature: Verdict) -> Reasons:
    """The province's events must be signed, and this one is not."""
    return (Reason(Code.SIGNATURE_MISSING, "signature"),) if signature is Verdict.MISSING else NONE


def signature_invalid(signature: Verdict) -> Reasons:
    """The signature is not that of this event by this key."""
    return (Reason(Code.SIGNATURE_INVALID, "signature"),) if signature is Verdict.INVALID else NONE


def signature_key_unknown(signature: Verdict) -> Reasons:
    """No such key of the province was valid when the event was received."""
    return (Reason(Code.SIGNATURE_KEY_UNKNOWN, "signaturekey"),) if signature is Verdict.KEY_UNKNOWN else NONE


def id_reused(facts: Facts) -> Reasons:
    """The id was seen before with other content."""
    return (Reason(Code.ID_REUSED, "id"),) if facts.id_reused else NONE


def future_event(facts: Facts) -> Reasons:
    """``time`` is later than received by more than 5 minutes."""
    if facts.shown_at <= facts.received_at + FUTURE_TOLERANCE:
        return NONE
    return (Reason(Code.FUTURE_EVENT, "time", facts.event.time),)


def stale_event(facts: Facts) -> Reasons:
    """``time`` is earlier than received by more than 72 hours."""
    if facts.shown_at >= facts.received_at - STALE_AFTER:
        return NONE
    return (Reason(Code.STALE_EVENT, "time", facts.event.time),)


def not_cross_province(listing: Listing) -> Reasons:
    """``region_code`` does not lie in the other province."""
    other, region = listing.shown.province.other, listing.shown.region_code
    if region.startswith(other.region_prefix):
        return NONE
    return (
        Reason(
            Code.NOT_CROSS_PROVINCE, "display.region_code", region, (f"{other.region_prefix}……（{other.chinese}）",)
        ),
    )


def certificate_not_listed(listing: Listing) -> Reasons:
    """No row has this certificate; the nearest row's name is what would have been accepted."""
    if listing.row is not None:
        return NONE
    nearest, found = listing.nearest, listing.shown.type_name
    accepted = (nearest.certificate,) if nearest and nearest.certificate else ()
    return (Reason(Code.CERTIFICATE_NOT_LISTED, "certificate.type_name", found, accepted),)


def list_row_unresolved(listing: Listing) -> Reasons:
    """A cell that a check needs is inferred or missing: the row fails closed."""
    row, verdict = listing.row, listing.verdict
    if row is None or verdict is None or verdict.settled:
        return NONE
    return tuple(
        Reason(Code.LIST_ROW_UNRESOLVED, each.field, each.found, detail=_cell_in_words(row.number, each))
        for each in verdict.all
        if each.finding is Finding.UNRESOLVED
    )


def list_not_in_effect(facts: Facts) -> Reasons:
    """The certificate is listed, but not yet or no longer when it was shown."""
    if facts.listing.row is None or facts.listing.in_effect:
        return NONE
    return (Reason(Code.LIST_NOT_IN_EFFECT, "time", facts.event.time),)


def identifier_invalid(facts: Facts) -> Reasons:
    """The identifier is malformed or its check character is wrong; it names a holder's certificate, so it is not repeated."""
    identifier = facts.event.data.certificate.identifier
    if identifier is None or is_valid_identifier(identifier):
        return NONE
    return (Reason(Code.IDENTIFIER_INVALID, "certificate.identifier"),)


def issuer_not_recognised(listing: Listing) -> Reasons:
    """The issuer is not the row's."""
    return _mismatch(listing, "issuer", Code.ISSUER_NOT_RECOGNISED)


def channel_not_recognised(listing: Listing) -> Reasons:
    """The channel is not the row's."""
    return _mismatch(listing, "channel", Code.CHANNEL_NOT_RECOGNISED)


def scenario_not_recognised(listing: Listing) -> Reasons:
    """The scenario is not the row's."""
    return _mismatch(listing, "scenario", Code.SCENARIO_NOT_RECOGNISED)


def out_of_pilot_scope(listing: Listing) -> Reasons:
    """The place or the unit is outside the row's scope on the other side."""
    return _mismatch(listing, "scope", Code.OUT_OF_PILOT_SCOPE)


def certificate_not_yet_valid(facts: Facts) -> Reasons:
    """Shown before ``valid_from``, a day that counts in itself."""
    first = facts.event.data.certificate.valid_from
    if first is None or facts.shown_on >= first:
        return NONE
    return (Reason(Code.CERTIFICATE_NOT_YET_VALID, "certificate.valid_from", first),)


def certificate_expired(facts: Facts) -> Reasons:
    """Shown after ``valid_until``, a day that counts in itself."""
    last = facts.event.data.certificate.valid_until
    if last is None or facts.shown_on <= last:
        return NONE
    return (Reason(Code.CERTIFICATE_EXPIRED, "certificate.valid_until", last),)


def _mismatch(listing: Listing, name: str, code: Code) -> Reasons:
    if listing.row is None or listing.verdict is None or listing.verdict.misses == 0:
        return NONE
    dimension: Dimension = getattr(listing.verdict, name)
    if dimension.finding is not Finding.MISMATCH:
        return NONE
    return (Reason(code, dimension.field, dimension.found, dimension.accepted),)


def _cell_in_words(row: int, dimension: Dimension) -> tuple[str, str]:
    column = _CELLS_ZH[dimension.cell.partition(".")[0]]
    state = "缺失" if dimension.provenance is Provenance.MISSING else "系推断"
    return f"第{row}行“{column}”{state}", f"row {row}, cell {dimension.cell}, {dimension.provenance.value}"


class Check(NamedTuple):
    """A reason code, and the function that finds it: in the event, in its signature's verdict, or in what the list says."""

    code: Code
    in_event: Callable[[Facts], Reasons] | None = None
    in_signature: Callable[[Verdict], Reasons] | None = None
    in_listing: Callable[[Listing], Reasons] | None = None


CHECKS = (
    Check(Code.SOURCE_MISMATCH, in_event=source_mismatch),
    Check(Code.SIGNATURE_MISSING, in_signature=signature_missing),
    Check(Code.SIGNATURE_INVALID, in_signature=signature_invalid),
    Check(Code.SIGNATURE_KEY_UNKNOWN, in_signature=signature_key_unknown),
    Check(Code.ID_REUSED, in_event=id_reused),
    Check(Code.FUTURE_EVENT, in_event=future_event),
    Check(Code.STALE_EVENT, in_event=stale_event),
    Check(Code.NOT_CROSS_PROVINCE, in_listing=not_cross_province),
    Check(Code.CERTIFICATE_NOT_LISTED, in_listing=certificate_not_listed),
    Check(Code.LIST_ROW_UNRESOLVED, in_listing=list_row_unresolved),
    Check(Code.LIST_NOT_IN_EFFECT, in_event=list_not_in_effect),
    Check(Code.IDENTIFIER_INVALID, in_event=identifier_invalid),
    Check(Code.ISSUER_NOT_RECOGNISED, in_listing=issuer_not_recognised),
    Check(Code.CHANNEL_NOT_RECOGNISED, in_listing=channel_not_recognised),
    Check(Code.SCENARIO_NOT_RECOGNISED, in_listing=scenario_not_recognised),
    Check(Code.OUT_OF_PILOT_SCOPE, in_listing=out_of_pilot_scope),
    Check(Code.CERTIFICATE_NOT_YET_VALID, in_event=certificate_not_yet_valid),
    Check(Code.CERTIFICATE_EXPIRED, in_event=certificate_expired),
)

_IN_EVENT = tuple(check.in_event for check in CHECKS if check.in_event)
_IN_SIGNATURE = tuple(check.in_signature for check in CHECKS if check.in_signature)
_IN_LISTING = tuple(check.in_listing for check in CHECKS if check.in_listing)
_RANK = {check.code: rank for rank, check in enumerate(CHECKS)}


def find_reasons(facts: Facts) -> Reasons:
    """What all checks find, in their order."""
    found = _found_in_listing(facts.listing) + _found_in_signature(facts.signature)
    for check in _IN_EVENT:
        if more := check(facts):
            found += more
    return tuple(sorted(found, key=_rank)) if len(found) > 1 else found


def _rank(reason: Reason) -> int:
    return _RANK[reason.code]


@lru_cache(maxsize=len(Verdict))
def _found_in_signature(signature: Verdict) -> Reasons:
    return tuple(reason for check in _IN_SIGNATURE for reason in check(signature))


@lru_cache(maxsize=65_536)
def _found_in_listing(listing: Listing) -> Reasons:
    return tuple(reason for check in _IN_LISTING for reason in check(listing))
