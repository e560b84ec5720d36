"""What can be checked of the archive: that something writes it, and how far behind the topics it is."""

import math
import os
import time

from gateway.adapters import extras
from gateway.adapters.access import Role
from gateway.adapters.settings import Settings
from gateway.core.times import format_instant
from gateway.core.words import count_of
from gateway.errors import ConfigurationError
from gateway.operate.doctor.result import HIDDEN_ADVICE, CheckResult, Installation, fine, problem, unchecked

_SLACK_S = 3600
"""How much older than ``archive.segment_minutes`` an entry may be before it is asked whether an archiver
runs."""
_START = "see that `gateway archive run` runs, and its log (docs/runbook.md, archive behind)"


async def check_archive(installation: Installation) -> list[CheckResult]:
    """Check how far the archive is that ``archive.place`` names, as far as it can be seen from here."""
    place = installation.settings.archive_place
    if place is None:
        message = "archive.place names none: whether there is one, and how far it is, is not known here"
        advice = "name it where this runs; without one, nothing outlives the topics (docs/archive.md)"
        return [unchecked("place", message, advice)]
    try:
        extras.require("archive", "to look into the archive")
    except ConfigurationError as error:
        return [unchecked("place", str(error))]
    account = installation.able(Role.OPERATOR, Role.GATEWAY)
    if account is None:
        message = f"{installation.own.name} may not read the ledger"
        return [unchecked("lanes", message, "run this as operator or gateway")]
    if _is_no_folder(place):
        message = f"{place} is no folder here: nothing is archived yet, or it lies on another machine"
        return [unchecked("place", message, "run this where `gateway archive run` runs")]
    return await _standing(account.settings, place)


def _is_no_folder(where: str) -> bool:
    return "://" not in where and not os.path.isdir(where)


async def _standing(settings: Settings, where: str) -> list[CheckResult]:
    from gateway.operate.archive.standing import BEHIND, lane_standings, shortest_retention  # noqa: PLC0415
    from gateway.operate.archive.store import open_store  # noqa: PLC0415

    store = open_store(where)
    lanes, kept_s = await lane_standings(settings, store), await shortest_retention(settings)
    newest = max((each.written for each in lanes if each.written is not None), default=None)
    subject, now = store.place, time.time()
    said = f"its newest segment is of {newest}" if newest is not None else "it holds no segment"
    lost = [str(each.lane) for each in lanes if each.has_lost]
    if lost:
        message = f"entries of {', '.join(lost)} were removed from the ledger before they were archived; {said}"
        return [problem(subject, message, "docs/runbook.md, archive lost: the next manifest says which")]
    hidden = [
        problem(
            each, f"an open transaction hides the ledger's end: what waits there is not seen; {said}", HIDDEN_ADVICE
        )
        for each in sorted({each.waits_for for each in lanes if each.waits_for is not None})
    ]
    open_lanes = [(each.open_since / 1000, each.lane) for each in lanes if each.open_since is not None]
    if not open_lanes:
        return hidden or [fine(subject, f"{count_of(len(lanes), 'lane')}, and nothing waits; {said}")]
    since, lane = min(open_lanes)
    age_s, due_s = now - since, settings.archive.segment_minutes * 60
    waits = f"{lane} is not archived since {format_instant(round(since) * 1_000_000)}"
    kept = "for ever" if math.isinf(kept_s) else f"for {kept_s / 3600:.0f} h"
    if age_s > BEHIND * kept_s:
        message = f"{waits}, and the topics keep records {kept}; {said}"
        return [*hidden, problem(subject, message, f"{_START}; until it has caught up, raise topics.retention_hours")]
    if age_s > due_s + _SLACK_S:
        return [*hidden, problem(subject, f"{waits}, and a segment is due after {due_s / 3600:.1f} h; {said}", _START)]
    return hidden or [
        fine(subject, f"{count_of(len(open_lanes), 'lane')} of {len(lanes)} not yet due; {waits}; {said}")
    ]
