"""The primary estimate of a study, made so that it can be asked again with one thing changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from causal_s4.cohort import Cohort, RiskTable
from causal_s4.comparison import Comparison
from causal_s4.emulation.trial import emulate
from causal_s4.emulation.weight_checks import default_variance
from causal_s4.errors import UsageError
from causal_s4.inference.influence import standard_errors
from causal_s4.kernels.normal import critical_value
from causal_s4.propensity.models import covariate_matrix
from causal_s4.propensity.weights import weigh
from causal_s4.protocol.methods import stabilised
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.sections import Initiation
from causal_s4.protocol.vocabulary import CONDITIONAL, UNADJUSTED, Analysis, Arm, Design, Estimand, Measure
from causal_s4.results import EffectEstimate, Floats, Weights
from causal_s4.sensitivity.question import Answer, Estimate, Question, Recipe, TimedQuestion, pool_answers
from causal_s4.survival.functionals import (
    Functional,
    arm_functionals,
    competing_functionals,
    fit_arms,
    hazard_ratio,
    require_events,
    require_follow_up,
)
from causal_s4.survival.regression import multivariable_cox

RISK_RATIO, RMTL_RATIO = "risk ratio", "restricted mean time lost ratio"


def ask(
    completed: Sequence[Cohort], weights: Sequence[Weights], protocol: Protocol, estimates: Sequence[EffectEstimate]
) -> Question:
    """Return the primary estimate as something that can be asked again.

    Parameters
    ----------
    completed : sequence of Cohort
    weights : sequence of Weights
        Of the primary population, one a data set.
    protocol : Protocol
    estimates : sequence of EffectEstimate
        Of the primary outcome, as the study gives them.
    """
    estimate = estimator(protocol)
    outcome = protocol.outcomes[0].name
    horizon, analysis = primary_of(estimates)
    answers = [estimate(each, outcome, own, horizon) for each, own in zip(completed, weights, strict=True)]
    return Question(
        cohort=completed[0],
        outcome=outcome,
        horizon=horizon,
        recipe=recipe_of(protocol),
        answered=as_published(
            answers[0] if len(answers) == 1 else pool_answers(answers, protocol.inference.level),
            [each for each in estimates if each.analysis == analysis],
            horizon,
        ),
        weigh=weigh_by,
        estimate=estimate,
        level=protocol.inference.level,
        seed=protocol.seed,
        analysis=analysis,
    )


def as_published(answer: Answer, estimates: Iterable[EffectEstimate], horizon: float) -> Answer:
    """Return an answer with the intervals that the study gives, where it makes them otherwise.

    Parameters
    ----------
    answer : Answer
        With intervals from influence functions.
    estimates : iterable of EffectEstimate
        Of one outcome and analysis.
    horizon : float
        In the unit of the estimates.

    Returns
    -------
    Answer
        Ratios that a study does not list, of risks and of time lost, have a standard error as much larger or smaller
        as that of the difference of the same quantity.
    """
    population = str(answer.weights.population)
    own = {
        str(each.measure): each
        for each in estimates
        if str(each.population) == population
        and each.arm is None
        and each.horizon in (None, horizon)
        and each.std_error
    }
    effects, wider = dict(answer.effects), {}
    for measure, effect in answer.effects.items():
        given = own.get(measure)
        if given is None or given.std_error is None or given.lower is None or given.upper is None:
            continue
        wider[measure] = given.std_error / effect.std_error if effect.std_error > 0 else 1.0
        effects[measure] = replace(effect, lower=given.lower, upper=given.upper, std_error=given.std_error)
    for measure, like in ((RISK_RATIO, Measure.SURVIVAL_DIFFERENCE), (RMTL_RATIO, Measure.RMST_DIFFERENCE)):
        if measure in effects and str(like) in wider:
            effects[measure] = _widened(effects[measure], wider[str(like)])
    return replace(answer, effects=effects)


def _widened(ratio: Estimate, factor: float) -> Estimate:
    lower, upper = (
        math.exp(ratio.theta + factor * (math.log(end) - ratio.theta)) for end in (ratio.lower, ratio.upper)
    )
    return replace(ratio, lower=lower, upper=upper, std_error=factor * ratio.std_error)


def ask_strategies(cohort: Cohort, protocol: Protocol, estimates: Sequence[EffectEstimate]) -> TimedQuestion:
    """Return the primary estimate of a design without fixed arms as something that can be asked again.

    Parameters
    ----------
    cohort : Cohort
        From time zero on.
    protocol : Protocol
    estimates : sequence of EffectEstimate
        Of the primary outcome, as the study gives them.
    """
    horizon = max(each.horizon for each in estimates if each.horizon is not None)
    changing = protocol.time_zero.design is Design.TIME_DEPENDENT
    recipe = Recipe(population=CONDITIONAL) if changing else _initiation(protocol)
    analysis = Analysis.TIME_DEPENDENT if changing else Analysis.CLONE_CENSOR_WEIGHT

    def remake(patients: Cohort, recipe: Recipe) -> Answer:
        return answer_strategies(patients, with_recipe(protocol, recipe), recipe, horizon)

    return TimedQuestion(
        cohort=cohort,
        outcome=protocol.outcomes[0].name,
        horizon=horizon,
        recipe=recipe,
        answered=as_published(
            remake(cohort, recipe), [each for each in estimates if each.analysis == analysis], horizon
        ),
        remake=remake,
        time_varying=protocol.time_zero.time_varying,
        level=protocol.inference.level,
        seed=protocol.seed,
        analysis=analysis,
    )


def _initiation(protocol: Protocol) -> Recipe:
    model = protocol.initiation or Initiation()
    return Recipe(
        population=str(Estimand.ATE),
        splines=dict(model.splines),
        log1p=tuple(model.log1p),
        interactions=tuple((str(a), str(b)) for a, b in model.interactions),
        truncate=model.truncate,
    )


def with_recipe(protocol: Protocol, recipe: Recipe) -> Protocol:
    """Return the protocol of a design without fixed arms with the model of a recipe, and its covariates that change."""
    kept = protocol.time_zero.time_varying
    if recipe.covariates is not None:
        kept = tuple(name for name in kept if name in recipe.covariates)
    model = (protocol.initiation or Initiation()).model_copy(
        update={
            "splines": dict(recipe.splines),
            "log1p": recipe.log1p,
            "interactions": recipe.interactions,
            "truncate": recipe.truncate,
        }
    )
    time_zero = protocol.time_zero.model_copy(update={"time_varying": kept})
    return protocol.model_copy(update={"time_zero": time_zero, "initiation": model})


def answer_strategies(cohort: Cohort, protocol: Protocol, recipe: Recipe, horizon: float) -> Answer:
    """Answer a design without fixed arms from the covariates of a recipe.

    Parameters
    ----------
    cohort : Cohort
    protocol : Protocol
        As of :func:`with_recipe`.
    recipe : Recipe
    horizon : float
        In the cohort's time unit.

    Raises
    ------
    ConvergenceError
        When the Cox model of changing treatment has no maximum.
    """
    if recipe.covariates is not None:
        own = [name for name in cohort.covariates.columns if name in recipe.covariates]
        cohort = replace(cohort, covariates=cohort.covariates[own])
    trial = emulate(cohort, protocol, protocol.outcomes[0].name)
    if protocol.time_zero.design is Design.CLONE_CENSOR_WEIGHT:
        return answer_of(weighted_table(trial.table, protocol), horizon)
    return conditional_answer(cohort, trial.table, recipe, protocol, clustered=True)


def conditional_answer(
    cohort: Cohort, table: RiskTable, recipe: Recipe, protocol: Protocol, *, clustered: bool = False
) -> Answer:
    """Return the hazard ratio of a Cox model given the covariates of a recipe; it has no other effect.

    Parameters
    ----------
    cohort : Cohort
    table : RiskTable
        Of the same patients.
    recipe : Recipe
        Covariates enter as it says; without any, treatment is alone in the model.
    protocol : Protocol
    clustered : bool
        Whether a patient may have several rows.
    """
    matrix = covariate_matrix(
        cohort,
        splines=recipe.splines,
        log1p=recipe.log1p,
        interactions=recipe.interactions,
        covariates=recipe.covariates,
    )
    level = protocol.inference.level
    first = multivariable_cox(
        table,
        matrix.matrix,
        matrix.terms,
        ties=protocol.inference.ties,
        level=level,
        treatment=protocol.treatment.name,
        clustered=clustered,
    ).rows[0]
    n1, n0 = (len(np.unique(table.patient[table.arm == code])) for code in (1, 0))
    return Answer(
        effects={
            str(Measure.HAZARD_RATIO): Estimate(
                measure=str(Measure.HAZARD_RATIO),
                value=first.hazard_ratio,
                lower=first.lower,
                upper=first.upper,
                theta=math.log(first.hazard_ratio),
                std_error=first.std_error,
                influence=np.zeros(0),
            )
        },
        weights=Weights.given(np.ones(table.n_patients), population=CONDITIONAL),
        n_treated=n1,
        n_control=n0,
        events=int((table.event == 1).sum()),
        ess_treated=float(n1),
        ess_control=float(n0),
    )


def recipe_of(protocol: Protocol) -> Recipe:
    """Return how the protocol's primary weights are made."""
    model, estimand = protocol.propensity, protocol.estimand
    if model is None or estimand is None:
        raise UsageError(f"the design {protocol.time_zero.design} fits no propensity score")
    return Recipe(
        population=str(estimand.population),
        method=model.method,
        splines=dict(model.splines),
        log1p=tuple(model.log1p),
        interactions=tuple((str(a), str(b)) for a, b in model.interactions),
        stabilise=stabilised(estimand.population, model.stabilise),
        truncate=model.truncate,
        trim=model.trim,
        quantile_method=model.quantile_method or "linear",
    )


