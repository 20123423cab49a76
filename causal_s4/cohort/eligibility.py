"""Who is eligible: conditions applied in order, each counted, no one left out without a line for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from causal_s4.cohort.columns import (
    Mask,
    absent_columns,
    is_missing,
    matches,
    named_codes,
    not_numbers,
    numbers_of,
    otherwise_spelled,
    spelled,
    tally,
)
from causal_s4.errors import DataError, NoEventsError, Problem
from causal_s4.results import AttritionStep, Floats, Ints

FIRST_STEP = "Patients in the file"


class Condition(Protocol):
    """What is read of a condition of the protocol; a part left out is None."""

    @property
    def at_least(self) -> float | None: ...  # noqa: D102
    @property
    def at_most(self) -> float | None: ...  # noqa: D102
    @property
    def above(self) -> float | None: ...  # noqa: D102
    @property
    def below(self) -> float | None: ...  # noqa: D102
    @property
    def equals(self) -> Any: ...  # noqa: D102
    @property
    def not_equals(self) -> Any: ...  # noqa: D102
    @property
    def in_(self) -> Sequence[Any] | None: ...  # noqa: D102
    @property
    def not_in(self) -> Sequence[Any] | None: ...  # noqa: D102
    @property
    def known(self) -> bool | None: ...  # noqa: D102
    def describe(self, column: str) -> str: ...  # noqa: D102


_COMPARISONS = {
    "at_least": np.greater_equal,
    "at_most": np.less_equal,
    "above": np.greater,
    "below": np.less,
}


def apply_eligibility(
    frame: pd.DataFrame, conditions: Mapping[str, Condition]
) -> tuple[pd.DataFrame, tuple[AttritionStep, ...]]:
    """Keep the eligible patients, one condition after the other.

    A patient without a value for a condition is excluded, on a line of her own in the flow.

    Parameters
    ----------
    frame : DataFrame
        One row a patient.
    conditions : mapping of str to Condition
        Column to what is asked of it, in the order of the flow chart.

    Returns
    -------
    eligible : DataFrame
        Rows of ``frame``, with their index.
    attrition : tuple of AttritionStep
        The patients in the file, then each condition.

    Raises
    ------
    DataError
        Naming every condition that cannot be applied: no such column, text where numbers are
        compared, a value that occurs only as another type.
    NoEventsError
        When nobody is eligible.
    """
    problems = absent_columns(frame, list(conditions))
    rows = np.arange(1, len(frame) + 1)
    stages: list[tuple[str, Mask]] = []
    for name, condition in conditions.items():
        if name not in frame.columns:
            continue
        column = frame[name]
        trouble = _trouble(name, column, condition, rows)
        problems += trouble
        if not trouble:
            stages += _stages(name, column, condition)
    if problems:
        raise DataError("the eligibility conditions cannot be applied", problems)

    keep = np.ones(len(frame), dtype=bool)
    steps = [AttritionStep(step=FIRST_STEP, n=len(frame), excluded=0)]
    for step, holds in stages:
        excluded = int((keep & ~holds).sum())
        keep &= holds
        steps.append(AttritionStep(step=step, n=int(keep.sum()), excluded=excluded))
    if not keep.any():
        flow = [Problem(where=step.step, found=f"{step.n:,} left, {step.excluded:,} excluded") for step in steps]
        raise NoEventsError("no patient is eligible", flow)
    return frame[keep], tuple(steps)


def _stages(name: str, column: pd.Series[Any], condition: Condition) -> list[tuple[str, Mask]]:
    """Return the lines that a condition adds to the flow, each with whom it lets pass."""
    known = ~is_missing(column)
    others = _passes(column, condition)
    if others is None:
        return [(condition.describe(name), known)]
    recorded = [(f"{name} is recorded", known)] if condition.known or not known.all() else []
    return [*recorded, (condition.describe(name), others)]


def _passes(column: pd.Series[Any], condition: Condition) -> Mask | None:
    """Return who meets a condition, or None when it asks for nothing but a known value."""
    asked: list[Mask] = []
    numbers: Floats = numbers_of(column)[0]
    for part, compare in _COMPARISONS.items():
        bound = getattr(condition, part)
        if bound is not None:
            asked.append(compare(numbers, bound))
    for values, wanted in _named_values(condition):
        found = np.logical_or.reduce([matches(column, value) for value in values])
        asked.append(found if wanted else ~found)
    return np.logical_and.reduce(asked) if asked else None


def _named_values(condition: Condition) -> list[tuple[Sequence[Any], bool]]:
    """Return the values a condition names, and whether they are eligible or not."""
    parts: list[tuple[Sequence[Any] | None, bool]] = [
        (None if condition.equals is None else (condition.equals,), True),
        (None if condition.not_equals is None else (condition.not_equals,), False),
        (condition.in_, True),
        (condition.not_in, False),
    ]
    return [(values, wanted) for values, wanted in parts if values is not None]


def _trouble(name: str, column: pd.Series[Any], condition: Condition, rows: Ints) -> list[Problem]:
    """Return why a condition cannot be applied to a column."""
    if any(getattr(condition, part) is not None for part in _COMPARISONS):
        strange = numbers_of(column)[1]
        if strange.any():
            return [not_numbers(name, column, strange, rows)]
    problems = []
    codes = tally(column)
    for values, wanted in _named_values(condition):
        for value in values:
            if matches(column, value).any():
                continue
            hint = otherwise_spelled(value, codes)
            if hint or (wanted and len(values) == 1):
                found = f"no patient has the value {spelled(value)}; the column holds {named_codes(codes)}"
                problems.append(Problem(where=name, found=found, todo=hint))
    return problems
