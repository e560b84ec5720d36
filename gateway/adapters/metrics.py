"""What Prometheus scrapes: counts of this process since its start, and which list it has. Labels are few and bounded."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.core.recognition import Recognition

CONTENT_TYPE = CONTENT_TYPE_LATEST


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

    def count_turn(self, province: str, outcomes: dict[str, int], reasons: dict[str, int]) -> None:
        """A committed transaction of a lane of ``province``."""
        self._transactions.labels(province).inc()
        for outcome, count in outcomes.items():
            self._events.labels(province, outcome).inc(count)
        for reason, count in reasons.items():
            self._rejections.labels(province, reason).inc(count)

    def show_list(self, recognition: Recognition, *, edit_refused: bool) -> None:
        """The list now in force, and whether the folder holds a broken edit of it."""
        self._list.clear()
        self._list.labels(recognition.digest).set(1)
        self._unresolved.set(sum(len(listed.row.unresolved()) for listed in recognition.editions[-1].rows))
        self._refused.set(edit_refused)

    def render(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)
