"""What `medxai.studies.your_data` found, for a chapter and as a page of its own that loads nothing else.

Here are the sentences and pictures that depend on what was found. The words that always stand, and how tables look, are
in the templates ``your_data_page.html.j2`` and ``your_data_parts.html.j2``.
"""

import base64
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from IPython.display import HTML
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from matplotlib.figure import Figure
from PIL import Image

from medxai import files, provenance
from medxai.attribution import CONTROLS, METHODS
from medxai.evaluation import bootstrap
from medxai.evaluation.metrics import METRICS
from medxai.evaluation.sanity import STILL_ALIKE
from medxai.experiment.own_network import OwnNetwork
from medxai.report import plots, saliency
from medxai.report.findings import DataKind
from medxai.studies import your_data
from medxai.studies.your_data import OUTLINE, Results

PAGE, PARTS, STYLE = "your_data_page.html.j2", "your_data_parts.html.j2", "your_data_page.css"
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy")
OUTLINED = (230, 159, 0)
"""Colour of the outlines: orange of `plots`, on grey, on red and blue and on viridis to be told apart."""
LARGEST = 320
"""Side of a picture on the page, in pixels."""
PRESENT = 0.5
"""Least probability of a finding that counts as predicted."""
MEANS = "Means over the images, with 95 % intervals"


def title(name: str) -> str:
    """Return the name of a method, a control or the outlines as a reader knows it."""
    return "What you outlined" if name == OUTLINE else (METHODS | CONTROLS)[name].title


def listed(names: Iterable[str]) -> str:
    """Return titles as a list in words."""
    titles = [title(name) for name in names]
    return " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)


def number(value: float) -> str:
    """Write a number with two decimals, a large one with few digits; what is not defined is a dash."""
    if pd.isna(value):
        return "–"
    return f"{value:.2f}".replace("-0.00", "0.00") if abs(value) < 100 else f"{value:,.0f}"


def control_sentences(summary: pd.DataFrame) -> list[str]:
    """Say for each metric of `your_data.summary` which methods are ahead of the best control and which are not."""
    return [
        _control_sentence(metric, lines, summary) for metric, lines in _compared(summary).groupby("metric", sort=False)
    ]


def _compared(summary: pd.DataFrame) -> pd.DataFrame:
    """Lines of methods that are compared with a control, and whether they are ahead of it, be it by chance."""
    lines = summary[summary["control"].notna()]
    sign = lines["metric"].map(lambda name: 1 if METRICS[name].better == "higher" else -1)
    return lines.assign(ahead=lines["difference"] * sign > 0)


def _control_sentence(metric: str, lines: pd.DataFrame, summary: pd.DataFrame) -> str:
    control = lines["control"].iloc[0]
    own = summary[(summary["metric"] == metric) & (summary["method"] == control)]["value"].iloc[0]
    better, worse = lines["verdict"] == "better", lines["verdict"] == "worse"
    parts = {
        "Shown to be better": better,
        "Ahead, which may be chance": lines["ahead"] & ~better,
        "Level or behind": ~lines["ahead"] & ~worse,
        "Shown to be worse": worse,
    }
    said = " ".join(f"{words}: {listed(lines['method'][which])}." for words, which in parts.items() if which.any())
    what = f"{METRICS[metric].title} ({METRICS[metric].better} is better)"
    return f"{what}: the best control is {title(control)}, with {number(own)}. {said}"


def headline(summary: pd.DataFrame) -> str:
    """Say by how many metrics the best control is ahead of all methods, and by how many some method is better."""
    lines = _compared(summary)
    if lines.empty:
        return "No method could be compared with a control."
    ahead = lines.groupby("metric", sort=False)["ahead"].any()
    wins = lines[lines["verdict"] == "better"]
    metrics = f"By {wins['metric'].nunique()} of {len(ahead)} metrics"
    said = [f"{metrics} some method is shown to be better than the best control."]
    if beaten := [METRICS[metric].title for metric in ahead.index[~ahead]]:
        said.append(f"No method is even ahead of it by: {', '.join(beaten)}.")
    if never := [name for name in lines["method"].unique() if name not in set(wins["method"])]:
        said.append(f"Never shown to be better: {listed(never)}.")
    return " ".join(said)


