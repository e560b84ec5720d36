"""The benchmark itself, small and for real: so that it measures what it says and does not rot."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import capacity, growth, latency, recovery
from benchmarks.engines import ENGINES
from benchmarks.report import write
from benchmarks.results import Results
from benchmarks.tables import base_entries, describe_ratios
from benchmarks.throughput import Sample, add_sample, window
from benchmarks.traffic import LARGE, ORDINARY, SIZES, make_events
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, packaged_config
from gateway.core.decision import Forward, Outcome
from gateway.core.event import Identity
from gateway.decide import decide_bytes
from tests.patience import PATIENCE_S

EVENTS = 3000


def run(settings: Settings, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", "--results", str(folder), *options]
    servers = ("--bootstrap-servers", settings.bootstrap_servers)
    return subprocess.run(
        [*command, *servers], capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=os.environ
    )


def test_engines_are_measured_beside_each_other(settings: Settings, tmp_path: Path):
    options = ["--engines", "gateway,bare,floor,reading", "--sizes", "0.8 kB", "--partitions", "2", "--workers", "1"]
    done = run(settings, tmp_path, "throughput", *options, "--events", str(EVENTS), "--rounds", "1")
    assert done.returncode == 0, done.stderr
    entries = json.loads((tmp_path / "results.json").read_text())["throughput"]
    assert [entry["engine"] for entry in entries] == ["gateway", "bare", "floor", "reading"]
    for entry in entries:
        (only,) = entry["rounds"]
        # Every input has exactly one output: the harness itself refuses to report anything else.
        assert only["is_whole"]
        assert only["sent"] == (EVENTS if ENGINES[entry["engine"]].sends else None)
        assert 0 < only["events"] <= EVENTS
        assert only["rate"] > 0
        # So few events take less than a tick; and of a busy machine's run a few may be all that is measured.
        assert only["cpu_us"] > (0 if entry["engine"] == "gateway" and only["events"] >= EVENTS // 2 else -1)
        assert only["peak_mb"] > 10
    assert "| gateway | whole job | exactly once |" in done.stdout
    assert "CPU time is" in done.stdout
    chart = ET.parse(tmp_path / "throughput.svg")  # noqa: S314 — our own
    assert "gateway: whole job" in "".join(chart.getroot().itertext())


async def test_latency_restarts_and_lists_are_measured(settings: Settings, tmp_path: Path):
    log = tmp_path / "engines.log"
    steady = await latency.measure(settings, 100, 1, log)
    assert steady["events"] == 100
    assert 0 < steady["p50"] <= steady["p99"] <= steady["most"]
    assert steady["transaction_most"] >= steady["transaction_median"] >= 1

    again = await recovery.measure_restarts(settings, 1000, log, restarts=1)
    # What is forwarded, nine in ten.
    assert 850 < again["remembered"] < 950
    assert again["rss_mb"] > 10
    assert len(again["restarts_s"]) == 1

    long_list = growth.make_list(tmp_path / "list", 60)
    assert len(load_recognition(long_list).editions[-1].rows) == 60
    grown = await growth.measure_list(settings, long_list, 1000, log)
    assert grown["rate"] > 0


def test_check_is_measured_on_one_core_and_on_all(settings: Settings, tmp_path: Path):
    done = run(settings, tmp_path, "check", "--events", "2500", "--quick")
    assert done.returncode == 0, done.stderr
    entries = json.loads((tmp_path / "results.json").read_text())["check"]
    assert [entry["cores"] for entry in entries] == sorted({1, os.cpu_count()})
    assert all(entry["cpu_us"] > 0 for entry in entries)
    assert "`gateway check` of a file of 2,500 events" in done.stdout


def test_a_wrong_option_says_what_there_is(settings: Settings, tmp_path: Path):
    done = run(settings, tmp_path, "throughput", "--engines", "gateway,spark")
    assert done.returncode == 2
    assert "'spark' is not one of: gateway, gateway-python, gateway-sha256, kafka-streams" in done.stderr


@pytest.mark.parametrize("size", SIZES)
def test_events_have_their_size_and_outcome(size: str):
    recognition = load_recognition(packaged_config() / "recognition")
    events = list(make_events(recognition, 600, size))
    mean = sum(len(event.value) for event in events) / len(events)
    assert abs(mean - float(size.split(maxsplit=1)[0]) * 1000) < 0.4 * float(size.split(maxsplit=1)[0]) * 1000
    now = int(time.time() * 1000)
    forwarded: dict[Identity, tuple[str, ...]] = {}
    outcomes = []
    for event in events:
        decision = decide_bytes(event.value, event.province, now, recognition, key=event.key, forwarded=forwarded)
        outcomes.append(decision.outcome)
        if isinstance(decision, Forward):
            forwarded[decision.reading.identity] = (decision.reading.content_digest,)
    assert set(outcomes) == {Outcome.FORWARD, Outcome.REJECT}
    assert 0.07 < outcomes.count(Outcome.REJECT) / len(outcomes) < 0.16


def test_ids_never_come_twice_however_many_events():
    recognition = load_recognition(packaged_config() / "recognition")
    ids = [json.loads(event.value)["id"] for event in make_events(recognition, 5000, pool_size=1000)]
    # ID_REUSED is one of the mistakes: a few ids come twice with other content.
    assert len(set(ids)) > 0.98 * len(ids)


def test_the_warm_up_is_not_counted():
    samples = [Sample(0, 0, 1.0), Sample(1, 150, 2.0), Sample(2, 250, 2.5), Sample(3, 1000, 3.0)]
    assert window(samples) == (samples[2], samples[3])
    few = [Sample(0, 0, 1.0), Sample(1, 1000, 2.0)]
    assert window(few) == (few[0], few[1])


def test_cpu_time_is_counted_between_an_engines_commits():
    # 1,000 events a second, committed once a second, for 10 ms of CPU time each hundred; it starts in the
    # second before.
    samples = [Sample(-1.0, 0, 0.0)]
    for tenth in range(31):
        add_sample(samples, Sample(tenth / 10, tenth // 10 * 1000, 1 + tenth / 100))
    assert [(sample.at, sample.count) for sample in samples] == [(0.9, 0), (1.0, 1000), (2.0, 2000), (3.0, 3000)]
    first, last = window(samples)
    assert (last.cpu_s - first.cpu_s) / (last.count - first.count) == pytest.approx(0.1 / 1000)


def test_the_arithmetic_of_a_large_cluster():
    cost = capacity.cost_of(30.0)
    assert 700 < cost.input_bytes < 1000 < cost.output_bytes < 2500
    # 8.64 million a day are 100 a second, 1,000 at the peak: 30 ms of CPU time a second, 3 days of ids.
    given = capacity.row("a day", 8_640_000, capacity.Cost(30.0, 900, 1600), 200)
    assert given == ("a day", "9", "100", "1,000", "1", "3", "8", "0.5", "26", "5")


def test_ratios_are_of_one_run_only(tmp_path: Path):
    def entry(engine: str, rate: float, cpu_us: float, run: str, others: float = 0.1) -> dict[str, object]:
        measured = {"events": 9, "rate": rate, "cpu_us": cpu_us, "peak_mb": 50.0, "others": others}
        point = {"size": LARGE, "partitions": 4, "workers": 1, "bytes": 16_000}
        return {"engine": engine, **point, "rounds": [measured], "run": run, "version": "1", "load": "0.1"}

    same = [entry("gateway", 50, 20.0, "today"), entry("bare", 100, 10.0, "today")]
    assert "bare aiokafka lanes: copy the bytes 0.50 × (by CPU time 0.50 ×)" in describe_ratios(same)
    assert "10.0 µs an event above" in describe_ratios(same)
    other = [same[0], entry("bare", 100, 10.0, "yesterday")]
    assert describe_ratios(other) == ""
    results = Results(tmp_path)
    results.content = {"machine": {"machine": "2 cores", "software": "Kafka"}, "throughput": other}
    assert "Rates of different runs are not to be compared" in write(results)
    assert "The machine was busy" not in write(results)
    results.content["throughput"] = [entry("gateway", 50, 20.0, "today", others=0.9)]
    assert "The machine was busy" in write(results)


def test_the_other_points_vary_from_the_base_point():
    points = [(ORDINARY, 4, 2), (ORDINARY, 12, 1), (ORDINARY, 4, 1), (LARGE, 4, 1)]
    entries = [
        {"engine": engine, "size": size, "partitions": partitions, "workers": workers}
        for size, partitions, workers in points
        for engine in ("gateway", "bare")
    ]
    for given in (entries, entries[::-1]):
        assert {(each["size"], each["partitions"], each["workers"]) for each in base_entries(given)} == {points[2]}
    # A point where fewer engines were measured is not it, however it lies.
    assert (
        base_entries([entry for entry in entries if entry["engine"] == "bare" or entry["workers"] == 2]) == entries[:2]
    )
