"""Baseline covariates: text becomes levels, numbers stay numbers, and what cannot be used is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from causal_s4.cohort.columns import (
    BOUNDED_NUMBER,
    DATES_TODO,
    GROUPED_NUMBER,
    Mask,
    code_order,
    counted,
    holds_dates,
    holds_records,
    how_to_mend,
    is_missing,
    is_number,
    name_rows,
    named_codes,
    numbers_of,
    spelled,
    where,
)
from causal_s4.errors import Problem
from causal_s4.results import Finding, Floats, Ints

MOST_LEVELS = 50
"""Levels of text a covariate may have: at most this, and at most a fifth of the patients where that is above ten."""
MISSING_WORDS = frozenset(
    {"", ".", "..", "-", "--", "?", "na", "n/a", "n.a.", "nan", "null", "nil", "nd", "unk", "unknown", "missing"}
    | {"not known", "not available", "not recorded", "not done", "99", "999", "9999", "-9", "-99", "-999"}
)
"""Text that often stands for a missing value (compared in lower case, without surrounding spaces)."""
LARGEST = 1e50
"""A number beyond this counts as infinite: its square and cube could not be summed."""
HIGH_CODES = (9999.0, 999.0, 99.0)
LOW_CODES = (-999.0, -99.0, -9.0)


@dataclass(frozen=True, kw_only=True)
class ReadColumn:
    """A column as it will be analysed.

    Parameters
    ----------
    values : Series, shape (n,), or None
        Boolean, numbers, or categorical with text levels: sorted, or in the order of an ordered
        categorical. None when a problem was found.
    missing : ndarray of bool, shape (n,)
        Where it has no value.
    problems : tuple of Problem
        Why it cannot be used.
    findings : tuple of Finding
        What a reader has to know.
    """

    values: pd.Series[Any] | None
    missing: Mask
    problems: tuple[Problem, ...] = ()
    findings: tuple[Finding, ...] = ()


class _UnreadableError(Exception):
    """Carries the problem that ends the reading of one column."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def read_covariate(name: str, column: pd.Series[Any], rows: Ints) -> ReadColumn:
    """Read one covariate, without converting text into numbers or numbers into levels.

    Parameters
    ----------
    name : str
        Name of the column.
    column : Series, shape (n,)
        As it came from the file.
    rows : ndarray of int, shape (n,)
        Row numbers for messages.
    """
    missing = is_missing(column)
    try:
        values = _read(name, column, missing, rows)
    except _UnreadableError as stop:
        return ReadColumn(values=None, missing=missing, problems=(stop.problem,))
    return ReadColumn(values=values, missing=missing, findings=tuple(_findings(name, values, column)))


def _read(name: str, column: pd.Series[Any], missing: Mask, rows: Ints) -> pd.Series[Any]:
    if holds_dates(column):
        raise _UnreadableError(Problem(where=name, found="holds dates", expected="numbers or levels", todo=DATES_TODO))
    if holds_records(column):
        raise _UnreadableError(Problem(where=name, found="holds lists or records", expected="one value in each cell"))
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _levels_of_categorical(name, column)
    if pd.api.types.infer_dtype(column, skipna=True) in ("boolean", "empty"):
        # A column without a single value has none to classify; the count of its missing values says so.
        return column.astype("boolean")
    numbers, strange = numbers_of(column)
    if not strange.any():
        return _finite_numbers(name, column, numbers, rows)
    text = where(column, lambda value: isinstance(value, str))
    foreign = strange & ~text
    if foreign.any():
        found = f"{counted(int(foreign.sum()), 'value')} neither number nor text ({name_rows(foreign, rows)})"
        raise _UnreadableError(Problem(where=name, found=found, expected="numbers or levels"))
    return _levels_of_text(name, column, text, missing, rows)


def _finite_numbers(name: str, column: pd.Series[Any], numbers: Floats, rows: Ints) -> pd.Series[Any]:
    infinite = np.abs(numbers) > LARGEST
    if infinite.any():
        found = f"{counted(int(infinite.sum()), 'infinite value')} ({name_rows(infinite, rows)})"
        raise _UnreadableError(Problem(where=name, found=found, expected="finite numbers"))
    whole = pd.api.types.is_integer_dtype(column.dtype) and not np.isnan(numbers).any()
    return column.astype("int64") if whole else pd.Series(numbers, index=column.index)


def _levels_of_categorical(name: str, column: pd.Series[Any]) -> pd.Series[Any]:
    used = column.cat.remove_unused_categories()
    ordered = list(used.cat.categories) if used.cat.ordered else sorted(used.cat.categories, key=code_order)
    words = [_level_name(category) for category in ordered]
    if len(set(words)) < len(words):
        raise _UnreadableError(Problem(where=name, found="two levels are written alike", expected="distinct levels"))
    _refuse_too_many(name, words, len(column))
    codes = pd.Categorical(used, categories=ordered, ordered=used.cat.ordered).rename_categories(
        dict(zip(ordered, words, strict=True))
    )
    return pd.Series(codes, index=column.index)


def _level_name(category: Any) -> str:
    return str(int(category)) if isinstance(category, float) and category.is_integer() else str(category)


