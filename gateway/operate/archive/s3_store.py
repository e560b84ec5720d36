"""An archive in an object store that speaks S3's API. Needs the extra ``archive``.

Credentials and region are found as AWS' own tools find them; another server than AWS' is named in the
address (``s3://bucket/prefix?endpoint=http://minio:9000``) or by AWS_ENDPOINT_URL.
"""

import configparser
import contextlib
import io
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import S3Store as Bucket

from gateway.adapters.addresses import problem_with_url
from gateway.errors import ConfigurationError, GatewayError, UsageError
from gateway.operate.archive.lease import Lease

_CONNECT_S, _ANSWER_S, _RETRY_S = 5, 60, 20
"""How long a connection and an answer may take, and how long what failed is tried again."""
_NO_SUCH_BUCKET = "NoSuchBucket"
_NOT_IMPLEMENTED = "HTTP 501"
"""How a server answers that cannot write a file only where there is none."""
_NOT_THERE = (NotFoundError, FileNotFoundError)
_NOT_ALLOWED = re.compile("HTTP 40[13]")


def open_s3(place: str) -> "S3Store":
    """Open the archive at ``place``. Raises UsageError where that is not such an address,
    ConfigurationError."""
    parts = urlsplit(place)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "@" in parts.netloc:
        raise UsageError("an archive's address holds no credentials: see AWS_ACCESS_KEY_ID in docs/archive.md")
    if not parts.netloc or parts.fragment or query.keys() - {"endpoint"}:
        raise UsageError(
            "an archive in an object store is named s3://BUCKET/PREFIX, or s3://BUCKET/PREFIX?endpoint=URL"
        )
    environment = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    endpoint = query.get("endpoint") or environment
    if endpoint is not None and (not endpoint.startswith(("http://", "https://")) or problem_with_url(endpoint)):
        raise UsageError("the archive's endpoint is not a URL such as http://minio:9000")
    prefix = parts.path.strip("/")
    own: dict[str, Any] = {} if endpoint is None else {"endpoint": endpoint}
    own |= _credentials() | ({"prefix": prefix} if prefix else {})
    if not os.environ.get("AWS_REGION") and not os.environ.get("AWS_DEFAULT_REGION"):
        own["region"] = "us-east-1"  # what servers take that have no regions
    bucket = Bucket(
        parts.netloc,
        disable_bulk_delete=True,  # which not every server knows
        client_options={
            "allow_http": endpoint is not None and endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=_CONNECT_S),
            "timeout": timedelta(seconds=_ANSWER_S),
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=_RETRY_S)},
        **own,
    )
    return S3Store(f"s3://{parts.netloc}/{prefix}".rstrip("/"), bucket)


