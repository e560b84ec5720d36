"""From what a turn decided to what its transaction writes: signatures where the gateway has a key, digests,
ledger entry."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from gateway.adapters.own_signatures import RecordSigner
from gateway.contract.ledger_entry import Previous
from gateway.contract.outputs import Output
from gateway.relay.turn import DecidedTurn, Turn, account_for, build_turn_entry


async def close_turn(
    turn: DecidedTurn, previous: Previous | None, *, ledger: str, algorithm: str, signer: RecordSigner | None = None
) -> Turn:
    """Add to ``turn`` its entry for the topic ``ledger``, after the lane's entry ``previous``.

    ``algorithm`` is the ledger's digest. Where there is a signer all records are signed (off the event loop,
    on all cores), and the digests are of the signed ones.
    """
    if signer is not None:
        turn = replace(turn, outputs=await _signed(turn.outputs, signer))
    account = turn.account(algorithm)
    entry = build_turn_entry(turn, account, previous, ledger, algorithm)
    if signer is not None:
        (entry,) = await _signed([entry], signer)
    return account_for(turn, account, entry, algorithm)


async def _signed(outputs: Sequence[Output], signer: RecordSigner) -> tuple[Output, ...]:
    values = await signer.sign_all([output.value for output in outputs])
    return tuple(msgspec.structs.replace(output, value=value) for output, value in zip(outputs, values, strict=True))
