"""``gateway archive`` in an object store: the same files as in a folder, whatever was left there before."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.settings import Settings
from gateway.errors import GatewayError
from gateway.operate.archive.audit import audit_archive
from gateway.operate.archive.follow import run_archive
from gateway.operate.archive.store import Store, open_store
from tests.kafka.blind_spots import rejected, work_off
from tests.kafka.one_lane import Notes, events
from tests.object_store import Detour, lenient_store, new_bucket


@pytest.fixture
def detour(monkeypatch: pytest.MonkeyPatch) -> Iterator[Detour]:
    with lenient_store(monkeypatch) as url, Detour(url).open() as opened:
        yield opened


def files_of(store: Store, folder: str = "") -> dict[str, bytes]:
    """Every file of an archive, by its path."""
    found = {}
    for name in store.names(folder):
        path = f"{folder}/{name}".removeprefix("/")
        if name.endswith((".json", ".parquet", ".yaml")):
            found[path] = store.read(path) or b""
        else:
            found |= files_of(store, path)
    return found


async def test_a_bucket_holds_what_a_folder_does(
    one: Settings, notes: Notes, tmp_path: Path, detour: Detour, capfd: Any
) -> None:
    await work_off(one, notes, events(0, 3), rejected(3, 2), events(0, 1))
    place = f"{new_bucket(detour.to)}?endpoint={detour.url}"

    def archive(to: str) -> int:
        return run_archive(one, to, once=True, output="json")

    assert await asyncio.to_thread(archive, str(tmp_path)) == 0
    folder, bucket = open_store(str(tmp_path)), open_store(place)
    expected = await asyncio.to_thread(files_of, folder)
    (segment,) = {path.rpartition("/")[0] for path in expected if path.endswith("/manifest.json")}
    # An archiver was killed amid this very segment: a file is another one, and one is too many.
    bucket.write(f"{segment}/ledger.parquet", b"half of it")
    bucket.write(f"{segment}/dead-letters.parquet", b"of another segment")
    # At first the server fails: nothing of the segment counts, and nothing has to be mended.
    detour.failures = 10_000
    with pytest.raises(GatewayError, match="HTTP 503, SlowDown"):
        await asyncio.to_thread(archive, place)
    detour.failures = 0
    assert await asyncio.to_thread(archive, place) == 0
    found = await asyncio.to_thread(files_of, bucket)
    assert found.keys() == expected.keys()
    same = [path for path in expected if path.endswith((".parquet", ".yaml")) or path.startswith("settings/")]
    assert {path: found[path] for path in same} == {path: expected[path] for path in same}
    capfd.readouterr()
    assert await asyncio.to_thread(audit_archive, one, place, None, None, 1.0, "json") == 0
    audited = json.loads(capfd.readouterr().out)
    assert (audited["ok"], audited["offsets"]) == (True, 6)
