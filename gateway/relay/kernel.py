"""A lane's turn by the native kernel: Python decides what is new or unusual, and the kernel repeats what was
decided before.

The kernel knows no rule and no record's words. Words that come for the second time the reference decides and
writes once more: a template is made of the record, with marks where an event's own values stand. The kernel
takes it only if it makes the very same record of that event. What is forwarded has a template for its words.
What is rejected has one for its group, which many words share, and for the conditions of its own that the
event does not fulfil; the text that its words alone determine is a place in it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import structlog

from gateway.adapters.logs import PARTITION, TOPIC
from gateway.contract.display_event import read_names
from gateway.contract.facets import Facets, facets_of, facets_of_repeated
from gateway.contract.headers import CONTENT_TYPE, EPOCH_HEADER, ORIGIN_HEADER, Headers, trace_headers
from gateway.contract.ledger_entry import UNKNOWN_LOG, Account, EntrySpan, InputLog
from gateway.contract.outputs import InputRecord, build_output
from gateway.contract.rejection import NEAREST_ROW, build_rejection, encode_nearest_row
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import build_verification
from gateway.core.checks import FUTURE_TOLERANCE, STALE_AFTER
from gateway.core.decision import Decision, Forward, Outcome, Reject, ground_of
from gateway.core.event import Names, Valid
from gateway.core.recognition import Recognition
from gateway.core.signature import SignatureStatus
from gateway.relay.deciding import decide_record
from gateway.relay.lessons import (
    MARKS,
    MOST_LEARNT,
    PROVINCES,
    STATUSES,
    Group,
    Lesson,
    Template,
    first_days,
    group_of,
    is_repeatable,
    mark,
)
from gateway.relay.misplaced import LONGEST_KEY, Misplaced
from gateway.relay.transaction import MAX_BATCH_BYTES
from gateway.relay.turn import REPORTED, Decided, DecidedTurn, Packed, Reported, decide_turn

logger = structlog.get_logger("gateway.relay")

_MOST_HEADER_BYTES = 4096
_CONTENT_TYPE = CONTENT_TYPE[0]

_DIMENSION = re.compile(rb'(?=\{"dimension")')


class KernelTurns:
    """Decides turns of all lanes of a worker by the module ``kernel``; the ledger's digests are by
    ``algorithm``."""

    def __init__(self, kernel: Any, algorithm: str) -> None:
        self._algorithm = algorithm
        self._panic: type[BaseException] = kernel.PanicException
        self._kernel = kernel.Kernel(
            CONTENT_TYPE, ORIGIN_HEADER, EPOCH_HEADER, FUTURE_TOLERANCE, STALE_AFTER, MAX_BATCH_BYTES, LONGEST_KEY
        )
        self._recognition: Recognition | None = None
        self._facets: list[Facets] = []
        self._numbers: dict[Facets, int] = {}
        self._groups: dict[Group, int] = {}
        self._cases: dict[tuple[int, int], int] = {}
        self._rejections: list[Reject] = []

    def decide(
        self, lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Any,
        *, topics: Topics, log: InputLog = UNKNOWN_LOG, signatures: Sequence[SignatureStatus] = (),
        refused_by_broker: bool = False, report_all: bool = False, partitions: int = 0,
    ) -> DecidedTurn:  # fmt: skip
        """Decide ``records`` as ``gateway.relay.turn.decide_turn`` does; ``horizon`` is the kernel's."""
        by_reference = partial(
            decide_turn, lane, records, recognition, horizon, topics=topics, log=log, signatures=signatures,
            refused_by_broker=refused_by_broker, report_all=report_all, partitions=partitions,
        )  # fmt: skip
        if refused_by_broker or report_all:
            return by_reference()
        try:
            return self._decide(lane, records, recognition, horizon, topics, log, signatures, partitions)
        except self._panic:
            # What it says could quote an event. The reference knows an answer to every record.
            place = {TOPIC: lane.topic, PARTITION: lane.partition, "first_offset": records[0].offset}
            logger.error("kernel.panicked", last_offset=records[-1].offset, **place)  # noqa: TRY400 — so could a traceback
            horizon.forget()
            return by_reference()

    def _decide(
        self, lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Any,
        topics: Topics, log: InputLog, signatures: Sequence[SignatureStatus], partitions: int,
    ) -> DecidedTurn:  # fmt: skip
        if recognition is not self._recognition or max(len(self._kernel), len(self._facets)) > MOST_LEARNT:
            self._begin(recognition)
        statuses = signatures or [SignatureStatus.UNASKED] * len(records)
        reported: list[tuple[int, Reported]] = []

        def ask(index: int, unmet: int | None) -> tuple[int, str, Any, Lesson | None]:
            record = records[index]
            decision = decide_record(lane, record, recognition, horizon, statuses[index])
            if isinstance(decision, Forward):
                horizon.remember(decision.reading.identity, decision.reading.content_digest, record.timestamp)
            elif decision.outcome in REPORTED:
                reported.append((index, Decided(record, decision)))
            number = self._number(facets_of(decision))
            output = build_output(lane, record, decision, topics, log.epoch)
            built = output and (output.topic, output.key, output.value, output.headers)
            return number, decision.input_digest, built, None if unmet is None else self._teach(decision, unmet)

        epoch = b"%d" % log.epoch if log.epoch else None
        batches, (outputs, *digests), counted, rejected, misplaced = self._kernel.turn(
            (
                PROVINCES[lane.province], lane.province.source, lane.origin, topics.verification(lane.province.other),
                topics.rejection(lane.province), epoch, lane.partition, partitions,
            ),
            records, bytes([STATUSES[status] for status in statuses]),
            [_trace_of(record.headers) for record in records], horizon, self._algorithm, ask,
        )  # fmt: skip
        outputs_digest, inputs_digest, last_input = [f"{self._algorithm}:{digest.hex()}" for digest in digests]
        account = Account(len(records), inputs_digest, last_input, outputs, outputs_digest)
        reported += [(index, Repeated(records[index], self._rejections[number])) for index, number in rejected]
        reported.sort(key=itemgetter(0))
        return DecidedTurn(
            EntrySpan(lane, log, records[0].offset, records[-1].offset, records[-1].timestamp),
            self._counts(counted),
            tuple([each for _, each in reported]), (), recognition.digest, horizon.pending,
            Misplaced(*misplaced) if misplaced else None,
            Packed(account, tuple(batches)),
        )  # fmt: skip

    def _begin(self, recognition: Recognition) -> None:
        """Forget what was learnt, and learn by ``recognition``."""
        self._kernel.clear(first_days(recognition))
        self._recognition = recognition
        self._facets, self._numbers, self._rejections = [], {}, []
        self._groups, self._cases = {}, {}

    def _counts(self, counted: Sequence[tuple[tuple[int, int | None], int]]) -> dict[Facets, int]:
        """Return the counts by facets; a rejection that was repeated has those of its words, and its
        reason."""
        counts: dict[Facets, int] = {}
        for (number, rejection), count in counted:
            facets = self._facets[number]
            if rejection is not None:
                reason = self._rejections[rejection].reasons[0].code
                facets = facets._replace(outcome=Outcome.REJECT, reason=reason)
            counts[facets] = counts.get(facets, 0) + count
        return counts

    def _teach(self, decision: Decision, unmet: int) -> Lesson | None:
        """Say what events of the same words become that do not fulfil the same conditions, ``unmet``; None
        where the kernel is not to repeat it."""
        if not is_repeatable(decision) or not isinstance(decision.reading, Valid):
            return None
        template: Template | None = None
        rejection: int | None = None
        part = encode_nearest_row(decision.listing)
        marked = mark(decision)
        group = self._groups.setdefault(group_of(decision, marked), len(self._groups))
        if isinstance(marked, Forward):
            template = MARKS.split(build_verification(marked))
        else:
            rejection = self._cases.get((group, unmet))
            if rejection is None:
                rejection = self._cases[group, unmet] = len(self._rejections)
                self._rejections.append(marked)  # which holds nothing of the event's own
                record = build_rejection(marked)
                template = MARKS.split(record.replace(NEAREST_ROW + part, NEAREST_ROW + MARKS.part.encode(), 1))
        facets = self._number(facets_of(decision)._replace(outcome=Outcome.FORWARD, reason=None))
        repeated = self._number(facets_of_repeated(decision.reading.event.data.display.region_code))
        return group, _DIMENSION.split(part), facets, repeated, ground_of(decision).encode(), rejection, template

    def _number(self, facets: Facets) -> int:
        number = self._numbers.get(facets)
        if number is None:
            number = self._numbers[facets] = len(self._facets)
            self._facets.append(facets)
        return number


def _trace_of(headers: Headers) -> Sequence[tuple[str, bytes]] | None:
    """Return the trace context that goes out of a record's headers; None where they may be part of its
    event."""
    if not headers:
        return ()
    size = 0
    for name, value in headers:
        if name[:3].lower() == "ce_":
            return None
        size += len(name) + len(value or b"")
    return trace_headers(headers, {}) if size <= _MOST_HEADER_BYTES else None


@dataclass(frozen=True, slots=True)
class Repeated:
    """An event that was rejected like another one: in the same row, for the same reasons, as ``alike``
    says."""

    record: InputRecord
    alike: Reject

    @property
    def names(self) -> Names:
        """What the event is known by."""
        return read_names(self.record.value or b"")
