"""Taking a lane over, to write an entry into its chain: its worker is fenced, and opens again when this is
done."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from gateway.adapters.aiokafka_patches import cut_off
from gateway.adapters.settings import Settings
from gateway.contract.ledger_entry import Previous
from gateway.contract.outputs import Output, digest
from gateway.contract.topics import LaneId
from gateway.errors import GatewayError
from gateway.relay.committed import metadata_of
from gateway.relay.continuity import Links, Standing
from gateway.relay.evidence import KafkaEvidence
from gateway.relay.group import group_id_of
from gateway.relay.opening import HORIZON_INCOMPLETE, Opener
from gateway.relay.transaction import send_in_transaction
from gateway.relay.writer import start_writer


class _HorizonIncompleteError(Exception):
    """The lane's worker would wait until somebody takes note of it."""


@dataclass
class Takeover:
    """The one writer of ``lane``, from ``begin`` on until ``end`` or until the lane's worker takes it
    back."""

    settings: Settings
    lane: LaneId
    standing: Standing | None = None
    _links: Links = field(default_factory=Links)
    _producer: AIOKafkaProducer | None = None

    async def begin(self, *, only_if_continuous: bool) -> Standing:
        """Fence whoever works the lane, then read where it stands; in any other order its last commit could
        be missed.

        Raises GatewayError where it cannot be known now; with ``only_if_continuous`` also where the input
        log is not the one that the lane's entries speak of: its worker has to find that out first.
        """
        await self.end()
        self._producer = await start_writer(self.settings, self.lane)
        async with self._opening() as opener:
            found = await opener.survey()
        if only_if_continuous and (found.continuation.change is not None or found.continuation.lost is not None):
            raise GatewayError(
                f"{self.lane}: the input log is not as the lane left it; let its worker open it first (see its log)"
            )
        self.standing, self._links = found.standing, found.links
        return found.standing

    async def lacks_horizon(self) -> bool:
        """Tell whether the lane's worker would wait, as neither ledger nor outputs say all that was
        forwarded of late.

        Ask while it is taken over. Raises GatewayError where the worker would wait for something else.
        """
        try:
            async with self._opening() as opener:
                await opener.open(None)
        except _HorizonIncompleteError:
            return True
        return False

    async def write(self, outputs: Sequence[Output], entry: Output | None = None) -> None:
        """Write ``outputs`` and the ``entry`` that accounts for them, which moves the lane nowhere.

        Without one they are accounted for already: they are written again.

        Raises ProducerFenced where somebody else has the lane now, and what aiokafka raises.
        """
        standing, producer = self.standing, self._producer
        if standing is None or producer is None:
            raise RuntimeError(f"{self.lane} is not taken over")
        before, after = standing.previous, standing
        if entry is not None:
            newest = digest(self.settings.ledger.digest, [entry.value])
            after = replace(standing, previous=Previous(newest, before.received_at if before else None))
        metadata = metadata_of(after, self._links, self._links.newest, 0)
        offsets = {TopicPartition(self.lane.topic, self.lane.partition): OffsetAndMetadata(after.next_offset, metadata)}
        try:
            await send_in_transaction(
                producer, [*outputs, *filter(None, [entry])], self.lane.partition, offsets, group_id_of(self.settings)
            )
        except IllegalOperation:
            # What aiokafka says of a producer that was fenced between two of its batches.
            raise ProducerFenced from None
        self.standing = after

    async def end(self) -> None:
        """Let the lane go."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await cut_off(producer)

    @asynccontextmanager
    async def _opening(self) -> AsyncIterator[Opener]:
        evidence = KafkaEvidence(self.settings, self.settings.topic_names, self.lane, group_id_of(self.settings))
        async with evidence.looking():
            yield Opener(evidence, self._refuse_to_wait, lambda *_, **__: None)

    def _refuse_to_wait(self, cause: str) -> None:
        if cause == HORIZON_INCOMPLETE:
            raise _HorizonIncompleteError
        message = f"{self.lane} cannot be opened now ({cause}); see `gateway doctor`, then run this again"
        raise GatewayError(message)
