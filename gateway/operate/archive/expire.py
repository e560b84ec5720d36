"""``gateway archive expire``: removes the data of days that need not be kept any longer, and leaves what
proves them."""

import time
from collections.abc import Callable
from typing import Literal

from gateway import __version__
from gateway.adapters.console import Terminal
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import say, write_json
from gateway.core.times import format_instant
from gateway.core.words import count_of
from gateway.errors import UsageError
from gateway.operate.archive.keep import who
from gateway.operate.archive.layout import closings_of, days_of, find_manifest, lanes_on, require_archive, segments_of
from gateway.operate.archive.manifest import EXPIRED, FORMAT, Expiry, seal, segment_folder
from gateway.operate.archive.store import Store, open_store
from gateway.operate.confirm import is_confirmed
from gateway.operate.times import parse_day


def expire(
    settings: Settings, place: str, before: str, *, dry_run: bool, confirmed: bool, output: Literal["text", "json"],
    clock: Callable[[], float] = time.time,
) -> int:  # fmt: skip
    """Remove the files of all closed days before the day ``before``, but for their manifests; returns the
    exit code: 1 where some stay, as nothing says what they are.

    A day that is not closed is left. Killed anywhere, what is gone by then is gone by right, as the day's
    folder says, and the next expiry removes the rest. Raises UsageError, ConfigurationError.
    """
    first_kept = parse_day("--before", before)
    if first_kept is None:
        raise UsageError("--before: say from which day on data are kept")
    store, signer = open_store(place, must_exist=True), load_record_signer(settings)
    require_archive(store)
    closed = {day for day, _, _ in closings_of(store)}
    unknown = list[str]()
    files = {day: found for day in days_of(store) if day < first_kept and (found := _files_of(store, day, unknown))}
    left = [day for day in files if day not in closed]
    files = {day: found for day, found in files.items() if day in closed}
    unknown = [folder for folder in unknown if folder.partition("/")[0] in closed]
    days, count = list(files), sum(map(len, files.values()))
    if days and not dry_run:
        span = f"{count_of(count, 'file')} of {count_of(len(days), 'day')} ({days[0]} to {days[-1]})"
        if not confirmed and not is_confirmed(f"remove {span} from {place}?", Terminal(err=True)):
            raise UsageError("nothing was removed")
        with store.locked():
            for day, paths in files.items():
                # Said first: where this is killed amid the day, what is gone is not missing.
                note = Expiry(
                    format=FORMAT, day=day, before=first_kept, by=who(), written=format_instant(round(clock() * 1e6)),
                    version=__version__,
                )  # fmt: skip
                store.create(f"{day}/{EXPIRED}", seal(note, signer))
                for path in paths:
                    store.remove(path)
    if output == "json":
        write_json(
            {
                "archive": store.place, "days": days, "files": count, "left": left, "unknown": unknown,
                "removed": bool(days) and not dry_run,
            }
        )  # fmt: skip
    else:
        verb = "would be removed" if dry_run else "removed"
        say(
            f"{store.place}: {count_of(count, 'file')} of {count_of(len(days), 'day')} {verb}; the manifests stay",
            err=True,
        )
        for day in left:
            say(f"{day} is left: it is not closed yet", err=True)
        for folder in unknown:
            say(f"{folder}: it has no manifest that can be read: its files stay, for you to look at", err=True)
    return 1 if unknown else 0


def _files_of(store: Store, day: str, unknown: list[str]) -> list[str]:
    """List the data files that the manifests of a day name, as far as they are there; add segments without
    manifest to ``unknown``."""
    found = []
    for lane in lanes_on(store, day):
        for segment in segments_of(store, day, lane):
            manifest, folder = find_manifest(store, day, lane, segment), segment_folder(day, lane, segment)
            if manifest is None or manifest.manifest is None:
                unknown.append(folder)
                continue
            here = set(store.names(folder))
            found += [f"{folder}/{each.name}" for each in manifest.manifest.files if each.name in here]
    return found
