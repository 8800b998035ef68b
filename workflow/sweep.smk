"""The trials that a study's reference lacks, each a job: on the cores of one machine, or on a cluster.

snakemake --snakefile workflow/sweep.smk --nolock --cores 2 --config study=benchmark
snakemake --snakefile workflow/sweep.smk --profile workflow/profiles/slurm --config study=benchmark

A sweep that was stopped goes on where it was: `medxai run` keeps each trial as soon as it ends, runs none twice, and lets
one process at a time run it. So Snakemake's own lock, which a killed sweep leaves behind, is not needed.
"""

import sys

from medxai import paths, profiles, studies
from medxai.studies import sitting

STUDY = studies.study(config["study"])
NAMES = sitting.missing(STUDY, profiles.get("full"))
DONE = "results/sweep/{study}/{trial}"

for name in NAMES:  # which an earlier sweep may have ended, before its data or its version changed
    (paths.ROOT / DONE.format(study=STUDY.name, trial=name)).unlink(missing_ok=True)


wildcard_constraints:
    trial=r"[\w.+-]+",


rule all:
    input:
        expand(DONE, study=STUDY.name, trial=NAMES),


rule trial:
    output: touch(DONE),
    threads: 1  # two that share busy cores wait for each other
    resources: mem_mb=6000, runtime=180,
    params: python=sys.executable,
    shell:
        "OMP_NUM_THREADS={threads} '{params.python}' -m medxai.cli run {wildcards.study} {wildcards.trial} "
        "--profile full --reference"
