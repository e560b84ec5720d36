"""The checks, one function each, in the order in which they become the primary reason (CONTRACT: reason codes).

A check takes the facts and returns a reason for each thing that is wrong; none is the answer that lets an event through.
All checks are made and all reasons reported. To add one: write the function, put it into ``CHECKS``, add its code
to ``gateway.core.reasons``.
"""

from collections.abc import Callable

import msgspec

from gateway.core.identifier import is_valid_identifier
from gateway.core.plain import Event
from gateway.core.province import SOURCES, Province
from gateway.core.reasons import Code, Reason
from gateway.core.recognition import Dimension, Finding, Listing, Provenance
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


class Facts(msgspec.Struct, frozen=True):
    """All that a check may look at. Instants in microseconds since the epoch; ``shown_on`` is YYYY-MM-DD in UTC+8."""

    event: Event
    province: Province
    shown_at: int
    shown_on: str
    received_at: int
    id_reused: bool
    listing: Listing


Reasons = tuple[Reason, ...]
Check = Callable[[Facts], Reasons]
NONE: Reasons = ()


def source_mismatch(facts: Facts) -> Reasons:
    """``source`` is not the province whose topic the event came on."""
    if SOURCES[facts.event.source] is facts.province:
        return NONE
    return (Reason(Code.SOURCE_MISMATCH, "source", facts.event.source, (facts.province.source,)),)


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


def not_cross_province(facts: Facts) -> Reasons:
    """``region_code`` does not lie in the other province."""
    other, region = facts.province.other, facts.event.data.display.region_code
    if region.startswith(other.region_prefix):
        return NONE
    return (
        Reason(
            Code.NOT_CROSS_PROVINCE, "display.region_code", region, (f"{other.region_prefix}……（{other.chinese}）",)
        ),
    )


def certificate_not_listed(facts: Facts) -> Reasons:
    """No row has this certificate; the nearest row's name is what would have been accepted."""
    if facts.listing.row is not None:
        return NONE
    nearest, found = facts.listing.nearest, facts.event.data.certificate.type_name
    accepted = (nearest.certificate,) if nearest and nearest.certificate else ()
    return (Reason(Code.CERTIFICATE_NOT_LISTED, "certificate.type_name", found, accepted),)


def list_row_unresolved(facts: Facts) -> Reasons:
    """A cell that a check needs is inferred or missing: the row fails closed."""
    row, verdict = facts.listing.row, facts.listing.verdict
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


def issuer_not_recognised(facts: Facts) -> Reasons:
    """The issuer is not the row's."""
    return _mismatch(facts.listing, "issuer", Code.ISSUER_NOT_RECOGNISED)


def channel_not_recognised(facts: Facts) -> Reasons:
    """The channel is not the row's."""
    return _mismatch(facts.listing, "channel", Code.CHANNEL_NOT_RECOGNISED)


def scenario_not_recognised(facts: Facts) -> Reasons:
    """The scenario is not the row's."""
    return _mismatch(facts.listing, "scenario", Code.SCENARIO_NOT_RECOGNISED)


def out_of_pilot_scope(facts: Facts) -> Reasons:
    """The place or the unit is outside the row's scope on the other side."""
    return _mismatch(facts.listing, "scope", Code.OUT_OF_PILOT_SCOPE)


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


CHECKS: tuple[Check, ...] = (
    source_mismatch,
    id_reused,
    future_event,
    stale_event,
    not_cross_province,
    certificate_not_listed,
    list_row_unresolved,
    list_not_in_effect,
    identifier_invalid,
    issuer_not_recognised,
    channel_not_recognised,
    scenario_not_recognised,
    out_of_pilot_scope,
    certificate_not_yet_valid,
    certificate_expired,
)
