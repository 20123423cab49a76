"""Hazard ratio, curves, restricted means, incidences and medians of many replicates in one sweep each.

Rows are sorted once against the event times; a replicate then is a running sum of its weights. Tied deaths
are counted as the physical resample would hold them: a patient drawn twice dies twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from causal_s4.kernels.risk_sets import Floats, Ints, RiskSets

_HALF = 1e-8  # how near one half a curve counts as one half, as in R's survfit
_MOST_STEPS = 50
_FURTHEST = 30.0
_NOBODY = 1e-300


@dataclass(frozen=True)
class Sweep:
    """A risk table laid out for sweeping.

    Attributes
    ----------
    times : ndarray, shape (k,)
        Distinct times of any event.
    patient, row, arm, first, last : ndarray of int, shape (rows,)
        Rows by arm and time: whose they are, where they stood in the table, and where among the times.
    dead : ndarray of int, shape (events,)
        Positions of rows that end in an event.
    of_interest : ndarray of bool, shape (events,)
        Whether it is the event of interest, not a competing one.
    horizons : ndarray, shape (h,)
    upto, before : ndarray of int, shape (h,)
        Number of times at or before, and before, each horizon.
    competing : bool
    efron : bool
    """

    times: Floats
    patient: Ints
    row: Ints
    arm: Ints
    first: Ints
    last: Ints
    dead: Ints
    of_interest: NDArray[np.bool_]
    horizons: Floats
    upto: Ints
    before: Ints
    competing: bool
    efron: bool

    @classmethod
    def of(
        cls,
        patient: Ints,
        arm: Ints,
        start: Floats,
        stop: Floats,
        event: Ints,
        horizons: Floats,
        *,
        efron: bool,
    ) -> Sweep:
        """Sort the rows of a risk table; ``event`` is 0, 1 for the event of interest, 2 for a competing one."""
        sets = RiskSets.of(start if (start > 0).any() else None, stop, event > 0)
        order = np.lexsort((sets.last, arm))
        dead = np.flatnonzero(event[order] > 0)
        return cls(
            times=sets.times,
            patient=patient[order],
            row=order,
            arm=arm[order],
            first=sets.first[order],
            last=sets.last[order],
            dead=dead,
            of_interest=event[order][dead] == 1,
            horizons=horizons,
            upto=np.searchsorted(sets.times, horizons * (1 + 1e-12), side="right"),
            before=np.searchsorted(sets.times, horizons, side="left"),
            competing=bool((event == 2).any()),
            efron=efron,
        )

    @property
    def columns(self) -> list[tuple[str, int, int]]:
        """What the columns of :meth:`run` are: name, arm (1, 0, or -1 for both), index of the horizon (or -1)."""
        names = ["survival", "rmst"] + (["cumulative incidence"] if self.competing else [])
        found = [("log hazard ratio", -1, -1)]
        for name in names:
            found += [(name, arm, k) for k in range(len(self.horizons)) for arm in (1, 0)]
        return [*found, ("median", 1, -1), ("median", 0, -1)]

    def run(self, values: Floats, counts: Floats, *, by_row: bool, whole: bool, start: float = 0.0) -> Floats:
        """Estimate every replicate.

        Parameters
        ----------
        values : ndarray, shape (replicates or 1, units)
            Weights, one a patient or one a row of the table.
        counts : ndarray, shape (replicates, patients)
        by_row : bool
            Whether ``values`` has one weight a row.
        whole : bool
            Counts are whole numbers of copies; else each patient is one, however heavy.
        start : float
            Where Newton's method for the log hazard ratio starts.

        Returns
        -------
        ndarray, shape (replicates, columns)
            NaN where there is no estimate; a median that is not reached is infinite.
        """
        out = np.full((len(counts), len(self.columns)), np.nan)
        _sweep(
            values,
            counts,
            self.row if by_row else self.patient,
            self.patient,
            self.arm,
            np.searchsorted(self.arm, np.arange(3)),
            self.first,
            self.last,
            self.dead,
            self.of_interest,
            self.times,
            self.horizons,
            self.upto,
            self.before,
            self.competing,
            self.efron,
            whole,
            bool(self.first.any()),
            start,
            out,
        )
        return out


@njit(cache=True, nogil=True, error_model="numpy")
def _sweep(
    values: Floats,
    counts: Floats,
    unit: Ints,
    patient: Ints,
    arm: Ints,
    bounds: Ints,
    first: Ints,
    last: Ints,
    dead: Ints,
    of_interest: NDArray[np.bool_],
    times: Floats,
    horizons: Floats,
    upto: Ints,
    before: Ints,
    competing: bool,
    efron: bool,
    whole: bool,
    delayed: bool,
    start: float,
    out: Floats,
) -> None:
    k, m = times.size, horizons.size
    at_risk = np.empty((2, k + 1))  # [a, j]: weight at risk at time j - 1, once summed
    deaths, any_deaths = np.empty((2, k)), np.empty((2, k))
    copies = np.empty(k)
    survival, area, incidence = np.empty(k), np.empty(k), np.empty(k)
    for r in range(counts.shape[0]):
        value = values[r if values.shape[0] > 1 else 0]
        count = counts[r]
        at_risk[:] = 0.0
        deaths[:] = 0.0
        any_deaths[:] = 0.0
        copies[:] = 0.0
        present = True
        for a in range(2):
            total = 0.0
            for i in range(bounds[a], bounds[a + 1]):
                w = value[unit[i]] * count[patient[i]]
                at_risk[a, last[i]] += w
                total += w
                if delayed:
                    at_risk[a, first[i]] -= w
            present &= total > 0
        for d in range(dead.size):
            i = dead[d]
            w = value[unit[i]] * count[patient[i]]
            j = last[i] - 1
            any_deaths[arm[i], j] += w
            if of_interest[d]:
                deaths[arm[i], j] += w
                copies[j] += np.float64(w > 0) * (count[patient[i]] if whole else 1.0)
        if not present:
            continue
        for a in range(2):
            for j in range(k - 1, 0, -1):
                at_risk[a, j] += at_risk[a, j + 1]
        out[r, 0] = _log_hazard_ratio(at_risk, deaths, copies, efron, start)
        for a in range(2):
            _curve(at_risk[a], any_deaths[a], times, survival, area)
            if competing:
                _incidence(at_risk[a], deaths[a], survival, incidence)
            side = 1 - a  # the treated come first
            for h in range(m):
                at = 1 + 2 * h + side
                j = upto[h]
                out[r, at] = survival[j - 1] if j > 0 else 1.0
                if competing:
                    out[r, at + 4 * m] = incidence[j - 1] if j > 0 else 0.0
                j = before[h]
                out[r, at + 2 * m] = (
                    area[j - 1] + survival[j - 1] * (horizons[h] - times[j - 1]) if j > 0 else horizons[h]
                )
            out[r, out.shape[1] - 2 + side] = _median(survival, times)


@njit(cache=True, nogil=True, error_model="numpy")
def _curve(at_risk: Floats, deaths: Floats, times: Floats, survival: Floats, area: Floats) -> None:
    """Fill survival and the area under it up to each time."""
    for j in range(times.size):
        # without a branch, so that it runs on several times at once; nobody at risk means no death
        hazard = deaths[j] / max(at_risk[j + 1], _NOBODY)
        # when everybody at risk dies the last step reaches zero exactly, not 1e-17
        survival[j] = (1.0 - hazard) * np.float64(hazard <= 1.0 - 1e-12)
    height, total, earlier = 1.0, 0.0, 0.0
    for j in range(times.size):
        total += height * (times[j] - earlier)
        earlier = times[j]
        height *= survival[j]
        survival[j], area[j] = height, total


@njit(cache=True, nogil=True, error_model="numpy")
def _incidence(at_risk: Floats, deaths: Floats, survival: Floats, incidence: Floats) -> None:
    """Fill the cumulative incidence of the event of interest."""
    height, total = 1.0, 0.0
    for j in range(survival.size):
        total += height * deaths[j] / max(at_risk[j + 1], _NOBODY)
        height, incidence[j] = survival[j], total


@njit(cache=True, nogil=True, error_model="numpy")
def _median(survival: Floats, times: Floats) -> float:
    """Return the earliest time at which the curve reaches one half; infinite if never, the middle of a flat half."""
    for k in range(times.size):
        if survival[k] <= 0.5 + _HALF:
            if abs(survival[k] - 0.5) <= _HALF:
                for later in range(k + 1, times.size):
                    if survival[later] < survival[k] - _HALF:
                        return float((times[k] + times[later]) / 2)
            return float(times[k])
    return np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def _log_hazard_ratio(at_risk: Floats, deaths: Floats, copies: Floats, efron: bool, start: float) -> float:
    """Solve the weighted Cox model of the arm: first its steps, one a death (Efron) or one a time (Breslow)."""
    steps = 0
    for j in range(copies.size):
        if copies[j] > 0:
            steps += int(copies[j]) if efron else 1
    zero, one, weight = np.empty(steps), np.empty(steps), np.empty(steps)
    at = 0
    observed, other = 0.0, 0.0
    for j in range(copies.size):
        if not copies[j] > 0:
            continue
        observed += deaths[1, j]
        other += deaths[0, j]
        parts = int(copies[j]) if efron else 1
        if parts == 1:
            zero[at], one[at] = at_risk[0, j + 1], at_risk[1, j + 1]
            weight[at] = deaths[0, j] + deaths[1, j]
            at += 1
            continue
        for part in range(parts):
            left = part / parts
            zero[at] = at_risk[0, j + 1] - left * deaths[0, j]
            one[at] = at_risk[1, j + 1] - left * deaths[1, j]
            weight[at] = (deaths[0, j] + deaths[1, j]) / parts
            at += 1
    if not (observed > 0 and other > 0):
        return np.nan
    beta = start
    for _ in range(_MOST_STEPS):
        expected, information = _score(zero, one, weight, np.exp(beta))
        step = (observed - expected) / information
        if not abs(beta + step) <= _FURTHEST:
            return np.nan
        beta += min(max(step, -2.0), 2.0)
        if abs(step) < 1e-9:
            return beta
    return np.nan


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _score(zero: Floats, one: Floats, weight: Floats, ratio: float) -> tuple[float, float]:
    """Return the expected treated deaths and their variance."""
    expected, information = 0.0, 0.0
    for s in range(zero.size):
        treated = ratio * one[s]
        share = treated / (zero[s] + treated)
        part = weight[s] * share
        expected += part
        information += part * (1.0 - share)
    return expected, information
