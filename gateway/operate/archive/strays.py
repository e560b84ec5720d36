"""Finds what lies in an archive, and no archiver has put there: a query that takes all files of a kind would
count it."""

from collections.abc import Callable, Iterator

from gateway.core.times import is_date
from gateway.operate.archive.layout import is_segment
from gateway.operate.archive.manifest import DAY, EXPIRED, HISTORY, LISTS, SETTINGS, file_name_of
from gateway.operate.archive.mistakes import is_digest, is_lane
from gateway.operate.archive.store import Store

_IN_ROOT = {LISTS, SETTINGS, HISTORY, "lost+found", ".snapshot", ".zfs"}
"""Beside the days; the last three are what some file systems have there."""


def find_strays(store: Store) -> Iterator[tuple[str, str]]:
    """Yield the path of each file or folder that no archive has, and why; what lies in a segment, or in one
    of the folders beside the days, is for those to tell who read it.

    Hidden files, which an archiver that was killed, a file system or an editor leaves, are not named; hidden
    folders are.
    """
    yield from _in("", store, lambda name: name in _IN_ROOT or is_date(name))
    yield from _in(LISTS, store, lambda name: is_digest(name.replace("-", ":", 1)) and name == file_name_of(name))
    for folder in (SETTINGS, HISTORY, *(f"{LISTS}/{name}" for name in store.names(LISTS))):
        yield from _in(folder, store, lambda name: not name.startswith("."))
    for day in filter(is_date, store.names("")):
        yield from _in(day, store, lambda name: name in {DAY, EXPIRED} or is_lane(name))
        for lane in filter(is_lane, store.names(day)):
            yield from _in(f"{day}/{lane}", store, is_segment)


def _in(folder: str, store: Store, is_known: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    for name in store.names(folder, hidden=True):
        path = f"{folder}/{name}" if folder else name
        if is_known(name):
            continue
        if name.startswith("."):
            if store.names(path, hidden=True):
                yield path, "a hidden folder, in which queries look for files too: no archiver makes one"
        else:
            yield path, "no archiver has put it here: move it out of the archive"
