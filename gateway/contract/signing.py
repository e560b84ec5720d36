"""Signatures of events and records: what is signed. ``gateway.adapters`` has the cryptography.

Two CloudEvents extension attributes carry a detached signature: ``signature``, 64 bytes as 128 hexadecimal
digits (r‖s of SM2, GB/T 32918.2; or Ed25519, RFC 8032), and ``signaturekey``, the key's id. Signed are four
netstrings, one after the other: ``id``, ``source``, ``time`` as they stand in the event, and the bytes of
``data`` as they were sent (in binary mode the record's value; of ``data_base64`` the bytes that it encodes).
A netstring is the length in bytes, ``:``, the bytes, ``,`` — so that no two events have the same. What the
gateway writes can be signed in the same way, by the gateway; the attributes are then a record's last two.
"""

import base64
import re
from typing import NamedTuple

import msgspec

from gateway.contract.data_encoding import decode_base64
from gateway.contract.headers import Headers, is_binary
from gateway.core.digest import netstrings
from gateway.core.signature import SignatureStatus

SIGNATURE, SIGNATURE_KEY = "signature", "signaturekey"
SIGNATURE_BYTES = 64
_LONGEST_SIGNATURE = 1024
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_STANDARD_ALPHABET = str.maketrans("-_", "+/")
_END = re.compile(rb',"signature":"([0-9a-f]{128})","signaturekey":"([A-Za-z0-9._-]{1,64})"\}\Z')
_LONGEST_END = 256


class Signed(NamedTuple):
    """An event that bears a signature: ``key_id`` None where that attribute is malformed, ``signature`` what
    is wrong with it."""

    key_id: str | None
    signature: bytes | SignatureStatus
    message: bytes


class _Envelope(msgspec.Struct):
    id: str
    source: str
    time: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    data_base64: object = None
    signature: object = None
    signaturekey: object = None


_decode = msgspec.json.Decoder(_Envelope).decode


def signed_message(event_id: str, source: str, time: str, data: bytes) -> bytes:
    """Return the bytes that are signed."""
    parts = (event_id.encode("utf-8", "surrogatepass"), source.encode(), time.encode("utf-8", "surrogatepass"), data)
    return netstrings(parts)


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


def split_signature(value: bytes) -> tuple[bytes, bytes | None, str | None]:
    """Return ``value``, JSON of ours, without its signature, and that signature with its key's id; None
    where it has none."""
    found = _END.search(value, max(0, len(value) - _LONGEST_END))
    if found is None:
        return value, None, None
    return value[: found.start()] + b"}", bytes.fromhex(found[1].decode()), found[2].decode()


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
    data = bytes(envelope.data) if envelope.data_base64 is None else decode_base64(envelope.data_base64) or b""
    message = signed_message(envelope.id, envelope.source, envelope.time, data)
    return Signed(_text(envelope.signaturekey), _signature(envelope.signature), message)


def _read_binary(raw: bytes, headers: Headers) -> Signed | None:
    found: dict[str, str] = {}
    for name, value in headers:
        if name.startswith("ce_") and value is not None:
            found.setdefault(name.removeprefix("ce_"), value.decode("utf-8", "surrogateescape"))
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


def _signature(value: object) -> bytes | SignatureStatus:
    """Return the signature's bytes, or the form that it has instead: many libraries write DER or Base64 by
    default."""
    if not isinstance(value, str) or len(value) > _LONGEST_SIGNATURE:
        return SignatureStatus.MALFORMED
    if _HEXADECIMAL.fullmatch(value):
        if len(value) == 2 * SIGNATURE_BYTES:
            return bytes.fromhex(value)
        is_der = len(value) % 2 == 0 and _is_der(bytes.fromhex(value))
        return SignatureStatus.IN_DER if is_der else SignatureStatus.OTHER_LENGTH
    decoded = _decode_base64(value)
    if _is_der(decoded):
        return SignatureStatus.IN_DER
    return SignatureStatus.IN_BASE64 if len(decoded) == SIGNATURE_BYTES else SignatureStatus.MALFORMED


def _is_der(content: bytes) -> bool:
    """Tell whether that is how DER begins a sequence of integers, as r and s are."""
    return len(content) > 2 and content[0] == 0x30 and content[1] == len(content) - 2 and content[2] == 0x02


def _decode_base64(text: str) -> bytes:
    """Decode Base64 of either alphabet, padded or not; nothing comes of what is neither."""
    if not _BASE64.fullmatch(text):
        return b""
    body = text.rstrip("=").translate(_STANDARD_ALPHABET)
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4))
    except ValueError:
        return b""
