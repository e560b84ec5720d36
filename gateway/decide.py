"""The whole decision: a record's bytes in, one outcome out. The contract's reader, then the core's rules."""

from types import EllipsisType

from gateway.contract.display_event import read_event
from gateway.contract.headers import Headers
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import NOTHING_FORWARDED, Decision, Forwarded, dead_letter, decide
from gateway.core.digest import netstrings, sha256
from gateway.core.event import Reading, UnreadableError
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.signature import SignatureStatus


def decide_bytes(
    raw: bytes,
    province: Province | None,
    received_at: int,
    recognition: Recognition,
    *,
    key: bytes | EllipsisType | None = ...,
    headers: Headers = (),
    forwarded: Forwarded = NOTHING_FORWARDED,
    signature: SignatureStatus = SignatureStatus.UNASKED,
) -> Decision:
    """Decide one record. Total and deterministic: never raises, and the same arguments give the same
    decision.

    ``province`` is whose topic the record came on; None lets the event's source say it. ``received_at`` is
    the record's timestamp in milliseconds since the epoch. ``key`` left out is not compared with the
    holder's reference. ``forwarded`` is what the horizon remembers; it is only read. ``signature`` is what
    came of verifying the record's.
    """
    reading: Reading | Exception
    try:
        reading = read_event(raw, headers, key=key)
    except UnreadableError as error:
        reading = error
    return decide_read(
        reading,
        province,
        received_at,
        recognition,
        digest_input(raw, headers),
        forwarded=forwarded,
        signature=signature,
    )


def decide_read(
    reading: Reading | Exception,
    province: Province | None,
    received_at: int,
    recognition: Recognition,
    input_digest: str,
    *,
    forwarded: Forwarded = NOTHING_FORWARDED,
    signature: SignatureStatus = SignatureStatus.UNASKED,
) -> Decision:
    """Decide what reading a record came to, an ``UnreadableError`` too; any other exception is raised
    again."""
    if not isinstance(reading, Exception):
        return decide(
            reading, province, received_at, recognition, input_digest, forwarded=forwarded, signature=signature
        )
    if isinstance(reading, UnreadableError):
        return dead_letter(province, received_at, input_digest, DeadLetterCode(reading.code), str(reading))
    raise reading


def digest_input(raw: bytes, headers: Headers = ()) -> str:
    """Digest a record's bytes; in binary mode the ``ce_`` headers and the content type are part of them,
    unless they are null.

    Where it has ``ce_`` headers, netstrings are digested: name and value of each such header, sorted, and
    then ``raw``.
    """
    if not headers:
        return sha256(raw)
    event_headers = sorted(
        (name, value)
        for name, value in headers
        if value is not None and (name.startswith("ce_") or name == "content-type")
    )
    if not any(name.startswith("ce_") for name, _ in event_headers):
        return sha256(raw)
    # Whatever stood between them could be part of a header's value, and make one record look like another.
    return sha256(netstrings([*(part for name, value in event_headers for part in (name.encode(), value)), raw]))
