"""What an archiver shows at ``/metrics``."""

import math
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.operate.archive.lane_state import LaneState
from gateway.operate.archive.manifest import Manifest


class ArchiveMetrics:
    """How far the archive is behind the topics, and what it has written."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.oldest = Gauge(
            "gateway_archive_oldest_unarchived_seconds", "Age of the oldest ledger entry that is not archived; 0: none.",
            registry=self.registry,
        )  # fmt: skip
        self.retention = Gauge(
            "gateway_archive_retention_seconds",
            "How long the topics keep records, the shortest; +Inf: for ever, or not known yet.", registry=self.registry,
        )  # fmt: skip
        self.retention.set(math.inf)
        self.progress = Gauge(
            "gateway_archive_progress_timestamp_seconds",
            "When the archiver last wrote a segment, or found none due in any lane; 0: not yet.",
            registry=self.registry,
        )
        self.segments = Counter("gateway_archive_segments", "Segments written.", registry=self.registry)
        self.records = Counter("gateway_archive_records", "Input records archived.", registry=self.registry)
        self.lost = Counter(
            "gateway_archive_lost", "Places where records were gone before they were archived.", registry=self.registry
        )
        self.errors = Counter(
            "gateway_archive_errors", "Passes, and lanes of a pass, that came to nothing.", registry=self.registry
        )

    def show(self, states: Iterable[LaneState], now: float) -> float:
        """Show what a pass came to; return the age in seconds of the oldest entry that is not archived."""
        lanes = list(states)
        oldest = max((now - each.open_since / 1000 for each in lanes if each.open_since is not None), default=0.0)
        self.oldest.set(max(oldest, 0.0))
        self.errors.inc(sum(each.failed is not None for each in lanes))
        if all(each.failed is None for each in lanes):
            self.progress.set(now)
        return oldest

    def count(self, manifest: Manifest) -> None:
        """Count a segment that has been written: at once, as a pass over days of records is long."""
        self.segments.inc()
        self.records.inc(manifest.records)
        self.lost.inc(len(manifest.lost))
        self.progress.set_to_current_time()
