"""The certificate-display event as pydantic models: CloudEvents 1.0 with the contract's ``data``.

These models are the contract: the JSON Schemas are exported from them, and every event is validated by them.
"""

import copy
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from gateway.contract.data_encoding import BASE64, DATA_BASE64, JSON_TYPE
from gateway.core.identifier import MAX_LENGTH as MAX_IDENTIFIER_LENGTH
from gateway.core.privacy import is_masked
from gateway.core.times import RFC3339, is_date, parse_instant

EVENT_TYPE = "cn.chuanyu.certificate.displayed.v1"
MAX_EVENT_BYTES = 262_144
"""The largest event that is read; CloudEvents 1.0 asks for 64 KiB at least."""
MAX_ID_LENGTH = 256
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
ATTRIBUTE_NAME = "[a-z0-9]+"
"""CloudEvents 1.0, naming conventions. It asks for no more than 20 characters, and forbids no more."""
INT32 = 2**31
"""An extension attribute that is an integer lies between this and its negative (CloudEvents 1.0, type
system)."""
NOT_EMPTY = frozenset({"subject", "dataschema"})
"""Attributes that are optional and strings, but never empty ones (CloudEvents 1.0)."""
TRACE_CONTEXT = frozenset({"traceparent", "tracestate"})
"""The distributed-tracing extension: carried along, but not part of an event's content (a repetition may
have its own)."""
_DISALLOWED = r"\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff"
"""Ranges for a pattern: what CloudEvents allows in no string, of the characters that four digits can
name."""
_UNPRINTABLE = (  # ECMA-262's notation
    r"\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ue000-\uf8ff\ufeff\ufff9-\ufffb"
)
"""Ranges for a pattern: controls, blanks other than the space, what has no width, private use."""
# For the published patterns: the gateway's calendar knows no year 0, no 24:00 and no leap second, as some
# validators' do.
_DAY = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_PUBLISHED_DATE = f"^{_DAY}$"
_PUBLISHED_INSTANT = f"^{_DAY}[Tt]{_CLOCK}:[0-5][0-9](?:[.][0-9]{{1,9}})?(?:[Zz]|[+-]{_CLOCK})$"
NO_CONTENT = TRACE_CONTEXT | {"signature", "signaturekey"}
"""Attributes that are not part of an event's content: signing the same event again gives another
signature."""


def _real_date(text: str) -> str:
    if not is_date(text):
        raise PydanticCustomError("date", "must be a calendar date, YYYY-MM-DD")
    return text


def _real_instant(text: str) -> str:
    if parse_instant(text) is None:
        raise PydanticCustomError("instant", "must be an existing RFC 3339 date-time with an offset")
    return text


def _masked(name: str) -> str:
    if not is_masked(name):
        raise PydanticCustomError("unmasked", "must be masked with *, ＊, 某 or ○")
    return name


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("unprintable", "must be printable")
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
OptionalText = Annotated[str, StringConstraints(max_length=500)] | None
Date = Annotated[
    str,
    StringConstraints(pattern=DATE),
    AfterValidator(_real_date),
    Field(json_schema_extra={"format": "date", "pattern": _PUBLISHED_DATE}),
]
TypeCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{18}[0-9]{3}$")]
OrganisationCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{18}$")]
RegionCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
HolderRef = Annotated[str, StringConstraints(pattern=r"^sm3:[0-9a-fA-F]{64}$")]
MaskedName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(_masked),
    Field(json_schema_extra={"pattern": "[*＊某○]"}),
]
EventId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ID_LENGTH),
    AfterValidator(_printable),
    # As far as a pattern that every validator compiles can say it; the description says the rest.
    Field(json_schema_extra={"pattern": f"^[^{_UNPRINTABLE}]+$"}),
]
Instant = Annotated[
    str,
    StringConstraints(pattern=RFC3339),
    AfterValidator(_real_instant),
    Field(json_schema_extra={"format": "date-time", "pattern": _PUBLISHED_INSTANT}),
]


