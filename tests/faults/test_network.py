"""A network between workers and broker that delays, drips, falls silent and cuts loses nothing and doubles
nothing."""

from gateway.adapters.settings import Settings
from tests.faults.network_faults import QUICK, broker_behind_proxy
from tests.faults.stage import play


async def test_bad_network_loses_and_doubles_nothing(bare_settings: Settings) -> None:
    with broker_behind_proxy() as (_, proxy):
        settings = bare_settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{proxy.port}"})
        row = await play(QUICK, settings, ground=proxy, times=len(QUICK.faults))
    row.assert_nothing_amiss()
