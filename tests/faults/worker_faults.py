"""What can happen to workers: killed, frozen, blocked, with a wrong clock, coming and going, with a broken
list."""

import asyncio
import signal
from pathlib import Path
from typing import ClassVar

from tests.faults.stage import Scenario, Stage
from tests.kafka.harness import Worker
from tests.kafka.row6 import copy_of_the_list

SHIFT_CLOCK = signal.SIGRTMIN + 1
CLOSE_OR_OPEN_LOG = signal.SIGRTMIN + 2
# Longer than the short sessions of 6 s: the group gives the lanes away meanwhile.
_BEYOND_SESSION_S = 7.5
_BEYOND_HORIZON_S = 80 * 3600


class WrappedWorker(Worker):
    """A worker with faults built in."""

    # -P: this folder's modules are not the worker's.
    program: ClassVar = ("-P", str(Path(__file__).with_name("wrapped_worker.py")))


async def kill(stage: Stage) -> None:
    """SIGKILL in the middle of transactions; it comes back at once."""
    worker = stage.workers[stage.turn % len(stage.workers)]
    worker.kill()
    worker.start()


async def freeze(stage: Stage) -> None:
    """SIGSTOP for longer than the session, in a transaction as likely as not; it comes back as a zombie."""
    worker = stage.workers[stage.turn % len(stage.workers)]
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(_BEYOND_SESSION_S)
    worker.signal(signal.SIGCONT)


async def block(stage: Stage) -> None:
    """The event loop stands still for longer than the session, while sockets fill and threads go on."""
    stage.workers[stage.turn % len(stage.workers)].signal(signal.SIGRTMIN)
    await asyncio.sleep(_BEYOND_SESSION_S)


async def shift_clock(stage: Stage) -> None:
    """The clock of one jumps; then the other dies, and its lanes open where the clock is wrong."""
    wrong, other = stage.workers[stage.turn % 2], stage.workers[1 - stage.turn % 2]
    wrong.signal(SHIFT_CLOCK)
    await asyncio.sleep(0.3)
    other.kill()
    other.start()


async def close_log(stage: Stage) -> None:
    """Nobody reads any worker's log any more, and then somebody does again."""

    def said() -> int:
        return sum(len(worker.events("log.lost")) for worker in stage.workers)

    before = said()
    for worker in stage.workers:
        worker.signal(CLOSE_OR_OPEN_LOG)
    await stage.recovered()  # while the log lies closed
    for worker in stage.workers:
        worker.signal(CLOSE_OR_OPEN_LOG)
    async with asyncio.timeout(60):
        while said() == before:  # noqa: ASYNC110 — one that had no lane just then has lost nothing
            await asyncio.sleep(0.2)


async def join_and_leave(stage: Stage) -> None:
    """One more worker comes, works, and goes in order: two rebalances."""
    guest = stage.new_worker()
    await stage.wait_for(guest, "group.assigned")
    await asyncio.sleep(0.5)
    assert await asyncio.to_thread(guest.terminate, 30) == 0
    guest.discard()


async def spoil_list(stage: Stage) -> None:
    """The list's file becomes garbage of one kind after the other while it is in force; then it is whole
    again."""
    file = Path(stage.environment["GATEWAY_RECOGNITION"]) / "batch-1.yaml"
    whole = file.read_bytes()
    refused = [len(worker.events("list.refused")) for worker in stage.workers]
    for number, garbage in enumerate((b"", b"\xff\xfe\x00", b"rows: [", whole[: len(whole) // 2]), start=1):
        file.write_bytes(garbage)
        for worker, before in zip(stage.workers, refused, strict=True):
            await stage.wait_for(worker, "list.refused", before + number)
    await stage.recovered()  # while the list lies broken: the last good one goes on
    file.write_bytes(whole)


def scenarios(folder: Path) -> list[Scenario]:
    """Each fault by itself; ``folder`` is for a list to be spoilt."""
    return [
        Scenario("worker: SIGKILL", (kill,)),
        Scenario("worker: SIGSTOP 7.5 s", (freeze,)),
        Scenario("worker: event loop blocked 7.5 s", (block,), WrappedWorker, _BLOCK),
        Scenario("worker: clock 80 h ahead", (shift_clock,), WrappedWorker, _clock(_BEYOND_HORIZON_S)),
        Scenario("worker: clock 80 h behind", (shift_clock,), WrappedWorker, _clock(-_BEYOND_HORIZON_S)),
        Scenario("worker: nobody reads its log", (close_log,), WrappedWorker),
        Scenario("group: a worker joins and leaves", (join_and_leave,)),
        Scenario("list: edited to garbage", (spoil_list,), environment=_list_in(folder)),
    ]


def quick(folder: Path) -> Scenario:
    """Return the faults that tests/kafka/test_relay.py does not try (it kills and freezes), one after the
    other."""
    environment = _BLOCK | _clock(_BEYOND_HORIZON_S) | _list_in(folder)
    faults = (shift_clock, block, close_log, join_and_leave, spoil_list)
    return Scenario("workers: clock, blocked, log, joining, list", faults, WrappedWorker, environment)


_BLOCK = {"FAULT_BLOCK_S": str(_BEYOND_SESSION_S)}


def _clock(seconds: float) -> dict[str, str]:
    return {"FAULT_CLOCK_S": str(seconds)}


def _list_in(folder: Path) -> dict[str, str]:
    return {"GATEWAY_RECOGNITION": str(copy_of_the_list(folder)), "GATEWAY_RECOGNITION_POLL_S": "0.2"}
