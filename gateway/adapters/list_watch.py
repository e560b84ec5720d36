"""Keeps the recognition list up to date with its folder: a good edit takes effect without restart, a broken
one never does."""

import hashlib
import os
from enum import Enum, auto
from pathlib import Path

from gateway.adapters.list_files import list_files, load_recognition
from gateway.adapters.strict_yaml import MAX_BYTES
from gateway.core.recognition import Recognition
from gateway.errors import RecognitionListError


class ReloadResult(Enum):
    """Says what reloading the folder came to."""

    NOTHING_NEW = auto()
    LOADED = auto()
    REFUSED = auto()


class ListWatch:
    """The list now in force: ``current``. Made with a good list; raises RecognitionListError otherwise.

    ``problems`` are those of an edit that was refused, as long as it stands in the folder. Different threads
    may reload and read: the list is swapped whole.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.current: Recognition = load_recognition(folder)
        self.problems: list[str] = []
        self._known = self._seen = self._fingerprint()

    def reload(self) -> ReloadResult:
        """Load what is new. A change counts only when two looks have seen it alike: a file may be half
        written."""
        now = self._fingerprint()
        is_settled, self._seen = now == self._seen, now
        if now == self._known or not is_settled:
            return ReloadResult.NOTHING_NEW
        self._known = now
        try:
            loaded = load_recognition(self._folder)
        except RecognitionListError as error:
            self.problems = error.problems
            return ReloadResult.REFUSED
        except Exception as error:  # noqa: BLE001 — whatever a file does to the reader, the last good list stays
            self.problems = [f"{self._folder.name}: cannot be read ({type(error).__name__})"]
            return ReloadResult.REFUSED
        self.problems = []
        self.current = loaded
        return ReloadResult.LOADED

    def _fingerprint(self) -> bytes:
        """Digest names and contents of all list files; that one cannot be read is part of it."""
        digest = hashlib.sha256()
        try:
            files = list_files(self._folder)
        except RecognitionListError as error:
            return str(error).encode("utf-8", "surrogateescape")
        for file in files:
            digest.update(os.fsencode(file.name) + b"\0")
            digest.update(_digest_of(file))
        return digest.digest()


def _digest_of(file: Path) -> bytes:
    """Return a digest of the file's first bytes, as many as are read of a list file."""
    try:
        if not file.is_file():
            return b"not a file"
        with file.open("rb") as stream:
            return hashlib.sha256(stream.read(MAX_BYTES + 1)).digest()
    except OSError:
        return b"unreadable"
