"""What came of verifying an event's signature. ``gateway.contract.signing`` says what is signed, the
adapters verify."""

from enum import StrEnum


class SignatureStatus(StrEnum):
    """What came of an event's signature."""

    UNASKED = "unasked"
    """Signatures of this province are not looked at, or they are optional and the event bears none."""
    VALID = "valid"
    MISSING = "missing"
    INVALID = "invalid"
    """The form is right; the value is not that of this event by this key."""
    IN_DER = "in_der"
    IN_BASE64 = "in_base64"
    OTHER_LENGTH = "other_length"
    MALFORMED = "malformed"
    """No form that is known either."""
    KEY_UNKNOWN = "key_unknown"

    __hash__ = str.__hash__  # Enum's own is written in Python, and every event is looked up by its status
