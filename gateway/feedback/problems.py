"""What a rejection or dead letter says is wrong, one problem per reason: what cases are grouped by. Pure."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from pydantic import BaseModel

from gateway.contract.dead_letter import SentDeadLetter, read_dead_letter
from gateway.contract.display_event.model import OPTIONAL_ATTRIBUTES, Certificate, Display, DisplayEvent, Holder
from gateway.contract.headers import Headers, origin_of
from gateway.contract.rejection import SentRejection, read_rejection
from gateway.core.dead_letter_codes import DeadLetterCode, DeadLetterRecipient
from gateway.core.province import COORDINATING_CENTRES, Province
from gateway.core.reasons import Code, Recipient
from gateway.core.recognition import RowRef
from gateway.core.times import parse_instant
from gateway.core.words import Words

MAX_VALUE = 100
"""Characters of a value at fault that a case keeps."""
MAX_WORDS = 500
"""Characters of any other text that it keeps."""
MAX_ITEMS = 200
"""Units that it keeps, and words of the list."""
_PARTS: dict[str, type[BaseModel]] = {"certificate": Certificate, "holder": Holder, "display": Display}
EVENT_FIELDS = frozenset({
    "event", "key", "signature", "signaturekey", *DisplayEvent.model_fields, *OPTIONAL_ATTRIBUTES, *_PARTS,
    *(f"{part}.{name}" for part, model in _PARTS.items() for name in model.model_fields),
})  # fmt: skip
"""The fields that the contract has, as rejections name them; a sender may write any others."""
WORDS: dict[str, Words] = {code.value: code.entry for code in (*Code, *DeadLetterCode)}
"""What each code means and what its recipient is to do: reason codes, then dead letters' error codes."""


class Problem(msgspec.Struct, frozen=True):
    """What is wrong, and who can put it right. ``code`` is a reason code, or a dead letter's error code.

    ``batch`` and ``row`` name the row of the list, where the problem is one of a row. ``value`` is the value
    at fault, where it is one of values; ``accepted`` are the list's own words.
    """

    province: str | None
    code: str
    batch: int | None
    row: int | None
    certificate: str | None
    field: str
    value: str | None
    accepted: tuple[str, ...]
    zh: str
    en: str
    units: tuple[str, ...]

    @property
    def ref(self) -> RowRef | None:
        """The row of the list; None where the problem is not one of a row."""
        return None if self.batch is None or self.row is None else RowRef(self.batch, self.row)

    @property
    def words(self) -> Words:
        """What its code means, and what is to be done."""
        return WORDS.get(self.code) or Words(zh=self.zh, en=self.en, advice_zh="", advice_en="")

    @property
    def case_id(self) -> str:
        """The case it belongs to: province, reason, row, field and value at fault; 16 hexadecimal digits."""
        identity = (self.province, self.code, self.batch, self.row, self.field, self.value)
        return hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:16]


class Observation(NamedTuple):
    """One rejection or dead letter: its problems, when its event was received (ms), and which event it is
    about."""

    event_id: str | None
    received: int
    origin: str
    problems: tuple[Problem, ...]


def observe(value: bytes | None, headers: Headers, province: Province | None) -> Observation | None:
    """Read a record of a rejection topic (``province``'s) or the dead-letter topic; None if it is not one of
    ours.

    `gateway audit` reports foreign records.
    """
    origin = origin_of(headers)
    place = _short(str(origin)) if origin else ""
    if province is not None and (rejection := read_rejection(value)) is not None:
        received = _milliseconds(rejection.data.decision.received)
        problems = tuple(dict.fromkeys(_problems(rejection, province)))
        if received is None or not problems:
            return None
        return Observation(_short(rejection.data.event.id), received, place, problems)
    if (letter := read_dead_letter(value)) is not None:
        received = _milliseconds(letter.data.received)
        return None if received is None else Observation(None, received, place, (_dead_letter(letter),))
    return None


def _problems(rejection: SentRejection, province: Province) -> Iterable[Problem]:
    nearest = rejection.data.nearest_row
    for reason in rejection.data.reasons:
        entry = reason.code.entry
        # A row that is only similar is not the problem's, and what the platform has to put right lies in no
        # row.
        row = nearest if nearest and nearest.listed and entry.recipient is not Recipient.PLATFORM else None
        yield Problem(
            province=province.value,
            code=reason.code.value,
            batch=row.batch if row else None,
            row=row.row if row else None,
            certificate=_short(row.certificate) if row and row.certificate else None,
            field=reason.field[:MAX_VALUE],
            value=reason.found[:MAX_VALUE] if entry.value_is_at_fault and reason.found else None,
            accepted=_few(reason.accepted),
            zh=_short(reason.message.zh),
            en=_short(reason.message.en),
            units=_few(reason.responsible_units),
        )


def _dead_letter(letter: SentDeadLetter) -> Problem:
    error, province = letter.data.error, _province_of(letter.data.origin.topic)
    entry = error.code.entry
    to_platform = entry.recipient is DeadLetterRecipient.PLATFORM
    return Problem(
        province=province.value if province else None,
        code=error.code.value,
        batch=None,
        row=None,
        certificate=None,
        field="event",
        value=None,
        accepted=(),
        zh=entry.zh,
        en=_short(f"{entry.en}: {error.message}"),
        units=(province.platform,) if province and to_platform else COORDINATING_CENTRES,
    )


def _short(text: str) -> str:
    """Cut a text that no rejection of the gateway's has: whoever wrote it, a case stays small."""
    return text[:MAX_WORDS]


def _few(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_short(text) for text in texts[:MAX_ITEMS])


def _province_of(topic: str) -> Province | None:
    return next((province for province in Province if topic.endswith(f"{province.value}.display")), None)


def _milliseconds(instant: str) -> int | None:
    """Return the time in milliseconds; None where no broker can have stamped it."""
    parsed = parse_instant(instant)
    return None if parsed is None or parsed < 0 else parsed // 1000
