"""A simulated year of an archive: a real day's segment of each lane, written again for each day, with that
day's ids and offsets.

Columns are changed as wholes, by pyarrow: a row at a time, ten million events would take an hour.
"""

import datetime
import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gateway.adapters.cores import usable_cores
from gateway.contract.headers import ORIGIN_HEADER
from gateway.contract.ledger_entry import read_entry
from gateway.operate.archive.facts import facts_of
from gateway.operate.archive.layout import days_of, find_manifest, lanes_on, segments_of
from gateway.operate.archive.manifest import MANIFEST, FileFacts, Manifest, digest_of, seal, segment_folder
from gateway.operate.archive.parquet import read_rows, record_of, write_table
from gateway.operate.archive.rows import INPUTS, LEDGER, OUTPUTS, REJECTIONS, VERIFICATIONS
from gateway.operate.archive.store import FolderStore, Store

_FIRST_DAY = datetime.date(2025, 1, 1)
DAYS = 365


class Year(NamedTuple):
    """A year as it was written: its events, and one that was forwarded on ``day``, in the middle of it."""

    events: int
    wanted: str
    day: str


def write_year(source: Path, target: Path, events: int, days: int = DAYS) -> Year:
    """Write ``days`` days of about ``events`` into the folder ``target``, from the first segment of each
    lane in ``source``; fewer where those do not have enough."""
    lanes = list(_first_segments(FolderStore(source)))
    write = partial(_write_lane, source, target, -(-events // (days * len(lanes))), days)
    with ProcessPoolExecutor(min(usable_cores(), len(lanes))) as pool:
        written = list(pool.map(write, lanes))
    wanted = next(each for _, each in written if each is not None)
    return Year(sum(count for count, _ in written), wanted, _day(days // 2))


def _first_segments(store: Store) -> Iterator[Manifest]:
    day = days_of(store)[0]
    for lane in lanes_on(store, day):
        found = find_manifest(store, day, lane, segments_of(store, day, lane)[0])
        if found is not None and found.manifest is not None:
            yield found.manifest


def _day(number: int) -> str:
    return (_FIRST_DAY + datetime.timedelta(days=number)).isoformat()


def _write_lane(source: Path, target: Path, records: int, days: int, manifest: Manifest) -> tuple[int, str | None]:
    """Write a lane's year; returns its events, and the id of one in the middle of it that came once."""
    tables = _tables(source, manifest, records)
    entries = [(record, entry) for record in _ledger(tables) if (entry := read_entry(record.value)) is not None]
    base = msgspec.structs.replace(manifest, **facts_of(entries))
    assert base.input_first is not None
    assert base.input_last is not None
    files = {name: _File(name, table, f"{manifest.topic}/{manifest.partition}/") for name, table in tables.items()}
    previous: str | None = None
    for number in range(days):
        shift = number * (base.input_last + 1)
        folder = target / segment_folder(_day(number), manifest.lane, number + 1)
        folder.mkdir(parents=True)
        facts = []
        for name, file in files.items():
            content = write_table(name, file.on_day(number, shift))
            (folder / name).write_bytes(content)
            facts.append(FileFacts(name, file.table.num_rows, len(content), digest_of("sm3", content)))
        moved = msgspec.structs.replace(
            base, day=_day(number), segment=number + 1, files=facts, previous=previous,
            input_first=base.input_first + shift, input_last=base.input_last + shift,
        )  # fmt: skip
        raw = seal(moved, None)
        (folder / MANIFEST).write_bytes(raw)
        previous = digest_of("sm3", raw)
    once = _came_once(files)
    return days * base.records, once and _moved(once, days // 2)


def _tables(source: Path, manifest: Manifest, records: int) -> dict[str, Any]:
    """Read the rows of a segment's first ledger entries that have ``records`` together, or of all."""
    folder = source / segment_folder(manifest.day, manifest.lane, manifest.segment)
    tables = {each.name: pq.read_table(folder / each.name) for each in manifest.files}
    totals = pc.cumulative_sum(tables[LEDGER].column("records"))
    kept = pc.sum(pc.less(totals, records)).as_py() + 1
    tables[LEDGER] = tables[LEDGER].slice(0, kept)
    entries = tables[LEDGER].column("offset")
    return {
        name: table if name == LEDGER else table.filter(pc.is_in(table.column("entry"), entries))
        for name, table in tables.items()
    }


def _ledger(tables: dict[str, Any]) -> Iterator[Any]:
    for row in read_rows(LEDGER, write_table(LEDGER, tables[LEDGER])):
        yield record_of(row)


def _moved(event_id: str, number: int) -> str:
    """Return another id for the n-th day, of the kind that platforms have: nothing compresses it."""
    return hashlib.blake2b(f"{number}/{event_id}".encode(), digest_size=16).hexdigest()


class _File:
    """A segment's file, of which ``on_day`` gives the rows of another day: the input's offset, also in the
    header that names it, and the event's id, wherever that stands."""

    def __init__(self, name: str, table: Any, origin: str) -> None:
        self.name, self.table, self._origin = name, table.combine_chunks(), origin
        self.ids: list[str | None] = []
        self._parts: list[list[bytes] | None] = []
        if "event_id" in table.column_names:
            self.ids = table.column("event_id").to_pylist()
            values = table.column("value").to_pylist()
            self._parts = [
                value.split(each.encode()) if each and value is not None else None
                for each, value in zip(self.ids, values, strict=True)
            ]

    def on_day(self, number: int, shift: int) -> Any:
        """Return the table of the n-th day, on which inputs' offsets are greater by ``shift``."""
        if self.name == LEDGER:
            return self.table
        place = "offset" if self.name == INPUTS else "input"
        moved = self._with(self.table, place, pc.add(self.table.column(place), shift))
        if self.name in OUTPUTS:
            moved = self._with(moved, "headers", self._headers(moved))
        if self.ids:
            ids = [None if each is None else _moved(each, number) for each in self.ids]
            moved = self._with(moved, "event_id", pa.array(ids, pa.string()))
        if any(each is not None for each in self._parts):
            pairs = zip(ids, self._parts, strict=True)
            values = [None if not each or parts is None else each.encode().join(parts) for each, parts in pairs]
            moved = self._with(moved, "value", pa.array(values, pa.binary()))
        return moved

    @staticmethod
    def _with(table: Any, name: str, column: Any) -> Any:
        number = table.column_names.index(name)
        return table.set_column(number, table.schema.field(number), column)

    def _headers(self, table: Any) -> Any:
        headers = table.column("headers").combine_chunks()
        pairs = pc.list_flatten(headers)
        names, values = pc.struct_field(pairs, "name"), pc.struct_field(pairs, "value")
        offsets = table.column("input").cast(pa.string()).combine_chunks()
        origins = pc.binary_join_element_wise(self._origin, offsets, "").cast(pa.binary())
        moved = pc.replace_with_mask(values, pc.equal(names, ORIGIN_HEADER), origins)
        pairs = pa.StructArray.from_arrays([names, moved], fields=list(pairs.type))
        return pa.ListArray.from_arrays(headers.offsets, pairs, type=headers.type)


def _came_once(files: dict[str, _File]) -> str | None:
    """Return the id of an event that was forwarded, and came once."""
    ids = {name: files[name].ids if name in files else [] for name in (VERIFICATIONS, REJECTIONS, INPUTS)}
    counts = Counter(each for found in ids.values() for each in found)
    return next((each for each in reversed(ids[VERIFICATIONS]) if each is not None and counts[each] == 1), None)
