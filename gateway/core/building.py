"""Builds the bytes of what goes out from what was decided; same decision, same bytes."""

import base64
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from pydantic import ValidationError

from gateway.core.decision import ENGINE_VERSION, Decision, Outcome
from gateway.core.event import DisplayData, DisplayEvent
from gateway.core.plain import Event
from gateway.core.privacy import holds_personal_number
from gateway.core.reading import Headers, Reading, is_extension
from gateway.core.recognition import Dimension, Listing
from gateway.core.records import DEADLETTER_TYPE, GATEWAY_SOURCE, REJECTED_TYPE, VERIFIED_TYPE
from gateway.core.strict_json import Document, NotJsonError, read
from gateway.core.times import format_instant

MAX_DEADLETTER_BYTES = 65_536
"""Input bytes that a dead letter holds at the most; longer ones stay where they are, at the origin's offset."""

encode = msgspec.json.Encoder().encode
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def build_record(decision: Decision) -> bytes | None:
    """The verification record or rejection of ``decision``, as JSON; None for a duplicate or a dead letter."""
    if decision.outcome is Outcome.FORWARD:
        return encode(_verification(decision))
    return encode(_rejection(decision)) if decision.outcome is Outcome.REJECT else None


def build_dead_letter(
    decision: Decision, raw: bytes, topic: str, partition: int, offset: int, headers: Headers = ()
) -> bytes:
    """The dead letter of ``decision``, with the bytes unless they are too large or may hold what is personal.

    Bytes are never altered: they are there whole, or withheld with the reason. The original stands at its origin.
    """
    code, message = decision.error or ("UNDECIDABLE", "")
    withheld = _withheld(raw)
    return encode(
        _envelope(DEADLETTER_TYPE, decision)
        | {
            "data": {
                "origin": {"topic": topic, "partition": partition, "offset": offset},
                "error": {"code": code, "message": message},
                "size": len(raw),
                "input_digest": decision.input_digest,
                "bytes_base64": None if withheld else base64.b64encode(raw).decode(),
                "withheld": withheld,
                "received": format_instant(decision.received_at * 1000),
                "digest": decision.digest,
            }
        }
    )


def _withheld(raw: bytes) -> str | None:
    if len(raw) > MAX_DEADLETTER_BYTES:
        return "too large"
    texts = list(_readings_of(raw))
    try:
        may_name = _may_hold_a_name(read(raw))
    except NotJsonError:
        # No field to say what a word is: where there are Chinese (Yi, Tibetan …) letters there may be a person's name.
        may_name = any(_has_letters(text) for text in texts)
    # What a person could read out of the bytes must not leave: UTF-16, GB 18030 and escaped digits count too.
    digits = (*texts, raw.replace(b"\0", b"").decode("latin-1"))
    return "personal data" if may_name or any(holds_personal_number(text) for text in digits) else None


def _may_hold_a_name(document: Document) -> bool:
    """Whether this is more than an event of the contract without id or source: what else stands there could be a name."""
    value = document.value
    if document.flaws:  # the first of two equal keys is still in the bytes
        return True
    if not isinstance(value, dict):
        return isinstance(value, str | list)
    if not all(
        isinstance(member, str | bool | int | None) if name in DisplayEvent.model_fields else is_extension(name, member)
        for name, member in value.items()
        if name != "data"
    ):
        return True
    try:
        DisplayData.model_validate(value.get("data"))
    except ValidationError:
        return True
    return False


def _readings_of(raw: bytes) -> Iterable[str]:
    """``raw`` as whoever opens it may read it."""
    text = raw.decode("utf-8", "replace")
    yield text
    if "\\u" in text:
        yield (
            _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
            .encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
        )
    if "\ufffd" in text:
        yield raw.decode("gb18030", "replace")
    if b"\0" in raw or raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield raw.decode("utf-16-le", "replace")
        yield raw.decode("utf-16-be", "replace")


def _has_letters(text: str) -> bool:
    """Whether there is a letter of a script without case in it."""
    return not text.isascii() and any(unicodedata.category(character) == "Lo" for character in text)


