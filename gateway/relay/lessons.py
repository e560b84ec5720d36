"""What the native kernel is taught: which decisions it may repeat, and the marks that stand for an event's
own values."""

import datetime
import re
import secrets
from typing import Any, Generic, NamedTuple, TypeGuard, TypeVar

import msgspec

from gateway.core.decision import DeadLetter, Decision, Forward, Reject
from gateway.core.event import Valid
from gateway.core.province import Province, province_of_region
from gateway.core.reasons import Code, EventCheck, Reason
from gateway.core.recognition import Comparison, Listed, Listing, Nearest, Recognition, RowIndex
from gateway.core.signature import SignatureStatus
from gateway.core.times import format_instant

PROVINCES = {province: number for number, province in enumerate(Province)}
_PLACES = {place: number for number, place in enumerate((*Province, None))}
STATUSES = {status: number for number, status in enumerate(SignatureStatus)}
MOST_LEARNT = 65_536
"""So much is learnt at the most: words, regions or facets, or eight times as many as there are cases of
rejection. Of one list there are some thousands."""
_EPOCH = datetime.date(1970, 1, 1).toordinal()

_MIRRORED = frozenset(
    {
        Code.SOURCE_MISMATCH, Code.ID_REUSED, Code.FUTURE_EVENT, Code.STALE_EVENT, Code.LIST_NOT_IN_EFFECT,
        Code.IDENTIFIER_INVALID, Code.CERTIFICATE_NOT_YET_VALID, Code.CERTIFICATE_EXPIRED,
    }
)  # fmt: skip
"""Reasons of the event's own checks that follow from its words, or from conditions that the kernel looks
at."""
_REGION = "display.region_code"
_FOUND = {
    "source": "source",
    "time": "time",
    "certificate.valid_from": "valid_from",
    "certificate.valid_until": "valid_until",
    _REGION: "region_code",
}
"""By the field that a reason names, the mark that stands for what was found there."""

T = TypeVar("T")
Template = tuple[list[bytes], list[str]]
"""Texts, and the names of the values between them; nothing stands where the name is empty."""


class Lesson(NamedTuple):
    """What the kernel is taught of an event's words; ``kernel/src/learnt.rs`` says what each is for."""

    unit_matters: bool
    group: int
    part: Template
    facets: int
    ground: bytes
    rejection: int | None
    template: Template | None


class Numbered(Generic[T]):
    """Things by number, each once; ``things`` are the first."""

    def __init__(self, *things: T) -> None:
        self._things = list(things)
        self._numbers = {thing: number for number, thing in enumerate(things)}

    def __len__(self) -> int:
        return len(self._things)

    def __getitem__(self, number: int) -> T:
        return self._things[number]

    def number_of(self, thing: T) -> int:
        """Return the number of ``thing``; a new one if it has none."""
        number = self._numbers.setdefault(thing, len(self._things))
        if number == len(self._things):
            self._things.append(thing)
        return number


Group = tuple[Province | None, str | None, SignatureStatus, RowIndex | None, bool, tuple[Reason, ...]]
"""What events of several words have in common that become the same, but for a part of their own."""


class Marks:
    """What stands in a template for an event's own values; made anew in each process, so that no event can
    hold them."""

    def __init__(self) -> None:
        self.certificate = _marks("identifier", "issuer_code", "type_code", "valid_from", "valid_until")
        self.display = _marks("matter_code", "matter_name", "region_code", "verifier_code", "verifier_name")
        self.holder: dict[str, Any] = _marks("kind", "ref", "name_masked")
        self.own = _marks("id", "source", "time") | self.certificate | self.display | self.holder
        self.received = 200_000_000_000_000 + secrets.randbelow(10**13)
        self.digests = {name: secrets.token_hex(32) for name in ("input", "content", "decision")}
        self.carried = secrets.token_hex(8)
        self.part = secrets.token_hex(16)
        self._names = {
            **{f'"{mark}"': name for name, mark in self.own.items()},
            format_instant(self.received * 1000): "received",
            **{mark: name for name, mark in self.digests.items()},
            self.digests["decision"][:32]: "record",
            f',"{self.carried}":0': "carried",
            self.part: "part",
            self.own["id"]: "id as text",
        }
        # Longest first: the record's id begins its decision's digest, and an id as JSON is one in quotes.
        marks = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile(b"(" + b"|".join(re.escape(mark.encode()) for mark in marks) + b")")

    def split(self, record: bytes) -> tuple[list[bytes], list[str]]:
        """Return the texts between the marks of ``record``, and the names of the marks."""
        texts = self._pattern.split(record)  # and the marks, one after each text but the last
        return texts[::2], [self._names[mark.decode()] for mark in texts[1::2]]


