"""The decision: bytes, list and received time in; one outcome, its reasons and the record to send out."""

from enum import StrEnum
from types import EllipsisType, MappingProxyType
from typing import Protocol

import msgspec

from gateway import __version__
from gateway.core.checks import Facts, find_reasons
from gateway.core.digest import sha256
from gateway.core.plain import Event, Wording
from gateway.core.province import COORDINATING_CENTRES, SOURCES, Province
from gateway.core.reading import Headers, Identity, Reading, UnreadableError, read_event
from gateway.core.reasons import MEANINGS, Code, Hears, Reason
from gateway.core.recognition import Listing, Recognition
from gateway.core.signing import Verdict
from gateway.core.times import china_date

ENGINE_VERSION = __version__


class Outcome(StrEnum):
    """What becomes of an input record: exactly one of these (CONTRACT: outcomes)."""

    FORWARD = "forward"
    REJECT = "reject"
    DUPLICATE = "duplicate"
    DEAD_LETTER = "dead_letter"

    __hash__ = str.__hash__  # Enum's own is written in Python, and every event is counted by its outcome


class Seen(Protocol):
    """What was seen within the horizon: identity → digests (or their beginnings) of the contents that came under it."""

    def get(self, identity: Identity, default: tuple[str, ...], /) -> tuple[str, ...]:
        """The digests under ``identity``, or ``default``."""


