"""How an event's data may be written: as JSON under a media type, or as Base64 of a JSON text (CloudEvents'
JSON format, 3.1)."""

import base64
import binascii
import re

DATA_BASE64 = "data_base64"
"""The member that holds the data instead of ``data``, in structured mode."""
DATACONTENTTYPE = "datacontenttype"

# Written so that every validator compiles it: ECMA-262 before 2025 has no flag for a part of a pattern.
JSON_TYPE = (
    r"^(?:[Aa][Pp][Pp][Ll][Ii][Cc][Aa][Tt][Ii][Oo][Nn]/(?:[A-Za-z0-9!#$&^_.+-]+[+])?[Jj][Ss][Oo][Nn]|[Tt][Ee][Xx][Tt]/[Jj][Ss][Oo][Nn])"
    r'(?:[ \t]*;[ \t]*[Cc][Hh][Aa][Rr][Ss][Ee][Tt]=(?:[Uu][Tt][Ff]-8|"[Uu][Tt][Ff]-8"))?$'
)
"""The media types of JSON: ``application/json``, ``text/json``, ``application/*+json``; in UTF-8, which need
not be said."""
BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
"""Base64 (RFC 4648, clause 4) as ``decode_base64`` reads it: padded, unused bits zero, nothing between."""

_JSON_TYPE = re.compile(JSON_TYPE.removesuffix("$"))


def is_json_type(media_type: object) -> bool:
    """Tell whether ``media_type`` says that the data is JSON."""
    return isinstance(media_type, str) and _JSON_TYPE.fullmatch(media_type) is not None


def same_media_type(one: str, other: str) -> bool:
    """Tell whether both say the same: case does not count, nor that JSON is in UTF-8."""
    return _plain(one) == _plain(other)


def _plain(media_type: str) -> str:
    return (media_type.partition(";")[0].rstrip() if is_json_type(media_type) else media_type).lower()


def decode_base64(text: object) -> bytes | None:
    """Decode ``text``; None if it is not Base64, exactly as ``BASE64`` says."""
    if not isinstance(text, str):
        return None
    try:
        content = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return content if base64.b64encode(content).decode() == text else None
