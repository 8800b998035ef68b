"""Shared fixtures: real data where MEDXAI_DATA has it, one small simulated DermXDB otherwise."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

from medxai import memory, paths

if TYPE_CHECKING:
    import pandas as pd
    from xdist.remote import Producer

    from medxai.data.dermxdb import DermXDB


memory.keep()  # as every command does


class ByFile(LoadFileScheduling):
    """Keep the tests of a file in one process, and those of the site too: they share what is slow.

    Files come in the order of their names (``--no-loadscope-reorder``), so that the site, which takes longest, is among
    the first. (Groups by mark would say the same, but pytest-xdist 3.8 does not see them with pytest 9.2.)
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/attribution/test_sweep.py"):  # a network is made once for all of its methods
            return nodeid.rpartition("-")[0]
        return "tests/site" if nodeid.startswith("tests/site/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> ByFile:
    """Tell pytest-xdist which process runs which test."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def real_dermxdb_root() -> Path:
    """Folder of the real DermXDB annotations; the test is skipped, with the reason, where they are not."""
    root = paths.data_root() / "dermxdb"
    if not root.exists():
        pytest.skip(f"no real annotations: {root} does not exist (set MEDXAI_DATA)")
    return root


@pytest.fixture(scope="session")
def real_dermxdb(real_dermxdb_root: Path) -> "DermXDB":
    """The real annotations, read once for all tests."""
    from medxai.data import dermxdb

    return dermxdb.load(real_dermxdb_root)


@pytest.fixture(scope="session")
def real_overlaps(real_dermxdb: "DermXDB") -> "pd.DataFrame":
    """Areas and intersections of all their masks, which take seconds, counted once for all tests."""
    from medxai.evaluation import agreement

    return agreement.overlaps(real_dermxdb)


@pytest.fixture(scope="session")
def simulated_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small simulated DermXDB, written once per test session."""
    from medxai.data import simulate

    return simulate.write(tmp_path_factory.mktemp("dermxdb") / "simulated", images=72, seed=0)
