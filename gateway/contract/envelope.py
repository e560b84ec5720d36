"""The CloudEvents attributes that all records of the gateway have, and the parts that several messages
share."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from gateway.contract.display_event.model import EventId, Instant
from gateway.core.decision import ENGINE_VERSION, Decision
from gateway.core.event import Carried

GATEWAY_SOURCE = "urn:chuanyu:gateway"

_NOTHING_CARRIED: Carried = {}

encode = msgspec.json.Encoder().encode
"""Writes every record: JSON without blanks, members in the order in which they were built."""

Digest = Annotated[str, StringConstraints(pattern=r"^(sha256|sm3):[0-9a-f]{64}$")]


class Part(BaseModel):
    """A part of a message; nothing but its fields may stand there."""

    model_config = ConfigDict(extra="forbid", title=None)


def _may_be_absent(schema: dict[str, Any]) -> None:
    """Return a field for an attribute that is left out rather than null."""
    del schema["default"]


class SentEnvelope(BaseModel):
    """The CloudEvents attributes of what the gateway writes; those of the event are carried along."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | bool | int]

    specversion: Literal["1.0"]
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] = Field(description="From the decision's digest.")
    source: Literal["urn:chuanyu:gateway"]
    time: Instant = Field(description="When the input record was received: the broker's timestamp.")
    datacontenttype: Literal["application/json"]
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")] | SkipJsonSchema[None] = Field(
        None, description="The gateway's, over id, source, time and data (docs/signing.md), where it signs.",
        json_schema_extra=_may_be_absent,
    )  # fmt: skip
    signaturekey: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | SkipJsonSchema[None] = Field(
        None, description="The id of the key that made it.", json_schema_extra=_may_be_absent
    )


class EventRef(Part):
    """Names the event that a record is about. ``time`` is null where it could not be read."""

    id: EventId
    source: str
    time: Instant | None


class DecisionRef(Part):
    """What proves the decision again: input, content, list and engine."""

    received: Instant
    engine_version: str
    input_digest: Digest = Field(
        description="Over the input record's value. Where it has `ce_` headers, over netstrings: name and value of each of them "
        "and of `content-type`, sorted, and then the value."
    )
    content_digest: Digest = Field(
        description="Over the event in canonical form without nulls, media type, signature and trace context, the time as an "
        "instant."
    )
    digest: Digest = Field(description="Over input digest, list digest, engine version, outcome and reasons.")


class Message(Part):
    """A sentence for people, in Chinese and English."""

    zh: str
    en: str


def build_record(event_type: str, record_id: str, time: str, data: Any, carried: Carried = _NOTHING_CARRIED) -> bytes:
    """Build a record's JSON: the CloudEvents attributes, those ``carried`` along, ``data``; ``time`` is RFC
    3339."""
    return encode(
        {
            "specversion": "1.0",
            "id": record_id,
            "source": GATEWAY_SOURCE,
            "type": event_type,
            "time": time,
            "datacontenttype": "application/json",
            **carried,
            "data": data,
        }
    )


def record_id(digest: str) -> str:
    """Take the id of a record from a digest: half of it, so that the same decision has the same id again."""
    return digest.partition(":")[2][:32]


# What is sent by the thousand is built of structs, which are encoded in half the time that dictionaries
# take.


class SentEvent(msgspec.Struct, frozen=True, gc=False):
    """``EventRef``, as it is sent and read back."""

    id: str
    source: str
    time: str | None = None


class SentDecision(msgspec.Struct, frozen=True, gc=False):
    """``DecisionRef``, as it is sent and read back."""

    received: str
    engine_version: str
    input_digest: str
    content_digest: str
    digest: str


def build_decision_ref(decision: Decision, content_digest: str) -> SentDecision:
    """Build what proves ``decision`` again."""
    return SentDecision(decision.received, ENGINE_VERSION, decision.input_digest, content_digest, decision.digest)
