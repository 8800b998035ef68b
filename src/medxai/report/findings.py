"""What a chapter hands to the rest of the book: findings for the front page, numbers for its text, its data's badge."""

import base64
import html
import io
from collections.abc import Iterable
from typing import Literal

from IPython.display import HTML, display
from matplotlib.figure import Figure

FINDING = "application/vnd.medxai.finding+json"
"""Key of a displayed figure's metadata, under which the pipeline finds what the front page needs."""

DataKind = Literal["real", "rendered", "simulated"]

KINDS = {
    "real": ("●", "real data"),
    "rendered": ("◐", "rendered photographs"),
    "simulated": ("○", "simulated data"),
}
"""Sign and name of each kind of data; the sign differs too, so that colour is never the only cue."""


def badge(kind: DataKind, detail: str) -> HTML:
    """Return the line that says which data a chapter shows.

    Parameters
    ----------
    kind
        ``real``, ``rendered`` or ``simulated``.
    detail
        What exactly: name, size, licence.
    """
    sign, name = KINDS[kind]
    return HTML(f'<p class="data-kind {kind}"><b>{sign} {name}</b> {html.escape(detail)}</p>')


SETS = {
    "busi": "breast ultrasound (BUSI)",
    "ham10000_artefacts": "rulers, ink and bubbles cut out of photographs",
    "isic_uda1": "dermoscopic photographs (ISIC UDA-1)",
}
"""What data sets are called in a sentence."""


def missing(names: Iterable[str]) -> HTML:
    """Return the line that says which data this build had to do without; nothing if it had all.

    Why, and what a maintainer can do about it, is what `medxai data check` says.

    Parameters
    ----------
    names
        Of data sets, such as `medxai.studies.store.Study.absent` gives them.
    """
    titles = ", ".join(SETS.get(name, name) for name in names)
    if not titles:
        return HTML("")
    return HTML(
        f'<p class="data-kind absent"><b>Not in this build</b> {html.escape(titles)}. What is computed from these data '
        "is left out here; the page <i>Data sets</i> says how to get them.</p>"
    )


def later(text: str) -> HTML:
    """Return the line that stands where a table would, of what only the reference run computes."""
    return HTML(f'<p class="data-kind absent"><b>Not in this build</b> {html.escape(text)}</p>')


def glue(name: str, value: float | str) -> None:
    """Store a number for the text of the chapter, where ``{glue:text}`` sets it; nothing is shown here.

    It is MyST-NB's `glue` (same output, tested), without Sphinx where the notebook runs: a downloaded notebook needs
    the package alone. NumPy scalars become Python numbers, since formats apply to those only.
    """
    prefix = "application/papermill.record/"
    number = value.item() if hasattr(value, "item") else value
    display(
        {f"{prefix}text/plain": repr(number)}, metadata={"scrapbook": {"name": name, "mime_prefix": prefix}}, raw=True
    )


def finding(label: str, sentence: str, figure: Figure, alt: str) -> None:
    """Show a finding in the chapter and hand it to the front page.

    Parameters
    ----------
    label
        Target in the chapter (written ``(label)=`` above a heading) that the front page links to.
    sentence
        One sentence, computed: with its numbers.
    figure
        What shows it.
    alt
        The figure in words, for readers who cannot see it.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": sentence}
    note = {"label": label, "sentence": sentence, "alt": alt, "anchor": label}
    display(HTML(f'<p class="finding"><b>Finding.</b> {html.escape(sentence)}</p>'))
    display(data, metadata={FINDING: note}, raw=True)
