"""What `medxai.studies.your_data` found: tables, sentences, a figure, and a page of its own that needs nothing else."""

import base64
import html
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from PIL import Image

from medxai import provenance
from medxai.attribution import CONTROLS, METHODS
from medxai.evaluation.metrics import METRICS
from medxai.evaluation.sanity import STILL_ALIKE
from medxai.report import plots, saliency
from medxai.report.findings import DataKind
from medxai.studies import your_data
from medxai.studies.your_data import OUTLINE, Results

STYLE = "your_data_page.css"
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy")
OUTLINED = (230, 159, 0)
"""Colour of the outlines: orange of `plots`, on grey, on red and blue and on viridis to be told apart."""
LARGEST = 160
"""Side of a map on the page, in pixels."""
MARKS = {"better": "▲", "worse": "▼"}
GROUPS = {"method": "Methods", "control": "Controls", "outline": "For comparison"}
MEANS = "Means over the images, with 95 % intervals"
FAMILIES = {
    "place": "Where the maps point",
    "faithfulness": "Whether the model uses what they show",
    "complexity": "How concentrated they are",
    "stability": "Whether they stay alike for images that hardly differ",
}


def title(name: str) -> str:
    """Return the name of a method, a control or the outlines as a reader knows it."""
    return "What you outlined" if name == OUTLINE else (METHODS.get(name) or CONTROLS[name]).title


def _list(names: Iterable[str]) -> str:
    """Write names as a list in words."""
    titles = [title(name) for name in names]
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def _number(value: float) -> str:
    """Write a number with two decimals, a large one with few digits; what is not defined is a dash."""
    if pd.isna(value):
        return "–"
    return f"{value:.2f}".replace("-0.00", "0.00") if abs(value) < 100 else f"{value:,.0f}"


def control_sentences(summary: pd.DataFrame) -> list[str]:
    """Say for each metric which methods are ahead of the best control and which are not.

    Parameters
    ----------
    summary
        From `your_data.summary`.
    """
    compared = summary[summary["control"].notna()] if "control" in summary else summary.iloc[:0]
    return [_control_sentence(metric, lines, summary) for metric, lines in compared.groupby("metric", sort=False)]


def _control_sentence(metric: str, lines: pd.DataFrame, summary: pd.DataFrame) -> str:
    control, sign = lines["control"].iloc[0], _sign(metric)
    own = summary[(summary["metric"] == metric) & (summary["method"] == control)]["value"].iloc[0]
    better = lines["verdict"] == "better"
    worse = lines["verdict"] == "worse"
    ahead = sign * lines["difference"] > 0
    parts = {
        "Shown to be better": better,
        "Ahead, which may be chance": ahead & ~better,
        "Level or behind": ~ahead & ~worse,
        "Shown to be worse": worse,
    }
    said = " ".join(f"{words}: {_list(lines['method'][which])}." for words, which in parts.items() if which.any())
    what = f"{METRICS[metric].title} ({METRICS[metric].better} is better)"
    return f"{what}: the best control is {title(control)}, with {_number(own)}. {said}"


def headline(summary: pd.DataFrame) -> str:
    """Say by how many metrics the best control is ahead of all methods, and by how many some method is better."""
    lines = summary[summary["control"].notna()] if "control" in summary else summary.iloc[:0]
    if lines.empty:
        return "No method could be compared with a control."
    ahead = lines["difference"] * lines["metric"].map(_sign) > 0
    beaten = [metric for metric in lines["metric"].unique() if not ahead[lines["metric"] == metric].any()]
    wins, metrics = lines[lines["verdict"] == "better"], lines["metric"].nunique()
    text = (
        f"By {wins['metric'].nunique()} of {metrics} metrics some method is shown to be better than the best control. "
    )
    if beaten:
        text += f"No method is even ahead of it by: {', '.join(METRICS[metric].title for metric in beaten)}. "
    never = [name for name in lines["method"].unique() if name not in set(wins["method"])]
    return (text + (f"Never shown to be better: {_list(never)}." if never else "")).strip()


