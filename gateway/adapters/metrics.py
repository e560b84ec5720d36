"""What Prometheus scrapes: counts of this process since its start, and which list it has. Labels are few and
bounded."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway import __version__
from gateway.adapters.log_stream import LostLines
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import Recognition

CONTENT_TYPE = CONTENT_TYPE_LATEST


_PER_EVENT_S = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.005, 0.05)
_COMMIT_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30)
_RECORDS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


class LaneStatus(NamedTuple):
    """How a lane of this worker stands; ``lag`` in records, None where it is not known yet.

    ``state`` is opening, open or waiting, for want of which the lane has not got on for ``stalled_s``
    seconds: ``cause``.
    """

    province: str
    partition: int
    state: str
    lag: int | None
    remembered_ids: int
    stalled_s: float
    cause: str


class Metrics:
    """The process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "gateway_events", "Input records by what became of them.", ["province", "outcome"], registry=self.registry
        )
        self._rejections = Counter(
            "gateway_rejections", "Rejected events by primary reason.", ["province", "reason"], registry=self.registry
        )
        self._transactions = Counter(
            "gateway_transactions", "Committed transactions.", ["province"], registry=self.registry
        )
        self._list = Gauge(
            "gateway_list_info", "The recognition list in force: always 1.", ["digest"], registry=self.registry
        )
        self._unresolved = Gauge(
            "gateway_list_unresolved_cells", "Inferred or missing cells of the newest edition.", registry=self.registry
        )
        self._refused = Gauge(
            "gateway_list_edit_refused",
            "1 while the list folder holds an edit that was refused; the last good list stays in force.",
            registry=self.registry,
        )
        self._refused.set(0)
        self._deciding = Histogram(
            "gateway_decision_seconds", "Time to decide and build an event's record, a mean a turn.",
            ["province"], buckets=_PER_EVENT_S, registry=self.registry,
        )  # fmt: skip
        self._committing = Histogram(
            "gateway_transaction_seconds", "Time to write and commit a transaction.",
            ["province"], buckets=_COMMIT_S, registry=self.registry,
        )  # fmt: skip
        self._records = Histogram(
            "gateway_transaction_records", "Input records of a transaction.",
            ["province"], buckets=_RECORDS, registry=self.registry,
        )  # fmt: skip
        self._aborts = Counter(
            "gateway_aborts", "Transactions that came to nothing.", ["province"], registry=self.registry
        )
        self._fences = Counter(
            "gateway_fences", "Lanes that another worker had opened.", ["province"], registry=self.registry
        )
        self._ends = Counter(
            "gateway_lane_ends", "Lanes whose task ended by itself and was started again: a defect.", ["province"],
            registry=self.registry,
        )  # fmt: skip
        self._stalled = Gauge(
            "gateway_lane_stalled_seconds",
            "For how long a lane of this worker had something to do and got nowhere; the cause is an error's class, Opening, "
            "OpenTransaction (somebody's, at the input's end), or NothingFetched.",
            ["province", "partition", "cause"], registry=self.registry,
        )  # fmt: skip
        self._committed_at = Gauge(
            "gateway_last_commit_timestamp_seconds", "When a lane of the province last committed.",
            ["province"], registry=self.registry,
        )  # fmt: skip
        self._misplaced = Counter(
            "gateway_misplaced_records", "Input records in another partition than the one where their key belongs (murmur2).",
            ["province", "partition"], registry=self.registry,
        )  # fmt: skip
        self._lag = Gauge(
            "gateway_lag_records", "Input records not yet decided, of this worker's lanes.",
            ["province", "partition"], registry=self.registry,
        )  # fmt: skip
        self._lanes = Gauge("gateway_lanes", "Lanes of this worker.", ["state"], registry=self.registry)
        self._remembered = Gauge(
            "gateway_remembered_ids", "Ids in the duplicates' horizon of this worker's lanes.", registry=self.registry
        )
        self._certificates = Gauge(
            "gateway_tls_certificate_end_timestamp_seconds",
            "When a bootstrap server's certificate ends, or the first one of kafka.ca_file.",
            ["certificate"], registry=self.registry,
        )  # fmt: skip
        self.registry.register(LostLines())
        build = Gauge("gateway_build_info", "The engine's version: always 1.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)
        # Counters begin at 0, all of them: a rate over one that appears with its first event would not see
        # that event.
        for province in Province:
            for counter in (self._transactions, self._aborts, self._fences, self._ends):
                counter.labels(province.value)
            for outcome in Outcome:
                self._events.labels(province.value, outcome.value)
            for code in Code:
                self._rejections.labels(province.value, code.value)

    def count_turn(
        self, province: str, outcomes: dict[str, int], reasons: dict[str, int], deciding_s: float, committing_s: float
    ) -> None:
        """Count a committed transaction of a lane of ``province``."""
        records = max(1, sum(outcomes.values()))
        self._transactions.labels(province).inc()
        self._deciding.labels(province).observe(deciding_s / records)
        self._committing.labels(province).observe(committing_s)
        self._records.labels(province).observe(records)
        self._committed_at.labels(province).set_to_current_time()
        for outcome, count in outcomes.items():
            self._events.labels(province, outcome).inc(count)
        for reason, count in reasons.items():
            self._rejections.labels(province, reason).inc(count)

    def count_misplaced(self, province: str, partition: int, records: int) -> None:
        """Count records of a committed transaction that stand in ``partition`` and belong elsewhere."""
        self._misplaced.labels(province, partition).inc(records)

    def count_abort(self, province: str) -> None:
        """Count a transaction that was aborted."""
        self._aborts.labels(province).inc()

    def count_fence(self, province: str) -> None:
        """Count a lane that another worker had opened."""
        self._fences.labels(province).inc()

    def count_lane_end(self, province: str) -> None:
        """Count a lane whose task ended by itself."""
        self._ends.labels(province).inc()

    def show_lanes(self, lanes: Iterable[LaneStatus]) -> None:
        """Show the lanes that this worker has now; another worker reports those that it has no longer."""
        shown = list(lanes)
        self._lag.clear()
        self._stalled.clear()
        for lane in shown:
            self._misplaced.labels(lane.province, lane.partition)  # from 0 on, as all counters
            if lane.lag is not None:
                self._lag.labels(lane.province, lane.partition).set(lane.lag)
            self._stalled.labels(lane.province, lane.partition, lane.cause).set(lane.stalled_s)
        self._lanes.labels("assigned").set(len(shown))
        for state in ("opening", "open", "waiting"):
            self._lanes.labels(state).set(sum(lane.state == state for lane in shown))
        self._remembered.set(sum(lane.remembered_ids for lane in shown))

    def show_list(self, recognition: Recognition, *, edit_refused: bool) -> None:
        """Show the list now in force, and whether the folder holds a broken edit of it."""
        self._list.clear()
        self._list.labels(recognition.digest).set(1)
        self._unresolved.set(sum(len(listed.row.unresolved()) for listed in recognition.editions[-1].rows))
        self._refused.set(edit_refused)

    def show_certificates(self, ends: Mapping[str, float]) -> None:
        """Show when certificates end, in seconds since 1970; those not in ``ends`` this time keep their last
        value."""
        for certificate, end in ends.items():
            self._certificates.labels(certificate).set(end)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
