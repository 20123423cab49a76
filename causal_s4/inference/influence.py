"""One rule gives every interval: d theta / d weight, joined with the weights' estimating equations.

For an estimate theta of weighted rows, a patient's influence is the sum of w u over the patient's rows
(u = d theta / d w) plus, for each fitted nuisance of the weights, its score carried through
d w / d coefficient. The variance is the sum of squared influences. Weights taken as known keep the
first term only. Binder 1992, 10.1093/biomet/79.1.139; Shu et al. 2021, 10.1111/biom.13332; Hajage et
al. 2018, 10.1002/bimj.201700330.
"""

from __future__ import annotations

import numpy as np

from causal_s4.cohort import RiskTable
from causal_s4.results import Floats, Weights


def row_weights(table: RiskTable, weights: Weights | None) -> Floats:
    """Return one weight a row: ones without weights, a patient's weight on each of its rows."""
    if weights is None:
        return np.ones(len(table))
    return weights.values if weights.by_row else weights.values[table.patient]


def influence(table: RiskTable, weights: Weights | None, gradient: Floats, *, account: bool = True) -> Floats:
    """Return each patient's influence on each estimate.

    Parameters
    ----------
    table : RiskTable
    weights : Weights or None
    gradient : ndarray, shape (rows,) or (rows, m)
        d theta / d weight of each row.
    account : bool
        Whether to add the terms of the weights' estimation.

    Returns
    -------
    ndarray, shape (patients,) or (patients, m)
        Sums to zero; the sum of squares is the variance.
    """
    single = gradient.ndim == 1
    u = gradient[:, None] if single else gradient
    weighted = row_weights(table, weights)[:, None] * u
    one_row_each = len(table) == table.n_patients and bool((table.patient == np.arange(len(table))).all())
    phi = weighted if one_row_each else _by_patient(table, weighted)
    if account and weights is not None:
        units = u if weights.by_row or one_row_each else _by_patient(table, u)
        for part in weights.parts:
            phi = phi + part.correction(units)
    return phi[:, 0] if single else phi


def standard_errors(phi: Floats) -> Floats:
    """Return the root of the summed squared influences."""
    return np.asarray(np.sqrt((phi**2).sum(axis=0)))


def _by_patient(table: RiskTable, values: Floats) -> Floats:
    return np.column_stack(
        [np.bincount(table.patient, weights=values[:, j], minlength=table.n_patients) for j in range(values.shape[1])]
    )


def curve_variance(
    table: RiskTable,
    weights: Weights | None,
    rows: np.ndarray,
    last: np.ndarray,
    rate: Floats,
    hazard: Floats,
    survival: Floats,
    dead: np.ndarray,
    *,
    account: bool = True,
) -> Floats:
    """Return the variance of a weighted Kaplan-Meier curve at each of its event times, in O(n q).

    Serves tables with one undelayed row a patient. Up to its last event time a row's derivative is
    S(t) times a running sum, and after it a constant, so every sum of squares and cross-products is a
    cumulative sum over rows sorted by that time.

    Parameters
    ----------
    rows : ndarray of int, shape (m,)
        Rows of the arm.
    last : ndarray of int, shape (m,)
        Number of event times at or before each row's stop.
    rate, hazard, survival : ndarray, shape (k,)
        1/(Y - d), d/Y and S at each event time.
    dead : ndarray of bool, shape (m,)
        Whether the row ends in an event.
    """
    k = len(survival)
    running = np.concatenate([[0.0], np.cumsum(rate * hazard)])
    final = running[last] - np.where(dead, rate[np.maximum(last - 1, 0)], 0.0)
    w = row_weights(table, weights)[rows]

    def sums(values: Floats) -> Floats:
        """Sum value * u(t) / S(t) over the arm at each event time."""
        done = np.cumsum(np.bincount(last, weights=values * final, minlength=k + 1))[1:]
        waiting = values.sum() - np.cumsum(np.bincount(last, weights=values, minlength=k + 1))[1:]
        return done + running[1:] * waiting

    squares = np.cumsum(np.bincount(last, weights=(w * final) ** 2, minlength=k + 1))[1:]
    squares += running[1:] ** 2 * ((w**2).sum() - np.cumsum(np.bincount(last, weights=w**2, minlength=k + 1))[1:])
    if account and weights is not None and weights.parts:
        score = np.concatenate([part.score for part in weights.parts], axis=1)
        pull = []
        for part in weights.parts:
            columns = [sums(part.derivative[rows, j]) for j in range(part.derivative.shape[1])]
            pull.append(np.linalg.solve(part.information, np.array(columns)))
        a = np.concatenate(pull)
        cross = np.array([sums(w * score[rows, j]) for j in range(score.shape[1])])
        squares = squares + 2 * (a * cross).sum(axis=0) + ((score.T @ score @ a) * a).sum(axis=0)
    return np.asarray(survival**2 * np.maximum(squares, 0.0))
