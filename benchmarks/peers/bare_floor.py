"""The limit for this job: lanes that make the libraries' calls that the contract asks for, and check and
decide nothing.

Each event is decoded (msgspec) and encoded again, there are three SHA-256 (bytes, content, decision), an
output as large as a verification record with the headers of one, and SM3 over a transaction's outputs. What
the gateway costs beyond this is its own Python.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from benchmarks.peers.bare_copy import Written, main
from gateway.contract.headers import CONTENT_TYPE, ORIGIN_HEADER
from gateway.contract.outputs import digest
from gateway.core.digest import sha256
from gateway.core.event import Event

DECISION_BYTES = 170
"""What a decision's digest is over: two digests, version, outcome."""
MORE_BYTES = 600
"""A verification record has the event's fields and this many bytes more: two envelopes, the list's row, the
digests."""

_decode, _decode_any = msgspec.json.Decoder(Event).decode, msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def least(records: Sequence[ConsumerRecord]) -> Iterable[Written]:
    outputs: list[Written] = []
    for record in records:
        raw: bytes = record.value
        content = _encode(_event(raw))
        for digested in (raw, content, content[:DECISION_BYTES]):
            sha256(digested)
        origin = b"%b/%d/%d" % (record.topic.encode(), record.partition, record.offset)
        value = raw + content[:MORE_BYTES]  # with the extension attributes, which ``content`` here has not
        outputs.append((record.key, value, [CONTENT_TYPE, (ORIGIN_HEADER, origin)]))
    digest("sm3", (value for _, value, _ in outputs))
    return outputs


def _event(raw: bytes) -> Any:
    try:
        return _decode(raw)
    except msgspec.ValidationError:
        return _decode_any(raw)


if __name__ == "__main__":
    asyncio.run(main(least))