def _credentials() -> dict[str, str]:
    """Read the file of credentials that AWS' tools read, where the environment itself holds none."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    file = Path(named or "~/.aws/credentials").expanduser()
    if not named and not file.is_file():
        return {}
    profile, parser = os.environ.get("AWS_PROFILE", "default"), configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        found = parser[profile]
        keys = {"access_key_id": found["aws_access_key_id"], "secret_access_key": found["aws_secret_access_key"]}
    except (OSError, UnicodeDecodeError, KeyError, configparser.Error):
        # Its lines are secrets: not a word of them.
        raise ConfigurationError(
            f"{file} has no readable profile {profile!r} with aws_access_key_id and aws_secret_access_key: see "
            "AWS_SHARED_CREDENTIALS_FILE and AWS_PROFILE"
        ) from None
    return keys | ({"token": found["aws_session_token"]} if "aws_session_token" in found else {})


class S3Store:
    """An archive in a bucket: an object is there whole or not at all.

    A lease keeps a second archiver out, and a manifest is written only where there is none: the server sees
    to that where it can (``If-None-Match``); where it cannot, it is looked up before and after.
    """

    def __init__(self, place: str, bucket: Bucket) -> None:
        self.place = place
        self._bucket = bucket
        self._lease: Lease | None = None
        self._can_create = True

    def read(self, path: str) -> bytes | None:
        """See ``Store``."""
        with self._errors(path):
            try:
                return bytes(obstore.get(self._bucket, path).bytes())
            except _NOT_THERE as error:
                if _NO_SUCH_BUCKET in str(error):
                    raise
                return None

    def open(self, path: str) -> Any:
        """See ``Store``."""
        with self._errors(path):
            try:
                return io.BufferedReader(_ObjectReader(obstore.open_reader(self._bucket, path)))
            except _NOT_THERE:
                return None

    def write(self, path: str, content: bytes) -> None:
        """See ``Store``."""
        self._require_lease()
        self._put(path, content)

    def create(self, path: str, content: bytes) -> bool:
        """See ``Store``; True too where a try whose answer was lost has written this very content."""
        self._require_lease(look=True)
        if self.read(path) is not None:
            return False
        with self._errors(path):
            try:
                if self._can_create:
                    obstore.put(self._bucket, path, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return self.read(path) == content
            except BaseError as error:
                if not _words_of(error).startswith(_NOT_IMPLEMENTED):
                    raise
                self._can_create = False
        if not self._can_create:
            self._put(path, content)
        return self.read(path) == content

    def names(self, folder: str, *, hidden: bool = False) -> list[str]:
        """See ``Store``."""
        with self._errors(folder):
            found = obstore.list_with_delimiter(self._bucket, folder or None)
            paths = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
        names = {path.rstrip("/").rpartition("/")[2] for path in paths}
        return sorted(name for name in names if hidden or not name.startswith("."))

    def remove(self, path: str) -> None:
        """See ``Store``."""
        self._require_lease()
        with self._errors(path), contextlib.suppress(*_NOT_THERE):
            obstore.delete(self._bucket, path)

    def clear(self, folder: str) -> None:
        """See ``Store``."""
        for name in self.names(folder):
            self.remove(f"{folder}/{name}")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """See ``Store``: by a lease, which is renewed as long as the process runs."""
        lease = Lease(self.place, self.read, self._put, self.remove)
        with lease.held():
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None

    def _require_lease(self, *, look: bool = False) -> None:
        if self._lease is not None:
            self._lease.require(look=look)

    def _put(self, path: str, content: bytes) -> None:
        with self._errors(path):
            obstore.put(self._bucket, path, content, use_multipart=False)

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            # The client's own words name requests and quote answers: no part of a log.
            words = _words_of(error)
            if _NO_SUCH_BUCKET in words:
                raise ConfigurationError(
                    f"{self.place}: there is no such bucket; create it, or correct the address"
                ) from None
            if _NOT_ALLOWED.match(words):
                raise ConfigurationError(
                    f"{self.place}/{path}: the server does not allow it ({words}); see the credentials (AWS_ACCESS_KEY_ID, or "
                    "AWS_SHARED_CREDENTIALS_FILE), and what they may do in the bucket (docs/archive.md)"
                ) from None
            raise GatewayError(
                f"{self.place}/{path}: the object store did not do it ({words}); see that it runs, and that its address is "
                "right"
            ) from None


class _ObjectReader(io.RawIOBase):
    """An object as a file of Python's, of which what is not read is not fetched."""

    def __init__(self, reader: Any) -> None:
        super().__init__()
        self._reader = reader

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read anywhere."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into ``buffer``, as much as there is."""
        content = bytes(self._reader.read(len(buffer)))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        """Return the place."""
        return int(self._reader.tell())


def _words_of(error: Exception) -> str:
    """Say in short what went wrong: the answer's status and S3's name for it, or what became of the
    connection."""
    text = str(error)
    status, code, kind = (
        re.search(sign, text) for sign in (r"status: (\d{3})", r"<Code>(\w{1,60})</Code>", r"kind: (\w+)")
    )
    if status is not None:
        return f"HTTP {status[1]}" + (f", {code[1]}" if code is not None else "")
    known = {"Connect": "no connection", "Timeout": "no answer in time"}
    return known.get(kind[1], kind[1]) if kind is not None else type(error).__name__
