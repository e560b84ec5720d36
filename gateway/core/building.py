"""Builds the bytes of what goes out from what was decided; same decision, same bytes."""

import base64
import re
import unicodedata
from collections.abc import Iterable

from pydantic import ValidationError

from gateway.core.assembly import assemble_rejection, assemble_verification
from gateway.core.content import encode, envelope
from gateway.core.decision import Decision, Outcome
from gateway.core.event import DisplayData, DisplayEvent
from gateway.core.extensions import is_extension
from gateway.core.privacy import holds_personal_number
from gateway.core.reading import Headers
from gateway.core.records import DEADLETTER_TYPE
from gateway.core.strict_json import Document, NotJsonError, read
from gateway.core.times import format_instant

MAX_DEADLETTER_BYTES = 65_536
"""Input bytes that a dead letter holds at the most; longer ones stay where they are, at the origin's offset."""

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def build_record(decision: Decision) -> bytes | None:
    """The verification record or rejection of ``decision``, as JSON; None for a duplicate or a dead letter."""
    if decision.outcome is Outcome.FORWARD:
        return assemble_verification(decision)
    return assemble_rejection(decision) if decision.outcome is Outcome.REJECT else None


def build_dead_letter(
    decision: Decision, raw: bytes, topic: str, partition: int, offset: int, headers: Headers = ()
) -> bytes:
    """The dead letter of ``decision``, with the bytes unless they are too large or may hold what is personal.

    Bytes are never altered: they are there whole, or withheld with the reason. The original stands at its origin.
    """
    code, message = decision.error or ("UNDECIDABLE", "")
    withheld = _withheld(raw)
    return encode(
        envelope(DEADLETTER_TYPE, decision)
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
