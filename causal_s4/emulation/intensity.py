"""How fast treatment starts, or a patient is lost: a rate that depends on what is known at the moment.

Piecewise-exponential regression on patients' own (start, stop] rows, which are cut where the level of time
changes and at the patient's own visits. Covariates are those of time zero, or the last value carried
forward; no later value can enter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_s4.cohort import Cohort
from causal_s4.design_matrix import build_design_matrix
from causal_s4.emulation.history import MISSING, carried_forward, visit_times
from causal_s4.errors import ConvergenceError, NoEventsError, Problem
from causal_s4.kernels.clone_factors import RefittableRate
from causal_s4.kernels.poisson import CumulativeRate, fit_poisson
from causal_s4.results import EstimatingPart, Finding, Floats, Ints

Mask = NDArray[np.bool_]

_EVENTS_A_LEVEL, _FEWEST_EVENTS = 20, 10
_MOST_LEVELS = 8
_MUCH_UNKNOWN = 0.2


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a rate may depend on.

    Parameters
    ----------
    covariates : tuple of str
        Columns of time zero.
    time_varying : tuple of str
        Columns of the history; one of the same name as a covariate takes its place.
    splines : mapping of str to int
    log1p : tuple of str
    interactions : tuple of tuple of str
    carry : float
        How long a value of the history is carried forward.
    """

    covariates: tuple[str, ...]
    time_varying: tuple[str, ...]
    splines: Mapping[str, int]
    log1p: tuple[str, ...]
    interactions: tuple[tuple[str, ...], ...]
    carry: float


@dataclass(frozen=True, kw_only=True)
class PersonRows:
    """Patients' own rows, by patient and time.

    Parameters
    ----------
    patient : ndarray of int, shape (rows,)
    start, stop : ndarray, shape (rows,)
    """

    patient: Ints
    start: Floats
    stop: Floats

    @classmethod
    def cut(cls, end: Floats, everyone: Floats, patient: Ints, time: Floats) -> PersonRows:
        """Cut (0, end] of each patient at common times and at times of the patient's own.

        Parameters
        ----------
        end : ndarray, shape (n,)
            Above zero.
        everyone : ndarray, shape (m,)
        patient, time : ndarray, shape (v,)
        """
        n = len(end)
        who = np.concatenate([np.arange(n), np.repeat(np.arange(n), len(everyone)), patient])
        when = np.concatenate([np.zeros(n), np.tile(everyone, n), time])
        inside = (when >= 0) & (when < end[who])
        who, when = who[inside], when[inside]
        order = np.lexsort((when, who))
        who, when = who[order], when[order]
        new = np.append(True, (np.diff(who) > 0) | (np.diff(when) > 0))
        who, when = who[new], when[new]
        last = np.append(who[1:] != who[:-1], True)
        stop = np.append(when[1:], 0.0)
        stop[last] = end[who[last]]
        return cls(patient=who, start=when, stop=stop)

    @property
    def last(self) -> Mask:
        """Whether a row is its patient's last."""
        return np.append(self.patient[1:] != self.patient[:-1], True)


@dataclass(frozen=True, kw_only=True)
class FittedRate:
    """A fitted rate with its estimating equations and its integral for each patient.

    Parameters
    ----------
    name : str
        What it is the rate of.
    terms : tuple of str
    coefficients : ndarray, shape (q,)
        Logarithms of rate ratios; the first is the log rate itself.
    score : ndarray, shape (n, q)
        Per patient.
    information : ndarray, shape (q, q)
    refittable : RefittableRate
        By patient, with what it was fitted to.
    events : int
    findings : tuple of Finding
    """

    name: str
    terms: tuple[str, ...]
    coefficients: Floats
    score: Floats
    information: Floats
    refittable: RefittableRate
    events: int
    findings: tuple[Finding, ...] = ()

    @property
    def integral(self) -> CumulativeRate:
        """By patient."""
        return self.refittable.integral

    def part(self, derivative: Floats) -> EstimatingPart:
        """Return the estimating part of weights that move with the coefficients as given, shape (units, q)."""
        return EstimatingPart(name=self.name, score=self.score, information=self.information, derivative=derivative)


