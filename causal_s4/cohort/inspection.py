"""The table under inspection, and everything that was found on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from causal_s4.cohort.columns import Mask, counted, holds_records, name_rows
from causal_s4.errors import Problem
from causal_s4.results import Finding, Ints

Complaint = tuple[Mask, str, str]
"""Rows, what is wrong with these patients, and what to do."""


class Inspection:
    """A table, the names of its rows, and the problems and findings collected while it is read.

    Parameters
    ----------
    frame : DataFrame, shape (n, columns)
        One row a patient.
    rows : ndarray of int, shape (n,), optional
        What the rows are called in messages; 1..n by default.
    """

    def __init__(self, frame: pd.DataFrame, rows: Ints | None = None) -> None:
        self.frame = frame.reset_index(drop=True)
        self.rows = np.arange(1, len(frame) + 1) if rows is None else np.asarray(rows, dtype=np.int64)
        self.problems: list[Problem] = []
        self.findings: list[Finding] = []

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    def column(self, name: str) -> pd.Series[Any] | None:
        """Return a column, or None when it is absent or ambiguous, which is complained of once elsewhere."""
        if int((self.frame.columns == name).sum()) != 1:
            return None
        column = self.frame[name]
        if holds_records(column):
            self.problem(name, "holds lists or records", expected="one value in each cell")
            return None
        return column

    def problem(self, where: str, found: str, mask: Mask | None = None, *, expected: str = "", todo: str = "") -> None:
        """Remember a problem, naming the rows of the mask."""
        shown = found if mask is None else f"{found} ({name_rows(mask, self.rows)})"
        self.problems.append(Problem(where=where, found=shown, expected=expected, todo=todo))

    def complain(self, where: str, complaints: Iterable[Complaint]) -> None:
        """Remember the complaints that concern anyone, with the number of patients."""
        for mask, found, todo in complaints:
            if mask.any():
                self.problem(where, f"{counted(int(mask.sum()), 'patient')} {found}", mask, todo=todo)

    def notice(self, code: str, severity: str, message: str, **numbers: Any) -> None:
        """Remember a finding."""
        self.findings.append(Finding(code=code, severity=severity, step="cohort", message=message, numbers=numbers))