class _Closed(BaseModel):
    """Unknown fields are refused: they may be personal data."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, title=None)


class Certificate(_Closed):
    """The certificate (电子证照) that was shown; codes by GB/T 36902 (type), GB 32100 (issuer), GB/T 36904
    (identifier)."""

    type_name: Name = Field(description="Certificate name (证照名称).")
    type_code: TypeCode | None = Field(None, description="Certificate type code: the definer's USCC and 3 digits.")
    # Its own shape and check character are IDENTIFIER_INVALID's matter, not the schema's.
    identifier: Annotated[str, StringConstraints(max_length=MAX_IDENTIFIER_LENGTH)] | None = Field(
        None, description="Certificate identifier (电子证照标识), with or without the OID."
    )
    issuer_name: Name = Field(description="Issuing unit (签发单位).")
    issuer_code: OrganisationCode | None = Field(None, description="The issuing unit's unified social credit code.")
    valid_from: Date | None = Field(None, description="First day of validity, inclusive, UTC+8.")
    valid_until: Date | None = Field(None, description="Last day of validity, inclusive, UTC+8.")


class Holder(_Closed):
    """The holder (持证主体), pseudonymous: a digest and a masked name."""

    kind: Literal["person", "organisation"] = Field(description="A natural person or an organisation.")
    ref: HolderRef = Field(description="SM3 digest that stands for the holder; also the Kafka record's key.")
    name_masked: MaskedName | None = Field(None, description="The holder's name, masked.")


class Display(_Closed):
    """Where, how and to whom the certificate was shown (亮证)."""

    channel: Name = Field(description="The app it was shown with (亮证渠道).")
    scenario: Name = Field(description="Scenario code RR-n, or the scenario's text or an alias in the list (应用场景).")
    matter_name: OptionalText = Field(None, description="The Sichuan-Chongqing matter (川渝通办事项).")
    matter_code: OptionalText = Field(None, description="That matter's code.")
    region_code: RegionCode = Field(description="Place of display: administrative division code, GB/T 2260.")
    verifier_name: OptionalText = Field(None, description="The unit that looked at the certificate (核验单位).")
    verifier_code: OptionalText = Field(None, description="That unit's code.")


class DisplayData(_Closed):
    """The event's `data`. No string in it holds a resident identity number or a mobile number; a valid
    unified social credit code in `issuer_code` or `verifier_code` is not one, whatever its digits look
    like."""

    certificate: Certificate
    holder: Holder
    display: Display


_TEXT = {"type": "string", "not": {"pattern": f"[{_DISALLOWED}]"}}
_NULL = {"type": "null"}
OPTIONAL_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "subject": {
        "anyOf": [{**_TEXT, "minLength": 1}, _NULL],
        "description": "What the event is about, within its source. Carried along.",
    },
    "dataschema": {"anyOf": [{**_TEXT, "minLength": 1}, _NULL], "description": "Whatever schema the platform has for `data`."},
    "traceparent": {
        "anyOf": [_TEXT, _NULL],
        "description": "The trace context (W3C). Carried along where it is well-formed; else neither it nor `tracestate` is.",
    },
    "tracestate": {
        "anyOf": [_TEXT, _NULL],
        "description": "Belongs to `traceparent`. Carried along if it is 1 to 512 characters of printable ASCII.",
    },
    DATA_BASE64: {
        "anyOf": [
            {"type": "string", "pattern": BASE64, "contentEncoding": "base64", "contentMediaType": "application/json"}, _NULL,
        ],
        "description": "Instead of `data`: Base64 of its JSON text, in UTF-8.",
    },
}  # fmt: skip
"""What the schema says of the attributes and members beside those of the model, which ``extensions`` and the
readers check."""


def _with_optional_attributes(schema: dict[str, Any]) -> None:
    """Say of an event what the model alone does not: which other attributes it may have, and where its data
    may stand."""
    data = schema["properties"].pop("data")
    schema["properties"] |= {
        **copy.deepcopy(OPTIONAL_ATTRIBUTES),
        "data": {"anyOf": [data, _NULL], "description": "What was shown. Required, here or in `data_base64`."},
    }
    schema["properties"][DATA_BASE64]["anyOf"][0]["contentSchema"] = dict(data)
    schema["required"].remove("data")
    is_there = {"not": _NULL}
    schema["oneOf"] = [
        {"required": ["data"], "properties": {"data": is_there, DATA_BASE64: _NULL}},
        {"required": [DATA_BASE64], "properties": {DATA_BASE64: is_there, "data": _NULL}},
    ]
    schema["propertyNames"] = {"pattern": f"^(?:{ATTRIBUTE_NAME}|{DATA_BASE64})$"}
    schema["additionalProperties"] = {
        "anyOf": [_TEXT, {"type": "boolean"}, {"type": "integer", "minimum": -INT32, "maximum": INT32 - 1}, _NULL],
        "description": "An extension attribute; an integer is written without fraction and exponent. No string holds "
        "a lone surrogate, a character U+nFFFE or U+nFFFF of any plane, or a resident identity number "
        "or mobile number, nor does a name.",
    }


class DisplayEvent(BaseModel):
    """A certificate-display event: CloudEvents 1.0; unknown extension attributes are allowed and carried
    along.

    The whole record, with key and headers, has 262,144 bytes at the most, and no object has a member twice.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, json_schema_extra=_with_optional_attributes)
    __pydantic_extra__: dict[str, str | bool | int | None]

    specversion: Literal["1.0"]
    id: EventId = Field(
        description="Unique per display within source and holder. Printable characters only (none of the Unicode categories "
        "C and Z but the space), and no resident identity number or mobile number in it."
    )
    source: Literal["urn:chuanyu:sichuan", "urn:chuanyu:chongqing"]
    type: Literal["cn.chuanyu.certificate.displayed.v1"]
    time: Instant = Field(
        description="When the certificate was shown (亮证时间), with an offset: a moment that exists, and no leap second. "
        "Its day in China (UTC+8) is of the years 1 to 9999."
    )
    datacontenttype: Annotated[str, StringConstraints(pattern=JSON_TYPE)] | None = Field(
        None, description="A media type of JSON; absent and all that match say the same."
    )
    data: DisplayData
