"""Shared fixtures: real data where MEDXAI_DATA has it, one small simulated DermXDB otherwise."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from medxai import paths

if TYPE_CHECKING:
    import pandas as pd

    from medxai.data.dermxdb import DermXDB


SITE = Path(__file__).with_name("site")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process (pytest-xdist), and those of the site too: they share what is slow."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group("site" if item.path.parent == SITE else item.path.name))


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
