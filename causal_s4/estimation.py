"""Curves and effects as they are asked for: what is compared, and how the intervals are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from causal_s4.arguments import checked_arguments
from causal_s4.cohort import Cohort, RiskTable
from causal_s4.comparison import Comparison, effects_of, estimate_curves
from causal_s4.errors import UsageError
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.vocabulary import UNADJUSTED, Analysis
from causal_s4.results import (
    EffectEstimate,
    EffectTable,
    Finding,
    HazardsCheck,
    RegressionTable,
    ScoreTest,
    SurvivalCurve,
    WeightingSpec,
    Weights,
)
from causal_s4.workers import Effort

ANALYTIC = ("influence", "fixed")
RESAMPLED = ("bootstrap", "jackknife")
FEWEST_PER_COEFFICIENT = 15
"""Patients of the smaller arm for each coefficient of the propensity model that influence intervals need."""
MOST_LEFT_OUT = 5_000
"""Patients up to which the jackknife is taken without being asked for."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All that was estimated of one outcome, naive next to adjusted."""

    curves: tuple[SurvivalCurve, ...]
    estimates: tuple[EffectEstimate, ...]
    tests: tuple[ScoreTest, ...]
    hazards: tuple[HazardsCheck, ...]
    regression: RegressionTable | None
    findings: tuple[Finding, ...]


@checked_arguments
def survival_curves(
    source: Cohort | RiskTable,
    weights: Weights | None = None,
    *,
    outcome: str | None = None,
    level: float = 0.95,
    variance: str = "influence",
) -> dict[str, SurvivalCurve]:
    """Estimate the survival curve of each arm.

    Parameters
    ----------
    source : Cohort or RiskTable
    weights : Weights, optional
        Without weights, the naive curves.
    outcome : str, optional
        Of a cohort with several; the primary one by default.
    level : float
        Of the pointwise intervals.
    variance : {"influence", "fixed"}
        ``"fixed"`` takes the weights as known, for comparison with other software.

    Returns
    -------
    dict of str to SurvivalCurve
        ``"treated"`` and ``"control"``.

    Raises
    ------
    NoEventsError
        When an arm has no patients.
    """
    if variance not in ANALYTIC:
        raise UsageError(f"the bands of curves are by variance={' or '.join(map(repr, ANALYTIC))}; found {variance!r}")
    comparison = _comparison(source, weights, outcome=outcome, level=level, ties="efron", variance=variance)
    return estimate_curves(comparison)


