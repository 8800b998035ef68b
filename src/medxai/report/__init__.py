"""What readers see: figures in one style, comparison tables, findings, badges."""

from medxai.report.findings import badge, finding, glue, later, missing
from medxai.report.tables import Comparison, compare, reference_note, reproduced, with_interval
from medxai.results import benchmark, progress, provenance, published, reference, tidy

__all__ = [
    "Comparison",
    "badge",
    "benchmark",
    "compare",
    "finding",
    "glue",
    "later",
    "missing",
    "progress",
    "provenance",
    "published",
    "reference",
    "reference_note",
    "reproduced",
    "tidy",
    "with_interval",
]
