"""The sums of a weighted Cox model for many rows, in compiled loops over rows sorted once.

The arithmetic is that of :mod:`causal_s4.kernels.cox`, which hands over to this module where rows are many.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from causal_s4.kernels.risk_sets import Floats, Ints, RiskSets


class SweptLikelihood:
    """The weighted partial likelihood of one set of rows.

    Parameters
    ----------
    sets : RiskSets
    covariates : ndarray, shape (rows, p)
    weight : ndarray, shape (rows,)
    efron : bool
    """

    def __init__(self, sets: RiskSets, covariates: Floats, weight: Floats, efron: bool) -> None:
        self.efron, self.delayed, self.times = efron, sets.delayed, len(sets.times)
        self.copies = sets.events((weight > 0).astype(float))
        self.dead_weight = sets.events(weight)
        dead_at = np.full(len(weight), -1)
        dead_at[sets.dead] = sets.when
        # neighbouring rows then add to neighbouring sums
        self.order = np.argsort(sets.last)
        self.z, self.w = covariates[self.order], weight[self.order]
        self.first, self.last, self.dead_at = sets.first[self.order], sets.last[self.order], dead_at[self.order]
        self.dead = np.flatnonzero(self.dead_at >= 0)
        self.observed = self.w[self.dead] @ self.z[self.dead]

    def at(self, beta: Floats) -> tuple[float, Floats, Floats]:
        """Return log-likelihood, score and information."""
        eta = self.z @ beta
        with np.errstate(over="ignore"):
            risk = self.w * np.exp(eta)
        hazard, tied, expected, information, logs = self._steps(risk, means=False)[:5]
        _add_rows(self.z, risk, self.first, self.last, self.dead_at, _running(hazard), tied, information)
        lower = np.tril_indices(len(beta), -1)
        information.T[lower] = information[lower]
        with np.errstate(invalid="ignore"):
            log_likelihood = float(self.w[self.dead] @ eta[self.dead] - logs)
        return log_likelihood, self.observed - expected, information

    def score_gradient(self, beta: Floats) -> Floats:
        """Return d score / d weight of each row, shape (rows, p)."""
        relative = np.exp(self.z @ beta)
        hazard, tied, _, _, _, moved, moved_tied, of_dead = self._steps(self.w * relative, means=True)
        gradient = np.empty_like(self.z)
        _row_gradients(
            self.z,
            relative,
            self.order,
            self.first,
            self.last,
            self.dead_at,
            _running(hazard),
            tied,
            _running(moved),
            moved_tied,
            of_dead,
            gradient,
        )
        return gradient

    def _steps(self, risk: Floats, *, means: bool) -> tuple[Floats, Floats, Floats, Floats, float, Floats, Floats, Floats]:
        total, of_dead = _totals(self.z, risk, self.first, self.last, self.dead_at, self.delayed, self.times)
        return _steps(total, of_dead, self.copies, self.dead_weight, self.efron, means)


def _running(increments: Floats) -> Floats:
    """Sum increments up to each time, with zero before the first."""
    return np.concatenate([np.zeros((1, *increments.shape[1:])), np.cumsum(increments, axis=0)])


@njit(cache=True, nogil=True, error_model="numpy")
def _totals(
    z: Floats, risk: Floats, first: Ints, last: Ints, dead_at: Ints, delayed: bool, k: int
) -> tuple[Floats, Floats]:
    """Return sums of risk and risk x covariate over those at risk (from place 1 on) and over the dead."""
    p = z.shape[1]
    total, of_dead = np.zeros((k + 1, p + 1)), np.zeros((k, p + 1))
    for i in range(z.shape[0]):
        r = risk[i]
        at = total[last[i]]
        at[0] += r
        for j in range(p):
            at[j + 1] += r * z[i, j]
        if delayed:
            at = total[first[i]]
            at[0] -= r
            for j in range(p):
                at[j + 1] -= r * z[i, j]
        if dead_at[i] >= 0:
            at = of_dead[dead_at[i]]
            at[0] += r
            for j in range(p):
                at[j + 1] += r * z[i, j]
    for t in range(k - 1, 0, -1):
        for j in range(p + 1):
            total[t, j] += total[t + 1, j]
    return total, of_dead


@njit(cache=True, nogil=True, error_model="numpy")
def _steps(
    total: Floats, of_dead: Floats, copies: Floats, dead_weight: Floats, efron: bool, means: bool
) -> tuple[Floats, Floats, Floats, Floats, float, Floats, Floats, Floats]:
    """Walk the steps of the tied likelihood: one per death (Efron) or one per event time (Breslow).

    Returns
    -------
    hazard, tied : ndarray, shape (k,)
        Increments, and the part of them that the dead of the time are spared.
    expected : ndarray, shape (p,)
    information : ndarray, shape (p, p)
        Minus the outer products of means, in the lower triangle.
    logs : float
    moved, moved_tied, of_dead : ndarray, shape (k, p), or empty without ``means``
        Increments times means, their spared part, and the mean covariate that the dead are held against.
    """
    k, p = copies.size, of_dead.shape[1] - 1
    hazard, tied = np.zeros(k), np.zeros(k)
    expected, information, logs = np.zeros(p), np.zeros((p, p)), 0.0
    rows = k if means else 0
    moved, moved_tied, held = np.zeros((rows, p)), np.zeros((rows, p)), np.zeros((rows, p))
    mean = np.empty(p)
    for t in range(k):
        if not copies[t] > 0:
            continue
        parts = np.int64(copies[t]) if efron else 1
        weight = dead_weight[t] / parts
        for part in range(parts):
            left = part / parts
            s0 = total[t + 1, 0] - left * of_dead[t, 0]
            increment = weight / s0
            hazard[t] += increment
            tied[t] += increment * left
            logs += weight * np.log(s0)
            for j in range(p):
                mean[j] = (total[t + 1, j + 1] - left * of_dead[t, j + 1]) / s0
                expected[j] += weight * mean[j]
                for i in range(j + 1):
                    information[j, i] -= weight * mean[j] * mean[i]
            if means:
                for j in range(p):
                    moved[t, j] += increment * mean[j]
                    moved_tied[t, j] += increment * left * mean[j]
                    held[t, j] += mean[j] / parts
    return hazard, tied, expected, information, logs, moved, moved_tied, held


@njit(cache=True, nogil=True, error_model="numpy")
def _add_rows(
    z: Floats, risk: Floats, first: Ints, last: Ints, dead_at: Ints, hazard: Floats, tied: Floats, information: Floats
) -> None:
    """Add risk x z z' x cumulated hazard of each row to the lower triangle."""
    p = z.shape[1]
    for i in range(z.shape[0]):
        load = hazard[last[i]] - hazard[first[i]]
        if dead_at[i] >= 0:
            load -= tied[dead_at[i]]
        load *= risk[i]
        for j in range(p):
            part = load * z[i, j]
            for m in range(j + 1):
                information[j, m] += part * z[i, m]


@njit(cache=True, nogil=True, error_model="numpy")
def _row_gradients(
    z: Floats,
    relative: Floats,
    order: Ints,
    first: Ints,
    last: Ints,
    dead_at: Ints,
    hazard: Floats,
    tied: Floats,
    moved: Floats,
    moved_tied: Floats,
    of_dead: Floats,
    gradient: Floats,
) -> None:
    """Fill each row's d score / d weight, in the order the rows came in."""
    for i in range(z.shape[0]):
        row, begin, end, t = order[i], first[i], last[i], dead_at[i]
        load = hazard[end] - hazard[begin]
        if t >= 0:
            load -= tied[t]
        for j in range(z.shape[1]):
            pull = moved[end, j] - moved[begin, j]
            if t >= 0:
                gradient[row, j] = relative[i] * (pull - moved_tied[t, j] - z[i, j] * load) + z[i, j] - of_dead[t, j]
            else:
                gradient[row, j] = relative[i] * (pull - z[i, j] * load)

