"""Where an archive lies, a folder or an object store: files are there whole or not at all, and a manifest
never replaces one."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.errors import ConfigurationError, GatewayError, UsageError
from gateway.operate.archive import lease, s3_store
from gateway.operate.archive.store import Store, open_store
from tests.object_store import Detour, lenient_store, new_bucket, object_store
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, object_store(patch) as url:
        yield url


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty archive's place, of each kind."""
    if request.param == "folder":
        return str(tmp_path / "archive")
    endpoint = request.getfixturevalue("endpoint")
    return f"{new_bucket(endpoint)}?endpoint={endpoint}"


@pytest.fixture(scope="module")
def lenient() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, lenient_store(patch) as url:
        yield url


@pytest.fixture
def detour(lenient: str) -> Iterator[Detour]:
    with Detour(lenient).open() as opened:
        yield opened


@pytest.fixture
def far(detour: Detour) -> Store:
    """An archive in an object store that is reached by the detour."""
    return open_store(f"{new_bucket(detour.to)}?endpoint={detour.url}")


def test_files_are_read_listed_and_removed(place: str) -> None:
    store = open_store(place)
    assert (store.read("a/b/c"), store.names(""), store.names("a")) == (None, [], [])
    store.write("2026-11-23/lane-0/000001/ledger.parquet", b"first")
    store.write("2026-11-23/lane-0/000001/ledger.parquet", b"second")
    store.write("2026-11-23/lane-0/000010/manifest.json", b"{}")
    store.write("2026-11-23/day.json", b"")
    assert store.read("2026-11-23/lane-0/000001/ledger.parquet") == b"second"
    assert store.read("2026-11-23/day.json") == b""
    assert store.names("") == ["2026-11-23"]
    assert store.names("2026-11-23") == ["day.json", "lane-0"]
    assert store.names("2026-11-23/lane-0") == ["000001", "000010"]
    assert store.names("2026-11-23/lane") == []  # a folder, no prefix
    store.clear("2026-11-23/lane-0/000001")
    store.remove("2026-11-23/lane-0/none")
    assert store.read("2026-11-23/lane-0/000001/ledger.parquet") is None
    assert store.read("2026-11-23/lane-0/000010/manifest.json") == b"{}"


def test_a_manifest_that_is_there_stays(place: str) -> None:
    first, second = open_store(place), open_store(place)
    with first.locked():
        assert first.create("day/manifest.json", b"first")
        assert not second.create("day/manifest.json", b"second")
        assert not first.create("day/manifest.json", b"first")  # known, and not to be written twice
    assert first.read("day/manifest.json") == b"first"


def test_a_second_archiver_is_refused(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.1)
    monkeypatch.setattr(lease, "LASTS_S", PATIENCE_S)
    store = open_store(place)
    with (
        store.locked(),
        pytest.raises(GatewayError, match=r"another archiver.* writes to .*one is enough"),
        open_store(place).locked(),
    ):
        pytest.fail("two hold it")
    with open_store(place).locked():
        store.write("a", b"")
    assert store.names("") == ["a"]


def test_parquet_is_read_in_parts(place: str) -> None:
    sink = pa.BufferOutputStream()
    numbers = list(range(20_000))
    pq.write_table(pa.table({"number": numbers, "text": [str(each) * 9 for each in numbers]}), sink)
    store = open_store(place)
    store.write("x.parquet", bytes(sink.getvalue()))
    with store.open("x.parquet") as file:
        assert pq.read_table(file, columns=["number"]).column("number").to_pylist() == numbers
    assert store.open("y.parquet") is None


