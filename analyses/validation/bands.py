"""What the study has to find: where a method is right, and where it is known to be wrong, each with its limits.

Limits are those that a sound implementation keeps with near certainty: the known size of the effect and about three
Monte Carlo errors. A method that is wrong has to be seen to be wrong: a world that cannot tell it is no test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyses.validation.cells import one

LOG_HR, SURVIVAL, RMST = "log hazard ratio", "survival difference", "rmst difference"


@dataclass(frozen=True, kw_only=True)
class Band:
    """Limits of one number of the table.

    Parameters
    ----------
    scenario, estimator, interval, measure, statistic : str
        Which number.
    low, high : float
    """

    scenario: str
    estimator: str
    interval: str = "influence"
    measure: str = LOG_HR
    statistic: str = "bias"
    low: float = -np.inf
    high: float = np.inf

    @property
    def fails(self) -> bool:
        """Whether the band says that the method is wrong there: zero bias, or nominal coverage, lies outside."""
        right = {"bias": 0.0, "coverage": 0.95}.get(self.statistic)
        return right is not None and not self.low <= right <= self.high

    def value(self, table: pd.DataFrame) -> tuple[float, float]:
        """Return the number and its Monte Carlo error."""
        names = ("scenario", "estimator", "interval", "measure")
        row = one(table, {name: getattr(self, name) for name in names})
        return float(row[self.statistic]), float(row[f"{self.statistic}_mcse"])

    def holds(self, table: pd.DataFrame, slack: float = 0.0) -> bool:
        """Return whether the number lies within its limits, or within so many Monte Carlo errors of them."""
        value, error = self.value(table)
        return bool(self.low - slack * error <= value <= self.high + slack * error)

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.statistic} of {self.measure}, {self.estimator} ({self.interval}), "
            f"expected {self.low:g} to {self.high:g}"
        )


def broken(table: pd.DataFrame, slack: float = 0.0) -> list[str]:
    """Return what lies outside its band, of the scenarios that the table has."""
    present = set(table["scenario"])
    return [
        f"{band}, found {band.value(table)[0]:g}"
        for band in BANDS
        if band.scenario in present and not band.holds(table, slack)
    ]


_SOUND = ("logistic, ATE", "logistic, ATT", "logistic, ATO", "entropy balancing, ATE", "entropy balancing, ATT")
_BIAS = {LOG_HR: 0.025, SURVIVAL: 0.008, RMST: 0.35}
"""Largest bias of 500 patients, half of them with the event: METHODS of the closed-form world, 400 patients."""


def _sound(scenario: str, estimator: str, *, scale: float = 1.0, coverage: tuple[float, float]) -> Iterator[Band]:
    """Yield the bands of an estimator that is right."""
    for measure, limit in _BIAS.items():
        yield Band(scenario=scenario, estimator=estimator, measure=measure, low=-scale * limit, high=scale * limit)
        yield Band(
            scenario=scenario,
            estimator=estimator,
            measure=measure,
            statistic="coverage",
            low=coverage[0],
            high=coverage[1],
        )


def _biased(scenario: str, estimator: str, low: float, high: float, **more: str) -> Band:
    return Band(scenario=scenario, estimator=estimator, low=low, high=high, **more)


def _bands() -> Iterator[Band]:
    for scenario in ("null", "benefit", "harm", "early harm, late benefit", "weak confounding", "rare subtype"):
        for estimator in _SOUND:
            yield from _sound(scenario, estimator, coverage=(0.92, 0.97))
        yield _biased(scenario, "naive", -np.inf, -0.03 if scenario == "weak confounding" else -0.12)
    for estimator in _SOUND:
        yield from _sound("benefit, n=2000", estimator, scale=0.5, coverage=(0.93, 0.97))
        yield from _sound("benefit, n=157", estimator, scale=2.5, coverage=(0.91, 0.97))
        yield from _sound("null, n=157", estimator, scale=2.5, coverage=(0.91, 0.97))
    for scenario in ("null", "benefit", "harm", "benefit, n=2000"):
        yield Band(
            scenario=scenario, estimator="multivariable Cox", interval="model-based", low=-0.025, high=0.025
        )
    for share in ("30", "70", "90"):
        yield from _sound(f"events {share} %", "logistic, ATE", scale=2.0, coverage=(0.915, 0.975))
        yield from _sound(f"events {share} %", "logistic, ATO", scale=2.0, coverage=(0.915, 0.975))
    yield from _sound("strong confounding", "logistic, ATO", scale=2.0, coverage=(0.915, 0.97))
    # where they are wrong, and have to be seen to be
    yield _biased("near-violation of positivity", "logistic, ATE", -np.inf, 0.93, statistic="coverage")
    yield from _sound("near-violation of positivity", "logistic, ATO", scale=3.0, coverage=(0.90, 0.97))
    yield _biased("misspecified propensity model", "logistic, ATE", 0.05, np.inf)
    yield from _sound("misspecified propensity model", "logistic with interaction, ATE", coverage=(0.92, 0.97))
    for estimator in _SOUND:
        yield _biased("unmeasured confounder", estimator, -np.inf, -0.05)
    yield _biased("covariate-dependent censoring", "logistic, ATE", -np.inf, -0.01, measure=SURVIVAL)
    yield _biased("missing at random", "complete cases, logistic, ATE", 0.05, np.inf)
    yield from _sound("missing at random", "imputed, logistic, ATE", scale=2.0, coverage=(0.91, 0.985))
    for effect in ("null", "protective"):
        world = f"founding size, {effect}"
        yield _biased(world, "naive", -np.inf, -0.3)
        for estimator in ("logistic, ATE", "logistic, ATO", "firth, ATE", "firth, ATO"):
            yield Band(scenario=world, estimator=estimator, low=-0.10, high=0.06)
            yield Band(scenario=world, estimator=estimator, statistic="coverage", low=0.88, high=0.98)
    timeline = "time-varying response, null"
    yield _biased(timeline, "ever treated, naive", -np.inf, -0.7)
    yield _biased(timeline, "time-dependent Cox", -np.inf, -0.15)
    yield _biased(timeline, "clone-censor-weight, baseline only", -np.inf, -0.10)
    yield _biased(timeline, "clone-censor-weight, truncated at 1%", -np.inf, -0.02)
    for effect in ("null", "protective"):
        for measure, limit in {LOG_HR: 0.03, SURVIVAL: 0.012, RMST: 0.45}.items():
            where = {
                "scenario": f"time-varying response, {effect}",
                "estimator": "clone-censor-weight, response",
                "measure": measure,
                "interval": "fixed",
            }
            yield Band(**where, low=-limit, high=limit)
            yield Band(**where, statistic="coverage", low=0.90, high=0.99)


BANDS = tuple(_bands())
