"""``gateway acknowledge``: what the log lost, and who has taken note of it, as entries in the lane's own
chain."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from gateway.adapters import kafka
from gateway.adapters.console import Terminal
from gateway.adapters.hidden_ends import HiddenEnds, named
from gateway.adapters.list_files import load_recognition
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import write_json
from gateway.adapters.topic_reader import find_spans, read_spans
from gateway.contract.headers import CONTENT_TYPE
from gateway.contract.ledger_entry import Acknowledgement, EntrySpan, build_entry, entry_digest, read_entry
from gateway.contract.outputs import Output
from gateway.contract.topics import LaneId, Topics
from gateway.core.remarks import MAX_BY, MAX_REMARK, check_remark
from gateway.core.times import format_instant
from gateway.core.words import count_of
from gateway.errors import GatewayError, UsageError
from gateway.operate.confirm import is_confirmed
from gateway.operate.takeover import Takeover
from gateway.operate.times import time_for_people

_LANE = re.compile(r"(.+)-([0-9]+)")
_OFFSETS = re.compile(r"([0-9]+)(?:[-–]([0-9]+))?")  # with either dash, as they are listed
_MOST_TAKEOVERS = 5
_HIDDEN = (
    "的末端被未结束的事务遮住 an open transaction hides the ledger's end, or it has no leader: what is lost or acknowledged "
    "behind it is not known; `gateway doctor` (topic ends) says whose it is. Run this again once it has ended"
)


@dataclass(frozen=True, slots=True)
class LostOffsets:
    """Input offsets (inclusive) that a lane's log no longer held; ``entry`` is the digest of the entry that
    says so.

    ``noted_at`` is when that entry was written, in milliseconds since the epoch.
    """

    lane: str
    epoch: int
    first_offset: int
    last_offset: int
    noted_at: int
    entry: str

    @property
    def count(self) -> int:
        """How many offsets."""
        return self.last_offset - self.first_offset + 1

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return {
            "lane": self.lane,
            "epoch": self.epoch,
            "first_offset": self.first_offset,
            "last_offset": self.last_offset,
            "count": self.count,
            "noted": format_instant(self.noted_at * 1000),
            "entry": self.entry,
        }

    def __str__(self) -> str:
        offsets = f"{self.first_offset}–{self.last_offset}"
        return f"{self.lane} epoch {self.epoch}: offsets {offsets} ({self.count:,})"


class Unacknowledged(NamedTuple):
    """What the ledger says is ``lost`` and not acknowledged; of the partitions that are ``hidden`` it could
    not be read to the end, as somebody's transaction is open there: more may be lost, or less still open."""

    lost: list[LostOffsets]
    hidden: list[str]


@dataclass(frozen=True, slots=True)
class Remark:
    """Who takes note, and why it is closed."""

    by: str
    why: str


def list_lost(settings: Settings, output: Literal["text", "json"]) -> int:
    """Print what is lost and not acknowledged; return the exit code, 1 where there is any, or that cannot be
    said."""
    lost, hidden = asyncio.run(find_unacknowledged(settings))
    if output == "json":
        for each in lost:
            write_json(each.as_json())
    else:
        console = Terminal()
        for each in lost:
            console.print(f"{each}  {time_for_people(each.noted_at)}  {each.entry}")
    hints = Terminal(err=True)
    for partition in hidden:
        hints.print(f"{partition} {_HIDDEN}")
    if not lost and not hidden:
        hints.print("没有未确认的丢失 nothing is lost that nobody has taken note of")
    elif lost and output == "text":
        first = lost[0]
        offsets = f"--offsets {first.first_offset}-{first.last_offset}"
        hints.print(f"确认 to take note: gateway acknowledge {first.lane} {offsets} --by NAME --why WHY")
    return 1 if lost or hidden else 0


