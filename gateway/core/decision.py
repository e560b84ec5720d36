"""The decision: what was read, the list and the received time in; one outcome and its reasons out.

``gateway.decide`` puts the reader of bytes before it.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Protocol

import msgspec

from gateway import __version__
from gateway.core.checks import Facts
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.digest import sha256
from gateway.core.event import Identity, Reading, Valid, shown_of
from gateway.core.province import SOURCES, Province
from gateway.core.reasons import Code, Reason, find_reasons, reason_of
from gateway.core.recognition import Listed, Listing, Recognition, RowRef
from gateway.core.signature import SignatureStatus
from gateway.core.times import china_date, format_instant

ENGINE_VERSION = __version__


class Outcome(StrEnum):
    """What becomes of an input offset: exactly one of these."""

    FORWARD = "forward"
    REJECT = "reject"
    DUPLICATE = "duplicate"
    DEAD_LETTER = "dead_letter"
    LOST = "lost"

    __hash__ = str.__hash__  # Enum's own is written in Python, and every event is counted by its outcome


class Forwarded(Protocol):
    """The events forwarded within the horizon: by identity, the digests (or their beginnings) of their
    contents."""

    def get(self, identity: Identity, default: tuple[str, ...], /) -> tuple[str, ...]:
        """Return the digests under ``identity``, or ``default``."""


NOTHING_FORWARDED: Forwarded = MappingProxyType[Identity, tuple[str, ...]]({})


class _Decided(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What every decision has. ``received_at`` in milliseconds since the epoch; ``digest`` proves the
    decision."""

    received_at: int
    input_digest: str
    digest: str

    @property
    def received(self) -> str:
        """When the input record was received, RFC 3339."""
        return format_instant(self.received_at * 1000)


class Forward(_Decided, frozen=True, gc=False, kw_only=True):
    """The event is recognised: a verification record goes to the other province."""

    outcome: ClassVar[Outcome] = Outcome.FORWARD
    province: Province
    reading: Valid
    listing: Listed
    list_digest: str
    signature: SignatureStatus


class Reject(_Decided, frozen=True, gc=False, kw_only=True):
    """The event is refused: a rejection with ``reasons`` (at least one, the primary one first) goes back.

    ``listing`` and ``list_digest`` are None where the list was not asked; ``province`` where nothing says
    whose event it is.
    """

    outcome: ClassVar[Outcome] = Outcome.REJECT
    province: Province | None
    reading: Reading
    reasons: tuple[Reason, ...]
    listing: Listing | None = None
    list_digest: str | None = None
    signature: SignatureStatus = SignatureStatus.UNASKED

    @property
    def codes(self) -> tuple[Code, ...]:
        """The reason codes, each once, the primary one first."""
        return tuple(dict.fromkeys(reason.code for reason in self.reasons))

    @property
    def units(self) -> tuple[str, ...]:
        """The responsible units of all reasons, those of the primary one first."""
        return tuple(dict.fromkeys(unit for reason in self.reasons for unit in reason.units))


class Duplicate(_Decided, frozen=True, gc=False, kw_only=True):
    """The event was forwarded before, within the horizon: it is counted, and nothing goes out."""

    outcome: ClassVar[Outcome] = Outcome.DUPLICATE
    province: Province
    reading: Valid


class DeadLetter(_Decided, frozen=True, gc=False, kw_only=True):
    """No event can be read from the record, or what it became could not be sent: its bytes go to the
    operators.

    ``size`` is that of the bytes with ``input_digest`` where not even the record can be read; None where
    they are its value.
    """

    outcome: ClassVar[Outcome] = Outcome.DEAD_LETTER
    province: Province | None
    code: DeadLetterCode
    message: str
    size: int | None = None


class Lost(msgspec.Struct, frozen=True, gc=False):
    """Input offsets, both inclusive, that the log no longer held when the lane came to them: nothing goes
    out."""

    outcome: ClassVar[Outcome] = Outcome.LOST
    first_offset: int
    last_offset: int


Decision = Forward | Reject | Duplicate | DeadLetter
"""What is decided about a record. (``Lost`` is the outcome of offsets that have none.)"""