def sanity_sentences(results: Results) -> list[str]:
    """Say which maps change when the network's weights are drawn anew, and what that means."""
    if results.cascade.empty:
        return ["No sanity check was made by random weights.", *results.left_out]
    alike = cascade(results).loc[results.methods] >= STILL_ALIKE
    last = alike.mul(alike.columns, axis=1).max(axis=1)
    images = f"{results.checked} image{'s' * (results.checked > 1)}"
    said = [f"More and more of a copy of the model was drawn anew, from the output down, and {images} explained again."]
    for share in sorted(set(last) - {0}, reverse=True):
        said.append(f"The maps of {listed(last.index[last == share])} stay alike with {share:.0%} of its parts random.")
    if len(said) == 1:
        return [*said, "All methods' maps change from the first step on."]
    return [*said, "As far as they stay alike, they do not show what the model has learnt."]


def interval_sentences(images: int, checked: int) -> list[str]:
    """Say what the intervals of means are, and how often they hold for so few images; `checked` for stability."""
    said = "Intervals are percentiles of the bootstrap over images."
    if images < 2:
        return [said, "One image has none."]
    held = (
        f"of {images} normally distributed values they hold the true mean in {bootstrap.coverage(images):.0%} of cases"
    )
    if 2 <= checked < images:
        held += f", of {checked}, as for stability, in {bootstrap.coverage(checked):.0%}"
    return [said, f"Those of few images are too short: {held}, and not in 95%; of skewed values less often."]


def cascade(results: Results) -> pd.DataFrame:
    """Return how alike maps are, a row for each map and a column for each share of the network that is random."""
    means = results.cascade.groupby(["method", "share"], sort=False)["absolute_rank_correlation"].mean().unstack()
    return means.loc[[name for name in results.maps if name in means.index]]


def table(summary: pd.DataFrame, metrics: Sequence[str], caption: str) -> HTML:
    """Return the table of some metrics: methods, then controls, with intervals and marks.

    Raises
    ------
    ValueError
        If none of the metrics is in the summary.
    """
    known = list(summary["metric"].unique())
    metrics = [metric for metric in metrics if metric in known]
    if not metrics:
        raise ValueError(f"metrics are none of the summary's: expected some of {', '.join(known)}")
    lines = summary[summary["metric"].isin(metrics)]
    best = set(zip(lines["control"], lines["metric"], strict=True))
    cells = lines.set_index(["method", "metric"]).to_dict("index")
    names = lines.dropna(subset="value").groupby("kind")["method"].unique().to_dict()
    return HTML(_template(PARTS).module.table(caption, metrics, names, cells, best))


def verdicts(results: Results, summary: pd.DataFrame, metrics: Sequence[str] = tuple(METRICS)) -> HTML:
    """Return what can be said in words: the comparison with controls by some metrics, the sanity check, who refused."""
    return HTML(_template(PARTS).module.verdicts(results, summary, summary[summary["metric"].isin(metrics)]))


def figure(results: Results, row: int = 0, *, kind: DataKind, note: str = "") -> Figure:
    """Draw one image, and its maps over its grey copy, with the outline; noise and the map of zeros are left out."""
    names = [name for name in results.maps if name not in (OUTLINE, "all_zero", "uniform_random")]
    titles = ["Image", *(title(name) + "\n(control)" * (name in CONTROLS) for name in names)]
    titles = [name.replace("Guided ", "Guided\n").replace("Integrated ", "Integrated\n") for name in titles]
    pictures = [_picture(results, row, name) for name in (None, *names)]
    return plots.picture_sheet(pictures, titles, kind=kind, columns=4, note=note)


def write_report(
    results: Results,
    path: Path | str,
    *,
    model: str = "",
    note: str = "",
    shown: int = 3,
    resamples: int = 1000,
) -> Path:
    """Write all results to one HTML file that loads nothing else.

    Parameters
    ----------
    path
        Ends in ``.html``; a file that is there is replaced, once the new one is whole.
    model
        What to call the model; its class without it.
    note
        Whom to credit for the images.
    shown
        Of how many images maps are shown, the first ones.
    resamples
        Of the bootstrap.

    Raises
    ------
    ValueError
        As `check_path`, or if it cannot be written.
    """
    path = check_path(path)
    summary = your_data.summary(results, resamples=resamples)
    metrics = defaultdict(list)
    for name in (name for name in METRICS if name in results.scores):
        metrics[METRICS[name].family].append(name)
    text = _template(PAGE).render(
        results=results,
        summary=summary,
        metrics=metrics,
        model=f"{model} ({results.model.described})" if model else results.model.described,
        note=note,
        resamples=resamples,
        style=Path(__file__).with_name(STYLE).read_text(encoding="utf-8"),
        empty=sum(not _outline(results, row).any() for row in range(len(results.images))),
        explained=pd.Series([results.model.classes[target] for target in results.model.targets]).value_counts(),
        predicted=_predicted(results.model),
        present=PRESENT,
        pictures=[list(_panels(results, row)) for row in range(min(shown, len(results.images)))],
        versions={**provenance.versions(PACKAGES), "medxai": provenance.commit()},
    )
    try:
        files.write(path, text)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror or error}): choose another place") from error
    return path


