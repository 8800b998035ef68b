"""Shared fixtures: real data where MEDXAI_DATA has it, one small simulated DermXDB otherwise."""

from pathlib import Path

import pytest

from medxai import paths


@pytest.fixture(scope="session")
def real_dermxdb_root() -> Path:
    """Folder of the real DermXDB annotations; the test is skipped, with the reason, where they are not."""
    root = paths.data_root() / "dermxdb"
    if not root.exists():
        pytest.skip(f"no real annotations: {root} does not exist (set MEDXAI_DATA)")
    return root


@pytest.fixture(scope="session")
def simulated_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small simulated DermXDB, written once per test session."""
    from medxai.data import simulate

    return simulate.write(tmp_path_factory.mktemp("dermxdb") / "simulated", images=72, seed=0)
