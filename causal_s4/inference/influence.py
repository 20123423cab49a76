"""One rule gives every interval: d theta / d weight, joined with the weights' estimating equations.

For an estimate theta of weighted rows, a patient's influence is the sum of w u over the patient's rows
(u = d theta / d w) plus, for each fitted nuisance of the weights, its score carried through
d w / d coefficient. The variance is the sum of squared influences. Weights taken as known keep the
first term only. Binder 1992, 10.1093/biomet/79.1.139; Shu et al. 2021, 10.1111/biom.13332; Hajage et
al. 2018, 10.1002/bimj.201700330.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from causal_s4.cohort import RiskTable
from causal_s4.results import Floats, Ints, Weights


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
    simple = one_row_each(table)
    phi = weighted if simple else _by_patient(table, weighted)
    if account and weights is not None:
        units = u if weights.by_row or simple else _by_patient(table, u)
        for part in weights.parts:
            phi = phi + part.correction(units)
    return phi[:, 0] if single else phi


def standard_errors(phi: Floats) -> Floats:
    """Return the root of the summed squared influences."""
    return np.asarray(np.sqrt((phi**2).sum(axis=0)))


def one_row_each(table: RiskTable) -> bool:
    """Return whether row i is the only row of patient i."""
    return len(table) == table.n_patients and bool((table.patient == np.arange(len(table))).all())


def _by_patient(table: RiskTable, values: Floats) -> Floats:
    return np.column_stack(
        [np.bincount(table.patient, weights=values[:, j], minlength=table.n_patients) for j in range(values.shape[1])]
    )


def curve_variance(
    table: RiskTable,
    weights: Weights | None,
    rows: Ints,
    span: tuple[Ints, Ints],
    rate: Floats,
    hazard: Floats,
    survival: Floats,
    dead: NDArray[np.bool_],
    *,
    account: bool = True,
) -> Floats:
    """Return the variance of a weighted Kaplan-Meier curve at each of its event times, in O(rows q).

    While a row is at risk its patient's derivative is S(t) times a linear function of one running sum G, and
    between rows and after the last a constant. Sums of squares and of cross-products over patients are then
    quadratic in G, with coefficients that are cumulative sums over rows.

    Parameters
    ----------
    rows : ndarray of int, shape (m,)
        Rows of the arm; those of one patient do not overlap.
    span : pair of ndarray of int, shape (m,)
        First event time at which each row is at risk, and the one after its last.
    rate, hazard, survival : ndarray, shape (k,)
        1/(Y - d), d/Y and S at each event time.
    dead : ndarray of bool, shape (m,)
        Whether the row ends in an event.
    """
    if not len(survival):
        return np.empty(0)
    order = np.lexsort((span[0], table.patient[rows]))
    rows, first, last, ends = rows[order], span[0][order], span[1][order], dead[order]
    patient = table.patient[rows]
    k = len(survival)
    running = np.concatenate([[0.0], np.cumsum(rate * hazard)])
    w = row_weights(table, weights)[rows]
    gain = running[last] - running[first] - np.where(ends, rate[np.maximum(last - 1, 0)], 0.0)
    until = last - ends  # a death takes effect at its own event time
    same = patient[1:] == patient[:-1]
    resume = np.append(np.where(same, first[1:], k), k)  # when the patient's next row begins
    total = np.cumsum(w * gain)
    opening = np.searchsorted(patient, patient, side="left")
    after = total - (total - w * gain)[opening]
    level = after - w * gain - w * running[first]  # at risk, the derivative over S is level + w G
    g = running[1:]

    def over(begin: Ints, end: Ints, values: Floats) -> Floats:
        """Sum values over the rows whose stretch [begin, end) holds each event time."""
        change = np.bincount(begin, values, k + 1) - np.bincount(end, values, k + 1)
        return np.asarray(np.cumsum(change)[:k])

    squares = (
        over(first, until, level**2)
        + g * over(first, until, 2 * level * w)
        + g**2 * over(first, until, w**2)
        + over(until, resume, after**2)
    )
    if account and weights is not None and weights.parts:
        score = np.concatenate([part.score for part in weights.parts], axis=1)
        units = rows if weights.by_row else patient
        finish = np.full(len(rows), k)

        def pulled(values: Floats) -> Floats:
            """Sum d weight / d coefficient times the derivative over S."""
            at_risk = over(first, until, -values * running[first]) + g * over(first, until, values)
            return at_risk + over(until, finish, values * gain)

        pull = np.concatenate(
            [
                np.linalg.solve(
                    part.information,
                    np.array([pulled(part.derivative[units, j]) for j in range(part.derivative.shape[1])]),
                )
                for part in weights.parts
            ]
        )
        cross = np.array(
            [
                over(first, until, level * s) + g * over(first, until, w * s) + over(until, resume, after * s)
                for s in score[patient].T
            ]
        )
        squares = squares + 2 * (pull * cross).sum(axis=0) + ((score.T @ score @ pull) * pull).sum(axis=0)
    return np.asarray(survival**2 * np.maximum(squares, 0.0))
