"""Exercise checks: say whether an answer is right and, for the typical mistakes, which one was made.

A chapter's module (``medxai.checks.dataset`` ...) makes one :class:`Check` per exercise, called ``check_<exercise>``.
"""

import copy
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from medxai.checks.compare import DIGITS, EXACT, Malformed, rounded, same

ICONS = {"unanswered": "○", "right": "✓", "wrong": "✗", "malformed": "!"}
TITLES = {"unanswered": "Not answered yet", "right": "Right", "wrong": "Not right yet", "malformed": "Not an answer"}

ROUNDED = f"This is right as far as it goes, but it is rounded: give at least {DIGITS} significant digits."


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer."""

    value: Callable[..., Any]
    """Computes it from the arguments of the reference; where the answer is a function, this is the wrong function."""
    why: str
    """What is wrong and what to think about; does not tell the solution."""


@dataclass(frozen=True)
class Result:
    """What a check says: `state` is ``unanswered``, ``right``, ``wrong`` or ``malformed``; shown as HTML or text."""

    state: str
    message: str

    def __repr__(self) -> str:
        return f"{ICONS[self.state]} {TITLES[self.state]}. {self.message}"

    def _repr_html_(self) -> str:
        return (
            f'<div class="exercise-check {self.state}" role="status" style="border-left: .3rem solid; padding: .3rem">'
            f'<span aria-hidden="true">{ICONS[self.state]}</span> <strong>{TITLES[self.state]}.</strong> '
            f"{escape(self.message)}</div>"
        )


@dataclass(frozen=True)
class Check:
    """One exercise's check. Calling it never raises and never tells the solution."""

    reference: Callable[..., Any]
    """Computes the right answer; it also fixes what kind of answer is accepted (`medxai.checks.compare.same`)."""
    mistakes: tuple[Mistake, ...]
    """The most specific first."""
    example: Callable[[], tuple]
    """Returns arguments on which the right answer and all mistakes differ; the tests feed each of them."""
    hint: str
    """What to think about when the answer is wrong in no known way."""
    meaning: Callable[..., str]
    """Says in one sentence what the right answer means, given it and the arguments."""
    is_function: bool = False
    """Whether the answer is a function of the check's arguments instead of its value."""

    def __call__(self, answer: Any, *arguments: Any) -> Result:
        """Judge `answer`; `arguments` are the data of the exercise, as the chapter gives them."""
        try:
            value = self._value(answer, arguments)
        except NotImplementedError:
            value = None
        except Exception as error:
            return Result("malformed", f"Your function stopped with {type(error).__name__}: {error}")
        if value is None or value is ...:
            return Result("unanswered", "Put your answer in place of the three dots and run the cell again.")
        try:
            return self._judge(value, arguments)
        except Malformed as problem:
            return Result("malformed", str(problem))
        except Exception as error:
            return Result("malformed", f"The check could not run on these data ({type(error).__name__}: {error}).")

    def _value(self, answer: Any, arguments: tuple) -> Any:
        if not self.is_function or answer is None or answer is ...:
            return answer
        if not callable(answer):
            raise TypeError("a function is expected, not its value")
        return answer(*copy.deepcopy(arguments))  # it may write into them

    def _judge(self, value: Any, arguments: tuple) -> Result:
        right = self.reference(*arguments)
        for digits in (EXACT, DIGITS):  # a mistake that comes near the right answer is still a mistake
            if same(value, right, digits):
                return Result("right", self.meaning(right, *arguments))
            if digits == DIGITS and rounded(value, right):
                return Result("wrong", ROUNDED)
            for mistake in self.mistakes:
                if self._made(mistake, value, arguments, digits):
                    return Result("wrong", mistake.why)
        return Result("wrong", self.hint)

    def _made(self, mistake: Mistake, value: Any, arguments: tuple, digits: int) -> bool:
        try:
            return same(value, mistake.value(*arguments), digits)
        except Exception:  # a mistake need not be possible on every data set
            return False


def registered() -> dict[str, Check]:
    """Return every chapter's checks; the keys are ``<chapter>.<name of the variable>``."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return {
        f"{module.__name__.removeprefix(__name__ + '.')}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Check)
    }
