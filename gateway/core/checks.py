"""The checks, one function each. ``gateway.core.reasons`` has them in order, each with its reason code and
words.

A check returns what it found wrong, nothing where the event passes it. All checks are made and all findings
reported. A check looks at one thing only: at the event's facts, at its signature's status, or at what the
list says of it. What the last two find is the same for very many events, and the
native kernel repeats it.
"""

from collections.abc import Callable

import msgspec

from gateway.core.event import Event, Found
from gateway.core.identifier import is_valid_identifier
from gateway.core.province import SOURCES, Province
from gateway.core.recognition import Comparison, Dimension, Listed, Listing, Match, Provenance, RowRef
from gateway.core.signature import SignatureStatus
from gateway.core.times import HOUR, MINUTE

FUTURE_TOLERANCE = 5 * MINUTE
STALE_AFTER = 72 * HOUR

_CELLS_ZH = {
    "certificate": "电子证照名称",
    "issuers": "签发单位",
    "channels": "亮证渠道",
    "scenarios": "应用场景",
    "scope": "试点范围",
}

_FORM_ZH, _FORM_EN = (
    "应为128位十六进制数字（64字节：SM2为r‖s，Ed25519按RFC 8032）",
    "it must be 128 hexadecimal digits, 64 bytes",
)
_SIGNATURE_FAULTS = {
    SignatureStatus.INVALID: (
        "格式正确，但与该事件内容及密钥不符", "its form is right, but its value does not match the event and key",
    ),
    SignatureStatus.IN_DER: (f"格式错误，为DER编码；{_FORM_ZH}", f"its form is wrong, it is in DER; {_FORM_EN}"),
    SignatureStatus.IN_BASE64: (f"格式错误，为Base64编码；{_FORM_ZH}", f"its form is wrong, it is in Base64; {_FORM_EN}"),
    SignatureStatus.OTHER_LENGTH: (f"格式错误，长度不符；{_FORM_ZH}", f"its form is wrong, it has another length; {_FORM_EN}"),
    SignatureStatus.MALFORMED: (f"格式错误；{_FORM_ZH}", f"its form is wrong; {_FORM_EN}"),
}  # fmt: skip


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What a check of the event may look at. Instants in microseconds since the epoch; ``shown_on`` a date
    in UTC+8."""

    event: Event
    province: Province
    shown_at: int
    shown_on: str
    received_at: int
    id_reused: bool
    signature: SignatureStatus
    listing: Listing


Findings = tuple[Found, ...]


def source_mismatch(facts: Facts) -> Findings:
    """Find that ``source`` is not the province whose topic the event came on."""
    if SOURCES[facts.event.source] is facts.province:
        return ()
    return (Found("source", facts.event.source, (facts.province.source,)),)


def signature_missing(signature: SignatureStatus) -> Findings:
    """Find that the province's events must be signed, and this one is not."""
    return (Found("signature"),) if signature is SignatureStatus.MISSING else ()


def signature_invalid(signature: SignatureStatus) -> Findings:
    """Find that the signature has another form than it must, or is not that of this event by this key."""
    what = _SIGNATURE_FAULTS.get(signature)
    return (Found("signature", detail=what),) if what else ()


def signature_key_unknown(signature: SignatureStatus) -> Findings:
    """Find that no such key of the province was valid when the event was received."""
    return (Found("signaturekey"),) if signature is SignatureStatus.KEY_UNKNOWN else ()


def id_reused(facts: Facts) -> Findings:
    """Find that the id was seen before with other content."""
    return (Found("id"),) if facts.id_reused else ()


def future_event(facts: Facts) -> Findings:
    """Find that ``time`` is later than received by more than 5 minutes."""
    if facts.shown_at <= facts.received_at + FUTURE_TOLERANCE:
        return ()
    return (Found("time", facts.event.time),)


