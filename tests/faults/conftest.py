"""Settings for a broker that a test starts for itself."""

import pytest

from gateway.adapters.settings import Settings
from tests.faults.stage import small_settings


@pytest.fixture
def bare_settings() -> Settings:
    """As ``settings``, of no broker yet: the shared one is not started for those that have their own."""
    return small_settings()
