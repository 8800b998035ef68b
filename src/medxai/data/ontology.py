"""The names of DermXDB, spelled as in its files."""

BASIC_TERMS = ("Macule", "Nodule", "Papule", "Patch", "Plaque", "Pustule", "Scale")
"""Localisable basic terms, in the order of the DermX paper's table A.9."""

ADDITIONAL_TERMS = (
    "Closed comedo",
    "Cyst",
    "Dermatoglyph disruption",
    "Leukotrichia",
    "Open comedo",
    "Scar",
    "Sun damage",
    "Telangiectasia",
    "Thrombosed capillaries",
)
"""Localisable additional terms, in the order of table A.9."""

CHARACTERISTICS = BASIC_TERMS + ADDITIONAL_TERMS
"""The 16 localisable characteristics."""

MODELLED = (
    "Dermatoglyph disruption",
    "Closed comedo",
    "Open comedo",
    "Papule",
    "Patch",
    "Plaque",
    "Pustule",
    "Scale",
    "Scar",
    "Sun damage",
)
"""The ten characteristics that the DermX paper models, in the order of its table 2."""

EXTRA = "Hyperkeratosis"
"""A 17th localised name; 21 of its 22 uses are in the second round and no published table has it."""

LOCALISED = (*CHARACTERISTICS, EXTRA)
"""Every name that comes with an outline."""

DISEASES = ("Acne", "Actinic keratosis", "Psoriasis", "Seborrheic dermatitis", "Viral warts", "Vitiligo")
"""The six target diseases, in the order of table A.8."""

OTHER_DISEASE = "Other-disease"
DIAGNOSES = (*DISEASES, OTHER_DISEASE)
LOW_QUALITY = "Low-quality"

GLOBAL_TAGS = (
    "Seborrheic region",
    "Light skin",
    "Exposed areas",
    "Young",
    "Elderly",
    "Male",
    "Acral distribution",
    "Symmetrical",
    "Female",
    "Extensor sites",
    "Palmo-plantar distribution",
    "Dark skin",
    "Periorificial",
    "Köbnerization",
    "Intertriginous",
)
"""Tags of the whole image, without an outline, most frequent first."""

TAGS = (*DIAGNOSES, LOW_QUALITY, *GLOBAL_TAGS)
"""Every name that comes without an outline."""
