"""THE DOUBT of one study: its primary estimate against everything that a hostile reviewer would ask for.

The sensitivity room says what to change and how to read what comes back; this module knows how an estimate
of the study is made, which analyses apply to it, and which options a ``[sensitivity]`` block may carry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.stats import norm

from causal_s4.cohort import Cohort, select
from causal_s4.errors import CausalS4Error, InputError, Problem, ProtocolError, UsageError
from causal_s4.estimation import Comparison
from causal_s4.fixed_arms import Answer as StudyAnswer
from causal_s4.inference.influence import standard_errors
from causal_s4.missing_data import impute
from causal_s4.propensity.models import covariate_matrix
from causal_s4.propensity.weights import tilted_weights, weigh
from causal_s4.protocol.methods import stabilised
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.sections import OutcomeSpec
from causal_s4.protocol.vocabulary import CONDITIONAL, UNADJUSTED, Analysis, Arm, Duration, Estimand, Measure
from causal_s4.protocol.words import did_you_mean
from causal_s4.results import Benchmark, EffectEstimate, Finding, Floats, SensitivityResult, Weights
from causal_s4.sensitivity import follow_up, weighting_grids
from causal_s4.sensitivity.arm_models import LAMBDAS, marginal_bounds
from causal_s4.sensitivity.bias_factor import bias_factor_array
from causal_s4.sensitivity.confounder import confounder_array
from causal_s4.sensitivity.e_value import evalue
from causal_s4.sensitivity.leave_one_out import leave_one_out
from causal_s4.sensitivity.measured_strength import measured_strengths
from causal_s4.sensitivity.misclassification import misclassification
from causal_s4.sensitivity.negative_control import early_events, negative_outcomes
from causal_s4.sensitivity.not_at_random import SHIFTS, missing_not_at_random
from causal_s4.sensitivity.pair_matching import CALIPER, matched_bounds
from causal_s4.sensitivity.probabilistic import (
    STAGE4_PRIORS,
    ConfounderPrior,
    PrevalencePrior,
    RatioPrior,
    probabilistic_bias_analysis,
)
from causal_s4.sensitivity.question import KEY_MEASURES, Answer, Estimate, Question, Recipe, pool_answers
from causal_s4.sensitivity.refuters import REPLICATES, SHARE, refute
from causal_s4.sensitivity.simulated_confounder import (
    RecordedCohort,
    simulated_confounder_estimates,
    simulated_confounder_grid,
)
from causal_s4.sensitivity.specification_curve import (
    METHODS,
    MORE_TRIMS,
    MORE_TRUNCATIONS,
    POPULATIONS,
    TRUNCATIONS,
    specification_curve,
)
from causal_s4.sensitivity.tipping_point import tipping_grid
from causal_s4.sensitivity.trial_benchmark import rct_benchmark
from causal_s4.survival.functionals import (
    Functional,
    arm_functionals,
    competing_functionals,
    fit_arms,
    hazard_ratio,
    require_events,
    require_follow_up,
)

COMMON = 0.15
"""An outcome that more of the patients than this have had is common: a hazard ratio is no risk ratio."""
RISK_RATIO, RMTL_RATIO = "risk ratio", "restricted mean time lost ratio"

GENERIC = ConfounderPrior(
    name="an unmeasured confounder of unknown direction",
    prevalence_treated=PrevalencePrior(mean=0.4, patients=30),
    prevalence_control=PrevalencePrior(mean=0.4, patients=30),
    hazard_ratio=RatioPrior(median=1.5, lower=0.75, upper=3.0),
    reason=(
        "nothing is known of it: as frequent in one arm as in the other on average, differing as two counts among 30 "
        "patients do, and as strong as most measured prognostic factors are"
    ),
)

EVERYBODY = tuple(map(str, Estimand))

Results = Iterable[SensitivityResult]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the analyses of one study work on.

    Parameters
    ----------
    question : Question
        The primary estimate.
    protocol : Protocol
    estimates : tuple of EffectEstimate
        Of every outcome and analysis.
    benchmarks : tuple of Benchmark
    completed : tuple of Cohort
        One, or several if values were imputed.
    incomplete : Cohort or None
        Before values were imputed.
    """

    question: Question
    completed: tuple[Cohort, ...]
    incomplete: Cohort | None
    protocol: Protocol
    estimates: tuple[EffectEstimate, ...]
    benchmarks: tuple[Benchmark, ...]

    @property
    def frequency(self) -> str:
        """Whether the outcome is common or rare, for the conversion of a hazard ratio."""
        share = float((self.question.data.event == 1).mean())
        return "common" if share > COMMON else "rare"

    def about(self, result: SensitivityResult, measure: str, horizon: float | None = None) -> SensitivityResult:
        """Say which estimate a result is about."""
        return replace(result, target=self.question.target(measure, horizon))