def test_a_killed_archivers_lease_is_waited_out(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LASTS_S", 1.5)
    place = f"{new_bucket(endpoint)}?endpoint={endpoint}"
    store = open_store(place)
    store.write(lease.LEASE, b'{"id":"gone","host":"h","process":1,"count":7}')
    began = time.monotonic()
    with store.locked():
        assert time.monotonic() - began >= 1.5
        store.write("a", b"")
        # Somebody has waited too, while this one was frozen: it may write no more.
        open_store(place).write(lease.LEASE, b'{"id":"other","host":"there","process":9,"count":1}')
        with pytest.raises(GatewayError, match="process 9 on there, writes to"):
            store.create("manifest.json", b"")
        monkeypatch.setattr(lease, "_HELD_S", -1.0)
        with pytest.raises(GatewayError, match="another archiver"):
            store.write("a", b"changed")
    assert (store.read("a"), store.read("manifest.json")) == (b"", None)
    assert b"other" in (store.read(lease.LEASE) or b"")


def test_a_server_that_fails_is_asked_again(far: Store, detour: Detour) -> None:
    detour.failures = 2
    far.write("a", b"x")
    detour.failures = 2
    assert far.read("a") == b"x"
    detour.failures = 100
    with pytest.raises(
        GatewayError, match=r"b: the object store did not do it \(HTTP 503, SlowDown\); see that it runs"
    ):
        far.create("b", b"x")
    detour.failures = 0
    assert far.create("b", b"x")


@pytest.mark.parametrize(
    ("status", "code"), [(403, "InvalidAccessKeyId"), (403, "AccessDenied"), (401, "Unauthorized")]
)
def test_a_server_that_refuses_speaks_of_the_credentials(far: Store, detour: Detour, status: int, code: str) -> None:
    detour.failures, detour.failure = 100, (status, code)
    for use in (
        lambda: far.names(""),
        lambda: far.read("a"),
        lambda: far.write("a", b"x"),
        lambda: far.create("a", b"x"),
    ):
        with pytest.raises(
            ConfigurationError, match=rf"does not allow it \(HTTP {status}, {code}\); see the credentials"
        ):
            use()


def test_an_answer_that_was_lost_is_no_other_archiver(far: Store, detour: Detour) -> None:
    """The first try has written it, and the second is told that it is there."""
    assert far.create("m", b"mine")
    known = far.read
    answers = iter([None])
    far.read = lambda path: next(answers, known(path))  # type: ignore[method-assign] # as it was before
    assert far.create("m", b"mine")
    answers = iter([None])
    assert not far.create("m", b"another's")
    assert known("m") == b"mine"
    assert any(headers.get("if-none-match") == "*" for _, _, headers in detour.seen)


def test_a_slow_server_holds_nobody_up_for_long(detour: Detour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "_ANSWER_S", 0.3)
    monkeypatch.setattr(s3_store, "_RETRY_S", 0.5)
    far = open_store(f"{new_bucket(detour.to)}?endpoint={detour.url}")
    detour.delay_s = 60.0
    began = time.monotonic()
    with pytest.raises(GatewayError, match="no answer in time"):
        far.read("a")
    assert time.monotonic() - began < 30.0


@pytest.mark.parametrize("lack", ["without", "refused"])
def test_a_server_without_conditions_is_looked_up_before(far: Store, detour: Detour, lack: str) -> None:
    """One that does not know If-None-Match overwrites, or answers 501: what is there stays all the same."""
    setattr(detour, lack, "if-none-match")
    assert far.create("m", b"first")
    assert not far.create("m", b"second")
    assert far.read("m") == b"first"


def test_what_cannot_be_an_archive_is_said(endpoint: str) -> None:
    for place, words in (
        ("s3://key:hidden@bucket/x", "holds no credentials"),
        ("s3:///x", "s3://BUCKET/PREFIX"),
        ("s3://bucket/x?secret=hidden", "s3://BUCKET/PREFIX"),
        ("s3://bucket/x?endpoint=hidden:9000", "not a URL such as"),
        ("gs://bucket/x", "neither a folder nor"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            open_store(place)
        assert "hidden" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="there is no such bucket"):
        open_store(f"s3://nobody-made-this-one/x?endpoint={endpoint}").names("")


def test_credentials_are_found_as_aws_tools_find_them(
    detour: Detour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{new_bucket(detour.to)}?endpoint={detour.url}"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(ConfigurationError, match="has no readable profile 'default'"):
        open_store(place)
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = hidden\n")
    with pytest.raises(ConfigurationError, match="has no readable profile 'default'") as caught:
        open_store(place)
    assert "hidden" not in str(caught.value)
    key = "aws_access_key_id = in-the-file\naws_secret_access_key = hidden\n"
    (tmp_path / "credentials").write_text(f"[default]\n{key}[second]\n{key}".replace("in-the-file", "of-the-second", 1))
    monkeypatch.setenv("AWS_PROFILE", "second")
    open_store(place).names("")
    assert "Credential=in-the-file/" in detour.seen[-1][2]["authorization"]
    assert "hidden" not in str(detour.seen)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/proc/no-such-place", "no folder can be made there; name another folder"),
        ("FILE/archive", "a file stands in the place of a folder; name another folder"),
        ("LOOP/archive", "its links lead in a circle; name another folder"),
        (f"LONG/{'x' * 300}", "the name is too long; name another folder"),
    ],
)
def test_a_place_that_cannot_be_is_said(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "FILE").write_bytes(b"")
    (tmp_path / "LOOP").symlink_to(tmp_path / "LOOP")
    named = place if place.startswith("/") else str(tmp_path / place)
    store = open_store(named)
    with pytest.raises(ConfigurationError) as caught, store.locked():
        pytest.fail("there is a lock")
    assert str(caught.value).startswith(f"{named}: {words}")
    with pytest.raises(UsageError, match="there is no archive at"):
        open_store(named, must_exist=True)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, GatewayError, "the disk is full"),
        (errno.EDQUOT, GatewayError, "the disk is full"),
        (errno.EROFS, ConfigurationError, "nothing can be written to that file system"),
        (errno.EACCES, ConfigurationError, "this user may not do that there"),
        (errno.EIO, GatewayError, "see the disk"),
    ],
)
def test_a_disk_that_refuses_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[GatewayError], words: str
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    store = open_store(str(tmp_path))
    store.write("day/kept", b"x")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(kind, match=words) as caught:
        store.write("day/file", b"x")
    assert str(caught.value).startswith(f"{tmp_path}/day/file: ")
    assert [each.name for each in (tmp_path / "day").iterdir()] == ["kept"]
