"""`gateway demo --keep`, and against it the examples of docs/examples: a platform's own programs in Python
and Java."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tongsuopy.crypto import serialization

from gateway.adapters.settings import Settings
from gateway.operate import sandbox
from gateway.operate.topics import apply_topics
from tests.patience import PATIENCE_S
from tests.signing import EDWARDS_KEY, SM2_KEY, settings_with

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PYTHON = {
    "publisher": [sys.executable, str(EXAMPLES / "python" / "publisher.py")],
    "consumer": [sys.executable, str(EXAMPLES / "python" / "consumer.py")],
}

# A JVM that lives for seconds is not worth optimising.
_QUICK = {"MAVEN_OPTS": "-XX:TieredStopAtLevel=1"}


def clean_environment(**more: str) -> dict[str, str]:
    """Without a broker that somebody configured: the sandbox has its own."""
    bin_folder = str(Path(sys.executable).parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return kept | _QUICK | {"PYTHONPATH": str(ROOT), "PATH": f"{bin_folder}:{os.environ['PATH']}", **more}


class Sandbox:
    """A `gateway demo --keep` that is up, and what it said."""

    def __init__(self, process: "subprocess.Popen[str]", announced: dict[str, Any]) -> None:
        self.process, self.announced = process, announced
        self.folder = Path(announced["folder"])

    def run(self, command: str) -> str:
        """A line as the sandbox prints them, in a shell."""
        done = subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def page(self, path: str) -> Any:
        with urllib.request.urlopen(self.announced["page"] + path, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def platform(self, province: str, **more: str) -> dict[str, str]:
        """The environment of a platform's own program."""
        return clean_environment(
            BOOTSTRAP_SERVERS=self.announced["bootstrap_servers"], PROVINCE=province,
            PASSWORD_FILE=self.announced["principals"][province], **more,
        )  # fmt: skip


@contextlib.contextmanager
def kept_demo(**environment: str) -> Iterator[Sandbox]:
    command = [
        sys.executable,
        "-m",
        "gateway",
        "demo",
        "--keep",
        "--events",
        "60",
        "--partitions",
        "2",
        "--format",
        "json",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(**environment)
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            yield Sandbox(process, json.loads(line)["sandbox"])
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=PATIENCE_S)
                process.kill()


def build_java(folder: Path) -> dict[str, list[str]]:
    """Compile the Java example in ``folder``, offline where Maven's cache has all; its commands."""
    shutil.copytree(EXAMPLES / "java", folder)
    goals = ["mvn", "-q", "-B", "-f", str(folder / "pom.xml"), "compile", "dependency:copy-dependencies"]
    built = None
    for options in (["-o"], []):
        built = subprocess.run(
            [*goals, *options], capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=os.environ | _QUICK
        )
        if built.returncode == 0:
            break
    assert built is not None
    assert built.returncode == 0, built.stdout + built.stderr
    java = [
        "java",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        f"{folder}/target/classes:{folder}/target/dependency/*",
    ]
    return {name: [*java, f"cn.chuanyu.example.{name.capitalize()}"] for name in ("publisher", "consumer")}


