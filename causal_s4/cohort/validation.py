"""A table becomes a :class:`Cohort` in one pass, or one error names everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_s4.cohort.arms import read_arms, read_start
from causal_s4.cohort.columns import Mask, absent_columns, counted, is_missing, spelled
from causal_s4.cohort.covariates import ReadColumn, constant_covariates, levels_in_one_arm, read_covariate
from causal_s4.cohort.history import read_history
from causal_s4.cohort.inspection import Inspection
from causal_s4.cohort.outcomes import end_of_follow_up, read_outcome
from causal_s4.cohort.values import Cohort
from causal_s4.errors import DataError, NoEventsError, Problem, UsageError
from causal_s4.protocol.vocabulary import TimeUnit
from causal_s4.protocol.words import did_you_mean, one_of
from causal_s4.results import AttritionStep, Finding, Floats, Ints, read_only

MISSING = ("refuse", "complete-case", "impute")
ZERO_TIME = ("refuse", "half")


def build_cohort(
    frame: pd.DataFrame,
    *,
    id: str | None,
    treatment: str,
    treated: Any,
    control: Any,
    outcomes: Sequence[Mapping[str, Any]],
    time_unit: str,
    covariates: Sequence[str],
    treatment_start: str | None = None,
    non_protocol_start: str | None = None,
    history: pd.DataFrame | None = None,
    missing: str = "refuse",
    zero_time: str = "refuse",
    treatment_name: str | None = None,
    treated_label: str | None = None,
    control_label: str | None = None,
    attrition: Sequence[AttritionStep] = (),
    findings: Sequence[Finding] = (),
    rows: Ints | None = None,
    history_columns: Sequence[str] | None = None,
    excluded_ids: Iterable[Any] = (),
) -> Cohort:
    """Validate a table and make a cohort of it.

    Parameters
    ----------
    frame : DataFrame
        One row a patient.
    id : str or None
        Column of the identifier; without it, rows are patients.
    treatment : str
        Column of the treatment.
    treated, control : scalar
        Its two values. A number stands for equal numbers and, if 0 or 1, for false and true; text
        stands for the same text only.
    outcomes : sequence of mapping
        Each with ``name``, ``time``, ``event``, ``event_value`` and, optionally,
        ``competing_value``; the first is primary. One further code may stand in the event column:
        that of censoring.
    time_unit : {"days", "weeks", "months", "years"}
        Unit of every time column.
    covariates : sequence of str
        Baseline covariates.
    treatment_start : str, optional
        Column of the time from time zero to treatment: a number for the treated, empty for the others.
    non_protocol_start : str, optional
        Column of the time to treatment outside the strategies compared; empty for none.
    history : DataFrame, optional
        One row a visit: the column of the identifier, ``time``, and the covariates that change.
        Rows of one patient in order of time, none after the end of follow-up.
    missing : {"refuse", "complete-case", "impute"}
        What to do with a patient who has no value for a covariate.
    zero_time : {"refuse", "half"}
        What to do with a follow-up time of zero: ``half`` adds half a time unit.
    treatment_name, treated_label, control_label : str, optional
        Labels for reports; the treatment's column, "Treated" and "Control" by default.
    attrition : sequence of AttritionStep
        The flow that led to this table.
    findings : sequence of Finding
        What was noticed on the way to this table.
    rows : ndarray of int, shape (n,), optional
        What the rows are called in messages: 1..n by default.
    history_columns : sequence of str, optional
        The covariates of the history; all its further columns by default.
    excluded_ids : iterable, optional
        Patients who were excluded before; their rows of the history are left out.

    Returns
    -------
    Cohort

    Raises
    ------
    UsageError
        When an option has no meaning.
    DataError
        Naming every problem found in the table at once.
    NoEventsError
        When the table is sound but has no patient in an arm, or no event.
    """
    _refuse_unknown("missing", missing, MISSING)
    _refuse_unknown("zero_time", zero_time, ZERO_TIME)
    _refuse_unknown("time_unit", str(time_unit), [unit.value for unit in TimeUnit])
    if not isinstance(frame, pd.DataFrame):
        raise UsageError(f"a cohort is made from a pandas DataFrame, not from a {type(frame).__name__}")
    if not outcomes:
        raise UsageError("a cohort needs at least one outcome")
    if not len(frame):
        raise DataError("the table holds no patients")
    unit = TimeUnit(str(time_unit))
    table = Inspection(frame, rows)

    _check_columns(table, id, treatment, treatment_start, non_protocol_start, outcomes, covariates)
    ids = _read_ids(table, id)
    arm = read_arms(table, treatment, treated, control)
    measured = [read_outcome(table, outcome, zero_time, unit) for outcome in outcomes]
    start = read_start(table, treatment_start, end_of_follow_up(measured), arm)
    other_start = read_start(table, non_protocol_start, end_of_follow_up(measured))
    columns = _read_covariates(table, covariates)
    visits = _read_history(table, history, history_columns, id, ids, end_of_follow_up(measured), excluded_ids)
    keep = _complete_cases(table, columns, missing)
    baseline = _baseline(columns, keep)
    table.problems.extend(constant_covariates(baseline))
    if table.problems:
        problems = dict.fromkeys(table.problems)  # two outcomes may share a column, and its problem
        raise DataError(f"the table cannot be used as declared ({counted(len(problems), 'problem')})", problems)

    labels = (control_label or "Control", treated_label or "Treated")
    _refuse_nothing_to_compare(treatment, labels, arm[keep], [(o.name, o.event[keep]) for o in measured])
    steps = [*attrition] or [AttritionStep(step="Patients in the table", n=len(table), excluded=0)]
    if missing == "complete-case":
        steps.append(AttritionStep(step="Complete covariates", n=int(keep.sum()), excluded=int((~keep).sum())))
    cohort = Cohort(
        ids=ids,
        treatment=arm,
        outcomes=tuple(measured),
        covariates=pd.DataFrame(index=range(len(table))),
        time_unit=unit,
        treatment_name=treatment_name or treatment,
        treated_label=labels[1],
        control_label=labels[0],
        treatment_start=start,
        non_protocol_start=other_start,
        history=visits,
        attrition=tuple(steps),
        findings=(*findings, *table.findings, *levels_in_one_arm(baseline, arm[keep], labels)),
        missing={name: int(column.missing.sum()) for name, column in columns.items() if column.missing.any()},
    ).take(keep)
    return replace(cohort, ids=read_only(cohort.ids), covariates=baseline)


def _refuse_unknown(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        hint = did_you_mean(value, known)
        message = f"{option} = {spelled(value)} has no meaning; expected {one_of(known)}"
        raise UsageError(f"{message}. {hint}" if hint else message)


# --- columns and identifiers -------------------------------------------------------------------


def _check_columns(
    table: Inspection,
    id_column: str | None,
    treatment: str,
    start: str | None,
    other_start: str | None,
    outcomes: Sequence[Mapping[str, Any]],
    covariates: Sequence[str],
) -> None:
    """Name columns that are absent, ambiguous, or asked to be two things at once."""
    roles = {treatment: "the treatment"}
    roles |= {id_column: "the identifier"} if id_column else {}
    roles |= {start: "the start of treatment"} if start else {}
    roles |= {other_start: "the start of treatment outside the strategies"} if other_start else {}
    for outcome in outcomes:
        roles |= {outcome["time"]: "the time of an outcome", outcome["event"]: "the event of an outcome"}
    listed, names = list(covariates), [outcome["name"] for outcome in outcomes]
    needed = dict.fromkeys([*roles, *listed])
    table.problems.extend(absent_columns(table.frame, list(needed)))
    for name in needed:
        count = int((table.frame.columns == name).sum())
        if count > 1:
            table.problem(name, f"{count} columns of this name", expected="one", todo="Rename the others")
    for name in dict.fromkeys(listed):
        if name in roles:
            table.problem(name, f"is {roles[name]}, and cannot be a covariate as well")
        if listed.count(name) > 1:
            table.problem(name, "is listed as a covariate more than once", expected="each covariate once")
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            table.problem(name, f"{names.count(name)} outcomes of this name", expected="one name for each outcome")


def _read_ids(table: Inspection, name: str | None) -> NDArray[Any]:
    column = table.column(name) if name else None
    if name is None or column is None:
        return np.arange(1, len(table) + 1)
    missing = is_missing(column)
    table.complain(name, [(missing, "without an identifier", "Give every patient one of their own")])
    repeated = column.duplicated(keep=False).to_numpy() & ~missing
    if repeated.any():
        several = counted(int(column[repeated].nunique()), "identifier")
        found = f"{several} on more than one row, {int(repeated.sum()):,} rows in all"
        todo = "Keep one row a patient; visits over time belong in a history"
        table.problem(name, found, repeated, expected="one row a patient", todo=todo)
    return column.to_numpy()


# --- covariates --------------------------------------------------------------------------------


def _read_covariates(table: Inspection, names: Sequence[str]) -> dict[str, ReadColumn]:
    columns: dict[str, ReadColumn] = {}
    for name in dict.fromkeys(names):
        column = table.column(name)
        if column is not None:
            columns[name] = read_covariate(name, column, table.rows)
            table.problems.extend(columns[name].problems)
            table.findings.extend(columns[name].findings)
    return columns


def _complete_cases(table: Inspection, columns: Mapping[str, ReadColumn], missing: str) -> Mask:
    """Return who has a value for every covariate; complain, or count, when that is not everyone."""
    keep = np.ones(len(table), dtype=bool)
    short = {name: column.missing for name, column in columns.items() if column.missing.any()}
    if missing == "refuse":
        todo = 'Complete the data, or state missing = "complete-case" to leave these patients out'
        for name, mask in short.items():
            found = f"{int(mask.sum()):,} of {counted(len(table), 'patient')} without a value"
            table.problem(name, found, mask, expected="a value for every patient", todo=todo)
        return keep
    if missing == "impute":
        for name, mask in short.items():
            found = f"{int(mask.sum()):,} of {counted(len(table), 'patient')} have no value"
            table.notice(
                "imputed",
                "note",
                f"{name}: {found}; it is imputed, several times over.",
                column=name,
                missing=int(mask.sum()),
            )
        return keep
    for mask in short.values():
        keep &= ~mask
    if short:
        counts = [int(mask.sum()) for mask in short.values()]
        listed = ", ".join(f"{name} ({count:,})" for name, count in zip(short, counts, strict=True))
        table.notice(
            "complete-case",
            "caution",
            f"{int((~keep).sum()):,} of {counted(len(table), 'patient')} were left out because a covariate has no "
            f"value: {listed}. The result speaks of the others; it is biased if having a value depends on the outcome.",
            excluded=int((~keep).sum()),
            columns=list(short),
            counts=counts,
        )
    return keep


def _baseline(columns: Mapping[str, ReadColumn], keep: Mask) -> pd.DataFrame:
    """Return the covariates of those kept, levels nobody has left out."""
    kept: dict[str, pd.Series[Any]] = {}
    for name, column in columns.items():
        if column.values is None:
            continue
        values = column.values[keep].reset_index(drop=True)
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.cat.remove_unused_categories()
        elif values.dtype == "boolean" and not values.isna().any():
            values = values.astype(bool)
        kept[name] = values
    return pd.DataFrame(kept, index=range(int(keep.sum())))


def _read_history(
    table: Inspection,
    history: pd.DataFrame | None,
    columns: Sequence[str] | None,
    id_column: str | None,
    ids: NDArray[Any],
    end: Floats,
    excluded_ids: Iterable[Any],
) -> pd.DataFrame | None:
    if history is None:
        return None
    if id_column is None:
        table.problem("history", "no column identifies a patient", expected="a column named by id, in both tables")
        return None
    excluded = np.array(list(excluded_ids), dtype=object)
    read = read_history(history, id_column=id_column, ids=ids, end=end, columns=columns, excluded_ids=excluded)
    table.problems.extend(read.problems)
    table.findings.extend(read.findings)
    return read.rows


# --- what a sound table may still lack ---------------------------------------------------------


def _refuse_nothing_to_compare(
    treatment: str, labels: Sequence[str], arm: Ints, outcomes: Sequence[tuple[str, Ints]]
) -> None:
    todo = "Check the declared value and the eligibility"
    problems = [
        Problem(where=treatment, found=f"no patient in the arm {labels[code]}", todo=todo)
        for code in (1, 0)
        if not (arm == code).any()
    ]
    problems += [
        Problem(where=name, found="no patient had the event", todo="Check event_value and the eligibility")
        for name, event in outcomes
        if not (event == 1).any()
    ]
    if problems:
        raise NoEventsError(f"there is nothing to compare among {counted(len(arm), 'patient')}", problems)
