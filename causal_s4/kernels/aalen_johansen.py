"""Weighted cumulative incidence with competing events (Aalen-Johansen), with its unit-weight derivative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import Floats, RiskSets


@dataclass(frozen=True)
class AalenJohansen:
    """A fitted cumulative incidence of the cause of interest in one arm.

    Attributes
    ----------
    any_event : KaplanMeier
        The curve of being free of every event.
    of_interest : ndarray of bool, shape (rows,)
        Rows that end in the cause of interest.
    cause_hazard, incidence : ndarray, shape (k,)
        At the distinct times of any event.
    """

    any_event: KaplanMeier
    of_interest: NDArray[np.bool_]
    cause_hazard: Floats
    incidence: Floats

    @classmethod
    def fit(cls, sets: RiskSets, weight: Floats, of_interest: NDArray[np.bool_]) -> AalenJohansen:
        """Fit; ``sets`` is of any event, ``of_interest`` marks the cause."""
        curve = KaplanMeier.fit(sets, weight)
        deaths = sets.events(weight * of_interest)
        hazard = np.divide(deaths, curve.at_risk, out=np.zeros_like(deaths), where=deaths > 0)
        before = np.concatenate([[1.0], curve.survival[:-1]])
        return cls(curve, of_interest, hazard, np.cumsum(before * hazard))

    def incidence_at(self, time: float) -> float:
        """Return F(time), right-continuous."""
        k = self._upto(time)
        return float(self.incidence[k - 1]) if k else 0.0

    def incidence_gradient(self, time: float) -> Floats:
        """Return dF(time)/d weight of each row, shape (rows,)."""
        curve, sets = self.any_event, self.any_event.sets
        k = self._upto(time)
        inside = np.arange(len(sets.times)) < k
        before = np.concatenate([[1.0], curve.survival[:-1]])
        direct = np.divide(before, curve.at_risk, out=np.zeros_like(before), where=inside & (curve.at_risk > 0))
        # a death from any cause also ends the chance of the cause of interest later on
        lost = np.where(inside, self.incidence_at(time) - self.incidence, 0.0)
        through = curve.gradient(lost)
        direct_hazard = sets.between(direct * self.cause_hazard)
        gradient = through - direct_hazard
        caused = self.of_interest[sets.dead]
        gradient[sets.dead] += np.where(caused, direct[sets.when], 0.0)
        return np.asarray(gradient)

    def _upto(self, time: float) -> int:
        return int(np.searchsorted(self.any_event.sets.times, time * (1 + 1e-12), side="right"))
