"""Reads a segment's files back, and says what of them is not as its manifest says, or not as their own bytes
say."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.structs import ConsumerRecord

from gateway.adapters.unreadable import UnreadableRecord, input_digest_of
from gateway.contract.ledger_entry import Entry, input_line, read_entry
from gateway.operate.archive.findings import ArchiveFindings
from gateway.operate.archive.layout import digest_like
from gateway.operate.archive.manifest import MANIFEST, Manifest, segment_folder
from gateway.operate.archive.parquet import read_rows, record_of
from gateway.operate.archive.rows import COLUMNS, INPUTS, LEDGER, OUTPUTS, Input, input_row, ledger_row, output_row
from gateway.operate.archive.store import Store
from gateway.operate.audit.stream import Rank
from gateway.operate.audit.withheld_key import WithheldKey

Output = tuple[str, ConsumerRecord]


@dataclass(frozen=True, slots=True)
class ArchivedInput:
    """An input as it is archived: its record, without value where that was not kept; and its digest.

    ``line`` is what the ledger's ``inputs_digest`` is over; None where a key was withheld.
    """

    record: ConsumerRecord
    digest: str
    outcome: str | None
    has_bytes: bool
    line: bytes | None
    event_id: str | None = None


@dataclass(slots=True)
class SegmentData:
    """What a segment's files hold, by the ledger offset of the entry; ``strays`` are inputs of which no
    entry speaks."""

    folder: str
    entries: list[tuple[ConsumerRecord, Entry]] = field(default_factory=list)
    inputs: dict[int, list[ArchivedInput]] = field(default_factory=lambda: defaultdict(list))
    outputs: dict[int, dict[Rank, Output]] = field(default_factory=lambda: defaultdict(dict))
    strays: list[ConsumerRecord] = field(default_factory=list)
    is_whole: bool = True
    """Whether all files are there and can be read."""


def read_segment(store: Store, manifest: Manifest, findings: ArchiveFindings) -> SegmentData:
    """Read a segment back; report files that are missing or altered, and rows that are not as their bytes
    say."""
    data = SegmentData(segment_folder(manifest.day, manifest.lane, manifest.segment))
    place = (manifest.topic, manifest.partition, -1)
    rows: dict[str, Sequence[tuple[Any, ...]]] = {}
    for facts in manifest.files:
        path = f"{data.folder}/{facts.name}"
        content = store.read(path)
        if content is None:
            findings.in_file("missing", path, place, f"the file is not there: {facts.rows} rows", count=facts.rows)
            data.is_whole = False
            continue
        is_its = digest_like(facts.digest, content)
        if not is_its:
            findings.in_file("altered", path, place, "the file is not the one that the manifest was written for")
        try:
            rows[facts.name] = list(read_rows(facts.name, content))
        except ValueError as error:
            findings.in_file("altered", path, place, f"the file cannot be read ({error})")
            data.is_whole = False
            continue
        if is_its and (len(rows[facts.name]), len(content)) != (facts.rows, facts.bytes):
            detail = f"it says another number of rows or bytes of {facts.name} than the file has"
            findings.in_file("altered", f"{data.folder}/{MANIFEST}", place, detail)
    _read_ledger(data, rows.get(LEDGER, ()), findings)
    _read_inputs(data, rows.get(INPUTS, ()), findings)
    for name in OUTPUTS:
        _read_outputs(data, name, rows.get(name, ()), findings)
    return data


def _read_ledger(data: SegmentData, rows: Sequence[tuple[Any, ...]], findings: ArchiveFindings) -> None:
    path = f"{data.folder}/{LEDGER}"
    for row in rows:
        record = record_of(row)
        entry = read_entry(record.value)
        if entry is None:
            findings.of_record("foreign", path, record, "the row is not a ledger entry")
            continue
        _compare(row, ledger_row(record, entry), LEDGER, path, record, findings)
        data.entries.append((record, entry))


def _read_inputs(data: SegmentData, rows: Sequence[tuple[Any, ...]], findings: ArchiveFindings) -> None:
    path, names = f"{data.folder}/{INPUTS}", list(COLUMNS[INPUTS])
    for row in rows:
        cells = dict(zip(names, row, strict=True))
        record, has_bytes = _input_record(cells), cells["headers"] is not None
        if has_bytes and input_digest_of(record) != cells["digest"]:
            findings.of_record("altered", path, record, "the input's bytes are not those of its digest")
        each = Input(record, cells["digest"], cells["epoch"], cells["entry"], cells["outcome"], cells["event_id"])
        if cells["key_digest"] is None:
            _compare(row, input_row(each, with_bytes=has_bytes), INPUTS, path, record, findings)
        if cells["entry"] is None:
            data.strays.append(record)
            continue
        line = None
        if cells["key_digest"] is None:
            line = input_line(record.offset, record.timestamp, cells["digest"], record.key)
        has_bytes = has_bytes or isinstance(record, UnreadableRecord)
        data.inputs[cells["entry"]].append(
            ArchivedInput(record, cells["digest"], cells["outcome"], has_bytes, line, cells["event_id"])
        )


def _input_record(cells: dict[str, Any]) -> ConsumerRecord:
    headers = cells["headers"] or []
    key = cells["key"] if cells["key_digest"] is None else WithheldKey(cells["key_digest"].encode())
    row = [*(cells[name] for name in ("topic", "partition", "offset", "timestamp")), key, headers, cells["value"]]
    record = record_of(row)
    if cells["problem"] is None:
        return record
    return UnreadableRecord(
        **(vars(record) | {"problem": cells["problem"], "digest": cells["digest"], "size": cells["size"] or 0})
    )


def _read_outputs(data: SegmentData, name: str, rows: Sequence[tuple[Any, ...]], findings: ArchiveFindings) -> None:
    path, place = f"{data.folder}/{name}", list(COLUMNS[name]).index("entry")
    known = {record.offset for record, _ in data.entries}
    for row in rows:
        record, entry, epoch, offset = record_of(row), *row[place : place + 3]
        _compare(row, output_row(name, record, entry), name, path, record, findings)
        if entry not in known or epoch is None or offset is None:
            findings.of_record("foreign", path, record, "no ledger entry of the segment accounts for this record")
        elif (epoch, offset) in data.outputs[entry]:
            findings.of_record("doubled", path, record, f"input offset {offset} has another record before it")
        else:
            data.outputs[entry][epoch, offset] = (name, record)


def _compare(
    row: Sequence[Any], expected: Sequence[Any], name: str, path: str, record: ConsumerRecord, findings: ArchiveFindings
) -> None:
    if tuple(row) == tuple(expected):
        return
    columns = [column for column, here, there in zip(COLUMNS[name], row, expected, strict=True) if here != there]
    findings.of_record("altered", path, record, f"the columns {', '.join(columns)} are not what the record's bytes say")
