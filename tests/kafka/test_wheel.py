"""The wheel, installed by itself and run in an empty folder: configuration and list are in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.adapters.extras import MODULES
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.examples import display_event

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs, and nothing of the checkout. What it depends on is this
    environment's, but for the extras: those are hidden from it, and from the processes that it starts."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    hidden = sorted({module.partition(".")[0] for modules in MODULES.values() for module in modules})
    (folder / "site" / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({hidden!r}))\n")
    return folder / "site"


def gateway(
    site: Path, *arguments: str, stdin: bytes = b"", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    empty = site.parent / "empty"
    empty.mkdir(exist_ok=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], input=stdin, capture_output=True, check=False, cwd=empty,
        env=clean | {"PYTHONPATH": str(site)} | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert list(empty.iterdir()) == []
    return done


def test_check_and_list(installed: Path) -> None:
    event = json.dumps(display_event(Province.SICHUAN)).encode()
    assert json.loads(gateway(installed, "check", "-", "--format", "json", stdin=event).stdout)["outcome"] == "forward"
    assert len(gateway(installed, "list", "show", "--format", "json").stdout.splitlines()) == 20
    assert str(installed / "gateway") in gateway(installed, "list", "validate").stderr.decode()


def test_demo(installed: Path, settings: Settings) -> None:
    broker = {"GATEWAY_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "GATEWAY_TOPIC_PREFIX": settings.topic_prefix}
    done = gateway(installed, "demo", "--events", "300", "--format", "json", **broker)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["published"], summary["lost"], summary["duplicated"]) == (300, 0, 0)
