"""Skin painted with the characteristics that dermatologists name, and the truth of what was painted where."""

from medxai.data.ontology import CHARACTERISTICS
from medxai.painting import additional, basic
from medxai.painting.canvas import Painter

_ALL: dict[str, Painter] = {**basic.PAINTERS, **additional.PAINTERS}

PAINTERS: dict[str, Painter] = {term: _ALL[term] for term in (*CHARACTERISTICS, "Hyperkeratosis")}
"""What paints each characteristic, in the order of the ontology."""
