"""Reason codes in the order in which they become the primary reason, what they say, and who hears of them."""

from dataclasses import dataclass
from enum import StrEnum


class Hears(StrEnum):
    """Who a rejection goes back to (CONTRACT: reason codes; the notice's closing note)."""

    PLATFORM = "platform"  # the publishing platform
    CENTRES = "centres"  # both coordinating centres
    ROW_ISSUERS = (
        "row_issuers"  # the row's issuing units (签发单位), both sides: they interpret channel, scenario and scope
    )
    ROW_ISSUER_OF_ORIGIN = "row_issuer_of_origin"  # the row's issuing unit in the province that published


class Code(StrEnum):
    """The contract's reason codes; declaration order is primary-reason order."""

    INVALID_EVENT = "INVALID_EVENT"
    SOURCE_MISMATCH = "SOURCE_MISMATCH"
    SIGNATURE_MISSING = "SIGNATURE_MISSING"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    SIGNATURE_KEY_UNKNOWN = "SIGNATURE_KEY_UNKNOWN"
    ID_REUSED = "ID_REUSED"
    FUTURE_EVENT = "FUTURE_EVENT"
    STALE_EVENT = "STALE_EVENT"
    NOT_CROSS_PROVINCE = "NOT_CROSS_PROVINCE"
    CERTIFICATE_NOT_LISTED = "CERTIFICATE_NOT_LISTED"
    LIST_ROW_UNRESOLVED = "LIST_ROW_UNRESOLVED"
    LIST_NOT_IN_EFFECT = "LIST_NOT_IN_EFFECT"
    IDENTIFIER_INVALID = "IDENTIFIER_INVALID"
    ISSUER_NOT_RECOGNISED = "ISSUER_NOT_RECOGNISED"
    CHANNEL_NOT_RECOGNISED = "CHANNEL_NOT_RECOGNISED"
    SCENARIO_NOT_RECOGNISED = "SCENARIO_NOT_RECOGNISED"
    OUT_OF_PILOT_SCOPE = "OUT_OF_PILOT_SCOPE"
    CERTIFICATE_NOT_YET_VALID = "CERTIFICATE_NOT_YET_VALID"
    CERTIFICATE_EXPIRED = "CERTIFICATE_EXPIRED"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code says in both languages, and who can mend it."""

    hears: Hears
    zh: str
    en: str


MEANINGS: dict[Code, Meaning] = {
    Code.INVALID_EVENT: Meaning(Hears.PLATFORM, "事件不符合约定的格式", "the event breaks the schema"),
    Code.SOURCE_MISMATCH: Meaning(
        Hears.PLATFORM,
        "来源（source）与所在主题的省市不一致",
        "the source is not the province whose topic the event came on",
    ),
    Code.SIGNATURE_MISSING: Meaning(
        Hears.PLATFORM,
        "事件未签名，而该省市的事件须签名",
        "the event bears no signature, and this province's events must",
    ),
    Code.SIGNATURE_INVALID: Meaning(
        Hears.PLATFORM, "签名与事件内容不符", "the signature is not that of this event by this key"
    ),
    Code.SIGNATURE_KEY_UNKNOWN: Meaning(
        Hears.PLATFORM,
        "签名所用密钥未登记，或接收时不在有效期内",
        "the signing key is not registered, or was not valid when the event was received",
    ),
    Code.ID_REUSED: Meaning(
        Hears.PLATFORM, "同一事件标识此前已用于不同内容", "this id was seen before with other content"
    ),
    Code.FUTURE_EVENT: Meaning(
        Hears.PLATFORM,
        "亮证时间晚于接收时间超过5分钟",
        "the time is more than 5 minutes later than the event was received",
    ),
    Code.STALE_EVENT: Meaning(
        Hears.PLATFORM, "亮证时间早于接收时间超过72小时", "the time is more than 72 hours before the event was received"
    ),
    Code.NOT_CROSS_PROVINCE: Meaning(
        Hears.PLATFORM, "亮证地点不在对方省市", "the place of display is not in the other province"
    ),
    Code.CERTIFICATE_NOT_LISTED: Meaning(
        Hears.CENTRES, "互认清单中没有该证照", "no row of the recognition list has this certificate"
    ),
    Code.LIST_ROW_UNRESOLVED: Meaning(
        Hears.CENTRES,
        "互认清单该行的此单元格缺失或系推断，须由修订文件确认后方可互认",
        "this cell of the list's row is missing or inferred; an amendment has to settle it first",
    ),
    Code.LIST_NOT_IN_EFFECT: Meaning(
        Hears.CENTRES,
        "亮证时互认清单的该行不在有效期内",
        "the list's row was not in effect when the certificate was shown",
    ),
    Code.IDENTIFIER_INVALID: Meaning(
        Hears.ROW_ISSUER_OF_ORIGIN,
        "电子证照标识格式或校验位错误（GB/T 36904）",
        "the certificate identifier is malformed or its check character is wrong (GB/T 36904)",
    ),
    Code.ISSUER_NOT_RECOGNISED: Meaning(
        Hears.CENTRES, "签发单位不是清单该行所列单位", "the issuer is not one of the row's issuing units"
    ),
    Code.CHANNEL_NOT_RECOGNISED: Meaning(
        Hears.ROW_ISSUERS, "亮证渠道不在清单该行所列渠道内", "the channel is not one of the row's channels"
    ),
    Code.SCENARIO_NOT_RECOGNISED: Meaning(
        Hears.ROW_ISSUERS, "应用场景不在清单该行所列场景内", "the scenario is not one of the row's scenarios"
    ),
    Code.OUT_OF_PILOT_SCOPE: Meaning(
        Hears.ROW_ISSUERS,
        "亮证地点或核验单位不在试点范围内",
        "the place or the verifying unit is outside the row's pilot scope",
    ),
    Code.CERTIFICATE_NOT_YET_VALID: Meaning(
        Hears.ROW_ISSUER_OF_ORIGIN, "亮证时证照尚未生效", "the certificate was not yet valid when it was shown"
    ),
    Code.CERTIFICATE_EXPIRED: Meaning(
        Hears.ROW_ISSUER_OF_ORIGIN, "亮证时证照已过有效期", "the certificate had expired when it was shown"
    ),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an event is rejected: a code, the field it is about, and what would have been accepted.

    ``found`` is set only where the field cannot hold personal data. ``detail`` (Chinese, English) says more than the
    code's own message, for schema errors.
    """

    code: Code
    field: str
    found: str | None = None
    accepted: tuple[str, ...] = ()
    detail: tuple[str, str] | None = None

    @property
    def zh(self) -> str:
        """The message in Chinese."""
        message = MEANINGS[self.code].zh
        return f"{message}：{self.detail[0]}" if self.detail else message

    @property
    def en(self) -> str:
        """The message in English."""
        message = MEANINGS[self.code].en
        return f"{message}: {self.detail[1]}" if self.detail else message
