"""Weighted Kaplan-Meier and restricted mean survival time, with their unit-weight derivatives.

Formulas: Xie & Liu 2005, 10.1002/sim.2174, for the weighted product limit; the derivatives are those
of the product-limit map itself (an infinitesimal jackknife), so that weights of one give Greenwood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causal_s4.kernels.risk_sets import Floats, RiskSets


@dataclass(frozen=True)
class KaplanMeier:
    """A fitted weighted curve of one arm.

    Attributes
    ----------
    sets : RiskSets
    at_risk, deaths : ndarray, shape (k,)
        Weighted numbers at each event time.
    survival : ndarray, shape (k,)
        S just after each event time.
    """

    sets: RiskSets
    at_risk: Floats
    deaths: Floats
    survival: Floats

    @classmethod
    def fit(cls, sets: RiskSets, weight: Floats) -> KaplanMeier:
        """Fit the curve; event times without weight carry no step."""
        at_risk = sets.at_risk(weight)
        deaths = sets.events(weight)
        hazard = np.divide(deaths, at_risk, out=np.zeros_like(deaths), where=deaths > 0)
        # when everybody at risk dies the last step reaches zero exactly, not 1e-17
        hazard = np.where(hazard > 1 - 1e-12, 1.0, hazard)
        return cls(sets, at_risk, deaths, np.cumprod(1 - hazard))

    def survival_at(self, time: float) -> float:
        """Return S(time), right-continuous."""
        k = int(np.searchsorted(self.sets.times, time * (1 + 1e-12), side="right"))
        return float(self.survival[k - 1]) if k else 1.0

    def rmst(self, horizon: float) -> float:
        """Return the area under the curve from 0 to the horizon."""
        width, height = self._steps(horizon)
        return float(width @ height)

    def median(self, share: float = 0.5) -> float:
        """Return the earliest time S reaches 1 - share; infinite if never.

        When S equals 1 - share exactly on a flat step, the middle of the step is returned, as R's
        ``survfit`` does.
        """
        target = 1 - share
        if not len(self.survival) or self.survival[-1] > target + 1e-8:
            return float("inf")
        k = int(np.argmax(self.survival <= target + 1e-8))
        if abs(self.survival[k] - target) <= 1e-8:
            later = np.flatnonzero(self.survival < self.survival[k] - 1e-8)
            if later.size:
                return float((self.sets.times[k] + self.sets.times[later[0]]) / 2)
        return float(self.sets.times[k])

    def survival_gradient(self, time: float) -> Floats:
        """Return dS(time)/d weight of each row, shape (rows,)."""
        k = int(np.searchsorted(self.sets.times, time * (1 + 1e-12), side="right"))
        upto = np.where(np.arange(len(self.sets.times)) < k, self.survival_at(time), 0.0)
        return self.gradient(upto)

    def rmst_gradient(self, horizon: float) -> Floats:
        """Return d RMST(horizon)/d weight of each row, shape (rows,)."""
        width, height = self._steps(horizon)
        area = width * height
        after = np.zeros(len(self.sets.times))
        # area that lies beyond each event time and before the horizon
        after[: len(area) - 1] = np.cumsum(area[:0:-1])[::-1]
        return self.gradient(after)

    def gradient(self, loads: Floats) -> Floats:
        """Return -sum_k loads_k [dN_i(k) - Y_i(k) hazard_k] / [Y_k (1 - hazard_k)] for each row i.

        ``loads`` is S(t) up to t for the curve, and the area beyond each event for the RMST.
        """
        alive = self.at_risk - self.deaths
        rate = np.divide(
            loads, alive, out=np.zeros_like(loads), where=(alive > 1e-12 * self.at_risk) & (self.deaths > 0)
        )
        hazard = np.divide(self.deaths, self.at_risk, out=np.zeros_like(loads), where=self.deaths > 0)
        gradient = self.sets.between(rate * hazard)
        gradient[self.sets.dead] -= rate[self.sets.when]
        return gradient

    def _steps(self, horizon: float) -> tuple[Floats, Floats]:
        before = int(np.searchsorted(self.sets.times, horizon, side="left"))
        edges = np.concatenate([[0.0], self.sets.times[:before], [horizon]])
        return np.diff(edges), np.concatenate([[1.0], self.survival[:before]])
