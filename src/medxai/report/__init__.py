"""What readers see: figures in one style, comparison tables, findings, badges."""

from medxai.report.findings import badge, finding, glue
from medxai.report.tables import Comparison, compare, provenance, published, reference, reproduced, tidy

__all__ = [
    "Comparison",
    "badge",
    "compare",
    "finding",
    "glue",
    "provenance",
    "published",
    "reference",
    "reproduced",
    "tidy",
]