def _sign(metric: str) -> int:
    return 1 if METRICS[metric].better == "higher" else -1


def sanity_sentences(results: Results) -> list[str]:
    """Say which maps change when the network's weights are drawn anew, and what that means."""
    if results.cascade.empty:
        return ["No sanity check was made: it needs an image to check, and a model of more than one module."]
    means = results.cascade.groupby(["share", "method"], sort=False)["rank_correlation"].mean().unstack("share")
    means = means.loc[[name for name in results.methods if name in means.index]]
    last = (means >= STILL_ALIKE).mul(means.columns, axis=1).max(axis=1)
    images = f"{results.checked} image{'s' * (results.checked > 1)}"
    said = [f"More and more of a copy of the model was drawn anew, from the output down, and {images} explained again."]
    for share in sorted(set(last) - {0}, reverse=True):
        which = _list(last.index[last == share])
        said.append(f"The maps of {which} stay alike with {share:.0%} of its parts random.")
    if len(said) > 1:
        said.append("As far as they stay alike, they show what they show without what the model has learnt.")
    else:
        said.append("All methods' maps change from the first step on.")
    said.append(
        f"Alike means a rank correlation of {STILL_ALIKE} or more on average. A map that changes has passed this check "
        "and no other; noise changes, too."
    )
    return said


def table(summary: pd.DataFrame, metrics: Sequence[str], caption: str) -> HTML:
    """Return the table of some metrics: methods, then controls, with intervals and marks.

    Raises
    ------
    ValueError
        If none of the metrics is in the summary.
    """
    metrics = [metric for metric in metrics if metric in set(summary["metric"])]
    if not metrics:
        raise ValueError(f"metrics are none of the summary's: {', '.join(summary['metric'].unique())} are accepted")
    cells = summary[summary["metric"].isin(metrics)].set_index(["method", "metric"])
    heads = "".join(f'<th scope="col">{_head(metric)}</th>' for metric in metrics)
    body = ""
    for kind, words in GROUPS.items():
        here = summary[(summary["kind"] == kind) & summary["metric"].isin(metrics)]
        names = here.loc[here["value"].notna(), "method"].unique()
        group = f'<tr><th scope="rowgroup">{words}</th>{"<td></td>" * len(metrics)}</tr>'
        rows = "".join(
            f'<tr><th scope="row">{html.escape(title(name))}</th>'
            + "".join(f"<td>{_cell(cells.loc[(name, metric)], cells, metric)}</td>" for metric in metrics)
            + "</tr>"
            for name in names
        )
        body += f"<tbody>{group}{rows}</tbody>" if len(names) else ""
    label = html.escape(caption, quote=True)
    return HTML(
        f'<div class="table-scroll" tabindex="0" role="region" aria-label="{label}"><table class="compare"><caption>'
        f'{label}</caption><thead><tr><th scope="col">map</th>{heads}</tr></thead>{body}</table></div>'
    )


def _head(metric: str) -> str:
    arrow = {"higher": "↑ higher is better", "lower": "↓ lower is better", None: "neither is better"}
    return f"{html.escape(METRICS[metric].title)}<br><small>{arrow[METRICS[metric].better]}</small>"


def _cell(line: pd.Series, cells: pd.DataFrame, metric: str) -> str:
    """Return ``0.67 ▲`` with its interval below."""
    text = _number(line["value"])
    verdict = line.get("verdict")
    if verdict in MARKS:
        text += _mark(MARKS[verdict], f"{verdict} than the best control", verdict)
    if line["kind"] == "control" and line.name[0] in set(cells.xs(metric, level="metric").get("control", ())):
        text += _mark("◆", "the best control")
    if pd.notna(line["low"]):
        text += f"<br><small>[{_number(line['low'])}, {_number(line['high'])}]</small>"
    return text


def _mark(sign: str, words: str, kind: str = "") -> str:
    return f' <span class="verdict {kind}" role="img" aria-label="{words}">{sign}</span>'