def stale_event(facts: Facts) -> Findings:
    """Find that ``time`` is earlier than received by more than 72 hours."""
    if facts.shown_at >= facts.received_at - STALE_AFTER:
        return ()
    return (Found("time", facts.event.time),)


def not_cross_province(listing: Listing) -> Findings:
    """Find that ``region_code`` does not lie in the other province."""
    shown, other = listing.shown, listing.shown.province.other
    if shown.place is other:
        return ()
    return (Found("display.region_code", shown.region_code, (f"{other.region_prefix}……（{other.chinese}）",)),)


def certificate_not_listed(listing: Listing) -> Findings:
    """Find that no row has this certificate; the nearest row's name would have been accepted."""
    if isinstance(listing, Listed):
        return ()
    nearest = listing.nearest.row.certificate if listing.nearest else None
    return (Found("certificate.type_name", listing.shown.type_name, (nearest,) if nearest else ()),)


def list_row_unresolved(listing: Listing) -> Findings:
    """Find that a cell that a check needs is inferred or missing: the row fails closed."""
    if not isinstance(listing, Listed) or listing.comparison.resolved:
        return ()
    return tuple(
        Found(each.field, each.found, detail=_cell_in_words(listing.row.ref, each))
        for each in listing.comparison.all
        if each.match is Match.UNRESOLVED
    )


def list_not_in_effect(facts: Facts) -> Findings:
    """Find that the certificate is listed, but not yet or no longer when it was shown."""
    if not isinstance(facts.listing, Listed) or facts.listing.in_effect:
        return ()
    return (Found("time", facts.event.time),)


def identifier_invalid(facts: Facts) -> Findings:
    """Find that the identifier is malformed or its check character wrong; it is personal, so it is not
    repeated."""
    identifier = facts.event.data.certificate.identifier
    if identifier is None or is_valid_identifier(identifier):
        return ()
    return (Found("certificate.identifier"),)


def issuer_not_recognised(listing: Listing) -> Findings:
    """Find that the issuer is not the row's."""
    return _mismatch(listing, lambda comparison: comparison.issuer)


def channel_not_recognised(listing: Listing) -> Findings:
    """Find that the channel is not the row's."""
    return _mismatch(listing, lambda comparison: comparison.channel)


def scenario_not_recognised(listing: Listing) -> Findings:
    """Find that the scenario is not the row's."""
    return _mismatch(listing, lambda comparison: comparison.scenario)


def out_of_pilot_scope(listing: Listing) -> Findings:
    """Find that the place or the unit is outside the row's scope on the other side."""
    return _mismatch(listing, lambda comparison: comparison.scope)


def certificate_not_yet_valid(facts: Facts) -> Findings:
    """Find that it was shown before ``valid_from``, a day that counts in itself."""
    first = facts.event.data.certificate.valid_from
    if first is None or facts.shown_on >= first:
        return ()
    return (Found("certificate.valid_from", first),)


def certificate_expired(facts: Facts) -> Findings:
    """Find that it was shown after ``valid_until``, a day that counts in itself."""
    last = facts.event.data.certificate.valid_until
    if last is None or facts.shown_on <= last:
        return ()
    return (Found("certificate.valid_until", last),)


def _mismatch(listing: Listing, pick: Callable[[Comparison], Dimension]) -> Findings:
    if not isinstance(listing, Listed) or listing.comparison.misses == 0:
        return ()
    dimension = pick(listing.comparison)
    if dimension.match is not Match.MISMATCH:
        return ()
    return (Found(dimension.field, dimension.found, dimension.accepted),)


def _cell_in_words(row: RowRef, dimension: Dimension) -> tuple[str, str]:
    column = _CELLS_ZH[dimension.cell.partition(".")[0]]
    state = "缺失" if dimension.provenance is Provenance.MISSING else "系推断"
    return (
        f"第{row.batch}批第{row.row}行“{column}”{state}",
        f"row {row}, cell {dimension.cell}, {dimension.provenance.value}",
    )
