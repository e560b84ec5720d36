"""What is installed is what was pinned: every requirement with its version and hashes, and nothing beside
them."""

import json
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINS = sorted((ROOT / ".ci").glob("requirements*.txt"))
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;\\]+)(?: ; [^\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
_NOT_PINNED = {"pip", "setuptools", "chuanyu-display-gateway", "gateway-kernel"}
"""Python's own installer, what brings it, and the project with its kernel."""


def pins_in(path: Path) -> dict[str, str]:
    """Versions by normalised name. Fails where a line is anything but a pin with its hashes, or a
    comment."""
    text = re.sub(r"^ *#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pins = {normalised(name): version for name, version, _ in _PIN.findall(text)}
    rest = _PIN.sub("", text).strip()
    assert not rest, f"{path.name}: neither pin nor comment: {rest.splitlines()[0]}"
    return pins


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_without_its_own_address(path: Path) -> None:
    assert pins_in(path)
    assert "://" not in path.read_text(encoding="utf-8")


def test_installed_packages_are_pinned_and_compatible() -> None:
    pinned = {
        pin for path in PINS for pin in pins_in(path).items()
    }  # some targets add what they need, such as `make fuzz`
    installed = {(normalised(each.name), each.version) for each in distributions()}
    strangers = sorted(pin for pin in installed - pinned if pin[0] not in _NOT_PINNED)
    assert not strangers, f"installed, but not pinned so: {strangers}; a new environment is made by `make clean setup`"
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_tests_and_image_pin_the_same_versions() -> None:
    tested, shipped = (pins_in(ROOT / ".ci" / name) for name in ("requirements-dev.txt", "requirements.txt"))
    assert {name: tested.get(name) for name in shipped} == shipped


@pytest.mark.parametrize("name", ["Dockerfile", "Makefile"])
def test_nothing_is_installed_without_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        # The project itself has no dependencies left to fetch; pip-tools makes the pins.
        if re.search(r"pip\S*( --python \S+)? install", line) and "--no-deps" not in line and "pip-tools" not in line:
            for command in line.split("&&"):
                assert "install" not in command or "--require-hashes" in command or "apt-get" in command, command


def test_node_packages_are_pinned_without_addresses() -> None:
    folder = ROOT / "tests" / "clients" / "node"
    lock, package = ((folder / name).read_text(encoding="utf-8") for name in ("package-lock.json", "package.json"))
    assert "://" not in lock + package
    packages = json.loads(lock)["packages"]
    assert packages.pop("")["dependencies"] == json.loads(package)["dependencies"]
    assert packages
    for name, each in packages.items():
        assert each["integrity"].startswith("sha512-"), name
        assert "resolved" not in each, name


def test_java_and_go_dependencies_are_pinned_without_addresses() -> None:
    for pom in [path for path in ROOT.glob("**/pom.xml") if "node_modules" not in path.parts]:
        text = pom.read_text(encoding="utf-8")
        assert not re.search(r"<(distributionManagement|(plugin)?[rR]epositor)", text), pom
        pinned = re.findall(r"<version>(?:\d[\w.-]*|\$\{[\w.]+\})</version>", text)
        assert text.count("<artifactId>") == len(pinned), pom
    module = (ROOT / "tests" / "clients" / "go" / "go.mod").read_text(encoding="utf-8")
    sums = (ROOT / "tests" / "clients" / "go" / "go.sum").read_text(encoding="utf-8")
    required = re.findall(r"^\s+(\S+ v\S+)", module, re.MULTILINE)
    assert required
    assert not [each for each in required if f"{each} h1:" not in sums]
    assert "replace" not in module