def decide(
    reading: Reading,
    province: Province | None,
    received_at: int,
    recognition: Recognition,
    input_digest: str,
    *,
    forwarded: Forwarded = NOTHING_FORWARDED,
    signature: SignatureStatus = SignatureStatus.UNASKED,
) -> Forward | Reject | Duplicate:
    """Decide what was read from one record. Deterministic: the same arguments give the same decision.

    ``province`` is whose topic the record came on; None lets the event's source say it. ``received_at`` is
    the record's timestamp in milliseconds since the epoch. ``forwarded`` is what the horizon remembers; it
    is only read.
    """
    province = province or SOURCES.get(reading.source)
    if not isinstance(reading, Valid):
        reasons = tuple(reason_of(Code.INVALID_EVENT, problem, province) for problem in reading.problems)
        return Reject(
            province=province, received_at=received_at, input_digest=input_digest, reading=reading, reasons=reasons,
            digest=_digest(input_digest, "", Outcome.REJECT, reasons),
        )  # fmt: skip
    province = province or SOURCES[reading.source]
    contents = forwarded.get(reading.identity, ())
    if contents and reading.content_digest.startswith(contents):
        digest = _digest(input_digest, "", Outcome.DUPLICATE, ())
        return Duplicate(
            province=province, received_at=received_at, input_digest=input_digest, digest=digest, reading=reading
        )
    return _check(
        reading, province, received_at, recognition, input_digest, id_reused=bool(contents), signature=signature
    )


def _check(
    reading: Valid, province: Province, received_at: int, recognition: Recognition, input_digest: str,
    *, id_reused: bool, signature: SignatureStatus,
) -> Forward | Reject:  # fmt: skip
    shown_on = china_date(reading.shown_at)
    list_digest = recognition.edition_on(shown_on).digest
    listing = recognition.listing(shown_on, shown_of(reading.event, province))
    facts = Facts(
        reading.event, province, reading.shown_at, shown_on, received_at * 1000, id_reused, signature, listing
    )
    reasons = find_reasons(facts)
    if not reasons and isinstance(listing, Listed):
        return Forward(
            province=province, received_at=received_at, input_digest=input_digest, reading=reading, listing=listing,
            list_digest=list_digest, signature=signature,
            digest=_digest(input_digest, list_digest, Outcome.FORWARD, ()),
        )  # fmt: skip
    return Reject(
        province=province, received_at=received_at, input_digest=input_digest, reading=reading, reasons=reasons,
        listing=listing, list_digest=list_digest, signature=signature,
        digest=_digest(input_digest, list_digest, Outcome.REJECT, reasons),
    )  # fmt: skip


def dead_letter(
    province: Province | None, received_at: int, input_digest: str, code: DeadLetterCode, message: str,
    size: int | None = None,
) -> DeadLetter:  # fmt: skip
    """Decide that no event can be read from a record, or that the broker would not take what it became."""
    digest = _digest(input_digest, "", Outcome.DEAD_LETTER, (), code)
    return DeadLetter(
        province=province, received_at=received_at, input_digest=input_digest, digest=digest, code=code, message=message,
        size=size,
    )  # fmt: skip


def row_of(decision: Decision) -> RowRef | None:
    """Name the row that lists the certificate; None where the list was not asked or has none."""
    if isinstance(decision, Forward | Reject) and isinstance(decision.listing, Listed):
        return decision.listing.row.ref
    return None


def codes_of(decision: Decision) -> tuple[Code, ...]:
    """List the reason codes of a rejection, the primary one first; none for any other decision."""
    return decision.codes if isinstance(decision, Reject) else ()


def ground_of(decision: Forward | Reject) -> str:
    """Return what the digest of ``decision`` is over, behind the digest of its input."""
    reasons = decision.reasons if isinstance(decision, Reject) else ()
    return _ground(decision.list_digest or "", decision.outcome, reasons)


def _digest(input_digest: str, list_digest: str, outcome: Outcome, reasons: tuple[Reason, ...], error: str = "") -> str:
    """Digest a decision: whoever has the log and the list can compute it again and so prove it."""
    return sha256((input_digest + _ground(list_digest, outcome, reasons, error)).encode())


def _ground(list_digest: str, outcome: Outcome, reasons: tuple[Reason, ...], error: str = "") -> str:
    named = "".join([f"\n{reason.code} {reason.field}" for reason in reasons]) if reasons else ""
    return f"\n{list_digest}\n{ENGINE_VERSION}\n{outcome}\n{error}{named}"
