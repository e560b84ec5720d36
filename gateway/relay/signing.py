"""Signs a turn's records, where the gateway has a key: a step of its own between deciding and writing."""

from dataclasses import replace

import msgspec

from gateway.adapters.own_signatures import RecordSigner
from gateway.relay.ledger import digest, outputs_digest, with_outputs_digest
from gateway.relay.turn import Turn


async def sign_turn(turn: Turn, signer: RecordSigner, algorithm: str) -> Turn:
    """``turn`` with every record signed: first the outputs, whose digest then goes into the entry, then the entry.

    ``algorithm`` is the ledger's digest. Off the event loop, on all cores.
    """
    *outputs, entry = turn.outputs
    values = await signer.sign_all([output.value for output in outputs])
    signed = [msgspec.structs.replace(output, value=value) for output, value in zip(outputs, values, strict=True)]
    unsigned_entry = with_outputs_digest(entry.value, outputs_digest(algorithm, signed))
    (value,) = await signer.sign_all([unsigned_entry])
    return replace(
        turn, outputs=(*signed, msgspec.structs.replace(entry, value=value)), entry_digest=digest(algorithm, [value])
    )
