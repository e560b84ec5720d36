"""What Prometheus and an orchestrator see of a relay, compared with the topics."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.contract.topics import LaneId
from gateway.core.province import Province
from gateway.operate.local_kafka import LocalKafka
from gateway.operate.simulate import Simulator
from gateway.operate.topics import apply_topics
from tests.kafka.harness import publish, read_topics, wait_until_accounted, workers
from tests.patience import PATIENCE_S
from tests.ports import free_port


def scrape(port: int) -> dict[tuple[str, ...], float]:
    """Every sample: name, then the labels' values in the order of their names."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }


def readiness(port: int, page: str = "readyz") -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def until(port: int, ask: Callable[[int], Any], is_so: Callable[[Any], bool], timeout_s: float = PATIENCE_S) -> Any:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            answer = ask(port)
            if is_so(answer):
                return answer
        except (urllib.error.URLError, OSError):
            answer = "no answer"
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)


def those_standing_by(ports: list[int]) -> list[int]:
    """Who has nothing to do while the others have both lanes."""
    answers = {port: readiness(port)[1] for port in ports}
    all_lanes = sum(len(answer["lanes"]) for answer in answers.values()) == 2
    return [port for port, answer in answers.items() if all_lanes and answer["standby"]]


def test_metrics_and_readiness_agree_with_the_topics(own_broker: LocalKafka) -> None:
    shipped = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=own_broker.bootstrap_servers)
    settings = shipped.model_copy(update={
        "topics": shipped.topics.model_copy(update={"partitions": 1}),
        "relay": shipped.relay.model_copy(update={"session_timeout_ms": 6000}),
    })  # fmt: skip
    asyncio.run(apply_topics(settings))
    port, *more_ports = ports = [free_port() for _ in range(3)]
    web = {"GATEWAY_WEB__ENABLED": "true"}
    with workers(settings, 1, **web, GATEWAY_WEB__PORT=str(port)) as (worker,):
        until(port, readiness, lambda answer: answer[0] == 200 and len(answer[1]["lanes"]) == 2)
        simulator = Simulator(load_recognition(settings.recognition_dir), 5)
        events = [simulator.next_event(int(time.time() * 1000)) for _ in range(600)]
        began = time.monotonic()
        asyncio.run(publish(settings, events))
        asyncio.run(wait_until_accounted(settings, len(events)))
        lags = [("gateway_lag_records", "0", province) for province in Province]
        found = until(port, scrape, lambda samples: all(samples.get(lag) == 0 for lag in lags))

        outcomes, reasons, transactions = asyncio.run(_ledger(settings))
        for (province, outcome), count in outcomes.items():
            assert found["gateway_events_total", outcome, province] == count
        for (province, reason), count in reasons.items():
            assert found["gateway_rejections_total", province, reason] == count
        for province, count in transactions.items():
            assert found["gateway_transactions_total", province] == count
            assert found["gateway_transaction_seconds_count", province] == count
            assert found["gateway_decision_seconds_count", province] == count
            assert 0 < found["gateway_decision_seconds_sum", province] < time.monotonic() - began
            assert abs(time.time() - found["gateway_last_commit_timestamp_seconds", province]) < 60
        assert sum(found["gateway_transaction_records_sum", each] for each in transactions) == len(events)
        assert found["gateway_lanes", "assigned"] == found["gateway_lanes", "open"] == 2
        assert found["gateway_list_unresolved_cells",] == 38
        assert 0 < found["gateway_remembered_ids",] <= len(events)

        # Another owner of a lane's transactional id: the lane is fenced, which is counted, and its
        # transaction aborted.
        asyncio.run(_fence(settings))
        asyncio.run(publish(settings, [simulator.next_event(int(time.time() * 1000)) for _ in range(200)]))
        until(port, scrape, lambda samples: samples.get(("gateway_fences_total", "sichuan"), 0) >= 1)
        assert scrape(port)["gateway_aborts_total", "sichuan"] >= 1
        asyncio.run(wait_until_accounted(settings, len(events) + 200))

        # More workers than there is work for: one stands by, is ready all the same, and reports no lag of
        # lanes not its own.
        with ExitStack() as stack:
            for each in more_ports:
                stack.enter_context(workers(settings, 1, **web, GATEWAY_WEB__PORT=str(each)))
            for each in more_ports:
                until(each, readiness, lambda answer: answer[0] == 200)
            # The group may rebalance once more, when all have joined: until then nobody need be standing by.
            (standing_by,) = until(port, lambda _: those_standing_by(ports), lambda found: len(found) == 1)
            until(standing_by, readiness, lambda answer: answer[0] == 200)
            idle = until(standing_by, scrape, lambda samples: samples["gateway_lanes", "assigned"] == 0)
            assert not [key for key in idle if key[0] == "gateway_lag_records"]
        until(port, readiness, lambda answer: answer[0] == 200 and len(answer[1]["lanes"]) == 2)
        own_broker.kill()
        _, answer = until(port, readiness, lambda answer: answer[0] == 503 and not answer[1]["broker_answers"])
        assert answer["list_loaded"] is True
        assert worker.process is not None
        assert worker.process.poll() is None


async def _ledger(settings: Settings) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]], Counter[str]]:
    outcomes, reasons, transactions = Counter(), Counter(), Counter()
    async for record in read_topics(settings, [settings.topic_names.ledger]):
        data = json.loads(record.value)["data"]
        transactions[data["province"]] += 1
        for item in data["counts"]:
            outcomes[data["province"], item["outcome"]] += item["count"]
            if item["reason"]:
                reasons[data["province"], item["reason"]] += item["count"]
    return outcomes, reasons, transactions


async def _fence(settings: Settings) -> None:
    lane = LaneId(Province.SICHUAN, settings.topic_names.display(Province.SICHUAN), 0)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, transactional_id=lane.transactional_id)
    await producer.start()
    await producer.begin_transaction()
    await producer.abort_transaction()
    await producer.stop()
