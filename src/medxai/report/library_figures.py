"""Tables of the page on libraries: whose map is right where, and what was said where none came back."""

from collections.abc import Mapping

import pandas as pd
from IPython.display import HTML

from medxai.attribution import METHODS
from medxai.report.plots import table
from medxai.studies.libraries import verdict

MARKS = {"right": "✓", "wrong": "✗", "refused": "–"}
CAPTION = "✓ right, and to how many digits; ✗ wrong; – refused or failed"


def cell(digits: float) -> str:
    """Return a cell of the matrix: a mark that needs no colour, and the digits."""
    formats = {"right": f"✓ {digits:.0f}", "wrong": f"✗ {digits:.1f}", "refused": "–"}
    return formats[verdict(digits)]


def matrix(found: pd.DataFrame, *libraries: str) -> HTML:
    """Return the table of some libraries: methods by networks.

    Parameters
    ----------
    found
        From `medxai.studies.libraries.matrix`.
    libraries
        Keys of `medxai.studies.libraries.CLAIMS`.
    """
    lines = found.loc[list(libraries)].map(cell)
    prefix = "{}: " if len(libraries) > 1 else ""
    names = [prefix.format(library) + METHODS[method].title for library, method in lines.index]
    lines.index = pd.Index(names, name="method")
    return table(lines.rename(columns=lambda name: name.replace("_", " ")), CAPTION, style="matrix")


def beside(reference: pd.DataFrame, here: pd.DataFrame, library: str) -> HTML:
    """Return the table of one library on the networks of this build: digits of the reference run and of this build."""
    columns = {}
    for name in here:
        label = name.replace("_", " ")
        columns[f"{label}, reference"] = reference.loc[library][name].map(cell)
        columns[f"{label}, this build"] = here.loc[library][name].map(cell)
    lines = pd.DataFrame(columns).rename(index=lambda name: METHODS[name].title).rename_axis("method")
    return table(lines, f"{library}, right to how many digits")


def summary(number: pd.DataFrame, networks: int) -> HTML:
    """Return the table of libraries side by side, for the methods that some other library has, too.

    Parameters
    ----------
    number
        From `medxai.studies.libraries.counts`.
    networks
        On how many networks.
    """
    marked = number.apply(
        lambda row: ", ".join(f"{value}\u00a0{MARKS[word]}" for word, value in row.items() if value), axis=1
    )
    lines = marked.unstack(level=0, fill_value="").loc[
        marked.loc["medxai"].index, list(dict.fromkeys(marked.index.get_level_values(0)))
    ]
    lines = lines[(lines.drop(columns="medxai") != "").any(axis=1)]
    lines = lines.rename(index=lambda name: METHODS[name].title).rename_axis(index="method", columns=None)
    return table(lines, f"Of {networks} networks: ✓ right, ✗ wrong, – refused or failed")


def reasons(tables: Mapping[str, pd.DataFrame], *libraries: str) -> HTML:
    """Return the table of what the libraries said where they gave no map, each sentence once."""
    lines = pd.concat([one.assign(network=name) for name, one in tables.items()])
    lines[["library", "method"]] = lines["row"].str.split(": ", expand=True).to_numpy()
    lines = lines[lines["value"].isna() & lines["library"].isin(libraries)]
    grouped = lines.groupby(["library", "reason"]).agg(
        methods=("method", lambda some: ", ".join(METHODS[name].title for name in dict.fromkeys(some))),
        networks=("network", lambda some: ", ".join(dict.fromkeys(name.replace("_", " ") for name in some))),
    )
    grouped = grouped.reset_index("reason").rename_axis("library")
    return table(grouped[["methods", "networks", "reason"]], "What was said where no map came back")
