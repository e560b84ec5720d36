"""The two records that nearly every event becomes, out of fragments of JSON: the bytes of ``gateway.core.content``, faster.

What follows from the list and from words that come again and again is written once and remembered; only what is the
event's own (id, times, holder, identifier, digests) is written anew.
"""

from functools import lru_cache

from gateway.core.content import (
    canonical_display,
    canonical_names,
    encode,
    list_ref,
    nearest_row,
    parts_of,
    reason_item,
    record_id,
)
from gateway.core.decision import ENGINE_VERSION, Decision
from gateway.core.plain import Wording
from gateway.core.reading import Reading
from gateway.core.reasons import Reason
from gateway.core.recognition import Listing
from gateway.core.records import GATEWAY_SOURCE, REJECTED_TYPE, VERIFIED_TYPE
from gateway.core.times import format_instant

_ENVELOPE = (
    b'{"specversion":"1.0","id":"%%b","source":"%b","type":"%%b","time":"%%b","datacontenttype":"application/json"%%b,"data":'
    % GATEWAY_SOURCE.encode()
)
_DECISION = (
    b'"decision":{"received":"%%b","engine_version":"%b","input_digest":"%%b","content_digest":"%%b","digest":"%%b"}'
    % ENGINE_VERSION.encode()
)
_VERIFICATION = (
    _ENVELOPE
    + b'{"event":{"id":%b,"source":"%b","time":"%b"},"list":%b,"identifier":%b,%b,"valid_from":%b,"valid_until":%b},'
    + b'"holder":{"kind":"%b","ref":"%b","name_masked":%b},"display":%b,'
    + _DECISION
    + b"}}"
)
_REJECTION = (
    _ENVELOPE
    + b'{"event":{"id":%b,"source":%b,"time":%b},"input_digest":"%b","reasons":[%b],"nearest_row":%b,"responsible_units":%b,'
    + _DECISION
    + b',"list_digest":%b}}'
)
_VERIFIED, _REJECTED = VERIFIED_TYPE.encode(), REJECTED_TYPE.encode()


def assemble_verification(decision: Decision) -> bytes:
    """``encode(verification(decision))``."""
    reading, event, wording, listing = parts_of(decision)
    certificate, holder = event.data.certificate, event.data.holder
    listed, issuer, display = _listed(listing, decision.list_digest, wording)
    received, digest = _received(decision.received_at), decision.digest.encode()
    # Where a string goes in without being encoded as JSON, its shape leaves nothing to escape.
    return _VERIFICATION % (
        record_id(decision).encode(), _VERIFIED, received, _carried(reading),
        encode(event.id), event.source.encode(), event.time.encode(), listed,
        encode(certificate.identifier), issuer, encode(certificate.valid_from), encode(certificate.valid_until),
        holder.kind.encode(), holder.ref.encode(), encode(holder.name_masked), display,
        received, decision.input_digest.encode(), reading.content_digest.encode(), digest,
    )  # fmt: skip


def assemble_rejection(decision: Decision) -> bytes:
    """``encode(rejection(decision))``."""
    reading = decision.reading
    assert reading is not None  # noqa: S101 — only a dead letter has none
    received, digest, input_digest = (
        _received(decision.received_at),
        decision.digest.encode(),
        decision.input_digest.encode(),
    )
    return _REJECTION % (
        record_id(decision).encode(), _REJECTED, received, _carried(reading),
        encode(reading.id), encode(reading.source), encode(reading.event.time if reading.event else None),
        input_digest, b",".join([_reason(reason) for reason in decision.reasons]),
        _nearest_row(decision.listing), _units(decision.responsible_units),
        received, input_digest, reading.content_digest.encode(), digest, encode(decision.list_digest),
    )  # fmt: skip


def _carried(reading: Reading) -> bytes:
    return b"," + encode(reading.carried)[1:-1] if reading.carried else b""


@lru_cache(maxsize=4096)  # the broker stamps a whole batch with one time
def _received(received_at: int) -> bytes:
    return format_instant(received_at * 1000).encode()


@lru_cache(maxsize=65_536)
def _listed(listing: Listing, list_digest: str | None, wording: Wording) -> tuple[bytes, bytes, bytes]:
    """The list's row with the certificate up to its identifier, the certificate's issuer behind that, and the display."""
    type_name, issuer_name = canonical_names(listing)
    certificate = {"type_name": type_name, "type_code": wording.type_code}
    issuer = {"issuer_name": issuer_name, "issuer_code": wording.issuer_code}
    row = encode(list_ref(listing, list_digest)) + b',"certificate":' + encode(certificate)[:-1]
    return row, encode(issuer)[1:-1], encode(canonical_display(listing, wording))


@lru_cache(maxsize=8192)
def _nearest_row(listing: Listing | None) -> bytes:
    return encode(nearest_row(listing))


@lru_cache(maxsize=8192)
def _reason(reason: Reason) -> bytes:
    return encode(reason_item(reason))


@lru_cache(maxsize=1024)
def _units(units: tuple[str, ...]) -> bytes:
    return encode(units)
