"""What the audit of an archive finds: as the topics' audit says it, with the file that it is about."""

from dataclasses import dataclass

from aiokafka.structs import ConsumerRecord

from gateway.operate.audit.findings import KINDS, Finding, Findings

NOT_ARCHIVED = "not_archived"

ARCHIVE_KINDS = KINDS | {
    NOT_ARCHIVED: "records or lists that are not in the archive, as they were gone before, or as somebody removed a list"
}


@dataclass(frozen=True, slots=True)
class ArchiveFinding(Finding):
    """A finding of an archive: ``path`` is the file, from the archive's root. Offset -1: no one record's."""

    path: str


class ArchiveFindings(Findings):
    """The findings of a lane, or of what is not a lane's; ``path`` is where those are that are noted
    next."""

    path: str = ""

    def at(self, kind: str, topic: str, partition: int, offset: int, detail: str, *, count: int = 1) -> None:
        """Note ``kind`` at a place, in the file at ``path``."""
        self.counts[kind] += count
        if len(self.kept) < self.most:
            self.kept.append(ArchiveFinding(kind, topic, partition, offset, detail, self.path))

    def in_file(self, kind: str, path: str, place: tuple[str, int, int], detail: str, *, count: int = 1) -> None:
        """Note ``kind`` in the file at ``path``; ``place`` is topic, partition and offset."""
        self.path = path
        self.at(kind, *place, detail, count=count)

    def of_record(self, kind: str, path: str, record: ConsumerRecord, detail: str) -> None:
        """Note ``kind`` of a record that stands in the file at ``path``."""
        self.in_file(kind, path, (record.topic, record.partition, record.offset), detail)
