"""Keeps beside the segments what they are proved with: the editions of the list, and the settings with their
history."""

import datetime
import getpass
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from gateway import __version__
from gateway.adapters.list_files import list_files, load_recognition
from gateway.adapters.own_signatures import RecordSigner
from gateway.adapters.settings import Settings
from gateway.core.digest import canonical, sha256
from gateway.core.recognition import Recognition
from gateway.core.times import format_instant
from gateway.errors import RecognitionListError
from gateway.operate.archive.manifest import (
    FORMAT,
    HISTORY,
    LISTS,
    SETTINGS,
    Change,
    Edition,
    FileFacts,
    SettingsChange,
    digest_of,
    file_name_of,
    history_name,
    read_sealed,
    seal,
    settings_name,
)
from gateway.operate.archive.store import Store

EDITION = "edition.json"


def who() -> str:
    """Name the user and host that this process runs as, as far as the operating system does."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return f"{user}@{platform.node() or 'unknown host'}"


def keep_list(store: Store, folder: Path, digest: str, signer: RecordSigner | None, algorithm: str, now: float) -> bool:
    """Archive the list files in ``folder`` as the list ``digest``, once; False where they have become
    another list.

    What is archived is read again before it counts.
    """
    place = f"{LISTS}/{file_name_of(digest)}"
    if store.read(f"{place}/{EDITION}") is not None:
        return True
    contents = {path.name: path.read_bytes() for path in list_files(folder)}
    loaded = _load(contents)
    if loaded is None or loaded.digest != digest:
        return False
    files = []
    for name, content in contents.items():
        store.write(f"{place}/{name}", content)
        files.append(FileFacts(name, content.count(b"\n"), len(content), digest_of(algorithm, content)))
    edition = Edition(
        format=FORMAT, list_digest=digest, files=files, written=format_instant(round(now * 1e6)), version=__version__
    )
    store.create(f"{place}/{EDITION}", seal(edition, signer))
    return True


def load_list(store: Store, digest: str) -> Recognition | None:
    """Load an archived list; None where it is not there, or no longer gives ``digest``."""
    place = f"{LISTS}/{file_name_of(digest)}"
    contents = {}
    for name in store.names(place):
        if name != EDITION and (content := store.read(f"{place}/{name}")) is not None:
            contents[name] = content
    loaded = _load(contents) if contents else None
    return loaded if loaded is not None and loaded.digest == digest else None


def _load(contents: dict[str, bytes]) -> Recognition | None:
    with tempfile.TemporaryDirectory(prefix="gateway-list-") as name:
        for file, content in contents.items():
            (Path(name) / Path(file).name).write_bytes(content)
        try:
            return load_recognition(Path(name))
        except RecognitionListError:
            return None


def keep_settings(
    store: Store, settings: Settings, signer: RecordSigner | None, algorithm: str, now: float
) -> tuple[str, int]:
    """Archive the settings, and what of them changed since they were last seen; return their digest and how
    many changed.

    Settings hold no secrets: passwords and keys are files, of which they name the paths.
    """
    content = settings.model_dump(mode="json")
    body = canonical(content)
    digest = sha256(body)
    store.create(f"{SETTINGS}/{settings_name(digest)}", body)
    last = _last_change(store)
    if last is not None and last[1].settings == digest:
        return digest, 0
    before = _read_settings(store, last[1].settings) if last is not None else {}
    changes = list(_changes(before, _flat(content))) if last is not None else []
    owner, changed = _facts_of(settings.file)
    entry = SettingsChange(
        format=FORMAT, number=1 if last is None else last[1].number + 1, settings=digest, changes=changes, seen_by=who(),
        file_owner=owner, file_changed=changed, previous=None if last is None else digest_of(algorithm, last[0]),
        written=format_instant(round(now * 1e6)), version=__version__,
    )  # fmt: skip
    store.create(f"{HISTORY}/{history_name(entry.number)}", seal(entry, signer))
    return digest, len(changes)


def _last_change(store: Store) -> tuple[bytes, SettingsChange] | None:
    for name in reversed(store.names(HISTORY)):
        raw = store.read(f"{HISTORY}/{name}") or b""
        if (found := read_sealed(SettingsChange, raw)) is not None:
            return raw, found
    return None


def _read_settings(store: Store, digest: str) -> dict[str, Any]:
    raw = store.read(f"{SETTINGS}/{settings_name(digest)}")
    try:
        return _flat(msgspec.json.decode(raw or b"{}"))
    except msgspec.MsgspecError:
        return {}


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    names = sorted(before.keys() | after.keys())
    return [Change(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def _facts_of(file: Path) -> tuple[str | None, str | None]:
    """Say who owns the settings' file and when it was changed, as the file system has it."""
    try:
        changed = file.stat().st_mtime
    except OSError:
        return None, None
    try:
        owner = file.owner()
    except (KeyError, OSError):
        owner = None
    moment = datetime.datetime.fromtimestamp(changed, datetime.UTC)
    return owner, moment.isoformat(timespec="seconds").replace("+00:00", "Z")
