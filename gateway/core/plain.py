"""The event as decisions use it: the contract's fields as plain structs, made at a tenth of the cost of the models.

``gateway.core.event`` is the contract. ``plain_event`` only says yes where those models say yes (property-tested); to whatever it
does not recognise at once it says nothing, and the models are asked.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec

from gateway.core.event import MAX_ID_LENGTH
from gateway.core.identifier import MAX_LENGTH as MAX_IDENTIFIER_LENGTH
from gateway.core.privacy import is_masked
from gateway.core.times import RFC3339, is_date, parse_instant

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=500)]


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See ``gateway.core.event.Certificate``."""

    type_name: Name
    issuer_name: Name
    type_code: str | None = None
    identifier: Annotated[str, msgspec.Meta(max_length=MAX_IDENTIFIER_LENGTH)] | None = None
    issuer_code: str | None = None
    valid_from: str | None = None
    valid_until: str | None = None


class Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See ``gateway.core.event.Holder``."""

    kind: Literal["person", "organisation"]
    ref: str
    name_masked: Name | None = None


class Display(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See ``gateway.core.event.Display``."""

    channel: Name
    scenario: Name
    region_code: str
    matter_name: Text | None = None
    matter_code: Text | None = None
    verifier_name: Text | None = None
    verifier_code: Text | None = None


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See ``gateway.core.event.DisplayData``."""

    certificate: Certificate
    holder: Holder
    display: Display


class Event(msgspec.Struct, frozen=True):
    """See ``gateway.core.event.DisplayEvent``; extension attributes stay beside it."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
    source: Literal["urn:chuanyu:sichuan", "urn:chuanyu:chongqing"]
    type: Literal["cn.chuanyu.certificate.displayed.v1"]
    time: str
    data: Data
    datacontenttype: Literal["application/json"] | None = None


def plain_event(attributes: Mapping[str, Any]) -> Event | None:
    """The event of these attributes, if they surely keep the contract's schema; None is no verdict."""
    try:
        event = msgspec.convert(attributes, Event)
    except msgspec.ValidationError:
        return None
    certificate, holder = event.data.certificate, event.data.holder
    shapes_fit = (
        _HOLDER_REF.fullmatch(holder.ref)
        and (holder.name_masked is None or is_masked(holder.name_masked))
        and _is_region(event.data.display.region_code)
        and (certificate.type_code is None or _is_type_code(certificate.type_code))
        and (certificate.issuer_code is None or _is_organisation_code(certificate.issuer_code))
        and (certificate.valid_from is None or is_date(certificate.valid_from))
        and (certificate.valid_until is None or is_date(certificate.valid_until))
        and _INSTANT.match(event.time)
        and parse_instant(event.time) is not None
    )
    return event if shapes_fit else None


def valid_event(attributes: Mapping[str, Any]) -> Event:
    """The event of attributes that the models have found valid."""
    return msgspec.convert({**attributes, "datacontenttype": None}, Event)


def _remembered(pattern: str) -> Any:
    """A test for ``pattern`` that remembers: these codes are few and come again and again."""
    return lru_cache(maxsize=4096)(re.compile(pattern, re.ASCII).fullmatch)


_HOLDER_REF = re.compile(r"sm3:[0-9a-fA-F]{64}")
_INSTANT = re.compile(RFC3339.replace("$", r"\Z"))
_is_region = _remembered(r"[0-9]{6}")
_is_type_code = _remembered(r"[0-9A-Z]{18}[0-9]{3}")
_is_organisation_code = _remembered(r"[0-9A-Z]{18}")