def weigh_by(cohort: Cohort, recipe: Recipe) -> Weights:
    """Return the weights of a recipe."""
    return weigh(
        cohort,
        population=recipe.population,
        method=recipe.method,
        splines=recipe.splines,
        log1p=recipe.log1p,
        interactions=recipe.interactions,
        stabilise=recipe.stabilise,
        truncate=recipe.truncate,
        trim=recipe.trim,
        quantile_method=recipe.quantile_method,
        covariates=recipe.covariates,
    )


def estimator(protocol: Protocol) -> Callable[[Cohort, str, Weights | None, float], Answer]:
    """Return what turns a cohort and its weights into the key effects, as the protocol asks."""
    ties, level = protocol.inference.ties, protocol.inference.level

    def estimate(cohort: Cohort, outcome: str, weights: Weights | None, horizon: float) -> Answer:
        comparison = Comparison(
            table=cohort.risk_table(outcome),
            weights=weights,
            analysis=Analysis.WEIGHTED if weights else Analysis.NAIVE,
            population=weights.population if weights else UNADJUSTED,
            level=level,
            ties=ties,
        )
        return answer_of(comparison, horizon)

    return estimate


def table_estimator(protocol: Protocol) -> Callable[[RiskTable, float], Answer]:
    """Return what turns a table with weights of its own into the key effects, as the protocol asks."""

    def estimate(table: RiskTable, horizon: float) -> Answer:
        return answer_of(weighted_table(table, protocol), horizon)

    return estimate


