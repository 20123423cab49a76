"""What treatment cannot do, who was followed, how the arms were weighted: analyses that change one choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from causal_s4.cohort import Cohort, RiskTable, select
from causal_s4.emulation.trial import emulate, lengths
from causal_s4.errors import CausalS4Error, UsageError
from causal_s4.missing_data import impute
from causal_s4.probe.asking import answer_strategies, table_estimator, with_recipe
from causal_s4.probe.subject import Probe, Results
from causal_s4.protocol.sections import OutcomeSpec, Treatment
from causal_s4.protocol.vocabulary import Duration, Estimand
from causal_s4.sensitivity import follow_up, weighting_grids
from causal_s4.sensitivity.loss_weighting import loss_weighting
from causal_s4.sensitivity.misclassification import misclassification
from causal_s4.sensitivity.negative_control import EARLY, early_events, negative_exposures, negative_outcomes
from causal_s4.sensitivity.not_at_random import SHIFTS, missing_not_at_random
from causal_s4.sensitivity.refuters import REPLICATES, SHARE, refute
from causal_s4.sensitivity.trial_benchmark import rct_benchmark

EVERYBODY = tuple(map(str, Estimand))
IMPUTATIONS, CLONES = 40, 12_000
"""Completed data sets where patients were lost: fewer where an estimate from clones takes long, of so many at once."""
_NO_CONTROL = (
    "the study names no outcome that treatment cannot affect and no exposure that cannot act: "
    "[sensitivity.negative-control] takes both"
)
OTHER_TIMINGS = ("density", "natural", "uniform")
"""Rules by which treatment within a grace period may be timed; natural leaves practice alone for half of it."""


def negative_controls(
    begun: Probe,
    *,
    within: Sequence[str] = EARLY,
    outcome: Sequence[Mapping[str, Any]] = (),
    exposure: Sequence[Mapping[str, Any]] = (),
    calibrate: bool = False,
) -> Results:
    """Compare the arms where treatment cannot matter: early events, and the controls that a block names."""
    question = begun.question
    if calibrate and not (outcome or exposure):
        raise UsageError(
            "[sensitivity.negative-control] calibrate would have no effect: it names no control outcome or exposure"
        )
    early = early_events(question, within=within)
    if early is not None:
        unnamed = () if outcome or exposure else (_NO_CONTROL,)
        yield replace(early, assumptions=(*early.assumptions, *unnamed))
    if outcome:
        yield negative_outcomes(question, _control_outcomes(begun, outcome), calibrate=calibrate)
    if exposure:
        yield negative_exposures(question, _control_exposures(begun, exposure), calibrate=calibrate)


def _control_outcomes(begun: Probe, outcomes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Cohort]]:
    """Read the control outcomes of the same patients."""
    specifications = tuple(OutcomeSpec(**each) for each in outcomes)
    cohort = _same_patients(begun, {"outcomes": specifications})
    for each in specifications:
        yield each.name, cohort


def _control_exposures(begun: Probe, exposures: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Cohort]]:
    """Read the control exposures of the same patients, and put treatment among the covariates."""
    column = begun.protocol.treatment.column
    for each in exposures:
        specification = Treatment(**each)
        cohort = _same_patients(begun, {"treatment": specification}, (column,))
        known = begun.question.cohort.covariates.assign(**{column: cohort.covariates[column]})
        yield specification.name, replace(cohort, covariates=known)


def _same_patients(begun: Probe, update: Mapping[str, Any], columns: Sequence[str] = ()) -> Cohort:
    protocol = begun.protocol.model_copy(update=dict(update))
    protocol._folder = begun.protocol.folder
    cohort = select(protocol, columns)
    if not np.array_equal(cohort.ids, begun.question.cohort.ids):
        raise UsageError(
            "the negative controls are known of other patients than those analysed; expected the same ones"
        )
    return cohort


def truncations(begun: Probe, *, quantiles: Sequence[tuple[float, float]] = weighting_grids.TRUNCATIONS) -> Results:
    """Cut the weights elsewhere."""
    yield weighting_grids.truncation_grid(begun.question, quantiles=quantiles)


def trimmings(begun: Probe, *, bounds: Sequence[float] = weighting_grids.TRIMMINGS) -> Results:
    """Leave out patients whose treatment was nearly certain."""
    yield weighting_grids.trimming_grid(begun.question, bounds=bounds)


def estimands(begun: Probe, *, populations: Sequence[str] = EVERYBODY) -> Results:
    """Speak about other populations."""
    return weighting_grids.estimand_switch(begun.question, populations=populations)


def early_excluded(begun: Probe, *, within: Sequence[str] = follow_up.EARLY) -> Results:
    """Leave out who had the event early."""
    yield follow_up.early_deaths_excluded(begun.question, within=within)


def informative(
    begun: Probe,
    *,
    multipliers: Sequence[tuple[float, float]] = follow_up.MULTIPLIERS,
    imputations: int | None = None,
) -> Results:
    """Let those who left have fared otherwise, and let those who stayed stand in for them."""
    question, estimate = begun.question, table_estimator(begun.protocol)
    if not question.competes:  # of which kind a lost patient's event would be is not modelled
        rows = _rows_estimated(begun)
        usual = IMPUTATIONS if question.fixed_arms else min(IMPUTATIONS, max(5, CLONES // len(question.cohort)))
        times = begun.repeats(imputations, usual, 5)
        found = follow_up.informative_censoring(question, rows, estimate, multipliers=multipliers, imputations=times)
        few = (f"{times} completed data sets instead of {IMPUTATIONS}, for clones take long: some noise is left",)
        shortened = imputations is None and not begun.large and times < IMPUTATIONS
        yield replace(found, assumptions=(*found.assumptions, *few)) if shortened else found
    if question.fixed_arms and question.covariates:
        yield loss_weighting(question, estimate)


def _rows_estimated(begun: Probe) -> RiskTable:
    """Return the rows, with weights, that the primary estimate was made from."""
    question = begun.question
    if question.fixed_arms:
        return replace(question.cohort.risk_table(question.outcome), weights=question.answered.weights)
    return emulate(question.cohort, with_recipe(begun.protocol, question.recipe), question.outcome).table


def not_at_random(begun: Probe, *, shifts: Sequence[float] = SHIFTS, imputations: int = 5) -> Results:
    """Shift imputed values."""
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


def losses(begun: Probe) -> Results:
    """Let all who left have the event, or none."""
    yield follow_up.loss_bounds(begun.question, _rows_estimated(begun), table_estimator(begun.protocol))


def misclassified(
    begun: Probe,
    *,
    column: str = "",
    sensitivity: float = 0.9,
    specificity: float = 0.9,
    patients: float = 100.0,
    level: str | None = None,
    imputations: int | None = None,
) -> Results:
    """Correct a misrecorded covariate."""
    yield misclassification(
        begun.question,
        column=column,
        sensitivity=sensitivity,
        specificity=specificity,
        patients=patients,
        level=level,
        imputations=begun.repeats(imputations, 50, 10),
    )


def refuted(begun: Probe, *, replicates: int | None = None, share: float = SHARE) -> Results:
    """Run the refuters."""
    return refute(begun.question, replicates=begun.repeats(replicates, REPLICATES, 3), share=share)


def timings(begun: Probe, *, rules: Sequence[str] = OTHER_TIMINGS) -> Results:
    """Time treatment otherwise within the grace period."""
    question, protocol = begun.question, begun.protocol
    grace = lengths(protocol)[0]
    assert grace is not None
    rows = []
    for rule in dict.fromkeys((str(protocol.time_zero.timing), *rules)):
        own = rule == protocol.time_zero.timing
        half = Duration(grace.value / 2, grace.unit) if rule == "natural" else None
        until = protocol.time_zero.natural_until if own else half
        time_zero = protocol.time_zero.model_copy(update={"timing": rule, "natural_until": until})
        labels = {"timing": rule, "natural_until": None if until is None else str(until)}
        try:
            asked = protocol.model_copy(update={"time_zero": time_zero})
            answer = question.answered
            if not own:
                made = with_recipe(asked, question.recipe)
                answer = answer_strategies(question.cohort, made, question.recipe, question.horizon)
            rows.append({**labels, **answer.cells()})
        except CausalS4Error as error:
            rows.append({**labels, **dict.fromkeys(question.answered.cells()), "note": error.message})
    yield question.table_of(
        "timing grid",
        rows,
        parameters={"primary": str(protocol.time_zero.timing)},
        direction="either way: each row is about another strategy, treatment within the same time but timed otherwise",
        assumptions=("the strategy of the study was stated before the results were seen, and never chosen by them",),
    )


def trials(begun: Probe) -> Results:
    """Hold the estimates against published ones."""
    return rct_benchmark(begun.estimates, begun.benchmarks)