def _marks(*names: str) -> dict[str, str]:
    return {name: f"<{secrets.token_hex(8)}>" for name in names}


MARKS = Marks()


def split_again(template: Template, pattern: re.Pattern[bytes]) -> Template:
    """Return ``template`` with its texts split at ``pattern``, so that those that it shares with others are
    kept once."""
    texts, names = template
    split: Template = ([], [])
    for text, name in zip(texts, (*names, None), strict=True):
        pieces = pattern.split(text)
        split[0].extend(pieces)
        split[1].extend([""] * (len(pieces) - 1))
        if name is not None:
            split[1].append(name)
    return split


def first_days(recognition: Recognition) -> list[int]:
    """Return the day on which each edition of the list begins, counted from 1970-01-01."""
    return [datetime.date.fromisoformat(each.since).toordinal() - _EPOCH for each in recognition.editions]


def place_of(decision: Decision) -> int | None:
    """Return the number of the province where the certificate was shown, or of neither; None where the event
    is not valid."""
    if isinstance(decision, DeadLetter) or not isinstance(decision.reading, Valid):
        return None
    return _PLACES[province_of_region(decision.reading.event.data.display.region_code)]


def group_of(decision: Forward | Reject, marked: Forward | Reject) -> Group:
    """Return the group of words that ``decision`` belongs to; ``marked`` is the same with marks."""
    listing = decision.listing
    row, in_effect = (listing.row, listing.in_effect) if isinstance(listing, Listed) else (None, False)
    reasons = marked.reasons if isinstance(marked, Reject) else ()
    of_words = tuple([each for each in reasons if not isinstance(each.code.entry.check, EventCheck)])
    return decision.province, decision.list_digest, decision.signature, row, in_effect, of_words


def is_repeatable(decision: Decision) -> TypeGuard[Forward | Reject]:
    """Tell whether ``decision`` follows from the event's words, and the conditions that the kernel looks at
    itself."""
    if isinstance(decision, Reject) and isinstance(decision.reading, Valid):
        checks = [(reason.code, reason.code.entry.check) for reason in decision.reasons]
        return all(not isinstance(check, EventCheck) or code in _MIRRORED for code, check in checks)
    return isinstance(decision, Forward)


def mark(decision: Forward | Reject) -> Forward | Reject:
    """Return ``decision`` about an event of the same words: its own values are marks, and so are those words
    that only have to keep the contract, the region and the verifying unit."""
    replace, reading, listing = msgspec.structs.replace, decision.reading, decision.listing
    if not isinstance(reading, Valid) or listing is None:
        raise TypeError("only what the list was asked about is repeated")
    event, data = reading.event, reading.event.data
    certificate = replace(data.certificate, **MARKS.certificate)
    display = replace(data.display, **MARKS.display)
    holder = replace(data.holder, **MARKS.holder)
    twin = replace(
        event, **{name: MARKS.own[name] for name in ("id", "source", "time")},
        data=replace(data, certificate=certificate, display=display, holder=holder),
    )  # fmt: skip
    digests = {name: f"sha256:{mark}" for name, mark in MARKS.digests.items()}
    found = {"reasons": tuple(map(_marked_reason, decision.reasons))} if isinstance(decision, Reject) else {}
    return replace(
        decision,
        **found,
        listing=_marked_listing(listing),
        received_at=MARKS.received, input_digest=digests["input"], digest=digests["decision"],
        reading=replace(reading, content_digest=digests["content"], carried={MARKS.carried: 0}, event=twin),
    )  # fmt: skip


def _marked_reason(reason: Reason) -> Reason:
    """Return ``reason`` with a mark where it repeats a value of the event's own, or the region."""
    mark = _FOUND.get(reason.field)
    return reason if mark is None else msgspec.structs.replace(reason, found=MARKS.own[mark])


def _marked_listing(listing: Listing) -> Listing:
    """Return ``listing`` with a mark where it repeats the region."""
    replace = msgspec.structs.replace
    shown = listing.shown._replace(region_code=MARKS.own["region_code"])
    if isinstance(listing, Listed):
        return replace(listing, shown=shown, comparison=_marked_comparison(listing.comparison))
    if listing.nearest is None:
        return replace(listing, shown=shown)
    row, comparison = listing.nearest
    return replace(listing, shown=shown, nearest=Nearest(row, _marked_comparison(comparison)))


def _marked_comparison(comparison: Comparison) -> Comparison:
    replace, scope = msgspec.structs.replace, comparison.scope
    if scope.field != _REGION:
        return comparison
    return replace(comparison, scope=replace(scope, found=MARKS.own["region_code"]))
