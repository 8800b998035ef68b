"""The page of a reader's own data, its pieces in the chapter, and the command that writes it."""

import html
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from medxai import cli
from medxai.attribution import CONTROLS, METHODS
from medxai.data.labelled_images import LabelledImages
from medxai.models.architectures import build, known, normalisation_of
from medxai.report import your_data_page
from medxai.studies import your_data, your_data_example
from medxai.studies.your_data import evaluate, summary

TINY = "timm:test_resnet"
"""A ResNet of timm's own tests, with 470,000 parameters."""
SIDE = 48


def looks_at_bright_pixels() -> nn.Sequential:
    """A model of two classes: the logit of class 1 is how much of the image is bright."""
    model = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        model[0].weight[:], model[0].bias[:] = 0.07, -0.2
        model[4].weight[:], model[4].bias[:] = torch.tensor([[0.0], [300.0]]), torch.tensor([1.0, 0.0])
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a toy with six images."""
    folder = tmp_path_factory.mktemp("own")
    your_data_example.toy_folder(folder, images=6, seed=3)
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> your_data.Results:
    images = your_data.read_folder(folder / "images", folder / "masks", size=SIDE)
    options = {"target": 1, "classes": ["dark", "bright"], "samples": 8, "checked": 1, "progress": False}
    return evaluate(looks_at_bright_pixels(), images, **options)


@pytest.fixture(scope="module")
def lines(results: your_data.Results) -> pd.DataFrame:
    return summary(results, resamples=200)


class TestReport:
    @pytest.fixture(scope="class")
    @staticmethod
    def page(results: your_data.Results, tmp_path_factory: pytest.TempPathFactory) -> str:
        path = tmp_path_factory.mktemp("report") / "r.html"
        path.write_text("what was there before")
        your_data_page.write_report(results, path, model="a < b", note="Credit & thanks", resamples=100)
        assert [one.name for one in path.parent.iterdir()] == ["r.html"]
        return path.read_text(encoding="utf-8")

    def test_needs_nothing_else(self, page: str) -> None:
        assert "http" not in page
        assert "<script" not in page
        assert "<link" not in page
        sources = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')]{0,20})', page)
        assert sources
        assert {source[:14] for source in sources} == {"data:image/png"}

    def test_holds_every_map_and_every_section(self, page: str, results: your_data.Results) -> None:
        for name in (*results.methods, *CONTROLS):
            assert html.escape(your_data_page.title(name)) in page
        for words in ("What was explained", "Where a control beats a method", "What not to conclude", "Which methods"):
            assert f"<h2>{words}" in page
        for words in (
            "a &lt; b",
            "Credit &amp; thanks",
            "Seed</dt><dd>0",
            "bright for 6",
            "torch 2",
            "0 of them empty",
        ):
            assert words in page

    def test_is_accessible(self, page: str) -> None:
        assert '<html lang="en">' in page
        assert "prefers-color-scheme: dark" in page
        assert "width=device-width" in page
        images = re.findall(r"<img ([^>]{0,200})", page)
        assert len(images) == 3 * (1 + len(your_data.QUICK) + len(CONTROLS))
        assert all(re.match(r'alt="[^"]{5,}"', image) for image in images)
        assert page.count('scope="row"') > 50

    def test_says_who_has_not_converged(self, results: your_data.Results, tmp_path: Path) -> None:
        found = replace(results, unconverged={"integrated_gradients": "a gap of 29%"})
        text = your_data_page.write_report(found, tmp_path / "page.html", model="it").read_text(encoding="utf-8")
        assert "Which methods need more steps" in text
        assert "<dt>Integrated gradients</dt><dd>a gap of 29%</dd>" in text
        assert (
            "Integrated gradients: a gap of 29%." in your_data_page.verdicts(found, summary(found, resamples=50)).data
        )
        text = your_data_page.write_report(
            replace(results, unconverged={}), tmp_path / "b.html", model="it"
        ).read_text()
        assert "need more steps" not in text

    def test_says_who_refused_and_why(self, results: your_data.Results, tmp_path: Path) -> None:
        few = LabelledImages.with_masks(results.images.names[:2], results.images.pictures[:2])
        model = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 2))
        found = evaluate(model, few, methods=["gradient", "grad_cam"], samples=4, checked=1, progress=False)
        assert found.methods == ["gradient"]
        assert "no convolution" in found.refused["grad_cam"]
        text = your_data_page.write_report(found, tmp_path / "r.html", resamples=50).read_text(encoding="utf-8")
        assert "<dt>Grad-CAM</dt><dd>the model has no convolution" in text
        assert "Grad-CAM refused the model." in text
        assert "Grad-CAM refused: the model" in your_data_page.verdicts(found, summary(found, resamples=50)).data
        assert "on\n2 images, without masks." in text
        assert "<dt>Masks</dt><dd>none</dd>" in text
        assert "outline" not in text.split("<h2>The maps</h2>")[1].split("</section>")[0]

    def test_one_image_without_outlines_has_a_page_too(self, results: your_data.Results, tmp_path: Path) -> None:
        one = LabelledImages.with_masks(results.images.names[:1], results.images.pictures[:1])
        found = evaluate(looks_at_bright_pixels(), one, methods=["gradient"], samples=4, checked=0, progress=False)
        text = your_data_page.write_report(found, tmp_path / "r.html", resamples=50).read_text(encoding="utf-8")
        assert "on\n1 image, without masks." in text
        assert "No sanity check was made" in text
        assert "None did." in text

    def test_sentences_name_the_best_control_and_who_is_behind(self, lines: pd.DataFrame) -> None:
        sentences = your_data_page.control_sentences(lines)
        compared = lines[lines["control"].notna()]
        assert len(sentences) == compared["metric"].nunique()
        for sentence, (_, mine) in zip(sentences, compared.groupby("metric", sort=False), strict=True):
            assert f"the best control is {CONTROLS[mine['control'].iloc[0]].title}" in sentence
            assert all(METHODS[name].title in sentence for name in mine["method"])
            assert ("Shown to be better" in sentence) == (mine["verdict"] == "better").any()
        assert re.match(r"By \d+ of 12 metrics some method is shown", your_data_page.headline(lines))

    @pytest.mark.parametrize(
        ("name", "said"), [("r.htm", "no name of a report"), ("no/r.html", "is not there"), ("", "no name of a report")]
    )
    def test_writes_to_html_only(self, results: your_data.Results, tmp_path: Path, name: str, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            your_data_page.write_report(results, tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_it_says_how_often_intervals_of_so_few_images_hold(self) -> None:
        few, more = (" ".join(your_data_page.interval_sentences(images, 2)) for images in (5, 40))
        assert (
            "of 5 normally distributed values they hold the true mean in 85% of cases, of 2, as for stability, in 60%"
            in few
        )
        assert "of 40 normally distributed values they hold the true mean in 94% of cases" in more
        assert your_data_page.interval_sentences(1, 1)[-1] == "One image has none."

    def test_a_table_marks_the_best_control_and_who_is_shown_to_differ(self, lines: pd.DataFrame) -> None:
        text = your_data_page.table(lines, ["nothing", "pixel_auc", "gini"], "A < B").data
        heads = re.findall(r'<th scope="col">(.*?)</th>', text)
        assert heads == [
            "map",
            "Pixel AUC<br><small>↑ higher is better</small>",
            "Gini index<br><small>neither is better</small>",
        ]
        assert "<caption>A &lt; B</caption>" in text
        assert re.findall(r'rowgroup">(.*?)</th>', text) == ["Methods", "Controls", "For comparison"]
        mine = lines[lines["metric"] == "pixel_auc"].set_index("method")
        for name, line in mine.iterrows():
            cell = re.search(rf"{re.escape(your_data_page.title(name))}</th><td>(.*?)</td>", text)[1]
            assert cell.startswith(f"{line['value']:.2f}")
            assert f"[{line['low']:.2f}, {line['high']:.2f}]" in cell
            marks = {
                "▲": line["verdict"] == "better",
                "▼": line["verdict"] == "worse",
                "◆": name in set(mine["control"]),
            }
            assert {mark: mark in cell for mark in marks} == marks
        with pytest.raises(ValueError, match="metrics are none of the summary's: expected some of fuzzy_f1, "):
            your_data_page.table(lines, ["nothing"], "Caption")

    def test_numbers_are_short_and_what_is_undefined_is_a_dash(self) -> None:
        assert [your_data_page.number(x) for x in (0.126, -0.001, 1234.5, np.nan)] == ["0.13", "0.00", "1,234", "–"]

    def test_sanity_sentences_name_who_stays_alike(self, results: your_data.Results) -> None:
        alike = your_data_page.cascade(results).loc[results.methods] >= 0.5
        text = " ".join(your_data_page.sanity_sentences(results))
        for name, line in alike.iterrows():
            assert (your_data_page.title(name) in text) == line.any()
        never = replace(results, cascade=results.cascade.assign(absolute_rank_correlation=0.1))
        assert your_data_page.sanity_sentences(never)[1:] == ["All methods' maps change from the first step on."]
        unchecked = replace(results, cascade=results.cascade.iloc[:0], left_out=("It was left out.",))
        assert your_data_page.sanity_sentences(unchecked)[0].startswith("No sanity check was made")
        assert your_data_page.sanity_sentences(unchecked)[1] == "It was left out."

    def test_a_figure_shows_the_image_and_its_maps(self, results: your_data.Results) -> None:
        drawn = your_data_page.figure(results, kind="simulated")
        titles = [axes.get_title() for axes in drawn.axes if axes.get_title()]
        assert titles[0] == "Image"
        assert len(titles) == 1 + len(results.maps) - 3  # without noise, zeros and the outlines
        assert sum("(control)" in title for title in titles) == len(CONTROLS) - 2

    def test_a_report_can_stand_in_a_page(self, tmp_path: Path) -> None:
        (tmp_path / "r.html").write_text('<p class="x">&</p>')
        assert (
            'srcdoc="&lt;p class=&#34;x&#34;&gt;&amp;&lt;/p&gt;"' in your_data_page.embedded(tmp_path / "r.html").data
        )


class TestCommand:
    @pytest.fixture(scope="class")
    @staticmethod
    def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("weights") / "w.pth"
        torch.manual_seed(0)
        torch.save(build(known(TINY), 2).state_dict(), path)
        return path

    def test_writes_a_report(self, folder: Path, weights: Path, tmp_path: Path, capsys) -> None:
        output = tmp_path / os.fsdecode(b"r\xe9port.html")  # names that are no UTF-8 are no reason to lose the work
        weights = shutil.copy(weights, tmp_path / os.fsdecode(b"w\xe9.pth"))
        command = ["explain", str(folder / "images"), "--masks", str(folder / "masks"), "--model", TINY, "--size", "48"]
        command += ["--weights", str(weights), "--classes", "2", "--methods", "gradient, grad_cam", "--samples", "4"]
        assert cli.main([*command, "--output", str(output)]) == 0
        assert f"written: {tmp_path}/r\\xe9port.html" in capsys.readouterr().out
        text = output.read_text(encoding="utf-8")
        assert "w\\xe9.pth" in text
        assert "timm:test_resnet" in text
        assert "Grad-CAM" in text
        assert "SmoothGrad" not in text

    @pytest.mark.parametrize("options", [["--classes", "3", "--multi-label", "--target", "2"], ["--classes", "1"]])
    def test_findings_that_do_not_exclude_each_other(self, folder: Path, tmp_path: Path, options: list) -> None:
        torch.manual_seed(0)
        number = int(options[1])
        network = build(known(TINY), number).eval()
        torch.save(network.state_dict(), tmp_path / "w.pth")
        command = ["explain", str(folder / "images"), "--model", TINY, "--weights", str(tmp_path / "w.pth"), *options]
        command += ["--size", "48", "--methods", "gradient", "--samples", "1"]
        assert cli.main([*command, "--output", str(tmp_path / "r.html")]) == 0
        text = (tmp_path / "r.html").read_text(encoding="utf-8")
        images = your_data.read_folder(folder / "images", size=48)
        with torch.no_grad():
            wanted = network(normalisation_of(network).apply(images.pictures[:1]))[0, number - 1].sigmoid()
        assert f"<h3>toy_0.png: finding {number - 1}, probability {wanted:.2f}</h3>" in text
        assert "of each finding for itself, by a sigmoid" in text

    def test_without_a_model_it_explains_the_default_network(self, folder: Path, tmp_path: Path) -> None:
        output = tmp_path / "report.html"
        command = ["explain", str(folder / "images"), "--methods", "gradient", "--size", "64", "--samples", "1"]
        assert cli.main([*command, "--output", str(output)]) == 0
        assert "EfficientNet-Lite0 with ImageNet weights of " in output.read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"FOLDER": "nowhere"}, "nowhere is not there"),
            ({"--model": "timm:nothing"}, "timm has no classifier 'nothing'"),
            ({"--output": "report.pdf"}, "no name of a report"),
            # Before anything is read; the file is written under a longer name first.
            ({"FOLDER": "nowhere", "--output": f"{'x' * 245}.html"}, "cannot be written (File name too long)"),
            ({"--classes": "3"}, "expected fc.weight of shape (3, 96), got (2, 96)"),
            ({"--methods": "magic"}, "method 'magic' is unknown"),
            ({"--target": "2"}, "a class from 0 to 1"),
            ({"--size": "3"}, "expected a number of pixels of at least 16"),
        ],
    )
    def test_bad_input_is_one_sentence_and_exit_code_2(
        self, folder: Path, weights: Path, tmp_path: Path, options: dict, said: str, capsys
    ) -> None:
        given = {"--model": TINY, "--weights": str(weights), "--classes": "2", "--output": str(tmp_path / "r.html")}
        given |= {"--size": "32", **options}
        where = given.pop("FOLDER", str(folder / "images"))
        assert cli.main(["explain", where, *(word for pair in given.items() for word in pair)]) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert said in message
        assert not list(tmp_path.iterdir())
