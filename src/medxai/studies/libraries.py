"""The study behind the page on libraries: whose maps are right on which network?

One trial for each of the benchmark's networks, in float64, with biases that are not zero and calibrated batch
normalisation: all our methods, and those of captum, zennit, torchcam and, where it is installed, shap, each against the
slow references of `medxai.oracles`. A value is the agreement in decimal digits, ``-log10`` of the relative error. What
is refused or fails has none, and the words of the refusal are kept. At full size also one trial for a small network of
each family of torchvision and timm, with our methods (`medxai.oracles.families`).

shap is no dependency, as it brings numba and its compiler: ``uv pip install shap==0.51.0`` before a reference run.
"""

import math
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from medxai.attribution import METHODS
from medxai.models import backbones
from medxai.oracles import families
from medxai.oracles.cases import SEED, TRUTH, Explain, case, measure, ours, undefined
from medxai.oracles.libraries import OFFERED, installed
from medxai.profiles import Profile
from medxai.results import TIDY
from medxai.studies.store import Record, Study, Trial

RIGHT = 2.0
"""Digits from which on a map counts as right: an error of 1 %, which nobody would see."""
WHERE = re.compile(r"^[^:']*: (?=')|, at layer '[^']*' or after it,| of '[^']*'")
"""Of the words of a refusal: the method, and the layer."""
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


def family(profile: Profile, *, name: str) -> Record:
    """Return the agreement of our methods on the network of a family, ``row`` being the method."""
    rows = []
    for method in families.MAPS:
        digits, reason = families.judged(name, method)
        rows.append({"row": method, "metric": "digits", "value": digits, "reason": reason})
    return {file_name(name): pd.DataFrame(rows).reindex(columns=[*TIDY, "reason"])}


def file_name(name: str) -> str:
    """Return the name of a family's network as that of a trial and its table."""
    return name.replace(":", "-")


def versions(profile: Profile) -> Record:
    """Return the versions of the libraries that took part."""
    found = {library: installed(library) for library in CLAIMS if library != "medxai"}
    rows = [{"row": library, "metric": "version", "reason": text} for library, text in found.items() if text]
    return {"versions": pd.DataFrame(rows).reindex(columns=[*TIDY, "reason"])}


def names() -> list[str]:
    """Return the networks of the full run."""
    return list(backbones.ARCHITECTURES)


def family_names() -> list[str]:
    """Return the families' networks, as their trials and tables are called."""
    return [file_name(name) for name in families.NETWORKS]


def trials(profile: Profile) -> list[Trial]:
    """Return one trial for each network."""
    full = profile.name == "full"
    return [
        Trial("versions", versions, ()),
        *(Trial(name, network, (), (("name", name),)) for name in (names() if full else QUICK)),
        *(Trial(file_name(name), family, (), (("name", name),)) for name in (families.NETWORKS if full else ())),
    ]


def matrix(tables: Record) -> pd.DataFrame:
    """Put the networks' tables together: index (library, method), a column for each network, digits."""
    columns = {name: tables[name].set_index("row")["value"] for name in names() if name in tables}
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


def swept(tables: Mapping[str, pd.DataFrame | None]) -> pd.DataFrame:
    """Put the families' tables together: a line for each ``network`` and ``method``.

    Beside them stand the ``kind`` of the network, the ``family`` of the method, the ``digits``, the ``verdict`` and,
    for what is not right, ``why``: the operation that stopped the method, or all that was said.
    """
    parts = {name: tables.get(file_name(name)) for name in families.NETWORKS}
    lines = pd.concat({name: part for name, part in parts.items() if part is not None}, names=["network"])
    lines = lines.reset_index("network").rename(columns={"row": "method", "value": "digits"})
    least = lines["method"].map(families.LEAST).fillna(families.DIGITS)
    right = pd.Series(np.where(lines["digits"] >= least, "right", "wrong"), lines.index)
    return lines.assign(
        kind=lines["network"].map(lambda name: families.NETWORKS[name].kind),
        family=lines["method"].map(lambda name: METHODS[name].family),
        verdict=right.where(lines["digits"].notna(), "refused"),
        why=lines["reason"].fillna("").map(lambda words: WHERE.sub("", words)),
    ).reset_index(drop=True)


STUDY = Study("libraries", chapter="02_libraries", version=4, trials=trials, data={}, seed=SEED)
