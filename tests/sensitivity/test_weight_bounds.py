"""Bounds of weighted estimates against a linear programme and full enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from causal_s4.errors import UsageError
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.sensitivity import weight_box, weighted_bounds


def mean_of(values: np.ndarray):
    def statistic(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mean = float(weights @ values / weights.sum())
        return mean, (values - mean) / weights.sum()

    return statistic


def survival_at(horizon: float, time: np.ndarray, event: np.ndarray):
    """Weighted Kaplan-Meier and its derivative in each weight, written out."""
    died_at = np.unique(time[(event == 1) & (time <= horizon)])

    def statistic(weights: np.ndarray) -> tuple[float, np.ndarray]:
        survival, slope = 1.0, np.zeros(time.size)
        for each in died_at:
            at_risk, dying = time >= each, (time == each) & (event == 1)
            total, deaths = weights[at_risk].sum(), weights[dying].sum()
            survival *= 1 - deaths / total
            if survival == 0:
                return 0.0, np.zeros(time.size)
            slope -= (dying - at_risk * deaths / total) / (total - deaths)
        return survival, survival * slope

    return statistic


@pytest.mark.parametrize("factor", [1.25, 2.0, 4.0])
def test_weighted_mean_equals_the_linear_fractional_programme(factor: float) -> None:
    generator = np.random.default_rng(1)
    values, share = generator.normal(size=40), generator.uniform(0.2, 0.8, 40)
    low, high = weight_box(share, factor)

    def best(sign: float) -> float:
        # Charnes and Cooper: z = w t with sum z = 1 and low t <= z <= high t
        cost = np.append(-sign * values, 0.0)
        rows = np.vstack([np.column_stack([np.eye(40), -high]), np.column_stack([-np.eye(40), low])])
        found = linprog(cost, A_ub=rows, b_ub=np.zeros(80), A_eq=[np.append(np.ones(40), 0.0)], b_eq=[1])
        return -sign * float(found.fun)

    assert weighted_bounds(mean_of(values), low, high) == pytest.approx((best(-1), best(1)), abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_kaplan_meier_equals_enumeration_of_all_corners(seed: int) -> None:
    generator = np.random.default_rng(seed)
    time, event = generator.exponential(1, 10).round(2) + 0.01, (generator.random(10) < 0.7).astype(int)
    low, high = weight_box(generator.uniform(0.2, 0.8, 10), 2.0)
    statistic = survival_at(float(np.median(time)), time, event)
    corners = [statistic(np.where(corner, high, low))[0] for corner in product([False, True], repeat=10)]
    assert weighted_bounds(statistic, low, high, seed=seed) == pytest.approx((min(corners), max(corners)), abs=1e-12)


def test_restricted_mean_with_the_package_kernel_equals_enumeration() -> None:
    generator = np.random.default_rng(9)
    time, event = generator.exponential(1, 10), generator.random(10) < 0.7
    low, high = weight_box(generator.uniform(0.2, 0.8, 10), 2.0)
    sets = RiskSets.of(None, time, event)

    def statistic(weights: np.ndarray) -> tuple[float, np.ndarray]:
        fit = KaplanMeier.fit(sets, weights)
        return fit.rmst(1.5), fit.rmst_gradient(1.5)

    corners = [statistic(np.where(corner, high, low))[0] for corner in product([False, True], repeat=10)]
    assert weighted_bounds(statistic, low, high) == pytest.approx((min(corners), max(corners)), abs=1e-12)


def test_boxes_by_population() -> None:
    # probability 0.25: odds of the other arm 3
    low, high = weight_box([0.25], 2.0)
    assert (low[0], high[0]) == (1 + 1.5, 1 + 6)
    low, high = weight_box([0.25], 2.0, everyone=False)
    assert (low[0], high[0]) == (1.5, 6)
    low, high = weight_box([0.25], 1.0)
    assert low == high == pytest.approx(4)


def test_bad_ranges_are_refused() -> None:
    with pytest.raises(UsageError, match=r"(?s)share.*odds_factor"):
        weight_box([0.0, 0.5], 0.9)
    with pytest.raises(UsageError, match="low at most high"):
        weighted_bounds(mean_of(np.ones(2)), np.array([1.0, 2.0]), np.array([2.0, 1.0]))
