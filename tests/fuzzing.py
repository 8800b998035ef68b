"""Damaged inputs for every loader of what users bring: each is read, or refused in one sentence.

`python tests/fuzzing.py LOADER COUNT SEED` runs many, with 1 GB of memory and 5 s for each input, and prints what was
seen; `test_fuzz.py` runs few.
"""

import contextlib
import faulthandler
import gzip
import io
import json
import lzma
import os
import re
import resource
import shutil
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from medxai.data import brixia, dermxdb, egd_cxr, medmnist
from medxai.data.image_folder import ENDINGS, read_folder
from medxai.data.labelled_images import LabelledImages
from medxai.data.photo_quality import REASONS
from medxai.data.photo_quality import read_folder as read_quality
from medxai.errors import DataError
from medxai.models import networks
from medxai.models.architectures import build, known
from medxai.report import your_data_page
from medxai.studies.your_data import evaluate
from tiny_dermxdb import outline, square, tag, write
from tiny_egd_cxr import write as write_films

SECONDS, MEMORY = 5.0, 2**30
"""What one input may take, and how much memory above that at the start."""
NETWORK = "timm:test_resnet"
ODD = [b"null", b"true", b"[]", b"{}", b"[[1]]", b'""', b'"\\ud800"', b'"a\\nb"', b"NaN", b"-Infinity", b"1e999", b"-1"]
ODD += [
    b"0",
    b"1.5",
    b"99999",
    b"67108864",
    b"1" * 30,
    b"9" * 400,
    b"9" * 5000,
    b"[" * 5000,
    b'{"x":1,"x":2}',
    b'"Plaque"',
]
CELLS = [
    b"",
    b"1",
    b"-1",
    b"1e999",
    b"nan",
    b"NA",
    b'"',
    b"a,b",
    b"\xff",
    b"\x00",
    b"\n",
    b";",
    b"9" * 400,
    b"a_b",
    b"c",
]
BYTES = [
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x00\x01\x00\x00",
]

Generator = np.random.Generator


