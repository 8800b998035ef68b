"""What readers see: figures in one style, comparison tables, findings, badges."""

from medxai.report.findings import badge, finding
from medxai.report.tables import Comparison, compare, provenance, published, reference, reproduced, tidy

__all__ = ["Comparison", "badge", "compare", "finding", "provenance", "published", "reference", "reproduced", "tidy"]