@checked_arguments
def estimate_effects(
    source: Cohort | RiskTable,
    weights: Weights | None = None,
    *,
    horizons: Sequence[float] = (),
    ties: str = "efron",
    variance: str = "influence",
    level: float = 0.95,
    outcome: str | None = None,
    replicates: int | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    interval: str | None = None,
    counts: str | None = None,
    stratify: bool | None = None,
    cluster: str | Sequence[Any] | None = None,
    scheduler: str | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EffectTable:
    """Estimate hazard ratio, survival, restricted mean and median, with intervals.

    Parameters
    ----------
    source : Cohort or RiskTable
    weights : Weights, optional
        Without weights, the naive effects only; with them, the weighted effects and then the naive ones.
    horizons : sequence of float
        In the data's time unit; survival and restricted mean survival time are compared at each.
    ties : {"efron", "breslow"}
    variance : {"influence", "fixed", "bootstrap", "jackknife"}
        ``"influence"`` accounts for the estimation of the weights; ``"fixed"`` takes them as known;
        ``"bootstrap"`` and ``"jackknife"`` make everything again in each resample of patients.
    level : float
        Confidence level, between 0 and 1.
    outcome : str, optional
        Of a cohort with several; the primary one by default.
    replicates, seed : int, optional
        Of the bootstrap; 1000 and 0 by default.
    jobs : int, optional
        Threads for resampling; they change no number.
    interval : {"percentile", "basic", "normal", "bca"}, optional
        How the bootstrap's interval is read off its replicates; percentile by default.
    counts : {"multinomial", "bayesian"}, optional
        Whole copies of patients by default, or weights from a flat Dirichlet distribution.
    stratify : bool, optional
        Whether the bootstrap resamples each arm on its own.
    cluster : str or sequence, optional
        A covariate, or labels one a patient, of groups that are resampled whole.
    scheduler : str, optional
        Address of a Dask scheduler that does the resampling.
    resume : path-like, optional
        Folder in which finished blocks of replicates are kept; a later run continues from them.
    progress : callable, optional
        Called with the replicates done and all replicates of the comparison at hand.

    Returns
    -------
    EffectTable
        Differences are treated minus control, ratios treated over control. ``std_error`` of a ratio is
        that of its logarithm.

    Raises
    ------
    UsageError
        For an option that is wrong or would have no effect.
    NoEventsError, BeyondFollowUpError, ConvergenceError
        When the data cannot give the estimate.
    """
    options = {
        "replicates": replicates,
        "seed": seed,
        "jobs": jobs,
        "interval": interval,
        "counts": counts,
        "stratify": stratify,
        "cluster": cluster,
        "scheduler": scheduler,
        "resume": resume,
        "progress": progress,
    }
    horizons = check_horizons(horizons)
    comparison = _comparison(source, weights, outcome=outcome, level=level, ties=ties, variance=variance)
    comparisons = [comparison]
    if comparison.weights is not None and comparison.analysis == Analysis.WEIGHTED:
        comparisons.append(replace(comparison, weights=None, analysis=Analysis.NAIVE, population=UNADJUSTED))
    if variance not in RESAMPLED:
        idle = [name for name, value in options.items() if value is not None]
        if idle:
            raise UsageError(f"{', '.join(idle)} would have no effect with variance={variance!r}")
        return EffectTable(estimates=tuple(each for one in comparisons for each in effects_of(one, horizons)))
    from causal_s4.resampled import plan_resampling, resampled_effects

    plan = plan_resampling(source, variance, options)
    answers = [resampled_effects(each, horizons, plan) for each in comparisons]
    return EffectTable(
        estimates=tuple(estimate for estimates, _ in answers for estimate in estimates),
        findings=tuple(finding for _, findings in answers for finding in findings),
    )


def effects_asked_for(
    comparison: Comparison, horizons: Sequence[float], protocol: Protocol, effort: Effort
) -> EffectTable:
    """Return the effects of a comparison with the intervals that a protocol asks for.

    Parameters
    ----------
    comparison : Comparison
    horizons : sequence of float
    protocol : Protocol
    effort : Effort
    """
    asked = protocol.inference
    method, chosen = (asked.method, ()) if asked.method is not None else interval_method(comparison)
    if method not in RESAMPLED:
        return EffectTable(estimates=tuple(effects_of(comparison, horizons)), findings=chosen)
    # imported here, for it loads a compiler that other studies do not need
    from causal_s4.resampled import plan_resampling, resampled_effects

    options = {
        "replicates": asked.replicates,
        "interval": asked.interval,
        "stratify": asked.stratify,
        "cluster": asked.cluster,
        "seed": protocol.seed if method == "bootstrap" else None,
        "jobs": effort.workers(asked.jobs),
        "scheduler": effort.scheduler,
        "resume": effort.resume,
        "progress": effort.progress,
    }
    estimates, findings = resampled_effects(comparison, horizons, plan_resampling(comparison.table, method, options))
    return EffectTable(estimates=tuple(estimates), findings=(*chosen, *findings))


def interval_method(comparison: Comparison) -> tuple[str, tuple[Finding, ...]]:
    """Return how the intervals of fixed arms are made when nobody says, and why if not by influence.

    Influence intervals rest on a first-order approximation. With few patients for each coefficient of the propensity
    model it makes them too short, and leaving out one patient at a time does not: ``analyses/validation``, where 66
    treated patients and 17 coefficients gave influence intervals of 95% that covered 89 to 93%.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    method : {"influence", "jackknife"}
    findings : tuple of Finding
    """
    spec = None if comparison.weights is None else comparison.weights.spec
    if not isinstance(spec, WeightingSpec):
        return "influence", ()
    smaller = int(min(spec.treatment.sum(), (1 - spec.treatment).sum()))
    coefficients = spec.terms.shape[1] + 1
    if smaller >= FEWEST_PER_COEFFICIENT * coefficients:
        return "influence", ()
    # as many refits as patients: beyond some thousands that takes minutes
    method = "jackknife" if len(spec.treatment) <= MOST_LEFT_OUT else "influence"
    name = f"{comparison.table.outcome}, {comparison.population}"
    why = f"the smaller arm has {smaller} patients for {coefficients} coefficients of the weights' model"
    return method, (
        Finding(
            code="small-arm",
            severity="note" if method == "jackknife" else "caution",
            step="effects",
            message=f"{name}: {why}, fewer than {FEWEST_PER_COEFFICIENT} for each. "
            + (
                "Intervals are therefore made by the jackknife; those by influence functions tend to be too short."
                if method == "jackknife"
                else 'Intervals by influence functions tend to be too short then; ask for method = "bootstrap".'
            ),
            numbers={"smaller_arm": smaller, "coefficients": coefficients},
        ),
    )


def check_horizons(horizons: Sequence[float]) -> list[float]:
    """Return the horizons as floats.

    Raises
    ------
    UsageError
        Unless all are finite and above zero.
    """
    values = [float(h) for h in horizons]
    bad = [h for h in values if not (np.isfinite(h) and h > 0)]
    if bad:
        raise UsageError(f"horizons must be finite and above zero; found {bad}")
    return values


def _comparison(
    source: Cohort | RiskTable,
    weights: Weights | None,
    *,
    outcome: str | None,
    level: float,
    ties: str,
    variance: str,
) -> Comparison:
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1; found {level!r}")
    if ties not in ("efron", "breslow"):
        raise UsageError(f"ties must be 'efron' or 'breslow'; found {ties!r}")
    if variance not in (*ANALYTIC, *RESAMPLED):
        raise UsageError(f"variance must be one of {', '.join((*ANALYTIC, *RESAMPLED))}; found {variance!r}")
    if isinstance(source, RiskTable):
        if outcome is not None and outcome != source.outcome:
            raise UsageError(f"this risk table is of {source.outcome!r}; outcome={outcome!r} would have no effect")
        table = source
        weights = weights if weights is not None else source.weights
    else:
        table = source.risk_table(outcome)
    if weights is not None:
        expected = len(table) if weights.by_row else table.n_patients
        if len(weights.values) != expected:
            raise UsageError(
                f"expected {expected} weights, one a {'row' if weights.by_row else 'patient'}; found {len(weights.values)}"
            )
    return Comparison(
        table=table,
        weights=weights,
        # without weights a plain cohort is the naive comparison; other designs keep their name
        analysis=Analysis.NAIVE if weights is None and table.analysis == Analysis.WEIGHTED else table.analysis,
        population=UNADJUSTED if weights is None else weights.population,
        account=variance != "fixed",
        level=level,
        ties=ties,
    )
