"""Intervals read off replicates, on the scale an effect's interval is made on.

Percentile and bias-corrected accelerated intervals do not depend on the scale; the basic and the normal one
are made on the logarithm of ratios and on the complementary log-log scale of probabilities. Davison & Hinkley
1997, 10.1017/CBO9780511802843; Efron 1987, 10.1080/01621459.1987.10478410.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from causal_s4.kernels.normal import critical_value
from causal_s4.results import Floats


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A standard error and limits on the scale of theta; NaN where there is none.

    Parameters
    ----------
    std_error, lower, upper : float
    """

    std_error: float
    lower: float
    upper: float


def bootstrap_interval(
    theta: float,
    replicates: Floats,
    *,
    kind: str,
    level: float,
    scale: str = "plain",
    phi: Floats | None = None,
) -> Interval:
    """Return a bootstrap interval.

    Parameters
    ----------
    theta : float
        The estimate; a logarithm when ``scale`` is ``"log"``.
    replicates : ndarray, shape (replicates,)
        On the same scale, without those that failed. Infinite values count as beyond every limit.
    kind : {"percentile", "basic", "normal", "bca"}
    level : float
    scale : {"plain", "log", "cloglog"}
        ``"cloglog"``: theta is a probability whose basic and normal intervals are made on log(-log theta).
    phi : ndarray, shape (units,), optional
        Each resampled unit's influence on theta, for the acceleration of the BCa interval; without it the
        interval is bias-corrected only.

    Returns
    -------
    Interval
    """
    tail = (1 - level) / 2
    spread = float(np.std(replicates, ddof=1)) if len(replicates) > 1 and np.isfinite(replicates).all() else np.nan
    if len(replicates) < 2:
        return Interval(std_error=np.nan, lower=np.nan, upper=np.nan)
    if kind == "percentile":
        lower, upper = _quantile(replicates, tail), _quantile(replicates, 1 - tail)
    elif kind == "bca":
        lower, upper = _bca(theta, replicates, tail, phi)
    elif kind == "basic":
        lower, upper = _basic(theta, replicates, tail, scale)
    else:
        lower, upper = normal_limits(theta, spread, level, scale)
    return Interval(std_error=spread, lower=lower, upper=upper)


def normal_limits(theta: float, std_error: float, level: float, scale: str) -> tuple[float, float]:
    """Return theta -/+ z standard errors; of a probability, through the complementary log-log scale."""
    z = critical_value(level)
    if scale != "cloglog":
        return theta - z * std_error, theta + z * std_error
    if not 0 < theta < 1:
        return np.nan, np.nan
    width = z * std_error / abs(theta * np.log(theta))
    return float(theta ** np.exp(width)), float(theta ** np.exp(-width))


def jackknife_std_error(replicates: Floats) -> float:
    """Return the jackknife standard error of leave-one-out estimates (Efron & Stein 1981, 10.1214/aos/1176345462)."""
    n = len(replicates)
    return float(np.sqrt((n - 1) / n * ((replicates - replicates.mean()) ** 2).sum()))


def _basic(theta: float, replicates: Floats, tail: float, scale: str) -> tuple[float, float]:
    high, low = _quantile(replicates, 1 - tail), _quantile(replicates, tail)
    if scale != "cloglog":
        return 2 * theta - high, 2 * theta - low
    if not 0 < theta < 1:
        return np.nan, np.nan

    def there(probability: float) -> float:
        with np.errstate(divide="ignore"):
            return float(np.log(-np.log(probability)))

    def back(value: float) -> float:
        return float(np.exp(-np.exp(value)))

    # the transformation is decreasing, so the upper quantile still gives the lower limit
    return back(2 * there(theta) - there(high)), back(2 * there(theta) - there(low))


def _bca(theta: float, replicates: Floats, tail: float, phi: Floats | None) -> tuple[float, float]:
    below = float(np.mean(replicates < theta) + np.mean(replicates == theta) / 2)
    if not 0 < below < 1:
        return np.nan, np.nan
    bias = float(ndtri(below))
    total = 0.0 if phi is None else float((phi**2).sum())
    acceleration = float((phi**3).sum()) / (6 * total**1.5) if phi is not None and total > 0 else 0.0

    def limit(share: float) -> float:
        shifted = bias + float(ndtri(share))
        return _quantile(replicates, float(ndtr(bias + shifted / (1 - acceleration * shifted))))

    return limit(tail), limit(1 - tail)


def _quantile(values: Floats, share: float) -> float:
    """Return the value at place (B + 1) share of B sorted ones, between neighbours in proportion."""
    ordered = np.sort(values)
    place = min(max((len(ordered) + 1) * share, 1.0), float(len(ordered)))
    low, high = float(ordered[int(np.floor(place)) - 1]), float(ordered[int(np.ceil(place)) - 1])
    return low if low == high else low + (place - np.floor(place)) * (high - low)
