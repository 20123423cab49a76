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
        """Return the number and its Monte Carlo error; of a coverage, at least that of 95 %."""
        names = ("scenario", "estimator", "interval", "measure")
        row = one(table, {name: getattr(self, name) for name in names})
        error = float(row[f"{self.statistic}_mcse"])
        if self.statistic == "coverage":
            error = max(error, float(np.sqrt(0.95 * 0.05 / row["replicates"])))
        return float(row[self.statistic]), error

    def holds(self, table: pd.DataFrame, slack: float = 0.0) -> bool:
        """Return whether the number lies within its limits, or within so many Monte Carlo errors of them."""
        value, error = self.value(table)
        return bool(self.low - slack * error <= value <= self.high + slack * error)

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.statistic} of {self.measure}, {self.estimator} ({self.interval}), "
            f"expected {self.low:g} to {self.high:g}"
        )


SLACK, QUICK_SLACK = 3.0, 4.0
"""Monte Carlo errors by which a sound method may miss a limit; in a quick run every method may, and by more."""


def broken(table: pd.DataFrame, *, quick: bool = False) -> list[str]:
    """Return what lies outside its band, of the scenarios that the table has."""
    present = set(table["scenario"])

    def slack(band: Band) -> float:
        return QUICK_SLACK if quick else 0.0 if band.fails else SLACK

    return [
        f"{band}, found {band.value(table)[0]:g}"
        for band in BANDS
        if band.scenario in present and not band.holds(table, slack(band))
    ]


_SOUND = ("logistic, ATE", "logistic, ATT", "logistic, ATO", "entropy balancing, ATE", "entropy balancing, ATT")
_BIAS = {LOG_HR: 0.015, SURVIVAL: 0.004, RMST: 0.15}
"""Bias of 500 patients of whom half have the event, as far as it is known, beside Monte Carlo error."""


def _sound(scenario: str, estimator: str, *, scale: float = 1.0, coverage: tuple[float, float]) -> Iterator[Band]:
    """Yield the bands of an estimator that is right."""
    for measure, limit in _BIAS.items():
        where = {"scenario": scenario, "estimator": estimator, "measure": measure}
        yield Band(**where, low=-scale * limit, high=scale * limit)
        yield Band(**where, statistic="coverage", low=coverage[0], high=coverage[1])


def _wrong(scenario: str, estimator: str, low: float, high: float, **more: str) -> Band:
    return Band(scenario=scenario, estimator=estimator, low=low, high=high, **more)


def _fixed_arms() -> Iterator[Band]:
    for scenario in ("null", "benefit", "harm", "early harm, late benefit", "weak confounding"):
        for estimator in _SOUND:
            yield from _sound(scenario, estimator, coverage=(0.935, 0.965))
        yield _wrong(scenario, "naive", -np.inf, -0.07 if scenario == "weak confounding" else -0.2)
    for estimator in _SOUND:
        yield from _sound("benefit, n=2000", estimator, scale=0.5, coverage=(0.94, 0.965))
        yield from _sound("rare subtype", estimator, coverage=(0.93, 0.965))
        for scenario in ("benefit, n=157", "null, n=157"):
            yield from _sound(scenario, estimator, scale=2.0, coverage=(0.925, 0.965))
    for scenario in ("null", "benefit", "harm", "benefit, n=2000"):
        yield Band(scenario=scenario, estimator="multivariable Cox", interval="model-based", low=-0.015, high=0.015)
    for share in (30, 70, 90):
        for estimator in ("logistic, ATE", "logistic, ATO"):
            yield from _sound(f"events {share} %", estimator, scale=1.5, coverage=(0.93, 0.97))
    yield from _sound("strong confounding", "logistic, ATO", scale=1.5, coverage=(0.93, 0.965))
    yield from _sound("near-violation of positivity", "logistic, ATO", scale=2.0, coverage=(0.915, 0.965))
    yield from _sound("misspecified propensity model", "logistic with interaction, ATE", coverage=(0.93, 0.965))
    yield from _sound("missing at random", "imputed, logistic, ATE", scale=1.5, coverage=(0.93, 0.97))


def _fixed_arms_gone_wrong() -> Iterator[Band]:
    yield _wrong("near-violation of positivity", "logistic, ATE", -np.inf, 0.92, statistic="coverage")
    yield _wrong("misspecified propensity model", "logistic, ATE", 0.05, np.inf)
    yield _wrong("misspecified propensity model", "entropy balancing, ATE", 0.05, np.inf)
    for estimator in _SOUND:
        yield _wrong("unmeasured confounder", estimator, -np.inf, -0.08)
        yield _wrong("covariate-dependent censoring", estimator, -np.inf, -0.08)
    yield _wrong("missing at random", "complete cases, logistic, ATE", 0.03, np.inf)
    yield Band(scenario="rare subtype, n=157", estimator="logistic, ATE", statistic="failure_rate", low=0.1)


def _small_cohorts() -> Iterator[Band]:
    """Yield what the default interval, and the default propensity model, rest on."""
    for effect in ("null", "protective"):
        world = f"founding size, {effect}"
        yield _wrong(world, "naive", -np.inf, -0.3)
        for estimator in ("logistic, ATE", "logistic, ATO"):
            yield Band(scenario=world, estimator=estimator, low=-0.05, high=0.05)
            yield Band(
                scenario=world, estimator=estimator, interval="jackknife", statistic="coverage", low=0.94, high=0.98
            )
        yield _wrong(world, "firth, ATE", -np.inf, -0.04)
    world = "founding size, null"
    for estimator in ("logistic, ATE", "logistic, ATO"):
        yield Band(scenario=world, estimator=estimator, statistic="relative_error", high=-0.02)
    yield _wrong(world, "entropy balancing, ATE", -np.inf, 0.92, statistic="coverage")
    for estimator in ("logistic, ATE", "logistic, ATO"):
        yield Band(scenario="registry, n=400", estimator=estimator, statistic="coverage", low=0.93, high=0.965)


def _later_treatment() -> Iterator[Band]:
    world = "time-varying response, null"
    yield _wrong(world, "ever treated, naive", -np.inf, -0.7)
    yield _wrong(world, "time-dependent Cox", -np.inf, -0.15)
    yield _wrong(world, "clone-censor-weight, baseline only", -np.inf, -0.10)
    yield _wrong(world, "clone-censor-weight, truncated at 1%", -np.inf, -0.02)
    for effect in ("null", "protective"):
        for measure, limit in {LOG_HR: 0.015, SURVIVAL: 0.006, RMST: 0.2}.items():
            where = {
                "scenario": f"time-varying response, {effect}",
                "estimator": "clone-censor-weight, response",
                "measure": measure,
                "interval": "fixed",
            }
            yield Band(**where, low=-limit, high=limit)
            yield Band(**where, statistic="coverage", low=0.93, high=0.975)


BANDS = (*_fixed_arms(), *_fixed_arms_gone_wrong(), *_small_cohorts(), *_later_treatment())
