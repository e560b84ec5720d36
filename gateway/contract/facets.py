"""What a ledger entry counts by: outcome, row, channel, scenario, region and primary reason."""

from typing import NamedTuple

from gateway.core.decision import Decision, Duplicate, Forward, Reject
from gateway.core.recognition import Listed, Listing, Match


class Facets(NamedTuple):
    """What an entry counts by; channel and scenario in the list's words, so that their number stays
    bounded."""

    outcome: str
    batch: int | None
    row: int | None
    channel: str | None
    scenario: str | None
    region: str | None
    reason: str | None


def facets_of(decision: Decision) -> Facets:
    """Return the facets of ``decision``; its reason is the primary one."""
    outcome = decision.outcome
    if isinstance(decision, Forward):
        return _facets_of_listing(outcome, decision.listing, None)
    if isinstance(decision, Reject):
        reason = decision.reasons[0].code
        if decision.listing is not None:
            return _facets_of_listing(outcome, decision.listing, reason)
        return Facets(outcome, None, None, None, None, None, reason)
    if isinstance(decision, Duplicate):
        return Facets(outcome, None, None, None, None, decision.reading.event.data.display.region_code, None)
    return Facets(outcome, None, None, None, None, None, None)


def _facets_of_listing(outcome: str, listing: Listing, reason: str | None) -> Facets:
    region = listing.shown.region_code
    if not isinstance(listing, Listed):
        return Facets(outcome, None, None, None, None, region, reason)
    channel, scenario = listing.comparison.channel, listing.comparison.scenario
    return Facets(
        outcome,
        *listing.row.ref,
        channel.canonical if channel.match is Match.MATCH else None,
        scenario.canonical if scenario.match is Match.MATCH else None,
        region,
        reason,
    )
