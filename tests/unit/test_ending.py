"""However a command ends, its user sees a line that says what to do, and never a traceback."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.adapters.addresses import problem_with_servers, problem_with_url
from gateway.adapters.error_details import describe, save_details
from gateway.adapters.settings import load_settings
from gateway.errors import ConfigurationError, RecognitionListError
from tests.unit.test_cli import ROOT, gateway

SECRET = "张三 13800138000"
FAIL = f"def fail(*_, **__): raise {{error}}({SECRET!r})"


def run(
    before: str, *arguments: str, stdout: int = subprocess.PIPE, folder: Path
) -> "subprocess.CompletedProcess[bytes]":
    """Run the command line in a process of its own, after ``before``."""
    program = f"import sys\nfrom gateway import __main__\n{before}\n__main__.main()"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=False, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env=clean | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
    )  # fmt: skip


def failing(error: str = "KeyError") -> str:
    """Let `list show` meet an error that nobody foresaw, which quotes a person."""
    return f"{FAIL.format(error=error)}\nimport gateway.operate.lists.show as show\nshow.show_list = fail"


def test_a_busy_broker_is_no_internal_error(tmp_path: Path) -> None:
    before = failing("__import__('aiokafka.errors').errors.{name}")
    for name, code in (("NodeNotReadyError", 69), ("IllegalStateError", 70)):
        done = run(before.format(name=name), "list", "show", folder=tmp_path)
        said = done.stderr.decode()
        assert (done.returncode, said.count("\n")) == (code, 1)
        assert ("Kafka cannot do this now" in said) is (code == 69)
        assert ("Run this again in a moment" in said) is (code == 69)


def test_internal_errors_print_one_line_without_values(tmp_path: Path) -> None:
    done = run(failing(), "list", "show", "--row", "秘密", folder=tmp_path)
    said = done.stderr.decode()
    assert done.returncode == 70
    assert done.stdout == b""
    assert said.count("\n") == 1
    assert "internal error: KeyError at gateway/cli/lists.py:" in said
    assert "--debug" in said
    (file,) = tmp_path.iterdir()
    assert str(file) in said
    assert file.stat().st_mode & 0o777 == 0o600
    details = file.read_text(encoding="utf-8")
    assert "builtins.KeyError" in details
    assert "command: list show --row" in details
    assert "gateway/cli/lists.py:" in details
    for kept_out in ("张三", "13800138000", "秘密"):
        assert kept_out not in said + details


@pytest.mark.parametrize("arguments", [("--debug", "list", "show"), ("list", "show", "--debug")])
def test_debug_shows_it_whole(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run(failing(), *arguments, folder=tmp_path)
    assert done.returncode == 70
    assert SECRET in done.stderr.decode()
    assert "Traceback" in done.stderr.decode()
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_missing_is_reported_too(tmp_path: Path) -> None:
    done = run("sys.modules['typer'] = None", "list", "show", folder=tmp_path)
    assert done.returncode == 70
    assert "Traceback" not in done.stderr.decode()
    assert "internal error: ModuleNotFoundError at gateway/cli/main.py:" in done.stderr.decode()


def test_an_error_in_a_thread_and_one_of_nobodys(tmp_path: Path) -> None:
    thread = "import threading\ndef begin(*_): t = threading.Thread(target=fail); t.start(); t.join()\nshow.show_list = begin"
    done = run(f"{failing()}\n{thread}", "list", "show", folder=tmp_path)
    assert "internal error: KeyError" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert SECRET not in done.stderr.decode()


def test_details_include_remote_frames_and_causes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of a pool's process are kept, and the errors that led to the last one; no words of
    either."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    text = f'"""\nTraceback (most recent call last):\n  File "{ROOT}/gateway/core/times.py", line 12, in parse\nKeyError: {SECRET}\n"""'
    remote = type("_RemoteTraceback", (Exception,), {"__str__": lambda _: text})()
    try:
        try:
            int(SECRET)
        except ValueError as error:
            error.__cause__ = remote
            raise OSError(5, SECRET, SECRET) from error
    except OSError as error:
        file = save_details(describe(error))
    assert file is not None
    details = file.read_text(encoding="utf-8")
    assert "gateway/core/times.py:12 parse" in details
    assert details.index("builtins.ValueError") < details.index("builtins.OSError (errno 5)")
    assert "张三" not in details


@pytest.mark.parametrize(
    "arguments",
    [("list", "show"), ("list", "show", "--format", "json"), ("--help",), ("list", "validate")],
)
def test_nobody_reads_the_output(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """As under `| head`: no word, and the exit code that a shell gives for SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    done = run("", *arguments, stdout=writing, folder=tmp_path)
    os.close(writing)
    assert b"rror" not in done.stderr
    assert done.returncode == (0 if arguments == ("list", "validate") else 141)


def test_a_broken_pipe_elsewhere_is_an_internal_error(tmp_path: Path) -> None:
    done = run(failing("BrokenPipeError"), "list", "show", folder=tmp_path)
    assert done.returncode == 70
    assert "internal error: BrokenPipeError" in done.stderr.decode()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run("", "list", "show", stdout=full.fileno(), folder=tmp_path)
    assert done.returncode == 74
    assert "cannot be written (No space left on device)" in done.stderr.decode()


@pytest.mark.parametrize(
    "address", ["kafka:9092/", "kafka:x", "kafka:99999", "a..b:1", "kafka://kafka:9092", "a:1,b:-2", ":9", ","]
)
def test_a_bad_address_is_a_settings_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^--bootstrap-servers: .* has no valid |^--bootstrap-servers: .* is a URL"
    ):
        load_settings(bootstrap_servers=address)
    monkeypatch.setenv("GATEWAY_BOOTSTRAP_SERVERS", address)
    with pytest.raises(
        ConfigurationError, match=r"variable GATEWAY_BOOTSTRAP_SERVERS: bootstrap_servers: (the )?server"
    ):
        load_settings()


def test_a_bad_port_exits_78() -> None:
    done = gateway("tail", "sichuan.display", "--bootstrap-servers", "kafka:9092/")
    assert (done.returncode, done.stderr[:30]) == (78, b"gateway: --bootstrap-servers: ")


@pytest.mark.parametrize(
    "address", ["kafka", "kafka:9092", "10.0.0.1:9092, b_1.example:1", "[::1]:9092", "::1", "[::1]", "重庆.cn:9"]
)
def test_a_good_address(address: str) -> None:
    assert problem_with_servers(address) is None


def test_a_collectors_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem_with_url("http://collector:4318") is None
    assert problem_with_url("http://collector:port")
    monkeypatch.setenv("GATEWAY_TRACING__ENDPOINT", "http://collector:99999")
    with pytest.raises(ConfigurationError, match=r"tracing.endpoint: the URL has no valid"):
        load_settings()


def test_a_lists_mistakes_survive_the_way_between_processes() -> None:
    error = pickle.loads(  # noqa: S301 — our own
        pickle.dumps(RecognitionListError(["batch-1.yaml: row 5", "batch-1.yaml: row 6"]))
    )
    assert error.problems == ["batch-1.yaml: row 5", "batch-1.yaml: row 6"]
    assert str(error).endswith("  batch-1.yaml: row 5\n  batch-1.yaml: row 6")
