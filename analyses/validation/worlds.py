"""A world of few kinds of patients, so that every true effect is a sum of a few terms or one quadrature.

It is the ``closed-form`` world of :mod:`causal_s4.simulate` with switches: an effect that changes with time, more
or fewer events, stronger confounding, an interaction, a rare subtype, censoring that depends on the patient, values
that are missing. With every switch at rest it gives the same patients and the same truths, digit by digit.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from causal_s4.cohort import Cohort, OutcomeData
from causal_s4.protocol.vocabulary import TimeUnit
from causal_s4.results import Floats
from causal_s4.simulate.draws import choose, uniforms, unit_exponential
from causal_s4.simulate.population import tilt

HORIZON = 60.0
COVARIATES = ("x1", "x2", "x3")
_P1, _P2, _P3 = 0.5, 0.4, (0.3, 0.4, 0.3)
_RATE = 0.012
_FIRST, _LAST = 24.0, 96.0
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(48)


@dataclass(frozen=True, kw_only=True)
class World:
    """The switches.

    Parameters
    ----------
    hazard_ratios : tuple of (float, float)
        Month from which on, and hazard ratio of treatment given the covariates.
    confounding : float
        What the covariates' log odds ratios of treatment are multiplied by.
    events : float, optional
        Share of patients who are to have the event under observation; None leaves the rate as it is.
    interaction : float
        Of x1 and x2, in the log odds of treatment and in the log hazard.
    rare : float
        Share of patients of a rare subtype, with seldom treatment and a poor outlook.
    informative_loss : float
        Monthly rate of loss: e times that for the treated with x2 = 1 and controls with x2 = 0, 1/e times for others.
    missing : bool
        Whether x2 has no value for some, by treatment, event and x1.
    recorded : tuple of str
        The covariates that the analyst has.
    """

    hazard_ratios: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    confounding: float = 1.0
    events: float | None = None
    interaction: float = 0.0
    rare: float = 0.0
    informative_loss: float = 0.0
    missing: bool = False
    recorded: tuple[str, ...] = COVARIATES

    # --- patients -------------------------------------------------------------------------------

    def cohort(self, n: int, seed: int) -> Cohort:
        """Draw a cohort."""
        u = uniforms(seed, 0, n, 3).T
        x = {
            "x1": (u[0] < _P1).astype(float),
            "x2": (u[1] < _P2).astype(float),
            "x3": choose(u[2], _P3).astype(float),
            "x4": (uniforms(seed, 4, n, 1)[:, 0] < self.rare).astype(float),
        }
        treatment = (uniforms(seed, 1, n, 1)[:, 0] < self.propensity(x)).astype(np.int64)
        luck = unit_exponential(uniforms(seed, 2, n, 1)[:, 0]) / (self.factor * self.relative_hazard(x))
        death = np.where(treatment == 1, self._when(luck), luck)
        censored = _FIRST + (_LAST - _FIRST) * uniforms(seed, 3, n, 1)[:, 0]
        if self.informative_loss:
            loss = unit_exponential(uniforms(seed, 6, n, 1)[:, 0])
            censored = np.minimum(censored, loss / (self.informative_loss * np.exp(2 * (x["x2"] == treatment) - 1)))
        event = (death <= censored).astype(np.int64)
        if self.missing:
            gap = expit(-2.0 + 1.2 * event + 1.0 * treatment * (1 - event) + 0.5 * x["x1"])
            x["x2"] = np.where(uniforms(seed, 5, n, 1)[:, 0] < gap, np.nan, x["x2"])
        return Cohort(
            ids=np.arange(1, n + 1),
            treatment=treatment,
            outcomes=(OutcomeData(name="death", time=np.minimum(death, censored), event=event),),
            covariates=pd.DataFrame({name: x[name] for name in self.recorded}),
            time_unit=TimeUnit.MONTHS,
        )

    def propensity(self, x: dict[str, Floats]) -> Floats:
        """Return the probability of treatment."""
        slope = 0.9 * x["x1"] - 0.8 * x["x2"] - 0.4 * (x["x3"] - 1)
        probability: Floats = expit(
            -0.5 + self.confounding * slope + self.interaction * x["x1"] * x["x2"] - 1.5 * x["x4"]
        )
        return probability

    def relative_hazard(self, x: dict[str, Floats]) -> Floats:
        """Return the hazard without treatment, over that of the reference patient."""
        slope = -0.6 * x["x1"] + 0.7 * x["x2"] + 0.35 * (x["x3"] - 1)
        return np.asarray(np.exp(slope + self.interaction * x["x1"] * x["x2"] + 0.8 * x["x4"]))

    @cached_property
    def factor(self) -> float:
        """Monthly hazard of the reference patient."""
        if self.events is None:
            return _RATE
        return float(np.exp(brentq(lambda log_rate: self.event_share(np.exp(log_rate)) - self.events, -9, 0)))

    def _when(self, luck: Floats) -> Floats:
        """Return the month in which the treated have used up their luck, luck being the month without treatment."""
        used, when = np.zeros_like(luck), np.zeros_like(luck)
        for (begin, ratio), end in zip(self.hazard_ratios, self._ends, strict=True):
            spent = np.clip(luck - used, 0, (end - begin) * ratio)
            used, when = used + spent, when + spent / ratio
        return when

    @property
    def _ends(self) -> tuple[float, ...]:
        return (*(begin for begin, _ in self.hazard_ratios[1:]), np.inf)

    # --- truth ----------------------------------------------------------------------------------

    def truth(self, population: str, *, stabilised: bool = False) -> dict[str, float]:
        """Return the log hazard ratio, and the differences of survival and restricted mean at the horizon.

        The hazard ratio is the limit of the weighted Cox model under the censoring that has nothing to do with
        the patient.
        """
        treated, control = self.survival(population, 1), self.survival(population, 0)
        share = float(self._shares @ self.propensity(self._kinds)) if stabilised else 0.5
        return {
            "log hazard ratio": self.log_hazard_ratio(population, share),
            "survival difference": float(treated(np.array([HORIZON]))[0] - control(np.array([HORIZON]))[0]),
            "rmst difference": self._integral(lambda t: treated(t) - control(t), HORIZON),
        }

    def survival(self, population: str, arm: int):
        """Return the survival function of everybody in one arm."""
        weight = self._tilted(population)

        def at(time: Floats) -> Floats:
            hazard = self._cumulative(time, arm) * self.factor
            return np.asarray(weight @ np.exp(-np.outer(self.relative_hazard(self._kinds), hazard)))

        return at

    def density(self, population: str, arm: int):
        """Return the density of the event's time of everybody in one arm."""
        weight, relative = self._tilted(population), self.relative_hazard(self._kinds)

        def at(time: Floats) -> Floats:
            hazard, rate = self._cumulative(time, arm) * self.factor, self._ratio(time, arm) * self.factor
            return np.asarray((weight * relative) @ np.exp(-np.outer(relative, hazard)) * rate)

        return at

    def log_hazard_ratio(self, population: str, share: float) -> float:
        """Return the root of the population's score; ``share`` is the weight that the treated carry."""
        alive1, alive0 = self.survival(population, 1), self.survival(population, 0)
        dying1, dying0 = self.density(population, 1), self.density(population, 0)

        def score(beta: float) -> float:
            def at(t: Floats) -> Floats:
                one, zero = share * np.exp(beta) * alive1(t), (1 - share) * alive0(t)
                deaths = share * dying1(t) + (1 - share) * dying0(t)
                return np.asarray(_observed(t) * (share * dying1(t) - deaths * one / (one + zero)))

            return self._integral(at, _LAST)

        return float(brentq(score, -5, 5, xtol=1e-13))

    def event_share(self, rate: float) -> float:
        """Return the share of patients with the event under observation, at a rate of the reference patient."""
        relative = self.relative_hazard(self._kinds) * rate
        treated = self.propensity(self._kinds)
        total = 0.0
        for arm, weight in ((1, self._shares * treated), (0, self._shares * (1 - treated))):

            def at(t: Floats, arm: int = arm, weight: Floats = weight) -> Floats:
                alive = np.exp(-np.outer(relative, self._cumulative(t, arm)))
                return np.asarray(_observed(t) * self._ratio(t, arm) * ((weight * relative) @ alive))

            total += self._integral(at, _LAST)
        return total

    def _ratio(self, time: Floats, arm: int) -> Floats:
        starts, ratios = np.array(self.hazard_ratios).T
        return ratios[np.searchsorted(starts, time, side="right") - 1] if arm else np.ones_like(time)

    def _cumulative(self, time: Floats, arm: int) -> Floats:
        """Return months of hazard, a month with a hazard ratio of two counting twice."""
        if not arm:
            return time
        parts = [
            np.clip(time - begin, 0, end - begin) * ratio
            for (begin, ratio), end in zip(self.hazard_ratios, self._ends, strict=True)
        ]
        return np.asarray(np.sum(parts, axis=0))

    def _integral(self, function, until: float) -> float:
        edges = sorted({0.0, _FIRST, until, *(begin for begin, _ in self.hazard_ratios if begin < until)})
        half = np.diff(edges) / 2
        middle = np.asarray(edges[:-1]) + half
        nodes = (middle[:, None] + half[:, None] * _NODES).ravel()
        return float((half[:, None] * _NODE_WEIGHTS).ravel() @ function(nodes))

    @cached_property
    def _kinds(self) -> dict[str, Floats]:
        kinds = np.array(list(itertools.product((0, 1), (0, 1), (0, 1, 2), (0, 1))), dtype=float)
        return dict(zip(("x1", "x2", "x3", "x4"), kinds.T, strict=True))

    @cached_property
    def _shares(self) -> Floats:
        x = self._kinds
        parts = [
            np.where(x[name] == 1, share, 1 - share) for name, share in (("x1", _P1), ("x2", _P2), ("x4", self.rare))
        ]
        return np.asarray(np.prod(parts, axis=0) * np.asarray(_P3)[x["x3"].astype(int)])

    def _tilted(self, population: str) -> Floats:
        weight = self._shares * tilt(self.propensity(self._kinds), population)
        return np.asarray(weight / weight.sum())


def _observed(time: Floats) -> Floats:
    """Return the probability of still being followed."""
    return np.asarray(np.clip((_LAST - time) / (_LAST - _FIRST), 0.0, 1.0))


@lru_cache(maxsize=256)
def truth_of(world: World, population: str, stabilised: bool) -> dict[str, float]:
    """Return a truth, made once."""
    return world.truth(population, stabilised=stabilised)
