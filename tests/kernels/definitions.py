"""The estimators written out as their definitions, row by row and slowly, and random rows to try them on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from causal_s4.kernels.risk_sets import RiskSets


@dataclass(frozen=True)
class Rows:
    """(start, stop] rows with an event code, two covariates and a weight."""

    start: np.ndarray
    stop: np.ndarray
    event: np.ndarray  # 0 none, 1, 2
    z: np.ndarray
    weight: np.ndarray

    def sets(self, codes=(1,)) -> RiskSets:
        start = self.start if self.start.any() else None
        return RiskSets.of(start, self.stop, np.isin(self.event, codes))

    def present(self, time) -> np.ndarray:
        """Rows at risk at a time: start < time <= stop."""
        return (self.start < time) & (time <= self.stop)

    def times(self, codes=(1,)) -> np.ndarray:
        return np.unique(self.stop[np.isin(self.event, codes)])


def draw_rows(seed: int, n: int, *, tied: bool, delayed: bool) -> Rows:
    """Make rows with events of both kinds; tied times are whole numbers."""
    rng = np.random.default_rng(seed)
    stop = rng.exponential(8, n) + 0.5
    start = rng.uniform(0, 6, n) * (rng.random(n) < 0.5) if delayed else np.zeros(n)
    if tied:
        stop, start = np.ceil(stop), np.floor(start)
    stop = np.where(stop <= start, start + 1.0, stop)
    event = rng.choice([0, 1, 1, 2], n)
    event[:4] = [1, 1, 2, 0]
    # somebody is at risk at all times, so that no curve drops to zero half-way
    start[3], stop[3] = 0.0, stop.max() + 1
    z = np.column_stack([rng.integers(0, 2, n), rng.normal(size=n)]).astype(float)
    z[:4, 0] = [0, 1, 0, 1]
    return Rows(start, stop, event, z, rng.uniform(0.2, 3, n))


@st.composite
def rows(draw, most=40):
    return draw_rows(
        draw(st.integers(0, 10**6)),
        draw(st.integers(12, most)),
        tied=draw(st.booleans()),
        delayed=draw(st.booleans()),
    )


def survival(rows: Rows, weight: np.ndarray, time: float, codes=(1,)) -> float:
    """Product over event times of one minus deaths over numbers at risk."""
    product = 1.0
    for s in rows.times(codes):
        if s <= time:
            dead = np.isin(rows.event, codes) & (rows.stop == s)
            product *= 1 - weight[dead].sum() / weight[rows.present(s)].sum()
    return product


def restricted_mean(rows: Rows, weight: np.ndarray, horizon: float) -> float:
    """Area under the steps."""
    edges = [0.0, *[s for s in rows.times() if s < horizon], horizon]
    return sum((right - left) * survival(rows, weight, left) for left, right in pairwise(edges))


def incidence(rows: Rows, weight: np.ndarray, time: float, cause: int) -> float:
    """Sum over times of the chance to be event-free just before, times the hazard of the cause."""
    total, before = 0.0, 1.0
    for s in rows.times((1, 2)):
        if s > time:
            break
        at_risk = weight[rows.present(s)].sum()
        here = rows.stop == s
        total += before * weight[here & (rows.event == cause)].sum() / at_risk
        before *= 1 - weight[here & (rows.event > 0)].sum() / at_risk
    return total


def cox_log_likelihood(rows: Rows, weight: np.ndarray, beta: np.ndarray, *, efron: bool) -> float:
    """Weighted partial likelihood; with Efron the m deaths of one time share their mean weight."""
    eta = rows.z @ beta
    risk = weight * np.exp(eta)
    total = 0.0
    for s in rows.times():
        dead = (rows.event == 1) & (rows.stop == s)
        m = int(dead.sum())
        total += weight[dead] @ eta[dead]
        for position in range(m):
            leaving = position / m if efron else 0.0
            total -= weight[dead].sum() / m * np.log(risk[rows.present(s)].sum() - leaving * risk[dead].sum())
    return float(total)


def central_difference(function, at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Derivative of a function of a vector in each of its entries."""
    gradient = []
    for j in range(len(at)):
        move = np.zeros(len(at))
        move[j] = step * max(1.0, abs(at[j]))
        gradient.append((np.asarray(function(at + move)) - np.asarray(function(at - move))) / (2 * move[j]))
    return np.array(gradient)
