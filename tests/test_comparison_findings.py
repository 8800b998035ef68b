"""The findings of the comparison chapter, on made tables of known answers: its own cells, as they stand there."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from medxai.attribution import CONTROLS
from medxai.book import chapters
from medxai.evaluation import score_tables
from medxai.evaluation.metrics import METRICS
from medxai.report import comparison_figures as figures

CELLS = [cell.source for cell in chapters.read("03_comparison").cells if cell.cell_type == "code"]
METHODS = ("gradient", "saliency", "cam", "lime", "occlusion")
SETS = ("paintings", "ultrasound")
IMAGES = 20


class Page:
    """What the cells may use, without a chapter around them, and what they said, glued and drew."""

    def __init__(self, **tables: object) -> None:
        self.said, self.glued, self.drawn = {}, {}, []
        report = SimpleNamespace(
            finding=lambda label, sentence, figure, alt: self.said.update({label: (sentence, alt)}),
            glue=lambda name, value: self.glued.update({name: value}),
        )
        draw = dict.fromkeys(
            ("intervals", "heat_map", "curves", "table"), lambda table, *_, **__: self.drawn.append(table)
        )
        notes = dict.fromkeys(("in_reference", "both_sets", "fewer"), "")
        self.names = {"np": np, "pd": pd, "report": report, "plots": SimpleNamespace(**draw), "figures": figures}
        self.names |= {"score_tables": score_tables, "METRICS": METRICS, "CONTROLS": CONTROLS, "number": len(METHODS)}
        self.names |= {"checked_on": dict.fromkeys(SETS, 5), **notes, **tables}

    def run(self, *marks: str) -> None:
        """Run the cells in which each of some words stands; they must stand in one."""
        for mark in marks:
            (cell,) = [source for source in CELLS if mark in source]
            exec(cell, self.names)


def scores(values: dict[str, dict[str, float]], noise: float = 0.0) -> pd.DataFrame:
    """Return a table of scores from means by map and metric, with some noise from image to image."""
    draw = np.random.default_rng(0)
    known = {"image": range(IMAGES), "group": range(IMAGES)}
    return pd.concat(
        pd.DataFrame({"method": name, **known, **{m: v + noise * draw.normal(size=IMAGES) for m, v in means.items()}})
        for name, means in values.items()
    )


def test_the_finding_on_controls_counts_who_is_better_and_who_worse() -> None:
    means = {"paintings": (0.8, 0.2, 0.3, 0.7, 0.1, 0.5), "ultrasound": (0.3, 0.9, 0.3, 0.3, 0.3, 0.9)}
    both = {
        of: scores({name: {"pixel_auc": v} for name, v in zip((*METHODS, "centre_gaussian"), one, strict=True)}, 0.05)
        for of, one in means.items()
    }
    page = Page(both=both)
    page.run('"finding-controls"')
    sentence, alt = page.said["finding-controls"]
    assert "2 of 5 methods find what dermatologists outlined better than the spot does, and 3 worse" in sentence
    assert "on real ultrasound 0 find the lesion better, and 4 worse" in sentence
    assert "2 lie above zero and 3 below, on ultrasound 0 and 4" in alt


def test_the_finding_on_noise_counts_the_methods_that_noise_leads() -> None:
    drops = {"uniform_random": (0.5, 0.3), "truth": (0.8, 0.9)}
    drops |= dict(zip(METHODS, ((0.1, 0.4), (0.2, 0.35), (0.6, 0.2), (0.4, 0.9), (0.7, 0.8)), strict=True))
    page = Page(
        paintings=scores(
            {
                name: dict(zip(("occlusion_drop", "occlusion_drop_equal_area"), v, strict=True))
                for name, v in drops.items()
            }
        )
    )
    page.run('"finding-noise"')
    sentence, _ = page.said["finding-noise"]
    assert "by 0.50 for uniform noise and by 0.80 for what was truly painted; noise leads 3 of 5 methods" in sentence
    assert sentence.endswith("for each map 1.")


@pytest.fixture(scope="module")
def as_experts() -> Page:
    """Three metrics rank as the experts do, sensitivity-n on paintings only, others the other way round."""
    both = {}
    for of in SETS:
        agree = {
            "pixel_auc",
            "insertion",
            "deletion",
            "max_sensitivity",
            *(("sensitivity_n",) if of == "paintings" else ()),
        }

        def value(metric: str, i: float, agree: set[str] = agree) -> float:
            upwards = (METRICS[metric].better == "higher") == (metric in agree)
            return (0.1 * i if upwards else 1 - 0.1 * i) + 0.05

        names = [name for name, metric in METRICS.items() if metric.better]
        maps = {name: {metric: value(metric, i) for metric in names} for i, name in enumerate(METHODS)}
        both[of] = scores({**maps, "centre_gaussian": {metric: value(metric, 3.5) for metric in names}})
    page = Page(both=both)
    page.run("compared = [", '"finding-metrics"', '"centre_in_each"')
    return page


def test_the_finding_on_metrics_names_those_that_agree_on_both_sets(as_experts: Page) -> None:
    sentence, alt = as_experts.said["finding-metrics"]
    assert sentence.startswith("Of 9 metrics that need no expert, 3 are shown")
    exact = "1.00 [1.00, 1.00] and 1.00 [1.00, 1.00]"
    few = f"max-sensitivity ({exact}, of only 5 and 5 images)"
    assert sentence.endswith(f": deletion ({exact}), insertion ({exact}), {few}.")
    assert "The intervals of 3 metrics lie above zero in both" in alt


def test_the_chapter_says_which_place_the_centre_has_in_them(as_experts: Page) -> None:
    assert as_experts.glued == {
        "centre_in_each": "deletion 2, insertion 2, max-sensitivity 2",
        "ranked": len(METHODS) + len(CONTROLS),
    }


def test_the_cascade_is_of_absolute_values() -> None:
    """One image keeps its map, one flips it, and one loses half of it: signs must not cancel."""
    shown = ["gradient", "integrated_gradients", "grad_cam", "grad_cam_plus_plus"]
    shown += ["guided_backpropagation", "deep_taylor", "sobel_edges"]
    each = pd.DataFrame({"rank_correlation": [1, -1, 0.1], "absolute_rank_correlation": [1, 1, 0.7], "share": 0.5})
    page = Page(reference={"cascade": pd.concat([each.assign(method=name) for name in shown])})
    page.run('reference["cascade"]')
    (drawn,) = page.drawn
    assert drawn.loc[drawn["share"] == 0.5, "value"].tolist() == pytest.approx([0.9] * len(shown))