def mutated(generator: Generator, content: bytes) -> bytes:
    """Change one to four places of a file, or cut it."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 5)):
        if not content:
            break
        at, length = int(generator.integers(len(content))), int(generator.integers(1, 64))
        odd = BYTES[generator.integers(len(BYTES))]
        match int(generator.integers(7)):
            case 0:
                content[at] ^= 1 << int(generator.integers(8))
            case 1:
                content[at] = int(generator.integers(256))
            case 2:
                content[at : at + len(odd)] = odd
            case 3:
                del content[at : at + length]
            case 4:
                content[at:at] = content[at : at + length]
            case 5:
                content[at:at] = odd
            case 6:
                del content[at:]
    return bytes(content)


def exchanged(generator: Generator, content: bytes, token: bytes, others: list[bytes]) -> bytes:
    """Put another word for one to three of those that match a pattern."""
    for _ in range(generator.integers(1, 4)):
        if places := list(re.finditer(token, content)):
            place = places[generator.integers(len(places))]
            content = content[: place.start()] + others[generator.integers(len(others))] + content[place.end() :]
    return content


def damaged(generator: Generator, name: str, content: bytes) -> bytes:
    """Change a file of annotations in its bytes or in its words."""
    if generator.random() < 0.3:
        return mutated(generator, content)
    if name.endswith(".json"):
        return exchanged(generator, content, rb'"[^"]*"|-?[0-9.]+|\[[^\[\]]*\]|[{}:,]', ODD)
    return exchanged(generator, content, rb"[^,;\r\n]+|[,;\r\n]", CELLS)


@cache
def annotations() -> dict[str, bytes]:
    """A small DermXDB: content by name."""
    shapes = [
        outline("Plaque", square(2, 1, 6, 4), attributes=["Red"]),
        outline("Scale", square(0, 0, 1, 1), square(8, 8, 30.5, 12)),
    ]
    evaluations = {
        "labeller1_a_b": [tag("Psoriasis"), *shapes],
        "labeller2_a_b": [tag("Acne"), shapes[0]],
        "labeller12_a_b": [tag("Psoriasis"), shapes[0]],
        "labeller1_c": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder) / "set", evaluations, references={"a_b": "Psoriasis"})
        (root / "folds").mkdir()
        (root / "folds/metadata_fold_0_test.csv").write_text("current_filename\na_b.jpeg\n")
        (root / "instance_mask_annotations.csv").write_text("image_id,mask_id,class_name\na_b,a_b_1,Plaque\n")
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.*"))}


def one_damaged(generator: Generator) -> dict[str, bytes]:
    """Return annotations of which one file is damaged, or has another name."""
    files = dict(annotations())
    name = list(files)[generator.integers(len(files))]
    if generator.random() < 0.1:
        files[os.fsdecode(mutated(generator, os.fsencode(name)).replace(b"\x00", b""))] = files.pop(name)
    else:
        files[name] = damaged(generator, name, files[name])
    return files


def look_at(root: Path) -> None:
    """Load annotations and ask for every mask and map."""
    db = dermxdb.load(root)
    for row, name in db.instances[["evaluation", "characteristic"]].drop_duplicates().itertuples(index=False):
        db.packed_mask(row, name).unpack()
    for name in db.images.index[db.images["paper"]]:
        db.fuzzy_map(name, "Plaque", 16)
    db.select()


def from_folder(generator: Generator, place: Path) -> None:
    for name, content in one_damaged(generator).items():
        path = (place / "set" / name).resolve()
        if path.is_relative_to(place / "set") and not path.is_dir():
            with contextlib.suppress(OSError):  # names that the disk does not take
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    look_at(place / "set")


def from_zip(generator: Generator, place: Path) -> None:
    inside, buffer = generator.random() < 0.5, io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (one_damaged(generator) if inside else annotations()).items():
            archive.writestr(name.encode(errors="replace").decode() or "?", content)
    content = buffer.getvalue()
    (place / "set.zip").write_bytes(content if inside else mutated(generator, content))
    look_at(place / "set.zip")


def from_tar(generator: Generator, place: Path) -> None:
    kind, where, buffer = ("gz", "xz")[generator.integers(2)], generator.random(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in (one_damaged(generator) if where < 0.4 else annotations()).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    plain = buffer.getvalue()
    if where > 0.7:  # headers alone, whose checksums are mended
        plain = mended_tar(generator, plain)
    packed = compressed(kind, plain)
    (place / f"set.tar.{kind}").write_bytes(mutated(generator, packed) if 0.4 <= where <= 0.7 else packed)
    look_at(place / f"set.tar.{kind}")


def compressed(kind: str, content: bytes) -> bytes:
    return gzip.compress(content, 1) if kind == "gz" else lzma.compress(content, preset=0)


def mended_tar(generator: Generator, content: bytes) -> bytes:
    """Change a header, and write the checksum that it then has."""
    content = bytearray(content)
    headers = [at for at in range(0, len(content), 512) if content[at + 257 : at + 262] == b"ustar"]
    at = headers[generator.integers(len(headers))]
    header = mutated(generator, bytes(content[at : at + 512]))[:512].ljust(512, b"\x00")
    total = sum(header[:148]) + 8 * 32 + sum(header[156:])
    content[at : at + 512] = header[:148] + b"%06o\x00 " % total + header[156:]
    return bytes(content)


@cache
def pictures() -> list[tuple[str, bytes]]:
    """Pictures of 24 x 20 in all kinds that are read, with their endings."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    colour = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = 6
    second = {"save_all": True}
    kinds = [("png", mode, {}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")]
    kinds += [("png", "RGB", {"exif": exif}), ("png", "P", {"transparency": 3}), ("png", "RGB", second)]
    kinds += [("jpg", mode, {"exif": exif}) for mode in ("RGB", "L", "CMYK")]
    kinds += [("jpg", "RGB", {"progressive": True}), ("jpg", "RGB", {"format": "MPO", **second})]
    kinds += [("bmp", mode, {}) for mode in ("RGB", "RGBA", "L", "1", "P")]
    kinds += [("tif", mode, {"exif": exif}) for mode in ("RGB", "CMYK", "L", "1", "P", "F", "I;16")]
    kinds += [("tif", "RGB", {"compression": name}) for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")]
    kinds += [("tif", "1", {"compression": "group4"}), ("tif", "RGB", second)]
    kinds += [("webp", "RGB", {"exif": exif}), ("webp", "RGBA", {"lossless": True}), ("webp", "RGB", second)]
    found = []
    for ending, mode, options in kinds:
        buffer, more = io.BytesIO(), {"append_images": [Image.new("RGB", (24, 20))]} if "save_all" in options else {}
        picture = colour.convert("L").convert("I").convert(mode) if mode == "I;16" else colour.convert(mode)
        picture.save(buffer, **{"format": Image.registered_extensions()[f".{ending}"]} | options | more)
        found.append((ending, buffer.getvalue()))
    return found


def picture(generator: Generator) -> tuple[str, bytes]:
    """Return a damaged picture and its ending; a PNG often with the checksums that it then has."""
    ending, content = pictures()[generator.integers(len(pictures()))]
    content = mutated(generator, content)
    if ending == "png" and generator.random() < 0.7:
        content = mended_png(content)
    return ENDINGS[generator.integers(len(ENDINGS))][1:] if generator.random() < 0.1 else ending, content


def mended_png(content: bytes) -> bytes:
    """Write the checksums that the parts of a PNG have."""
    result, at = content[:8], 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        body = content[at + 4 : end]
        result += content[at : at + 4] + body + zlib.crc32(body).to_bytes(4)
        at = end + 4
    return result + content[at:]


def images(generator: Generator, place: Path) -> None:
    ending, content = picture(generator)
    (place / f"a.{ending}").write_bytes(content)
    read_folder(place, size=16)


def masks(generator: Generator, place: Path) -> None:
    for folder in ("images", "masks"):
        (place / folder).mkdir()
    Image.new("RGB", (24, 20), "red").save(place / "images/a.png")
    ending, content = picture(generator)
    (place / f"masks/a.{ending}").write_bytes(content)
    read_folder(place / "images", place / "masks", size=16)


@cache
def weights() -> list[bytes]:
    """Files of weights: of today, of old, and a checkpoint."""
    state = build(known(NETWORK), 3).state_dict()
    kept = [(state, {}), (state, {"_use_new_zipfile_serialization": False}), ({"epoch": 3, "state_dict": state}, {})]
    found = []
    for value, options in kept:
        buffer = io.BytesIO()
        torch.save(value, buffer, **options)
        found.append(buffer.getvalue())
    return found


def of_weights(generator: Generator, place: Path) -> None:
    content = weights()[generator.integers(3)]
    if content.startswith(b"PK") and generator.random() < 0.7:
        content = repacked(generator, content)
    elif generator.random() < 0.7:  # the beginning, where the pickle is
        content = mutated(generator, content[:8192]) + content[8192:]
    else:
        content = mutated(generator, content)
    (place / "w.pth").write_bytes(content)
    networks.load(NETWORK, 3, place / "w.pth")


def repacked(generator: Generator, content: bytes) -> bytes:
    """Change the pickle within a file of weights, with the checksum that it then has."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            inside = old.read(info)
            new.writestr(info.filename, mutated(generator, inside) if info.filename.endswith("data.pkl") else inside)
    return buffer.getvalue()


@cache
def results():
    """What was found for two images by one method."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    images = LabelledImages.with_masks(["a", "b"], pixels)
    return evaluate(model, images, methods=["gradient"], samples=1, checked=0, progress=False)


def names(generator: Generator, place: Path) -> None:
    """Names of files, any bytes but those that no disk takes, on their way into the report."""
    folder = Path(os.fsdecode(os.fsencode(place) + b"/" + name(generator)))
    folder.mkdir()
    beside = [name(generator) for _ in range(2)]
    for one in beside:
        path = os.fsencode(folder) + b"/" + one
        with open(path + b".png", "wb") as file:
            Image.new("RGB", (16, 16), "red").save(file, "PNG")
        if generator.random() < 0.5:
            Path(os.fsdecode(path + b"_mask.png")).write_bytes(Path(os.fsdecode(path + b".png")).read_bytes())
    read = read_folder(folder, folder if generator.random() < 0.5 else None, size=16)
    if len(read) != 2:
        return
    scores = results().scores.assign(image=results().scores["image"].map(dict(zip("ab", read.names, strict=True))))
    found = replace(results(), images=read, scores=scores)
    page = your_data_page.write_report(found, place / "r.html", resamples=19, shown=1, note=read.name)
    assert page.read_text("utf-8").count("<h3>") >= 1


def name(generator: Generator) -> bytes:
    """Return one to twenty bytes, letters of any script or nothing that is text."""
    if generator.random() < 0.5:
        found = bytes(generator.integers(0, 256, generator.integers(1, 20), dtype=np.uint8))
    else:
        letters = [
            "a",
            "é",
            "e\u0301",
            "<b>",
            "&",
            '"',
            "\n",
            "\u202e",
            "\U0001f600",
            "漢",
            "{{",
            "%",
            " ",
            "\\xe9",
            "_mask",
        ]
        found = "".join(letters[i] for i in generator.integers(0, len(letters), generator.integers(1, 8))).encode()
    return found.replace(b"\x00", b"0").replace(b"/", b"_").replace(b".", b"_")


@cache
def small_images() -> dict[str, bytes]:
    """Members of a file of small images with masks, as NumPy writes them."""
    buffer, generator = io.BytesIO(), np.random.default_rng(0)
    pixels = {
        f"{split}_{what}": generator.integers(0, 256, (3, 28, 28), np.uint8)
        for split in medmnist.SPLITS
        for what in ("images", "masks")
    }
    np.savez(buffer, **pixels, **{f"{split}_labels": np.array([[0], [1], [1]]) for split in medmnist.SPLITS})
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def of_small_images(generator: Generator, place: Path) -> None:
    members, buffer, where = dict(small_images()), io.BytesIO(), generator.random()
    name = list(members)[generator.integers(len(members))]
    if where < 0.5:  # the header, with the checksum that the member then has
        members[name] = mutated(generator, members[name][:128]) + members[name][128:]
    elif where < 0.8:
        members[name] = mutated(generator, members[name])
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    content = buffer.getvalue()
    (place / "a.npz").write_bytes(mutated(generator, content) if where >= 0.8 else content)
    data = medmnist.read(place / "a.npz", "breastmnist")
    medmnist.nearest_in_training(data)
    if data.test.truth:
        data.test.truth(0)


@cache
def films() -> dict[str, bytes]:
    """A small EGD-CXR: content by name."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_films(Path(folder) / "egd_cxr")
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.*"))}


def of_films(generator: Generator, place: Path) -> None:
    files = dict(films())
    name = list(files)[generator.integers(len(files))]
    if name.endswith(".csv"):
        files[name] = damaged(generator, name, files[name])
    elif generator.random() < 0.5:  # the header
        files[name] = mutated(generator, files[name][:600]) + files[name][600:]
    else:
        files[name] = mutated(generator, files[name])
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    egd_cxr.read(place, 16)


def of_scored_films(generator: Generator, place: Path) -> None:
    columns = [f"{letter}-{zone}" for letter in "SJ" for zone in brixia.ZONES]
    table = f"png512,url,{','.join(columns)}\npng512/a.png,u,{','.join('012301230123')}\n".encode()
    of_list = generator.random() < 0.5
    (place / "manifest.csv").write_bytes(damaged(generator, "manifest.csv", table) if of_list else table)
    (place / "LICENSE").write_text("CC BY-NC-SA 4.0")
    (place / "png512").mkdir()
    content = pictures()[0][1] if of_list else picture(generator)[1]
    (place / "png512/a.png").write_bytes(content)
    brixia.read(place, 16)


def of_quality(generator: Generator, place: Path) -> None:
    """A folder of photographs with labels of quality."""
    table = f"file,class,{','.join(REASONS)},tone,patient\na.png,Lesion,0,0,1,0,0,dark,p\na.png,No skin,0,0,0,0,0,,q\n"
    of_list = generator.random() < 0.6
    (place / "labels.csv").write_bytes(damaged(generator, "labels.csv", table.encode()) if of_list else table.encode())
    (place / "a.png").write_bytes(pictures()[0][1] if of_list else picture(generator)[1])
    read_quality(place, side=16)


LOADERS: dict[str, Callable[[Generator, Path], None]] = {
    "annotations in a folder": from_folder,
    "annotations in a zip": from_zip,
    "annotations in a tar": from_tar,
    "images": images,
    "masks": masks,
    "weights": of_weights,
    "names in the report": names,
    "small images": of_small_images,
    "chest films": of_films,
    "scored films": of_scored_films,
    "labels of quality": of_quality,
}


def attempt(loader: str, number: int, seed: int = 0) -> tuple[str, float]:
    """Try one input of a loader: return ``read`` or the sentence of refusal, and seconds. Anything else passes out."""
    generator = np.random.default_rng([seed, list(LOADERS).index(loader), number])
    place = Path(tempfile.mkdtemp(prefix="medxai_fuzz_")).resolve()
    start = time.monotonic()
    try:
        with warnings.catch_warnings(action="ignore"):
            LOADERS[loader](generator, place)
        said = "read"
    except DataError as error:
        said = str(error).replace(str(place), "")
    except Exception as error:
        raise AssertionError(f"{loader}, seed {seed}, input {number}: {type(error).__name__}: {error}") from error
    finally:
        shutil.rmtree(place)
    return said, time.monotonic() - start


def main(loader: str, count: int, seed: int) -> None:
    """Try many inputs under limits, go on after a failure, and print what was seen."""
    faulthandler.enable()
    attempt(loader, 0, seed + 1)  # what is loaded once is no input's memory
    start, seen, failed, slowest = peak(), Counter(), [], 0.0
    # What is addressed and never touched, such as the buffer for a length that a file claims, is no memory, but counts
    # for this limit, which keeps the machine alive whatever happens.
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * MEMORY, size + 4 * MEMORY))
    for number in range(count):
        faulthandler.dump_traceback_later(60, exit=True)
        before = peak()
        try:
            said, seconds = attempt(loader, number, seed)
        except AssertionError:
            failed.append(traceback.format_exc(limit=-4))
            continue
        slowest = max(slowest, seconds)
        seen["read" if said == "read" else "refused"] += 1
        if seconds > SECONDS or "\n" in said or len(said) > 600 or peak() - start > MEMORY > before - start:
            failed.append(f"{number}: {seconds:.1f} s: {said[:600]!r}")
    faulthandler.cancel_dump_traceback_later()
    report = {"loader": loader, "inputs": count, "seed": seed, **seen, "failed": len(failed)}
    report |= {"slowest in s": round(slowest, 2), "memory above the start in MB": round((peak() - start) / 2**20)}
    print(json.dumps(report), *failed[:30], sep="\n", flush=True)


def peak() -> int:
    """Most memory that this process has had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