def _levels_of_text(name: str, column: pd.Series[Any], text: Mask, missing: Mask, rows: Ints) -> pd.Series[Any]:
    """Take a column with text in it as levels, unless it was meant to be numbers."""
    words = text & ~where(column, lambda value: isinstance(value, str) and is_number(value))
    plain = ~missing & ~words
    strange = column[words].unique()
    commas = any(GROUPED_NUMBER.fullmatch(value.strip()) for value in strange)
    stand_ins = all(_stands_in(value) for value in strange)
    meant_as_numbers = (commas or plain.any()) and (stand_ins or plain.sum() >= words.sum())
    untyped = ~text & ~missing
    if words.any() and (meant_as_numbers or untyped.any()):
        found = f"{counted(int(words.sum()), 'value')} of text in a column of numbers ({name_rows(words, rows)})"
        todo = how_to_mend(column[words])
        raise _UnreadableError(Problem(where=name, found=found, expected="numbers, or levels throughout", todo=todo))
    if untyped.any():
        found = f"{counted(int(text.sum()), 'number')} stored as text ({name_rows(text, rows)})"
        raise _UnreadableError(Problem(where=name, found=found, expected="numbers", todo=how_to_mend(column[text])))
    levels = sorted(column[~missing].unique())
    _refuse_too_many(name, levels, len(column))
    return pd.Series(pd.Categorical(column.where(~missing, None), categories=levels), index=column.index)


def _stands_in(value: str) -> bool:
    """Return whether text stands in for a number: ``12,5``, ``<0.1``, or a word for a missing one."""
    bare = value.strip()
    shaped = GROUPED_NUMBER.fullmatch(bare) or BOUNDED_NUMBER.fullmatch(bare)
    return shaped is not None or bare.casefold() in MISSING_WORDS


def _refuse_too_many(name: str, levels: Sequence[str], n: int) -> None:
    most = min(MOST_LEVELS, max(10, n // 5))
    if len(levels) > most:
        as_text = all(is_number(level) for level in levels)
        raise _UnreadableError(
            Problem(
                where=name,
                found=f"{len(levels):,} different texts among {counted(n, 'patient')}",
                expected=f"at most {most} levels",
                todo="The numbers are stored as text; convert the column to numbers"
                if as_text
                else "Group them into fewer levels, or leave the column out",
            )
        )


# --- what is let pass, but said ----------------------------------------------------------------


def _findings(name: str, values: pd.Series[Any], column: pd.Series[Any]) -> Iterator[Finding]:
    levels = list(values.cat.categories) if isinstance(values.dtype, pd.CategoricalDtype) else []
    if levels and not isinstance(column.dtype, pd.CategoricalDtype) and all(is_number(level) for level in levels):
        yield Finding(
            code="numbers-as-text",
            severity="caution",
            step="cohort",
            message=f"{name} holds numbers stored as text; they were taken as {len(levels)} levels, not as numbers.",
            numbers={"column": name, "levels": len(levels)},
        )
    suspects = dict(_suspect_levels(values) if levels else _suspect_numbers(values))
    if suspects:
        yield Finding(
            code="looks-like-missing",
            severity="caution",
            step="cohort",
            message=(
                f"{name} holds values that often stand for a missing one: {named_codes(suspects)}. They were taken as "
                "they are; if they mean that nothing is known, leave the cells empty."
            ),
            numbers={"column": name, "values": [str(value) for value in suspects], "patients": sum(suspects.values())},
        )


def _suspect_levels(values: pd.Series[Any]) -> Iterator[tuple[str, int]]:
    counts = values.value_counts()
    for level in values.cat.categories:
        if level.strip().casefold() in MISSING_WORDS:
            yield level, int(counts[level])


def _suspect_numbers(values: pd.Series[Any]) -> Iterator[tuple[float, int]]:
    """Name 99, 999, ... only where they are the extreme of the column, so that true values are left alone."""
    if pd.api.types.is_bool_dtype(values.dtype):
        return
    rest = values.dropna().to_numpy(dtype=float)
    for code in HIGH_CODES:
        if rest.size and rest.max() == code and rest.min() < code:
            yield code, int((rest == code).sum())
            rest = rest[rest < code]
    for code in LOW_CODES:
        true_negatives = (rest < 0) & ~np.isin(rest, LOW_CODES)
        if rest.size and rest.min() == code and rest.max() > code and not true_negatives.any():
            yield code, int((rest == code).sum())
            rest = rest[rest > code]


def constant_covariates(covariates: pd.DataFrame) -> Iterator[Problem]:
    """Name the covariates in which all patients are alike."""
    for name in covariates.columns:
        if covariates[name].nunique(dropna=True) == 1:
            yield Problem(
                where=name,
                found="every analysed patient has the same value",
                expected="at least two values",
                todo="A constant cannot confound: take it out of the covariates and the DAG, or widen the eligibility",
            )


def levels_in_one_arm(covariates: pd.DataFrame, treatment: Ints, labels: Sequence[str]) -> Iterator[Finding]:
    """Name the levels whose patients all had the same treatment.

    Parameters
    ----------
    covariates : DataFrame, shape (n, p)
        Text as categorical.
    treatment : ndarray of int, shape (n,)
        1 treated, 0 control.
    labels : sequence of str
        Label of the control and of the treated arm.
    """
    for name in covariates.columns:
        column = covariates[name]
        numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
        if numeric and column.nunique() > 2:
            continue
        table = pd.crosstab(column.astype(object), treatment).reindex(columns=[0, 1], fill_value=0)
        for level in sorted(table.index, key=code_order):
            control, treated = (int(count) for count in table.loc[level])
            if control and treated:
                continue
            arm = 1 if treated else 0
            shown = level if isinstance(level, str) else spelled(level)
            yield Finding(
                code="level-in-one-arm",
                severity="caution",
                step="cohort",
                message=(
                    f"All {counted(control + treated, 'patient')} with {name} = {shown} are in one arm "
                    f"({labels[arm]}): the data cannot say what the other option would have done for them (positivity)."
                ),
                numbers={"column": name, "level": shown, "treated": treated, "control": control},
            )
