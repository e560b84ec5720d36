"""Without the native kernel everything works, and says why it is without; tests/kernel has what needs it."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway.adapters.logs import describe_error
from gateway.adapters.native import INTERFACE, find_kernel
from gateway.adapters.settings import Settings, load_settings
from gateway.errors import ConfigurationError, KernelDiffersError
from gateway.relay.deciders import make_decider
from gateway.relay.horizon import Horizon
from gateway.relay.horizons import make_horizon
from gateway.relay.turn import decide_turn


@pytest.fixture(autouse=True)
def _not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway_kernel", None)


def settings_of(tmp_path: Path, kernel: str) -> Settings:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"relay: {{kernel: {kernel}}}\n")
    return load_settings(file)


@pytest.mark.parametrize(
    ("kernel", "because"), [("off", "relay.kernel is off"), ("auto", "gateway_kernel is not installed")]
)
def test_lanes_work_by_the_reference(tmp_path: Path, kernel: str, because: str) -> None:
    settings = settings_of(tmp_path, kernel)
    assert find_kernel(settings) == (None, because)
    assert make_decider(settings) is decide_turn
    assert type(make_horizon(settings)) is Horizon


@pytest.mark.parametrize("uses_it", [find_kernel, make_decider, make_horizon])
def test_to_verify_what_is_not_installed_is_a_mistake(tmp_path: Path, uses_it: Any) -> None:
    settings = settings_of(tmp_path, "verify")
    with pytest.raises(ConfigurationError) as raised:
        uses_it(settings)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'gateway.yaml'}: relay.kernel: verify needs the native kernel")
    assert "gateway_kernel is not installed" in message
    assert "docs/kernel.md" in message


def test_a_kernel_that_does_not_load_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway_kernel.abi3.so").write_bytes(b"of another machine" * 100)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "gateway_kernel")
    module, because = find_kernel(settings_of(tmp_path, "auto"))
    assert module is None
    assert because.startswith("gateway_kernel does not load: ")
    with pytest.raises(ConfigurationError, match="gateway_kernel does not load: "):
        find_kernel(settings_of(tmp_path, "verify"))


def test_a_kernel_of_another_version_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = ModuleType("gateway_kernel")
    monkeypatch.setitem(sys.modules, "gateway_kernel", older)
    because = "gateway_kernel is of another version: build it again"
    for interface in (None, INTERFACE - 1, INTERFACE + 1):
        if interface is not None:
            older.INTERFACE = interface  # type: ignore[attr-defined]
        settings = settings_of(tmp_path, "auto")
        assert find_kernel(settings) == (None, because)
        assert make_decider(settings) is decide_turn
    with pytest.raises(ConfigurationError, match=f"{because}; docs/kernel.md says how"):
        find_kernel(settings_of(tmp_path, "verify"))


def test_the_log_says_in_what_the_kernel_differs() -> None:
    message = "the native kernel differs in counts, offsets 0 to 9"
    assert describe_error(KernelDiffersError(message))["error.message"] == message


def test_its_own_tests_are_left_out_and_said_so() -> None:
    code = "import sys, pytest; sys.modules['gateway_kernel'] = None; sys.exit(pytest.main(sys.argv[1:]))"
    ran = [sys.executable, "-c", code, "--collect-only", "tests/kernel"]
    done = subprocess.run(ran, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "native kernel: not installed, so tests/kernel is left out: `make kernel` builds it" in done.stdout
