"""The normal distribution, as intervals and tests use it."""

from __future__ import annotations

from scipy.special import ndtr, ndtri  # not scipy.stats, which takes half a second to import


def critical_value(level: float) -> float:
    """Return how many standard errors an interval of a confidence level reaches to either side."""
    return float(ndtri(0.5 + level / 2))


def two_sided(z: float) -> float:
    """Return the two-sided p-value of a standard normal statistic."""
    return float(2 * ndtr(-abs(z)))
