"""What a consumer gives out in the place of records that cannot be read, or that the log no longer holds."""

from dataclasses import dataclass

from aiokafka.structs import ConsumerRecord

from gateway.contract.outputs import InputRecord
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import DeadLetter, dead_letter
from gateway.core.province import Province
from gateway.decide import digest_input


@dataclass
class UnreadableRecord(ConsumerRecord):  # type: ignore[misc]  # aiokafka is untyped
    """A record that cannot be read, or whose batch cannot: neither key, value nor headers, but where it
    stands and what it is.

    ``problem`` says in fixed words what is wrong, the same whenever it is read. ``digest`` is over the
    ``size`` bytes that there are: the record's own, in its batch after unpacking, or where it cannot be cut
    out the whole batch's as it is stored. ``timestamp`` is the batch's largest: with LogAppendTime, when the
    broker took it.
    """

    problem: str = ""
    digest: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class MissingRecords:
    """Offsets ``offset`` up to and with ``last_offset`` that the log does not hold: no record, no marker,
    nothing aborted.

    ``timestamp`` is that of the batch in which, or before which, they are missing: they were written by
    then.
    """

    topic: str
    partition: int
    offset: int
    last_offset: int
    timestamp: int
    key: None = None
    value: None = None
    headers: tuple[()] = ()


def input_digest_of(record: InputRecord) -> str:
    """Return the digest of an input record's bytes, as its decision has it: of what there is, where it
    cannot be read."""
    if isinstance(record, UnreadableRecord):
        return record.digest
    return digest_input(record.value or b"", record.headers)


def dead_letter_of(province: Province, record: UnreadableRecord) -> DeadLetter:
    """Decide an input record that cannot be read: a dead letter, of the bytes that there are."""
    message = f"the record cannot be read: {record.problem}"
    code = DeadLetterCode.UNREADABLE_RECORD
    return dead_letter(province, record.timestamp, record.digest, code, message, record.size)
