"""Models of survival in each arm, from which sharp bounds of the marginal sensitivity model are computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from causal_s4.cohort import Cohort
from causal_s4.design_matrix import build_design_matrix
from causal_s4.errors import CausalS4Error, ConvergenceError
from causal_s4.kernels.baseline_hazard import baseline_hazard
from causal_s4.kernels.cox import fit_cox
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.protocol.vocabulary import Estimand, Measure
from causal_s4.results import Finding, Floats, Ints, SensitivityResult
from causal_s4.sensitivity.marginal_model import (
    ArmModels,
    augmented_outcome,
    marginal_curves,
    marginal_sensitivity,
    marginal_tipping,
    odds_factor_benchmarks,
)
from causal_s4.sensitivity.question import Question, Recipe

LAMBDAS = (1.0, 1.25, 1.5, 2.0, 3.0)
MOST_TIMES = 100
MOST_CELLS = 4_000_000
_SMALLEST = 1e-9
_BOUNDED = (Estimand.ATE, Estimand.ATT, Estimand.ATC)


@dataclass(frozen=True, kw_only=True)
class StratifiedCox:
    """A Cox model with one baseline an arm and coefficients in common.

    Parameters
    ----------
    coefficient : ndarray, shape (p,)
    times, hazard : tuple of ndarray
        Event times and cumulative baseline hazard of the control and of the treated arm.
    """

    coefficient: Floats
    times: tuple[Floats, Floats]
    hazard: tuple[Floats, Floats]

    @classmethod
    def fit(cls, terms: Floats, arm: Ints, time: Floats, event: np.ndarray) -> StratifiedCox:
        """Fit with Efron's ties.

        Raises
        ------
        ConvergenceError
            When the partial likelihood has no maximum.
        """
        # the treated arm is followed on a stretch of time of its own: no risk set holds patients of both arms
        shift = 2 * float(time.max())
        start = arm.astype(np.float64) * shift
        sets = RiskSets.of(start, start + time, event)
        fit = fit_cox(sets, terms, np.ones(time.size))
        if not fit.converged:
            raise ConvergenceError(
                "the model of survival in each arm did not settle; a covariate level may have no events. Join rare levels"
            )
        cumulative = baseline_hazard(sets, np.exp(terms @ fit.coefficient))
        first = int(np.searchsorted(sets.times, shift, side="right"))
        start_of_treated = cumulative[first - 1] if first else 0.0
        return cls(
            coefficient=fit.coefficient,
            times=(sets.times[:first], sets.times[first:] - shift),
            hazard=(cumulative[:first], cumulative[first:] - start_of_treated),
        )

    def cumulative(self, arm: int, times: Floats, *, before: bool = False) -> Floats:
        """Return the cumulative baseline hazard of an arm at some times, or just before them."""
        own, hazard = self.times[arm], np.concatenate([[0.0], self.hazard[arm]])
        return np.asarray(hazard[np.searchsorted(own * (1 - 1e-12), times, side="left" if before else "right")])

    def survival(self, terms: Floats, arm: int, times: Floats, *, before: bool = False) -> Floats:
        """Return S(t | arm, X), or S(t- | arm, X), shape (patients, times)."""
        hazard = np.exp(terms @ self.coefficient)[:, None] * self.cumulative(arm, times, before=before)
        return np.asarray(np.maximum(np.exp(-hazard), _SMALLEST))


def standardised_terms(cohort: Cohort, recipe: Recipe) -> Floats:
    """Return the columns of the weights' model with mean zero and unit spread, shape (n, terms)."""
    matrix = build_design_matrix(
        cohort.covariates, splines=recipe.splines, log1p=recipe.log1p, interactions=recipe.interactions
    ).matrix
    spread = matrix.std(axis=0)
    return np.asarray((matrix - matrix.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def fit_arm_models(question: Question, cohort: Cohort, propensity: Floats) -> ArmModels:
    """Fit what the bounds need: survival and censoring in each arm given the covariates of the weights.

    Parameters
    ----------
    question : Question
    cohort : Cohort
        The patients, all with a propensity score strictly between 0 and 1.
    propensity : ndarray, shape (n,)

    Returns
    -------
    ArmModels
        At event times up to the horizon; with many, at a selection of them, later events moved up.
    """
    outcome = cohort.outcome(question.outcome)
    terms = standardised_terms(cohort, question.recipe)
    # with competing events the curve bounded is that of being free of either, as everywhere
    happened = outcome.event > 0
    times = _times(outcome.time[happened], question.horizon, len(cohort))
    died = happened & (outcome.time <= question.horizon)
    time = outcome.time.copy()
    time[died] = times[np.searchsorted(times, outcome.time[died] * (1 - 1e-12), side="left")]
    arm = cohort.treatment
    deaths = StratifiedCox.fit(terms, arm, outcome.time, happened)
    curves = {code: deaths.survival(terms, code, times) for code in (0, 1)}
    leaving = ~happened
    before = np.ones_like(curves[0])
    if leaving.any():
        # deaths come before censorings of the same time, so a censoring is followed a little longer
        censoring = StratifiedCox.fit(terms, arm, outcome.time, leaving)
        for code in (0, 1):
            members = arm == code
            before[members] = censoring.survival(terms[members], code, times, before=True)
    own = np.where((arm == 1)[:, None], curves[1], curves[0])
    return ArmModels(
        times=times,
        treatment=arm,
        propensity=propensity,
        survival_treated=curves[1],
        survival_control=curves[0],
        outcome=augmented_outcome(
            time=time, event=died.astype(np.int64), times=times, survival=own, censoring_before=before
        ),
    )


def _times(events: Floats, horizon: float, n: int) -> Floats:
    """Return event times up to the horizon, thinned where a matrix of patients by times would be large."""
    every = np.unique(events[events <= horizon])
    most = int(max(20, min(MOST_TIMES, MOST_CELLS // n)))
    if every.size > most:
        every = every[np.unique(np.linspace(0, every.size - 1, most).round().astype(int))]
    return every if every.size and every[-1] == horizon else np.append(every, horizon)


def bounded_population(population: str) -> str:
    """Return the population whose bounds stand for another's: overlap weights have none of their own."""
    return population if population in _BOUNDED else str(Estimand.ATT)


def marginal_bounds(question: Question, *, lambdas: tuple[float, ...] = LAMBDAS) -> tuple[SensitivityResult, ...]:
    """Return sharp bounds as the odds of treatment may be off by more, where they lose the sign, and benchmarks.

    Parameters
    ----------
    question : Question
    lambdas : tuple of float
        Odds factors, at least 1.

    Returns
    -------
    tuple of SensitivityResult
        For the survival and the restricted mean survival time difference at the horizon: one result an
        odds factor, then the factor at which the difference may be zero; then the survival curves under the
        middle one of the factors; last the factor by which each covariate moves the odds of treatment.
    """
    population = bounded_population(question.recipe.population)
    base = replace(
        question.recipe, population=population, method=question.recipe.of_score, truncate=None, stabilise=False
    )
    full = question.weigh(question.cohort, base)
    if full.propensity is None:
        raise CausalS4Error("nothing was adjusted for, so there are no odds of treatment that could be off")
    kept = np.isfinite(full.propensity)
    cohort, propensity = question.cohort.take(kept), full.propensity[kept]
    models = fit_arm_models(question, cohort, propensity)
    found: list[SensitivityResult] = []
    for measure in (Measure.SURVIVAL_DIFFERENCE, Measure.RMST_DIFFERENCE):
        options: dict[str, Any] = {"horizon": question.horizon, "measure": str(measure), "population": population}
        found += marginal_sensitivity(models, odds_factors=lambdas, level=question.level, **options)
        found.append(marginal_tipping(models, level=question.level, **options))
    found.append(marginal_curves(models, odds_factor=sorted(lambdas)[len(lambdas) // 2], population=population))
    benchmark = odds_factor_benchmarks(propensity, _propensity_without(question, cohort, replace(base, trim=None)))
    unit = str(question.cohort.time_unit)
    named = [
        replace(
            each,
            unit=unit if each.unit == "unit of the times" else each.unit,
            target={"outcome": question.outcome, "analysis": "augmented weighting", **each.target},
        )
        for each in (*found, benchmark)
    ]
    named[0] = replace(named[0], findings=(*named[0].findings, *_note(question.recipe.population, population)))
    return tuple(named)


def _note(asked: str, bounded: str) -> tuple[Finding, ...]:
    if asked == bounded:
        return ()
    return (
        Finding(
            code="bounds-of-another-population",
            severity="note",
            step="sensitivity",
            message=f"Weights for the {asked} have no bounds of this kind; these are of the {bounded}.",
        ),
    )


def _propensity_without(question: Question, cohort: Cohort, recipe: Recipe) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for name in question.covariates:
        weights = question.weigh(cohort, recipe.without((name,), question.covariates))
        share = float(cohort.treatment.mean())
        # with no covariate left, everybody has the share of the treated
        found[name] = np.full(len(cohort), share) if weights.propensity is None else weights.propensity
    return found
