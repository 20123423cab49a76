"""The answers of designs whose arms are fixed from some time on: time zero, or a landmark.

The arms are weighted to each population asked for; the naive and the conditional answer stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from causal_s4.cohort import Cohort, RiskTable
from causal_s4.comparison import (
    Comparison,
    conditional_estimate,
    conditional_model,
    estimate_curves,
    hazards_check,
    score_test,
)
from causal_s4.emulation.trial import Trial, emulate, lengths
from causal_s4.errors import DataError, QuestionError, UsageError
from causal_s4.estimation import Answer, effects_asked_for
from causal_s4.propensity.balance import balance_findings, check_balance
from causal_s4.propensity.positivity import check_positivity, positivity_findings
from causal_s4.propensity.weights import summarise_weights, weigh, weights_findings
from causal_s4.protocol.methods import stabilised
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.sections import OutcomeSpec
from causal_s4.protocol.vocabulary import UNADJUSTED, Analysis, Design, Estimand
from causal_s4.results import (
    BalanceTable,
    EffectEstimate,
    Finding,
    HazardsCheck,
    Positivity,
    SensitivityResult,
    Weights,
    WeightSummary,
)
from causal_s4.time_zero import GRIDS, grid, not_possible
from causal_s4.workers import DOUBT, Effort

# --- the weights --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """The weights of one population with everything that describes them."""

    weights: Weights
    summary: WeightSummary
    balance: BalanceTable
    positivity: Positivity
    findings: tuple[Finding, ...]


def weigh_arms(cohort: Cohort, protocol: Protocol) -> tuple[Weighted, ...]:
    """Weigh the arms for the primary population of a protocol, then for the others it asks for."""
    if protocol.estimand is None or protocol.propensity is None:
        raise UsageError(f"the design {protocol.time_zero.design} fits no propensity score")
    model = protocol.propensity
    found: list[Weighted] = []
    for population in (protocol.estimand.population, *protocol.estimand.also):
        weights = weigh(
            cohort,
            population=population,
            method=model.method,
            splines=model.splines,
            log1p=model.log1p,
            interactions=model.interactions,
            stabilise=stabilised(population, model.stabilise),
            truncate=model.truncate,
            trim=model.trim,
            quantile_method=model.quantile_method or "linear",
        )
        found.append(_describe(cohort, weights, primary=not found))
    return tuple(found)


def _describe(cohort: Cohort, weights: Weights, *, primary: bool) -> Weighted:
    summary = summarise_weights(cohort, weights)
    balance = check_balance(cohort, weights)
    positivity = check_positivity(cohort, weights)
    return Weighted(
        weights=weights,
        summary=summary,
        balance=balance,
        positivity=positivity,
        findings=(
            *weights.findings,
            *weights_findings(summary),
            *balance_findings(balance),
            *(
                positivity_findings(positivity, weights.population)
                if primary or weights.population == Estimand.ATE
                else ()
            ),
        ),
    )


# --- the answers --------------------------------------------------------------------------------


def answer(
    trial: Trial,
    population: Cohort,
    weighted: Sequence[Weighted],
    outcome: OutcomeSpec,
    protocol: Protocol,
    effort: Effort,
) -> Answer:
    """Estimate one outcome: naive, conditional on covariates, and weighted to each population.

    After a landmark, naive is still ever against never treated from time zero; the unadjusted comparison from the
    landmark on stands beside it.
    """
    cohort, table = trial.cohort, trial.table
    horizons = horizons_of(outcome, table)
    landmark = protocol.time_zero.design is Design.LANDMARK
    adjusted = Analysis.LANDMARK if landmark else Analysis.WEIGHTED
    plans: list[tuple[RiskTable, Weights | None, Analysis]] = [
        *([(population.risk_table(outcome.name), None, Analysis.NAIVE)] if landmark else []),
        (table, None, Analysis.LANDMARK if landmark else Analysis.NAIVE),
        *((table, each.weights, adjusted) for each in weighted),
    ]
    comparisons = [
        Comparison(
            table=rows,
            weights=weights,
            analysis=analysis,
            population=UNADJUSTED if weights is None else weights.population,
            level=protocol.inference.level,
            ties=protocol.inference.ties,
        )
        for rows, weights, analysis in plans
    ]
    naive, primary = comparisons[0], comparisons[len(plans) - len(weighted)]
    unadjusted, *others = [
        effects_asked_for(each, horizons, protocol, effort.share(k, len(comparisons)))
        for k, each in enumerate(comparisons)
    ]
    regression, of_regression = conditional_model(cohort, table, protocol)
    cuts = [h for h in horizons if h < float(table.stop.max())][:-1]
    hazards = tuple(hazards_check(each, cuts) for each in (naive, primary))
    estimates = [
        *unadjusted.estimates,
        *([] if regression is None else [conditional_estimate(regression, protocol.inference.level)]),
        *(estimate for each in others for estimate in each.estimates),
    ]
    return Answer(
        curves=tuple(curve for each in (naive, primary) for curve in estimate_curves(each).values()),
        estimates=tuple(estimates),
        tests=tuple(score_test(each) for each in comparisons),
        hazards=hazards,
        regression=regression,
        findings=(
            *trial.findings,
            *(finding for each in (unadjusted, *others) for finding in each.findings),
            *of_regression,
            *_proportionality(hazards[1], outcome.name),
            *_few_events(table),
            *_competing(table),
        ),
    )


def other_landmarks(
    cohort: Cohort, primary: Answer, protocol: Protocol, effort: Effort
) -> tuple[SensitivityResult, ...]:
    """Return how the primary outcome's answer changes with the landmark, where several were asked for."""
    several = [each for each in lengths(protocol) if each is not None]
    if len(several) < 2 or protocol.time_zero.design is not Design.LANDMARK or protocol.estimand is None:
        return ()
    effort.tell(f"{DOUBT}: {GRIDS[Design.LANDMARK]}")
    outcome, wanted = protocol.outcomes[0], str(protocol.estimand.population)

    def own(found: Answer) -> list[EffectEstimate]:
        return [
            each
            for each in found.estimates
            if each.analysis == Analysis.LANDMARK and each.population.split(",")[0] == wanted
        ]

    rows, findings = [(several[0], own(primary))], []
    for k, length in enumerate(several[1:]):
        try:
            trial = emulate(cohort, protocol, outcome.name, length)
            weighted = weigh_arms(trial.cohort, protocol)
            rows.append(
                (length, own(answer(trial, cohort, weighted, outcome, protocol, effort.share(k, len(several) - 1))))
            )
        except (QuestionError, DataError) as refused:
            findings.append(not_possible(length, refused.message))
    return (replace(grid(protocol, rows), findings=tuple(findings)),)


