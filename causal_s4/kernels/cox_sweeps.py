"""The sums of a weighted Cox model for many rows, in compiled loops over rows sorted once.

The arithmetic is that of :mod:`causal_s4.kernels.cox`, which hands over to this module where rows are many.
One walk back in time keeps running sums of those at risk; a walk forward gives each row its cumulated hazard.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from causal_s4.kernels.risk_sets import Floats, Ints, RiskSets

Flags = NDArray[np.int8]


class SweptLikelihood:
    """The weighted partial likelihood of one set of rows.

    Parameters
    ----------
    sets : RiskSets
    covariates : ndarray, shape (rows, p)
    centre : ndarray, shape (p,)
        Taken off the covariates.
    weight : ndarray, shape (rows,)
    efron : bool
    """

    def __init__(self, sets: RiskSets, covariates: Floats, centre: Floats, weight: Floats, efron: bool) -> None:
        k = len(sets.times)
        self.efron = efron
        self.copies = sets.events((weight > 0).astype(float))
        self.dead_weight = sets.events(weight)
        dead = np.zeros(len(weight), dtype=bool)
        dead[sets.dead] = True
        self.order = sets.order
        self.z = np.take(covariates, self.order, axis=0)  # ten times quicker than an index
        self.w, self.dead = weight[self.order], dead[self.order].view(np.int8)
        self.z -= centre
        # rows of the sorted table that leave after each time, and rows that enter after it
        self.leaves = np.concatenate([[0], np.cumsum(np.bincount(sets.last, minlength=k + 1))])
        self.first = sets.first[self.order] if sets.delayed else np.empty(0, dtype=np.int64)
        self.late = np.argsort(self.first)
        self.enters = np.concatenate([[0], np.cumsum(np.bincount(self.first, minlength=k + 1))])
        weight_of_dead = self.w * self.dead
        self.observed = weight_of_dead @ self.z

    def at(self, beta: Floats) -> tuple[float, Floats, Floats]:
        """Return log-likelihood, score and information."""
        eta = self.z @ beta
        with np.errstate(over="ignore"):
            risk = self.w * np.exp(eta)
        hazard, tied, expected, information, logs = self._walk_back(risk, means=False)[:5]
        lower = np.tril_indices(len(beta), -1)
        information.T[lower] = information[lower]
        _add_rows(self.z, risk, self.dead, self.leaves, self.first, _running(hazard), tied, information)
        with np.errstate(invalid="ignore"):
            log_likelihood = float(self.observed @ beta - logs)
        return log_likelihood, self.observed - expected, information

    def score_gradient(self, beta: Floats) -> Floats:
        """Return d score / d weight of each row, shape (rows, p)."""
        relative = np.exp(self.z @ beta)
        hazard, tied, _, _, _, moved, moved_tied, held = self._walk_back(self.w * relative, means=True)
        gradient = np.empty_like(self.z)
        _row_gradients(
            self.z,
            relative,
            self.dead,
            self.order,
            self.leaves,
            self.first,
            _running(hazard),
            tied,
            moved,
            _running(moved) if self.first.size else moved[:0],
            moved_tied,
            held,
            gradient,
        )
        return gradient

    def _walk_back(
        self, risk: Floats, *, means: bool
    ) -> tuple[Floats, Floats, Floats, Floats, float, Floats, Floats, Floats]:
        return _walk_back(
            self.z,
            risk,
            self.dead,
            self.leaves,
            self.late,
            self.enters,
            self.copies,
            self.dead_weight,
            self.efron,
            means,
        )


def _running(increments: Floats) -> Floats:
    """Sum increments up to each time, with zero before the first."""
    running = np.zeros((len(increments) + 1, *increments.shape[1:]))
    np.cumsum(increments, axis=0, out=running[1:])
    return running


@njit(cache=True, nogil=True, error_model="numpy")
def _walk_back(
    z: Floats,
    risk: Floats,
    dead: Flags,
    leaves: Ints,
    late: Ints,
    enters: Ints,
    copies: Floats,
    dead_weight: Floats,
    efron: bool,
    means: bool,
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
    moved, moved_tied, held : ndarray, shape (k, p), or empty without ``means``
        Increments times means, their spared part, and the mean covariate that the dead are held against.
    """
    k, p = copies.size, z.shape[1]
    hazard, tied = np.zeros(k), np.zeros(k)
    expected, information, logs = np.zeros(p), np.zeros((p, p)), 0.0
    rows = k if means else 0
    moved, moved_tied, held = np.zeros((rows, p)), np.zeros((rows, p)), np.zeros((rows, p))
    s0, s1 = 0.0, np.zeros(p)
    own0, own1 = np.empty(2), np.empty((2, p))  # of a time's survivors and dead; an index costs less than a branch
    d1 = own1[1]
    for t in range(k - 1, -1, -1):
        own0[:] = 0.0
        own1[:] = 0.0
        for i in range(leaves[t + 1], leaves[t + 2]):
            r, into = risk[i], own1[dead[i]]
            own0[dead[i]] += r
            for j in range(p):
                into[j] += r * z[i, j]
        d0 = own0[1]
        s0 += own0[0] + d0
        for j in range(p):
            s1[j] += own1[0, j] + d1[j]
        for at in range(enters[t + 1], enters[t + 2]):
            i = late[at]
            s0 -= risk[i]
            for j in range(p):
                s1[j] -= risk[i] * z[i, j]
        if not copies[t] > 0:
            continue
        parts = int(copies[t]) if efron else 1
        weight = dead_weight[t] / parts
        # each step's mean is u s1 - v d1, so that sums over the steps of a time need u and v alone
        u1, v1, uu, uv, vv = 0.0, 0.0, 0.0, 0.0, 0.0
        for part in range(parts):
            left = part / parts
            total = s0 - left * d0
            u = 1.0 / total
            v = left * u
            logs += weight * np.log(total)
            u1 += u
            v1 += v
            uu += u * u
            uv += u * v
            vv += v * v
        hazard[t], tied[t] = weight * u1, weight * v1
        for j in range(p):
            expected[j] += weight * (u1 * s1[j] - v1 * d1[j])
            on_s, on_d = weight * (uu * s1[j] - uv * d1[j]), weight * (vv * d1[j] - uv * s1[j])
            for i in range(j + 1):
                information[j, i] -= on_s * s1[i] + on_d * d1[i]
        if means:
            for j in range(p):
                moved[t, j] = weight * (uu * s1[j] - uv * d1[j])
                moved_tied[t, j] = weight * (uv * s1[j] - vv * d1[j])
                held[t, j] = (u1 * s1[j] - v1 * d1[j]) / parts
    return hazard, tied, expected, information, logs, moved, moved_tied, held


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_rows(
    z: Floats, risk: Floats, dead: Flags, leaves: Ints, first: Ints, hazard: Floats, tied: Floats, information: Floats
) -> None:
    """Add risk x z z' x cumulated hazard of each row."""
    n, p = z.shape
    load = np.zeros(n + 3)
    for end in range(1, hazard.size):
        for i in range(leaves[end], leaves[end + 1]):
            begin = hazard[first[i]] if first.size else 0.0
            load[i] = risk[i] * (hazard[end] - begin - dead[i] * tied[end - 1])
    for i in range(0, n, 4):  # four rows at once: the sums are fetched and stored a quarter as often
        i1, i2, i3 = min(i + 1, n - 1), min(i + 2, n - 1), min(i + 3, n - 1)
        r0, r1, r2, r3 = z[i], z[i1], z[i2], z[i3]
        for j in range(p):
            a0, a1, a2, a3 = load[i] * r0[j], load[i + 1] * r1[j], load[i + 2] * r2[j], load[i + 3] * r3[j]
            into = information[j]
            for m in range(p):
                into[m] += (a0 * r0[m] + a1 * r1[m]) + (a2 * r2[m] + a3 * r3[m])


@njit(cache=True, nogil=True, error_model="numpy")
def _row_gradients(
    z: Floats,
    relative: Floats,
    dead: Flags,
    order: Ints,
    leaves: Ints,
    first: Ints,
    hazard: Floats,
    tied: Floats,
    moved: Floats,
    moved_before: Floats,
    moved_tied: Floats,
    held: Floats,
    gradient: Floats,
) -> None:
    """Fill each row's d score / d weight, in the order the rows came in."""
    p = z.shape[1]
    total = np.zeros(p)
    for end in range(hazard.size):
        t = end - 1
        if end:
            for j in range(p):
                total[j] += moved[t, j]
        for i in range(leaves[end], leaves[end + 1]):
            row = order[i]
            begin = first[i] if first.size else 0
            load = hazard[end] - hazard[begin]
            if dead[i]:
                load -= tied[t]
            for j in range(p):
                pull = total[j] - moved_before[begin, j] if first.size else total[j]
                if dead[i]:
                    gradient[row, j] = relative[i] * (pull - moved_tied[t, j] - z[i, j] * load) + z[i, j] - held[t, j]
                else:
                    gradient[row, j] = relative[i] * (pull - z[i, j] * load)
