"""How many events the gateway's transactions held, by its own ledger."""

from dataclasses import dataclass
from statistics import median

import msgspec

from benchmarks.ground import read_values
from gateway.adapters.settings import Settings
from gateway.adapters.topics import Topics


class _Data(msgspec.Struct):
    records: int


class _Entry(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Entry).decode


@dataclass(frozen=True)
class Sizes:
    """Events of a transaction: the median over all of them, and the most."""

    median: float
    most: int
    transactions: int


def read_sizes(settings: Settings) -> Sizes:
    """Of every transaction that the ledger has."""
    sizes = [_decode(value).data.records for value in read_values(settings, [Topics(settings.topic_prefix).ledger])]
    return Sizes(median(sizes), max(sizes), len(sizes)) if sizes else Sizes(0, 0, 0)
