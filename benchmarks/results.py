"""Results in one JSON file: a run replaces what it measured again and keeps the rest, each with its time and
version."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.engines import ENGINES, ROOT

FOLDER = ROOT / "benchmarks" / "results"
Entry = dict[str, Any]


class Results:
    """What has been measured, by kind (``throughput``, ``latency`` …); ``save`` writes it to ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "results.json"
        self.content: dict[str, Any] = json.loads(self.file.read_text("utf-8")) if self.file.is_file() else {}

    def put(self, kind: str, entry: Entry, *identity: str) -> None:
        """Add ``entry``, in place of the one that is the same in ``identity``."""
        entries = self.content.setdefault(kind, [])
        entries[:] = [each for each in entries if any(each.get(name) != entry[name] for name in identity)]
        entries.append(entry)

    def of(self, kind: str) -> list[Entry]:
        """The entries of ``kind``; engines in their order."""
        order = list(ENGINES)
        found: list[Entry] = self.content.get(kind, [])
        return sorted(found, key=lambda each: order.index(each["engine"])) if kind == "throughput" else found

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def middle(entry: Entry, name: str) -> float:
    """The median of the rounds' ``name``."""
    return float(median(each[name] for each in entry["rounds"]))


def spread(entry: Entry, name: str) -> tuple[float, float]:
    """The least and the most of the rounds' ``name``."""
    values = [each[name] for each in entry["rounds"]]
    return min(values), max(values)