NOTHING_SEEN: Seen = MappingProxyType[Identity, tuple[str, ...]]({})


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What was decided about one record, and all that explains it.

    ``identity``, ``reading`` are None for a dead letter, whose ``error`` is (code, message) instead. ``listing`` is set where the
    list was asked. ``received_at`` in milliseconds since the epoch.
    """

    outcome: Outcome
    province: Province | None
    received_at: int
    input_digest: str
    digest: str
    list_digest: str | None = None
    reading: Reading | None = None
    reasons: tuple[Reason, ...] = ()
    listing: Listing | None = None
    error: tuple[str, str] | None = None
    signature: Verdict = Verdict.UNASKED

    @property
    def event(self) -> Event | None:
        """The event, where it keeps the schema."""
        return self.reading.event if self.reading else None

    @property
    def identity(self) -> Identity | None:
        """Source and id, where they could be read."""
        return self.reading.identity if self.reading else None

    @property
    def row(self) -> int | None:
        """The number of the row that lists the certificate."""
        return self.listing.row.number if self.listing and self.listing.row else None

    @property
    def codes(self) -> tuple[Code, ...]:
        """The reason codes, each once, the primary one first."""
        return tuple(dict.fromkeys(reason.code for reason in self.reasons))

    @property
    def responsible_units(self) -> tuple[str, ...]:
        """Who can mend it, those of the primary reason first."""
        units = (unit for code in self.codes for unit in self._hearers(MEANINGS[code].hears))
        return tuple(dict.fromkeys(units))

    def _hearers(self, hears: Hears) -> tuple[str, ...]:
        row = self.listing.row if self.listing else None
        if hears is Hears.PLATFORM:
            return (self.province.platform,) if self.province else COORDINATING_CENTRES
        if hears is Hears.CENTRES or row is None or self.province is None:
            return COORDINATING_CENTRES
        provinces = (self.province,) if hears is Hears.ROW_ISSUER_OF_ORIGIN else (self.province, self.province.other)
        # Where the row's own issuers are not settled, the centres have to find out who they are.
        return row.issuing_units(*provinces) or COORDINATING_CENTRES


def decide(
    raw: bytes,
    province: Province | None,
    received_at: int,
    recognition: Recognition,
    *,
    key: bytes | EllipsisType | None = ...,
    headers: Headers = (),
    seen: Seen = NOTHING_SEEN,
    signature: Verdict = Verdict.UNASKED,
) -> Decision:
    """Decide one record. Total and deterministic: never raises, and the same arguments give the same decision.

    ``province`` is whose topic the record came on; None lets the event's source say it. ``received_at`` is the record's
    timestamp in milliseconds since the epoch. ``key`` left out is not compared with the holder's reference.
    ``seen`` is what the horizon remembers; it is only read. ``signature`` is what came of verifying the record's.
    """
    input_digest = digest_input(raw, headers)
    try:
        reading = read_event(raw, headers, key=key)
    except UnreadableError as error:
        return dead_letter(province, received_at, input_digest, error.code, str(error))
    province = province or SOURCES.get(reading.source)
    known = seen.get(reading.identity, ())
    if known and reading.content_digest.startswith(known):
        digest = _digest(input_digest, "", Outcome.DUPLICATE, ())
        return Decision(Outcome.DUPLICATE, province, received_at, input_digest, digest, reading=reading)
    if reading.event is None or reading.wording is None or province is None:
        digest = _digest(input_digest, "", Outcome.REJECT, reading.problems)
        return Decision(
            Outcome.REJECT, province, received_at, input_digest, digest, reading=reading, reasons=reading.problems
        )
    return _check(
        reading, reading.event, reading.wording, province, received_at, recognition, input_digest,
        id_reused=bool(known), signature=signature,
    )  # fmt: skip


def decide_again(decision: Decision, recognition: Recognition) -> Decision:
    """The same record's decision under another list, without reading it again: what ``decide`` says of it there.

    Where no list was asked (dead letters, duplicates, events that break the schema) it is ``decision`` itself.
    """
    reading, province = decision.reading, decision.province
    if reading is None or reading.event is None or reading.wording is None or province is None:
        return decision
    if decision.listing is None:
        return decision
    return _check(
        reading, reading.event, reading.wording, province, decision.received_at, recognition, decision.input_digest,
        id_reused=Code.ID_REUSED in decision.codes, signature=decision.signature,
    )  # fmt: skip


def _check(
    reading: Reading, event: Event, wording: Wording, province: Province, received_at: int, recognition: Recognition,
    input_digest: str, *, id_reused: bool, signature: Verdict,
) -> Decision:  # fmt: skip
    shown_on = china_date(reading.shown_at)
    list_digest = recognition.edition_on(shown_on).digest
    listing = recognition.listing(shown_on, wording.shown[province])
    facts = Facts(event, province, reading.shown_at, shown_on, received_at * 1000, id_reused, signature, listing)
    reasons = find_reasons(facts)
    outcome = Outcome.REJECT if reasons else Outcome.FORWARD
    digest = _digest(input_digest, list_digest, outcome, reasons)
    return Decision(
        outcome, province, received_at, input_digest, digest, list_digest, reading, reasons, listing, None, signature
    )


def dead_letter(province: Province | None, received_at: int, input_digest: str, code: str, message: str) -> Decision:
    """The decision for bytes that no event can be read from, or that the broker would not take."""
    digest = _digest(input_digest, "", Outcome.DEAD_LETTER, (), code)
    return Decision(Outcome.DEAD_LETTER, province, received_at, input_digest, digest, error=(code, message))


def digest_input(raw: bytes, headers: Headers = ()) -> str:
    """The digest of a record's bytes; in binary mode the ``ce_`` headers and the content type are part of them."""
    if not headers:
        return sha256(raw)
    event_headers = sorted(
        (name, value or b"") for name, value in headers if name.startswith("ce_") or name == "content-type"
    )
    if not any(name.startswith("ce_") for name, _ in event_headers):
        return sha256(raw)
    return sha256(b"".join(name.encode() + b":" + value + b"\n" for name, value in event_headers) + raw)


def _digest(input_digest: str, list_digest: str, outcome: Outcome, reasons: tuple[Reason, ...], error: str = "") -> str:
    """``decision.digest``: whoever has the log and the list can compute it again and so prove the decision."""
    named = "".join([f"\n{reason.code} {reason.field}" for reason in reasons]) if reasons else ""
    return sha256(f"{input_digest}\n{list_digest}\n{ENGINE_VERSION}\n{outcome}\n{error}{named}".encode())
