"""What the log says of feedback's periodic tasks that do not succeed."""

from structlog.testing import capture_logs

from gateway.adapters.settings import Settings
from gateway.errors import BrokerUnreachableError
from gateway.feedback.app import carefully


async def test_a_task_waiting_for_the_broker_is_no_defect() -> None:
    outcomes: list[Exception | None] = [BrokerUnreachableError("nobody"), None, LookupError()]

    async def look() -> None:
        if error := outcomes.pop(0):
            raise error

    work = carefully(look, Settings(bootstrap_servers="kafka:9092"))
    with capture_logs() as said:
        for _ in range(3):
            await work()
    assert [(line["event"], line["log_level"], line["task"]) for line in said] == [
        ("task.waiting", "warning", "look"),
        ("task.resumed", "info", "look"),
        ("feedback.task_failed", "error", "look"),
    ]
