"""The certificate-display event as pydantic models: CloudEvents 1.0 with the contract's ``data``.

These models are the contract: the JSON Schemas are exported from them, and every event is validated by them.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from gateway.core.identifier import MAX_LENGTH as MAX_IDENTIFIER_LENGTH
from gateway.core.privacy import is_masked
from gateway.core.times import RFC3339, is_date, parse_instant

EVENT_TYPE = "cn.chuanyu.certificate.displayed.v1"
MAX_EVENT_BYTES = 262_144
"""The largest event that is read; CloudEvents 1.0 asks for 64 KiB at least."""
MAX_ID_LENGTH = 256
TRACE_CONTEXT = frozenset({"traceparent", "tracestate"})
"""The distributed-tracing extension: carried along, but not part of an event's content (a repetition may have its own)."""
NO_CONTENT = TRACE_CONTEXT | {"signature", "signaturekey"}
"""Attributes that are no part of an event's content: signing the same event again gives another signature."""


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


Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
OptionalText = Annotated[str, StringConstraints(max_length=500)] | None
Date = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_real_date),
    Field(json_schema_extra={"format": "date"}),
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
EventId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_LENGTH)]
Instant = Annotated[
    str,
    StringConstraints(pattern=RFC3339),
    AfterValidator(_real_instant),
    Field(json_schema_extra={"format": "date-time"}),
]


class _Closed(BaseModel):
    """Unknown fields are refused: they may be personal data."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, title=None)


class Certificate(_Closed):
    """The certificate (电子证照) that was shown; codes by GB/T 36902 (type), GB 32100 (issuer), GB/T 36904 (identifier)."""

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
    """The event's ``data``."""

    certificate: Certificate
    holder: Holder
    display: Display


class DisplayEvent(BaseModel):
    """A certificate-display event: CloudEvents 1.0; unknown extension attributes are allowed and carried along."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, str | bool | int | None]

    specversion: Literal["1.0"]
    id: EventId
    source: Literal["urn:chuanyu:sichuan", "urn:chuanyu:chongqing"]
    type: Literal["cn.chuanyu.certificate.displayed.v1"]
    time: Instant = Field(description="When the certificate was shown (亮证时间), with an offset.")
    datacontenttype: Annotated[str, StringConstraints(pattern=r"^(?i:application/json)(\s*;.*)?$")] | None = None
    data: DisplayData
