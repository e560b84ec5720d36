"""The native kernel is built where that is possible; where it is not, one line says so and setting up goes
on. And its document names what there is."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "kernel"
MANIFEST = tomllib.loads((KERNEL / "Cargo.toml").read_text(encoding="utf-8"))
OLDEST = MANIFEST["package"]["rust-version"]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment into which nothing can be installed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    return tmp_path / "venv"


def install(environment: Path, wanted: str, cargo: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``kernel/install`` where ``cargo --version`` says this; where it is None, there is no cargo."""
    programs = environment.parent / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "cargo").write_text(f"#!/bin/sh\n{'exit 1' if cargo is None else f'echo {cargo}'}\n")
    (programs / "cargo").chmod(0o755)
    return subprocess.run(
        [KERNEL / "install", environment, wanted],
        env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cargo", "why"),
    [(None, f"cargo is missing. Install Rust {OLDEST} or later"), ("cargo 1.87.0", f"cargo is 1.87. Update it to {OLDEST} or later")],
)  # fmt: skip
def test_without_a_compiler_one_line_says_so_once(environment: Path, cargo: str | None, why: str) -> None:
    done = install(environment, "auto", cargo)
    assert (done.returncode, done.stdout) == (0, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"native kernel: left out: {why}")
    assert "does the same without it" in line
    again = install(environment, "auto", cargo)
    assert (again.returncode, again.stderr) == (0, "")
    asked_for = install(environment, "on", cargo)
    assert asked_for.returncode == 1
    assert why in asked_for.stderr


def test_a_compiler_that_is_installed_later_is_tried(environment: Path) -> None:
    install(environment, "auto", None)
    done = install(environment, "auto", f"cargo {OLDEST}.0")
    assert done.returncode == 0
    assert "building it with cargo" in done.stderr
    assert "it could not be built (kernel/target/build.log: " in done.stderr.splitlines()[-1]


def test_off_lasts_until_it_is_asked_for(environment: Path) -> None:
    assert install(environment, "off", f"cargo {OLDEST}.0").returncode == 0
    assert install(environment, "auto", f"cargo {OLDEST}.0").stderr == ""
    assert "building it" in install(environment, "on", f"cargo {OLDEST}.0").stderr


def test_a_misspelt_wish_is_refused(environment: Path) -> None:
    done = install(environment, "of")
    assert (done.returncode, done.stderr) == (2, "kernel/install: KERNEL is of, and must be auto, on or off\n")


def test_crates_are_pinned_with_checksums_and_without_addresses() -> None:
    text = (KERNEL / "Cargo.lock.in").read_text(encoding="utf-8")
    assert "://" not in text
    packages = tomllib.loads(text)["package"]
    versions = {each["name"]: each["version"] for each in packages if "checksum" in each}
    assert {each["name"] for each in packages} - versions.keys() == {"gateway-kernel"}
    assert not [each["name"] for each in packages if "source" in each]
    for name, wanted in MANIFEST["dependencies"].items():
        version = wanted if isinstance(wanted, str) else wanted["version"]
        assert version == f"={versions[name]}", name


def test_all_who_name_the_compiler_name_the_same() -> None:
    minor = OLDEST.removeprefix("1.")
    assert f"\noldest={minor} " in (KERNEL / "install").read_text(encoding="utf-8")
    named = {path: set(re.findall(r"Rust\s+(1\.\d+)", path.read_text(encoding="utf-8"))) for path in (
        ROOT / "Makefile", ROOT / "Dockerfile", ROOT / "CONTRIBUTING.md", ROOT / "docs/kernel.md",
    )}  # fmt: skip
    assert set.union(*named.values()) == {OLDEST}
    assert all(named.values())


def test_maturin_is_the_pinned_one() -> None:
    build = tomllib.loads((KERNEL / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    pins = (ROOT / ".ci/requirements-kernel.txt").read_text(encoding="utf-8")
    assert [line for line in pins.splitlines() if line.startswith("maturin==")] == [f"{build['requires'][0]} \\"]


def test_the_table_of_mirrors_names_what_there_is() -> None:
    page = (ROOT / "docs/kernel.md").read_text(encoding="utf-8")
    table = page[page.index("## What it checks itself") : page.index("## Proof that both are the same")]
    rows = re.findall(r"^\| `(\w+\.rs)`: (.+?) \| (.+) \|$", table, re.MULTILINE)
    sources = {path.name: path.read_text(encoding="utf-8") for path in (KERNEL / "src").glob("*.rs")}
    for file, functions, twins in rows:
        for function in re.findall(r"`(\w+)`", functions):
            assert re.search(rf"\bfn {function}\b", sources[file]), (file, function)
        for twin in re.findall(r"`(gateway\.[\w.]+)`", twins):
            module, _, name = twin.rpartition(".")
            assert hasattr(importlib.import_module(module), name), twin
    # lib.rs is what Python sees of these.
    assert sources.keys() - {file for file, _, _ in rows} == {"lib.rs", "template.rs"}
