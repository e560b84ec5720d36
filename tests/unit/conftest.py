"""An archive that tests may tamper with."""

import shutil
from pathlib import Path

import pytest

from tests.archives import ArchivedLanes, shipped
from tests.tampering import DAYS, PER_DAY


@pytest.fixture(scope="session")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of both lanes, with the inputs' bytes; the last day is not closed."""
    folder = tmp_path_factory.mktemp("made") / "archive"
    lanes = ArchivedLanes(shipped(input_bytes=True), folder)
    for number, day in enumerate(DAYS):
        lanes.write_day(day, PER_DAY, seed=number + 1, closes=day != DAYS[-1])
    return folder


@pytest.fixture
def archive(three_days: Path, tmp_path: Path) -> Path:
    """A copy of it, to be tampered with."""
    return Path(shutil.copytree(three_days, tmp_path / "archive"))
