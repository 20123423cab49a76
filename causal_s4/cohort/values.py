"""The cohort as a value, and the grammar every estimator reads: (start, stop] rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_s4.arguments import checked_arguments
from causal_s4.errors import DataError, Problem, UsageError
from causal_s4.protocol.vocabulary import Analysis, TimeUnit
from causal_s4.results import AttritionStep, Finding, Floats, Ints, Weights, read_only


@dataclass(frozen=True, kw_only=True)
class OutcomeData:
    """Time and event of one outcome, one entry a patient.

    Parameters
    ----------
    name : str
        Label for reports.
    time : ndarray, shape (n,)
        Follow-up from time zero, in the cohort's unit; above zero.
    event : ndarray of int, shape (n,)
        0 censored, 1 the event, 2 a competing event.
    """

    name: str
    time: Floats
    event: Ints


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Patients with a treatment, covariates and outcomes, already validated.

    Parameters
    ----------
    ids : ndarray, shape (n,)
        One identifier a patient; never shown.
    treatment : ndarray of int, shape (n,)
        1 treated, 0 control.
    outcomes : tuple of OutcomeData
        The first is primary.
    covariates : DataFrame, shape (n, p)
        Baseline covariates, index 0..n-1. Text is categorical, numbers are numbers.
    time_unit : TimeUnit
        Unit of every time.
    treatment_name, treated_label, control_label : str
        Labels for reports.
    treatment_start : ndarray, shape (n,), optional
        Time from time zero to the start of treatment, infinite if never.
    non_protocol_start : ndarray, shape (n,), optional
        Time to treatment outside the strategies that are compared, such as for palliation; infinite if never.
    history : DataFrame, optional
        Long table of changing covariates: patient (0..n-1), time, and the covariates.
    attrition : tuple of AttritionStep
        Flow from the file to here.
    findings : tuple of Finding
        What validation noticed and let pass.
    missing : mapping
        Column to number of patients without a value, before any was dropped.
    """

    ids: NDArray[Any]
    treatment: Ints
    outcomes: tuple[OutcomeData, ...]
    covariates: pd.DataFrame
    time_unit: TimeUnit
    treatment_name: str = "Treatment"
    treated_label: str = "Treated"
    control_label: str = "Control"
    treatment_start: Floats | None = None
    non_protocol_start: Floats | None = None
    history: pd.DataFrame | None = None
    attrition: tuple[AttritionStep, ...] = ()
    findings: tuple[Finding, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of patients."""
        return len(self.treatment)

    @classmethod
    @checked_arguments
    def from_frame(
        cls,
        frame: Any,
        *,
        id: str | None = None,
        treatment: str,
        treated: str | float | bool,
        control: str | float | bool,
        time: str,
        event: str,
        event_value: str | float | bool,
        time_unit: str,
        competing_value: str | float | bool | None = None,
        covariates: Sequence[str] = (),
        treatment_start: str | None = None,
        non_protocol_start: str | None = None,
        history: Any = None,
        missing: str = "refuse",
        zero_time: str = "refuse",
        name: str | None = None,
    ) -> Cohort:
        """Make a validated cohort from a table; see :func:`causal_s4.cohort.validation.build_cohort`.

        Parameters
        ----------
        frame : DataFrame
            One row a patient.
        id : str, optional
            Column of the identifier; without it, rows are patients.
        treatment : str
            Column of the treatment.
        treated, control : scalar
            Its two values: named, never guessed.
        time, event : str
            Columns of follow-up time and event code.
        event_value, competing_value : scalar
            The code of the event, and of a competing event. Every other value must be the single
            code of censoring.
        time_unit : {"days", "weeks", "months", "years"}
            Unit of every time column.
        covariates : sequence of str
            Baseline covariates.
        treatment_start : str, optional
            Column with the time from time zero to treatment; empty means never treated.
        non_protocol_start : str, optional
            Column with the time to treatment outside the strategies compared, such as for palliation; empty means
            none. Cloned strategies are censored then.
        history : DataFrame, optional
            Long table of changing covariates with the id column, ``time`` and the covariates.
        missing : {"refuse", "complete-case", "impute"}
            What to do with a patient who has no value for a covariate.
        zero_time : {"refuse", "half"}
            What to do with a follow-up time of zero.
        name : str, optional
            Label of the outcome; the event column's name by default.

        Returns
        -------
        Cohort

        Raises
        ------
        UsageError
            Naming every argument of a wrong kind.
        DataError
            Naming every problem found in the table at once.
        """
        from causal_s4.cohort.validation import build_cohort

        return build_cohort(
            frame,
            id=id,
            treatment=treatment,
            treated=treated,
            control=control,
            outcomes=[
                {
                    "name": name or event,
                    "time": time,
                    "event": event,
                    "event_value": event_value,
                    "competing_value": competing_value,
                }
            ],
            time_unit=time_unit,
            covariates=covariates,
            treatment_start=treatment_start,
            non_protocol_start=non_protocol_start,
            history=history,
            missing=missing,
            zero_time=zero_time,
        )

    def outcome(self, name: str | None = None) -> OutcomeData:
        """Return an outcome by name; the primary one when no name is given.

        Raises
        ------
        UsageError
            When the cohort has no outcome of that name.
        """
        if name is None:
            return self.outcomes[0]
        for each in self.outcomes:
            if each.name == name:
                return each
        raise UsageError(f"no outcome {name!r}; this cohort has {', '.join(o.name for o in self.outcomes)}")

    def risk_table(self, outcome: str | None = None) -> RiskTable:
        """Return one (0, time] row a patient for an outcome."""
        chosen = self.outcome(outcome)
        n = len(self)
        return RiskTable(
            patient=read_only(np.arange(n)),
            arm=self.treatment,
            start=read_only(np.zeros(n)),
            stop=chosen.time,
            event=chosen.event,
            n_patients=n,
            time_unit=self.time_unit,
            outcome=chosen.name,
            covariates=self.covariates,
        )

    def take(self, keep: NDArray[np.bool_]) -> Cohort:
        """Return the cohort of the patients in a mask, in their order."""
        index = np.flatnonzero(keep)
        history = self.history
        if history is not None:
            position = np.full(len(self), -1)
            position[index] = np.arange(index.size)
            history = history[keep[history["patient"].to_numpy()]]
            history = history.assign(patient=position[history["patient"].to_numpy()]).reset_index(drop=True)
        return replace(
            self,
            ids=self.ids[index],
            treatment=read_only(self.treatment[index]),
            outcomes=tuple(
                replace(o, time=read_only(o.time[index]), event=read_only(o.event[index])) for o in self.outcomes
            ),
            covariates=self.covariates.iloc[index].reset_index(drop=True),
            treatment_start=_of(self.treatment_start, index),
            non_protocol_start=_of(self.non_protocol_start, index),
            history=history,
        )


def _of(values: Floats | None, index: NDArray[Any]) -> Floats | None:
    return None if values is None else read_only(values[index])


@dataclass(frozen=True, kw_only=True)
class RiskTable:
    """(start, stop] rows with patient, arm and event: the one grammar of every design.

    A plain cohort has one row a patient, a cloned or split one has more; no estimator knows which.
    Intervals are open on the left: a row is at risk at s when start < s <= stop.

    Parameters
    ----------
    patient : ndarray of int, shape (rows,)
        0..n_patients-1: the unit that variance is counted in, so clones stay with their patient.
    arm : ndarray of int, shape (rows,)
        1 treated, 0 control, in that row.
    start, stop : ndarray, shape (rows,)
        In ``time_unit``.
    event : ndarray of int, shape (rows,)
        Code at ``stop``: 0 none, 1 the event, 2 a competing event.
    n_patients : int
        Number of patients, including any without a row.
    covariates : DataFrame, optional
        One row a patient.
    weights : Weights, optional
        Time-varying weights that belong to the rows (clone-censor-weight).
    analysis : str
        What an estimate from this table is called.
    grace_period : float, optional
        Of cloned strategies: until when treatment may start.
    never : bool
        Of cloned strategies: whether the other one allows no later treatment either.
    unless : mapping of str to tuple
        Of cloned strategies: columns of the history and values that release from treatment.
    """

    patient: Ints
    arm: Ints
    start: Floats
    stop: Floats
    event: Ints
    n_patients: int
    time_unit: TimeUnit
    outcome: str = "outcome"
    covariates: pd.DataFrame | None = None
    weights: Weights | None = None
    analysis: str = Analysis.WEIGHTED
    grace_period: float | None = None
    never: bool = False
    unless: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.stop)

    @classmethod
    @checked_arguments
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        id: str,
        start: str,
        stop: str,
        event: str,
        arm: str,
        weight: str | None = None,
        covariates: Sequence[str] = (),
        time_unit: str = "days",
        outcome: str = "outcome",
    ) -> RiskTable:
        """Make a risk table from a long table of (start, stop] rows.

        Parameters
        ----------
        frame : DataFrame
            One row an interval.
        id, start, stop, event, arm : str
            Columns: patient, interval, 0/1/2 event code at ``stop``, 0/1 arm.
        weight : str, optional
            Column of weights; taken as given, so intervals say that they were not estimated here.
        covariates : sequence of str
            Columns constant within a patient; the first row of each patient is read.
        time_unit : {"days", "weeks", "months", "years"}
            Unit of the times.
        outcome : str
            Label of the outcome.

        Raises
        ------
        DataError
            Naming all missing columns, intervals that do not run forward, overlapping rows of one
            patient within an arm, and codes outside those above.
        """
        if time_unit not in list(TimeUnit):
            raise UsageError(f"time_unit must be one of {', '.join(TimeUnit)}; found {time_unit!r}")
        needed = [id, start, stop, event, arm, *([weight] if weight else []), *covariates]
        absent = [name for name in needed if name not in frame.columns]
        if absent:
            raise DataError(
                "columns are missing from the table of intervals",
                [Problem(where=name, found="no such column") for name in absent],
            )
        problems: list[Problem] = []
        values = {}
        for name in (start, stop, event, arm, *([weight] if weight else [])):
            numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float)
            values[name] = numbers
            bad = np.flatnonzero(~np.isfinite(numbers))
            if bad.size:
                problems.append(Problem(where=name, found=f"{bad.size} values are not finite numbers ({_rows(bad)})"))
        codes, uniques = pd.factorize(frame[id], sort=False)
        if (codes < 0).any():
            problems.append(Problem(where=id, found=f"missing identifiers ({_rows(np.flatnonzero(codes < 0))})"))
        backward = np.flatnonzero(~(values[start] < values[stop]))
        if backward.size:
            problems.append(
                Problem(where=stop, found=f"{backward.size} intervals end at or before they start ({_rows(backward)})")
            )
        for name, allowed in ((event, (0, 1, 2)), (arm, (0, 1))):
            strange = np.flatnonzero(~np.isin(values[name], allowed))
            if strange.size:
                problems.append(
                    Problem(where=name, found=f"{strange.size} values outside {allowed} ({_rows(strange)})")
                )
        if not problems:
            order = np.lexsort((values[start], values[arm], codes))
            same = (np.diff(codes[order]) == 0) & (np.diff(values[arm][order]) == 0)
            overlap = np.flatnonzero(same & (values[start][order][1:] < values[stop][order][:-1]))
            if overlap.size:
                problems.append(
                    Problem(
                        where=start,
                        found=f"{overlap.size} intervals of one patient overlap ({_rows(order[overlap + 1])})",
                    )
                )
        if problems:
            raise DataError("the table of intervals cannot be used", problems)
        first = frame.loc[~frame[id].duplicated(), list(covariates)].reset_index(drop=True)
        given = None
        if weight:
            given = replace(Weights.given(values[weight]), by_row=True)
        return cls(
            patient=read_only(codes.astype(np.int64)),
            arm=read_only(values[arm].astype(np.int64)),
            start=read_only(values[start]),
            stop=read_only(values[stop]),
            event=read_only(values[event].astype(np.int64)),
            n_patients=len(uniques),
            time_unit=TimeUnit(time_unit),
            outcome=outcome,
            covariates=first if covariates else None,
            weights=given,
        )


def _rows(index: NDArray[Any], most: int = 5) -> str:
    """Name up to ``most`` rows, counted from 1."""
    shown = ", ".join(str(int(row) + 1) for row in index[:most])
    return f"rows {shown}{', ...' if len(index) > most else ''}" if len(index) != 1 else f"row {shown}"