def acknowledge(
    settings: Settings, lane: str, offsets: str | None, remark: Remark, *, confirmed: bool, output: Literal["text", "json"]
) -> int:  # fmt: skip
    """Write that ``remark.by`` has taken note of a lane's lost offsets (``FIRST-LAST``), or, without, of its
    horizon.

    Returns the exit code. Raises UsageError, GatewayError.
    """
    noted = Remark(
        check_remark("--by, a name or an office,", remark.by, MAX_BY), check_remark("--why", remark.why, MAX_REMARK)
    )
    where, wanted = asyncio.run(_find_lane(settings, lane)), list[LostOffsets | None]()
    console = Terminal(err=True)
    if offsets is None:
        wanted, question = (
            [None],
            f"{lane}: open it although it may forward again what was forwarded within the horizon?",
        )
    else:
        lost, hidden = asyncio.run(find_unacknowledged(settings, where))
        if hidden:
            raise GatewayError(f"{hidden[0]} {_HIDDEN}")
        wanted += _named(lost, lane, offsets)
        question = f"{lane}: take note that these offsets are lost?"
        for each in wanted:
            console.print(str(each))
    if not confirmed and not is_confirmed(question, console):
        console.print("nothing was written")
        return 0
    asyncio.run(_write(settings, where, wanted, noted))
    for each in wanted:
        content = each.as_json() if each is not None else {"lane": lane, "entry": None}
        if output == "json":
            write_json(content | {"by": noted.by, "why": noted.why})
        else:
            what = str(each) if each is not None else f"{lane}: its horizon is not complete"
            Terminal().print(f"已确认丢失 acknowledged  {what}")
    return 0


async def _find_lane(settings: Settings, text: str) -> LaneId:
    """Find the lane that ``text`` names, such as ``sichuan.display-3``, with the topic prefix or without.
    Raises UsageError."""
    found, displays = _LANE.fullmatch(text.removeprefix(settings.topic_prefix)), Topics().displays
    if found is None or found[1] not in displays:
        raise UsageError(f"'{text}' is not a lane: use the input topic and its partition, such as sichuan.display-3")
    topic, number = settings.topic_prefix + found[1], int(found[2])
    partitions = await kafka.partitions_of(settings, [topic])
    if number >= len(partitions):
        raise UsageError(f"{text}: {topic} has {count_of(len(partitions), 'partition')}, numbered from 0")
    return LaneId(displays[found[1]], topic, number)


def _named(lost: Iterable[LostOffsets], lane: str, text: str) -> list[LostOffsets]:
    """Return those of ``lost`` whose offsets ``text`` names, in whatever epoch. Raises UsageError where
    there are none."""
    if (match := _OFFSETS.fullmatch(text)) is None:
        raise UsageError(f"--offsets: '{text}' is not FIRST-LAST, such as 1200-1299; `gateway acknowledge` lists them")
    wanted, known = (int(match[1]), int(match[2] or match[1])), list(lost)
    named = [each for each in known if (each.first_offset, each.last_offset) == wanted]
    if not named:
        there = ", ".join(f"{each.first_offset}-{each.last_offset}" for each in known) or "none at all"
        raise UsageError(f"--offsets: {lane} has no lost offsets {text} to take note of; it has {there}")
    return named


async def find_unacknowledged(settings: Settings, lane: LaneId | None = None) -> Unacknowledged:
    """Find what is lost and not acknowledged, of ``lane`` or of all, in all that stands in the ledger now;
    wait a moment for what is just being committed."""
    hidden = await find_hidden(settings, lane)
    return Unacknowledged(await _read_unacknowledged(settings, lane), hidden)


async def find_hidden(settings: Settings, lane: LaneId | None = None) -> list[str]:
    """Name the partitions of the ledger, of ``lane``'s or of all, that cannot be read to their end after a
    moment."""
    return [named(each) for each in await HiddenEnds(settings, await _ledger_of(settings, lane)).settle()]


