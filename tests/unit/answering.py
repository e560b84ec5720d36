"""A broker that answers what it is told to: for what no real one says on demand."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Any

from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.api import Response
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from aiokafka.protocol.coordination import FindCoordinatorResponse_v1
from aiokafka.protocol.metadata import MetadataResponse_v5

from gateway.adapters import log_facts
from gateway.adapters.settings import Settings, load_settings

ITS_ID = 1
_ANY_REQUEST = ApiVersionResponse_v0(0, [(key, 0, 99) for key in range(70)])


class Broker:
    """The only one of its cluster, which leads and coordinates all; ``port`` is where it listens."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._answers: dict[tuple[int, int], list[Response]] = {}
        self.answer(FindCoordinatorResponse_v1(0, 0, None, ITS_ID, "127.0.0.1", port))
        self.describe()

    @property
    def settings(self) -> Settings:
        """The shipped settings, with this broker."""
        return load_settings(bootstrap_servers=f"127.0.0.1:{self.port}")

    def answer(self, *answers: Response) -> None:
        """Give these from now on to the requests that they belong to, in turn, and the last one for ever."""
        for each in answers:
            self._answers[each.API_KEY, each.API_VERSION] = []
        for each in answers:
            self._answers[each.API_KEY, each.API_VERSION].append(each)

    def describe(self, *topics: str, code: int = 0, leader: int = ITS_ID, is_starting: bool = False) -> None:
        """Say of each of ``topics`` that it has ``code``, and a partition with ``leader`` if that is no
        error."""
        its = [] if code else [(0, 0, leader, [ITS_ID], [ITS_ID], [])]
        brokers = [] if is_starting else [(ITS_ID, "127.0.0.1", self.port, None)]
        found = [(code, topic, False, its) for topic in topics]
        self.answer(MetadataResponse_v5(0, brokers, "cluster", ITS_ID, found))

    def locate(self, *topics: str, leader: int = ITS_ID) -> None:
        """Say as ``describe`` does who leads, to those who ask for the topics' ids too."""
        its = [(0, 0, leader, 0, [ITS_ID], [ITS_ID], [], {})]
        brokers = [(ITS_ID, "127.0.0.1", self.port, None, {})]
        found = [(0, topic, bytes(15) + b"1", False, its, 0, {}) for topic in topics]
        self.answer(log_facts._MetadataResponse(0, brokers, "cluster", ITS_ID, found, {}))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
                key, version = struct.unpack_from(">hh", request)
                answer = _ANY_REQUEST if key == _ANY_REQUEST.API_KEY else self._next(key, version)
                tags = b"\0" if answer.SCHEMA.names[-1] == "tags" else b""
                words = request[4:8] + tags + answer.encode()
                writer.write(len(words).to_bytes(4) + words)

    def _next(self, key: int, version: int) -> Any:
        answers = self._answers[key, version]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[Broker]:
    """Have a broker that knows of no topics and no groups until it is told."""
    brokers = list[Broker]()
    server = await asyncio.start_server(lambda *connection: brokers[0].serve(*connection), "127.0.0.1")
    async with server:
        brokers.append(Broker(server.sockets[0].getsockname()[1]))
        yield brokers[0]


def committed(*partitions: tuple[str, int], code: int = 0) -> OffsetFetchResponse_v3:
    """What a group has of ``partitions``, each a topic and an offset; or the ``code`` of the whole group."""
    return OffsetFetchResponse_v3(0, [(topic, [(0, offset, "", 0)]) for topic, offset in partitions], code)
