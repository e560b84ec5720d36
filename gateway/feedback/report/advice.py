"""What to do about each problem, in one sentence for the department that can do it."""

from gateway.core.reasons import MEANINGS, Code
from gateway.feedback.problems import DEAD_LETTERS_ZH

ADVICE: dict[str, str] = {
    "INVALID_EVENT": "请平台对照事件格式（schemas 中的 display-event）修正该字段后重新发布；涉及姓名、证件号码、手机号的，先行脱敏或删除。",
    "SOURCE_MISMATCH": "请平台核对发布配置：事件来源须与所发布的省市一致，不得代发对方省市的亮证事件。",
    "SIGNATURE_MISSING": "请平台为每个亮证事件签名（docs/signing.md）；尚未具备签名条件的，请与协调中心商定启用日期。",
    "SIGNATURE_INVALID": "请平台核对签名程序：签名须针对所发布的原始字节，发布前不得再改动事件内容；如有他人冒名发布的可能，请立即报告。",
    "SIGNATURE_KEY_UNKNOWN": "请平台使用已登记且在有效期内的密钥；更换密钥前，先向协调中心登记新公钥。",
    "ID_REUSED": "请平台为每次亮证生成不重复的事件标识；补发同一事件时内容必须与首次完全一致。",
    "FUTURE_EVENT": "请平台校准服务器时钟，并确认亮证时间带有正确的时区。",
    "STALE_EVENT": "请平台查明积压原因并及时发布；亮证满72小时后才发布的事件不再受理。",
    "NOT_CROSS_PROVINCE": "请平台只发布在对方省市的亮证；若地点确在对方省市，请修正行政区划代码。",
    "CERTIFICATE_NOT_LISTED": "请两个协调中心会同主管部门研究：该证照拟纳入互认的，以修订文件补入清单；否则告知发布单位停止发布。",
    "LIST_ROW_UNRESOLVED": "请两个协调中心会同签发单位确认该单元格内容，并以修订文件补正；确认前该行一律不予放行。",
    "LIST_NOT_IN_EFFECT": "请两个协调中心核对该行的生效与失效日期；仍需互认的，以修订文件延续。",
    "IDENTIFIER_INVALID": "请签发单位检查电子证照标识的生成程序，校验位按 GB/T 36904 计算。",
    "ISSUER_NOT_RECOGNISED": "请两个协调中心确认该签发单位的名称：单位更名或职能调整的，以修订文件更新清单；填写有误的，请平台更正。",
    "CHANNEL_NOT_RECOGNISED": "请签发单位确认该渠道是否可以亮证：可以的，提请以修订文件补入清单；不可以的，关闭该渠道的亮证入口。",
    "SCENARIO_NOT_RECOGNISED": "请签发单位确认该场景是否属于互认范围：属于的，提请以修订文件补入清单；仅措辞不同的，请平台改用清单所列场景代码。",
    "OUT_OF_PILOT_SCOPE": "请签发单位确认该地点或单位是否纳入试点：纳入的，提请以修订文件扩大试点范围；未纳入的，请告知当地暂不受理。",
    "CERTIFICATE_NOT_YET_VALID": "请签发单位核对证照的生效日期；尚未生效的证照不应在应用中可供亮证。",
    "CERTIFICATE_EXPIRED": "请签发单位提醒持证主体换证，并在应用中停止展示已过期的证照；已延期的，及时更新有效期。",
    "TOO_LARGE": "请平台缩小消息：亮证事件中不应携带证照图片或附件。",
    "NOT_UTF8": "请平台以 UTF-8 编码发布消息。",
    "NOT_JSON": "请平台检查消息生成程序：消息须为完整、有效的 JSON。",
    "NOT_A_CLOUDEVENT": "请平台按 CloudEvents 1.0 发布，消息须带有事件标识（id）和来源（source）。",
    "REFUSED_BY_BROKER": "请运维人员检查消息代理对单条消息大小的限制（max.message.bytes）。",
    "UNDECIDABLE": "请运维人员把示例位置的消息交开发人员分析。",
}


def meaning_of(code: str) -> str:
    """What a reason or error code says, in Chinese."""
    return MEANINGS[Code(code)].zh if code in set(Code) else DEAD_LETTERS_ZH.get(code, code)