def weighted_table(table: RiskTable, protocol: Protocol) -> Comparison:
    """Return the comparison of a table with weights of its own."""
    assert table.weights is not None
    return Comparison(
        table=table,
        weights=table.weights,
        analysis=table.analysis,
        population=table.weights.population,
        account=table.analysis != Analysis.CLONE_CENSOR_WEIGHT or default_variance(table) == "influence",
        level=protocol.inference.level,
        ties=protocol.inference.ties,
    )


def answer_of(comparison: Comparison, horizon: float) -> Answer:
    """Return the key effects of a comparison.

    Parameters
    ----------
    comparison : Comparison
    horizon : float
        In the table's time unit.
    """
    table, weight, weights = comparison.table, comparison.weight, comparison.weights
    require_events(table, weight)
    competing = bool((table.event == 2).any())
    fits = fit_arms(table, weight, any_event=competing)
    require_follow_up(fits, [horizon], table.outcome, str(table.time_unit))
    found = [hazard_ratio(table, weight, ties=comparison.ties), *arm_functionals(fits, [horizon], len(table))]
    if competing:
        found += competing_functionals(table, weight, [horizon])
    named = {str(each.measure): (each.theta, each.gradient) for each in found if each.arm is None}
    named |= _lost_ratios(found, horizon, competing)
    phi = comparison.phi(np.column_stack([gradient for _, gradient in named.values()]))
    errors = standard_errors(phi)
    z = critical_value(comparison.level)
    effects = {
        measure: _as_estimate(measure, float(theta), float(errors[j]), phi[:, j], z)
        for j, (measure, (theta, _)) in enumerate(named.items())
    }
    (n1, events1, ess1), (n0, events0, ess0) = comparison.counts(Arm.TREATED), comparison.counts(Arm.CONTROL)
    return Answer(
        effects=effects,
        weights=Weights.given(np.ones(table.n_patients)) if weights is None else weights,
        n_treated=n1,
        n_control=n0,
        events=events1 + events0,
        ess_treated=ess1,
        ess_control=ess0,
    )