async def _ledger_of(settings: Settings, lane: LaneId | None) -> list[TopicPartition]:
    ledger = settings.topic_names.ledger
    return (
        [TopicPartition(ledger, lane.partition)] if lane is not None else await kafka.partitions_of(settings, [ledger])
    )


async def _read_unacknowledged(settings: Settings, lane: LaneId | None) -> list[LostOffsets]:
    partitions = await _ledger_of(settings, lane)
    lost, acknowledged = defaultdict[str, list[LostOffsets]](list), set[str]()
    async with kafka.consumer(settings, fetch_max_wait_ms=20) as consumer:
        consumer.assign(partitions)
        async for _, records in read_spans(consumer, await find_spans(consumer, partitions)):
            for record in records:
                entry = read_entry(record.value)
                if entry is None or (
                    lane is not None and (entry.topic, entry.partition) != (lane.topic, lane.partition)
                ):
                    continue
                if entry.acknowledged is not None and entry.acknowledged.entry is not None:
                    acknowledged.add(entry.acknowledged.entry)
                elif entry.is_of_lost_offsets:
                    name = f"{entry.topic.removeprefix(settings.topic_prefix)}-{entry.partition}"
                    lost[name].append(
                        LostOffsets(
                            name, entry.epoch, entry.first_offset, entry.last_offset, int(record.timestamp),
                            entry_digest(entry, record.value),
                        )
                    )  # fmt: skip
    return [each for name in sorted(lost) for each in lost[name] if each.entry not in acknowledged]


async def _write(settings: Settings, lane: LaneId, wanted: Sequence[LostOffsets | None], remark: Remark) -> None:
    """Take the lane over and write an entry for each of ``wanted``, None being the horizon, that none
    acknowledges yet."""
    takeover, name = Takeover(settings, lane), str(lane).removeprefix(settings.topic_prefix)
    try:
        for _ in range(_MOST_TAKEOVERS):
            try:
                await takeover.begin(only_if_continuous=False)
                for each in await _still_open(takeover, wanted):
                    await takeover.write([], _build(settings, takeover, remark, each))
            except ProducerFenced:
                continue  # its worker has opened it again; what stands on the ledger is not written a second time
            return
    except KafkaError as error:
        raise GatewayError(f"{name}: the broker failed ({type(error).__name__}); run this again") from None
    finally:
        await takeover.end()
    raise GatewayError(f"{name} was taken back {_MOST_TAKEOVERS} times; stop its worker, then run this again")


async def _still_open(takeover: Takeover, wanted: Sequence[LostOffsets | None]) -> Sequence[LostOffsets | None]:
    if None in wanted:
        if not await takeover.lacks_horizon():
            raise UsageError(f"--horizon: {takeover.lane} does not wait for it; there is nothing to take note of")
        return wanted
    # To take a lane over is to see its chain to the end: nothing of it is hidden now.
    open_now = {each.entry for each in await _read_unacknowledged(takeover.settings, takeover.lane)}
    return [each for each in wanted if each is not None and each.entry in open_now]


def _build(settings: Settings, takeover: Takeover, remark: Remark, lost: LostOffsets | None) -> Output:
    """Build the entry, the next one in the lane's chain; it moves the lane nowhere."""
    standing, lane = takeover.standing, takeover.lane
    if standing is None:
        raise RuntimeError(f"{lane} is not taken over")
    previous = standing.previous
    received = previous.received_at if previous is not None else None
    at = received if received is not None else int(time.time() * 1000)
    span = EntrySpan(lane, standing.log, standing.next_offset, standing.next_offset - 1, at)
    entry = build_entry(
        span, {}, (), load_recognition(settings.recognition_dir).digest, previous, algorithm=settings.ledger.digest,
        acknowledged=Acknowledgement(lost.entry if lost is not None else None, remark.by, remark.why),
    )  # fmt: skip
    signer = load_record_signer(settings)
    value = entry if signer is None else signer.sign(entry)
    return Output(settings.topic_names.ledger, str(lane).encode(), value, (CONTENT_TYPE,))