def _envelope(event_type: str, decision: Decision) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": decision.digest.partition(":")[2][:32],
        "source": GATEWAY_SOURCE,
        "type": event_type,
        "time": format_instant(decision.received_at * 1000),
        "datacontenttype": "application/json",
    }


def _decision(decision: Decision, reading: Reading) -> dict[str, Any]:
    return {
        "received": format_instant(decision.received_at * 1000),
        "engine_version": ENGINE_VERSION,
        "input_digest": decision.input_digest,
        "content_digest": reading.content_digest,
        "digest": decision.digest,
    }


def _verification(decision: Decision) -> dict[str, Any]:
    reading, event, listing = _of(decision)
    certificate, display = event.data.certificate, event.data.display
    listed = _listed_parts(
        listing, decision.list_digest, display.matter_name, display.matter_code, display.verifier_code
    )
    return {
        **_envelope(VERIFIED_TYPE, decision),
        **reading.carried,
        "data": {
            "event": {"id": event.id, "source": event.source, "time": event.time},
            "list": listed.list,
            "certificate": {
                "type_name": listed.type_name,
                "type_code": certificate.type_code,
                "identifier": certificate.identifier,
                "issuer_name": listed.issuer_name,
                "issuer_code": certificate.issuer_code,
                "valid_from": certificate.valid_from,
                "valid_until": certificate.valid_until,
            },
            "holder": event.data.holder,
            "display": listed.display,
            "decision": _decision(decision, reading),
        },
    }


class _Listed(NamedTuple):
    list: msgspec.Raw
    type_name: str | None
    issuer_name: str | None
    display: msgspec.Raw


@lru_cache(maxsize=16_384)  # few are distinct: what was shown where, before whom, without the holder
def _listed_parts(
    listing: Listing, list_digest: str | None, matter_name: str | None, matter_code: str | None,
    verifier_code: str | None,
) -> _Listed:  # fmt: skip
    """The parts of a verification record that follow from the listing, as JSON already."""
    row, verdict, shown = listing.row, listing.verdict, listing.shown
    assert row is not None and verdict is not None  # noqa: S101, PT018 — a forward has passed all five checks
    scenario = row.scenario(shown.scenario)
    assert scenario is not None  # noqa: S101 — as above
    display = {
        "channel": verdict.channel.canonical,
        "scenario": {"code": scenario.code, "text": scenario.text},
        "matter_name": matter_name,
        "matter_code": matter_code,
        "region_code": shown.region_code,
        "verifier_name": shown.verifier_name,
        "verifier_code": verifier_code,
    }
    return _Listed(
        msgspec.Raw(encode({"batch": row.batch, "row": row.number, "digest": list_digest})),
        verdict.certificate.canonical,
        verdict.issuer.canonical,
        msgspec.Raw(encode(display)),
    )


def _of(decision: Decision) -> tuple[Reading, Event, Listing]:
    assert decision.reading is not None and decision.event is not None and decision.listing is not None  # noqa: S101, PT018
    return decision.reading, decision.event, decision.listing


def _rejection(decision: Decision) -> dict[str, Any]:
    reading = decision.reading
    assert reading is not None  # noqa: S101 — only a dead letter has none
    return {
        **_envelope(REJECTED_TYPE, decision),
        **reading.carried,
        "data": {
            "event": {
                "id": reading.id,
                "source": reading.source,
                "time": reading.event.time if reading.event else None,
            },
            "input_digest": decision.input_digest,
            "reasons": [
                {
                    "code": reason.code.value,
                    "field": reason.field,
                    "found": reason.found,
                    "accepted": reason.accepted,
                    "message": {"zh": reason.zh, "en": reason.en},
                }
                for reason in decision.reasons
            ],
            "nearest_row": _nearest_row(decision.listing),
            "responsible_units": decision.responsible_units,
            "decision": _decision(decision, reading),
            "list_digest": decision.list_digest,
        },
    }


def _nearest_row(listing: Listing | None) -> dict[str, Any] | None:
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