def _lost_ratios(found: Sequence[Functional], horizon: float, competing: bool) -> dict[str, tuple[float, Floats]]:
    """Return log ratios of the risk of the event by the horizon and of the mean time lost."""
    by_arm = {(str(each.measure), str(each.arm)): each for each in found if each.arm is not None}
    ratios: dict[str, tuple[float, Floats]] = {}
    for name, measure, full in ((RISK_RATIO, Measure.SURVIVAL, 1.0), (RMTL_RATIO, Measure.RMST, horizon)):
        if competing:
            continue
        treated, control = (by_arm[str(measure), str(arm)] for arm in (Arm.TREATED, Arm.CONTROL))
        lost = full - treated.theta, full - control.theta
        if min(lost) > 0:
            gradient = control.gradient / lost[1] - treated.gradient / lost[0]
            ratios[name] = (math.log(lost[0] / lost[1]), gradient)
    if competing:
        incidence = next((each for each in found if each.measure == Measure.CUMULATIVE_INCIDENCE_RATIO), None)
        if incidence is not None:
            ratios[RISK_RATIO] = (incidence.theta, incidence.gradient)
    return ratios


def _as_estimate(measure: str, theta: float, error: float, influence: Floats, z: float) -> Estimate:
    limits = theta, theta - z * error, theta + z * error
    value, lower, upper = (math.exp(each) for each in limits) if measure.endswith("ratio") else limits
    return Estimate(
        measure=measure, value=value, lower=lower, upper=upper, theta=theta, std_error=error, influence=influence
    )


def primary_of(estimates: Iterable[EffectEstimate]) -> tuple[float, str]:
    """Return the longest horizon of the weighted estimates, and what they are called.

    Parameters
    ----------
    estimates : iterable of EffectEstimate
        Of the primary outcome.
    """
    weighted = [each for each in estimates if each.population not in (UNADJUSTED, CONDITIONAL)]
    return max(each.horizon for each in weighted if each.horizon is not None), weighted[0].analysis
