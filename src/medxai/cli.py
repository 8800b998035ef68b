"""The command line: ``medxai build | run | explain | quality | data fetch | data check | student | grade``."""

import argparse
import shlex
import sys
from pathlib import Path

from medxai import files, memory, paths, profiles
from medxai.book.target import EDITIONS, Target


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code.

    That is 0 when it is done, 1 if the build failed or a photograph should be taken again, 2 for bad input, 130 when it
    was interrupted.
    """
    from medxai.book.build import BuildFailed

    options = _parser().parse_args(arguments)
    memory.keep()
    try:
        return options.command(options) or 0
    except (ValueError, BuildFailed) as error:
        if options.debug:
            raise
        print(error, file=sys.stderr)
        return 1 if isinstance(error, BuildFailed) else 2
    except OSError as error:
        if options.debug or error.errno not in files.REFUSED:
            raise
        print(f"{error.filename}: {error.strerror}; expected a place that can be written, with room", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped; the same command goes on from here", file=sys.stderr)
        return 130


PROFILE = {"choices": tuple(profiles.PROFILES), "default": "quick", "help": "size of the run (default: quick)"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="medxai", description="Build the book, run its studies, get its data.")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_build_and_run, _add_explain, _add_quality, _add_data, _add_student_and_grade):
        add(commands)
    return parser


def _add_build_and_run(commands: "argparse._SubParsersAction") -> None:
    build = commands.add_parser("build", help="execute the chapters and build the site")
    build.add_argument("--profile", **PROFILE)
    build.add_argument("--data", choices=profiles.KINDS, default="auto", help="which annotations (default: auto)")
    build.add_argument("--chapters", nargs="+", metavar="NN_name", help="only these chapters")
    build.add_argument("--edition", choices=EDITIONS, default="student", help="instructor: with solutions")
    build.set_defaults(command=_build)

    run = commands.add_parser("run", help="compute a study's trials, or its reference results")
    run.add_argument("study")
    run.add_argument("trials", nargs="*", metavar="TRIAL", help="all by default")
    run.add_argument("--profile", **PROFILE)
    run.add_argument("--reference", action="store_true", help="keep the trials in data/reference/STUDY")
    run.set_defaults(command=_run)


def _add_explain(commands: "argparse._SubParsersAction") -> None:
    explained = commands.add_parser("explain", help="explain a model on a folder of images, and write a report")
    explained.add_argument("folder", type=Path, metavar="FOLDER", help="images")
    network = "efficientnet_lite0"  # models.architectures.DEFAULT, whose import takes longer than --help may
    explained.add_argument("--model", default=network, metavar="LIBRARY:NAME", help=f"(default: {network})")
    explained.add_argument("--weights", type=Path, metavar="FILE", help="state_dict to load (default: ImageNet's)")
    explained.add_argument("--classes", type=int, metavar="N", help="how many (default: ImageNet's)")
    findings = "classes are findings that do not exclude each other: sigmoid, not softmax"
    explained.add_argument("--multi-label", action="store_true", help=findings)
    explained.add_argument("--target", type=int, metavar="N", help="class from 0 (default: the most probable one)")
    explained.add_argument("--masks", type=Path, metavar="FOLDER", help="masks of the same names, or NAME_mask")
    explained.add_argument("--methods", metavar="A,B", help="names of methods (default: a quick choice)")
    explained.add_argument("--size", type=int, default=224, help="side of the images in pixels (default: 224)")
    explained.add_argument("--samples", type=int, default=16, help="effort (default: 16; thorough: 50)")
    explained.add_argument("--output", type=Path, required=True, metavar="FILE.html", help="report, replaced if there")
    explained.set_defaults(command=_explain)


def _add_quality(commands: "argparse._SubParsersAction") -> None:
    quality = commands.add_parser(
        "quality",
        help="say what to do better in photographs of skin",
        epilog="Exit status: 0 if all are good, 1 if one should be taken again, 2 if one cannot be read.",
    )
    quality.add_argument("photos", nargs="*", type=Path, metavar="PHOTO", help="photographs, or folders of them")
    quality.add_argument("--model", type=Path, metavar="FILE.onnx", help="(default: the book's, trained once)")
    quality.add_argument("--profile", **PROFILE)
    quality.add_argument("--json", action="store_true", help="write JSON in place of text")
    quality.add_argument("--report", type=Path, metavar="FILE.html", help="a page with pictures, replaced if there")
    quality.add_argument("--export", type=Path, metavar="FILE.onnx", help="write the book's network for other programs")
    quality.set_defaults(command=_quality)


def _add_data(commands: "argparse._SubParsersAction") -> None:
    data = commands.add_parser("data", help="get data sets, or see which are there").add_subparsers(
        required=True, metavar="COMMAND"
    )
    fetch = data.add_parser("fetch", help="download a data set")
    fetch.add_argument("name")
    fetch.add_argument("--archive", type=Path, help="install this archive instead of downloading")
    fetch.add_argument("--sha256", help="what the archive's hash must be")
    fetch.set_defaults(command=_fetch)
    data.add_parser("check", help="say of every data set whether it is there").set_defaults(command=_check)


def _add_student_and_grade(commands: "argparse._SubParsersAction") -> None:
    student = commands.add_parser("student", help="write the notebooks without solutions")
    student.add_argument("folder", type=Path)
    student.set_defaults(command=_student)

    grade = commands.add_parser("grade", help="mark the notebooks that students hand in")
    grade.add_argument("folder", type=Path, metavar="FOLDER", help="holds the notebooks, at any depth")
    grade.add_argument("--output", type=Path, metavar="FILE.csv", help="the marks (default: FOLDER/marks.csv)")
    grade.add_argument("--seconds", type=float, help="time limit of each exercise (default: 60)")
    grade.add_argument("--trusted", action="store_true", help="without a sandbox: only what you have read")
    grade.set_defaults(command=_grade)


def _build(options: argparse.Namespace) -> None:
    from medxai.book.build import build

    first_page = build(Target(options.profile, options.edition), options.data, options.chapters)
    print(f"The site is at {first_page.relative_to(paths.ROOT)}")


def _run(options: argparse.Namespace) -> None:
    from medxai import studies
    from medxai.studies import sitting

    profile, study = profiles.get(options.profile), studies.study(options.study)
    if options.reference:
        words = ["run", options.study, *options.trials, "--profile", options.profile, "--reference"]
        sitting.write_reference(study, profile, shlex.join(["medxai", *words]), options.trials)
        return
    for trial in study.named(options.trials, profile):
        study.run_trial(trial, profile)


def _explain(options: argparse.Namespace) -> None:
    from medxai.models.weights import pretrained
    from medxai.report import your_data_page
    from medxai.studies import your_data

    your_data_page.check_path(options.output)  # before the work, not after it
    images = your_data.read_folder(options.folder, options.masks, size=options.size)
    model = your_data.load_model(options.model, classes=options.classes, weights=options.weights)
    own = options.weights and f"{options.model} with the weights in {paths.shown(options.weights)}"
    methods = options.methods and [name.strip() for name in options.methods.split(",")]
    given = {"target": options.target, "multi_label": options.multi_label, "samples": options.samples}
    results = your_data.evaluate(model, images, methods=methods, **given)
    page = your_data_page.write_report(results, options.output, model=own or pretrained(options.model).origin)
    print(f"written: {paths.shown(page)}")


def _quality(options: argparse.Namespace) -> int:
    from medxai.experiment import quality_advice, quality_network
    from medxai.models import onnx_export
    from medxai.report import quality_page, your_data_page

    if not (options.photos or options.export):
        raise ValueError("no photograph is given: expected files or folders, or --export FILE.onnx")
    if options.report:
        your_data_page.check_path(options.report)
    profile = profiles.get(options.profile)
    if options.export:
        model = quality_network.trained(profile).model
        print(f"written: {paths.shown(onnx_export.export(model, options.export, side=profile.quality_side))}")
    if not options.photos:
        return 0
    seen, wrong = quality_advice.look(*quality_advice.opened(options.model, profile), options.photos)
    told = [one.advice for one in seen]
    print(quality_advice.as_json(told) if options.json else "\n".join(one.told() for one in told))
    if options.report:
        quality_page.write(seen, options.report)
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return 2 if wrong else int(any(one.again for one in told))


def _fetch(options: argparse.Namespace) -> None:
    from medxai.data import fetch

    print(f"there: {fetch.fetch(options.name, options.archive, options.sha256)}")


def _check(options: argparse.Namespace) -> None:
    from medxai.data.datasets import DATASETS

    for dataset in DATASETS.values():
        there = dataset.is_there
        print(f"{dataset.name}: {'there' if there else 'not there'}, at {dataset.place} ({dataset.licence})")
        if not there:
            print(f"    {dataset.advice}")


def _student(options: argparse.Namespace) -> None:
    from medxai.book import student

    for path in student.write(options.folder):
        print(path)


def _grade(options: argparse.Namespace) -> None:
    from medxai.grading import marks

    table = options.output or options.folder / marks.TABLE
    try:
        marks.grade(options.folder, table, seconds=options.seconds or marks.SECONDS, trusted=options.trusted)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; marks are written once all notebooks have theirs") from None
    print(f"written: {paths.shown(table)}")


if __name__ == "__main__":
    sys.exit(main())