def _predicted(own: OwnNetwork) -> int:
    """Count the images for which the model predicts the class, or finding, that is explained."""
    if own.multi_label:
        return int((own.probabilities[np.arange(len(own.targets)), own.targets] >= PRESENT).sum())
    return int((own.probabilities.argmax(1) == own.targets).sum())


def check_path(path: Path | str) -> Path:
    """Return where a report can be written; a `ValueError` if it cannot, or ends in anything but ``.html``."""
    path = Path(path)
    if path.suffix != ".html" or path.is_dir():
        raise ValueError(f"{path} is no name of a report: expected a file that ends in .html, which is replaced")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not there: expected a folder for the report")
    files.check_place(path)
    return path


def embedded(path: Path | str) -> HTML:
    """Return a report as a frame of a notebook or a page, which carries it whole."""
    return HTML(_template(PARTS).module.frame(Path(path).read_text(encoding="utf-8")))


def _template(name: str) -> Template:
    """Return a template beside this module, which may call functions of it; whatever is filled in is escaped."""
    options = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, **options)
    functions = (
        title,
        listed,
        number,
        control_sentences,
        headline,
        interval_sentences,
        sanity_sentences,
        cascade,
        table,
    )
    environment.globals |= {function.__name__: function for function in functions}
    environment.globals |= {"METRICS": METRICS, "CONTROLS": CONTROLS, "MEANS": MEANS, "STILL_ALIKE": STILL_ALIKE}
    return environment.get_template(name)


def _panels(results: Results, row: int) -> Iterator[tuple[str | None, str, str]]:
    """Yield the name of each map, ``None`` for the image itself, its words, and its picture as a data address."""
    for name in (None, *(name for name in results.maps if name != OUTLINE)):
        buffer, image = io.BytesIO(), Image.fromarray(_picture(results, row, name))
        image.thumbnail((LARGEST, LARGEST))
        image.quantize(128).save(buffer, "PNG", optimize=True)
        words = f"the image {results.images.names[row]}" if name is None else _words(results, row, name)
        yield name, words, f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _words(results: Results, row: int, name: str) -> str:
    """Say in words where a map has its highest value."""
    map_, outline = results.maps[name][row], _outline(results, row)
    if not map_.any():
        return f"Map of {title(name)}: zero everywhere"
    y, x = np.unravel_index(map_.argmax(), map_.shape)
    down, across = (min(2, 3 * at // len(map_)) for at in (y, x))
    place = f"{('top', 'middle', 'bottom')[down]} {('left', 'centre', 'right')[across]}"
    inside = f", {'inside' if outline[y, x] else 'outside'} the outline" if outline.any() else ""
    return f"Map of {title(name)}: highest value at the {place}{inside}"


def _picture(results: Results, row: int, name: str | None) -> np.ndarray:
    """Return a map in colours, by its own scale, over the grey image, or the image itself; outlined.

    It is uint8 (2 * side, 2 * side, 3), twice as large as the image, so that the line is thin.
    """
    picture = results.images.pictures[row]
    if name is not None:
        signed = bool(results.maps[name].min() < 0)
        colours = saliency.colours(signed)[saliency.levels(results.maps[name][row], signed)]
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
        picture = np.round(0.3 * grey + 0.7 * colours).astype(np.uint8)
    picture, outline = (
        np.kron(values, np.ones((2, 2, 1)[: values.ndim], np.uint8)) for values in (picture, _outline(results, row))
    )
    edges, _ = cv2.findContours(outline.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(picture, edges, -1, OUTLINED, max(2, len(picture) // 110))


def _outline(results: Results, row: int) -> np.ndarray:
    """Return what is outlined on an image, bool (side, side)."""
    images = results.images
    return np.zeros((images.side, images.side), bool) if images.raters is None else images.reference(row) >= 0.5
