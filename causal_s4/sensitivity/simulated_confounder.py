"""What would the effect be, had a confounder of given strength been recorded? It is simulated, given all that was.

A binary confounder is drawn for every patient from its law given treatment and survival, the models are
fitted with it, and the two steps alternate: stochastic expectation maximisation. Unlike the formulas
of :mod:`causal_s4.sensitivity.confounder` this allows for censoring and for common outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from causal_s4.kernels.firth import expit
from causal_s4.results import Floats, Ints, SensitivityResult
from causal_s4.sensitivity.checks import Checker
from causal_s4.sensitivity.offset_fits import CoxWithOffset, LogisticWithOffset

_ASSUMPTIONS = (
    "one binary unmeasured confounder, independent of the measured covariates before treatment",
    "treatment follows a logistic model and survival a proportional hazards model, both with the covariates given",
    "censoring does not depend on the confounder",
)

Estimator = Callable[[Floats], tuple[Floats, Floats]]
"""Propensity scores (n,) in, which know the confounder; estimates (m,) and their variances (m,) out."""


@dataclass(frozen=True, kw_only=True)
class RecordedCohort:
    """What was recorded of the patients, as arrays.

    Parameters
    ----------
    covariates : ndarray, shape (n, p)
        Columns of the models, without an intercept.
    treatment : ndarray of int, shape (n,)
        1 treated, 0 control.
    time : ndarray, shape (n,)
        Follow-up, above zero.
    event : ndarray of int, shape (n,)
        1 for the event, 0 for censoring.

    Raises
    ------
    UsageError
        Naming every shape or value that does not fit.
    """

    covariates: Floats
    treatment: Ints
    time: Floats
    event: Ints

    def __post_init__(self) -> None:
        """Check shapes and ranges."""
        check = Checker("a simulated confounder")
        n = np.size(self.time)
        check.array("time", self.time, (n,), above=0)
        check.array("covariates", self.covariates, (n, None))
        for name in ("treatment", "event"):
            values = check.array(name, getattr(self, name), (n,), at_least=0, at_most=1)
            if not (np.isin([0, 1], values).all() and np.isin(values, [0, 1]).all()):
                check.refuse(name, "found values other than 0 and 1, or only one of them", expected="both 0 and 1")
        check.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class _Sweep:
    """What one completed data set gives: propensity scores and the hazard ratio, with the confounder known."""

    propensity: Floats
    log_hazard_ratio: float
    variance: float


def simulated_confounder(
    cohort: RecordedCohort,
    *,
    log_odds_of_treatment: float,
    log_hazard_ratio: float,
    prevalence: float = 0.5,
    sweeps: int = 40,
    burn_in: int = 10,
    seed: int | np.random.SeedSequence,
    level: float = 0.95,
) -> SensitivityResult:
    """Return the conditional hazard ratio had a confounder of given strength been recorded.

    Parameters
    ----------
    cohort : RecordedCohort
        What was recorded.
    log_odds_of_treatment : float
        Of the confounder: log odds ratio of treatment, present over absent.
    log_hazard_ratio : float
        Of the confounder: log hazard ratio of the event, present over absent.
    prevalence : float
        Of the confounder before treatment, between 0 and 1.
    sweeps : int
        Completed data sets that are kept.
    burn_in : int
        Sweeps before those, which are not.
    seed : int or SeedSequence
        The same seed gives the same numbers.
    level : float
        Of the interval.

    Returns
    -------
    SensitivityResult
        ``value``, ``lower`` and ``upper`` are the hazard ratio of treatment given the covariates and
        the confounder. ``parameters["without"]`` is the same without the confounder.

    Raises
    ------
    UsageError
        Naming every number that does not fit.
    ConvergenceError
        When a model has no finite fit.

    Notes
    -----
    Huang, Xu & Dulai 2020, 10.1002/sim.8672, with a logistic in place of a probit treatment model;
    Carnegie, Harada & Hill 2016, 10.1080/19345747.2015.1078862. Variances are pooled over the
    completed data sets by Rubin's rules.
    """
    strength = {"log_odds_of_treatment": log_odds_of_treatment, "log_hazard_ratio": log_hazard_ratio}
    _check_settings(strength, prevalence, sweeps, burn_in, level)
    completed = list(_complete(cohort, log_odds_of_treatment, log_hazard_ratio, prevalence, sweeps, burn_in, seed))
    value, error = pool(
        np.array([[each.log_hazard_ratio] for each in completed]), np.array([[each.variance] for each in completed])
    )
    without = _cox(cohort).fit(np.zeros(cohort.time.size)).coefficients[0]
    z = NormalDist().inv_cdf((1 + level) / 2)
    return SensitivityResult(
        method="simulated confounder",
        target={"measure": "hazard ratio", "population": "conditional"},
        parameters={
            **strength,
            "prevalence": prevalence,
            "sweeps": sweeps,
            "burn_in": burn_in,
            "level": level,
            "without": math.exp(without),
        },
        value=math.exp(value[0]),
        lower=math.exp(value[0] - z * error[0]),
        upper=math.exp(value[0] + z * error[0]),
        unit="hazard ratio",
        direction=_direction(log_odds_of_treatment * log_hazard_ratio),
        assumptions=_ASSUMPTIONS,
    )


def simulated_confounder_grid(
    cohort: RecordedCohort,
    *,
    log_odds_of_treatment: Sequence[float] = (-2.0, -1.0, 0.0, 1.0, 2.0),
    log_hazard_ratio: Sequence[float] = (-2.0, -1.0, 0.0, 1.0, 2.0),
    prevalence: float = 0.5,
    sweeps: int = 40,
    burn_in: int = 10,
    seed: int | np.random.SeedSequence,
    level: float = 0.95,
) -> SensitivityResult:
    """Return the conditional hazard ratio for every pair of strengths of a simulated confounder.

    Parameters
    ----------
    cohort, prevalence, sweeps, burn_in, seed, level
        As for :func:`simulated_confounder`; every cell has a stream of random numbers of its own.
    log_odds_of_treatment, log_hazard_ratio : sequence of float
        Strengths of the confounder.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a pair with ``value``, ``lower`` and ``upper``.

    Raises
    ------
    UsageError
        Naming every number that does not fit.
    ConvergenceError
        When a model has no finite fit.
    """
    check = Checker("a grid of simulated confounders")
    check.numbers("log_odds_of_treatment", log_odds_of_treatment)
    check.numbers("log_hazard_ratio", log_hazard_ratio)
    check.raise_if_any()
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    cells = [(odds, hazard) for odds in log_odds_of_treatment for hazard in log_hazard_ratio]
    table: list[dict[str, Any]] = []
    for place, (odds, hazard) in enumerate(cells):
        stream = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, place))
        answer = simulated_confounder(
            cohort,
            log_odds_of_treatment=odds,
            log_hazard_ratio=hazard,
            prevalence=prevalence,
            sweeps=sweeps,
            burn_in=burn_in,
            seed=stream,
            level=level,
        )
        row = {"log_odds_of_treatment": odds, "log_hazard_ratio": hazard}
        table.append({**row, "value": answer.value, "lower": answer.lower, "upper": answer.upper})
    return SensitivityResult(
        method="simulated confounder",
        target={"measure": "hazard ratio", "population": "conditional"},
        parameters={
            "prevalence": prevalence,
            "sweeps": sweeps,
            "burn_in": burn_in,
            "level": level,
            "range": "value is the estimate without one, lower and upper are those of the estimates in the table",
        },
        value=math.exp(_cox(cohort).fit(np.zeros(cohort.time.size)).coefficients[0]),
        lower=min(row["value"] for row in table),
        upper=max(row["value"] for row in table),
        unit="hazard ratio",
        direction="either way: down where both strengths have the same sign, up where they differ",
        assumptions=_ASSUMPTIONS,
        table=tuple(table),
    )


def simulated_confounder_estimates(
    cohort: RecordedCohort,
    estimator: Estimator,
    *,
    log_odds_of_treatment: float,
    log_hazard_ratio: float,
    prevalence: float = 0.5,
    sweeps: int = 40,
    burn_in: int = 10,
    seed: int | np.random.SeedSequence,
) -> tuple[Floats, Floats]:
    """Return weighted estimates, such as points of a survival curve, had the confounder been recorded.

    Parameters
    ----------
    cohort, log_odds_of_treatment, log_hazard_ratio, prevalence, sweeps, burn_in, seed
        As for :func:`simulated_confounder`.
    estimator : callable
        Propensity scores given covariates and confounder to estimates and their variances, on a
        scale on which they are about normal.

    Returns
    -------
    tuple of ndarray, shape (m,)
        Pooled estimates and standard errors.

    Raises
    ------
    UsageError
        Naming every number that does not fit.
    ConvergenceError
        When a model has no finite fit.
    """
    strength = {"log_odds_of_treatment": log_odds_of_treatment, "log_hazard_ratio": log_hazard_ratio}
    _check_settings(strength, prevalence, sweeps, burn_in, 0.5)
    answers = [
        estimator(each.propensity)
        for each in _complete(cohort, log_odds_of_treatment, log_hazard_ratio, prevalence, sweeps, burn_in, seed)
    ]
    return pool(np.array([each[0] for each in answers]), np.array([each[1] for each in answers]))


def pool(estimates: Floats, variances: Floats) -> tuple[Floats, Floats]:
    """Pool estimates of completed data sets by Rubin's rules.

    Parameters
    ----------
    estimates, variances : ndarray, shape (sets, m)

    Returns
    -------
    tuple of ndarray, shape (m,)
        Mean, and the square root of the mean variance plus (1 + 1/sets) times the variance between.
    """
    between = estimates.var(axis=0, ddof=1)
    total = variances.mean(axis=0) + (1 + 1 / len(estimates)) * between
    return estimates.mean(axis=0), np.sqrt(total)


def _check_settings(strength: dict[str, float], prevalence: Any, sweeps: Any, burn_in: Any, level: Any) -> None:
    check = Checker("a simulated confounder")
    for name, value in strength.items():
        check.number(name, value)
    check.number("prevalence", prevalence, above=0, below=1)
    check.number("sweeps", sweeps, at_least=2)
    check.number("burn_in", burn_in, at_least=0)
    check.number("level", level, above=0, below=1)
    check.raise_if_any()


def _direction(product: float) -> str:
    if product == 0:
        return "none: without a link to treatment and to the event the confounder biases nothing"
    looks, moves = ("higher", "down") if product > 0 else ("lower", "up")
    return f"the confounder makes the hazard ratio look {looks} than it is; recording it moves it {moves}"


def _cox(cohort: RecordedCohort) -> CoxWithOffset:
    return CoxWithOffset(np.column_stack([cohort.treatment, cohort.covariates]), cohort.time, cohort.event)


def _complete(
    cohort: RecordedCohort,
    log_odds: float,
    log_hazard: float,
    prevalence: float,
    sweeps: int,
    burn_in: int,
    seed: int | np.random.SeedSequence,
) -> Iterator[_Sweep]:
    """Alternate between fitting both models with the confounder as it is and drawing it anew."""
    generator = np.random.default_rng(seed)
    n = cohort.time.size
    logistic, cox = LogisticWithOffset(cohort.covariates, cohort.treatment), _cox(cohort)
    confounder = (generator.random(n) < prevalence).astype(float)
    for sweep in range(burn_in + sweeps):
        linear = logistic.fit(log_odds * confounder)
        hazards = cox.fit(log_hazard * confounder)
        if sweep >= burn_in:
            yield _Sweep(
                propensity=expit(linear + log_odds * confounder),
                log_hazard_ratio=float(hazards.coefficients[0]),
                variance=float(hazards.covariance[0, 0]),
            )
        sign = np.where(cohort.treatment == 1, 1.0, -1.0)
        log_likelihood_ratio = (
            np.log(expit(sign * (linear + log_odds)) / expit(sign * linear))
            + cohort.event * log_hazard
            - hazards.cumulative_hazard * math.expm1(log_hazard)
        )
        chance = expit(log_likelihood_ratio + math.log(prevalence / (1 - prevalence)))
        confounder = (generator.random(n) < chance).astype(float)
