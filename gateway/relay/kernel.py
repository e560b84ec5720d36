"""A lane's turn by the native kernel: Python decides what is new or unusual, and the kernel repeats what was
decided before.

The kernel knows no rule and no record's words. Words that come for the first time (the second, where there
is little room) the reference decides and writes once more: a template is made of the record, with marks
where an event's own values stand. The kernel takes it only if it makes the very same record of that event.
What is forwarded has a template for its words. What is rejected has one for its group, which many words
share, and for the conditions of its own that the event does not fulfil; the text that its words alone
determine is a place in it.
"""

import re
from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import structlog

from gateway.adapters.logs import PARTITION, TOPIC
from gateway.contract.facets import Facets, facets_of
from gateway.contract.headers import CONTENT_TYPE, EPOCH_HEADER, ORIGIN_HEADER, Headers, trace_headers
from gateway.contract.ledger_entry import UNKNOWN_LOG, Account, EntrySpan, InputLog
from gateway.contract.outputs import InputRecord, build_output
from gateway.contract.rejection import NEAREST_ROW, build_rejection, encode_nearest_row
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import build_verification
from gateway.core.checks import FUTURE_TOLERANCE, STALE_AFTER
from gateway.core.decision import Decision, Forward, Outcome, Reject, ground_of
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
    Numbered,
    Template,
    first_days,
    group_of,
    is_repeatable,
    mark,
    place_of,
    split_again,
)
from gateway.relay.misplaced import LONGEST_KEY, Misplaced
from gateway.relay.reported import REPORTED, Decided, Repeated, Reported, describe
from gateway.relay.transaction import MAX_BATCH_BYTES
from gateway.relay.turn import DecidedTurn, Packed, decide_turn

logger = structlog.get_logger("gateway.relay")

_MOST_HEADER_BYTES = 4096
_CONTENT_TYPE = CONTENT_TYPE[0]

_DIMENSION = re.compile(rb'(?=\{"dimension")')
_REPEATED = Facets(Outcome.DUPLICATE, None, None, None, None, None, None)
"""Whose number is 0, as the kernel knows."""


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
        self._facets, self._regions = Numbered[Facets](), Numbered[str | None]()
        self._groups = Numbered[Group]()
        self._cases: dict[tuple[int, int], int] = {}
        self._rejections: list[tuple[Reject, dict[str, Any]]] = []

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
            # What it says could quote an event. The reference knows an answer to every record; and of what
            # was taught in this turn nobody knows whether it was learnt.
            self._recognition = None
            place = {TOPIC: lane.topic, PARTITION: lane.partition, "first_offset": records[0].offset}
            logger.error("kernel.panicked", last_offset=records[-1].offset, **place)  # noqa: TRY400 — so could a traceback
            horizon.forget()
            return by_reference()

    def _decide(
        self, lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Any,
        topics: Topics, log: InputLog, signatures: Sequence[SignatureStatus], partitions: int,
    ) -> DecidedTurn:  # fmt: skip
        learnt = max(len(self._kernel), len(self._facets), len(self._regions))
        if recognition is not self._recognition or learnt > MOST_LEARNT:
            self._begin(recognition)
        statuses = signatures or [SignatureStatus.UNASKED] * len(records)
        reported: list[tuple[int, Reported]] = []

        def ask(index: int, unmet: int | None) -> tuple[tuple[int, int, int | None], str, Any, Lesson | None]:
            record = records[index]
            decision = decide_record(lane, record, recognition, horizon, statuses[index])
            if isinstance(decision, Forward):
                horizon.remember(decision.reading.identity, decision.reading.content_digest, record.timestamp)
            elif decision.outcome in REPORTED:
                reported.append((index, Decided(record, decision)))
            numbers = (*self._numbers(facets_of(decision)), place_of(decision))
            output = build_output(lane, record, decision, topics, log.epoch)
            built = output and (output.topic, output.key, output.value, output.headers)
            return numbers, decision.input_digest, built, None if unmet is None else self._teach(decision, unmet)

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
        reported += [(index, Repeated(records[index], *self._rejections[number])) for index, number in rejected]
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
        self._recognition = recognition
        self._facets, self._regions, self._groups = Numbered(_REPEATED), Numbered(), Numbered()
        self._cases, self._rejections = {}, []
        self._kernel.clear(first_days(recognition))

    def _counts(self, counted: Sequence[tuple[tuple[int, int, int | None], int]]) -> dict[Facets, int]:
        """Return the counts by facets; a rejection that was repeated has those of its words, and its
        reason."""
        counts: dict[Facets, int] = {}
        for (number, region, rejection), count in counted:
            outcome, batch, row, channel, scenario, _, reason = self._facets[number]
            if rejection is not None:
                outcome, reason = Outcome.REJECT, self._rejections[rejection][0].reasons[0].code
            facets = Facets(outcome, batch, row, channel, scenario, self._regions[region], reason)
            counts[facets] = counts.get(facets, 0) + count
        return counts

    def _teach(self, decision: Decision, unmet: int) -> Lesson | None:
        """Say what events of the same words become that do not fulfil the same conditions, ``unmet``; None
        where the kernel is not to repeat it."""
        if not is_repeatable(decision) or decision.listing is None:
            return None
        template: Template | None = None
        rejection: int | None = None
        marked = mark(decision)
        part = encode_nearest_row(marked.listing)
        group = self._groups.number_of(group_of(decision, marked))
        if isinstance(marked, Forward):
            template = MARKS.split(build_verification(marked))
        else:
            rejection = self._cases.get((group, unmet))
            if rejection is None:
                rejection = self._cases[group, unmet] = len(self._rejections)
                self._rejections.append((marked, describe(marked)))  # which holds nothing of the event's own
                record = build_rejection(marked)
                template = MARKS.split(record.replace(NEAREST_ROW + part, NEAREST_ROW + MARKS.part.encode(), 1))
        facets = facets_of(decision)._replace(outcome=Outcome.FORWARD, region=None, reason=None)
        return Lesson(
            decision.listing.unit_matters, group, split_again(MARKS.split(part), _DIMENSION),
            self._facets.number_of(facets), ground_of(decision).encode(), rejection, template,
        )  # fmt: skip

    def _numbers(self, facets: Facets) -> tuple[int, int]:
        """Return the numbers of ``facets`` but for the region, and of that."""
        return self._facets.number_of(facets._replace(region=None)), self._regions.number_of(facets.region)


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
