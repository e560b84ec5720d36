"""Makes an entry's outputs again, from its inputs and the list; only what has the entry's own digest
counts."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from aiokafka.structs import ConsumerRecord

from gateway.adapters.own_signatures import RecordSigner
from gateway.adapters.signatures import KeyRing
from gateway.adapters.unreadable import input_digest_of
from gateway.contract.headers import REDRIVE_HEADER, SUPERSEDES_HEADER
from gateway.contract.ledger_entry import Entry, has_inputs_digest, has_outputs_digest, input_line
from gateway.contract.outputs import Output, Written, build_output
from gateway.contract.signing import read_signed
from gateway.contract.topics import LaneId, Topics
from gateway.core.decision import ENGINE_VERSION, Forward
from gateway.core.recognition import Recognition
from gateway.core.signature import SignatureStatus
from gateway.operate.audit.lane_audit import ShortEntry
from gateway.operate.audit.stream import Rank
from gateway.relay.deciding import decide_record
from gateway.relay.horizon import Horizon

_Statuses = Callable[[ConsumerRecord], SignatureStatus]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The outputs that are missing, by their inputs; or ``why`` they cannot be made again."""

    missing: Mapping[Rank, Output]
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Rebuilder:
    """Rebuilds outputs of ``lane`` under ``recognition``; ``signer`` signs them as the gateway does now.

    ``read_inputs`` reads records of the input log by their offsets; ``superseded`` says where the record
    stood whose place a redriven one took.
    """

    lane: LaneId
    topics: Topics
    recognition: Recognition
    key_ring: KeyRing
    signer: RecordSigner | None
    read_inputs: Callable[[Sequence[int]], Awaitable[Sequence[ConsumerRecord]]]
    superseded: Callable[[Rank], str | None]

    async def rebuild(self, short: ShortEntry) -> Rebuilt:
        """Make the outputs of ``short`` again that are missing."""
        entry, inputs = short.entry, short.inputs
        if entry.redriven is not None:
            inputs = await self.read_inputs(entry.redriven)
        if not _are_inputs(entry, inputs):
            return Rebuilt({}, "an input record is no longer there, or another one stands in its place")
        for statuses in self._policies():
            built = self._build(entry, inputs, short.horizon, statuses)
            for signed in (False, True) if self.signer is not None else (False,):
                # What is there has the bytes that it had; so has what is made again, or the digest does not
                # hold.
                whole = {
                    rank: short.outputs.get(rank) or self._sign(each, signed=signed) for rank, each in built.items()
                }
                if has_outputs_digest(entry, list(whole.values())):
                    return Rebuilt({rank: each for rank, each in whole.items() if isinstance(each, Output)})
        return Rebuilt({}, self._why_not(short))

    def _build(
        self, entry: Entry, inputs: Iterable[ConsumerRecord], horizon: Horizon, statuses: _Statuses
    ) -> dict[Rank, Output]:
        built = dict[Rank, Output]()
        try:
            for record in inputs:
                decision = decide_record(self.lane, record, self.recognition, horizon, statuses(record))
                if isinstance(decision, Forward):
                    reading = decision.reading
                    horizon.remember(reading.identity, reading.content_digest, record.timestamp)
                output = build_output(self.lane, record, decision, self.topics, entry.epoch)
                if output is not None:
                    built[entry.epoch, record.offset] = self._as_redriven(entry, (entry.epoch, record.offset), output)
        finally:
            horizon.forget()
        return dict(sorted(built.items()))

    def _as_redriven(self, entry: Entry, rank: Rank, output: Output) -> Output:
        if entry.redriven is None or (place := self.superseded(rank)) is None:
            return output
        headers = (*output.headers, (REDRIVE_HEADER, entry.id.encode()), (SUPERSEDES_HEADER, place.encode()))
        return msgspec.structs.replace(output, headers=headers)

    def _sign(self, output: Output, *, signed: bool) -> Written:
        if not signed or self.signer is None:
            return output
        return msgspec.structs.replace(output, value=self.signer.sign(output.value))

    def _policies(self) -> Iterator[_Statuses]:
        """Yield what may have come of the events' signatures: as the settings ask for them, and as they may
        have asked before."""
        province = self.lane.province
        yield lambda record: self.key_ring.status_on(province, record)
        yield lambda _: SignatureStatus.UNASKED
        yield (
            lambda record: (
                SignatureStatus.MISSING
                if read_signed(record.value or b"", record.headers) is None
                else self.key_ring.status_on(province, record)
            )
        )

    def _why_not(self, short: ShortEntry) -> str:
        if short.entry.engine_version != ENGINE_VERSION:
            return f"decided by engine {short.entry.engine_version}, this is {ENGINE_VERSION}"
        if short.entry.list_digest != self.recognition.digest:
            return "decided under another edition of the list than the one here"
        if self.signer is not None or any(read_signed(each.value or b"") for each in short.outputs.values()):
            return "signed by the gateway, with a key that is not here or signs otherwise each time (SM2)"
        return "input and list give other bytes than the entry's digest is of"


def _are_inputs(entry: Entry, inputs: Sequence[ConsumerRecord]) -> bool:
    lines = [input_line(each.offset, each.timestamp, input_digest_of(each), each.key) for each in inputs]
    return len(inputs) == entry.records and has_inputs_digest(entry, lines)
