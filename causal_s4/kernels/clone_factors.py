"""What the weights of cloned strategies are made of, kept so that a resample can make them again.

Plain arrays, which load without the compiler. The places on the time axis, the terms of the models and the
shares of a fixed timing stay as they are; rates, hazards and cuts are made anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from causal_s4.kernels.baseline_hazard import baseline_hazard
from causal_s4.kernels.poisson import CumulativeRate, Moment
from causal_s4.kernels.risk_sets import Floats, Ints, RiskSets

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RefittableRate:
    """A fitted rate and what it was fitted to, by person-row.

    Attributes
    ----------
    integral : CumulativeRate
        Its slopes are the design.
    coefficient : ndarray, shape (q,)
    event : ndarray, shape (rows,)
        0.0 or 1.0.
    exposure : ndarray, shape (rows,)
        Zero where the rate is zero because nothing happens at a level of the row.
    level : ndarray of bool, shape (rows, levels)
        Rows of each level of a covariate: without an event at it, the rate there is zero.
    """

    integral: CumulativeRate
    coefficient: Floats
    event: Floats
    exposure: Floats
    level: Mask


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a factor of the weights is read off a rate: scale exp(+-(L(until) - L(since))) / rate.

    Attributes
    ----------
    until : Moment, of m rows
    since : Moment, of m rows, or None
        None is time zero, where L is zero.
    own : ndarray of int, shape (m,)
        Person-row whose rate the factor is divided by, or -1.
    scale : ndarray, shape (m,)
        What does not depend on the rate.
    sign : float
    """

    until: Moment
    since: Moment | None
    own: Ints
    scale: Floats
    sign: float = 1.0

    def take(self, keep: Mask) -> Reading:
        """Return some of the rows."""
        since = None if self.since is None else self.since.take(keep)
        return replace(self, until=self.until.take(keep), since=since, own=self.own[keep], scale=self.scale[keep])

    def of(self, integral: CumulativeRate) -> tuple[Floats, Floats]:
        """Return the factor, shape (m,), and the derivative of its logarithm in the coefficients, shape (m, q)."""
        mass, slope = integral.until(self.until)
        if self.since is not None:
            early, early_slope = integral.until(self.since)
            mass, slope = mass - early, slope - early_slope
        factor, slope = self.scale * np.exp(self.sign * mass), self.sign * slope
        divided = self.own >= 0
        own = self.own[divided]
        factor[divided] /= integral.rate[own]
        slope[divided] -= integral.slope[own]
        return factor, slope


@dataclass(frozen=True, kw_only=True)
class RateFactor:
    """A factor of the weights that is read off a rate."""

    rate: RefittableRate
    reading: Reading

    def take(self, keep: Mask) -> RateFactor:
        """Return the factor of some rows."""
        return replace(self, reading=self.reading.take(keep))


@dataclass(frozen=True, kw_only=True)
class LeavingFactor:
    """A factor exp(H relative hazard) of the rows of one arm, H from a Cox model (Efron) of leaving it.

    Attributes
    ----------
    sets : RiskSets
        Of one row a patient.
    terms : ndarray, shape (n, p)
    coefficient : ndarray, shape (p,)
    rows : ndarray of int, shape (m,)
        Rows of the arm.
    patient : ndarray of int, shape (m,)
        Whose each is.
    jumps : ndarray of int, shape (m,)
        How many times of leaving have passed.
    """

    sets: RiskSets
    terms: Floats
    coefficient: Floats
    rows: Ints
    patient: Ints
    jumps: Ints

    @property
    def values(self) -> Floats:
        """The factor of its rows, from the data as they are."""
        relative = np.exp(self.terms @ self.coefficient)
        hazard = np.concatenate([[0.0], baseline_hazard(self.sets, relative)])
        return np.asarray(np.exp(hazard[self.jumps] * relative[self.patient]))


@dataclass(frozen=True, kw_only=True)
class FinalCut:
    """Cuts at quantiles of the weights that are left when the grace period ends, arm by arm.

    Attributes
    ----------
    arm : ndarray of int, shape (rows,)
    read : ndarray of bool, shape (rows,)
        Rows whose weights the quantiles are of, one a patient at most.
    final : ndarray of bool, shape (rows,)
        Rows that are cut from below too.
    low, high : float
    """

    arm: Ints
    read: Mask
    final: Mask
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class CloneWeighting:
    """How the weights of cloned strategies are made.

    Attributes
    ----------
    patient : ndarray of int, shape (rows,)
        Whose each row is.
    needed : tuple of ndarray of bool, shape (patients,)
        Of each of these groups a resample needs somebody.
    factors : tuple of RateFactor or LeavingFactor
    cut : FinalCut or None
    """

    patient: Ints
    needed: tuple[Mask, ...]
    factors: tuple[RateFactor | LeavingFactor, ...]
    cut: FinalCut | None = None
