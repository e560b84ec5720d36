"""Counts the records of the topics that feedback reads into its tables: rejections and dead letters into
cases, the ledger into days. No record stops it, whoever wrote it."""

from collections.abc import Sequence
from typing import Protocol

import structlog

from gateway.contract.headers import Headers
from gateway.contract.ledger_entry import entry_digest, read_entry
from gateway.contract.topics import Topics
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.province import Province
from gateway.feedback.cases import CaseCounter, Share, Shares
from gateway.feedback.days import DayShares, count_entries, is_countable
from gateway.feedback.problems import observe

log = structlog.get_logger("gateway.feedback")


class CountedRecord(Protocol):
    """What is read of a record."""

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102

    @property
    def headers(self) -> Headers: ...  # noqa: D102


def case_sources(topics: Topics) -> tuple[str, ...]:
    """Return the topics that cases are counted from."""
    return (*topics.rejections, topics.deadletter)


def source_of(share: Share, topics: Topics) -> str:
    """Return the topic whose records ``share`` counts."""
    province = share.problem.province
    is_dead_letter = share.problem.code in set(DeadLetterCode)
    return topics.deadletter if is_dead_letter or province is None else topics.rejection(Province(province))


class Counting:
    """Counts into ``shares`` and ``days``, which may be tables or dictionaries."""

    def __init__(self, topics: Topics, shares: Shares, days: DayShares) -> None:
        self._topics = topics
        self._shares = shares
        self._days = days

    def count(self, topic: str, partition: int, records: Sequence[CountedRecord]) -> None:
        """Count ``records`` of one partition, in offset order. Never raises: what cannot be counted is
        said."""
        try:
            foreign = self._count(topic, partition, records)
        except Exception:  # noqa: BLE001 — one bad record must not cost the others; each is tried alone and named
            foreign = []
            for record in records:
                try:
                    foreign += self._count(topic, partition, [record])
                except Exception as error:  # noqa: BLE001 — as above
                    where = {"topic": topic, "partition": partition, "offset": record.offset}
                    log.error("record.not_counted", error=type(error).__name__, **where)  # noqa: TRY400 — it could quote the record
        if foreign:
            where = {"topic": topic, "partition": partition, "first_offset": foreign[0]}
            log.warning("records.foreign", records=len(foreign), **where)

    def _count(self, topic: str, partition: int, records: Sequence[CountedRecord]) -> list[int]:
        """Count ``records``; return the offsets of those that the gateway did not write."""
        if topic == self._topics.ledger:
            read = [(record.offset, read_entry(record.value)) for record in records]
            entries = [(offset, entry) for offset, entry in read if entry is not None and is_countable(entry)]
            values = {record.offset: record.value or b"" for record in records}
            lost = {
                offset: entry_digest(entry, values[offset]) for offset, entry in entries if entry.is_of_lost_offsets
            }
            count_entries(self._days, partition, entries, lost)
            counted = {offset for offset, _ in entries}
        else:
            province = self._topics.rejections.get(topic)
            seen = ((record.offset, observe(record.value, record.headers, province)) for record in records)
            found = [(offset, observation) for offset, observation in seen if observation is not None]
            CaseCounter(self._shares, partition).count(found)
            counted = {offset for offset, _ in found}
        return [record.offset for record in records if record.offset not in counted]
