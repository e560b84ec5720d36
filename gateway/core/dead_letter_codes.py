"""The error codes of dead letters, one table: the recipient of each, what it means, what to do."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.core.words import EntryCode, Words


class DeadLetterRecipient(StrEnum):
    """Who can put it right."""

    PLATFORM = "platform"  # the platform that publishes on the topic
    OPERATORS = "operators"  # the gateway's operators


@dataclass(frozen=True, slots=True)
class DeadLetterEntry(Words):
    """An error code, its recipient and its words."""

    code: str
    recipient: DeadLetterRecipient


class DeadLetterCode(EntryCode):
    """Why a record gave no event, or could not be sent on."""

    entry: DeadLetterEntry

    TOO_LARGE = DeadLetterEntry(
        "TOO_LARGE", DeadLetterRecipient.PLATFORM,
        zh="消息过大，无法处理",
        en="too large to be an event",
        advice_zh="请平台缩小消息：亮证事件中不应携带证照图片或附件。",
        advice_en="Make the message smaller: an event carries no pictures and no attachments.",
    )  # fmt: skip
    NOT_UTF8 = DeadLetterEntry(
        "NOT_UTF8", DeadLetterRecipient.PLATFORM,
        zh="消息不是UTF-8编码",
        en="not UTF-8",
        advice_zh="请平台以 UTF-8 编码发布消息。",
        advice_en="Publish in UTF-8.",
    )  # fmt: skip
    NOT_JSON = DeadLetterEntry(
        "NOT_JSON", DeadLetterRecipient.PLATFORM,
        zh="消息不是有效的JSON",
        en="not JSON",
        advice_zh="请平台检查消息生成程序：消息须为完整、有效的 JSON。",
        advice_en="Check the program that makes the message: it is to be whole and valid JSON.",
    )  # fmt: skip
    NOT_A_CLOUDEVENT = DeadLetterEntry(
        "NOT_A_CLOUDEVENT", DeadLetterRecipient.PLATFORM,
        zh="消息不是CloudEvents事件，读不出标识和来源",
        en="no CloudEvent: no id and source can be read",
        advice_zh="请平台按 CloudEvents 1.0 发布，消息须带有事件标识（id）和来源（source）。",
        advice_en="Publish by CloudEvents 1.0, with `id` and `source`.",
    )  # fmt: skip
    UNREADABLE_RECORD = DeadLetterEntry(
        "UNREADABLE_RECORD", DeadLetterRecipient.PLATFORM,
        zh="消息或其所在批次无法读取",
        en="the record, or its batch, cannot be read",
        advice_zh="请平台检查发布程序后重新发布该消息：批次须为 Kafka 的压缩格式，解压后不超过 16 MiB，消息头名称须为 UTF-8 编码。",
        advice_en="Check the program that publishes, then publish again: batches in one of Kafka's codecs, of 16 MiB at the most when unpacked; names of headers in UTF-8.",
    )  # fmt: skip
    REFUSED_BY_BROKER = DeadLetterEntry(
        "REFUSED_BY_BROKER", DeadLetterRecipient.OPERATORS,
        zh="Kafka（消息系统）拒收由该事件生成的记录",
        en="the broker refused the record made of the event",
        advice_zh="请运维人员检查 Kafka（消息系统）对单条消息大小的限制（max.message.bytes）。",
        advice_en="Operators: check the broker's limit on a message's size (max.message.bytes).",
    )  # fmt: skip
    UNDECIDABLE = DeadLetterEntry(
        "UNDECIDABLE", DeadLetterRecipient.OPERATORS,
        zh="该消息无法作出判定",
        en="no decision could be made of it",
        advice_zh="请运维人员将示例消息提交开发人员分析。",
        advice_en="Operators: give the message at the place named to the developers.",
    )  # fmt: skip
