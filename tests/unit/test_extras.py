"""Optional parts of the package: all else works without them, and where one is missing the message names
it."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.adapters.extras import MODULES
from gateway.core.province import Province
from gateway.operate.examples import display_event
from tests.signing import make_own_key, settings_with

ROOT = Path(__file__).parents[2]
BLOCKED = sorted({module.partition(".")[0] for modules in MODULES.values() for module in modules})
NOWHERE = "127.0.0.1:1"
LOADED_WITH_AN_EXTRA = {
    "gateway.operate.archive.archiver", "gateway.operate.archive.audit", "gateway.operate.archive.lacks",
    "gateway.operate.archive.lane_account", "gateway.operate.archive.lane_check", "gateway.operate.archive.lane_compare",
    "gateway.operate.archive.days_check", "gateway.operate.archive.facts", "gateway.operate.archive.statement_check",
    "gateway.operate.archive.lane_proof", "gateway.operate.archive.segment_data", "gateway.operate.archive.trace", "gateway.operate.archive.follow", "gateway.operate.archive.parquet",
    "gateway.operate.archive.s3_store", "gateway.operate.archive.segment",
    "gateway.feedback.report.charts", "gateway.feedback.report.html", "gateway.feedback.report.xlsx", "gateway.relay.tracing",
}  # fmt: skip


def without_extras(script: str, *arguments: str, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of ``script`` in a Python that has no extra."""
    code = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r}))\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def gateway(*arguments: str, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    return without_extras("from gateway.__main__ import main; main()", *arguments, stdin=stdin, **environment)


def test_the_all_extra_combines_the_others() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras) - {"all", "dev"} == set(MODULES)
    assert extras["all"] == [f"chuanyu-display-gateway[{','.join(sorted(MODULES))}]"]


def test_everything_else_loads_without_any() -> None:
    script = f"""
import importlib, pkgutil, gateway
for each in pkgutil.walk_packages(gateway.__path__, "gateway."):
    if each.name not in {LOADED_WITH_AN_EXTRA!r} and not each.name.endswith("__main__"):
        importlib.import_module(each.name)
"""
    assert without_extras(script) == (0, "", "")


def test_check_and_list_work_without_any() -> None:
    code, output, _ = gateway(
        "check", "-", "--format", "json", stdin=json.dumps(display_event(Province.SICHUAN)).encode()
    )
    assert (code, json.loads(output)["outcome"]) == (0, "forward")
    assert gateway("list", "validate")[0] == 0


@pytest.mark.parametrize("name", ["report.html", "report.xlsx"])
def test_a_report_names_its_extra_before_reading(tmp_path: Path, name: str) -> None:
    code, _, said = gateway("report", "--output", str(tmp_path / name), "--bootstrap-servers", NOWHERE)
    assert (code, said) == (
        78, "gateway: a report as .html or .xlsx needs the extra `report`: pip install 'chuanyu-display-gateway[report]'\n",
    )  # fmt: skip


def test_a_report_in_markdown_needs_none(tmp_path: Path) -> None:
    code, _, said = gateway("report", "--output", str(tmp_path / "report.md"), "--bootstrap-servers", NOWHERE)
    assert (code, "cannot reach Kafka" in said) == (69, True)


def test_keys_of_sm2_say_which_extra_they_need(tmp_path: Path) -> None:
    signatures = settings_with(tmp_path, "required").signatures
    remedy = "needs the extra `sm2`: pip install 'chuanyu-display-gateway[sm2]'"
    load = "from gateway.adapters.{0} import {1} as load; from gateway.adapters.settings import Settings\n"
    load += "from gateway.errors import GatewayError\ntry: load(Settings())\nexcept GatewayError as e: print(e.exit_code, e)"
    for module, function, environment in (
        ("signatures", "load_key_ring", {"KEYS": str(signatures.keys), "SICHUAN": "required"}),
        ("own_signatures", "load_record_signer",
         {"OWN_KEY": str(make_own_key(tmp_path / "own.pem", "sm2")), "OWN_KEY_ID": "own"}),
    ):  # fmt: skip
        variables = {f"GATEWAY_SIGNATURES__{name}": value for name, value in environment.items()}
        code, output, error = without_extras(load.format(module, function), **variables)
        assert (code, error) == (0, "")
        assert output.startswith("78 ")
        assert remedy in output


def test_keys_of_ed25519_need_none(tmp_path: Path) -> None:
    key = make_own_key(tmp_path / "own.pem", "ed25519")
    script = "from gateway.adapters.own_signatures import load_record_signer as load\n"
    script += "from gateway.adapters.settings import Settings; print(load(Settings()).key_id)"
    variables = {"GATEWAY_SIGNATURES__OWN_KEY": str(key), "GATEWAY_SIGNATURES__OWN_KEY_ID": "own"}
    assert without_extras(script, **variables) == (0, "own\n", "")


def test_tracing_says_which_extra_it_needs() -> None:
    code, _, said = gateway("run", "--bootstrap-servers", NOWHERE, GATEWAY_TRACING__ENABLED="true")
    remedy = "gateway: tracing.enabled needs the extra `otel`: pip install 'chuanyu-display-gateway[otel]'\n"
    assert (code, said) == (78, remedy)


def test_local_kafka_without_docker_extra_uses_java() -> None:
    script = """
from gateway.operate import local_kafka as package
from gateway.errors import LocalKafkaError
said = []
package.java_obstacle = lambda: None
print(type(package.local_kafka(announce=said.append)).__name__, *said)
package.java_obstacle = lambda: "no Java"
for prefer in ("auto", "docker"):
    try:
        package.local_kafka(prefer=prefer)
    except LocalKafkaError as error:
        print(error)
"""
    code, output, error = without_extras(script)
    assert (code, error) == (0, "")
    java, nothing, docker = output.splitlines()
    remedy = "the extra `demo`: pip install 'chuanyu-display-gateway[demo]'"
    assert java == f"JavaKafka Docker is not tried: that needs {remedy}"
    assert nothing == (
        f"no Kafka can be started here (Docker needs {remedy}; no Java): install Docker, or Java 17 and Maven."
    )
    assert f"(Docker needs {remedy})" in docker
