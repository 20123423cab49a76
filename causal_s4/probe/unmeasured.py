"""What could not be measured: analyses of a confounder, by formula, by simulation and by bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from causal_s4.kernels.normal import critical_value
from causal_s4.probe.asking import RISK_RATIO, RMTL_RATIO
from causal_s4.probe.subject import Probe, Results
from causal_s4.propensity.weights import tilted_weights
from causal_s4.protocol.vocabulary import Measure
from causal_s4.results import Floats, SensitivityResult, Weights
from causal_s4.sensitivity.arm_models import LAMBDAS, marginal_bounds, standardised_terms
from causal_s4.sensitivity.bias_factor import bias_factor_array
from causal_s4.sensitivity.confounder import confounder_array
from causal_s4.sensitivity.e_value import evalue
from causal_s4.sensitivity.leave_one_out import leave_one_out
from causal_s4.sensitivity.measured_strength import measured_strengths
from causal_s4.sensitivity.pair_matching import CALIPER, matched_bounds
from causal_s4.sensitivity.probabilistic import (
    ConfounderPrior,
    PrevalencePrior,
    RatioPrior,
    probabilistic_bias_analysis,
)
from causal_s4.sensitivity.question import KEY_MEASURES, Question
from causal_s4.sensitivity.simulated_confounder import (
    RecordedCohort,
    simulated_confounder_estimates,
    simulated_confounder_grid,
)
from causal_s4.sensitivity.tipping_point import tipping_grid

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


def e_values(begun: Probe) -> Results:
    """Say how strong a confounder would have to be."""
    question = begun.question
    for measure, keyword in _RATIOS:
        if measure not in question.answered.effects or (measure == Measure.SURVIVAL_RATIO and question.competes):
            continue  # where events compete, being free of both is not what the study is about
        result = evalue(**_ratio_arguments(begun, measure, keyword))
        horizon = None if measure == Measure.HAZARD_RATIO else question.horizon
        preferred = {"preferred": measure == RISK_RATIO}
        yield begun.about(replace(result, parameters={**result.parameters, **preferred}), measure, horizon)


def bias_factors(begun: Probe, *, strengths: Sequence[float] = (1.25, 1.5, 2.0, 3.0, 4.0, 5.0)) -> Results:
    """Say how far confounders of given strength could move the estimate, and how strong measured ones are."""
    measure, keyword = _risk_or_hazard(begun)
    result = bias_factor_array(**_ratio_arguments(begun, measure, keyword), strengths=strengths)
    yield begun.about(result, measure, begun.question.horizon if keyword == "risk_ratio" else None)
    if begun.question.covariates and begun.question.fixed_arms:
        yield measured_strengths(begun.question)


def _risk_or_hazard(begun: Probe) -> tuple[str, str]:
    return _RATIOS[0] if RISK_RATIO in begun.question.answered.effects else _RATIOS[1]


def _hazard_arguments(begun: Probe) -> dict[str, Any]:
    each = begun.question.answered.hazard_ratio
    correction = begun.frequency == "common"
    return {"effect": each.value, "lower": each.lower, "upper": each.upper, "hr_correction": correction}


def confounders(
    begun: Probe,
    *,
    prevalence_treated: Sequence[float] = (0.2, 0.4, 0.6),
    prevalence_control: Sequence[float] = (0.2, 0.4, 0.6),
    confounder_hazard_ratio: Sequence[float] = (0.5, 1.5, 2.0, 3.0),
) -> Results:
    """Adjust for a confounder of given prevalence and strength."""
    result = confounder_array(
        **_hazard_arguments(begun),
        prevalence_treated=prevalence_treated,
        prevalence_control=prevalence_control,
        confounder_hazard_ratio=confounder_hazard_ratio,
    )
    yield begun.about(result, _hazard_scale(result))


def _hazard_scale(result: SensitivityResult) -> str:
    """Return what an adjusted hazard ratio is called: where the outcome is common it was put on another scale."""
    return "hazard ratio as a risk ratio" if result.parameters["hr_correction"] else str(Measure.HAZARD_RATIO)


def tipping(
    begun: Probe,
    *,
    prevalence_treated: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    prevalence_control: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
) -> Results:
    """Solve for the strength that would bring no effect."""
    result = tipping_grid(
        **_hazard_arguments(begun), prevalence_treated=prevalence_treated, prevalence_control=prevalence_control
    )
    yield begun.about(result, Measure.HAZARD_RATIO)


def probabilistic(begun: Probe, *, priors: Sequence[str] = (), draws: int = 50_000) -> Results:
    """Adjust for a confounder that is not known exactly."""
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
        yield begun.about(result, _hazard_scale(result))


def left_out(begun: Probe, *, groups: Mapping[str, Sequence[str]] | None = None) -> Results:
    """Leave out what was measured."""
    yield leave_one_out(begun.question, groups=begun.groups if groups is None else groups, outcome=begun.frequency)


def simulated(
    begun: Probe,
    *,
    log_odds_of_treatment: Sequence[float] = (1.0,),
    log_hazard_ratio: Sequence[float] = (-1.0, -0.5, 0.5, 1.0),
    prevalence: float = 0.5,
    sweeps: int | None = None,
    burn_in: int | None = None,
    survival: bool = False,
) -> Results:
    """Simulate a confounder, given all that was recorded."""
    question = begun.question
    sweeps, burn_in = begun.repeats(sweeps, 20, 5), begun.repeats(burn_in, 5, 2)
    recorded = RecordedCohort(
        covariates=standardised_terms(question.cohort, question.recipe),
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
    reach = critical_value(question.level)
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


def marginal(begun: Probe, *, lambdas: Sequence[float] = LAMBDAS) -> Results:
    """Bound the effect when the odds of treatment are off."""
    return marginal_bounds(begun.question, lambdas=tuple(float(each) for each in lambdas))


def rosenbaum(begun: Probe, *, caliper: float = CALIPER) -> Results:
    """Bound the comparison of matched pairs."""
    return matched_bounds(begun.question, caliper=caliper)
