"""The simulator's expectations are the gateway's decisions."""

from collections import Counter

import pytest

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.core.decision import Forward, Outcome, Reject, codes_of
from gateway.core.event import Identity, Valid
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.decide import decide_bytes
from gateway.operate.simulate import Simulator
from gateway.relay.horizon import Horizon

NOW = 1_795_400_000_000


@pytest.mark.parametrize("seed", [1, 2, 138])  # with the last one, digits beside digits would be a mobile number
def test_decisions_are_what_the_simulator_expects(seed: int) -> None:
    recognition = load_recognition(packaged_config() / "recognition")
    simulator = Simulator(recognition, seed)
    horizons = {province: Horizon(10**9, 10**6) for province in Province}
    seen_codes: set[Code] = set()
    outcomes: Counter[Outcome] = Counter()
    rejected: Counter[tuple[Identity, str]] = Counter()
    for index in range(8000):
        now = NOW + index
        record = simulator.next_event(now)
        horizon = horizons[record.province]
        decision = decide_bytes(
            record.value,
            record.province,
            now,
            recognition,
            key=record.key,
            headers=record.headers,
            forwarded=horizon.at(now),
        )
        assert (decision.outcome, codes_of(decision)) == (record.expected, record.codes), record
        if isinstance(decision, Forward):
            horizon.remember(decision.reading.identity, decision.reading.content_digest, now)
            horizon.keep()
        if isinstance(decision, Reject) and isinstance(decision.reading, Valid):
            rejected[decision.reading.identity, decision.reading.content_digest] += 1
        outcomes[decision.outcome] += 1
        seen_codes.update(codes_of(decision))
    # Signatures are a setting's matter: the simulated platforms do not sign.
    assert seen_codes == set(Code) - {Code.SIGNATURE_MISSING, Code.SIGNATURE_INVALID, Code.SIGNATURE_KEY_UNKNOWN}
    assert set(outcomes) == set(Outcome) - {Outcome.LOST}
    assert max(rejected.values()) > 1  # what was rejected is open, and rejected again when it comes again
