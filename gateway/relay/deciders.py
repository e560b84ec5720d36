"""Who decides a lane's turns: the reference, the native kernel, or both, which then must agree."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.adapters.native import find_kernel
from gateway.adapters.settings import Settings
from gateway.contract.ledger_entry import take_account
from gateway.contract.outputs import InputRecord
from gateway.contract.topics import LaneId
from gateway.core.decision import Reject
from gateway.core.recognition import Recognition
from gateway.errors import KernelDiffersError
from gateway.relay.horizon import Horizon
from gateway.relay.horizons import BothHorizons
from gateway.relay.kernel import KernelTurns
from gateway.relay.reported import Reported, identify
from gateway.relay.turn import DecidedTurn, decide_turn

Decide = Callable[..., DecidedTurn]
"""As ``gateway.relay.turn.decide_turn``."""


def make_decider(settings: Settings) -> Decide:
    """Return who decides the turns of all lanes of a worker; its horizons are those of ``make_horizon``."""
    kernel = find_kernel(settings).module
    if kernel is None:
        return decide_turn
    turns = KernelTurns(kernel, settings.ledger.digest)
    return VerifiedTurns(turns, settings.ledger.digest).decide if settings.relay.kernel == "verify" else turns.decide


class VerifiedTurns:
    """Decides every turn by the reference, and by the kernel to see that it agrees."""

    def __init__(self, turns: KernelTurns, algorithm: str) -> None:
        self._turns = turns
        self._algorithm = algorithm

    def decide(
        self, lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Horizon, **options: Any
    ) -> DecidedTurn:
        """Return the reference's turn. Raises KernelDiffersError, which says in what the kernel's is another
        one."""
        if not isinstance(horizon, BothHorizons):
            raise TypeError("to decide both ways, both horizons are needed")
        native = self._turns.decide(lane, records, recognition, horizon.native, **options)
        pending = horizon.native.pending
        horizon.native.forget()  # the reference's turn tells it again
        turn = decide_turn(lane, records, recognition, horizon, **options)
        differing = [name for name, (one, other) in self._compared(turn, native).items() if one != other]
        if pending != turn.remembered:
            differing.append("remembered")
        if differing:
            what, span = ", ".join(differing), turn.span
            raise KernelDiffersError(
                f"the native kernel differs in {what}, offsets {span.first_offset} to {span.last_offset}; "
                "set relay.kernel to off, and report these records"
            )
        return turn

    def _compared(self, turn: DecidedTurn, native: DecidedTurn) -> dict[str, tuple[Any, Any]]:
        """What both ways came to, by name; the digest of the outputs covers every byte that goes out."""
        account = take_account(turn.span.inputs, turn.outputs, self._algorithm)
        found = native.packed.account if native.packed is not None else account
        return {
            **{name: (getattr(account, name), getattr(found, name)) for name in account._fields},
            "counts": (dict(turn.counts), dict(native.counts)),
            "reported": (_reported_by(turn), _reported_by(native)),
            "misplaced": (turn.misplaced, native.misplaced),
        }


def _reported_by(turn: DecidedTurn) -> list[tuple[int, str, Any]]:
    return [(each.record.offset, each.alike.outcome, _said_of(each)) for each in turn.reported]


def _said_of(each: Reported) -> dict[str, Any] | None:
    """Return what the log says of a rejection; None where it can say nothing, as the record is none that the
    kernel should repeat, and of anything else."""
    try:
        return {**each.said, **identify(each)} if isinstance(each.alike, Reject) else None
    except (msgspec.MsgspecError, ValueError):
        return None