def probe(
    completed: Sequence[Cohort],
    weights: Sequence[Weights],
    answers: Sequence[StudyAnswer],
    protocol: Protocol,
    benchmarks: Sequence[Benchmark] = (),
    incomplete: Cohort | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[SensitivityResult, ...]:
    """Put the primary weighted estimate of the primary outcome in doubt.

    Parameters
    ----------
    completed : sequence of Cohort
        The patients that were analysed: one data set, or several if values were imputed. The estimate is
        pooled over all of them; what makes it again does so on the first.
    weights : sequence of Weights
        Of the primary population, one a data set.
    answers : sequence of Answer
        What was estimated, the primary outcome first.
    protocol : Protocol
        Its ``[sensitivity]`` blocks are the analyses made, with their options; without any, all that apply.
    benchmarks : sequence of Benchmark
        Published estimates.
    incomplete : Cohort, optional
        The patients before values were imputed.
    progress : callable, optional
        Told the name of each analysis as it begins.

    Returns
    -------
    tuple of SensitivityResult
        In the order of the contract's list. An analysis that applies but cannot be made with these patients
        stands there without a value, with a finding that says why.

    Raises
    ------
    UsageError
        For a block whose options are unknown or wrong, or that does not apply to this study.
    """
    blocks = plan(protocol)
    tell = progress or (lambda name: None)
    begun = Probe(
        question=ask(completed, weights, protocol, *_primary(answers[0].estimates)),
        completed=tuple(completed),
        incomplete=incomplete,
        protocol=protocol,
        estimates=tuple(estimate for each in answers for estimate in each.estimates),
        benchmarks=tuple(benchmarks),
    )
    found: list[SensitivityResult] = []
    for name, options in blocks.items():
        reason = ANALYSES[name].missing(begun)
        if reason and name in protocol.sensitivity:
            raise UsageError(f"[sensitivity.{name}] would have no effect: {reason}. Leave it out")
        if reason:
            continue
        tell(name)
        found += [_on_first(each, name, len(completed)) for each in _run(name, begun, options)]
    return tuple(found)


def _on_first(result: SensitivityResult, name: str, sets: int) -> SensitivityResult:
    """Say which results come from one of several completed data sets."""
    if sets == 1 or name in _POOLED:
        return result
    remark = f"made on the first of {sets} completed data sets; the estimate it is held against is pooled over all"
    return replace(result, assumptions=(*result.assumptions, remark))


def method_of(block: str) -> str:
    """Return the contract's name of the analysis of a block."""
    return block if block == "e-value" else block.replace("-", " ")


def _run(name: str, begun: Probe, options: Mapping[str, Any]) -> Results:
    try:
        return tuple(ANALYSES[name].run(begun, **options))
    except (CausalS4Error, np.linalg.LinAlgError) as error:
        if isinstance(error, InputError) and name in begun.protocol.sensitivity:
            raise
        why = "a model has no single solution"
        if isinstance(error, CausalS4Error):
            why = "; ".join([error.message, *map(str, error.problems)])
        return (
            SensitivityResult(
                method=method_of(name),
                target=begun.question.target(Measure.HAZARD_RATIO),
                direction="not known: the analysis could not be made",
                findings=(
                    Finding(
                        code="sensitivity-not-possible",
                        severity="note",
                        step="sensitivity",
                        message=f"The analysis {method_of(name)} could not be made: {why}.",
                    ),
                ),
            ),
        )


# --- the estimate, made again -------------------------------------------------------------------


def ask(
    completed: Sequence[Cohort], weights: Sequence[Weights], protocol: Protocol, horizon: float, analysis: str
) -> Question:
    """Return the primary estimate as something that can be asked again.

    Parameters
    ----------
    completed : sequence of Cohort
    weights : sequence of Weights
        Of the primary population, one a data set.
    protocol : Protocol
    horizon : float
        In the cohort's time unit.
    analysis : str
        What the primary estimate is called.
    """
    estimate = _estimator(protocol)
    outcome = protocol.outcomes[0].name
    answers = [estimate(each, outcome, own, horizon) for each, own in zip(completed, weights, strict=True)]
    return Question(
        cohort=completed[0],
        outcome=outcome,
        horizon=horizon,
        recipe=recipe_of(protocol),
        answered=answers[0] if len(answers) == 1 else pool_answers(answers, protocol.inference.level),
        weigh=_weigh,
        estimate=estimate,
        level=protocol.inference.level,
        seed=protocol.seed,
        analysis=analysis,
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


def _weigh(cohort: Cohort, recipe: Recipe) -> Weights:
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


def _estimator(protocol: Protocol) -> Callable[[Cohort, str, Weights | None, float], Answer]:
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
        return _answer(comparison, weights, horizon)

    return estimate


def _answer(comparison: Comparison, weights: Weights | None, horizon: float) -> Answer:
    table, weight = comparison.table, comparison.weight
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
    z = float(norm.ppf(0.5 + comparison.level / 2))
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


def _primary(estimates: Iterable[EffectEstimate]) -> tuple[float, str]:
    """Return the longest horizon of the weighted estimates, and what they are called."""
    weighted = [each for each in estimates if each.population not in (UNADJUSTED, CONDITIONAL)]
    return max(each.horizon for each in weighted if each.horizon is not None), weighted[0].analysis


# --- what was not measured ----------------------------------------------------------------------


def _ratio_arguments(begun: Probe, measure: str, keyword: str) -> dict[str, Any]:
    each = begun.question.answered.effects[measure]
    frequency = {"outcome": begun.frequency} if keyword == "hazard_ratio" else {}
    return {keyword: each.value, "lower": each.lower, "upper": each.upper, **frequency}


_RATIOS = (
    (RISK_RATIO, "risk_ratio"),
    (Measure.HAZARD_RATIO, "hazard_ratio"),
    (Measure.SURVIVAL_RATIO, "survival_ratio"),
    (RMTL_RATIO, "rmtl_ratio"),
)


def _e_values(begun: Probe) -> Results:
    question = begun.question
    for measure, keyword in _RATIOS:
        if measure not in question.answered.effects:
            continue
        result = evalue(**_ratio_arguments(begun, measure, keyword))
        horizon = None if measure == Measure.HAZARD_RATIO else question.horizon
        preferred = {"preferred": measure == RISK_RATIO}
        yield begun.about(replace(result, parameters={**result.parameters, **preferred}), measure, horizon)


def _bias_factors(begun: Probe, *, strengths: Sequence[float] = (1.25, 1.5, 2.0, 3.0, 4.0, 5.0)) -> Results:
    measure, keyword = _risk_or_hazard(begun)
    result = bias_factor_array(**_ratio_arguments(begun, measure, keyword), strengths=strengths)
    yield begun.about(result, measure, begun.question.horizon if keyword == "risk_ratio" else None)
    if begun.question.covariates:
        yield measured_strengths(begun.question)


def _risk_or_hazard(begun: Probe) -> tuple[str, str]:
    return _RATIOS[0] if RISK_RATIO in begun.question.answered.effects else _RATIOS[1]


def _hazard_arguments(begun: Probe) -> dict[str, Any]:
    each = begun.question.answered.hazard_ratio
    correction = begun.frequency == "common"
    return {"effect": each.value, "lower": each.lower, "upper": each.upper, "hr_correction": correction}


def _confounder_array(
    begun: Probe,
    *,
    prevalence_treated: Sequence[float] = (0.2, 0.4, 0.6),
    prevalence_control: Sequence[float] = (0.2, 0.4, 0.6),
    confounder_hazard_ratio: Sequence[float] = (0.5, 1.5, 2.0, 3.0),
) -> Results:
    result = confounder_array(
        **_hazard_arguments(begun),
        prevalence_treated=prevalence_treated,
        prevalence_control=prevalence_control,
        confounder_hazard_ratio=confounder_hazard_ratio,
    )
    yield begun.about(result, Measure.HAZARD_RATIO)


def _tipping(
    begun: Probe,
    *,
    prevalence_treated: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    prevalence_control: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
) -> Results:
    result = tipping_grid(
        **_hazard_arguments(begun), prevalence_treated=prevalence_treated, prevalence_control=prevalence_control
    )
    yield begun.about(result, Measure.HAZARD_RATIO)


def _probabilistic(begun: Probe, *, priors: Sequence[str] = (), draws: int = 50_000) -> Results:
    each = begun.question.answered.hazard_ratio
    listed: list[Any] = [[name] for name in priors] or [[GENERIC]]
    if len(priors) > 1:
        listed.append(list(priors))
    for place, chosen in enumerate(listed):
        result = probabilistic_bias_analysis(
            effect=each.value,
            std_error=each.std_error,
            prior=chosen,
            draws=draws,
            seed=begun.question.stream("probabilistic-bias-analysis", place),
            level=begun.question.level,
            hr_correction=begun.frequency == "common",
        )
        yield begun.about(result, Measure.HAZARD_RATIO)


def _left_out(begun: Probe, *, groups: Mapping[str, Sequence[str]] | None = None) -> Results:
    yield leave_one_out(begun.question, groups=_groups(begun) if groups is None else groups, outcome=begun.frequency)


def _groups(begun: Probe) -> dict[str, tuple[str, ...]]:
    """Return the nodes of the graph that several columns measure."""
    used = set(begun.question.covariates)
    several = {node: tuple(c for c in columns if c in used) for node, columns in begun.protocol.dag.columns.items()}
    return {node: columns for node, columns in several.items() if len(columns) > 1}


def _simulated(
    begun: Probe,
    *,
    log_odds_of_treatment: Sequence[float] = (1.0,),
    log_hazard_ratio: Sequence[float] = (-1.0, -0.5, 0.5, 1.0),
    prevalence: float = 0.5,
    sweeps: int = 20,
    burn_in: int = 5,
    survival: bool = False,
) -> Results:
    question = begun.question
    matrix = covariate_matrix(
        question.cohort,
        splines=question.recipe.splines,
        log1p=question.recipe.log1p,
        interactions=question.recipe.interactions,
    ).matrix
    spread = matrix.std(axis=0)
    recorded = RecordedCohort(
        covariates=(matrix - matrix.mean(axis=0)) / np.where(spread > 0, spread, 1.0),
        treatment=question.cohort.treatment,
        time=question.data.time,
        event=(question.data.event == 1).astype(np.int64),
    )
    result = simulated_confounder_grid(
        recorded,
        log_odds_of_treatment=log_odds_of_treatment,
        log_hazard_ratio=log_hazard_ratio,
        prevalence=prevalence,
        sweeps=sweeps,
        burn_in=burn_in,
        seed=question.stream("simulated-confounder"),
        level=question.level,
    )
    yield replace(result, target={"outcome": question.outcome, "analysis": "multivariable", **result.target})
    if survival:
        settings = {"prevalence": prevalence, "sweeps": sweeps, "burn_in": burn_in}
        yield _simulated_curves(question, recorded, log_odds_of_treatment, log_hazard_ratio, settings)


def _simulated_curves(
    question: Question,
    recorded: RecordedCohort,
    log_odds: Sequence[float],
    log_hazard: Sequence[float],
    settings: Mapping[str, Any],
) -> SensitivityResult:
    """Return weighted effects had the confounder been recorded: the score that knows it makes the weights."""
    measures = [str(measure) for measure in KEY_MEASURES]

    def estimator(propensity: Floats) -> tuple[Floats, Floats]:
        values, _ = tilted_weights(question.cohort.treatment, propensity, question.recipe.population)
        effects = question.answer(weights=Weights.given(values)).effects
        found = [effects[measure] for measure in measures]
        return np.array([each.theta for each in found]), np.array([each.std_error**2 for each in found])

    rows = []
    reach = float(norm.ppf(0.5 + question.level / 2))
    for place, (odds, hazard) in enumerate((a, b) for a in log_odds for b in log_hazard):
        theta, error = simulated_confounder_estimates(
            recorded,
            estimator,
            log_odds_of_treatment=odds,
            log_hazard_ratio=hazard,
            seed=question.stream("simulated-confounder", place),
            **settings,
        )
        cells: dict[str, Any] = {"log_odds_of_treatment": odds, "log_hazard_ratio": hazard}
        for j, measure in enumerate(measures):
            limits = theta[j] + np.array([0.0, -reach, reach]) * error[j]
            ratio = measure == Measure.HAZARD_RATIO
            names = (
                ("value", "lower", "upper")
                if ratio
                else tuple(measure.replace(" ", "_") + end for end in ("", "_lower", "_upper"))
            )
            cells |= dict(zip(names, (np.exp(limits) if ratio else limits).tolist(), strict=True))
        rows.append(cells)
    return question.table_of(
        "simulated confounder",
        rows,
        parameters={**settings, "weights": "from propensity scores that know the confounder, untrimmed and uncut"},
        direction="either way: down where both strengths have the same sign, up where they differ",
        assumptions=(
            "one binary unmeasured confounder, independent of the measured covariates before treatment",
            "intervals take the weights of each completed data set as known",
        ),
    )


def _marginal(begun: Probe, *, lambdas: Sequence[float] = LAMBDAS) -> Results:
    return marginal_bounds(begun.question, lambdas=tuple(float(each) for each in lambdas))


def _rosenbaum(begun: Probe, *, caliper: float = CALIPER) -> Results:
    return matched_bounds(begun.question, caliper=caliper)


# --- what treatment cannot do, who was followed, how the arms were weighted ----------------------


def _negative_controls(
    begun: Probe,
    *,
    within: Sequence[str] = ("30 days", "90 days"),
    outcome: Sequence[Mapping[str, Any]] = (),
    calibrate: bool = False,
) -> Results:
    question = begun.question
    early = early_events(question, within=within)
    if early is not None:
        yield early
    if outcome:
        yield negative_outcomes(question, _controls(begun, outcome), calibrate=calibrate)


def _controls(begun: Probe, outcomes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Cohort]]:
    """Read the control outcomes of the same patients."""
    specifications = tuple(OutcomeSpec(**each) for each in outcomes)
    protocol = begun.protocol.model_copy(update={"outcomes": specifications})
    protocol._folder = begun.protocol.folder
    cohort = select(protocol, begun.question.covariates)
    if not np.array_equal(cohort.ids, begun.question.cohort.ids):
        raise UsageError("the control outcomes are known of other patients than those analysed; expected the same ones")
    for each in specifications:
        yield each.name, cohort


def _truncations(begun: Probe, *, quantiles: Sequence[tuple[float, float]] = weighting_grids.TRUNCATIONS) -> Results:
    yield weighting_grids.truncation_grid(begun.question, quantiles=quantiles)


def _trimmings(begun: Probe, *, bounds: Sequence[float] = weighting_grids.TRIMMINGS) -> Results:
    yield weighting_grids.trimming_grid(begun.question, bounds=bounds)


def _estimands(begun: Probe, *, populations: Sequence[str] = EVERYBODY) -> Results:
    return weighting_grids.estimand_switch(begun.question, populations=populations)


def _early_excluded(begun: Probe, *, within: Sequence[str] = follow_up.EARLY) -> Results:
    yield follow_up.early_deaths_excluded(begun.question, within=within)


def _informative(
    begun: Probe,
    *,
    multipliers: Sequence[tuple[float, float]] = follow_up.MULTIPLIERS,
    imputations: int = 10,
) -> Results:
    yield follow_up.informative_censoring(begun.question, multipliers=multipliers, imputations=imputations)


def _not_at_random(begun: Probe, *, shifts: Sequence[float] = SHIFTS, imputations: int = 5) -> Results:
    question, cohort = begun.question, begun.incomplete
    if cohort is None:
        return

    def again(shift: Mapping[str, float]) -> tuple[Cohort, ...]:
        recipe = question.recipe
        return impute(
            cohort,
            imputations=imputations,
            seed=question.seed,
            log1p=recipe.log1p,
            interactions=recipe.interactions,
            shift=shift,
        )

    lacking = [str(name) for name in cohort.covariates.columns if cohort.covariates[name].isna().any()]
    yield missing_not_at_random(question, again, lacking, shifts=shifts)


def _losses(begun: Probe) -> Results:
    yield follow_up.loss_bounds(begun.question)


def _misclassified(
    begun: Probe,
    *,
    column: str = "",
    sensitivity: float = 0.9,
    specificity: float = 0.9,
    patients: float = 100.0,
    level: str | None = None,
    imputations: int = 50,
) -> Results:
    yield misclassification(
        begun.question,
        column=column,
        sensitivity=sensitivity,
        specificity=specificity,
        patients=patients,
        level=level,
        imputations=imputations,
    )


def _refuted(begun: Probe, *, replicates: int = REPLICATES, share: float = SHARE) -> Results:
    return refute(begun.question, replicates=replicates, share=share)


def _specifications(
    begun: Probe,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    populations: Sequence[str] = POPULATIONS,
    methods: Sequence[str] = METHODS,
    truncations: Sequence[tuple[float, float]] | None = None,
    trims: Sequence[float] | None = None,
) -> Results:
    # by default a short curve; a block asks for each covariate left out, more truncations, and trimming
    asked = "specification-curve" in begun.protocol.sensitivity
    yield specification_curve(
        begun.question,
        left_out=groups if groups is not None or asked else _groups(begun),
        populations=populations,
        methods=methods,
        truncations=(None, *truncations) if truncations is not None else MORE_TRUNCATIONS if asked else TRUNCATIONS,
        trims=(None, *trims) if trims is not None else MORE_TRIMS if asked else (None,),
        complete_cases=_complete_cases(begun),
    )


def _complete_cases(begun: Probe) -> Cohort | None:
    if begun.incomplete is None or len(begun.completed) == 1:
        return None
    gaps = begun.incomplete.covariates.isna().any(axis=1).to_numpy()
    return begun.completed[0].take(~gaps)


def _trials(begun: Probe) -> Results:
    return rct_benchmark(begun.estimates, begun.benchmarks)


# --- which analyses there are, and their options -------------------------------------------------


def _nothing_missing(begun: Probe) -> str:
    return ""


def _needs_covariates(begun: Probe) -> str:
    return "" if begun.question.covariates else "nothing was adjusted for"


def _needs_losses(begun: Probe) -> str:
    return "" if follow_up.lost(begun.question).any() else "nobody left follow-up before the horizon"


def _needs_losses_of_one_kind(begun: Probe) -> str:
    if (begun.question.data.event == 2).any():
        return "events compete, and of which kind a patient who left would have had is not modelled"
    return _needs_losses(begun)


def _needs_truncation(begun: Probe) -> str:
    if not begun.question.covariates or not weighting_grids.can_truncate(begun.question.recipe):
        return "these weights cannot be cut"
    return ""


def _needs_trimming(begun: Probe) -> str:
    if not begun.question.covariates or not weighting_grids.can_trim(begun.question.recipe):
        return "these weights do not come from a propensity score that patients could be left out by"
    return ""


def _needs_imputation(begun: Probe) -> str:
    if begun.incomplete is None:
        return "this design imputes at time zero, and its patients are chosen later"
    return "" if len(begun.completed) > 1 else 'no value was imputed; [data] missing = "impute" would do so'


def _needs_benchmarks(begun: Probe) -> str:
    return "" if begun.benchmarks else "the study names no benchmark"


Reader = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class AnalysisKind:
    """One analysis: how it is made, what it needs, and how its options are read.

    Parameters
    ----------
    run : callable
        A probe and options to results.
    options : mapping of str to callable
        Name to a function that reads a value of the study file, or raises ValueError with what it expects.
    missing : callable
        A probe to why the analysis does not apply; empty when it does.
    required : tuple of str
        Options that a block has to give; such an analysis is made only when asked for.
    """

    run: Callable[..., Results]
    options: Mapping[str, Reader] = field(default_factory=dict)
    missing: Callable[[Probe], str] = _nothing_missing
    required: tuple[str, ...] = ()


def _number(low: float, high: float) -> Reader:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return read


def _whole(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return read


def _several(one: Reader, least: int = 1) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) < least:
            raise ValueError(f"a list of at least {least}")
        return tuple(one(each) for each in value)

    return read


def _pair(one: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, Any]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ValueError("pairs of two numbers")
        return one(value[0]), one(value[1])

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _length(value: Any) -> str:
    try:
        Duration.parse(value)
    except UsageError as error:
        raise ValueError('a duration such as "30 days"') from error
    return str(value)


def _one_of(*words: str) -> Reader:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return read


def _columns(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError("a table of names, each with a list of covariates")
    return {str(name): _several(_text)(each) for name, each in value.items()}


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("a table")
    return dict(value)


_SHARE = _number(0, 1)
_POSITIVE = _number(1e-6, 1e6)
_POPULATION = _one_of(*(str(each) for each in Estimand))
_QUANTILES = _several(_pair(_SHARE))
_WITHIN = _several(_length)

ANALYSES: Mapping[str, AnalysisKind] = {
    "e-value": AnalysisKind(run=_e_values),
    "bias-factor": AnalysisKind(run=_bias_factors, options={"strengths": _several(_number(1, 1e6))}),
    "confounder-array": AnalysisKind(
        run=_confounder_array,
        options={
            "prevalence_treated": _several(_SHARE),
            "prevalence_control": _several(_SHARE),
            "confounder_hazard_ratio": _several(_POSITIVE),
        },
    ),
    "tipping-point": AnalysisKind(
        run=_tipping, options={"prevalence_treated": _several(_SHARE), "prevalence_control": _several(_SHARE)}
    ),
    "probabilistic-bias-analysis": AnalysisKind(
        run=_probabilistic,
        options={"priors": _several(_one_of(*STAGE4_PRIORS)), "draws": _whole(1000, 10_000_000)},
    ),
    "leave-one-out": AnalysisKind(run=_left_out, options={"groups": _columns}, missing=_needs_covariates),
    "simulated-confounder": AnalysisKind(
        run=_simulated,
        options={
            "log_odds_of_treatment": _several(_number(-10, 10)),
            "log_hazard_ratio": _several(_number(-10, 10)),
            "prevalence": _SHARE,
            "sweeps": _whole(2, 10_000),
            "burn_in": _whole(0, 10_000),
            "survival": _flag,
        },
        missing=_needs_covariates,
    ),
    "marginal-sensitivity-model": AnalysisKind(
        run=_marginal, options={"lambdas": _several(_number(1, 1000))}, missing=_needs_covariates
    ),
    "rosenbaum-bounds": AnalysisKind(run=_rosenbaum, options={"caliper": _number(1e-3, 10)}, missing=_needs_covariates),
    "negative-control": AnalysisKind(
        run=_negative_controls, options={"within": _WITHIN, "outcome": _several(_table), "calibrate": _flag}
    ),
    "truncation-grid": AnalysisKind(run=_truncations, options={"quantiles": _QUANTILES}, missing=_needs_truncation),
    "trimming-grid": AnalysisKind(
        run=_trimmings, options={"bounds": _several(_number(1e-6, 0.499))}, missing=_needs_trimming
    ),
    "estimand-switch": AnalysisKind(
        run=_estimands, options={"populations": _several(_POPULATION)}, missing=_needs_covariates
    ),
    "early-deaths-excluded": AnalysisKind(run=_early_excluded, options={"within": _WITHIN}),
    "informative-censoring": AnalysisKind(
        run=_informative,
        options={"multipliers": _several(_pair(_POSITIVE)), "imputations": _whole(2, 1000)},
        missing=_needs_losses_of_one_kind,
    ),
    "loss-bounds": AnalysisKind(run=_losses, missing=_needs_losses),
    "missing-not-at-random": AnalysisKind(
        run=_not_at_random,
        options={"shifts": _several(_number(-10, 10)), "imputations": _whole(2, 1000)},
        missing=_needs_imputation,
    ),
    "misclassification": AnalysisKind(
        run=_misclassified,
        options={
            "column": _text,
            "sensitivity": _number(0.5, 1),
            "specificity": _number(0.5, 1),
            "patients": _POSITIVE,
            "level": _text,
            "imputations": _whole(2, 10_000),
        },
        missing=_needs_covariates,
        required=("column", "sensitivity", "specificity"),
    ),
    "refuter": AnalysisKind(
        run=_refuted,
        options={"replicates": _whole(2, 10_000), "share": _number(0.1, 0.99)},
        missing=_needs_covariates,
    ),
    "specification-curve": AnalysisKind(
        run=_specifications,
        options={
            "groups": _columns,
            "populations": _several(_POPULATION),
            "methods": _several(_one_of(*METHODS)),
            "truncations": _QUANTILES,
            "trims": _several(_number(1e-6, 0.499)),
        },
        missing=_needs_covariates,
    ),
    "rct-benchmark": AnalysisKind(run=_trials, missing=_needs_benchmarks),
}
"""Every analysis of a baseline design, by the name of its block."""


_POOLED = (
    "e-value",
    "bias-factor",
    "confounder-array",
    "tipping-point",
    "probabilistic-bias-analysis",
    "missing-not-at-random",
    "rct-benchmark",
)
"""Analyses that use the pooled estimate, or all completed data sets."""


_INSTEAD = {
    "landmark-grid": "Leave it out; under a landmark design, give a list: [time_zero] landmark",
    "grace-period-grid": "Leave it out; under clone-censor-weight, give a list: [time_zero] grace_period",
}


def plan(protocol: Protocol) -> dict[str, dict[str, Any]]:
    """Return the analyses of a protocol with their options, checked.

    Parameters
    ----------
    protocol : Protocol

    Returns
    -------
    dict of str to dict
        Block to options: the blocks of the study file, or without any all that need no option.

    Raises
    ------
    ProtocolError
        Naming every option that is unknown, missing or wrong, and every block that the design has not.
    """
    if not protocol.sensitivity:
        return {name: {} for name, kind in ANALYSES.items() if not kind.required}
    problems: list[Problem] = []
    chosen = {name: _read_block(name, options, problems) for name, options in protocol.sensitivity.items()}
    if problems:
        raise ProtocolError("[sensitivity] cannot be followed:", problems)
    return {name: chosen[name] for name in ANALYSES if name in chosen}


def _read_block(name: str, options: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    block = f"sensitivity.{name}"
    kind = ANALYSES.get(name)
    if kind is None:
        problems.append(
            Problem(
                where=block,
                found="this design has no such analysis",
                expected=f"one of {', '.join(ANALYSES)}",
                todo=_INSTEAD.get(name, "Leave it out"),
            )
        )
        return {}
    read: dict[str, Any] = {}
    for key, value in options.items():
        where = f"{block}.{key}"
        if key not in kind.options:
            listed = ", ".join(kind.options) or "none: it takes no options"
            problems.append(
                Problem(where=where, found="unknown option", expected=listed, todo=did_you_mean(key, kind.options))
            )
            continue
        try:
            read[key] = kind.options[key](value)
        except ValueError as error:
            problems.append(Problem(where=where, found=f"found {value!r}", expected=str(error)))
    problems += [
        Problem(where=f"{block}.{key}", found="not given", expected="a value: there is no default for it")
        for key in kind.required
        if key not in options
    ]
    return read
