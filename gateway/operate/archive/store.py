"""Where an archive lies: files by their path from its root, each there whole or not at all."""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import ConfigurationError, GatewayError, UsageError

LOCK = ".archive.lock"
_PART = ".part"
_ANOTHER = "name another folder (--to, or archive.place)"
_REMEDIES = {
    errno.EACCES: "this user may not do that there; give the folder to the user that runs this",
    errno.EPERM: "this user may not do that there; give the folder to the user that runs this",
    errno.EROFS: f"nothing can be written to that file system; mount it so that it can, or {_ANOTHER}",
    errno.ENOENT: f"no folder can be made there; {_ANOTHER}",
    errno.ENOTDIR: f"a file stands in the place of a folder; {_ANOTHER}",
    errno.ENAMETOOLONG: f"the name is too long; {_ANOTHER}",
    errno.ELOOP: f"its links lead in a circle; {_ANOTHER}",
}
"""What can be done about a place that does not become one by itself."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Store(Protocol):
    """Files by their path (``a/b/c``). Raises GatewayError where the place does not answer, or refuses."""

    place: str
    """The archive as the command line names it."""

    def read(self, path: str) -> bytes | None:
        """Return the content of a file; None where there is none."""

    def open(self, path: str) -> Any:
        """Open a file to be read here and there, as Parquet is; None where there is none."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file whole, over one that is there."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a file whole unless there is one: then False, and that one stays."""

    def names(self, folder: str, *, hidden: bool = False) -> list[str]:
        """List the names in a folder, sorted; none where there is no such folder. Those that begin with a
        dot are what is being written, and ``hidden``."""

    def remove(self, path: str) -> None:
        """Remove a file; none there is fine."""

    def clear(self, folder: str) -> None:
        """Remove all files in a folder, half-written ones too."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep other archivers out, as far as the place can. Raises GatewayError where one is at work."""


def open_store(place: str, *, must_exist: bool = False) -> Store:
    """Open the archive at ``place``, a folder or ``s3://BUCKET/PREFIX``. Raises UsageError,
    ConfigurationError."""
    if place.startswith("s3://"):
        from gateway.operate.archive.s3_store import open_s3  # noqa: PLC0415 — pyarrow's, and seldom needed

        return open_s3(place)
    if "://" in place:
        raise UsageError(f"{place} is neither a folder nor s3://BUCKET/PREFIX")
    # os.path's answer is no where this user may not look; pathlib's is an error.
    if not must_exist and os.path.exists(place) and not os.path.isdir(place):
        raise UsageError(f"{place} is not a folder: an archive lies in one, or in s3://BUCKET/PREFIX")
    if must_exist and not os.path.isdir(place):
        raise UsageError(f"there is no archive at {place}: it is not a folder, or none that this user can see")
    return FolderStore(Path(place))


class FolderStore:
    """An archive in a folder. A file is written beside its place, synced, and then named."""

    def __init__(self, root: Path) -> None:
        self.place = str(root)
        self._root = root

    def read(self, path: str) -> bytes | None:
        """See ``Store``."""
        with self._errors(path):
            try:
                return (self._root / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def open(self, path: str) -> Any:
        """See ``Store``."""
        with self._errors(path):
            try:
                return (self._root / path).open("rb")
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, path: str, content: bytes) -> None:
        """See ``Store``."""
        with self._errors(path):
            self._written_beside(path, content).replace(self._root / path)
            _sync((self._root / path).parent)

    def create(self, path: str, content: bytes) -> bool:
        """See ``Store``."""
        with self._errors(path):
            part = self._written_beside(path, content)
            try:
                os.link(part, self._root / path)
            except FileExistsError:
                return False
            finally:
                part.unlink(missing_ok=True)
            _sync((self._root / path).parent)
            return True

    def names(self, folder: str, *, hidden: bool = False) -> list[str]:
        """See ``Store``."""
        with self._errors(folder):
            try:
                found = os.listdir(self._root / folder)
            except (FileNotFoundError, NotADirectoryError):
                return []
            return sorted(name for name in found if hidden or not name.startswith("."))

    def remove(self, path: str) -> None:
        """See ``Store``."""
        with self._errors(path):
            (self._root / path).unlink(missing_ok=True)

    def clear(self, folder: str) -> None:
        """See ``Store``."""
        with self._errors(folder), contextlib.suppress(FileNotFoundError):
            for each in (self._root / folder).iterdir():
                each.unlink()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """See ``Store``: by a lock on a hidden file, which ends with the process."""
        with self._errors(""):
            self._root.mkdir(parents=True, exist_ok=True)
        with self._errors(LOCK):
            descriptor = os.open(self._root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise GatewayError(
                    f"another archiver writes to {self.place}: one is enough. End that one, or use another folder."
                ) from None
            with self._errors(""):
                self._sweep()
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what an archiver was writing when it was killed."""
        for folder, _, names in os.walk(self._root):
            for name in names:
                if name.startswith(".") and name.endswith(_PART):
                    Path(folder, name).unlink(missing_ok=True)

    def _written_beside(self, path: str, content: bytes) -> Path:
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_PART}")
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            part.unlink(missing_ok=True)
            raise
        return part

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = f"{self.place}/{path}".rstrip("/")
            if error.errno in _REMEDIES:
                raise ConfigurationError(f"{where}: {_REMEDIES[error.errno]}") from None
            if error.errno in _FULL:
                raise GatewayError(
                    f"{where}: the disk is full ({error.strerror}); make room: what is archived stays, and it goes on there"
                ) from None
            raise GatewayError(f"{where}: {error.strerror}; see the disk") from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
