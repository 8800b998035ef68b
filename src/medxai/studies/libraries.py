"""The study behind the page on libraries: whose maps are right on which network?

One trial for each network, in float64, with biases that are not zero and calibrated batch normalisation: all our
methods, and those of captum, zennit, torchcam and, where it is installed, shap, each against the slow references of
`medxai.oracles`. A value is the agreement in decimal digits, ``-log10`` of the relative error. What is
refused or fails has none, and the words of the refusal are kept.

The lock cannot hold shap, whose numba asks for an older numpy: ``uv pip install shap==0.51.0`` before a reference run.
"""

import math

import pandas as pd

from medxai.models import backbones
from medxai.oracles.cases import SEED, TRUTH, Explain, case, measure, ours, undefined
from medxai.oracles.libraries import OFFERED, installed
from medxai.profiles import Profile
from medxai.results import TIDY
from medxai.studies.store import Record, Study, Trial

RIGHT = 2.0
"""Digits from which on a map counts as right: an error of 1 %, which nobody would see."""
QUICK = ("mobilenet_v2",)
"""The network of the smaller profiles."""


CLAIMS: dict[str, dict[str, Explain]] = {"medxai": {method: ours(method) for method in TRUTH}, **OFFERED}
"""By library, what computes the methods that it offers."""


def network(profile: Profile, *, name: str) -> Record:
    """Return the agreement of all methods of all libraries on one network, ``row`` being ``library: method``."""
    one = case(name)
    rows = []
    for method, reference in TRUTH.items():
        truth = None if undefined(name, method) else reference(one)
        for library, offered in CLAIMS.items():
            if method in offered and installed(library):
                digits, reason = measure(one, method, truth, offered[method])
                rows.append({"row": f"{library}: {method}", "metric": "digits", "value": digits, "reason": reason})
    return {name: pd.DataFrame(rows).reindex(columns=[*TIDY, "reason"])}


def versions(profile: Profile) -> Record:
    """Return the versions of the libraries that took part."""
    found = {library: installed(library) for library in CLAIMS if library != "medxai"}
    rows = [{"row": library, "metric": "version", "reason": text} for library, text in found.items() if text]
    return {"versions": pd.DataFrame(rows).reindex(columns=[*TIDY, "reason"])}


def names() -> list[str]:
    """Return the networks of the full run."""
    return list(backbones.ARCHITECTURES)


def trials(profile: Profile) -> list[Trial]:
    """Return one trial for each network."""
    chosen = names() if profile.name == "full" else QUICK
    return [
        Trial("versions", versions, ()),
        *(Trial(name, network, (), arguments=(("name", name),)) for name in chosen),
    ]


def matrix(tables: Record) -> pd.DataFrame:
    """Put the networks' tables together: index (library, method), a column for each network, digits."""
    columns = {name: table.set_index("row")["value"] for name, table in tables.items() if name != "versions"}
    found = pd.DataFrame(columns)
    found.index = pd.MultiIndex.from_tuples([tuple(row.split(": ")) for row in found.index])
    return found


def verdict(digits: float) -> str:
    """Return ``right``, ``wrong`` or, where nothing came back, ``refused``."""
    return "refused" if math.isnan(digits) else "right" if digits >= RIGHT else "wrong"


def counts(found: pd.DataFrame) -> pd.DataFrame:
    """Count right, wrong and refused networks in a `matrix`: index (library, method)."""
    number = found.map(verdict).apply(lambda row: row.value_counts(), axis=1)
    return number.reindex(columns=["right", "wrong", "refused"]).fillna(0).astype(int)


STUDY = Study("libraries", chapter="02_libraries", version=3, trials=trials, data={}, seed=SEED)
