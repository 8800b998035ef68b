"""What readers see: figures in one style, comparison tables, findings, badges."""

from medxai.report.findings import badge, finding, glue, missing
from medxai.report.tables import Comparison, compare, provenance, published, reference, reproduced, tidy

__all__ = [
    "Comparison",
    "badge",
    "compare",
    "finding",
    "glue",
    "missing",
    "provenance",
    "published",
    "reference",
    "reproduced",
    "tidy",
]
