"""One column at a time: its numbers, its levels, and whether a declared value stands in it.

Nothing here guesses. Text is never read as a number, a number is never read as a level, and what
looks as if it were meant otherwise is named in a hint.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_s4.errors import Problem
from causal_s4.protocol.words import did_you_mean, quoted
from causal_s4.results import Floats, Ints

Mask = NDArray[np.bool_]

ROWS_NAMED = 5
"""How many row numbers a message names."""
CODES_NAMED = 6
"""How many codes or levels a message names."""
MOST_CODES = 20
"""With more different values than this a column holds measurements, not codes, and none is named."""

GROUPED_NUMBER = re.compile(r"[+-]?\d+(,\d+)+(\.\d+)?")
"""A number with commas, be it for decimals or for thousands: ``12,5``."""
BOUNDED_NUMBER = re.compile(r"[<>≤≥]=?\s*\d+([.,]\d+)?")
"""A value beyond the limit of an assay: ``<0.1``."""


def name_rows(where: Mask, rows: Ints, most: int = ROWS_NAMED) -> str:
    """Name the rows of a mask, at most ``most`` of them: ``"rows 3, 7"``."""
    index = rows[np.flatnonzero(where)]
    shown = ", ".join(str(int(row)) for row in index[:most])
    return f"row {shown}" if index.size == 1 else f"rows {shown}{', ...' if index.size > most else ''}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return ``"1 patient"`` or ``"2 patients"``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def absent_columns(frame: pd.DataFrame, names: Sequence[str]) -> list[Problem]:
    """Return a problem for every name that is no column of the table."""
    known = [str(column) for column in frame.columns]
    all_of_them = f"The columns are: {_listed(known)}"
    return [
        Problem(where=name, found="no such column", todo=did_you_mean(name, known) or all_of_them)
        for name in dict.fromkeys(names)
        if name not in frame.columns
    ]


def _listed(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def is_missing(column: pd.Series[Any]) -> Mask:
    """Return where a column has no value."""
    return column.isna().to_numpy(dtype=bool)


def is_all_text(column: pd.Series[Any]) -> bool:
    """Return whether every value of a column is text, without a loop over its cells."""
    return pd.api.types.infer_dtype(column, skipna=True) == "string"


def where(column: pd.Series[Any], test: Callable[[Any], bool]) -> Mask:
    """Return where a test of a value holds, asking it once for each distinct value; never where none is."""
    codes, distinct = pd.factorize(column)
    answers = np.array([*(test(value) for value in distinct), False], dtype=bool)
    return answers[codes]  # the code of a missing value is -1


def holds_dates(column: pd.Series[Any]) -> bool:
    """Return whether a column holds dates, times of day or spans of time."""
    kind = column.dtype
    if pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_timedelta64_dtype(kind):
        return True
    if isinstance(kind, pd.PeriodDtype):
        return True
    if not pd.api.types.is_object_dtype(kind) or is_all_text(column):
        return False
    return any(isinstance(value, dt.date | dt.time | dt.timedelta) for value in column.dropna())


def holds_records(column: pd.Series[Any]) -> bool:
    """Return whether the cells of a column hold lists, sets or records."""
    if not pd.api.types.is_object_dtype(column.dtype) or is_all_text(column):
        return False
    return any(isinstance(value, list | tuple | dict | set | np.ndarray) for value in column)


DATES_TODO = "Count the time from each patient's time zero first, as a number in the declared time unit"


def is_number(text: str) -> bool:
    """Return whether text is a finite number as a csv file writes it."""
    try:
        return bool(np.isfinite(float(text))) and "_" not in text
    except ValueError:
        return False


def numbers_of(column: pd.Series[Any]) -> tuple[Floats, Mask]:
    """Read a column as numbers, without converting text.

    Returns
    -------
    numbers : ndarray, shape (n,)
        NaN where the column has no value or no number.
    strange : ndarray of bool, shape (n,)
        Where it has a value that is not a number.
    """
    missing = is_missing(column)
    nothing = np.full(len(column), np.nan)
    not_real = pd.api.types.is_bool_dtype(column.dtype) or column.dtype.kind == "c"
    if not_real or is_all_text(column) or holds_dates(column):
        return nothing, ~missing
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=float, na_value=np.nan), np.zeros(len(column), dtype=bool)
    values = column.astype(object).to_numpy()
    numeric = np.array([_is_plain_number(v) and not isinstance(v, bool | np.bool_) for v in values], dtype=bool)
    readable = numeric & ~missing
    nothing[readable] = [_as_float(value) for value in values[readable]]
    return nothing, ~numeric & ~missing


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def not_numbers(name: str, column: pd.Series[Any], strange: Mask, rows: Ints) -> Problem:
    """Return the problem of a column that should be numeric and is not."""
    if holds_dates(column):
        return Problem(where=name, found="holds dates", expected="numbers", todo=DATES_TODO)
    if pd.api.types.is_bool_dtype(column.dtype):
        return Problem(where=name, found="holds true and false", expected="numbers")
    # one word makes text of a whole csv column: the values that are written as numbers are not the odd ones
    words = strange & where(column, lambda value: not (isinstance(value, str) and is_number(value)))
    odd = words if words.any() else strange
    found = f"{counted(int(odd.sum()), 'value')} not a number ({name_rows(odd, rows)})"
    return Problem(where=name, found=found, expected="numbers", todo=how_to_mend(column[odd]))


def how_to_mend(values: pd.Series[Any]) -> str:
    """Return what to do about text that stands among numbers."""
    texts = [value.strip() for value in values if isinstance(value, str)]
    if any(GROUPED_NUMBER.fullmatch(text) for text in texts):
        return "Write decimals with a point and thousands without a separator"
    if any(BOUNDED_NUMBER.fullmatch(text) for text in texts):
        return "Decide what a value below or above the limit of the assay stands for, and write that number"
    if texts and all(is_number(text) for text in texts):
        return "The numbers are stored as text; convert the column to numbers"
    return "Leave a cell empty where there is no value; if the column holds levels, write each as text (T1, T2, T4a)"


# --- declared values ---------------------------------------------------------------------------


def matches(column: pd.Series[Any], declared: Any) -> Mask:
    """Return where a column holds a declared value.

    A number matches numbers equal to it and, if it is 0 or 1, false and true; true and false match
    themselves and 1 and 0; text matches the same text only. Text never matches a number.
    """
    return where(column, lambda value: _same(value, declared))


def _same(value: Any, declared: Any) -> bool:
    if isinstance(value, str) or isinstance(declared, str):
        return isinstance(value, str) and isinstance(declared, str) and value == declared
    return _is_plain_number(value) and _is_plain_number(declared) and bool(value == declared)


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, Real | Decimal | np.bool_)


def alike(one: Any, other: Any) -> bool:
    """Return whether two values stand for the same, by the rules of :func:`matches`."""
    return _same(one, other)


def tally(column: pd.Series[Any]) -> dict[Any, int]:
    """Return each distinct value with its count, in a stable order; missing values are left out."""
    counts = column.value_counts(dropna=True).items()
    return {value: int(count) for value, count in sorted(counts, key=lambda pair: code_order(pair[0])) if count}


def code_order(value: Any) -> tuple[int, float, str]:
    """Order codes: numbers by size, then text by the alphabet."""
    return (0, _as_float(value), "") if _is_plain_number(value) else (1, 0.0, str(value))


def spelled(value: Any) -> str:
    """Return a value as it is written in a study file: text in quotes, numbers plain."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if _is_plain_number(value):
        number = _as_float(value)
        return f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else repr(number)
    return str(value)


def named_codes(counts: Mapping[Any, int]) -> str:
    """Return codes with their counts, ``0 (12), 1 (5)``, the first few of them."""
    if len(counts) > MOST_CODES:
        return f"{len(counts):,} different values"
    shown = [f"{spelled(value)} ({count:,})" for value, count in list(counts.items())[:CODES_NAMED]]
    return ", ".join(shown) + (f" and {len(counts) - CODES_NAMED:,} more" if len(counts) > CODES_NAMED else "")


def otherwise_spelled(declared: Any, found: Iterable[Any]) -> str:
    """Return a hint when a declared value stands in the column with another type or spelling."""
    for value in found:
        if _bare(value) != _bare(declared):
            continue
        if isinstance(value, str) and isinstance(declared, str):
            return f"Did you mean {spelled(value)}?"
        if isinstance(value, str):
            return f"The column holds the text {spelled(value)}; write it in quotes"
        if isinstance(declared, str):
            return f"The column holds {spelled(value)}, not text; write it without quotes"
    return ""


def _bare(value: Any) -> str:
    """Return a value as a person would write it, whatever its type."""
    return (value if isinstance(value, str) else spelled(value)).strip().casefold()
