"""The dead letter: for operators, the bytes of a record that no event could be read from, or whose output
the broker refused."""

import base64
import re
import unicodedata
from collections.abc import Iterable
from typing import Literal
from urllib.parse import unquote_to_bytes

import msgspec
from pydantic import Field, ValidationError

from gateway.contract.display_event.extensions import problem_of
from gateway.contract.display_event.model import DisplayData, DisplayEvent, Instant
from gateway.contract.envelope import Digest, Part, SentEnvelope, build_record, record_id
from gateway.contract.headers import Origin
from gateway.contract.strict_json import Document, NotJsonError, read
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import DeadLetter
from gateway.core.privacy import holds_personal_number

DEADLETTER_TYPE = "cn.chuanyu.gateway.deadletter.v1"
MAX_DEADLETTER_BYTES = 65_536
"""Input bytes that a dead letter holds at the most; longer ones stay where they are, at the origin's
offset."""

# A text may have been escaped more than once, as JSON within JSON is: then several backslashes stand before
# the letter.
_ESCAPE = re.compile(r'(?<!\\)\\++(?:u([0-9a-fA-F]{4})|["/bfnrt])')


class OriginItem(Part):
    """Where an input record stands in Kafka."""

    topic: str
    partition: int
    offset: int


class ErrorItem(Part):
    """Why bytes could not be attributed to an event."""

    code: DeadLetterCode
    message: str


class DeadLetterData(Part):
    """A dead letter's ``data``. ``bytes_base64`` is null where the bytes are withheld: ``withheld`` says
    why."""

    origin: OriginItem
    error: ErrorItem
    size: int = Field(description="Bytes of the input record's value; of an unreadable record, of what there is of it.")
    input_digest: Digest
    bytes_base64: str | None
    withheld: Literal["personal data", "too large", "unreadable"] | None
    received: Instant
    digest: Digest


class DeadLetterRecord(SentEnvelope):
    """For operators: bytes that no event could be read from, or whose record the broker would not take."""

    type: Literal["cn.chuanyu.gateway.deadletter.v1"]
    data: DeadLetterData


def build_dead_letter(decision: DeadLetter, raw: bytes, origin: Origin) -> bytes:
    """Build the dead letter of ``decision``, with the bytes unless they are too large or may hold what is
    personal.

    Bytes are never altered: they are there whole, or withheld with the reason. The original stands at its
    origin. Of a record that cannot be read nobody knows what is in it: its bytes are withheld.
    """
    withheld = "unreadable" if decision.code is DeadLetterCode.UNREADABLE_RECORD else _withheld(raw)
    data = {
        "origin": {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset},
        "error": {"code": decision.code.value, "message": decision.message},
        "size": len(raw) if decision.size is None else decision.size,
        "input_digest": decision.input_digest,
        "bytes_base64": None if withheld else base64.b64encode(raw).decode(),
        "withheld": withheld,
        "received": decision.received,
        "digest": decision.digest,
    }
    return build_record(DEADLETTER_TYPE, record_id(decision.digest), decision.received, data)


def _withheld(raw: bytes) -> str | None:
    """Say why the bytes may not leave; None where they may."""
    if len(raw) > MAX_DEADLETTER_BYTES:
        return "too large"
    texts = list(_readings_of(raw))
    try:
        may_name = _may_hold_a_name(read(raw))
    except NotJsonError:
        # No field to say what a word is: where there are Chinese (Yi, Tibetan …) letters there may be a
        # person's name. What stands in Base64 cannot be searched at all.
        may_name = any(_has_letters(text) or "data_base64" in text for text in texts)
    # What a person could read out of the bytes must not leave: UTF-16, GB 18030 and escaped digits count
    # too.
    digits = (*texts, raw.replace(b"\0", b"").decode("latin-1"))
    return "personal data" if may_name or any(holds_personal_number(text) for text in digits) else None


def _may_hold_a_name(document: Document) -> bool:
    """Tell whether this is more than an event of the contract without id or source: what else stands there
    could be a name."""
    value = document.value
    if document.flaws:  # the first of two equal keys is still in the bytes
        return True
    if not isinstance(value, dict):
        return isinstance(value, str | list)
    if not all(
        isinstance(member, str | bool | int | None)
        if name in DisplayEvent.model_fields
        else problem_of(name, member) is None
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
    """Read ``raw`` in every way in which whoever opens it may read it."""
    unquoted = unquote_to_bytes(raw)  # a form's body
    for content in (raw,) if unquoted == raw else (raw, unquoted):
        for text in _decodings_of(content):
            yield text
            if "\\" in text:
                yield _ESCAPE.sub(_unescaped, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _decodings_of(raw: bytes) -> Iterable[str]:
    text = raw.decode("utf-8", "replace")
    yield text
    if "\ufffd" in text:
        yield raw.decode("gb18030", "replace")
    if b"\0" in raw or raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield raw.decode("utf-16-le", "replace")
        yield raw.decode("utf-16-be", "replace")


def _unescaped(escape: re.Match[str]) -> str:
    """Return what a JSON escape stands for; a blank for the short ones, of which none is a letter or a
    digit."""
    return chr(int(escape[1], 16)) if escape[1] else " "


def _has_letters(text: str) -> bool:
    """Tell whether there is a letter of a script without case in it."""
    return not text.isascii() and any(unicodedata.category(character) == "Lo" for character in text)


class SentOrigin(msgspec.Struct, frozen=True):
    """``OriginItem``, read back."""

    topic: str
    partition: int
    offset: int


class SentError(msgspec.Struct, frozen=True):
    """``ErrorItem``, read back."""

    code: DeadLetterCode
    message: str


class SentDeadLetterData(msgspec.Struct, frozen=True):
    """Of ``DeadLetterData``, what the gateway itself reads again."""

    origin: SentOrigin
    error: SentError
    size: int
    input_digest: str
    withheld: str | None
    received: str


class SentDeadLetter(msgspec.Struct, frozen=True):
    """A dead letter, read back."""

    type: Literal["cn.chuanyu.gateway.deadletter.v1"]
    data: SentDeadLetterData


_decode = msgspec.json.Decoder(SentDeadLetter).decode


def read_dead_letter(value: bytes | None) -> SentDeadLetter | None:
    """Read a dead letter back; None if ``value`` is not one of ours."""
    try:
        return _decode(value or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
