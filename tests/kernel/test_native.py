"""Which lanes work by the native kernel where it is installed."""

from pathlib import Path

import pytest

from gateway.adapters.native import find_kernel
from gateway.adapters.settings import Settings, load_settings
from gateway.relay.deciders import VerifiedTurns, make_decider
from gateway.relay.horizons import BothHorizons, make_horizon
from gateway.relay.kernel import KernelTurns
from gateway.relay.turn import decide_turn

SIGNED = "signatures: {own_key: gateway.pem, own_key_id: gateway-2026}"


def settings_of(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    return load_settings(file)


@pytest.mark.parametrize(
    ("text", "because", "decider"),
    [
        ("relay: {kernel: auto}", "installed", KernelTurns),
        ("relay: {kernel: verify}", "every turn is decided both ways", VerifiedTurns),
        (SIGNED, "the records that go out are signed", None),
        ("tracing: {enabled: true}", "every event is reported", None),
        ("relay: {log_forwards: true}", "every event is reported", None),
        ("relay: {kernel: off}", "relay.kernel is off", None),
    ],
)
def test_the_kernel_is_used_where_it_can_do_something(
    tmp_path: Path, text: str, because: str, decider: type | None
) -> None:
    settings = settings_of(tmp_path, text)
    kernel = find_kernel(settings)
    assert kernel.because == because
    decide = make_decider(settings)
    if decider is None:
        assert kernel.module is None
        assert decide is decide_turn
    else:
        assert isinstance(getattr(decide, "__self__", None), decider)


def test_horizons_are_of_those_who_decide(tmp_path: Path) -> None:
    native = find_kernel(settings_of(tmp_path, "relay: {kernel: auto}")).module.Horizon
    assert type(make_horizon(settings_of(tmp_path, "relay: {kernel: auto}"))) is native
    both = make_horizon(settings_of(tmp_path, "relay: {kernel: verify}"))
    assert type(both) is BothHorizons
    assert type(both.native) is native
