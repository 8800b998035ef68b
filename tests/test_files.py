"""What several processes want is made once."""

import time
from concurrent.futures import ThreadPoolExecutor

from medxai import files


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
