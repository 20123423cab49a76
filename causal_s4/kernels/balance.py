"""Weighted means, variances and distances between two arms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from causal_s4.kernels.risk_sets import Floats


def weighted_mean(x: Floats, w: Floats) -> float:
    """Return the weighted mean."""
    return float(w @ x / w.sum())


def weighted_variance(x: Floats, w: Floats, *, binary: bool) -> float:
    """Return the weighted variance.

    With p(1 - p) for a 0/1 variable; else with the factor 1/(1 - sum w^2) on weights that sum to
    one, which is n/(n - 1) for equal weights.
    """
    share = w / w.sum()
    mean = float(share @ x)
    if binary:
        return mean * (1 - mean)
    spread = float(share @ (x - mean) ** 2)
    left = 1 - float(share @ share)
    return spread / left if left > 0 else float("nan")


def kolmogorov_smirnov(x: Floats, w: Floats, treated: NDArray[np.bool_]) -> float:
    """Return the largest distance between the arms' weighted distribution functions."""
    signed = np.where(treated, w / w[treated].sum(), -w / w[~treated].sum())
    order = np.argsort(x, kind="stable")
    running = np.abs(np.cumsum(signed[order]))
    last_of_tie = np.append(np.diff(x[order]) > 0, True)
    return float(running[last_of_tie].max())


def effective_sample_size(w: Floats) -> float:
    """Return (sum w)^2 / sum w^2, zero without weight."""
    total = float(w @ w)
    return float(w.sum()) ** 2 / total if total > 0 else 0.0


def c_statistic(score: Floats, treated: NDArray[np.bool_], w: Floats) -> float:
    """Return the weighted probability that a treated patient scores above a control, ties counted half."""
    _, group = np.unique(score, return_inverse=True)
    size = int(group.max()) + 1
    w1 = np.bincount(group[treated], weights=w[treated], minlength=size)
    w0 = np.bincount(group[~treated], weights=w[~treated], minlength=size)
    below = np.cumsum(w0) - w0
    return float(((below + 0.5 * w0) @ w1) / (w0.sum() * w1.sum()))
