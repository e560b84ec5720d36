"""``make chaos``: every fault by itself, many times, amid many events; and a table of what came of it."""

import argparse
import asyncio
import contextlib
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gateway.adapters.settings import Settings
from gateway.operate.local_kafka import local_kafka
from gateway.operate.local_kafka.cluster import LocalCluster
from tests.faults import (
    broker_faults,
    cluster_faults,
    feedback_faults,
    log_faults,
    log_stage,
    network_faults,
    worker_faults,
)
from tests.faults.partition_faults import PARTITIONS_ADDED
from tests.faults.stage import Row, Scenario, play, small_settings

_COLUMNS = ("fault", "times", "events", "lost", "doubled", "recovery, median s", "worst s")
_LOG_COLUMNS = (
    "fault of the log", "times", "events", "lost by name", "with their log", "in silence", "doubled",
    "reported, median s", "worst s",
)  # fmt: skip

Ground = tuple[Settings, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="how often each fault happens at least")
    parser.add_argument("--rate", type=int, default=2000, help="events a second meanwhile")
    parser.add_argument(
        "--events",
        type=int,
        default=2_000_000,
        help="events over the whole suite at least, an equal part for each fault",
    )
    parser.add_argument("--only", default="", help="faults with this in their name")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it reports what it retries
    console, rows, failures = Console(stderr=True), list[Row](), list[str]()
    of_logs = [each for each in log_faults.SCENARIOS if options.only in each.name]
    with tempfile.TemporaryDirectory(prefix="chuanyu-lists-") as folder:
        scenarios = every_scenario(Path(folder))
        chosen = [(number, *each) for number, each in enumerate(scenarios, start=1) if options.only in each[1].name]
        if not chosen and not of_logs:
            names = [*(each.name for _, each in scenarios), *(each.name for each in log_faults.SCENARIOS)]
            parser.error(f"--only {options.only}: the faults are {', '.join(names)}")
        for number, ground, scenario in chosen:
            console.print(f"{scenario.name} …")
            try:
                with ground() as (settings, under):
                    playing = play(
                        scenario, settings, ground=under, times=scenario.times or options.times, rate=options.rate,
                        seed=number, events=-(-options.events // len(scenarios)),
                    )  # fmt: skip
                    rows.append(asyncio.run(playing))
            except KeyboardInterrupt:  # what was done until then is reported all the same
                failures.append(f"{scenario.name}: interrupted, and what would have come after it")
                break
            except Exception as error:  # noqa: BLE001 — the other faults are still to be tried
                failures.append(f"{scenario.name}: {type(error).__name__}: {error}")
                console.print(failures[-1], markup=False)
    log_rows = list[log_stage.LogRow]()
    for log_scenario in of_logs:
        console.print(f"{log_scenario.name} …")
        try:
            log_rows += asyncio.run(log_stage.play([log_scenario], options.times))
        except KeyboardInterrupt:
            failures.append(f"{log_scenario.name}: interrupted, and what would have come after it")
            break
        except Exception as error:  # noqa: BLE001 — as above
            failures.append(f"{log_scenario.name}: {type(error).__name__}: {error}")
            console.print(failures[-1], markup=False)
    if rows:
        Console(width=110).print(table(rows))
    if log_rows:
        Console(width=140).print(table_of_logs(log_rows))
    sys.stdout.writelines(f"failed: {failure}\n" for failure in failures)
    amiss = any(row.lost or row.doubled for row in rows) or any(row.silent or row.doubled for row in log_rows)
    return 1 if failures or amiss else 0


def every_scenario(folder: Path) -> list[tuple[Any, Scenario]]:
    """Return every scenario with what makes the ground it is played on, new for each."""
    return [
        *((on_broker, scenario) for scenario in worker_faults.scenarios(folder)),
        *((on_broker, scenario) for scenario in feedback_faults.SCENARIOS),
        *((on_broker, scenario) for scenario in broker_faults.SCENARIOS),
        (on_small_disk, broker_faults.FULL_DISK),
        *((behind_proxy, scenario) for scenario in network_faults.SCENARIOS),
        (on_broker, PARTITIONS_ADDED),
        *((on_cluster, scenario) for scenario in cluster_faults.SCENARIOS),
    ]


@contextlib.contextmanager
def on_broker() -> Iterator[Ground]:
    with local_kafka(prefer="java") as broker:
        yield at(broker.bootstrap_servers), broker


@contextlib.contextmanager
def on_small_disk() -> Iterator[Ground]:
    with broker_faults.broker_on_small_disk() as disk:
        yield at(disk.broker.bootstrap_servers), disk


@contextlib.contextmanager
def behind_proxy() -> Iterator[Ground]:
    with network_faults.broker_behind_proxy() as (_, proxy):
        yield at(f"127.0.0.1:{proxy.port}"), proxy


@contextlib.contextmanager
def on_cluster() -> Iterator[Ground]:
    with LocalCluster() as cluster:
        yield cluster_faults.on_cluster(small_settings(), cluster.bootstrap_servers), cluster


def at(bootstrap_servers: str) -> Settings:
    return small_settings().model_copy(update={"bootstrap_servers": bootstrap_servers})


def table(rows: list[Row]) -> Table:
    made = Table()
    for column in _COLUMNS:
        made.add_column(column, justify="left" if column == "fault" else "right")
    for row in rows:
        numbers = (row.times, row.events, row.lost, row.doubled)
        made.add_row(row.fault, *map(str, numbers), f"{row.median_s:.1f}", f"{row.worst_s:.1f}")
    sums = (sum(column) for column in zip(*((r.times, r.events, r.lost, r.doubled) for r in rows), strict=True))
    made.add_section()
    made.add_row("all", *map(str, sums), "", f"{max((row.worst_s for row in rows), default=0):.1f}")
    return made


def table_of_logs(rows: list[log_stage.LogRow]) -> Table:
    made = Table()
    for column in _LOG_COLUMNS:
        made.add_column(column, justify="left" if column == _LOG_COLUMNS[0] else "right")
    for row in rows:
        numbers = (row.times, row.events, row.named, row.with_log, row.silent, row.doubled)
        made.add_row(row.fault, *map(str, numbers), f"{row.median_s:.1f}", f"{row.worst_s:.1f}")
    columns = zip(*((r.times, r.events, r.named, r.with_log, r.silent, r.doubled) for r in rows), strict=True)
    made.add_section()
    made.add_row("all", *(str(sum(column)) for column in columns), "", f"{max(row.worst_s for row in rows):.1f}")
    return made


if __name__ == "__main__":
    sys.exit(main())
