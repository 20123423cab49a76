"""A rate that is constant within rows: Poisson regression with exposure, and its integral over time.

The likelihood of a piecewise-exponential event time is that of Poisson counts with the logarithm of
exposure as offset: Laird & Olivier 1981, 10.1080/01621459.1981.10477634.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causal_s4.kernels.risk_sets import Floats, Ints


@dataclass(frozen=True)
class PoissonFit:
    """A fitted log-linear rate.

    Attributes
    ----------
    coefficient : ndarray, shape (q,)
    rate : ndarray, shape (rows,)
        Events per unit of exposure.
    score : ndarray, shape (rows, q)
        Sums to zero.
    information : ndarray, shape (q, q)
    converged : bool
        False when the likelihood has no maximum or the iteration did not settle.
    """

    coefficient: Floats
    rate: Floats
    score: Floats
    information: Floats
    converged: bool


def fit_poisson(design: Floats, events: Floats, exposure: Floats, *, max_iterations: int = 60) -> PoissonFit:
    """Fit by Newton's method with step halving, on columns scaled to unit spread.

    Parameters
    ----------
    design : ndarray, shape (rows, q)
        The first column is the intercept.
    events : ndarray, shape (rows,)
        Counts.
    exposure : ndarray, shape (rows,)
        Above zero.
    """
    scale = np.sqrt((design**2).mean(axis=0))
    scale[scale == 0] = 1.0
    x, offset = design / scale, np.log(exposure)
    beta = np.zeros(x.shape[1])
    beta[0] = np.log(events.sum() / exposure.sum()) * scale[0]
    objective, converged = _objective(x, beta, offset, events), False
    for _ in range(max_iterations):
        expected = np.exp(x @ beta + offset)
        information = x.T @ (expected[:, None] * x)
        try:
            step = np.linalg.solve(information, x.T @ (events - expected))
        except np.linalg.LinAlgError:
            break
        new = _objective(x, beta + step, offset, events)
        for _ in range(30):
            if new >= objective - 1e-9 * abs(objective):
                break
            step = step / 2
            new = _objective(x, beta + step, offset, events)
        beta, objective = beta + step, new
        if np.max(np.abs(beta)) > 1e4 or not np.isfinite(objective):
            break
        if np.max(np.abs(step)) < 1e-10 * (1 + np.max(np.abs(beta))):
            converged = True
            break
    coefficient = beta / scale
    rate = np.exp(design @ coefficient)
    expected = rate * exposure
    return PoissonFit(
        coefficient=coefficient,
        rate=rate,
        score=design * (events - expected)[:, None],
        information=design.T @ (expected[:, None] * design),
        converged=converged,
    )


def _objective(x: Floats, beta: Floats, offset: Floats, events: Floats) -> float:
    eta = x @ beta + offset
    with np.errstate(over="ignore"):
        return float(events @ eta - np.exp(eta).sum())


@dataclass(frozen=True)
class Moment:
    """Moments of units, as places on their rates: the same in every refit of the rates.

    Attributes
    ----------
    row : ndarray of int, shape (m,)
        In which each falls.
    elapsed : ndarray, shape (m,)
        Time since that row started.
    """

    row: Ints
    elapsed: Floats

    def take(self, keep: NDArray[np.bool_]) -> Moment:
        """Return some of them."""
        return Moment(self.row[keep], self.elapsed[keep])


@dataclass(frozen=True)
class CumulativeRate:
    """The integral of each unit's rate from its first row on, and the derivative of that integral.

    Attributes
    ----------
    unit : ndarray of int, shape (rows,)
        Ascending.
    start : ndarray, shape (rows,)
        Ascending within a unit; a row lasts until the next one of its unit starts. Beyond a unit's last row
        the rate of that row goes on.
    rate : ndarray, shape (rows,)
    slope : ndarray, shape (rows, q)
        d log rate / d coefficient.
    """

    unit: Ints
    start: Floats
    rate: Floats
    slope: Floats

    def locate(self, unit: Ints, time: Floats) -> Ints:
        """Return the row in which each (unit, time] falls: the last one that starts before the time.

        A time at or before the unit's first start falls in its first row.
        """
        ranks = np.unique(np.concatenate([self.start, time]))
        size = len(ranks)
        rows = self.unit * size + np.searchsorted(ranks, self.start)
        wanted = unit * size + np.searchsorted(ranks, time)
        first = np.searchsorted(self.unit, unit, side="left")
        return np.maximum(np.searchsorted(rows, wanted, side="left") - 1, first)

    def moment(self, unit: Ints, time: Floats) -> Moment:
        """Return where times fall."""
        row = self.locate(unit, time)
        return Moment(row=row, elapsed=time - self.start[row])

    def until(self, moment: Moment) -> tuple[Floats, Floats]:
        """Return the integral up to each of m moments, shape (m,), and its derivative, shape (m, q)."""
        row, (before, slope_before) = moment.row, self._before
        elapsed = self.rate[row] * moment.elapsed
        return before[row] + elapsed, slope_before[row] + elapsed[:, None] * self.slope[row]

    @property
    def _before(self) -> tuple[Floats, Floats]:
        """Integral and derivative at the start of each row."""
        same = np.append(self.unit[1:] == self.unit[:-1], False)
        length = np.zeros(len(self.start))
        length[same] = np.diff(self.start)[same[:-1]]
        mass = self.rate * length
        slope = mass[:, None] * self.slope
        opening = np.searchsorted(self.unit, self.unit, side="left")
        total, total_slope = np.cumsum(mass) - mass, np.cumsum(slope, axis=0) - slope
        return total - total[opening], total_slope - total_slope[opening]