def displays(folder: Path, name: str) -> Path:
    """The examples' displays, with a time of now and ids of their own: one passes, one was shown with an app
    that the list does not name."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    shown = [json.loads(line) for line in (EXAMPLES / "displays.ndjson").read_text(encoding="utf-8").splitlines()]
    lines = [
        json.dumps(each | {"id": f"{name}-{number}", "time": now}, ensure_ascii=False)
        for number, each in enumerate(shown, start=1)
    ]
    (folder / f"{name}.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / f"{name}.ndjson"


def read_until(command: list[str], environment: dict[str, str], wanted: set[str]) -> dict[str, dict[str, Any]]:
    """What a consumer says of the events that are ``wanted``, by event; it is ended once it has said all."""
    found: dict[str, dict[str, Any]] = {}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        watchdog = subprocess.Popen(["sh", "-c", f"sleep {PATIENCE_S}; kill {process.pid}"])
        try:
            for line in process.stdout:
                said = json.loads(line)
                if said["event"] in wanted:
                    found[said["event"]] = said
                if found.keys() == wanted:
                    break
        finally:
            watchdog.kill()
            watchdog.wait()
            process.kill()
        assert found.keys() == wanted, process.stderr.read() if process.stderr else ""
    return found


def write_keys(folder: Path) -> dict[str, Path]:
    """The private keys of tests.signing in PEM, by the id under which the gateway knows the public one."""
    edwards = EDWARDS_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    sm2 = SM2_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = {"sichuan-1": folder / "sm2.pem", "sichuan-2": folder / "ed25519.pem"}
    files["sichuan-1"].write_bytes(sm2)
    files["sichuan-2"].write_bytes(edwards)
    return files


def check_lines(sandbox: Sandbox) -> None:
    """The commands that are printed do what they say."""
    folder = sandbox.folder
    sandbox.run(f". {folder}/sichuan.env; gateway publish {folder}/sichuan.ndjson --province sichuan")
    deadline, seen = time.monotonic() + PATIENCE_S, set[str]()
    while len(seen) < 20 and time.monotonic() < deadline:
        output = sandbox.run(
            f". {folder}/chongqing.env; "
            "gateway tail chongqing.verification --from-beginning --timeout 5 --format json | grep '\"sample-' || true"
        )
        seen = {json.loads(line)["data"]["event"]["id"] for line in output.splitlines()}
    assert seen == {f"sample-sichuan-{number}" for number in range(20)}
    assert "forwarded" in sandbox.run(f". {folder}/operator.env; gateway trace sample-sichuan-0")
    assert "一致" in sandbox.run(f". {folder}/operator.env; gateway audit --prove")
    told = sandbox.run(f". {folder}/operator.env; gateway doctor || true")
    assert re.search("sichuan.display[^:]*: 2 partitions", told), told  # and not: has 2 partitions, needs 12


def check_page(sandbox: Sandbox, event_id: str) -> None:
    """The page shows a rejection once it has come."""
    deadline = time.monotonic() + PATIENCE_S
    while event_id not in json.dumps(sandbox.page("/api/rejections")):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def check_examples(
    sandbox: Sandbox, folder: Path, language: str, commands: dict[str, list[str]], **signing: str
) -> None:
    """Assert that the example's events pass the relay: the other side reads what passed, its own what did
    not."""
    file = displays(folder, language)
    published = subprocess.run(
        [*commands["publisher"], str(file)], env=sandbox.platform("sichuan", **signing), capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert published.returncode == 0, published.stderr
    assert "2 delivered" in published.stderr
    verified = read_until(
        commands["consumer"], sandbox.platform("chongqing", GROUP=f"chongqing-{language}"), {f"{language}-1"}
    )
    assert verified == {
        f"{language}-1": {
            "event": f"{language}-1",
            "outcome": "verified",
            "batch": 1,
            "row": 5,
            "certificate": "道路运输证",
        }
    }
    rejected = read_until(
        commands["consumer"], sandbox.platform("sichuan", GROUP=f"sichuan-{language}"), {f"{language}-2"}
    )
    assert rejected[f"{language}-2"]["reasons"] == ["CHANNEL_NOT_RECOGNISED"]


def check_partitions(sandbox: Sandbox, folder: Path, java: dict[str, list[str]]) -> None:
    """Assert that equal keys reach one partition from Python, Java and the command: nothing is forwarded
    twice."""
    assert sandbox.announced["partitioner"] == "murmur2_random"
    first = json.loads(displays(folder, "partitions").read_text(encoding="utf-8").splitlines()[0])
    made = []
    for number in range(24):
        each = json.loads(json.dumps(first)) | {"id": f"partitions-{number}"}
        each["data"]["holder"]["ref"] = f"sm3:{number * 7919:064x}"
        made.append(each)
    file, events = folder / "partitions.ndjson", folder / "partition-events.ndjson"
    file.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in made), encoding="utf-8")
    context = {"specversion": "1.0", "type": "cn.chuanyu.certificate.displayed.v1", "source": "urn:chuanyu:sichuan"}
    events.write_text(
        "".join(
            json.dumps(context | {"datacontenttype": "application/json"} | each, ensure_ascii=False) + "\n"
            for each in made
        ),
        encoding="utf-8",
    )
    for publisher in (PYTHON["publisher"], java["publisher"]):
        done = subprocess.run(
            [*publisher, str(file)], env=sandbox.platform("sichuan"), capture_output=True, text=True, timeout=PATIENCE_S,
            check=False,
        )  # fmt: skip
        assert "24 delivered" in done.stderr
    sandbox.run(f". {sandbox.folder}/sichuan.env; gateway publish {events} --province sichuan")
    for number in (0, 7, 23):
        deadline, outcomes = time.monotonic() + PATIENCE_S, list[str]()
        while (len(outcomes) < 3 or "pending" in outcomes) and time.monotonic() < deadline:
            output = sandbox.run(f". {sandbox.folder}/operator.env; gateway trace partitions-{number} --format json")
            outcomes = [each["outcome"] for each in json.loads(output)["occurrences"]]
        assert outcomes == ["forward", "duplicate", "duplicate"]


def check_wrong_key(sandbox: Sandbox, folder: Path, keys: dict[str, Path]) -> None:
    """Assert that a wrong key is rejected: so it is the signature that let the others pass."""
    file = displays(folder, "wrongly-signed")
    environment = sandbox.platform(
        "sichuan", SIGNING_KEY=str(keys["sichuan-2"]), SIGNING_KEY_ID="sichuan-1", GROUP="sichuan-w"
    )
    subprocess.run(
        [*PYTHON["publisher"], str(file)], env=environment, check=True, capture_output=True, timeout=PATIENCE_S
    )
    rejected = read_until(PYTHON["consumer"], environment, {"wrongly-signed-1"})
    assert rejected["wrongly-signed-1"]["reasons"] == ["SIGNATURE_INVALID"]


def test_the_sandbox_serves_example_programs_and_cleans_up(tmp_path: Path) -> None:
    keys, signatures = write_keys(tmp_path), settings_with(tmp_path, "optional").signatures
    java = build_java(tmp_path / "java")
    with kept_demo(GATEWAY_SIGNATURES__SICHUAN="optional", GATEWAY_SIGNATURES__KEYS=str(signatures.keys)) as sandbox:
        check_lines(sandbox)
        for part, log in sandbox.announced["logs"].items():
            assert f'"event":"{part}.starting"' in Path(log).read_text(encoding="utf-8")
        edwards = {"SIGNING_KEY": str(keys["sichuan-2"]), "SIGNING_KEY_ID": "sichuan-2"}
        sm2 = {"SIGNING_KEY": str(keys["sichuan-1"]), "SIGNING_KEY_ID": "sichuan-1"}
        check_examples(sandbox, tmp_path, "python", PYTHON, **edwards)
        check_examples(sandbox, tmp_path, "java", java, **sm2)
        check_examples(sandbox, tmp_path, "java-edwards", java | {"consumer": PYTHON["consumer"]}, **edwards)
        check_partitions(sandbox, tmp_path, java)
        check_wrong_key(sandbox, tmp_path, keys)
        check_page(sandbox, "wrongly-signed-1")
        sandbox.process.send_signal(signal.SIGINT)
        out, complaint = sandbox.process.communicate(timeout=PATIENCE_S)
        assert sandbox.process.returncode == 0, complaint
        summary = json.loads(out.splitlines()[-1])
        assert (summary["published"], summary["lost"], summary["duplicated"]) == (60, 0, 0)
        assert not sandbox.folder.exists()
        assert not [log for log in sandbox.announced["logs"].values() if Path(log).exists()]
        for address in (sandbox.announced["bootstrap_servers"], sandbox.announced["page"].removeprefix("http://")):
            host, _, port = address.rpartition(":")
            with socket.socket() as probe:
                assert probe.connect_ex((host, int(port))) != 0, f"{address} still answers"


def test_a_sandbox_has_a_kafka_of_its_own() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--keep"], capture_output=True, text=True, check=False,
        env=clean_environment(GATEWAY_BOOTSTRAP_SERVERS="localhost:9092"),
    )  # fmt: skip
    assert refused.returncode == 2
    assert "--keep has a Kafka and a gateway of its own" in refused.stderr


def test_the_page_for_provinces_names_files_that_are_there() -> None:
    page = (ROOT / "docs" / "provinces.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_a_port_taken_at_the_last_moment_is_left(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(apply_topics(settings))
    token = tmp_path / "operator-token"
    token.write_text("synthetic-operator-token")
    looked_at: list[int] = []

    def is_free(port: int) -> bool:
        looked_at.append(port)
        return len(looked_at) == 1  # and then somebody has it

    monkeypatch.setattr(sandbox, "is_free", is_free)
    with socket.create_server(("127.0.0.1", 0)) as other, contextlib.ExitStack() as running:
        taken = other.getsockname()[1]
        wanted = settings.model_copy(update={"web": settings.web.model_copy(update={"port": taken})})
        page, feedback = sandbox.start_page(wanted, token, running)
        assert looked_at == [taken, taken]
        assert page != f"http://127.0.0.1:{taken}"
        feedback.require_running()
        with urllib.request.urlopen(f"{page}/readyz") as answer:
            assert answer.status == 200
