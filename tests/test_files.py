"""What several processes want is made once; a place that cannot be written is told before the work."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from medxai import files
from medxai.errors import DataError


def test_of_four_that_want_a_file_one_makes_it(tmp_path):
    made = []

    def make():
        made.append(1)
        time.sleep(0.05)
        return b"content"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: files.once(tmp_path / "folder" / "file", make), range(4)))
    assert made == [1]
    assert (tmp_path / "folder" / "file").read_bytes() == b"content"


def test_one_that_fails_lets_the_next_try(tmp_path):
    for content in (ZeroDivisionError, b"content"):
        try:
            files.once(tmp_path / "file", lambda content=content: content if isinstance(content, bytes) else 1 / 0)
        except ZeroDivisionError:
            assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_place_that_cannot_be_written_is_refused_and_a_good_one_left_as_it_was(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    files.check_place(tmp_path / "file")
    files.check_place(tmp_path / "new" / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert not list((tmp_path / "new").iterdir())
    for place, why in ((tmp_path / ("x" * 300), "File name too long"), (tmp_path / "file" / "in", "")):
        with pytest.raises(DataError, match=rf"cannot be written \(.*{why}.*\): choose another place"):
            files.check_place(place)


def test_a_digest_tells_of_large_files_wherever_they_lie(tmp_path):
    told = []
    for place in ("one", "other"):
        folder = tmp_path / place / "photographs"
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(b"1234")
        told.append(files.digest_with("before", [folder / "a.jpg"]))
    assert told[0] == told[1] != "before"
    (folder / "a.jpg").write_bytes(b"12345")
    assert files.digest_with("before", [folder / "a.jpg"]) != told[1]
    assert files.digest_with("before", []) == "before"
