"""config/prometheus: the alerts by promtool, and that they speak of metrics that there are and of paragraphs
by their names."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from gateway.adapters.metrics import Metrics
from gateway.contract.topics import Topics
from gateway.feedback.health import FeedbackMetrics
from gateway.operate.archive.metrics import ArchiveMetrics
from gateway.operate.audit.watch import AuditMetrics
from tests.promql import metrics_of, recorded_by
from tests.tools import require_tool

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "config" / "prometheus" / "alerts.yml"
TESTS = sorted((ROOT / "tests" / "prometheus").glob("*.yml"))

WANTED = {
    "LagGrowing", "NoCommits", "GatewayDown", "RejectionShareJumped", "DeadLetters", "LanesFenced", "ListRefused", "UnresolvedRows",
    "CertificateEnding", "AuditFailed", "LaneStuck", "ListsDiffer", "InputLost",
    "RecordsMisplaced", "ArchiveBehind", "ArchiveLost", "ArchiveStalled", "ArchiveFailing",
}  # fmt: skip


def promtool(*arguments: object) -> None:
    require_tool("promtool")
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def test_prometheus_takes_configuration_and_rules() -> None:
    promtool("check", "config", ALERTS.with_name("prometheus.yml"))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_only_then(file: Path) -> None:
    promtool("test", "rules", file)


def test_every_alert_has_firing_and_silent_cases() -> None:
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert alerts == WANTED
    cases = [
        case for file in TESTS for test in yaml.safe_load(file.read_text())["tests"] for case in test["alert_rule_test"]
    ]
    for fires in (True, False):
        assert {case["alertname"] for case in cases if bool(case["exp_alerts"]) is fires} == alerts


def test_every_alert_has_a_runbook_link_and_severity() -> None:
    for rule in rules():
        if name := rule.get("alert"):
            kebab = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
            assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{kebab}"
            assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
            assert rule["labels"]["severity"] in {"info", "warning", "critical"}


def test_rules_speak_of_metrics_that_there_are() -> None:
    exposed = exposed_names() | {"up"} | recorded_by(ALERTS)
    for rule in rules():
        named = metrics_of(rule["expr"])
        assert named, rule["expr"]
        assert named <= exposed, f"{named - exposed} in {rule.get('alert') or rule['record']}"


def exposed_names() -> set[str]:
    """Every name that ``/metrics`` of relay, feedback, audit and archive can have."""
    registries = [Metrics().registry, AuditMetrics(60).registry, ArchiveMetrics().registry, CollectorRegistry()]
    FeedbackMetrics(Topics(), registries[-1])
    names = set()
    for registry in registries:
        for family in registry.collect():
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
            names |= {family.name + suffix for suffix in suffixes}
    return names
