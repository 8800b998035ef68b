"""The sweep of a study's trials, on the cores of one machine or by SLURM: what a dry run would start."""

import subprocess
import sys
from pathlib import Path

import pytest

from medxai import paths

WRAPPER = f"""
from medxai.studies import sitting
sitting.missing = lambda study, profile: ["versions", "vgg16"]
include: {str(paths.ROOT / "workflow" / "sweep.smk")!r}
"""
"""The sweep, as if two trials were missing."""


@pytest.mark.parametrize("options", [["--cores", "2"], ["--profile", "workflow/profiles/slurm"]])
def test_a_sweep_starts_each_missing_trial_once(tmp_path: Path, options: list[str]) -> None:
    snakefile = tmp_path / "sweep.smk"
    snakefile.write_text(WRAPPER)
    words = [sys.executable, "-m", "snakemake", "all", "--snakefile", snakefile, *options]
    words += ["--config", "study=libraries"]
    done = subprocess.run(
        [*words, "--dry-run", "--printshellcmds"], cwd=paths.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    started = [line for line in (done.stdout + done.stderr).splitlines() if "medxai.cli run" in line]
    assert sorted(line.split("run libraries ")[1] for line in started) == [
        "versions --profile full --reference",
        "vgg16 --profile full --reference",
    ]
    assert all("OMP_NUM_THREADS=1 " in line for line in started)
