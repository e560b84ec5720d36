"""The rejections that the page lists: of the newest ones, which the live view holds. Pure; every answer is
bounded."""

from collections.abc import Iterable
from typing import Any

from gateway.core.recognition import RowRef
from gateway.core.times import format_instant
from gateway.feedback.page.case_list import units_named
from gateway.feedback.page.live import KEPT_REJECTIONS, Live


def list_rejections(
    live: Live,
    wanted: dict[str, str],
    row: RowRef | None,
    before: int | None,
    limit: int,
    known_units: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the newest rejections that match ``wanted`` (province, code, unit, place) and ``row``, from
    before ``before``; a unit is meant as in the cases (see ``units_named``).

    ``total`` counts all that match and are held; ``held`` says how many are and how many of them are dead
    letters, since when all are, and how many older ones are held no longer; ``no_such_unit`` tells that the
    unit means none that is known.
    """
    units = {*known_units, *(unit for item in live.rejections for unit in item["units"])}
    named = units_named(units, wanted["unit"]) if "unit" in wanted else None
    matching = [item for item in reversed(live.rejections) if _matches(item, wanted, row, named)]
    found = [item for item in matching if before is None or item["seq"] < before]
    held = {
        "count": len(live.rejections),
        "dead_letters": sum(item["kind"] == "dead_letter" for item in live.rejections),
        "most": KEPT_REJECTIONS,
        "since": format_instant(live.complete_since),
        "dropped": live.seq - len(live.rejections),
    }
    return {
        "items": found[:limit],
        "total": len(matching),
        "held": held,
        "no_such_unit": named is not None and not named,
        "seq": live.seq,
    }


def _matches(item: dict[str, Any], wanted: dict[str, str], row: RowRef | None, units: set[str] | None) -> bool:
    return (
        wanted.get("province", item["province"]) == item["province"]
        and wanted.get("place", item["place"]) == item["place"]
        and (row is None or row == (item["batch"], item["row"]))
        and ("code" not in wanted or wanted["code"] in item["codes"])
        and (units is None or not units.isdisjoint(item["units"]))
    )