def verdicts(results: Results, summary: pd.DataFrame, metrics: Sequence[str] = tuple(METRICS)) -> HTML:
    """Return what can be said in words: the comparison with controls by some metrics, the sanity check, who refused."""
    parts = [
        _paragraph("finding", headline(summary)),
        _bullets(control_sentences(summary[summary["metric"].isin(metrics)])),
        _paragraph("", " ".join(sanity_sentences(results))),
        _bullets(f"{title(name)} refused: {why}." for name, why in results.refused.items()),
    ]
    return HTML("".join(parts))


def _paragraph(kind: str, text: str) -> str:
    return f"<p{f' class={kind!r}' if kind else ''}>{html.escape(text)}</p>"


def _bullets(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def figure(results: Results, row: int = 0, *, kind: DataKind, note: str = "", columns: int = 4) -> Figure:
    """Draw one image, and its maps over its grey copy, with the outline; noise and the map of zeros are left out."""
    names = [name for name in results.maps if name not in (OUTLINE, "all_zero", "uniform_random")]
    titles = [title(name) + "\n(control)" * (name in CONTROLS) for name in names]
    maps = (_over(results, row, name) for name in names)
    panels = {"Image": results.images.pictures[row], **dict(zip(titles, maps, strict=True))}
    rows = -(-len(panels) // columns)
    drawing, axes = plt.subplots(rows, columns, figsize=(5.6, 1.72 * rows + 0.3))
    for one in axes.flat:
        one.set_axis_off()
    for one, (name, panel) in zip(axes.flat, panels.items(), strict=False):
        one.imshow(_outlined(results, row, panel))
        one.set_title(name.replace("Guided ", "Guided\n").replace("Integrated ", "Integrated\n"), fontsize=9)
    return plots.mark_data(drawing, kind, note)


def _signed(results: Results, name: str) -> bool:
    return bool(results.maps[name].min() < 0)


def _over(results: Results, row: int, name: str) -> np.ndarray:
    """Return a map in colours over the grey image, uint8 (side, side, 3); its own scale."""
    signed = _signed(results, name)
    map_ = saliency.colours(signed)[saliency.levels(results.maps[name][row], signed)]
    grey = cv2.cvtColor(results.images.pictures[row], cv2.COLOR_RGB2GRAY)[..., None]
    return np.round(0.3 * grey + 0.7 * map_).astype(np.uint8)


def _outlined(results: Results, row: int, picture: np.ndarray) -> np.ndarray:
    """Return a picture with the outline of its mask, twice as large as the picture so that the line is thin."""
    side = 2 * len(picture)
    large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_NEAREST)
    if results.images.masks is None:
        return large
    mask = cv2.resize(results.images.masks[row].astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
    edges, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(large, edges, -1, OUTLINED, max(2, side // 110))


def write_report(
    results: Results,
    path: Path | str,
    *,
    heading: str = "What the explanations of this model are worth",
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
    text = _page(results, your_data.summary(results, resamples=resamples), heading, model, note, shown, resamples)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror or error}): choose another place") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_path(path: Path | str) -> Path:
    """Return where a report can be written.

    Raises
    ------
    ValueError
        If the name ends in anything but ``.html``, or its folder is not there.
    """
    path = Path(path)
    if path.suffix != ".html" or path.is_dir():
        raise ValueError(f"{path} is no name of a report: a file that ends in .html is accepted, and replaced")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not there: a folder for the report is needed")
    return path


def embedded(path: Path | str) -> HTML:
    """Return a report as a frame of a notebook or a page, which carries it whole."""
    text = html.escape(Path(path).read_text(encoding="utf-8"), quote=True)
    style = "width: 100%; height: 42rem; border: 1px solid #888"
    return HTML(f'<div><iframe title="The report" loading="lazy" style="{style}" srcdoc="{text}"></iframe></div>')


def _page(
    results: Results, summary: pd.DataFrame, heading: str, model: str, note: str, shown: int, resamples: int
) -> str:
    style = Path(__file__).with_name(STYLE).read_text(encoding="utf-8")
    sections = {
        "In short": _in_short(results, summary),
        "What was explained": _explained(results, model),
        "The maps": _maps(results, shown, note),
        "The metrics": _metrics(results, summary),
        "Where a control beats a method": _controls(summary),
        "Do the maps depend on what the model has learnt?": _sanity(results),
        "Which methods refused": _refused(results),
        "What not to conclude": _bullets(NOT_TO_CONCLUDE),
        "How this was made": _made(results, resamples),
    }
    body = "".join(f"<section><h2>{name}</h2>{text}</section>" for name, text in sections.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="generator" content="medxai">'
        f"<title>{html.escape(heading)}</title><style>{style}</style></head><body><main><h1>{html.escape(heading)}</h1>"
        f"{body}</main></body></html>\n"
    )


NOT_TO_CONCLUDE = (
    "Not that the model is right, or safe: nothing here measures how often it errs, or on whom.",
    "Not that a map which lies on the outlines explains the model: the model may have looked elsewhere. Metrics of "
    "place ask whether map and expert agree; metrics of faithfulness ask whether map and model do.",
    "Not that a map which lies off the outlines is wrong: the model may really use what lies there.",
    "Not that a method which is ahead here is ahead on other images or other models.",
    "Not that a method is no better than a control because it is not shown to be: with few images little can be shown.",
    "Not that any number here was corrected for how many metrics you look at: choose yours before you look.",
)


def _in_short(results: Results, summary: pd.DataFrame) -> str:
    n, methods = len(results.images.names), len(results.methods)
    lines = [
        f"{methods} methods and {len(CONTROLS)} controls, maps that know nothing of the model, on {n} "
        f"image{'s' * (n > 1)}{'' if results.images.masks is not None else ', without masks'}.",
        headline(summary),
        " ".join(sanity_sentences(results)[:-1]),
    ]
    if results.refused:
        lines.append(f"{_list(results.refused)} refused the model.")
    return _bullets(lines)


def _explained(results: Results, model: str) -> str:
    counts = pd.Series(results.targets).map(lambda target: results.classes[target]).value_counts()
    predicted = (results.probabilities.argmax(1) == results.targets).sum()
    side, masks = results.images.pictures.shape[1], results.images.masks
    facts = {
        "Model": f"{model} ({results.model})" if model else results.model,
        "Images": f"{len(results.images.names)}, each as {side} x {side} pixels",
        "Masks": "none" if masks is None else f"one an image, {(~masks.any((1, 2))).sum()} of them empty",
        "Explained class": ", ".join(f"{name} for {number}" for name, number in counts.items()),
        "Predicted class": f"the explained one for {predicted} of {len(results.targets)} images",
    }
    return _facts(facts)


def _facts(facts: dict[str, str]) -> str:
    lines = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in facts.items())
    return f"<dl>{''.join(lines)}</dl>"


def _maps(results: Results, shown: int, note: str) -> str:
    legend = "Red speaks for the class, blue against it; maps of one sign go from dark blue, nothing, to yellow. "
    legend += "Each map has its own scale."
    if results.images.masks is not None:
        legend += " The orange line is the outline."
    parts = [f"<p>{legend}</p>"]
    for row, name in list(enumerate(results.images.names))[:shown]:
        target = int(results.targets[row])
        probability = f"{results.classes[target]}, probability {results.probabilities[row, target]:.2f}"
        panels = _panel(results, row, results.images.pictures[row], "Image", f"the image {name}")
        for one in (one for one in results.maps if one != OUTLINE):
            control = " <small>(control)</small>" if one in CONTROLS else ""
            panels += _panel(results, row, _over(results, row, one), title(one) + control, _alt(results, row, one))
        parts.append(f'<h3>{html.escape(name)}: {html.escape(probability)}</h3><div class="maps">{panels}</div>')
    parts.append(f'<p class="credit">{html.escape(note)}</p>' if note else "")
    return "".join(parts)


def _panel(results: Results, row: int, picture: np.ndarray, caption: str, alt: str) -> str:
    image = Image.fromarray(_outlined(results, row, picture))
    image.thumbnail((2 * LARGEST, 2 * LARGEST))
    buffer = io.BytesIO()
    image.quantize(128).save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    alt = html.escape(alt, quote=True)
    return f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'


def _alt(results: Results, row: int, name: str) -> str:
    """Say in words where a map has its highest value."""
    map_ = results.maps[name][row]
    if not map_.any():
        return f"Map of {title(name)}: zero everywhere"
    y, x = np.unravel_index(map_.argmax(), map_.shape)
    parts = [
        part[min(2, 3 * at // len(map_))]
        for part, at in ((("top", "middle", "bottom"), y), (("left", "centre", "right"), x))
    ]
    where = f"Map of {title(name)}: highest value at the {' '.join(parts)}"
    if results.images.masks is None or not results.images.masks[row].any():
        return where
    return f"{where}, {'inside' if results.images.masks[row, y, x] else 'outside'} the outline"


def _metrics(results: Results, summary: pd.DataFrame) -> str:
    words = (
        "Intervals are those of the bootstrap over images. ◆ is the best control; ▲ is shown to be better than it, ▼ "
        "to be worse: the interval of the difference leaves out zero, corrected for the number of methods. That the "
        "best control was chosen on the same images is hard on the methods."
    )
    parts = [f"<p>{words}</p>"]
    for family, caption in FAMILIES.items():
        metrics = [name for name, metric in METRICS.items() if metric.family == family and name in results.scores]
        if metrics:
            questions = (f"{METRICS[name].title}: {METRICS[name].question}" for name in metrics)
            parts.append(f"<h3>{caption}</h3>{table(summary, metrics, MEANS).data}{_details(questions)}")
    return "".join(parts)


def _details(lines: Iterable[str]) -> str:
    return f"<details><summary>What each asks</summary>{_bullets(lines)}</details>"


def _controls(summary: pd.DataFrame) -> str:
    words = (
        "A map that knows nothing of the model should lose. Where it does not, the score says nothing for the method."
    )
    return f"<p>{words}</p>{_bullets(control_sentences(summary))}"


def _sanity(results: Results) -> str:
    text = "".join(f"<p>{html.escape(line)}</p>" for line in sanity_sentences(results))
    if results.cascade.empty:
        return text
    wide = results.cascade.groupby(["method", "share"], sort=False)["rank_correlation"].mean().unstack()
    wide = wide.loc[[name for name in results.maps if name in wide.index]]
    heads = "".join(f'<th scope="col">{share:.0%} random</th>' for share in wide)
    rows = ""
    for name, line in zip(wide.index, wide.to_numpy(), strict=True):
        cells = "".join(f"<td>{_number(value)}</td>" for value in line)
        rows += f'<tr><th scope="row">{html.escape(title(name))}</th>{cells}</tr>'
    caption = "Rank correlation of maps before and after weights are drawn anew, from the output down; lower is better"
    return (
        f'{text}<div class="table-scroll" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}'
        f'</caption><thead><tr><th scope="col">map</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _refused(results: Results) -> str:
    if not results.refused:
        return "<p>None did.</p>"
    return _facts({title(name): why for name, why in results.refused.items()})


def _made(results: Results, resamples: int) -> str:
    mean, spread = (", ".join(f"{value:g}" for value in values) for values in results.normalisation)
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions(PACKAGES).items())
    return _facts(
        {
            "Normalisation": f"RGB in [0, 1], less {mean}, over {spread}",
            "Effort": f"samples: {results.samples}, resamples: {resamples}, images in sanity checks: {results.checked}",
            "Seed": str(results.seed),
            "Versions": f"{versions}, medxai {provenance.commit()}",
        }
    )
