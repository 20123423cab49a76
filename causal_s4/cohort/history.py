"""The long table of covariates that change: whose value, when it was known, and never from the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_s4.cohort.columns import (
    absent_columns,
    counted,
    is_missing,
    name_rows,
    not_numbers,
    numbers_of,
)
from causal_s4.cohort.covariates import read_covariate
from causal_s4.errors import Problem
from causal_s4.results import Finding, Floats

TIME = "time"
"""The column of a history that holds the time from time zero at which a value became known."""


@dataclass(frozen=True, kw_only=True)
class ReadHistory:
    """A history by position of the patient in the table, or the reasons why there is none."""

    rows: pd.DataFrame | None = None
    problems: tuple[Problem, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_history(
    history: pd.DataFrame,
    *,
    id_column: str,
    ids: NDArray[Any],
    end: Floats,
    columns: Sequence[str] | None = None,
    excluded_ids: NDArray[Any],
) -> ReadHistory:
    """Read the long table of changing covariates.

    Parameters
    ----------
    history : DataFrame
        One row a visit: the column of the identifier, ``time``, and the covariates.
    id_column : str
        Name of the column of the identifier.
    ids : ndarray, shape (n,)
        Identifiers of the patients.
    end : ndarray, shape (n,)
        When each patient's follow-up ended; NaN where that is itself wrong.
    columns : sequence of str, optional
        The covariates that change; all further columns by default.
    excluded_ids : ndarray
        Patients of the file who are not in the cohort; their rows are left out.

    Returns
    -------
    ReadHistory
        With columns ``patient`` (position in ``ids``), ``time`` and the covariates, by patient and time.
    """
    if columns is None:
        columns = [str(name) for name in history.columns if name not in (id_column, TIME)]
    absent = absent_columns(history, [id_column, TIME, *columns])
    if absent:
        return ReadHistory(problems=tuple(_of_history(problem) for problem in absent))
    numbers = np.arange(1, len(history) + 1)
    table = history.reset_index(drop=True)
    if len(excluded_ids):
        kept = ~table[id_column].isin(excluded_ids).to_numpy()
        table, numbers = table[kept].reset_index(drop=True), numbers[kept]

    problems: list[Problem] = []
    patient = _patients(table[id_column], ids, numbers, problems)
    time = _times(table[TIME], numbers, problems)
    _check_order(patient, time, end, numbers, problems)

    findings: list[Finding] = []
    read_columns: dict[str, Any] = {"patient": patient, TIME: time}
    for name in columns:
        read = read_covariate(name, table[name], numbers)
        problems.extend(_of_history(problem) for problem in read.problems)
        findings.extend(read.findings)
        if read.values is not None:
            read_columns[name] = _plain(read.values)
        if read.missing.any():
            findings.append(_without_value(name, int(read.missing.sum())))
    if problems:
        return ReadHistory(problems=tuple(problems))
    rows = pd.DataFrame(read_columns).sort_values(["patient", TIME], kind="stable").reset_index(drop=True)
    return ReadHistory(rows=rows, findings=tuple(findings))


def _of_history(problem: Problem) -> Problem:
    return Problem(where=f"history, {problem.where}", found=problem.found, expected=problem.expected, todo=problem.todo)


def _patients(column: pd.Series[Any], ids: NDArray[Any], rows: NDArray[Any], problems: list[Problem]) -> NDArray[Any]:
    missing = is_missing(column)
    patient = pd.Index(ids).get_indexer(pd.Index(column)) if pd.Index(ids).is_unique else np.full(len(column), -1)
    unknown = (patient < 0) & ~missing
    where = f"history, {column.name}"
    if missing.any():
        problems.append(Problem(where=where, found=_found(missing, "without an identifier", rows)))
    if unknown.any() and pd.Index(ids).is_unique:
        text = {isinstance(value, str) for value in column[~missing]}
        differ = text != {isinstance(value, str) for value in ids} and unknown.sum() == (~missing).sum()
        problems.append(
            Problem(
                where=where,
                found=_found(unknown, "of patients who are not in the cohort's file", rows),
                expected="the identifiers of the cohort",
                todo="One file holds them as text, the other as numbers" if differ else "",
            )
        )
    return patient


def _times(column: pd.Series[Any], rows: NDArray[Any], problems: list[Problem]) -> Floats:
    time, strange = numbers_of(column)
    if strange.any():
        problems.append(_of_history(not_numbers(TIME, column, strange, rows)))
    for found, mask in (("without a time", is_missing(column)), ("with an infinite time", np.isinf(time))):
        if mask.any():
            problems.append(Problem(where=f"history, {TIME}", found=_found(mask, found, rows)))
    return np.where(np.isfinite(time), time, np.nan)


def _check_order(patient: NDArray[Any], time: Floats, end: Floats, rows: NDArray[Any], problems: list[Problem]) -> None:
    known = patient >= 0
    frame = pd.DataFrame({"patient": patient, "time": time})[known]
    step = frame.groupby("patient")["time"].diff()
    backward, repeated, future = (np.zeros(len(rows), dtype=bool) for _ in range(3))
    backward[known] = (step < 0).to_numpy()
    repeated[known] = frame.duplicated(["patient", "time"]).to_numpy() & frame["time"].notna().to_numpy()
    future[known] = time[known] > end[patient[known]]
    complaints = (
        (backward, "earlier than the row before of the same patient", "the visits of a patient in order of time", ""),
        (repeated, "at the same time as another of the same patient", "one row a visit", "Merge the rows of one visit"),
        (
            future,
            "after the patient's follow-up ended",
            "no value from the future",
            "Check the dates of death and last contact, or take the rows out",
        ),
    )
    for mask, found, expected, todo in complaints:
        if mask.any():
            found = _found(mask, found, rows)
            problems.append(Problem(where=f"history, {TIME}", found=found, expected=expected, todo=todo))


def _found(mask: NDArray[Any], what: str, rows: NDArray[Any]) -> str:
    return f"{counted(int(mask.sum()), 'row')} {what} ({name_rows(mask, rows)})"


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return true and false as such where complete, as 1 and 0 where some visits have no value."""
    if values.dtype != "boolean":
        return values
    return values.astype(float) if values.isna().any() else values.astype(bool)


def _without_value(name: str, count: int) -> Finding:
    return Finding(
        code="history-without-value",
        severity="note",
        step="cohort",
        message=f"{counted(count, 'visit')} in the history record no {name}; the value before is carried forward.",
        numbers={"column": name, "visits": count},
    )