def fit_rate(
    name: str,
    cohort: Cohort,
    end: Floats,
    happens: Mask,
    edges: Floats,
    terms: Terms,
    *,
    since: float = 0.0,
    since_treatment: Floats | None = None,
) -> FittedRate:
    """Fit the rate at which something happens to patients, from a time on to an end of their own.

    Parameters
    ----------
    name : str
        For errors and for the estimating part.
    cohort : Cohort
    end : ndarray, shape (n,)
        Until when each patient is at risk; above zero.
    happens : ndarray of bool, shape (n,)
        Whether it happens at that end.
    edges : ndarray, shape (m,)
        Inner edges of the levels of time.
    terms : Terms
    since : float
        From when on patients are at risk; before, the rate is zero.
    since_treatment : ndarray, shape (n,), optional
        Time of treatment; adds a term for being treated.

    Raises
    ------
    NoEventsError
        When it happens to nobody.
    DataError
        When the covariates cannot be coded.
    ConvergenceError
        When the fit does not settle.
    """
    if not happens.any():
        raise NoEventsError(f"the {name} cannot be modelled: it happens to none of {len(cohort):,} patients")
    own = visit_times(cohort, terms.time_varying, terms.carry)
    if since_treatment is not None:
        started = np.flatnonzero(np.isfinite(since_treatment))
        own = np.concatenate([own[0], started]), np.concatenate([own[1], since_treatment[started]])
    rows = PersonRows.cut(end, np.append(edges, since), *own)
    frame = _covariates(cohort, rows, terms)
    if since_treatment is not None:
        frame["treated"] = (rows.start >= since_treatment[rows.patient]).astype(float)
    event = (rows.last & happens[rows.patient]).astype(float)
    levels = _levels(frame)
    at_risk = rows.start >= since
    used, silent = _without_silent_levels(levels, event, at_risk)
    kept = frame[used]
    matrix = build_design_matrix(
        kept[[column for column in kept if kept[column].nunique() > 1]],  # the others tell no two rows apart
        splines=terms.splines,
        log1p=terms.log1p,
        interactions=terms.interactions,
    )
    level = np.searchsorted(edges, rows.start[used], side="right")
    times = (level[:, None] == np.arange(1, len(edges) + 1)).astype(float)
    design = np.column_stack([np.ones(len(kept)), times, matrix.matrix])
    names = ("(intercept)", *(f"time from {edge:g}" for edge in edges), *matrix.terms)
    return replace(
        _fit(name, len(cohort), rows, used, design, names, event, [mask for _, mask in levels]),
        findings=(
            *(_silence(name, cohort, rows, label, mask) for label, mask in silent),
            *_unknown(cohort, rows, frame, terms, at_risk),
        ),
    )


def _covariates(cohort: Cohort, rows: PersonRows, terms: Terms) -> pd.DataFrame:
    """Return what is known of each row's patient when the row starts."""
    fixed = [column for column in terms.covariates if column not in terms.time_varying]
    frame = cohort.covariates[fixed].iloc[rows.patient].reset_index(drop=True)
    if terms.time_varying:
        changing = carried_forward(cohort, terms.time_varying, rows.patient, rows.start, terms.carry)
        frame = pd.concat([frame, pd.DataFrame(changing)], axis=1)
    return frame


def _fit(
    name: str,
    n: int,
    rows: PersonRows,
    used: Mask,
    design: Floats,
    names: tuple[str, ...],
    event: Floats,
    levels: list[Mask],
) -> FittedRate:
    exposure = np.where(used, rows.stop - rows.start, 0.0)
    fit = fit_poisson(design, event[used], exposure[used])
    if not fit.converged:
        spread = np.abs(fit.coefficient[1:]) * design[:, 1:].std(axis=0)
        worst = [names[1 + j] for j in np.argsort(-spread)[:3]]
        raise ConvergenceError(
            f"the model of the {name} did not settle: {int(event.sum())} events for {len(names)} terms. Take fewer terms, or "
            "join rare levels",
            [Problem(where=term, found="among the largest coefficients") for term in worst],
        )
    rate, slope = np.zeros(len(event)), np.zeros((len(event), len(names)))
    rate[used], slope[used] = fit.rate, design
    patient = rows.patient[used]
    score: Floats = np.zeros((n, len(names)))
    np.add.at(score, patient, fit.score)
    return FittedRate(
        name=name,
        terms=names,
        coefficients=fit.coefficient,
        score=score,
        information=fit.information,
        refittable=RefittableRate(
            integral=CumulativeRate(unit=rows.patient, start=rows.start, rate=rate, slope=slope),
            coefficient=fit.coefficient,
            event=event,
            exposure=exposure,
            level=np.column_stack(levels) if levels else np.empty((len(event), 0), dtype=bool),
        ),
        events=int(event.sum()),
    )


