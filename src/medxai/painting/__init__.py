"""Skin painted with the characteristics that dermatologists name, and the truth of what was painted where."""

from medxai.data.ontology import BASIC_TERMS, LOCALISED
from medxai.painting import additional, basic
from medxai.painting.canvas import Painter

PAINTERS: dict[str, Painter] = {
    term: getattr(basic if term in BASIC_TERMS else additional, term.lower().replace(" ", "_")) for term in LOCALISED
}
"""What paints each characteristic, in the order of the ontology: the function that is called after it."""
