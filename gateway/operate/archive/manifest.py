"""The archive's manifests: what a segment's files hold, chained by digest from one to the next, and signed.

A segment is a run of consecutive ledger entries of one lane and one day, with what they account for.
Every manifest is canonical JSON. With the gateway's own key it ends with the members ``signature`` and
``signaturekey``, as its records do; signed are the netstrings of ``SEAL`` and of the bytes without those
two.
"""

from typing import Literal, TypeVar

import msgspec

from gateway.adapters.own_signatures import RecordCheck, RecordSigner
from gateway.contract.outputs import digest
from gateway.contract.signing import split_signature
from gateway.core.digest import canonical, netstrings
from gateway.core.times import parse_instant

FORMAT = 1
SEAL = b"cn.chuanyu.gateway.archive.v1"

MANIFEST, DAY, EXPIRED = "manifest.json", "day.json", "expired.json"
LISTS, SETTINGS, HISTORY = "lists", "settings", "settings-history"

Gone = Literal["ledger", "inputs", "outputs"]


class FileFacts(msgspec.Struct, frozen=True):
    """A file of a segment: ``digest`` is over its bytes."""

    name: str
    rows: int
    bytes: int
    digest: str


class Lost(msgspec.Struct, frozen=True):
    """Records that their topic no longer held when they were to be archived.

    ``first`` and ``last`` are offsets, both inclusive; None where an output's own offset is not known.
    ``count`` is how many records are known to have been there, None where that is not known. ``entry`` is
    the ledger offset of the entry that accounts for them.
    """

    what: Gone
    topic: str
    partition: int
    first: int | None
    last: int | None
    count: int | None
    entry: int | None = None


class Position(msgspec.Struct, frozen=True):
    """Where the next segment of the lane begins: offsets of its ledger, its input (of ``epoch``) and its
    outputs by topic."""

    ledger: int
    epoch: int
    input: int
    outputs: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a segment holds. Times are RFC 3339, offsets inclusive; ``input_first`` is None where no turn is
    in it.

    ``chain_before`` is the digest of the lane's ledger entry before the segment, ``chain_head`` that of its
    last one; ``previous`` the digest of the lane's manifest before. ``lists`` are the list digests that its
    entries name, ``settings`` is the digest of the archiver's settings. ``unaccounted`` are input records
    between entries, of which no entry speaks.
    """

    format: int
    kind: Literal["segment"] = "segment"
    lane: str
    province: str
    topic: str
    topic_id: str | None
    partition: int
    segment: int
    day: str
    ledger: str
    ledger_first: int
    ledger_last: int
    entries: int
    records: int
    unaccounted: int
    outcomes: dict[str, int]
    epoch: int
    input_first: int | None
    input_last: int | None
    first_received: str
    last_received: str
    chain_before: str | None
    chain_head: str
    lists: list[str]
    settings: str
    input_bytes: bool
    files: list[FileFacts]
    lost: list[Lost]
    next: Position
    previous: str | None
    written: str
    version: str


class LaneEnd(msgspec.Struct, frozen=True):
    """Up to where a lane was archived when a day was closed: its last segment, that one's day and
    manifest's digest."""

    lane: str
    segment: int
    day: str
    manifest: str


class DayClosing(msgspec.Struct, frozen=True, kw_only=True):
    """Closes a day: nothing more is written for it. ``previous`` is the digest of the closing of the day
    before."""

    format: int
    kind: Literal["day"] = "day"
    day: str
    lanes: list[LaneEnd]
    previous: str | None
    written: str
    version: str


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """Says that a day's data were removed by ``gateway archive expire``: by whom, as the operating system
    names them."""

    format: int
    kind: Literal["expiry"] = "expiry"
    day: str
    before: str
    by: str
    written: str
    version: str


class Edition(msgspec.Struct, frozen=True, kw_only=True):
    """List files that were archived: ``list_digest`` is what ledger entries call the list by."""

    format: int
    kind: Literal["list"] = "list"
    list_digest: str
    files: list[FileFacts]
    written: str
    version: str


class Change(msgspec.Struct, frozen=True):
    """A setting that changed; null is what was not set, or is not known by this version."""

    setting: str
    before: object
    after: object


class SettingsChange(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the settings' history: what changed, when the archiver saw it, and what is known of who
    did it.

    ``seen_by`` is the user and host that the archiver runs as. ``file_owner`` and ``file_changed`` are what
    the file system says of the settings' file; null where it says nothing. Of what stands in the environment
    nobody knows who set it.
    """

    format: int
    kind: Literal["settings"] = "settings"
    number: int
    settings: str
    changes: list[Change]
    seen_by: str
    file_owner: str | None
    file_changed: str | None
    previous: str | None
    written: str
    version: str


Sealed = Manifest | DayClosing | Expiry | Edition | SettingsChange
S = TypeVar("S", bound=msgspec.Struct)


def seal(content: Sealed, signer: RecordSigner | None) -> bytes:
    """Return ``content`` as the bytes of its file, signed where there is a signer."""
    body = canonical(msgspec.to_builtins(content))
    return body if signer is None else signer.sign_detached(body, _message(body))


def read_sealed(kind: type[S], raw: bytes) -> S | None:
    """Read a manifest of ``kind`` back; None if ``raw`` is not one that this version can read."""
    try:
        found = msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if getattr(found, "format", None) == FORMAT else None


def seal_problem(check: RecordCheck, raw: bytes, written: str) -> str | None:
    """Say what is wrong with the signature of a manifest, or None; ``written`` says which keys are valid."""
    if check.policy == "off":
        return None
    body, signature, key_id = split_signature(raw)
    if signature is None or key_id is None:
        return "it bears no signature" if check.policy == "required" else None
    key = check.keys.get(key_id)
    if key is None or not key.holds_at((parse_instant(written) or 0) // 1000):
        return "it is signed with a key that is not the gateway's, or was not at that time"
    return None if key.verify(signature, _message(body)) else "its signature is not that of its content"


def digest_of(algorithm: str, raw: bytes) -> str:
    """Digest a file as ``algorithm:hex``."""
    return digest(algorithm, [raw])


def segment_folder(day: str, lane: str, segment: int) -> str:
    """Return the folder of a segment: ``2026-11-23/sichuan.display-3/000001``."""
    return f"{day}/{lane}/{segment:06d}"


def file_name_of(digest_text: str) -> str:
    """Return a digest as it stands in a file's name: with a dash for the colon."""
    return digest_text.replace(":", "-")


def settings_name(digest_text: str) -> str:
    """Return the name of the file of settings with this digest."""
    return f"{file_name_of(digest_text)}.json"


def history_name(number: int) -> str:
    """Return the name of an entry of the settings' history."""
    return f"{number:06d}.json"


def _message(body: bytes) -> bytes:
    return netstrings((SEAL, body))