def _levels(frame: pd.DataFrame) -> list[tuple[str, Mask]]:
    """Return label and rows of each level of a text, and of each value of what has two."""
    levels: list[tuple[str, Mask]] = []
    for column in frame.columns:
        values = frame[column]
        text = isinstance(values.dtype, pd.CategoricalDtype)
        if text or values.nunique() == 2:
            levels += [
                (f"{column}={value if text else format(value, 'g')}", (values == value).to_numpy())
                for value in values.unique()
            ]
    return levels


def _without_silent_levels(
    levels: list[tuple[str, Mask]], event: Floats, at_risk: Mask
) -> tuple[Mask, list[tuple[str, Mask]]]:
    """Set apart the rows of a level at which nothing ever happens: their rate is zero, the limit of the fit.

    Returns the rows that remain, and label and rows of what was set apart.
    """
    used = at_risk.copy()
    silent: list[tuple[str, Mask]] = []
    before = -1
    while before != len(silent):
        before = len(silent)
        for label, mask in levels:
            rows = used & mask
            if rows.any() and not event[rows].any():
                used = used & ~rows
                silent.append((label, rows))
    return used, silent


def _silence(name: str, cohort: Cohort, rows: PersonRows, label: str, mask: Mask) -> Finding:
    patients = len(np.unique(rows.patient[mask]))
    time = float((rows.stop - rows.start)[mask].sum())
    return Finding(
        code="no-starts-at-level",
        severity="serious",
        step="weights",
        message=(
            f"{label}: not one {name} among {patients:,} patients and {time:,.0f} patient-{cohort.time_unit}. Its rate is taken "
            "as zero there; about those patients the data say nothing, and the weights cannot stand in for them."
        ),
        numbers={"level": label, "patients": patients, "person_time": time},
    )


def _unknown(cohort: Cohort, rows: PersonRows, frame: pd.DataFrame, terms: Terms, at_risk: Mask) -> Iterator[Finding]:
    """Say for how much of the time at risk a changing covariate is not known."""
    length = np.where(at_risk, rows.stop - rows.start, 0.0)
    for column in terms.time_varying:
        missing = (frame[f"{column} missing"] == 1) if f"{column} missing" in frame else frame[column] == MISSING
        mask = missing.to_numpy() & at_risk
        if mask.any():
            patients, share = len(np.unique(rows.patient[mask])), float(length[mask].sum() / length.sum())
            yield Finding(
                code="no-recent-assessment",
                severity="caution" if share > _MUCH_UNKNOWN else "note",
                step="weights",
                message=(
                    f"{column}: for {patients:,} of {len(cohort):,} patients there is a time without an assessment before it, or "
                    f"without a recent one ({100 * share:.0f}% of the time at risk). It counts as a level of its own, and no later "
                    "value is used."
                ),
                numbers={"column": column, "patients": patients, "share": share},
            )


def time_levels(times: Floats, end: float, grid: float, further: Sequence[float] = (), since: float = 0.0) -> Floats:
    """Return inner edges of levels of time: about equally many events in each, edges on a grid.

    Parameters
    ----------
    times : ndarray, shape (events,)
        When it happened.
    end : float
        The last edge, not returned.
    grid : float
        Edges are multiples of it.
    further : sequence of float
        Edges that should be among them, off the grid too.
    since : float
        Events up to then, which have a level of their own, have no part in where the others end.
    """
    later = times[times > since]
    levels = int(np.clip(later.size // _EVENTS_A_LEVEL, 1, _MOST_LEVELS))
    wanted = np.quantile(later, np.arange(1, levels) / levels) if levels > 1 else np.empty(0)
    edges: list[float] = []
    before = 0
    for edge in np.unique(np.concatenate([np.round(wanted / grid) * grid, np.asarray(further, dtype=float)])):
        until = int((times <= edge).sum())
        # a level with few events would have a wild rate: it joins the next one
        if 0 < edge < end * (1 - 1e-9) and min(until - before, times.size - until) >= _FEWEST_EVENTS:
            edges.append(float(edge))
            before = until
    return np.array(edges)
