"""From paired-text notebooks to a static site: execute, stage, build."""
