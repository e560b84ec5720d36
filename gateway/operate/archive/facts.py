"""What a manifest says of its segment's ledger entries: made of them when it is written, and again when it
is checked."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka.structs import ConsumerRecord

from gateway.contract.ledger_entry import Entry
from gateway.core.times import format_instant
from gateway.operate.archive.manifest import Manifest
from gateway.operate.archive.segment_data import SegmentData

Entries = Sequence[tuple[ConsumerRecord, Entry]]


def facts_of(entries: Entries) -> dict[str, Any]:
    """Return the manifest's fields that follow from the segment's ``entries``, of which there is one at
    least."""
    (first_record, first), (last_record, last) = entries[0], entries[-1]
    turns = [entry for _, entry in entries if entry.is_of_a_turn]
    received = [entry.received for _, entry in entries]
    newest = turns[-1] if turns else last
    outcomes = Counter[str]()
    for _, entry in entries:
        for count in entry.counts:
            outcomes[count.outcome] += count.count
    return {
        "topic_id": newest.topic_id,
        "ledger": last_record.topic,
        "ledger_first": first_record.offset,
        "ledger_last": last_record.offset,
        "entries": len(entries),
        "records": sum(entry.records for entry in turns),
        "outcomes": dict(sorted(outcomes.items())),
        "epoch": newest.epoch,
        "input_first": turns[0].first_offset if turns else None,
        "input_last": turns[-1].last_offset if turns else None,
        "first_received": format_instant(min(received) * 1000),
        "last_received": format_instant(max(received) * 1000),
        "chain_before": first.previous,
        "lists": sorted({entry.list_digest for _, entry in entries}),
    }


def contradictions(manifest: Manifest, before: Manifest | None, data: SegmentData) -> Iterator[str]:
    """Say which fields of ``manifest`` are not what its segment's own entries and records say.

    The ``data`` must be whole, and its entries those of the manifest's chain. ``before`` is the lane's
    manifest before it.
    """
    facts = facts_of(data.entries) | {"unaccounted": len(data.strays)}
    for name, expected in facts.items():
        if (here := getattr(manifest, name)) != expected:
            yield f"its `{name}` is {here}, and the segment's entries say {expected}"
    goes_on, begin = manifest.next, (0, 0) if before is None else (before.next.epoch, before.next.input)
    turns = [entry for _, entry in data.entries if entry.is_of_a_turn]
    inputs = (turns[-1].epoch, turns[-1].last_offset + 1) if turns else begin
    if (goes_on.ledger, goes_on.epoch, goes_on.input) != (facts["ledger_last"] + 1, *inputs):
        yield "its `next` is not where the segment's entries end"
    for outputs in data.outputs.values():
        for _, output in outputs.values():
            if goes_on.outputs.get(output.topic, 0) <= output.offset:
                yield f"its `next` is not behind offset {output.offset} of {output.topic}, which the segment has"
                return
