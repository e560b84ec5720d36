"""Takes turns both ways, by the reference and by the kernel, and says where they differ."""

from collections.abc import Iterable
from typing import Any

import gateway_kernel
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord

from gateway.adapters.batch_patches import ReadyBatch
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract.ledger_entry import InputLog
from gateway.contract.topics import LaneId, Topics
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.signature import SignatureStatus
from gateway.relay.deciders import VerifiedTurns
from gateway.relay.horizons import BothHorizons
from gateway.relay.kernel import KernelTurns
from gateway.relay.turn import DecidedTurn

LIST = load_recognition(packaged_config() / "recognition")
TOPICS = Topics()
LANES = {province: LaneId(province, TOPICS.display(province), 2) for province in Province}


class Watched(KernelTurns):
    """Keeps the kernel's last turn."""

    last: DecidedTurn

    def decide(self, *arguments: Any, **options: Any) -> DecidedTurn:
        self.last = super().decide(*arguments, **options)
        return self.last


class BothWays:
    """Lanes of both provinces whose turns are taken both ways; ``take`` raises where they differ."""

    def __init__(
        self,
        recognition: Recognition = LIST,
        *,
        horizon: tuple[int, int] = (3_600_000, 600),
        algorithm: str = "sm3",
        epoch: int = 0,
    ) -> None:
        self.recognition = recognition
        self.kernel = Watched(gateway_kernel, algorithm)
        self.turns = VerifiedTurns(self.kernel, algorithm)
        self.horizons = {province: BothHorizons(*horizon, gateway_kernel.Horizon(*horizon)) for province in Province}
        self.log = InputLog(None, epoch)

    def take(
        self,
        province: Province,
        records: list[ConsumerRecord],
        *,
        signatures: Iterable[SignatureStatus] = (),
        aborts: bool = False,
    ) -> DecidedTurn:
        """Take a turn, and compare every byte that would be sent."""
        horizon = self.horizons[province]
        turn = self.turns.decide(
            LANES[province], records, self.recognition, horizon,
            topics=TOPICS, log=self.log, partitions=4, signatures=list(signatures),
        )  # fmt: skip
        assert _sent(self.kernel.last) == _to_be_sent(turn)
        if aborts:
            horizon.forget()
        else:
            horizon.keep()
        native = horizon.native
        assert (len(horizon), horizon.truncated, native.pending) == (len(native), native.truncated, b"")
        return turn


def _to_be_sent(turn: DecidedTurn) -> dict[str, list[Any]]:
    sent: dict[str, list[Any]] = {}
    for output in turn.outputs:
        sent.setdefault(output.topic, []).append((output.key, output.value, tuple(output.headers)))
    return sent


def _sent(turn: DecidedTurn) -> dict[str, list[Any]]:
    """What aiokafka reads out of the kernel's batches."""
    sent: dict[str, list[Any]] = {}
    assert turn.packed is not None
    for topic, packed in turn.packed.batches:
        batch = ReadyBatch(packed)
        batch._set_producer_state(7, 1, 3)
        memory = MemoryRecords(bytes(batch._build()))
        while memory.has_next():
            read = memory.next_batch()
            assert read.validate_crc()
            assert (read.producer_id, read.producer_epoch, read.base_sequence, read.is_transactional) == (7, 1, 3, True)
            sent.setdefault(topic, []).extend((record.key, record.value, tuple(record.headers)) for record in read)
    return sent
