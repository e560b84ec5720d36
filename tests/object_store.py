"""An object store for tests: a small one here, which speaks as much of S3 as an archive needs, or the real
one that S3_ENDPOINT names (credentials as AWS_… variables say; tried with MinIO); and a way to it that is
slow, fails, or knows less."""

import hashlib
import os
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import obstore
import pytest
from obstore.store import S3Store

from tests.patience import PATIENCE_S


@contextmanager
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a server, or take the one that is named; yields its URL. Credentials are in the environment."""
    if endpoint := os.environ.get("S3_ENDPOINT"):
        yield endpoint
        return
    with lenient_store(monkeypatch) as url:
        yield url


@contextmanager
def lenient_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a server that takes any signature, so that requests may be changed on their way."""
    if not os.environ.get("AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "archiver")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-seen")
    with _serving(_small_store({})) as url:
        yield url


def new_bucket(endpoint: str) -> str:
    """Make a bucket; returns the address of an archive in it."""
    name = f"archive-{secrets.token_hex(4)}"
    bucket = S3Store(name, endpoint=endpoint, region="us-east-1", client_options={"allow_http": True})
    url = obstore.sign(bucket, "PUT", "", timedelta(minutes=1))
    urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=PATIENCE_S).close()
    return f"s3://{name}/the/archive"


@dataclass
class Detour:
    """A way to a server that can be made worse while it is used; ``seen`` are the requests' method, path and
    headers."""

    to: str
    url: str = ""
    delay_s: float = 0.0
    failures: int = 0
    """How many of the next requests are answered by ``failure``: a status, and S3's name for it."""
    failure: tuple[int, str] = (503, "SlowDown")
    without: str | None = None
    """A header that the server does not know."""
    refused: str | None = None
    """A header to which the server answers 501."""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator["Detour"]:
        """Serve at ``url``."""
        with _serving(_handler(self)) as self.url:
            yield self


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


_PAGE = 3
"""How many names are listed in one answer: few, so that there are more answers than one."""


def _small_store(objects: dict[str, bytes | None]) -> type[BaseHTTPRequestHandler]:
    """A server of ``objects``: contents by ``bucket/key``, None by ``bucket``."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            name = self._name()
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                if "/" in name and name.partition("/")[0] not in objects:
                    self._refuse(404, "NoSuchBucket")
                elif self.headers.get("If-None-Match") == "*" and name in objects:
                    self._refuse(412, "PreconditionFailed")
                else:
                    objects[name] = content if "/" in name else None
                    self._answer(200, b"", content)

        def do_GET(self) -> None:
            name = self._name()
            if name.partition("/")[0] not in objects:
                self._refuse(404, "NoSuchBucket")
            elif "/" not in name:
                self._answer(200, self._listed(name), b"")
            elif (content := objects.get(name)) is None:
                self._refuse(404, "NoSuchKey")
            elif asked := self.headers.get("Range"):
                first, _, last = asked.removeprefix("bytes=").partition("-")
                part = content[int(first) : int(last or len(content)) + 1]
                place = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
                self._answer(206, part, content, {"Content-Range": place})
            else:
                self._answer(200, content, content)

        do_HEAD = do_GET  # noqa: N815 — as http.server looks it up

        def do_DELETE(self) -> None:
            objects.pop(self._name(), None)
            self._answer(204, b"", b"")

        def _name(self) -> str:
            return unquote(urlsplit(self.path).path).strip("/")

        def _listed(self, bucket: str) -> bytes:
            asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            prefix, found = asked.get("prefix", ""), set[tuple[str, bool]]()
            for name in list(objects):
                key = name.removeprefix(f"{bucket}/")
                if name != key and key.startswith(prefix):
                    rest, delimiter, _ = key[len(prefix) :].partition("/")
                    found.add((prefix + rest + delimiter, bool(delimiter)))
            rest_of_them = [each for each in sorted(found) if each[0] > asked.get("continuation-token", "")]
            page = rest_of_them[:_PAGE]
            shown = "".join(
                f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
                if is_folder
                else f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-23T00:00:00.000Z</LastModified>"
                f"<ETag>x</ETag><Size>{len(objects.get(f'{bucket}/{key}') or b'')}</Size></Contents>"
                for key, is_folder in page
            )
            more = len(rest_of_them) > _PAGE
            token = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if more else ""
            return f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{shown}</ListBucketResult>".encode()

        def _refuse(self, status: int, code: str) -> None:
            self._answer(status, f"<Error><Code>{code}</Code></Error>".encode(), b"")

        def _answer(self, status: int, body: bytes, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            tag = hashlib.md5(content, usedforsecurity=False).hexdigest()
            about = {"ETag": f'"{tag}"', "Last-Modified": self.date_time_string(), "Content-Length": str(len(body))}
            for name, value in (about | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


def _handler(detour: Detour) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            detour.seen.append((self.command, self.path, headers))
            time.sleep(detour.delay_s)
            if detour.failures:
                detour.failures -= 1
                status, code = detour.failure
                self._answer(status, {}, f"<Error><Code>{code}</Code></Error>".encode())
            elif detour.refused in headers:
                self._answer(501, {}, b"<Error><Code>NotImplemented</Code></Error>")
            else:
                headers.pop(detour.without or "", None)
                headers.setdefault("content-type", "application/octet-stream")  # urllib's own is that of a form
                asked = urllib.request.Request(
                    detour.to + self.path,
                    body or (b"" if self.command == "PUT" else None),
                    headers,
                    method=self.command,
                )
                try:
                    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
                        self._answer(answer.status, dict(answer.headers), answer.read())
                except urllib.error.HTTPError as error:
                    self._answer(error.code, dict(error.headers), error.read())

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"content-length", "connection", "date", "server", "transfer-encoding"}:
                    self.send_header(name, value)
            length = headers.get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815 — as http.server looks them up

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
