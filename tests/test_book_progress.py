"""What a build says of itself: where its steps stand, how long they will take, one line at a time."""

import io
import json
from pathlib import Path

import pytest

from medxai.book import progress

BUDGETS = {"study a": 100.0, "chapter a": 40.0, "site": 20.0}


def jobs(*events: dict) -> dict[str, progress.Job]:
    return progress.jobs([{"time": 1000.0, "due": list(BUDGETS)}, *events], BUDGETS.get)


def job(name: str, time: float, **what: object) -> dict:
    return {"job": name, "time": time, **what}


def test_events_are_read_as_written_and_half_of_one_is_left_for_later(tmp_path: Path) -> None:
    file = tmp_path / "progress.jsonl"
    assert progress.read(file) == []
    progress.append(file, due=["site"])
    progress.append(file, job="site", doing="begins")
    with file.open("a") as stream:
        stream.write(json.dumps({"job": "site"})[:5])
    assert [set(event) for event in progress.read(file)] == [{"time", "due"}, {"time", "job", "doing"}]


def test_before_it_is_known_what_is_due() -> None:
    assert progress.line({}, 2, 0.0) == "Looking for what has changed"


def test_a_line_says_how_many_are_done_what_runs_and_how_long_it_takes() -> None:
    assert progress.line(jobs(), 2, 1000.0) == (
        "0 of 3 steps done, about 1 min 40 s left. loading what the next ones need"
    )
    found = jobs(job("study a", 1000.0, doing="trial 1 of 2, x"))
    assert progress.line(found, 2, 1030.0) == "0 of 3 steps done, about 1 min 10 s left. study a: trial 1 of 2, x"
    assert progress.line(found, 1, 1030.0).startswith("0 of 3 steps done, about 2 min 10 s left. ")
    found = jobs(*(job(name, 1000.0, seconds=BUDGETS[name]) for name in BUDGETS))
    assert progress.line(found, 2, 1200.0) == "3 of 3 steps done."


def test_a_slow_machine_takes_longer_for_the_rest_too() -> None:
    done = jobs(job("study a", 1000.0, doing="begins"), job("study a", 1300.0, seconds=300.0))
    assert progress.left(done, 2, 1300.0) == 3 * 40


def test_a_step_may_find_that_most_of_it_is_stored() -> None:
    found = jobs(job("study a", 1000.0, doing="begins"), job("study a", 1010.0, expected=10.0))
    assert progress.left(found, 2, 1010.0) == 40


def test_a_step_that_takes_longer_than_expected_is_not_done_yet() -> None:
    assert jobs(job("study a", 1000.0, doing="x"))["study a"].left(5000.0) == 10.0


def test_no_estimate_where_nobody_knows() -> None:
    found = progress.jobs([{"time": 1.0, "due": ["site"]}, job("chapter b", 1.0, doing="cell 1 of 9")], {}.get)
    assert progress.line(found, 2, 5.0) == "0 of 2 steps done. chapter b: cell 1 of 9"


def test_a_failed_step_has_ended() -> None:
    found = jobs(job("study a", 1000.0, doing="x"), job("study a", 1010.0, failed="study a: no"))
    assert progress.line(found, 2, 1010.0).startswith("1 of 3 steps done, about 40 s left.")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (62, "1 min 00 s"), (117, "2 min 00 s"), (3725, "62 min 00 s")]
)
def test_clock(seconds: float, words: str) -> None:
    assert progress.clock(seconds) == words


class Terminal(io.StringIO):
    """A stream on which lines can be overwritten."""

    def isatty(self) -> bool:
        return True


def test_lines_come_now_and_then_where_they_cannot_be_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    screen = progress.Screen(stream)
    for seconds, news in [(0, True), (1, True), (3, True), (9, False), (13.5, False), (14, True)]:
        clock[0] = 100.0 + seconds
        screen.show(f"{seconds}", news=news)
    screen.close()
    assert stream.getvalue() == "0\n3\n13.5\n"


def test_a_terminal_has_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    screen = progress.Screen(stream)
    screen.show("first", news=False)
    screen.show("a line that is too long", news=False)
    screen.close()
    assert stream.getvalue() == "\r\x1b[Kfirst\r\x1b[Ka line that is too…\r\x1b[K"
