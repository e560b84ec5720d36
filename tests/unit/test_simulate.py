"""The simulator's expectations are the gateway's decisions."""

from collections import Counter

import pytest

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.core.building import build_record
from gateway.core.decision import Outcome, decide
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.operate.simulate import Simulator
from gateway.relay.horizon import Horizon

NOW = 1_795_400_000_000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_decisions_are_what_the_simulator_expects(seed: int) -> None:
    recognition = load_recognition(packaged_config() / "recognition")
    simulator = Simulator(recognition, seed)
    horizons = {province: Horizon(10**9, 10**6) for province in Province}
    seen_codes: set[Code] = set()
    outcomes: Counter[Outcome] = Counter()
    for index in range(8000):
        now = NOW + index
        record = simulator.next_event(now)
        horizon = horizons[record.province]
        decision = decide(
            record.value,
            record.province,
            now,
            recognition,
            key=record.key,
            headers=record.headers,
            seen=horizon.at(now),
        )
        assert (decision.outcome, decision.codes) == (record.expected, record.codes), record
        if decision.reading and decision.identity and decision.outcome is not Outcome.DUPLICATE:
            horizon.remember(decision.identity, decision.reading.content_digest, now)
            horizon.keep()
            assert build_record(decision)
        outcomes[decision.outcome] += 1
        seen_codes.update(decision.codes)
    # Signatures are a setting's matter: the simulated platforms do not sign.
    assert seen_codes == set(Code) - {Code.SIGNATURE_MISSING, Code.SIGNATURE_INVALID, Code.SIGNATURE_KEY_UNKNOWN}
    assert set(outcomes) == set(Outcome)
