"""Outputs of `gateway redrive`: they stand among a lane's own, out of its order, and have ledger entries of their own."""

from collections import defaultdict
from dataclasses import dataclass, field

from aiokafka.structs import ConsumerRecord

from gateway.contract.headers import REDRIVE_HEADER
from gateway.contract.ledger_entry import Entry, has_outputs_digest
from gateway.operate.audit.findings import Findings


@dataclass(slots=True)
class Redriven:
    """Holds redriven outputs until their entry is known, and the other way round."""

    findings: Findings
    records: int = 0
    _outputs: dict[str, dict[int, ConsumerRecord]] = field(default_factory=lambda: defaultdict(dict))
    _entries: dict[str, tuple[ConsumerRecord, Entry]] = field(default_factory=dict)

    def takes(self, record: ConsumerRecord, origin: int) -> bool:
        """Tell whether ``record``, of input offset ``origin``, is such an output; then it is kept here."""
        redrive = next(
            (value.decode("ascii", "replace") for name, value in record.headers if name == REDRIVE_HEADER), None
        )
        if redrive is None:
            return False
        outputs = self._outputs[redrive]
        if origin in outputs:
            self.findings.add("doubled", record, f"input offset {origin} was redriven once, and has two records of it")
        else:
            outputs[origin] = record
            self._settle(redrive)
        return True

    def outputs_of(self, entry: Entry) -> list[ConsumerRecord]:
        """Return what is here of the outputs of a redrive's entry, in input order; ask before it is expected."""
        return [record for _, record in sorted(self._outputs.get(entry.id, {}).items())]

    @property
    def has_strangers(self) -> bool:
        """Whether there are outputs whose entry has not come."""
        return not self._outputs.keys() <= self._entries.keys()

    def pardon(self, entry: Entry) -> None:
        """Let go of the outputs of an entry behind what is audited."""
        self._outputs.pop(entry.id, None)

    def expect(self, record: ConsumerRecord, entry: Entry) -> None:
        """Take a redrive's ledger entry."""
        self._entries[entry.id] = (record, entry)
        self.records += entry.records
        self._settle(entry.id)

    def finish(self, *, complete: bool) -> None:
        """Report what has not found its counterpart; ``complete`` is whether all of the ledger was read."""
        for redrive, (record, entry) in self._entries.items():
            found = len(self._outputs.pop(redrive, {}))
            detail = f"a redrive's entry has {entry.outputs} outputs, {found} are there, or not as they were written"
            self.findings.add("missing" if found < entry.outputs else "altered", record, detail)
        for outputs in self._outputs.values() if complete else ():
            for record in outputs.values():
                self.findings.add("foreign", record, "the record says that it was redriven, and no ledger entry does")

    def _settle(self, redrive: str) -> None:
        if redrive not in self._entries or redrive not in self._outputs:
            return
        outputs, (_, entry) = self._outputs[redrive], self._entries[redrive]
        if len(outputs) == entry.outputs:
            in_order = [record for _, record in sorted(outputs.items())]
            if has_outputs_digest(entry, in_order):
                del self._outputs[redrive], self._entries[redrive]
