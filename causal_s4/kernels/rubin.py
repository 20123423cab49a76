"""Rubin's rules: one estimate from those of several completed data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A pooled estimate.

    Parameters
    ----------
    theta, std_error : float
    freedom : float
        Degrees of freedom of its t distribution; infinite when the data sets agree.
    missing_information : float
        Share of the variance that is due to missing values.
    """

    theta: float
    std_error: float
    freedom: float
    missing_information: float

    def reach(self, level: float) -> float:
        """Return half the width of the interval."""
        share = 0.5 + level / 2
        return self.std_error * float(ndtri(share) if np.isinf(self.freedom) else stdtrit(self.freedom, share))

    @property
    def p_value(self) -> float | None:
        """Two-sided, of no effect; None without a standard error."""
        if not self.std_error > 0:
            return None
        z = abs(self.theta) / self.std_error
        return float(2 * (ndtr(-z) if np.isinf(self.freedom) else stdtr(self.freedom, -z)))


def rubin(theta: Sequence[float] | Floats, variance: Sequence[float] | Floats, patients: float) -> Pooled:
    """Pool estimates of completed data sets.

    Parameters
    ----------
    theta, variance : sequence of float, length M
        Estimates and their variances.
    patients : float
        Degrees of freedom had nothing been missing, about the number of patients.

    Returns
    -------
    Pooled

    Notes
    -----
    Variance W + (1 + 1/M) B, W the mean variance and B the variance of the estimates. Degrees of freedom: Barnard
    & Rubin 1999, 10.1093/biomet/86.4.948.
    """
    estimates, within = np.asarray(theta, dtype=float), float(np.mean(variance))
    m = len(estimates)
    between = float(estimates.var(ddof=1)) * (1 + 1 / m) if m > 1 else 0.0
    total = within + between
    share = between / total if total > 0 else 0.0
    freedom = np.inf
    if share > 1e-9:
        old = (m - 1) / share**2
        observed = (patients + 1) / (patients + 3) * patients * (1 - share)
        freedom = 1 / (1 / old + 1 / observed) if observed > 0 else old
    return Pooled(
        theta=float(estimates.mean()),
        std_error=float(np.sqrt(total)),
        freedom=float(freedom),
        missing_information=share,
    )
