"""Signatures of events and records: what is signed. ``gateway.adapters`` has the cryptography.

Two CloudEvents extension attributes carry a detached signature: ``signature``, 64 bytes as 128 hexadecimal digits (r‖s of SM2,
GB/T 32918.2; or Ed25519, RFC 8032), and ``signaturekey``, the key's id. Signed are four netstrings, one after the other:
``id``, ``source``, ``time`` as they stand in the event, and the bytes of ``data`` as they were sent (in binary mode the
record's value). A netstring is the length in bytes, ``:``, the bytes, ``,`` — so that no two events have the same.
What the gateway writes can be signed in the same way, by the gateway; the attributes are then a record's last two.
"""

import re
from typing import NamedTuple

import msgspec

from gateway.contract.headers import Headers, is_binary

SIGNATURE, SIGNATURE_KEY = "signature", "signaturekey"
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{128}")
_END = re.compile(rb',"signature":"[0-9a-f]{128}","signaturekey":"[A-Za-z0-9._-]{1,64}"\}\Z')
_LONGEST_END = 256


class Signed(NamedTuple):
    """An event that bears a signature: ``key_id`` None and ``signature`` None where that attribute is malformed."""

    key_id: str | None
    signature: bytes | None
    message: bytes


class _Envelope(msgspec.Struct):
    id: str
    source: str
    time: str
    data: msgspec.Raw
    signature: object = None
    signaturekey: object = None


_decode = msgspec.json.Decoder(_Envelope).decode


def signed_message(event_id: str, source: str, time: str, data: bytes) -> bytes:
    """Return the bytes that are signed."""
    parts = (event_id.encode("utf-8", "surrogatepass"), source.encode(), time.encode("utf-8", "surrogatepass"), data)
    return b"".join(b"%d:%b," % (len(part), part) for part in parts)


def record_message(value: bytes) -> bytes:
    """Return the bytes that are signed of ``value``, a record of ours."""
    envelope = _decode(value)
    return signed_message(envelope.id, envelope.source, envelope.time, bytes(envelope.data))


def with_signature(value: bytes, signature: bytes, key_id: str) -> bytes:
    """Return ``value``, a record of ours, with a signature; ``key_id`` as the settings allow it."""
    return b'%b,"signature":"%b","signaturekey":"%b"}' % (value[:-1], signature.hex().encode(), key_id.encode())


def without_signature(value: bytes) -> bytes:
    """Return ``value`` without its signature, if it has one."""
    found = _END.search(value, max(0, len(value) - _LONGEST_END))
    return value[: found.start()] + b"}" if found else value


def read_signed(raw: bytes, headers: Headers = ()) -> Signed | None:
    """Read what is to be verified; None if the record has no signature, or is not an event. Never raises."""
    if headers and is_binary(headers):
        return _read_binary(raw, headers)
    if b'"signature' not in raw:  # also where it is written with escapes: that is nobody's signature
        return None
    try:
        envelope = _decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if envelope.signature is None and envelope.signaturekey is None:
        return None
    message = signed_message(envelope.id, envelope.source, envelope.time, bytes(envelope.data))
    return Signed(_text(envelope.signaturekey), _signature(envelope.signature), message)


def _read_binary(raw: bytes, headers: Headers) -> Signed | None:
    found: dict[str, str] = {}
    for name, value in headers:
        if name.startswith("ce_"):
            found.setdefault(name.removeprefix("ce_"), (value or b"").decode("utf-8", "surrogateescape"))
    if SIGNATURE not in found and SIGNATURE_KEY not in found:
        return None
    if not {"id", "source", "time"} <= found.keys():
        return None
    try:
        message = signed_message(found["id"], found["source"], found["time"], raw)
    except UnicodeEncodeError:
        return None
    return Signed(found.get(SIGNATURE_KEY), _signature(found.get(SIGNATURE)), message)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _signature(value: object) -> bytes | None:
    return bytes.fromhex(value) if isinstance(value, str) and _HEXADECIMAL.fullmatch(value) else None
