"""The names of DermXDB, spelled as in its files: the lists of ``ontology.yml``, where their orders are explained."""

from pathlib import Path

import yaml

_names = yaml.safe_load(Path(__file__).with_name("ontology.yml").read_text(encoding="utf-8"))

BASIC_TERMS = tuple(_names["basic_terms"])
ADDITIONAL_TERMS = tuple(_names["additional_terms"])
CHARACTERISTICS = BASIC_TERMS + ADDITIONAL_TERMS
"""The 16 localisable characteristics."""
MODELLED = tuple(_names["modelled"])
"""Those that the DermX paper models."""
EXTRA = "Hyperkeratosis"
"""A 17th localised name; 21 of its 22 uses are in the second round and no published table has it."""
LOCALISED = (*CHARACTERISTICS, EXTRA)
"""Every name that comes with an outline."""

DISEASES = tuple(_names["diseases"])
OTHER_DISEASE = "Other-disease"
DIAGNOSES = (*DISEASES, OTHER_DISEASE)
LOW_QUALITY = "Low-quality"
GLOBAL_TAGS = tuple(_names["global_tags"])
TAGS = (*DIAGNOSES, LOW_QUALITY, *GLOBAL_TAGS)
"""Every name that comes without an outline."""
