"""What was known of a changing covariate at a time: the last value before, carried forward, never a later one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_s4.cohort import Cohort
from causal_s4.errors import Problem, UsageError
from causal_s4.protocol.vocabulary import TimeUnit
from causal_s4.protocol.words import did_you_mean, quoted
from causal_s4.results import Floats, Ints

MISSING = "missing"
"""The level of a patient without an assessment, or with none recent enough."""
_MAX_CARRY_DAYS = 365.0


def carry_limit(max_carry: float | None, unit: TimeUnit) -> float:
    """Return how long a value is carried forward: a year unless said otherwise.

    Raises
    ------
    UsageError
        Unless it is above zero.
    """
    if max_carry is None:
        return _MAX_CARRY_DAYS / unit.in_days
    if not max_carry > 0:
        raise UsageError(f"max_carry must be above zero (infinite for no limit); found {max_carry!r}")
    return float(max_carry)


def check_time_varying(cohort: Cohort, names: Sequence[str]) -> None:
    """Refuse covariates that the cohort's history does not have, naming all of them.

    Raises
    ------
    UsageError
    """
    if not names:
        return
    if cohort.history is None:
        raise UsageError(f"time-varying covariates need a history of visits; found none for {', '.join(names)}")
    known = [str(name) for name in cohort.history.columns if name not in ("patient", "time")]
    problems = [
        Problem(where=name, found="no such column in the history", todo=did_you_mean(name, known))
        for name in names
        if name not in known
    ]
    if problems:
        raise UsageError("some time-varying covariates are not in the history", problems)


def visit_times(cohort: Cohort, names: Sequence[str], limit: float) -> tuple[Ints, Floats]:
    """Return when something may change for a patient: each visit, and when its values grow too old.

    Returns
    -------
    patient : ndarray of int, shape (m,)
    time : ndarray, shape (m,)
    """
    if not names or cohort.history is None:
        return np.empty(0, dtype=np.int64), np.empty(0)
    patient = cohort.history["patient"].to_numpy(dtype=np.int64)
    time = cohort.history["time"].to_numpy(dtype=float)
    if not np.isfinite(limit):
        return patient, time
    everyone = np.arange(len(cohort))  # values of time zero grow too old as well
    return (
        np.concatenate([patient, patient, everyone]),
        np.concatenate([time, time + limit, np.full(len(cohort), limit)]),
    )


def carried_forward(
    cohort: Cohort, names: Sequence[str], patient: Ints, time: Floats, limit: float
) -> dict[str, NDArray[Any] | pd.Categorical]:
    """Return the columns that hold the last values known at given times.

    A value of time t counts at t and later, until the next one or until ``limit`` has passed. Whoever has
    a column of that name at time zero has that value until the first visit.

    Parameters
    ----------
    cohort : Cohort
    names : sequence of str
        Columns of the history.
    patient : ndarray of int, shape (m,)
    time : ndarray, shape (m,)
        When: the start of a (start, stop] row, so that the value is older than anything in the row.
    limit : float
        How long a value is carried.

    Returns
    -------
    dict of str to array, shape (m,)
        One column a name, with the level ``"missing"`` if it is text; numbers have 0 there, and a second
        column, ``NAME missing``, when there are any.
    """
    columns: dict[str, NDArray[Any] | pd.Categorical] = {}
    assert cohort.history is not None
    for name in names:
        known, row = _last_known(cohort, name, patient, time, limit)
        values = _visits(cohort, name)[2]
        if isinstance(values.dtype, pd.CategoricalDtype):
            levels = [*map(str, values.cat.categories)]
            texts = np.asarray(values.astype(str), dtype=object)
            taken = np.full(len(patient), MISSING, dtype=object)
            taken[known] = texts[row[known]]
            columns[name] = pd.Categorical(taken, [*levels, *([] if MISSING in levels else [MISSING])])
            continue
        numbers = np.zeros(len(patient))
        numbers[known] = values.to_numpy(dtype=float)[row[known]]
        columns[name] = numbers
        if not known.all():
            columns[f"{name} missing"] = (~known).astype(float)
    return columns


def first_known(cohort: Cohort, values: Mapping[str, Sequence[Any]]) -> Floats:
    """Return when one of the given values was first known of each patient, infinite if never.

    Parameters
    ----------
    cohort : Cohort
    values : mapping of str to sequence
        Columns of the history and values, text or numbers as the column holds them.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    UsageError
        For a column that the history does not have, or a value that it does not hold.
    """
    check_time_varying(cohort, tuple(values))
    first = np.full(len(cohort), np.inf)
    problems = []
    for name, wanted in values.items():
        visitor, when, seen = _visits(cohort, name)
        held = seen.astype(str) if isinstance(seen.dtype, pd.CategoricalDtype) else seen.astype(float)
        for value in wanted:
            matches = (held == value).to_numpy()
            if not matches.any():
                todo = did_you_mean(str(value), sorted(map(str, held.unique())))
                problems.append(Problem(where=name, found=f"no visit has the value {quoted(value)}", todo=todo))
            np.minimum.at(first, visitor[matches], when[matches])
    if problems:
        raise UsageError("some values that should release from treatment are not in the history", problems)
    return first


def _visits(cohort: Cohort, name: str) -> tuple[Ints, Floats, pd.Series[Any]]:
    """Return patient, time and value of the visits that record something, time zero's own value first."""
    assert cohort.history is not None
    seen = cohort.history.loc[cohort.history[name].notna(), ["patient", "time", name]]
    if name in cohort.covariates.columns:
        first = pd.DataFrame({"patient": np.arange(len(cohort)), "time": 0.0, name: cohort.covariates[name].to_numpy()})
        later = seen[seen["time"] > 0]
        # a visit at time zero is the same assessment as the baseline column, and takes its place
        at_zero = seen[seen["time"] <= 0]
        first = first[~first["patient"].isin(at_zero["patient"])]
        seen = pd.concat([at_zero, first, later])
    seen = seen.sort_values(["patient", "time"], kind="stable")
    values = seen[name]
    if not pd.api.types.is_numeric_dtype(values.dtype) and not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("category")
    return seen["patient"].to_numpy(dtype=np.int64), seen["time"].to_numpy(dtype=float), values


def _last_known(cohort: Cohort, name: str, patient: Ints, time: Floats, limit: float) -> tuple[NDArray[np.bool_], Ints]:
    """Return whether a value is known at each time, and in which visit."""
    visitor, when, _ = _visits(cohort, name)
    if not len(visitor):
        return np.zeros(len(patient), dtype=bool), np.zeros(len(patient), dtype=np.int64)
    ranks = np.unique(np.concatenate([when, time]))
    size = len(ranks)
    visits = visitor * size + np.searchsorted(ranks, when)
    row = np.searchsorted(visits, patient * size + np.searchsorted(ranks, time), side="right") - 1
    row = np.maximum(row, 0)
    known = (visitor[row] == patient) & (when[row] <= time) & (time - when[row] < limit * (1 - 1e-9))
    return known, row
