"""Finds its way in an archive: which days, lanes and segments there are, and what their manifests say."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.adapters.settings import Settings
from gateway.core.times import is_date
from gateway.errors import GatewayError, UsageError
from gateway.operate.archive.manifest import (
    DAY,
    LISTS,
    MANIFEST,
    DayClosing,
    Manifest,
    digest_of,
    read_sealed,
    segment_folder,
)
from gateway.operate.archive.mistakes import is_lane, mistake_in
from gateway.operate.archive.store import Store

_SEGMENT = re.compile(r"[0-9]{6}|[1-9][0-9]{6,}")


class Found(NamedTuple):
    """A manifest as it was found: its place and bytes, and what it says; None where that is not to be used,
    with the kind of finding that it is, and why."""

    path: str
    raw: bytes
    manifest: Manifest | None
    problem: tuple[str, str] | None = None


def days_of(store: Store) -> list[str]:
    """List the days that the archive has a folder for, the first one first."""
    return [name for name in store.names("") if is_date(name)]


def lanes_on(store: Store, day: str) -> list[str]:
    """List the lanes that have a folder on a day."""
    return [name for name in store.names(day) if is_lane(name)]


def segments_of(store: Store, day: str, lane: str) -> list[int]:
    """List the numbers of a lane's segments on a day, those too that have no manifest."""
    return sorted(int(name) for name in store.names(f"{day}/{lane}") if is_segment(name))


def is_segment(name: str) -> bool:
    """Tell whether ``name`` is one that a segment's folder may have."""
    return _SEGMENT.fullmatch(name) is not None


def find_manifest(store: Store, day: str, lane: str, segment: int) -> Found | None:
    """Read the manifest of a segment; None where it has none."""
    path = f"{segment_folder(day, lane, segment)}/{MANIFEST}"
    raw = store.read(path)
    if raw is None:
        return None
    manifest = read_sealed(Manifest, raw)
    if manifest is None:
        return Found(path, raw, None, ("altered", "it is not a manifest that this version can read"))
    if mistake := mistake_in(manifest):
        return Found(path, raw, None, ("altered", mistake))
    if (manifest.day, manifest.lane, manifest.segment) != (day, lane, segment):
        own = segment_folder(manifest.day, manifest.lane, manifest.segment)
        return Found(path, raw, None, ("foreign", f"this is the manifest of {own}, in another's place"))
    return Found(path, raw, manifest)


def require_archive(store: Store) -> None:
    """Raise UsageError where ``store`` holds nothing that an archiver has written."""
    if not days_of(store) and not store.names(LISTS):
        raise UsageError(f"there is no archive at {store.place}")


def files_left(store: Store, manifest: Manifest) -> int:
    """Count the files of a segment that are there."""
    here = set(store.names(segment_folder(manifest.day, manifest.lane, manifest.segment)))
    return sum(each.name in here for each in manifest.files)


def is_expired(store: Store, manifest: Manifest, *, says_so: bool) -> bool:
    """Tell whether a segment's files were removed by `gateway archive expire`, or are being removed;
    ``says_so`` says that its day's folder does."""
    return says_so and files_left(store, manifest) < len(manifest.files)


def lane_name(settings: Settings, topic: str, partition: int) -> str:
    """Name a lane's folders; ``topic`` is without the deployment's prefix."""
    return f"{settings.topic_prefix}{topic}-{partition}"


def require_own_lanes(settings: Settings, place: str, lanes: Iterable[str]) -> None:
    """Raise UsageError where one of ``lanes``, by its name, is not of this deployment's topics."""
    for lane in lanes:
        if lane.rpartition("-")[0] not in settings.topic_names.displays:
            raise UsageError(
                f"{place} has the lane {lane}, which is none of this deployment's: the settings say "
                f"topic_prefix: '{settings.topic_prefix}'. Use those that the archive was written with"
            )


def find_last(store: Store, lane: str, *, until: str | None = None) -> Found | None:
    """Read the lane's newest manifest, of a day up to and with ``until``; None where it has none."""
    for day in reversed(days_of(store)):
        if until is not None and day > until:
            continue
        for segment in reversed(segments_of(store, day, lane)):
            if (found := find_manifest(store, day, lane, segment)) is not None:
                return found
    return None


def require_readable(store: Store, found: Found) -> Manifest:
    """Return what a manifest says. Raises GatewayError where that is not to be used."""
    if found.manifest is None:
        why = found.problem[1] if found.problem is not None else "it cannot be read"
        raise GatewayError(
            f"{store.place}/{found.path}: {why}; `gateway audit --archive` says what else is not as it was written"
        )
    return found.manifest


def closings_of(store: Store) -> Iterator[tuple[str, bytes, DayClosing | None]]:
    """Yield each day that is closed, with the bytes of its closing and what they say."""
    for day in days_of(store):
        if (raw := store.read(f"{day}/{DAY}")) is not None:
            yield day, raw, read_sealed(DayClosing, raw)


def last_closing(store: Store) -> tuple[str, bytes, DayClosing | None] | None:
    """Find the newest day that is closed."""
    for day in reversed(days_of(store)):
        if (raw := store.read(f"{day}/{DAY}")) is not None:
            return day, raw, read_sealed(DayClosing, raw)
    return None


def digest_like(text: str | None, raw: bytes) -> bool:
    """Tell whether ``text`` is the digest of ``raw``, by the algorithm that it names."""
    algorithm = (text or "").partition(":")[0]
    return algorithm in {"sm3", "sha256"} and text == digest_of(algorithm, raw)
