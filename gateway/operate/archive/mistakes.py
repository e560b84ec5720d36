"""Says what an archiver never writes into a manifest: no signature and no chain has to show it then."""

import re
from collections.abc import Iterable, Iterator

from gateway.core.times import is_date, parse_instant
from gateway.operate.archive.manifest import (
    DayClosing,
    Edition,
    Expiry,
    FileFacts,
    Manifest,
    Sealed,
    SettingsChange,
)
from gateway.operate.archive.rows import COLUMNS

_LANE = re.compile(r"[A-Za-z0-9._-]+-[0-9]{1,9}")
_DIGEST = re.compile(r"(sm3|sha256):[0-9a-f]{64}")


def is_lane(name: str) -> bool:
    """Tell whether ``name`` is one that a lane's folder may have."""
    return _LANE.fullmatch(name) is not None


def is_digest(text: str | None) -> bool:
    """Tell whether ``text`` is a digest as ``algorithm:hex``."""
    return text is not None and _DIGEST.fullmatch(text) is not None


def mistake_in(content: Sealed) -> str | None:
    """Say which field of ``content`` has a value that it cannot have; None where all can be."""
    return next(_mistakes(content), None)


def _mistakes(content: Sealed) -> Iterator[str]:
    yield from _times(content, "written")
    match content:
        case Manifest():
            yield from _of_manifest(content)
        case DayClosing():
            yield from _days(content.day, *(each.day for each in content.lanes))
            for each in content.lanes:
                if not is_lane(each.lane):
                    yield "it names a lane that cannot be one"
            yield from _digests("lanes", (each.manifest for each in content.lanes))
            yield from _digests("previous", _given(content.previous))
        case Expiry():
            yield from _days(content.day, content.before)
        case Edition():
            yield from _digests("list_digest", [content.list_digest])
            yield from _files(content.files)
        case SettingsChange():
            yield from _digests("settings", [content.settings])
            yield from _digests("previous", _given(content.previous))


def _of_manifest(manifest: Manifest) -> Iterator[str]:
    yield from _times(manifest, "first_received", "last_received")
    yield from _days(manifest.day)
    if not is_lane(manifest.lane) or manifest.segment < 1:
        yield "it names a lane or a segment that cannot be one"
    is_its = f"{manifest.topic}-{manifest.partition}" == manifest.lane
    if not is_its or not manifest.topic.endswith(f"{manifest.province}.display"):
        yield "its `topic`, `partition` and `province` are not those of its lane"
    yield from _digests("lists", manifest.lists)
    yield from _digests("settings", [manifest.settings])
    for name in ("chain_before", "previous"):
        yield from _digests(name, _given(getattr(manifest, name)))
    yield from _digests("chain_head", [manifest.chain_head])
    yield from _files(manifest.files)
    if any(each.name not in COLUMNS for each in manifest.files):
        yield "it names a file that the format does not have"


def _times(content: Sealed, *names: str) -> Iterator[str]:
    for name in names:
        if parse_instant(getattr(content, name)) is None:
            yield f"its `{name}` is not a time (RFC 3339)"


def _days(*days: str) -> Iterator[str]:
    if not all(map(is_date, days)):
        yield "it names a day that is not one (YYYY-MM-DD)"


def _given(digest: str | None) -> list[str]:
    return [] if digest is None else [digest]


def _digests(name: str, digests: Iterable[str]) -> Iterator[str]:
    if not all(map(is_digest, digests)):
        yield f"its `{name}` is not a digest"


def _files(files: Iterable[FileFacts]) -> Iterator[str]:
    names = [each.name for each in files]
    if any(not name or "/" in name or name.startswith(".") for name in names) or len(set(names)) != len(names):
        yield "it names a file that cannot be one, or one twice"
    if any(each.rows < 0 or each.bytes < 0 for each in files):
        yield "it names a file of less than nothing"
    yield from _digests("files", (each.digest for each in files))
