"""What could weights alone say if the odds of treatment were off? Bounds of weighted estimates.

The marginal sensitivity model without a model of survival: each patient's weight is free within a
range around the one the propensity score gives.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from causal_s4.errors import UsageError
from causal_s4.results import Floats
from causal_s4.sensitivity.checks import Checker

Statistic = Callable[[Floats], tuple[float, Floats]]
"""A weighted estimate: weights of the units in, the estimate and its derivative in each weight out."""


def weight_box(share: ArrayLike, odds_factor: float, *, everyone: bool = True) -> tuple[Floats, Floats]:
    """Return the least and the largest weight of each patient of an arm.

    Parameters
    ----------
    share : array-like, shape (n,)
        Probability of the arm the patient was in.
    odds_factor : float
        At least 1.
    everyone : bool
        True for weights to everyone (ATE), false for weights to the patients of the other arm (the
        control arm of the ATT, the treated arm of the ATC).

    Returns
    -------
    tuple of ndarray, shape (n,)

    Raises
    ------
    UsageError
        When a probability or the factor does not fit.

    Notes
    -----
    1 + o/L .. 1 + oL with o the odds of the other arm. Zhao, Small & Bhattacharya 2019,
    10.1111/rssb.12327. Overlap weights have no such box, and none is offered.
    """
    check = Checker("a range of weights")
    probability = check.array("share", share, (None,), above=0, below=1)
    check.number("odds_factor", odds_factor, at_least=1)
    check.raise_if_any()
    odds = (1 - probability) / probability
    base = 1.0 if everyone else 0.0
    return base + odds / odds_factor, base + odds * odds_factor


def weighted_bounds(
    statistic: Statistic, low: Floats, high: Floats, *, starts: int = 4, seed: int | np.random.SeedSequence = 0
) -> tuple[float, float]:
    """Return the least and the largest value of a weighted estimate, each weight free within its range.

    Parameters
    ----------
    statistic : callable
        Weights to ``(estimate, derivative in each weight)``, such as a weighted Kaplan-Meier
        estimate at a time.
    low, high : ndarray, shape (n,)
        From :func:`weight_box`.
    starts : int
        Where the ascent starts: the middle of the ranges, and points drawn at random.
    seed : int or SeedSequence
        For those.

    Returns
    -------
    tuple of float
        Wider than the sharp bounds, since the weights need not balance the covariates.

    Raises
    ------
    UsageError
        When the ranges do not fit.

    Notes
    -----
    The extreme lies at a corner. From a start, every weight moves to the end of its range that the
    derivative favours, until nothing improves. Exact for a weighted mean; for a Kaplan-Meier
    estimate it reached the optimum of full enumeration in small samples.
    """
    if low.shape != high.shape or (low > high).any() or (low < 0).any() or starts < 1:
        raise UsageError("weights need ranges of one shape, from 0 up, low at most high, and at least one start")
    generator = np.random.default_rng(seed)
    begin = [(low + high) / 2]
    begin += [np.where(generator.random(low.size) < 0.5, low, high) for _ in range(starts - 1)]
    least = min(_ascend(statistic, low, high, weights, -1.0) for weights in begin)
    most = max(_ascend(statistic, low, high, weights, 1.0) for weights in begin)
    return least, most


def _ascend(statistic: Statistic, low: Floats, high: Floats, weights: Floats, sign: float) -> float:
    value, derivative = statistic(weights)
    while True:
        weights = np.where(sign * derivative > 0, high, low)
        moved, derivative = statistic(weights)
        if sign * moved <= sign * value:
            return value
        value = moved
