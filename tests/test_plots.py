"""The five primitives draw what they are given: numbers where they belong, names, kinds of data."""

import ast
import inspect

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection

from medxai.data.dermxdb import DermXDB, load
from medxai.report import dataset_figures, plots, tables

plots.use_style()


def tidy(*rows: tuple, **columns: list) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["row", "metric", "value", "low", "high"]).assign(**columns)


TWO = tidy(
    ("few", "iou", 0.2, 0.1, 0.3),
    ("▸ many", "iou", 0.8, 0.7, 0.95),
    ("few", "printed", 0.25, np.nan, np.nan),
    ("▸ many", "printed", 0.75, np.nan, np.nan),
)


def points(axes: plt.Axes) -> np.ndarray:
    """Return the places of all dots, (n, 2), ordered by their horizontal place."""
    found = [part.get_offsets() for part in axes.collections if not isinstance(part, LineCollection)]
    return np.array(sorted(np.concatenate(found).tolist()))


def legend(figure: plt.Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def test_a_marked_figure_says_its_kind_and_is_closed():
    figure, _ = plt.subplots()
    plots.mark_data(figure, "rendered", "of three")
    assert figure.get_supxlabel() == "◐ rendered photographs, of three"
    assert not plt.fignum_exists(figure.number)


def test_plots_of_many_rows_are_no_taller_than_a_screen():
    many = pd.DataFrame({"row": [f"row {number}" for number in range(36)], "value": np.linspace(0, 1, 36)})
    assert plots.intervals(many, xlabel="x", kind="real").get_figheight() == pytest.approx(plots.TALLEST)
    assert plots.intervals(many[:9], xlabel="x", kind="real").get_figheight() < 4.5
    cells = many[:30].set_index("row")
    assert plots.heat_map(cells, kind="real", bar="shares").get_figheight() == pytest.approx(plots.TALLEST)
    assert plots.fitted(20, 100, 1) == 100 * plots.CLOSEST  # names do not touch, however many


def test_intervals_stand_at_their_numbers_the_largest_on_top():
    figure = plots.intervals(TWO.query("metric == 'iou'"), order="", xlabel="IoU", kind="real", lines=[0.5])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["▸ many", "few"]
    assert [label.get_fontweight() for label in axes.get_yticklabels()] == ["bold", "normal"]
    assert axes.yaxis_inverted(), "the first name is on top"
    np.testing.assert_allclose(points(axes), [[0.2, 1], [0.8, 0]])
    (ranges,) = (part for part in axes.collections if isinstance(part, LineCollection))
    segments = sorted(segment[:, 0].tolist() for segment in ranges.get_segments())
    np.testing.assert_allclose(segments, [[0.1, 0.3], [0.7, 0.95]])
    assert [line.get_xdata()[0] for line in axes.lines] == [0.5]
    assert not figure.legends
    assert "real data" in figure.get_supxlabel()


def test_rows_keep_their_order_unless_asked():
    figure = plots.intervals(TWO.query("metric == 'iou'"), xlabel="IoU", kind="real")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["few", "▸ many"]


def test_series_have_their_own_colour_and_marker_and_a_name():
    figure = plots.intervals(TWO, series="metric", order="iou", xlabel="IoU", kind="real")
    assert legend(figure) == ["iou", "printed"]
    first, second = figure.legends[0].legend_handles
    assert first.get_marker() != second.get_marker()
    assert first.get_color() != second.get_color()
    np.testing.assert_allclose(points(figure.axes[0])[:, 0], [0.2, 0.25, 0.75, 0.8])  # those without interval, too


def test_what_a_paper_prints_is_a_tick_across_the_row():
    figure = plots.intervals(TWO, series="metric", order="iou", printed="printed", xlabel="IoU", kind="real")
    ticks = figure.axes[0].lines[-1]
    assert ticks.get_marker() == "|"
    assert ticks.get_xydata().tolist() == [[0.25, 1], [0.75, 0]]
    assert legend(figure) == ["iou", "printed"]
    np.testing.assert_allclose(points(figure.axes[0])[:, 0], [0.2, 0.8])


def test_panels_stand_side_by_side_with_common_rows():
    both = pd.concat([TWO.query("metric == 'iou'").assign(set=name) for name in ("paintings", "ultrasound")])
    figure = plots.intervals(both, panels="set", xlabel="IoU", kind="real", band=(0.5, 1.0))
    assert [axes.get_title() for axes in figure.axes] == ["paintings", "ultrasound"]
    for axes in figure.axes:
        np.testing.assert_allclose(points(axes), [[0.2, 0], [0.8, 1]])
        assert len(axes.patches) == 1


CURVES = pd.DataFrame({"row": ["a"] * 3 + ["b"] * 3, "share": [0, 0.5, 1] * 2, "value": [1, 0.4, 0.2, 1, 0.9, 0.1]})


def test_curves_run_through_their_numbers():
    stars = pd.DataFrame({"share": [0.1], "value": [0.6], "row": ["a rater"]})
    figure = plots.curves(CURVES, x="share", xlabel="share", ylabel="probability", kind="real", points=stars)
    first, second, star = figure.axes[0].lines
    assert first.get_xydata().tolist() == [[0, 1], [0.5, 0.4], [1, 0.2]]
    assert second.get_ydata().tolist() == [1, 0.9, 0.1]
    assert [handle.get_linestyle() for handle in figure.legends[0].legend_handles[:2]] == ["-", "--"]
    assert star.get_xydata().tolist() == [[0.1, 0.6]]
    assert legend(figure) == ["a", "b", "a rater"]


def test_curves_have_bands_and_doublings():
    values = CURVES.assign(low=CURVES["value"] - 0.1, high=CURVES["value"] + 0.1, cost=[1, 2, 4] * 2)
    options = {"xlabel": "images", "ylabel": "agreement", "kind": "rendered"}
    figure = plots.curves(values, x="cost", doubling=True, markers=True, lines=[0], **options)
    (axes,) = figure.axes
    band = axes.patches[0].get_path().vertices
    assert band[:, 1].min() == pytest.approx(0.1)
    assert band[:, 1].max() == pytest.approx(1.1)
    assert axes.get_xscale() == "log"
    assert axes.get_xticks().tolist() == [1, 2, 4]
    assert {line.get_marker() for line in axes.lines[:2]} == {"o", "s"}


def test_a_heat_map_writes_its_numbers_and_leaves_out_what_is_none():
    numbers = pd.DataFrame([[1.0, np.nan], [51.4, 100]], ["▸ a", "b"], ["x", "y"])
    figure = plots.heat_map(numbers, form=".0f", limits=(0, 100), bar="percent", kind="simulated")
    axes, bar = figure.axes
    assert [text.get_text() for text in axes.texts] == ["1", "51", "100"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["▸ a", "b"]
    assert axes.collections[0].get_array().mask.tolist() == [[False, True], [False, False]]
    assert bar.get_xlabel() == "percent"
    dark, bright = axes.texts[0].get_color(), axes.texts[2].get_color()
    assert colors.rgb_to_hsv(colors.to_rgb(dark))[2] > colors.rgb_to_hsv(colors.to_rgb(bright))[2]


def test_pictures_are_shown_as_they_are_and_maps_by_their_sign():
    picture = np.full((8, 10, 3), 90, np.uint8)
    values = np.zeros((8, 10))
    values[2, 3], values[5, 5] = 2.0, -1.0
    figure = plots.picture_sheet(
        [picture, values, np.abs(values), np.full((8, 10), 0.5)],
        ["picture", "signed", "unsigned", ""],
        signed=[None, True, False, None],
        columns=2,
        rows=["above", "below"],
        kind="rendered",
    )
    shown = [axes.images[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(shown[0], picture)
    red, blue, white = (shown[1][place].astype(int) for place in ((2, 3), (5, 5), (0, 0)))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert white.min() > 240
    assert shown[2][2, 3].sum() > shown[2][0, 0].sum()
    assert figure.axes[3].images[0].norm(0.5) == pytest.approx(0.5), "a share keeps its place between 0 and 1"
    assert [axes.get_title() for axes in figure.axes] == ["picture", "signed", "unsigned", ""]
    assert [figure.axes[place].texts[0].get_text() for place in (0, 2)] == ["above", "below"]


def test_an_outline_is_drawn_where_shares_cross_one_half():
    share = np.zeros((9, 9))
    share[3:6, 3:6] = 0.6
    none = np.zeros((9, 9))
    figure = plots.picture_sheet([none, none, none], [""] * 3, outlines=[share, None, none], kind="real")
    drawn = [len(axes.collections) for axes in figure.axes]
    assert drawn == [1, 0, 0]
    line = figure.axes[0].collections[0].get_paths()[0].vertices
    assert line.min() == pytest.approx(2.83, abs=0.01)  # 0.5 of the way from 0 at 2 to 0.6 at 3
    both = plots.picture_sheet([none, none], ["", ""], outlines=share, kind="real", columns=2, bar="share of raters")
    assert [len(axes.collections) for axes in both.axes[:2]] == [1, 1]
    assert both.axes[2].get_xlabel() == "share of raters"


def test_a_table_writes_numbers_and_dashes_and_is_accessible():
    lines = pd.DataFrame({"value": [0.123, np.nan], "words": ["a <b>", None]}, pd.Index(["one", "two"], name="map"))
    found = BeautifulSoup(plots.table(lines, "What <it> shows", form=".2f").data, "html.parser")
    assert found.caption.text == "What <it> shows"
    assert [cell.text for cell in found.thead.find_all("th")] == ["map", "value", "words"]
    rows = {row.th.text: [cell.text for cell in row.find_all("td")] for row in found.tbody.find_all("tr")}
    assert rows == {"one": ["0.12", "a <b>"], "two": ["–", "–"]}
    assert "matrix" in BeautifulSoup(plots.table(lines, "", style="matrix").data, "html.parser").table["class"]


@pytest.mark.parametrize(
    ("number", "form", "text"),
    [(-0.001, ".2f", "0.00"), (-0.001, "+.2f", "+0.00"), (0.25, "+.1%", "+25.0%"), (-2.5, ".1f", "-2.5")],
)
def test_forms_may_have_a_sign_of_which_zero_has_no_negative_one(number, form, text):
    assert tables.written(number, form, counts=False) == text


def test_counts_have_no_decimals_and_zero_no_sign():
    lines = pd.DataFrame({"images": [3, 12], "with a gap": [1.0, np.nan], "few": [2.0, np.nan], "shift": [-0.001, 0.5]})
    found = BeautifulSoup(plots.table(lines, "", form=".2f").data, "html.parser")
    rows = [[cell.text for cell in row.find_all("td")] for row in found.tbody.find_all("tr")]
    assert rows == [["3", "1.00", "2", "0.00"], ["12", "–", "–", "0.50"]]


def test_seaborn_is_imported_by_those_who_draw_with_it():
    top = ast.parse(inspect.getsource(plots)).body
    names = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names]
    assert not any(name.startswith("seaborn") for name in names), "importing it takes a second"


@pytest.fixture(scope="module")
def db(simulated_root) -> DermXDB:
    return load(simulated_root)


def test_outlines_are_drawn_for_each_rater_with_a_key(db):
    mine = db.instances.query("round == 1 and image == @db.images.index[0]")
    image, raters = db.images.index[0], sorted(mine["rater"].unique())[:2]
    figure = dataset_figures.outlined(db, [(image, rater) for rater in raters], ["", ""], columns=2)
    for axes, rater in zip(figure.axes, raters, strict=True):
        paths = sum(len(list(db.polygons(index))) for index in mine.index[mine["rater"] == rater])
        assert len(axes.patches) == paths > 0
        assert max(axes.images[0].get_array().shape) == dataset_figures.SIDE
    assert set(legend(figure)) == set(mine.loc[mine["rater"].isin(raters), "characteristic"])


def test_each_characteristic_has_a_look_of_its_own():
    looks = [
        (str(look["edgecolor"]), look["hatch"]) for look in map(dataset_figures.look, dataset_figures.CHARACTERISTICS)
    ]
    assert len(set(looks)) == len(dataset_figures.CHARACTERISTICS)
