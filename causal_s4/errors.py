"""Every error the package raises on purpose, in one tree.

::

    CausalS4Error
    ├── InputError                what was given is wrong             exit status 2
    │   ├── UsageError                an argument or option
    │   ├── ProtocolError             study.toml
    │   ├── DagSyntaxError            dagitty text
    │   └── DataError                 a file, a column, values
    └── QuestionError             the cohort cannot answer this       exit status 3
        ├── NotIdentifiedError        no measured set closes the back-door paths
        ├── ImmortalTimeError         treatment starts after time zero under a fixed-arm design
        ├── OverlapError              the arms have no patients in common
        ├── SeparationError           a covariate predicts treatment perfectly
        ├── InfeasibleBalanceError    no weights reach the asked-for moments
        ├── NoEventsError             an arm without events or patients
        ├── BeyondFollowUpError       a horizon that an arm's follow-up does not reach
        └── ConvergenceError          an iteration that did not settle

An error says what was expected, what was found and what to do. Several problems found in one pass
travel together as :class:`Problem` values, so that one run names all of them. Messages hold row
numbers, column names and declared codes, never a patient's identifier or covariate values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, where it is, and what to do about it.

    Parameters
    ----------
    where : str
        Key path, column, or ``line:column`` the problem was found at.
    found : str
        What was found there.
    expected : str, optional
        What was expected instead.
    todo : str, optional
        What the reader can do.
    line : int, optional
        Line of the file, counted from 1.
    """

    where: str
    found: str
    expected: str = ""
    todo: str = ""
    line: int | None = None

    def __str__(self) -> str:
        """Return the problem as one sentence or two."""
        place = f"line {self.line}: {self.where}" if self.line is not None else self.where
        text = f"{place}: {self.found}" if place else self.found
        if self.expected:
            text += f"; expected {self.expected}"
        if self.todo:
            text += f". {self.todo}"
        return text


class CausalS4Error(Exception):
    """Root of every error raised on purpose.

    Parameters
    ----------
    message : str
        One sentence: what went wrong.
    problems : iterable of Problem, optional
        Everything found wrong in the same pass.

    Attributes
    ----------
    exit_status : int
        What the command line ends with.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, problems: Iterable[Problem] = ()) -> None:
        self.message = message
        self.problems = tuple(problems)
        super().__init__(message)

    def __str__(self) -> str:
        """Return the message, then one line for each problem."""
        return "\n".join([self.message, *(f"  - {problem}" for problem in self.problems)])


class InputError(CausalS4Error):
    """What was given is wrong: an argument, a file, a column, the protocol."""

    exit_status = 2


class UsageError(InputError):
    """An argument that is missing, unknown, or would have no effect."""


class ProtocolError(InputError):
    """A study file that does not state a valid question."""


class DagSyntaxError(InputError):
    """Text that is not a directed acyclic graph in dagitty syntax."""


class DataError(InputError):
    """A table whose columns or values are not what the protocol declared."""


class QuestionError(CausalS4Error):
    """The question is well put, but this cohort cannot answer it as asked."""

    exit_status = 3


class NotIdentifiedError(QuestionError):
    """No set of measured covariates closes every back-door path."""


class ImmortalTimeError(QuestionError):
    """Treatment starts after time zero and the design ignores it."""


class OverlapError(QuestionError):
    """The arms share no range of the propensity score."""


class SeparationError(QuestionError):
    """A covariate, or a combination, predicts treatment perfectly."""


class InfeasibleBalanceError(QuestionError):
    """No weights on the patients of an arm reach the target moments."""


class NoEventsError(QuestionError):
    """An arm has no patients or no events, so there is nothing to compare."""


class BeyondFollowUpError(QuestionError):
    """A horizon lies beyond what an arm was followed for."""


class ConvergenceError(QuestionError):
    """An iterative fit did not settle."""
