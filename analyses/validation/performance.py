"""How well an estimator does: the measures of Morris, White & Crowther 2019, 10.1002/sim.8086, with their errors."""

from __future__ import annotations

import numpy as np

from causal_s4.results import Floats

Measured = dict[str, tuple[float, float]]
"""Performance measure to its value and its Monte Carlo standard error."""

STATISTICS = (
    "bias",
    "empirical_se",
    "model_se",
    "relative_error",
    "coverage",
    "rmse",
    "failure_rate",
)


def performance(
    theta: Floats, std_error: Floats, lower: Floats, upper: Floats, truth: float, truth_error: float = 0.0
) -> Measured:
    """Return the performance of one estimator with one interval.

    Parameters
    ----------
    theta, std_error, lower, upper : ndarray, shape (replicates,)
        NaN in every place of a replicate that failed: it gave no estimate, or no interval. Performance is that of
        the others, and ``failure_rate`` says how many there are not.
    truth : float
    truth_error : float
        Monte Carlo standard error of the truth; its variance is added to that of bias and RMSE.

    Returns
    -------
    mapping of str to (float, float)
        One of each of :data:`STATISTICS`. NaN where fewer than two replicates gave an estimate.
    """
    total = len(theta)
    valid = np.isfinite(theta) & np.isfinite(std_error) & np.isfinite(lower) & np.isfinite(upper)
    failed = 1 - valid.mean()
    failure = {"failure_rate": (float(failed), float(np.sqrt(failed * (1 - failed) / total)))}
    r = int(valid.sum())
    if r < 2:
        return dict.fromkeys(STATISTICS[:-1], (np.nan, np.nan)) | failure
    theta, variance, lower, upper = theta[valid], std_error[valid] ** 2, lower[valid], upper[valid]
    error = theta - truth
    bias, spread = float(error.mean()), float(theta.std(ddof=1))
    model = float(np.sqrt(variance.mean()))
    covered = float(((lower <= truth) & (truth <= upper)).mean())
    mse = float((error**2).mean())
    # relative to the mean of the squared errors, the variance's own sampling error
    wobble = float(variance.var(ddof=1)) / (4 * r * model**4) if model > 0 else np.nan
    return {
        "bias": (bias, float(np.sqrt(spread**2 / r + truth_error**2))),
        "empirical_se": (spread, spread / np.sqrt(2 * (r - 1))),
        "model_se": (model, model * np.sqrt(wobble)),
        "relative_error": (model / spread - 1, model / spread * np.sqrt(wobble + 1 / (2 * (r - 1)))),
        "coverage": (covered, float(np.sqrt(covered * (1 - covered) / r))),
        "rmse": (
            float(np.sqrt(mse)),
            # by the delta method from the error of the mean squared error
            float(np.sqrt((error**2).var(ddof=1) / r / (4 * mse) + (bias * truth_error) ** 2 / mse)),
        ),
    } | failure