def horizons_of(outcome: OutcomeSpec, table: RiskTable) -> list[float]:
    """Return the horizons in the data's unit; without any, the last whole unit that both arms reach."""
    if outcome.horizons:
        return [horizon.to(table.time_unit) for horizon in outcome.horizons]
    reach = min(float(table.stop[table.arm == arm].max()) for arm in (0, 1))
    return [float(np.floor(reach)) if reach >= 1 else reach]


def _proportionality(check: HazardsCheck, outcome: str) -> tuple[Finding, ...]:
    p_value, slope = check.p_value, check.slope
    if not p_value < 0.05:
        return ()
    return (
        Finding(
            code="non-proportional-hazards",
            severity="caution",
            step="effects",
            message=(
                f"{outcome}: the weighted hazard ratio changes with time (log hazard ratio {slope:+.2f} per unit of log time). One "
                "hazard ratio is then an average that depends on the follow-up; read survival and restricted mean differences."
            ),
            numbers={"slope": slope, "p_value": p_value},
        ),
    )


def _few_events(table: RiskTable) -> tuple[Finding, ...]:
    events = {
        name: int(((table.event == 1) & (table.arm == code)).sum()) for name, code in (("treated", 1), ("control", 0))
    }
    if min(events.values()) >= 20:
        return ()
    return (
        Finding(
            code="few-events",
            severity="caution",
            step="effects",
            message=(
                f"{table.outcome}: {events['treated']} events among the treated and {events['control']} among controls; intervals "
                "from influence functions are too short with so few."
            ),
            numbers=events,
        ),
    )


def _competing(table: RiskTable) -> tuple[Finding, ...]:
    competing = int((table.event == 2).sum())
    if not competing:
        return ()
    return (
        Finding(
            code="competing-events",
            severity="note",
            step="effects",
            message=(
                f"{table.outcome}: {competing} patients had a competing event first. Survival and restricted mean are those of being "
                "free of either event; the risk of the event itself is the cumulative incidence (Aalen-Johansen), and the hazard "
                "ratio is cause-specific."
            ),
            numbers={"competing": competing},
        ),
    )
