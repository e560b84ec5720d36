"""What to do about each problem, in one sentence for the department that can do it."""

from typing import NamedTuple

from gateway.core.reasons import MEANINGS, Code
from gateway.feedback.problems import DEAD_LETTERS_ZH


class Advice(NamedTuple):
    """What to do, in both languages."""

    zh: str
    en: str


ADVICE: dict[str, Advice] = {
    "INVALID_EVENT": Advice(
        "请平台对照事件格式（schemas 中的 display-event）修正该字段后重新发布；涉及姓名、证件号码、手机号的，先行脱敏或删除。",
        "Mend the field named, by the event's schema (display-event), and publish the event again; where it is about a name, an id number or a phone number, mask it or leave it out first.",
    ),
    "SOURCE_MISMATCH": Advice(
        "请平台核对发布配置：事件来源须与所发布的省市一致，不得代发对方省市的亮证事件。",
        "Check the platform's configuration: `source` is the province that publishes; nobody publishes for the other.",
    ),
    "SIGNATURE_MISSING": Advice(
        "请平台为每个亮证事件签名（docs/signing.md）；尚未具备签名条件的，请与协调中心商定启用日期。",
        "Sign every event (docs/signing.md); a platform that cannot yet agrees with the centres on a date.",
    ),
    "SIGNATURE_INVALID": Advice(
        "请平台核对签名程序：签名须针对所发布的原始字节，发布前不得再改动事件内容；如有他人冒名发布的可能，请立即报告。",
        "Check the signing program: signed are the very bytes that are sent, and nothing may change them afterwards. If somebody else may have published in the platform's name, report it at once.",
    ),
    "SIGNATURE_KEY_UNKNOWN": Advice(
        "请平台使用已登记且在有效期内的密钥；更换密钥前，先向协调中心登记新公钥。",
        "Use a key that is registered and in its period; register the next one with the centres before changing.",
    ),
    "ID_REUSED": Advice(
        "请平台为每次亮证生成不重复的事件标识；补发同一事件时内容必须与首次完全一致。",
        "Give every display an id of its own; what is sent again must be the first copy byte for byte in its content.",
    ),
    "FUTURE_EVENT": Advice(
        "请平台校准服务器时钟，并确认亮证时间带有正确的时区。",
        "Set the servers' clocks right, and check that the time bears the right offset.",
    ),
    "STALE_EVENT": Advice(
        "请平台查明积压原因并及时发布；亮证满72小时后才发布的事件不再受理。",
        "Find what held the events up, and publish in time: an event published more than 72 hours after the display is not taken.",
    ),
    "NOT_CROSS_PROVINCE": Advice(
        "请平台只发布在对方省市的亮证；若地点确在对方省市，请修正行政区划代码。",
        "Publish displays in the other province only; if the place is there, correct its division code.",
    ),
    "CERTIFICATE_NOT_LISTED": Advice(
        "请两个协调中心会同主管部门研究：该证照拟纳入互认的，以修订文件补入清单；否则告知发布单位停止发布。",
        "The centres and the departments decide whether the certificate is to be recognised: then an amendment adds it to the list, else the publisher is told to stop.",
    ),
    "LIST_ROW_UNRESOLVED": Advice(
        "请两个协调中心会同签发单位确认该单元格内容，并以修订文件补正；确认前该行一律不予放行。",
        "The centres and the issuing units settle the cell, by an amendment; until then the row lets nothing through.",
    ),
    "LIST_NOT_IN_EFFECT": Advice(
        "请两个协调中心核对该行的生效与失效日期；仍需互认的，以修订文件延续。",
        "Check when the row takes and loses effect; an amendment prolongs it where it is to go on.",
    ),
    "IDENTIFIER_INVALID": Advice(
        "请签发单位检查电子证照标识的生成程序，校验位按 GB/T 36904 计算。",
        "Check the program that makes certificate identifiers; the check character is computed by GB/T 36904.",
    ),
    "ISSUER_NOT_RECOGNISED": Advice(
        "请两个协调中心确认该签发单位的名称：单位更名或职能调整的，以修订文件更新清单；填写有误的，请平台更正。",
        "The centres confirm the issuer's name: where it changed, an amendment says so; where it is mistyped, the platform corrects it.",
    ),
    "CHANNEL_NOT_RECOGNISED": Advice(
        "请签发单位确认该渠道是否可以亮证：可以的，提请以修订文件补入清单；不可以的，关闭该渠道的亮证入口。",
        "The issuing units say whether certificates may be shown there: if so, an amendment adds the channel; if not, the channel stops showing them.",
    ),
    "SCENARIO_NOT_RECOGNISED": Advice(
        "请签发单位确认该场景是否属于互认范围：属于的，提请以修订文件补入清单；仅措辞不同的，请平台改用清单所列场景代码。",
        "The issuing units say whether the scenario belongs to the recognition: if so, an amendment adds it; if only the words differ, the platform sends the list's scenario code.",
    ),
    "OUT_OF_PILOT_SCOPE": Advice(
        "请签发单位确认该地点或单位是否纳入试点：纳入的，提请以修订文件扩大试点范围；未纳入的，请告知当地暂不受理。",
        "The issuing units say whether the place or unit is in the pilot: if so, an amendment widens it; if not, tell the place that it does not take part yet.",
    ),
    "CERTIFICATE_NOT_YET_VALID": Advice(
        "请签发单位核对证照的生效日期；尚未生效的证照不应在应用中可供亮证。",
        "Check the day from which the certificate is valid; an app should not show it before.",
    ),
    "CERTIFICATE_EXPIRED": Advice(
        "请签发单位提醒持证主体换证，并在应用中停止展示已过期的证照；已延期的，及时更新有效期。",
        "Remind the holder to renew, and stop showing expired certificates; where one was prolonged, bring its date up to date.",
    ),
    "TOO_LARGE": Advice(
        "请平台缩小消息：亮证事件中不应携带证照图片或附件。",
        "Make the message smaller: an event carries no pictures and no attachments.",
    ),
    "NOT_UTF8": Advice(
        "请平台以 UTF-8 编码发布消息。",
        "Publish in UTF-8.",
    ),
    "NOT_JSON": Advice(
        "请平台检查消息生成程序：消息须为完整、有效的 JSON。",
        "Check the program that makes the message: it is to be whole and valid JSON.",
    ),
    "NOT_A_CLOUDEVENT": Advice(
        "请平台按 CloudEvents 1.0 发布，消息须带有事件标识（id）和来源（source）。",
        "Publish by CloudEvents 1.0, with `id` and `source`.",
    ),
    "REFUSED_BY_BROKER": Advice(
        "请运维人员检查消息代理对单条消息大小的限制（max.message.bytes）。",
        "Operators: check the broker's limit on a message's size (max.message.bytes).",
    ),
    "UNDECIDABLE": Advice(
        "请运维人员把示例位置的消息交开发人员分析。",
        "Operators: give the message at the place named to the developers.",
    ),
}

DEAD_LETTERS_EN = {
    "TOO_LARGE": "too large to be an event",
    "NOT_UTF8": "not UTF-8",
    "NOT_JSON": "not JSON",
    "NOT_A_CLOUDEVENT": "no CloudEvent: no id and source can be read",
    "REFUSED_BY_BROKER": "the broker refused the record made of the event",
    "UNDECIDABLE": "no decision could be made of it",
}
"""As DEAD_LETTERS_ZH."""


def meaning_of(code: str) -> str:
    """What a reason or error code says, in Chinese."""
    return MEANINGS[Code(code)].zh if code in set(Code) else DEAD_LETTERS_ZH.get(code, code)
