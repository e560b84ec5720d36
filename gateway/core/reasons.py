"""The reasons, one ordered table: code, recipient, words and advice in both languages, and the check that
finds it.

The order is the order in which codes become the primary reason. Meanings, advice, checks, schemas, the
page's filters and the reference all follow from this table: a new check is a function in
``gateway.core.checks`` and an entry here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from gateway.core import checks
from gateway.core.checks import Facts, Findings
from gateway.core.event import Found
from gateway.core.province import COORDINATING_CENTRES, Province
from gateway.core.recognition import Listed, Listing, RowIndex
from gateway.core.signature import SignatureStatus
from gateway.core.words import EntryCode, Words


class Recipient(StrEnum):
    """Whom a rejection goes back to (the notice's closing note)."""

    PLATFORM = "platform"  # the publishing platform
    CENTRES = "centres"  # both coordinating centres
    ROW_ISSUERS = "row_issuers"  # the row's issuing units, both sides: they interpret channel, scenario and scope
    ROW_ISSUER_OF_ORIGIN = "row_issuer_of_origin"  # the row's issuing unit in the province that published


@dataclass(frozen=True, slots=True)
class EventCheck:
    """A check of the event's own facts."""

    find: Callable[[Facts], Findings]


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """A check of what came of verifying the signature."""

    find: Callable[[SignatureStatus], Findings]


@dataclass(frozen=True, slots=True)
class ListingCheck:
    """A check of what the list says; it must look at nothing else, because the native kernel repeats its
    answer."""

    find: Callable[[Listing], Findings]


@dataclass(frozen=True, slots=True)
class ReasonEntry(Words):
    """A reason: its code, its recipient, its words, the check that finds it (None: the reader of events
    does).

    ``value_is_at_fault``: the value found is what is wrong, and cases are distinguished by it; else by the
    field.
    """

    code: str
    recipient: Recipient
    check: EventCheck | SignatureCheck | ListingCheck | None = None
    value_is_at_fault: bool = False


class Code(EntryCode):
    """The reason codes; declaration order is primary-reason order."""

    entry: ReasonEntry

    INVALID_EVENT = ReasonEntry(
        "INVALID_EVENT", Recipient.PLATFORM,
        zh="事件不符合约定的格式",
        en="the event does not match the schema",
        advice_zh="请平台对照事件格式（schemas 中的 display-event）修正该字段后重新发布；涉及姓名、证件号码、手机号的，先行脱敏或删除。",
        advice_en="Correct the field named, by the event's schema (display-event), and publish the event again; where it is about a name, an id number or a phone number, mask it or leave it out first.",
    )  # fmt: skip
    SOURCE_MISMATCH = ReasonEntry(
        "SOURCE_MISMATCH", Recipient.PLATFORM,
        zh="事件来源（source）与发布省市不一致",
        en="the source does not match the publishing province",
        advice_zh="请平台核对发布配置：事件来源须与所发布的省市一致，不得代发对方省市的亮证事件。",
        advice_en="Check the platform's configuration: `source` is the province that publishes; nobody publishes for the other.",
        check=EventCheck(checks.source_mismatch),
        value_is_at_fault=True,
    )  # fmt: skip
    SIGNATURE_MISSING = ReasonEntry(
        "SIGNATURE_MISSING", Recipient.PLATFORM,
        zh="事件未签名（该省市要求签名）",
        en="the event is not signed; this province requires signatures",
        advice_zh="请平台为每个亮证事件签名（docs/signing.md）；尚未具备签名条件的，请与协调中心商定启用日期。",
        advice_en="Sign every event (docs/signing.md); a platform that cannot yet agrees with the centres on a date.",
        check=SignatureCheck(checks.signature_missing),
    )  # fmt: skip
    SIGNATURE_INVALID = ReasonEntry(
        "SIGNATURE_INVALID", Recipient.PLATFORM,
        zh="签名无效",
        en="the signature is invalid",
        advice_zh="请平台核对签名程序（docs/signing.md）：格式错误的，改为64字节签名值的128位十六进制形式；格式正确而内容不符的，签名须针对所发布的原始字节，发布前不得再改动事件内容；如有他人冒名发布的可能，请立即报告。",
        advice_en="Check the signing program (docs/signing.md). Where the form is wrong, write the 64 bytes as 128 hexadecimal digits, not in DER or Base64. Where the value does not match: signed are the very bytes that are sent, and nothing may change them afterwards; if somebody else may have published in the platform's name, report it at once.",
        check=SignatureCheck(checks.signature_invalid),
    )  # fmt: skip
    SIGNATURE_KEY_UNKNOWN = ReasonEntry(
        "SIGNATURE_KEY_UNKNOWN", Recipient.PLATFORM,
        zh="签名所用密钥未登记，或接收时不在有效期内",
        en="the signing key is not registered, or was not valid when the event was received",
        advice_zh="请平台使用已登记且在有效期内的密钥；更换密钥前，先向协调中心登记新公钥。",
        advice_en="Use a key that is registered and in its period; register the next one with the centres before changing.",
        check=SignatureCheck(checks.signature_key_unknown),
    )  # fmt: skip
    ID_REUSED = ReasonEntry(
        "ID_REUSED", Recipient.PLATFORM,
        zh="该事件标识下已有其他内容的事件通过并转发",
        en="an event with other content was forwarded under this id before",
        advice_zh="请平台为每次亮证生成不重复的事件标识；已转发的事件再次发布时，内容须与首次一致。",
        advice_en="Give every display an id of its own; an event that was forwarded may be published again only with the same content.",
        check=EventCheck(checks.id_reused),
    )  # fmt: skip
    FUTURE_EVENT = ReasonEntry(
        "FUTURE_EVENT", Recipient.PLATFORM,
        zh="亮证时间晚于接收时间，相差超过5分钟",
        en="the time is more than 5 minutes later than the event was received",
        advice_zh="请平台校准服务器时钟，并确认亮证时间带有正确的时区。",
        advice_en="Set the servers' clocks right, and check that the time bears the right offset.",
        check=EventCheck(checks.future_event),
    )  # fmt: skip
    STALE_EVENT = ReasonEntry(
        "STALE_EVENT", Recipient.PLATFORM,
        zh="接收时距亮证已超过72小时",
        en="the time is more than 72 hours before the event was received",
        advice_zh="请平台查明积压原因并及时发布；亮证满72小时后才发布的事件不再受理。",
        advice_en="Find what held the events up, and publish in time: an event published more than 72 hours after the display is not taken.",
        check=EventCheck(checks.stale_event),
    )  # fmt: skip
    NOT_CROSS_PROVINCE = ReasonEntry(
        "NOT_CROSS_PROVINCE", Recipient.PLATFORM,
        zh="亮证地点不在对方省市",
        en="the place of display is not in the other province",
        advice_zh="请平台只发布在对方省市的亮证；若地点确在对方省市，请修正行政区划代码。",
        advice_en="Publish displays in the other province only; if the place is there, correct its division code.",
        check=ListingCheck(checks.not_cross_province),
        value_is_at_fault=True,
    )  # fmt: skip
    CERTIFICATE_NOT_LISTED = ReasonEntry(
        "CERTIFICATE_NOT_LISTED", Recipient.CENTRES,
        zh="该证照未列入互认清单",
        en="no row of the recognition list has this certificate",
        advice_zh="请两个协调中心会同主管部门研究：该证照拟纳入互认的，以修订文件补入清单；不拟纳入的，告知发布平台停止发布。",
        advice_en="The centres and the departments decide whether the certificate is to be recognised: then an amendment adds it to the list, else the publisher is asked to stop.",
        check=ListingCheck(checks.certificate_not_listed),
        value_is_at_fault=True,
    )  # fmt: skip
    LIST_ROW_UNRESOLVED = ReasonEntry(
        "LIST_ROW_UNRESOLVED", Recipient.CENTRES,
        zh="清单该行有单元格缺失或系推断，须经修订文件确认后方可互认",
        en="this cell of the list's row is missing or inferred; an amendment has to resolve it first",
        advice_zh="请两个协调中心会同签发单位确认该单元格内容，并以修订文件补正；确认前，该行所涉亮证一律退回。",
        advice_en="The centres and the issuing units resolve the cell by an amendment; until then the row lets nothing through.",
        check=ListingCheck(checks.list_row_unresolved),
    )  # fmt: skip
    LIST_NOT_IN_EFFECT = ReasonEntry(
        "LIST_NOT_IN_EFFECT", Recipient.CENTRES,
        zh="亮证时，互认清单该行尚未生效或已失效",
        en="the list's row was not in effect when the certificate was shown",
        advice_zh="请两个协调中心核对该行的生效与失效日期；仍需互认的，以修订文件延续。",
        advice_en="Check when the row takes and loses effect; an amendment prolongs it where it is to go on.",
        check=EventCheck(checks.list_not_in_effect),
    )  # fmt: skip
    IDENTIFIER_INVALID = ReasonEntry(
        "IDENTIFIER_INVALID", Recipient.ROW_ISSUER_OF_ORIGIN,
        zh="电子证照标识格式或校验位错误（GB/T 36904）",
        en="the certificate identifier is malformed or its check character is wrong (GB/T 36904)",
        advice_zh="请签发单位检查电子证照标识的生成程序，校验位按 GB/T 36904 计算。",
        advice_en="Check the program that makes certificate identifiers; the check character is computed by GB/T 36904.",
        check=EventCheck(checks.identifier_invalid),
    )  # fmt: skip
    ISSUER_NOT_RECOGNISED = ReasonEntry(
        "ISSUER_NOT_RECOGNISED", Recipient.CENTRES,
        zh="签发单位与清单该行所列单位不符",
        en="the issuer is not one of the row's issuing units",
        advice_zh="请两个协调中心确认该签发单位的名称：单位更名或职能调整的，以修订文件更新清单；填写有误的，请平台更正。",
        advice_en="The centres confirm the issuer's name: where it changed, an amendment says so; where it is mistyped, the platform corrects it.",
        check=ListingCheck(checks.issuer_not_recognised),
        value_is_at_fault=True,
    )  # fmt: skip
    CHANNEL_NOT_RECOGNISED = ReasonEntry(
        "CHANNEL_NOT_RECOGNISED", Recipient.ROW_ISSUERS,
        zh="亮证渠道不在清单该行所列渠道内",
        en="the channel is not one of the row's channels",
        advice_zh="请签发单位确认该渠道是否可以亮证：可以的，提请以修订文件补入清单；不可以的，关闭该渠道的亮证入口。",
        advice_en="The issuing units say whether certificates may be shown there: if so, an amendment adds the channel; if not, the channel stops showing them.",
        check=ListingCheck(checks.channel_not_recognised),
        value_is_at_fault=True,
    )  # fmt: skip
    SCENARIO_NOT_RECOGNISED = ReasonEntry(
        "SCENARIO_NOT_RECOGNISED", Recipient.ROW_ISSUERS,
        zh="应用场景不在清单该行所列场景内",
        en="the scenario is not one of the row's scenarios",
        advice_zh="请签发单位确认该场景是否属于互认范围：属于的，提请以修订文件补入清单；仅措辞不同的，请平台改用清单所列场景代码；不属于的，请告知发布平台停止在该场景亮证。",
        advice_en="The issuing units say whether the scenario belongs to the recognition: if so, an amendment adds it; if only the words differ, the platform sends the list's scenario code.",
        check=ListingCheck(checks.scenario_not_recognised),
        value_is_at_fault=True,
    )  # fmt: skip
    OUT_OF_PILOT_SCOPE = ReasonEntry(
        "OUT_OF_PILOT_SCOPE", Recipient.ROW_ISSUERS,
        zh="亮证地点或核验单位不在试点范围内",
        en="the place or the verifying unit is outside the row's pilot scope",
        advice_zh="请签发单位确认该地点或单位是否纳入试点：纳入的，提请以修订文件扩大试点范围；未纳入的，请告知当地核验单位暂不受理。",
        advice_en="The issuing units say whether the place or unit is in the pilot: if so, an amendment widens it; if not, tell the place that it does not take part yet.",
        check=ListingCheck(checks.out_of_pilot_scope),
        value_is_at_fault=True,
    )  # fmt: skip
    CERTIFICATE_NOT_YET_VALID = ReasonEntry(
        "CERTIFICATE_NOT_YET_VALID", Recipient.ROW_ISSUER_OF_ORIGIN,
        zh="亮证时证照尚未生效",
        en="the certificate was not yet valid when it was shown",
        advice_zh="请签发单位核对证照的生效日期；尚未生效的证照，应用端不得提供亮证。",
        advice_en="Check the day from which the certificate is valid; an app should not show it before.",
        check=EventCheck(checks.certificate_not_yet_valid),
    )  # fmt: skip
    CERTIFICATE_EXPIRED = ReasonEntry(
        "CERTIFICATE_EXPIRED", Recipient.ROW_ISSUER_OF_ORIGIN,
        zh="亮证时证照已过有效期",
        en="the certificate had expired when it was shown",
        advice_zh="请签发单位提醒持证主体换证，并在应用中停止展示已过期的证照；已延期的，及时更新有效期。",
        advice_en="Remind the holder to renew, and stop showing expired certificates; where one was prolonged, bring its date up to date.",
        check=EventCheck(checks.certificate_expired),
    )  # fmt: skip


class Reason(msgspec.Struct, frozen=True, gc=False):
    """Why an event is rejected: a code, what was found, and the units that can put it right.

    ``found`` is set only where the field cannot hold personal data.
    """

    code: Code
    field: str
    found: str | None
    accepted: tuple[str, ...]
    detail: tuple[str, str] | None
    units: tuple[str, ...]

    @property
    def zh(self) -> str:
        """The message in Chinese."""
        message = self.code.entry.zh
        return f"{message}：{self.detail[0]}" if self.detail else message

    @property
    def en(self) -> str:
        """The message in English."""
        message = self.code.entry.en
        return f"{message}: {self.detail[1]}" if self.detail else message


Reasons = tuple[Reason, ...]

_EVENT_CHECKS = tuple((code, code.entry.check.find) for code in Code if isinstance(code.entry.check, EventCheck))
_SIGNATURE_CHECKS = tuple(
    (code, code.entry.check.find) for code in Code if isinstance(code.entry.check, SignatureCheck)
)
_LISTING_CHECKS = tuple((code, code.entry.check.find) for code in Code if isinstance(code.entry.check, ListingCheck))
_RANK = {code: rank for rank, code in enumerate(Code)}


def find_reasons(facts: Facts) -> Reasons:
    """Make all checks; return what they find, the primary reason first."""
    reasons = _found_in_listing(facts.listing) + _found_in_signature(facts.signature, facts.province)
    for code, find in _EVENT_CHECKS:
        if findings := find(facts):
            reasons += tuple(reason_of(code, each, facts.province, _row_of(facts.listing)) for each in findings)
    return tuple(sorted(reasons, key=_rank)) if len(reasons) > 1 else reasons


def reason_of(code: Code, found: Found, province: Province | None, row: RowIndex | None = None) -> Reason:
    """Make the reason for what was found in an event of ``province``; ``row`` is the one that lists the
    certificate."""
    units = recipients_of(code.entry.recipient, province, row)
    return Reason(code, found.field, found.found, found.accepted, found.detail, units)


def _rank(reason: Reason) -> int:
    return _RANK[reason.code]


def _row_of(listing: Listing) -> RowIndex | None:
    return listing.row if isinstance(listing, Listed) else None


def _found_in_signature(status: SignatureStatus, province: Province) -> Reasons:
    return tuple(reason_of(code, each, province) for code, find in _SIGNATURE_CHECKS for each in find(status))


def _found_in_listing(listing: Listing) -> Reasons:
    province, row = listing.shown.province, _row_of(listing)
    return tuple(reason_of(code, each, province, row) for code, find in _LISTING_CHECKS for each in find(listing))


def recipients_of(recipient: Recipient, province: Province | None, row: RowIndex | None) -> tuple[str, ...]:
    """Return the recipients of a reason: the row's issuers where they are resolved, else the centres."""
    if recipient is Recipient.PLATFORM:
        return (province.platform,) if province else COORDINATING_CENTRES
    if recipient is Recipient.CENTRES or row is None or province is None:
        return COORDINATING_CENTRES
    provinces = (province,) if recipient is Recipient.ROW_ISSUER_OF_ORIGIN else (province, province.other)
    return row.issuing_units(*provinces) or COORDINATING_CENTRES
