"""Outputs of `gateway redrive`: they stand among a lane's own, out of its order, and have ledger entries of
their own."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiokafka.structs import ConsumerRecord

from gateway.contract.headers import REDRIVE_HEADER
from gateway.contract.ledger_entry import Entry, has_outputs_digest
from gateway.operate.audit.findings import Findings
from gateway.operate.audit.stream import Rank
from gateway.operate.audit.survey import Survey


@dataclass(slots=True)
class Redriven:
    """Holds redriven outputs until their entry is known, and the other way round.

    Also follows each redriven input from its turn through its redrives: what was forwarded is not put
    through again. ``verification`` is the topic of what is forwarded.
    """

    findings: Findings
    survey: Survey
    verification: str
    records: int = 0
    _outputs: dict[str, dict[Rank, ConsumerRecord]] = field(default_factory=lambda: defaultdict(dict))
    _entries: dict[str, tuple[ConsumerRecord, Entry]] = field(default_factory=dict)
    _newest: dict[Rank, ConsumerRecord] = field(default_factory=dict)
    """Of inputs that are redriven, the newest output so far."""

    def takes(self, record: ConsumerRecord, origin: Rank) -> bool:
        """Tell whether ``record``, of the input ``origin``, is such an output; then it is kept here."""
        redrive = redrive_of(record)
        if redrive is None:
            return False
        outputs = self._outputs[redrive]
        if origin in outputs:
            detail = f"input offset {origin[1]} was redriven once, and has two records of it"
            self.findings.add("doubled", record, detail)
        else:
            outputs[origin] = record
            self._match_outputs(redrive)
        return True

    def ranked_outputs_of(self, entry: Entry) -> dict[Rank, ConsumerRecord]:
        """Return what is here of the outputs of a redrive's entry, in input order; ask before it is
        expected."""
        return dict(sorted(self._outputs.get(entry.id, {}).items()))

    def outputs_of(self, entry: Entry) -> list[ConsumerRecord]:
        """Return the same without their inputs' places."""
        return list(self.ranked_outputs_of(entry).values())

    def place_of(self, rank: Rank) -> str | None:
        """Return where the newest output so far of a redriven input stands, as its redrive names it."""
        record = self._newest.get(rank)
        return None if record is None else f"{record.topic}/{record.partition}/{record.offset}"

    def note_turn(self, entry: Entry, outputs: Mapping[Rank, ConsumerRecord]) -> None:
        """Take note of what a turn wrote for that which is redriven later."""
        for rank in self.survey.redriven_in((entry.epoch, entry.first_offset), (entry.epoch, entry.last_offset)):
            if (output := outputs.get(rank)) is not None:
                self._newest[rank] = output

    def expect(self, record: ConsumerRecord, entry: Entry) -> None:
        """Take a redrive's ledger entry."""
        self._entries[entry.id] = (record, entry)
        self.records += entry.records
        self._match_outputs(entry.id)

    @property
    def has_strangers(self) -> bool:
        """Whether there are outputs whose entry has not come."""
        return bool(self._outputs)

    def pardon(self, entry: Entry) -> None:
        """Let go of the outputs of an entry behind what is audited."""
        self._outputs.pop(entry.id, None)

    def finish(self, *, since: int, may_have_expired: Callable[[ConsumerRecord], bool]) -> int:
        """Report what has not found its counterpart; return how many entries have outputs that
        ``may_have_expired``.

        Outputs older than ``since`` (milliseconds since the epoch) may have an entry before what was looked
        at.
        """
        expired = 0
        for redrive, (record, entry) in self._entries.items():
            found = len(self._outputs.pop(redrive, {}))
            if found < entry.outputs and may_have_expired(record):
                expired += 1
                continue
            detail = f"a redrive's entry has {entry.outputs} outputs, {found} are there, or not as they were written"
            self.findings.add("missing" if found < entry.outputs else "altered", record, detail)
        for outputs in self._outputs.values():
            for record in outputs.values():
                if record.timestamp >= since:
                    self.findings.add(
                        "foreign", record, "the record says that it was redriven, and no ledger entry does"
                    )
        return expired

    def _match_outputs(self, redrive: str) -> None:
        if redrive not in self._entries or redrive not in self._outputs:
            return
        outputs, (_, entry) = self._outputs[redrive], self._entries[redrive]
        in_order = [record for _, record in sorted(outputs.items())]
        if len(outputs) != entry.outputs or not has_outputs_digest(entry, in_order):
            return
        del self._outputs[redrive], self._entries[redrive]
        for rank, output in outputs.items():
            before = self._newest.get(rank)
            if before is not None and before.topic == self.verification:
                detail = f"input offset {rank[1]} was forwarded already ({self.place_of(rank)}), and is redriven all the same"
                self.findings.add("doubled", output, detail)
            self._newest[rank] = output


def redrive_of(record: ConsumerRecord) -> str | None:
    """Return the id of the redrive's entry that ``record`` names; None where it is of a turn."""
    found = (value for name, value in record.headers if name == REDRIVE_HEADER and value is not None)
    return next((value.decode("ascii", "replace") for value in found), None)
