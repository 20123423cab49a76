"""The answers of designs in which treatment starts after time zero: changing treatment, and cloned strategies.

Landmark analyses need nothing of their own: from the landmark on they are a comparison of fixed arms.
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
    effects_of,
    estimate_curves,
    hazards_check,
    score_test,
)
from causal_s4.emulation.alignment import refuse_immortal_time
from causal_s4.emulation.clone_censor import initiation_table
from causal_s4.emulation.clone_flow import balance_over_time, clone_flow, clone_weight_summary, timed_balance_findings
from causal_s4.emulation.time_dependent import mantel_byar, simon_makuch_table
from causal_s4.emulation.trial import Trial, emulate, lengths
from causal_s4.emulation.weight_checks import default_variance, variance_finding
from causal_s4.errors import ConvergenceError, DataError, Problem, ProtocolError, QuestionError, UsageError
from causal_s4.estimation import RESAMPLED, Answer, effects_asked_for
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.vocabulary import UNADJUSTED, Analysis, Design, Duration, Measure
from causal_s4.results import (
    BalanceOverTime,
    CloneFlow,
    EffectEstimate,
    Finding,
    SensitivityResult,
    SurvivalCurve,
    WeightSummary,
)
from causal_s4.survival.functionals import hazard_ratio
from causal_s4.workers import DOUBT, Effort

TIMED = (Design.TIME_DEPENDENT, Design.CLONE_CENSOR_WEIGHT)
"""Designs without arms that are fixed from some time on."""
GRIDS = {Design.LANDMARK: "landmark grid", Design.CLONE_CENSOR_WEIGHT: "grace period grid"}
"""What the answers of several lengths are called."""
_FEW_AT_RISK = 10


@dataclass(frozen=True, kw_only=True)
class TimedAnswer(Answer):
    """All that was estimated of one outcome, naive first, and how strategies were weighted."""

    weights: WeightSummary | None = None
    flow: CloneFlow | None = None
    balance: BalanceOverTime | None = None


def refuse_misplaced_time(cohort: Cohort, protocol: Protocol) -> None:
    """Refuse arms fixed at time zero when treatment starts later.

    Raises
    ------
    ImmortalTimeError
        With what ever against never treated would have given.
    """
    if protocol.time_zero.design is not Design.BASELINE or cohort.treatment_start is None:
        return
    outcome = protocol.outcomes[0].name
    table = cohort.risk_table(outcome)
    try:
        naive = float(np.exp(hazard_ratio(table, np.ones(len(table)), ties=protocol.inference.ties).theta))
    except ConvergenceError:
        naive = None
    refuse_immortal_time(cohort, naive, outcome)


def refuse_stratified_resampling(protocol: Protocol) -> None:
    """Refuse to draw patients within arms that a design without fixed arms has not.

    Raises
    ------
    ProtocolError
    """
    design = protocol.time_zero.design
    if protocol.inference.stratify:
        problem = Problem(
            where="inference.stratify",
            found=f'a patient counts in both arms of the design "{design}"',
            todo="Leave it out; patients are drawn whole, with all their rows",
        )
        raise ProtocolError(f'the design "{design}" cannot be run as asked:', [problem])


def answer_timed(
    cohort: Cohort, outcome: str, horizons: Sequence[float], protocol: Protocol, effort: Effort
) -> TimedAnswer:
    """Estimate one outcome under a design without fixed arms, beside ever against never treated.

    Parameters
    ----------
    cohort : Cohort
    outcome : str
    horizons : sequence of float
        In the cohort's time unit.
    protocol : Protocol
    effort : Effort
    """
    trial = emulate(cohort, protocol, outcome)
    naive = _comparison(cohort.risk_table(outcome), protocol, Analysis.NAIVE)
    if protocol.time_zero.design is Design.TIME_DEPENDENT:
        return _changing_treatment(trial, naive, horizons, protocol, effort)
    return _cloned_strategies(trial, naive, horizons, protocol, effort)


def _comparison(table: RiskTable, protocol: Protocol, analysis: Analysis) -> Comparison:
    weights = table.weights
    return Comparison(
        table=table,
        weights=weights,
        analysis=analysis,
        population=UNADJUSTED if weights is None else weights.population,
        account=weights is None or default_variance(table) == "influence",
        level=protocol.inference.level,
        ties=protocol.inference.ties,
    )


# --- changing treatment -------------------------------------------------------------------------


def _changing_treatment(
    trial: Trial, naive: Comparison, horizons: Sequence[float], protocol: Protocol, effort: Effort
) -> TimedAnswer:
    changing = _comparison(trial.table, protocol, Analysis.TIME_DEPENDENT)
    # a Cox model is all that such rows can answer; survival by current treatment is no one's survival
    of_naive, of_changing = (
        effects_asked_for(each, until, protocol, effort.share(k, 2))
        for k, (each, until) in enumerate(((naive, horizons), (changing, [])))
    )
    ratio = of_changing.one(measure=Measure.HAZARD_RATIO)
    regression, of_regression = conditional_model(trial.cohort, trial.table, protocol, clustered=True)
    curves, of_curves = _by_current_treatment(trial, protocol)
    estimates = [*of_naive, ratio]
    if regression is not None:
        estimates.append(
            conditional_estimate(
                regression, protocol.inference.level, analysis=Analysis.TIME_DEPENDENT, variance="influence"
            )
        )
    return TimedAnswer(
        curves=(*estimate_curves(naive).values(), *curves),
        estimates=tuple(estimates),
        tests=(score_test(naive), score_test(changing), mantel_byar(trial.table, ties=protocol.inference.ties)),
        hazards=(hazards_check(naive), hazards_check(changing)),
        regression=regression,
        findings=(*trial.findings, *of_naive.findings, *of_changing.findings, *of_regression, *of_curves),
    )


def _by_current_treatment(trial: Trial, protocol: Protocol) -> tuple[tuple[SurvivalCurve, ...], tuple[Finding, ...]]:
    """Return Simon-Makuch curves from the earliest time at which both have enough patients, labelled as what they are."""
    starts = np.sort(trial.table.start[(trial.table.arm == 1) & (trial.table.start > 0)])
    if starts.size < _FEW_AT_RISK:
        return (), ()
    landmark = next(
        (
            float(time)
            for time in starts[_FEW_AT_RISK - 1 :]
            if ((trial.table.arm == 1) & (trial.table.start <= time) & (trial.table.stop > time)).sum() >= _FEW_AT_RISK
        ),
        None,
    )
    if landmark is None:
        return (), ()
    try:
        table = simon_makuch_table(trial.cohort, landmark, trial.table.outcome)
    except UsageError:
        return (), ()
    unit = str(table.time_unit)
    comparison = replace(
        _comparison(table, protocol, Analysis.TIME_DEPENDENT), population="by current treatment, not counterfactual"
    )
    return tuple(estimate_curves(comparison).values()), (
        Finding(
            code="curves-by-current-treatment",
            severity="caution",
            step="effects",
            message=(
                f"Curves by current treatment (Simon and Makuch) start at {landmark:.3g} {unit}, when {_FEW_AT_RISK} treated patients are "
                "at risk, and count time from then. Patients change from one to the other: they are not the survival that "
                "either treatment would bring."
            ),
            numbers={"landmark": landmark},
        ),
    )


# --- cloned strategies --------------------------------------------------------------------------


def _cloned_strategies(
    trial: Trial, naive: Comparison, horizons: Sequence[float], protocol: Protocol, effort: Effort
) -> TimedAnswer:
    assert trial.unweighted is not None
    table = trial.table
    unweighted = _comparison(trial.unweighted, protocol, Analysis.CLONE_CENSOR_UNWEIGHTED)
    weighted = _comparison(table, protocol, Analysis.CLONE_CENSOR_WEIGHT)
    balance = balance_over_time(
        table,
        trial.cohort,
        time_varying=protocol.time_zero.time_varying,
        max_carry=None if protocol.time_zero.max_carry is None else protocol.time_zero.max_carry.to(table.time_unit),
    )
    assert table.weights is not None
    effects = [
        effects_asked_for(each, horizons, protocol, effort.share(k, 3))
        for k, each in enumerate((naive, unweighted, weighted))
    ]
    analytic = protocol.inference.method not in RESAMPLED
    return TimedAnswer(
        curves=tuple(curve for each in (naive, weighted) for curve in estimate_curves(each).values()),
        estimates=tuple(estimate for each in effects for estimate in each),
        tests=(score_test(naive), score_test(weighted)),
        hazards=(hazards_check(naive), hazards_check(weighted)),
        regression=initiation_table(table, protocol.inference.level),
        findings=(
            *trial.findings,
            *table.weights.findings,
            *([_both_variances(weighted)] if analytic else []),
            *(finding for each in effects for finding in each.findings),
            *timed_balance_findings(balance),
        ),
        weights=clone_weight_summary(table),
        flow=clone_flow(table, trial.cohort),
        balance=balance,
    )


def _both_variances(weighted: Comparison) -> Finding:
    """Say which of the two analytic variances the intervals have, and what either gives."""
    finding = variance_finding(weighted.table)
    known, accounted = (effects_of(replace(weighted, account=account), [])[0].std_error for account in (False, True))
    if known is None or accounted is None:  # too few events for either
        return finding
    return replace(
        finding,
        message=(
            f"{finding.message} The standard error of the log hazard ratio is {known:.3f} with the weights as known and "
            f"{accounted:.3f} with their estimation accounted for."
        ),
        numbers={**finding.numbers, "std_error_known": known, "std_error_accounted": accounted},
    )


# --- several landmarks or grace periods ---------------------------------------------------------


def grid(protocol: Protocol, found: Sequence[tuple[Duration, Sequence[EffectEstimate]]]) -> SensitivityResult:
    """Return the answers of several landmarks or grace periods, one row each.

    Parameters
    ----------
    protocol : Protocol
    found : sequence of (Duration, sequence of EffectEstimate)
        The primary one first.
    """
    design = protocol.time_zero.design
    key = "landmark" if design is Design.LANDMARK else "grace_period"
    rows = [
        {
            key: str(length),
            "measure": each.measure,
            "horizon": each.horizon,
            "value": each.value,
            "lower": each.lower,
            "upper": each.upper,
            "n": each.n,
            "ess": each.ess,
        }
        for length, estimates in found
        for each in estimates
        if each.arm is None
    ]
    first = found[0][1][0]
    return SensitivityResult(
        method=GRIDS[design],
        target={"outcome": first.outcome, "analysis": first.analysis, "population": first.population},
        parameters={"primary": str(found[0][0])},
        direction="either way: each row is about another question, patients still at risk then or another strategy",
        assumptions=("stated before the results were seen, and never chosen by them",),
        table=tuple(rows),
    )


def answer_other_grace_periods(
    cohort: Cohort,
    horizons: Sequence[float],
    protocol: Protocol,
    primary: TimedAnswer,
    effort: Effort,
) -> tuple[SensitivityResult, ...]:
    """Return how the primary outcome's answer changes with the grace period, where several were asked for."""
    several = [each for each in lengths(protocol) if each is not None]
    if len(several) < 2:
        return ()
    effort.tell(f"{DOUBT}: {GRIDS[Design.CLONE_CENSOR_WEIGHT]}")
    outcome = protocol.outcomes[0].name
    own = [each for each in primary.estimates if each.analysis == Analysis.CLONE_CENSOR_WEIGHT]
    found: list[tuple[Duration, Sequence[EffectEstimate]]] = [(several[0], own)]
    findings: list[Finding] = []
    for k, length in enumerate(several[1:]):
        try:
            table = emulate(cohort, protocol, outcome, length).table
            comparison = _comparison(table, protocol, Analysis.CLONE_CENSOR_WEIGHT)
            found.append(
                (length, effects_asked_for(comparison, horizons, protocol, effort.share(k, len(several) - 1)).estimates)
            )
        except (QuestionError, DataError) as refused:
            findings.append(not_possible(length, refused.message))
    return (replace(grid(protocol, found), findings=tuple(findings)),)


def not_possible(length: Duration, why: str) -> Finding:
    """Say that a further landmark or grace period has no answer."""
    return Finding(
        code="sensitivity-not-possible",
        severity="note",
        step="sensitivity",
        message=f"At {length} there is no answer: {why}.",
    )
