"""A segment's files as Parquet, compressed by zstd. Needs the extra ``archive``."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from aiokafka.structs import ConsumerRecord

from gateway.operate.archive.rows import COLUMNS, REQUIRED

_HEADER = pa.struct([("name", pa.string()), ("value", pa.binary())])
_COUNT = pa.struct(
    [
        ("outcome", pa.string()), ("batch", pa.int32()), ("row", pa.int32()), ("channel", pa.string()),
        ("scenario", pa.string()), ("region", pa.string()), ("reason", pa.string()), ("count", pa.int64()),
    ]
)  # fmt: skip
_TYPES = {
    "word": pa.string(),
    "text": pa.string(),
    "words": pa.list_(pa.string()),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "time": pa.timestamp("ms", "UTC"),
    "date": pa.date32(),
    "bytes": pa.binary(),
    "headers": pa.list_(_HEADER),
    "counts": pa.list_(_COUNT),
}
_LEVEL = 3
"""Of zstd. At 9 an event takes 5% less (399 bytes, 420 at 3), and writing it three times as long (41 µs,
14 at 3): what distinguishes events are digests, which nothing compresses."""


def schema_of(file: str) -> Any:
    """Return the Arrow schema of a segment's file."""
    return pa.schema([(name, _TYPES[kind]) for name, kind in COLUMNS[file].items()])


def write_rows(file: str, rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Write ``rows``, in the order of the file's columns, as Parquet; the same rows give the same bytes."""
    schema, kinds = schema_of(file), COLUMNS[file]
    arrays = [
        _headers(column) if kind == "headers" else pa.array(column, _TYPES[kind])
        for kind, column in zip(kinds.values(), zip(*rows, strict=True), strict=True)
    ]
    return write_table(file, pa.Table.from_arrays(arrays, schema=schema))


def write_table(file: str, table: Any) -> bytes:
    """Write ``table``, which has the file's columns, as Parquet."""
    kinds = COLUMNS[file]
    recurring = [name for name, kind in kinds.items() if kind in {"word", "words", "headers", "counts", "int32"}]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", compression_level=_LEVEL,
        use_dictionary=_leaves(recurring, kinds), version="2.6", data_page_version="1.0", store_schema=False,
        write_statistics=[name for name, kind in kinds.items() if kind in {"int32", "int64", "time", "date"}],
    )  # fmt: skip
    return bytes(sink.getvalue())


def read_rows(file: str, content: bytes, *, columns: Sequence[str] | None = None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a file, values as they were given to ``write_rows``. Raises ValueError where it is
    not such a file, or where a row lacks what makes it a record."""
    try:
        table = pq.read_table(pa.BufferReader(content), columns=list(columns) if columns else None, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(type(error).__name__) from None
    kinds = COLUMNS[file]
    names = list(columns) if columns else list(kinds)
    if table.column_names != names or any(table.schema.field(name).type != _TYPES[kinds[name]] for name in names):
        raise ValueError("its columns are not those of the format")
    for name in names:
        if _lacks_values(table.column(name), kinds[name], is_required=name in REQUIRED[file]):
            raise ValueError(f"its column {name} lacks values that every record has")
    try:
        lists = [_values(table.column(name), kinds[name]) for name in names]
    except OverflowError:
        raise ValueError("it has dates that no calendar has") from None
    return iter(zip(*lists, strict=True))


def find_rows(file: Any, columns: Mapping[str, Collection[str]], wanted: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the cells ``wanted`` of the rows in which one of ``columns`` has one of its values.

    ``file`` is open to be read here and there: of other columns nothing is read, and of ``wanted`` only
    where there is such a row. Raises ValueError as ``read_rows`` does.
    """
    try:
        parquet = pq.ParquetFile(file)
        table = parquet.read(list(columns), use_threads=False)
        is_found = [
            pc.is_in(table.column(name), pa.array(sorted(values), pa.string())) for name, values in columns.items()
        ]
        return _cells(parquet, pc.indices_nonzero(reduce(pc.or_, is_found)), wanted)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(type(error).__name__) from None


def find_traced(file: Any, trace_id: str, wanted: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the cells ``wanted`` of the rows with a header whose value has ``trace_id`` in it. Raises as
    ``find_rows``."""
    try:
        parquet = pq.ParquetFile(file)
        column = parquet.read(["headers"], use_threads=False).column("headers").combine_chunks()
        values = pc.struct_field(pc.list_flatten(column), "value")
        has_it = pc.fill_null(pc.match_substring(values.cast(pa.binary()), trace_id.encode()), False)
        return _cells(parquet, pc.unique(pc.list_parent_indices(column).filter(has_it)), wanted)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(type(error).__name__) from None


def _cells(parquet: Any, rows: Any, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Return the cells of ``rows``, by their numbers, in the columns ``names``."""
    if not len(rows):
        return iter(())
    found = parquet.read(list(names), use_threads=False).take(rows)
    return iter(zip(*(found.column(name).to_pylist() for name in names), strict=True))


def record_of(row: Sequence[Any]) -> ConsumerRecord:
    """Make of a row's first seven values the record that a consumer gave out."""
    topic, partition, offset, timestamp, key, headers, value = row[:7]
    return ConsumerRecord(
        topic, partition, offset, timestamp, 1, key, value, None, len(key or b""), len(value or b""), tuple(headers)
    )


def _lacks_values(column: Any, kind: str, *, is_required: bool) -> bool:
    """Tell whether a column, or a header in it, lacks a value that is always written."""
    if is_required and column.null_count:
        return True
    if kind != "headers":
        return False
    headers = pc.list_flatten(column)
    return bool(headers.null_count or pc.struct_field(headers, "name").null_count)


def _values(column: Any, kind: str) -> list[Any]:
    if kind == "time":
        return list(column.cast(pa.int64()).to_pylist())
    values: list[Any] = column.to_pylist()
    if kind == "headers":
        return [None if each is None else [(pair["name"], pair["value"]) for pair in each] for each in values]
    return values


def _headers(column: Sequence[Sequence[tuple[str, bytes | None]] | None]) -> Any:
    names: list[str] = []
    values: list[bytes | None] = []
    offsets: list[int] = [0]
    for each in column:
        for name, value in each or ():
            names.append(name)
            values.append(value)
        offsets.append(len(names))
    pairs = pa.StructArray.from_arrays(
        [pa.array(names, pa.string()), pa.array(values, pa.binary())], fields=list(_HEADER)
    )
    absent = pa.array([each is None for each in column], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pairs, type=pa.list_(_HEADER), mask=absent)


def _leaves(names: Sequence[str], kinds: dict[str, str]) -> list[str]:
    """Name the columns as Parquet does, which knows only those without further columns in them."""
    found: list[str] = []
    for name in names:
        if kinds[name] == "words":
            found.append(f"{name}.list.element")
        elif kinds[name] == "headers":
            found += [f"{name}.list.element.name"]
        elif kinds[name] == "counts":
            found += [f"{name}.list.element.{field.name}" for field in _COUNT]
        else:
            found.append(name)
    return found
