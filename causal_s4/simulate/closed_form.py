"""A confounded treatment whose true effects are integrals: nothing about them is simulated.

Three independent covariates x1, x2 (0/1) and x3 (0/1/2) make twelve kinds of patients. Within each
kind survival is exponential, treatment is logistic in the covariates, and censoring is uniform on
24 to 96 months. Every true effect is then a sum of twelve terms, or one quadrature.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit

from causal_s4.protocol.vocabulary import Estimand
from causal_s4.results import Floats, Ints
from causal_s4.simulate.draws import choose, read_effect, uniforms, unit_exponential, whole
from causal_s4.simulate.population import tilt

if TYPE_CHECKING:
    import pandas as pd

HAZARD_RATIOS = {"null": 1.0, "protective": 0.7, "harmful": 1.45}

_P1, _P2, _P3 = 0.5, 0.4, (0.3, 0.4, 0.3)
_RATE = 0.012
_FIRST, _LAST = 24.0, 96.0


def _rate(x1: Floats | Ints, x2: Floats | Ints, x3: Floats | Ints) -> Floats:
    """Return the monthly hazard without treatment."""
    hazard: Floats = _RATE * np.exp(-0.6 * x1 + 0.7 * x2 + 0.35 * (x3 - 1))
    return hazard


def _propensity(x1: Floats | Ints, x2: Floats | Ints, x3: Floats | Ints) -> Floats:
    probability: Floats = expit(-0.5 + 0.9 * x1 - 0.8 * x2 - 0.4 * (x3 - 1))
    return probability


def simulate_closed_form(
    *, n: int, seed: int, effect: str | None = None, hazard_ratio: float | None = None
) -> pd.DataFrame:
    """Simulate patients of the world whose truth is known in closed form.

    Parameters
    ----------
    n : int
        Patients.
    seed : int
        Same seed, same table; a larger ``n`` only adds patients.
    effect : {"protective", "null", "harmful"}, optional
        Hazard ratio given the covariates: 0.7 (the default), 1 or 1.45.
    hazard_ratio : float, optional
        Instead of ``effect``.

    Returns
    -------
    DataFrame
        ``id``, ``x1``, ``x2``, ``x3``, ``treatment`` (0/1), ``months``, ``event`` (0/1).

    Raises
    ------
    UsageError
        For a number out of range, or an effect unknown or given twice.
    """
    import pandas as pd

    n, seed = whole(n, "n", 1), whole(seed, "seed")
    ratio = read_effect(effect, hazard_ratio, HAZARD_RATIOS, "protective")
    u = uniforms(seed, 0, n, 3).T
    x1, x2, x3 = (u[0] < _P1).astype(np.int64), (u[1] < _P2).astype(np.int64), choose(u[2], _P3)
    treatment = (uniforms(seed, 1, n, 1)[:, 0] < _propensity(x1, x2, x3)).astype(np.int64)
    death = unit_exponential(uniforms(seed, 2, n, 1)[:, 0]) / (_rate(x1, x2, x3) * ratio**treatment)
    censored = _FIRST + (_LAST - _FIRST) * uniforms(seed, 3, n, 1)[:, 0]
    return pd.DataFrame(
        {
            "id": np.arange(1, n + 1),
            "x1": x1,
            "x2": x2,
            "x3": x3,
            "treatment": treatment,
            "months": np.minimum(death, censored),
            "event": (death <= censored).astype(np.int64),
        }
    )


@dataclass(frozen=True, kw_only=True)
class ClosedForm:
    """The truth of one population under one hazard ratio.

    Parameters
    ----------
    hazard_ratio : float
        Given the covariates.
    population : str
        Whose effect: weights of the twelve kinds of patients are tilted by the true propensity.
    """

    hazard_ratio: float
    population: str = Estimand.ATE

    def survival(self, time: float, arm: int) -> float:
        """Return the probability of being event-free at a time, everybody in one arm."""
        share, rate = self._kinds(arm)
        return float(share @ np.exp(-rate * time))

    def rmst(self, horizon: float, arm: int) -> float:
        """Return the mean event-free time up to a horizon, everybody in one arm."""
        share, rate = self._kinds(arm)
        return float(share @ (-np.expm1(-rate * horizon) / rate))

    def log_hazard_ratio(self, treated: float = 0.5) -> float:
        """Return the limit of the weighted Cox model's coefficient under the study's censoring.

        Parameters
        ----------
        treated : float
            Share of the total weight that the treated arm carries: one half without stabilisation,
            :meth:`treated_share` with it.

        Notes
        -----
        Root of the population score, the integral over follow-up of G(t) {p f1 - [p f1 + (1-p) f0] m},
        with m = p e^b S1 / ((1-p) S0 + p e^b S1) and G the censoring distribution's survival.
        """

        def score_density(time: float, beta: float) -> float:
            (share1, rate1), (share0, rate0) = self._kinds(1), self._kinds(0)
            alive1, alive0 = share1 * np.exp(-rate1 * time), share0 * np.exp(-rate0 * time)
            dying1, dying0 = treated * (rate1 @ alive1), (1 - treated) * (rate0 @ alive0)
            at_risk1, at_risk0 = treated * np.exp(beta) * alive1.sum(), (1 - treated) * alive0.sum()
            observed = 1.0 if time < _FIRST else (_LAST - time) / (_LAST - _FIRST)
            return float(observed * (dying1 - (dying1 + dying0) * at_risk1 / (at_risk1 + at_risk0)))

        def score(beta: float) -> float:
            return float(quad(score_density, 0, _LAST, args=(beta,), points=[_FIRST], limit=200, epsabs=1e-13)[0])

        return float(brentq(score, -5, 5, xtol=1e-13))

    @staticmethod
    def treated_share() -> float:
        """Return the probability of treatment."""
        share, x1, x2, x3 = _every_kind()
        return float(share @ _propensity(x1, x2, x3))

    def _kinds(self, arm: int) -> tuple[Floats, Floats]:
        """Return the tilted share and the hazard of every kind of patient, in one arm."""
        share, x1, x2, x3 = _every_kind()
        tilted = share * tilt(_propensity(x1, x2, x3), self.population)
        return tilted / tilted.sum(), _rate(x1, x2, x3) * self.hazard_ratio**arm


def _every_kind() -> tuple[Floats, Floats, Floats, Floats]:
    """Return share, x1, x2 and x3 of the twelve kinds of patients."""
    kinds = np.array(list(itertools.product((0, 1), (0, 1), (0, 1, 2))), dtype=float)
    x1, x2, x3 = kinds.T
    share = np.where(x1 == 1, _P1, 1 - _P1) * np.where(x2 == 1, _P2, 1 - _P2) * np.asarray(_P3)[x3.astype(int)]
    return share, x1, x2, x3
