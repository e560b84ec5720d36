"""The checks, one function each, in the order in which they become the primary reason (CONTRACT: reason codes).

A check takes the facts and yields a reason for each thing that is wrong; none is the answer that lets an event through.
All checks are made and all reasons reported. To add one: write the function, put it into ``CHECKS``, add its code
to ``gateway.core.reasons``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.core.event import DisplayEvent
from gateway.core.identifier import is_valid_identifier
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


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a check may look at. Instants in microseconds since the epoch; ``shown_on`` is YYYY-MM-DD in UTC+8."""

    event: DisplayEvent
    province: Province
    shown_at: int
    shown_on: str
    received_at: int
    id_reused: bool
    listing: Listing


Check = Callable[[Facts], Iterator[Reason]]


def source_mismatch(facts: Facts) -> Iterator[Reason]:
    """``source`` is not the province whose topic the event came on."""
    if SOURCES[facts.event.source] is not facts.province:
        yield Reason(Code.SOURCE_MISMATCH, "source", facts.event.source, (facts.province.source,))


def id_reused(facts: Facts) -> Iterator[Reason]:
    """The id was seen before with other content."""
    if facts.id_reused:
        yield Reason(Code.ID_REUSED, "id")


def future_event(facts: Facts) -> Iterator[Reason]:
    """``time`` is later than received by more than 5 minutes."""
    if facts.shown_at > facts.received_at + FUTURE_TOLERANCE:
        yield Reason(Code.FUTURE_EVENT, "time", facts.event.time)


def stale_event(facts: Facts) -> Iterator[Reason]:
    """``time`` is earlier than received by more than 72 hours."""
    if facts.shown_at < facts.received_at - STALE_AFTER:
        yield Reason(Code.STALE_EVENT, "time", facts.event.time)


def not_cross_province(facts: Facts) -> Iterator[Reason]:
    """``region_code`` does not lie in the other province."""
    other, region = facts.province.other, facts.event.data.display.region_code
    if not region.startswith(other.region_prefix):
        yield Reason(
            Code.NOT_CROSS_PROVINCE, "display.region_code", region, (f"{other.region_prefix}……（{other.chinese}）",)
        )


def certificate_not_listed(facts: Facts) -> Iterator[Reason]:
    """No row has this certificate; the nearest row's name is what would have been accepted."""
    if facts.listing.row is None:
        nearest = facts.listing.nearest
        accepted = (nearest.certificate,) if nearest and nearest.certificate else ()
        yield Reason(
            Code.CERTIFICATE_NOT_LISTED, "certificate.type_name", facts.event.data.certificate.type_name, accepted
        )


def list_row_unresolved(facts: Facts) -> Iterator[Reason]:
    """A cell that a check needs is inferred or missing: the row fails closed."""
    row, verdict = facts.listing.row, facts.listing.verdict
    if row is None or verdict is None:
        return
    for dimension in verdict.all:
        if dimension.finding is Finding.UNRESOLVED:
            column = _CELLS_ZH[dimension.cell.partition(".")[0]]
            missing = dimension.provenance is Provenance.MISSING
            yield Reason(
                Code.LIST_ROW_UNRESOLVED,
                dimension.field,
                dimension.found,
                detail=(
                    f"第{row.number}行“{column}”{'缺失' if missing else '系推断'}",
                    f"row {row.number}, cell {dimension.cell}, {dimension.provenance.value}",
                ),
            )


def list_not_in_effect(facts: Facts) -> Iterator[Reason]:
    """The certificate is listed, but not yet or no longer when it was shown."""
    if facts.listing.row is not None and not facts.listing.in_effect:
        yield Reason(Code.LIST_NOT_IN_EFFECT, "time", facts.event.time)


def identifier_invalid(facts: Facts) -> Iterator[Reason]:
    """The identifier is malformed or its check character is wrong; it names a holder's certificate, so it is not repeated."""
    identifier = facts.event.data.certificate.identifier
    if identifier is not None and not is_valid_identifier(identifier):
        yield Reason(Code.IDENTIFIER_INVALID, "certificate.identifier")


def issuer_not_recognised(facts: Facts) -> Iterator[Reason]:
    """The issuer is not the row's."""
    if facts.listing.row and facts.listing.verdict:
        yield from _mismatch(facts.listing.verdict.issuer, Code.ISSUER_NOT_RECOGNISED)


def channel_not_recognised(facts: Facts) -> Iterator[Reason]:
    """The channel is not the row's."""
    if facts.listing.row and facts.listing.verdict:
        yield from _mismatch(facts.listing.verdict.channel, Code.CHANNEL_NOT_RECOGNISED)


def scenario_not_recognised(facts: Facts) -> Iterator[Reason]:
    """The scenario is not the row's."""
    if facts.listing.row and facts.listing.verdict:
        yield from _mismatch(facts.listing.verdict.scenario, Code.SCENARIO_NOT_RECOGNISED)


def out_of_pilot_scope(facts: Facts) -> Iterator[Reason]:
    """The place or the unit is outside the row's scope on the other side."""
    if facts.listing.row and facts.listing.verdict:
        yield from _mismatch(facts.listing.verdict.scope, Code.OUT_OF_PILOT_SCOPE)


def certificate_not_yet_valid(facts: Facts) -> Iterator[Reason]:
    """Shown before ``valid_from``, a day that counts in itself."""
    first = facts.event.data.certificate.valid_from
    if first is not None and facts.shown_on < first:
        yield Reason(Code.CERTIFICATE_NOT_YET_VALID, "certificate.valid_from", first)


def certificate_expired(facts: Facts) -> Iterator[Reason]:
    """Shown after ``valid_until``, a day that counts in itself."""
    last = facts.event.data.certificate.valid_until
    if last is not None and facts.shown_on > last:
        yield Reason(Code.CERTIFICATE_EXPIRED, "certificate.valid_until", last)


def _mismatch(dimension: Dimension, code: Code) -> Iterator[Reason]:
    if dimension.finding is Finding.MISMATCH:
        yield Reason(code, dimension.field, dimension.found, dimension.accepted)


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
