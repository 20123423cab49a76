"""The treatment of a table: its two declared values, and when it started."""

from __future__ import annotations

from typing import Any

import numpy as np

from causal_s4.cohort.columns import (
    alike,
    counted,
    is_missing,
    matches,
    named_codes,
    not_numbers,
    numbers_of,
    otherwise_spelled,
    spelled,
    tally,
)
from causal_s4.cohort.inspection import Inspection
from causal_s4.results import Floats, Ints


def read_arms(table: Inspection, name: str, treated: Any, control: Any) -> Ints:
    """Read the treatment as 1 and 0; -1 where it is neither of the declared values."""
    arm = np.full(len(table), -1, dtype=np.int64)
    column = table.column(name)
    if column is None:
        return arm
    if alike(treated, control):
        table.problem(name, f"treated and control are both {spelled(treated)}", expected="two different values")
        return arm
    arm[matches(column, treated)], arm[matches(column, control)] = 1, 0
    missing = is_missing(column)
    todo = "Find out, or exclude them by the eligibility condition known = true"
    table.complain(name, [(missing, "without a treatment", todo)])
    other = (arm < 0) & ~missing
    if other.any():
        found = tally(column)
        declared = [value for value, code in ((treated, 1), (control, 0)) if not (arm == code).any()]
        hints = dict.fromkeys(otherwise_spelled(value, found) for value in declared)
        todo = ". ".join(hint for hint in hints if hint)
        table.problem(
            name,
            f"{counted(int(other.sum()), 'patient')} with a value other than the two declared: "
            f"{named_codes(tally(column[other]))}",
            other,
            expected=f"{spelled(treated)} (treated) or {spelled(control)} (control)",
            todo=todo or "Exclude them by an eligibility condition; arms are compared two at a time",
        )
    return arm


def read_start(table: Inspection, name: str | None, end: Floats, arm: Ints | None = None) -> Floats | None:
    """Read the time to treatment: infinite for those never treated.

    Parameters
    ----------
    table : Inspection
        The table.
    name : str or None
        Column of the time from time zero to treatment.
    end : ndarray, shape (n,)
        End of follow-up.
    arm : ndarray of int, shape (n,), optional
        1 treated, 0 control, where the column says when the treated were treated.
    """
    column = table.column(name) if name else None
    if name is None or column is None:
        return None
    start, strange = numbers_of(column)
    if strange.any():
        table.problems.append(not_numbers(name, column, strange, table.rows))
    empty = is_missing(column)
    never = "Leave the cell empty where treatment never started"
    complaints = [
        (np.isinf(start), "with an infinite time to treatment", never),
        (start < 0, "treated before time zero", "They are not eligible, or time zero is another one"),
        (
            np.isfinite(start) & (start > end),
            "treated after the end of follow-up",
            "Check the dates of treatment, death and last contact",
        ),
    ]
    if arm is not None:
        complaints += [
            ((arm == 1) & empty, "treated, but without a start of treatment", "Give the time to treatment"),
            ((arm == 0) & ~empty, "not treated, but with a start of treatment", never),
        ]
    table.complain(name, complaints)
    return np.where(empty, np.inf, start)
