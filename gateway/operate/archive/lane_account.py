"""Accounts for what an archived lane sent, as a statement says it: in the form that the audit of the topics
gives it."""

from dataclasses import dataclass, field

from gateway.adapters.settings import Settings
from gateway.contract.outputs import destinations_of
from gateway.contract.topics import LaneId
from gateway.core.decision import Outcome
from gateway.operate.archive.lacks import Lack, lacks_of
from gateway.operate.archive.manifest import Manifest
from gateway.operate.archive.segment_data import SegmentData
from gateway.operate.audit.account import Accountant
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.statement import LackingItem
from gateway.operate.audit.stream import BEFORE_ALL, Rank


@dataclass
class LaneAccount:
    """Fills the statement's part of ``lane``."""

    settings: Settings
    lane: LaneId
    days: list[str] = field(default_factory=list)
    """The days of which there is something to be stated."""
    _lacks: list[Lack] = field(default_factory=list)
    _through: Rank = BEFORE_ALL

    def __post_init__(self) -> None:
        destinations = destinations_of(self.lane, self.settings.topic_names)
        prefix, algorithm = self.settings.topic_prefix, self.settings.ledger.digest
        self._accounts = {
            topic: Accountant(topic.removeprefix(prefix), self.lane.partition, algorithm)
            for topic in (destinations[Outcome.FORWARD], destinations[Outcome.REJECT])
        }

    def take(self, manifest: Manifest, before: Manifest | None, data: SegmentData | None) -> None:
        """Take the lane's next segment; ``data`` is None where its files are expired."""
        lacks = list(lacks_of(manifest, before, data))
        self._lacks += lacks
        if data is None:
            return
        for account in self._accounts.values():
            account.begin_day(manifest.day, self._through)
        self.days.append(manifest.day)
        gone = {(each.topic, each.redrive) for each in self._lacks}
        for record, entry in data.entries:
            outputs = sorted(data.outputs.get(record.offset, {}).items())
            for topic, account in self._accounts.items():
                here = [(rank, output) for rank, (_, output) in outputs if output.topic == topic]
                if entry.redriven is None:
                    for rank, output in here:
                        if not any(each.touches(topic, rank, rank) for each in lacks):
                            account.add(rank, output)
                elif here and (topic, entry.id) not in gone:
                    account.add_redriven(entry.id, [output for _, output in here])
            if entry.is_of_a_turn:
                self._through = (entry.epoch, entry.last_offset)

    def close(self, report: LaneReport) -> list[LackingItem]:
        """Put the accounts into ``report``; return what they lack of its inputs, from first to last."""
        report.streams = [account.close(self._through) for account in self._accounts.values()]
        first = (report.first_epoch, report.first_offset or 0)
        last = (report.last_epoch, report.last_offset) if report.last_offset is not None else BEFORE_ALL
        return [
            LackingItem(
                topic=topic.removeprefix(self.settings.topic_prefix), partition=self.lane.partition,
                first_epoch=lack.first[0], first_offset=lack.first[1], last_epoch=lack.last[0], last_offset=lack.last[1],
                redrive=lack.redrive, why=lack.why,
            )
            for lack in self._lacks
            for topic in self._accounts
            if lack.touches(topic, first, last) or (lack.redrive is not None and lack.topic == topic)
        ]  # fmt: skip
