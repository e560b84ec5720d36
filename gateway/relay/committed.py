"""What a lane commits with its offset: the digest of its newest entry, and what it knows of the log, if the
ledger is lost."""

from typing import NamedTuple

from aiokafka import TopicPartition

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.contract.ledger_entry import UNKNOWN_LOG, InputLog, Previous
from gateway.contract.topics import LaneId
from gateway.relay.continuity import Link, Links, Look, Standing

_FIRST = "first"
_UNKNOWN = "-"


class Committed(NamedTuple):
    """What the group has of a lane: the next offset, and its metadata as it was read.

    ``previous`` is the newest entry and ``link`` the newest turn's; both None where the lane had none, or
    where somebody else set the offset, and without a digest where what it had is lost. ``log`` is the input
    log that the offset counts in, ``look`` the last look at it, ``begin`` the offset at which the lane
    began, where that is known. ``ledger_from`` is where its first entry can stand in the ledger, if it had
    none.
    """

    next_offset: int
    previous: Previous | None = None
    link: Link | None = None
    ledger_from: int | None = None
    begin: int | None = None
    log: InputLog = UNKNOWN_LOG
    look: Look | None = None

    @property
    def entry(self) -> str | None:
        """The digest of the newest entry; None where none is known."""
        return self.previous.digest if self.previous is not None else None

    @property
    def is_ours(self) -> bool:
        """Whether a lane committed it, and not somebody by hand."""
        return self.previous is not None or self.ledger_from is not None


def metadata_of(standing: Standing, links: Links, link: Link | None, ledger_from: int) -> str:
    """Say in words what is committed beside the offset: of the ``links`` so far and ``link``, the newest
    turn's; ``ledger_from`` counts where there is no entry yet."""
    log = standing.log
    digest, received = standing.previous or (None, None)
    since = _UNKNOWN if received is None else str(received)
    if digest is None:
        return f"{_FIRST} {ledger_from} {links.end or 0} {log.topic_id or _UNKNOWN} {log.epoch} {since}"
    look = links.look
    return " ".join(
        [
            digest,
            log.topic_id or _UNKNOWN,
            str(log.epoch),
            str(link.last_offset) if link is not None else _UNKNOWN,
            (link.last_input if link is not None else None) or _UNKNOWN,
            since,
            _UNKNOWN if links.begin is None else str(links.begin),
            _UNKNOWN if look is None else f"{look.leader_epoch}@{look.next_offset}",
        ]
    )


def parse(next_offset: int, metadata: str | None) -> Committed:
    """Read what was committed; what no lane wrote is an offset and nothing else."""
    words = (metadata or "").split(" ")
    try:
        if words[0] == _FIRST:
            _, ledger_from, begin, topic_id, epoch, received = words
            before = None if received == _UNKNOWN else Previous(None, int(received))
            return Committed(
                next_offset, before, ledger_from=int(ledger_from), begin=int(begin), log=_read_log(topic_id, epoch)
            )
        digest, topic_id, epoch, last_offset, last_input, received, begin, seen = words
        if not digest.startswith(("sm3:", "sha256:")):
            return Committed(next_offset)
        previous = Previous(digest, None if received == _UNKNOWN else int(received))
        log, look = _read_log(topic_id, epoch), _read_look(seen)
        began = None if begin == _UNKNOWN else int(begin)
        if last_offset == _UNKNOWN:
            return Committed(next_offset, previous, begin=began, log=log, look=look)
        last = int(last_offset)
        link = Link(last, last, None if last_input == _UNKNOWN else last_input, log)
        return Committed(next_offset, previous, link, begin=began, log=log, look=look)
    except ValueError:
        return Committed(next_offset)


def _read_log(topic_id: str, epoch: str) -> InputLog:
    return InputLog(None if topic_id == _UNKNOWN else topic_id, int(epoch))


def _read_look(seen: str) -> Look | None:
    if seen == _UNKNOWN:
        return None
    leader_epoch, _, next_offset = seen.partition("@")
    return Look(int(leader_epoch), int(next_offset))


async def read_committed(settings: Settings, group_id: str, lane: LaneId) -> Committed | None:
    """Read what the lane's last transaction committed; None where the group has no offset.

    Ask only after the lane's producer has started: InitProducerId ends a transaction that was still pending.
    """
    partition = TopicPartition(lane.topic, lane.partition)
    async with kafka.admin(settings) as admin:
        offsets = await admin.list_consumer_group_offsets(group_id, partitions=[partition])
    found = offsets.get(partition)
    return None if found is None or found.offset < 0 else parse(found.offset, found.metadata)
