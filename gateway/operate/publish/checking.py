"""Finds what is wrong with a line before it is sent, by the same reading that the gateway does; never with a
value out of it."""

from typing import NamedTuple

from gateway.contract.display_event import read_event
from gateway.core.event import Invalid, UnreadableError
from gateway.core.province import Province
from gateway.core.reasons import Code, reason_of


class LineProblem(NamedTuple):
    """One thing that is wrong: a reason code of the contract (or a dead letter's, or ``MAPPING``), the
    field, both languages.

    ``rule`` is the place of the mapping's rule that made the field.
    """

    code: str
    field: str
    zh: str
    en: str
    rule: str | None = None

    def __str__(self) -> str:
        made = f"  [{self.rule}]" if self.rule else ""
        return f"{self.field}: {self.zh} {self.en} ({self.code}){made}"


class NotMappedError(Exception):
    """No event can be made of a line; ``problems`` says why."""

    def __init__(self, problems: list[LineProblem]) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


def find_problems(event: bytes, province: Province) -> list[LineProblem]:
    """Find why the gateway would not take ``event`` from this province's topic: shape and source, not list,
    time or signature."""
    try:
        reading = read_event(event)
    except UnreadableError as error:
        return [LineProblem(error.code, "event", "无法读取为事件：", str(error))]
    if isinstance(reading, Invalid):
        reasons = [reason_of(Code.INVALID_EVENT, problem, province) for problem in reading.problems]
        return [
            LineProblem(reason.code.value, reason.field, *(reason.detail or (reason.zh, reason.en)))
            for reason in reasons
        ]
    if reading.source != province.source:
        entry = Code.SOURCE_MISMATCH.entry
        return [LineProblem(entry.code, "source", entry.zh, entry.en)]
    return []
