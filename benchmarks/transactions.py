"""How many events the gateway's transactions held, by its own ledger."""

from dataclasses import dataclass
from statistics import median

import msgspec

from benchmarks.ground import read_values
from gateway.adapters.settings import Settings


class _Data(msgspec.Struct):
    records: int


class _Entry(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Entry).decode


@dataclass(frozen=True)
class Sizes:
    """Events of a transaction: the median over all of them, and the most; and the ledger's bytes for each
    event."""

    median: float
    most: int
    ledger_bytes: float


def read_sizes(settings: Settings) -> Sizes:
    """Of every transaction that the ledger has."""
    entries = [(_decode(value).data.records, len(value)) for value in read_values(settings, [_ledger(settings)])]
    sizes, length = [records for records, _ in entries], sum(length for _, length in entries)
    return Sizes(median(sizes), max(sizes), length / sum(sizes)) if sizes else Sizes(0, 0, 0)


def _ledger(settings: Settings) -> str:
    return settings.topic_names.ledger
