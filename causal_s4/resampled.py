"""Where the effect meets its replicates: the estimates of a comparison with resampled intervals.

Beside :mod:`causal_s4.estimation` and not in it, because the compiled sweeps take a moment to load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from causal_s4.cohort import Cohort, RiskTable
from causal_s4.comparison import Comparison, effects_of, functionals_of
from causal_s4.errors import ConvergenceError, Problem, UsageError
from causal_s4.inference.intervals import Interval, bootstrap_interval, jackknife_std_error, normal_limits
from causal_s4.inference.resampling import Replicates, Resampling, resample
from causal_s4.kernels.normal import two_sided
from causal_s4.kernels.replicate_weights import Failure
from causal_s4.protocol.methods import INTERVALS
from causal_s4.protocol.vocabulary import Arm, Measure
from causal_s4.results import EffectEstimate, Finding, Floats

COUNTS = ("multinomial", "bayesian")
_ONLY_BOOTSTRAP = ("replicates", "seed", "interval", "counts", "stratify")
_REASONS = {
    Failure.EMPTY_ARM: "an arm without patients",
    Failure.SEPARATED: "a model of the weights that is separated or did not settle",
    Failure.INFEASIBLE: "moments out of reach of entropy balancing",
    Failure.NO_EVENTS: "no hazard ratio, for want of events in an arm",
}


def plan_resampling(source: Cohort | RiskTable, variance: str, options: Mapping[str, Any]) -> Resampling:
    """Check the options of resampling and gather them.

    Parameters
    ----------
    source : Cohort or RiskTable
    variance : {"bootstrap", "jackknife"}
    options : mapping of str to object
        Fields of :class:`Resampling`; None where nothing was asked. ``cluster`` may name a covariate.

    Raises
    ------
    UsageError
        Naming every option that is wrong or would have no effect.
    """
    asked = {name: value for name, value in options.items() if value is not None}
    problems = []
    if variance == "jackknife":
        problems += [
            Problem(where=name, found="would have no effect with variance='jackknife'", todo="Leave it out")
            for name in _ONLY_BOOTSTRAP
            if name in asked
        ]
    for name, least in (("replicates", 2), ("jobs", 1), ("seed", 0)):
        value = asked.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            problems.append(Problem(where=name, found=repr(value), expected=f"a whole number of at least {least}"))
    for name, known in (("interval", INTERVALS), ("counts", COUNTS)):
        if asked.get(name, known[0]) not in known:
            problems.append(Problem(where=name, found=repr(asked[name]), expected=f"one of {', '.join(known)}"))
    if isinstance(asked.get("cluster"), str):
        column = asked["cluster"]
        frame = source.covariates
        if frame is None or column not in frame.columns:
            problems.append(
                Problem(where="cluster", found=f"no covariate {column!r}", todo="Pass labels, one a patient")
            )
        else:
            asked["cluster"] = frame[column].to_numpy()
    elif "cluster" in asked:
        asked["cluster"] = np.asarray(asked["cluster"])
    if problems:
        raise UsageError("the resampling asked for cannot be done", problems)
    return Resampling(method=variance, **asked)


def resampled_effects(
    comparison: Comparison, horizons: Sequence[float], plan: Resampling
) -> tuple[list[EffectEstimate], tuple[Finding, ...]]:
    """Return every effect of a comparison with resampled intervals, and what a reader has to know about them.

    Parameters
    ----------
    comparison : Comparison
    horizons : sequence of float
    plan : Resampling

    Returns
    -------
    estimates : list of EffectEstimate
        In the order of :func:`~causal_s4.comparison.effects_of`. P-values are those of the estimate over its
        resampled standard error.
    findings : tuple of Finding

    Raises
    ------
    ConvergenceError
        When fewer than two replicates gave an estimate.
    """
    estimates = effects_of(comparison, horizons)
    replicates = resample(
        comparison.table,
        comparison.weights,
        horizons=np.asarray(horizons, dtype=float),
        ties=comparison.ties,
        plan=plan,
        start=float(np.log(estimates[0].value or 1.0)),
    )
    findings = _failures(comparison, replicates, plan)
    influences = _influences(comparison, horizons, plan)
    resampled = []
    for place, each in enumerate(estimates):
        horizon = -1 if each.horizon is None else list(horizons).index(each.horizon)
        theta = replicates.theta(Measure(each.measure), None if each.arm is None else Arm(each.arm), horizon)
        phi = influences[:, place] if place < influences.shape[1] else None
        resampled.append(_with_interval(comparison, each, theta, plan, phi))
    return resampled, findings


def _influences(comparison: Comparison, horizons: Sequence[float], plan: Resampling) -> Floats:
    """Influence of each resampled unit on each estimate, for the acceleration of the BCa interval."""
    if plan.method != "bootstrap" or plan.interval != "bca":
        return np.empty((0, 0))
    found, _ = functionals_of(comparison, horizons)
    phi = comparison.phi(np.column_stack([each.gradient for each in found]))
    if plan.cluster is None:
        return phi
    group = np.unique(plan.cluster, return_inverse=True)[1]
    total = np.zeros((int(group.max()) + 1, phi.shape[1]))
    np.add.at(total, group, phi)
    return total


def _with_interval(
    comparison: Comparison, each: EffectEstimate, replicates: Floats, plan: Resampling, phi: Floats | None
) -> EffectEstimate:
    valid = replicates[~np.isnan(replicates)]
    scale = _scale(each)
    value = np.inf if each.value is None else each.value
    theta = float(np.log(value)) if scale == "log" else float(value)
    if plan.method == "bootstrap":
        found = bootstrap_interval(theta, valid, kind=plan.interval, level=each.level, scale=scale, phi=phi)
    elif each.measure == Measure.MEDIAN_SURVIVAL:
        return each  # leaving out one patient at a time says nothing about a quantile; influence does
    else:
        std_error = jackknife_std_error(valid)
        lower, upper = normal_limits(theta, std_error, each.level, scale)
        found = Interval(std_error=std_error, lower=lower, upper=upper)
    p_value = None
    if each.p_value is not None and found.std_error > 0:
        p_value = two_sided(theta / found.std_error)
    return replace(
        each,
        std_error=_number(found.std_error),
        lower=_number(np.exp(found.lower) if scale == "log" else found.lower),
        upper=_number(np.exp(found.upper) if scale == "log" else found.upper),
        p_value=p_value,
        variance=_in_words(comparison, plan, len(valid), len(replicates)),
    )


def _scale(each: EffectEstimate) -> str:
    if each.measure.endswith("ratio"):
        return "log"
    return "cloglog" if each.unit == "probability" and each.arm is not None else "plain"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _in_words(comparison: Comparison, plan: Resampling, valid: int, total: int) -> str:
    number = f"{total}" if valid == total else f"{valid} of {total}"
    if plan.method == "jackknife":
        words = "jackknife" if valid == total else f"jackknife ({number} replicates)"
    else:
        name = "bootstrap" if plan.counts == "multinomial" else "Bayesian bootstrap"
        how = [f"{number} replicates", plan.interval, *(["within arms"] if plan.stratify else [])]
        how += ["whole groups"] if plan.cluster is not None else []
        words = f"{name} ({', '.join(how)})"
    if comparison.weights is not None and not comparison.weights.estimated and comparison.weights.spec is None:
        words += ", given weights: their estimation is not accounted for"
    return words


def _failures(comparison: Comparison, replicates: Replicates, plan: Resampling) -> tuple[Finding, ...]:
    """Count the replicates without an estimate, by reason."""
    total = len(replicates.failure)
    counts = {reason: int((replicates.failure == reason).sum()) for reason in _REASONS}
    failed = sum(counts.values())
    of_whom = f"{comparison.table.outcome}, {comparison.analysis} ({comparison.population})"
    told = "; ".join(f"{count} {_REASONS[reason]}" for reason, count in counts.items() if count)
    usable = total - failed + counts[Failure.NO_EVENTS]
    if usable < 2:
        raise ConvergenceError(
            f"{of_whom}: {usable} of {total} {plan.method} replicates gave an estimate ({told}). "
            "Ask for fewer terms, join rare levels, or use variance='influence'"
        )
    if not failed:
        return ()
    share = failed / total
    return (
        Finding(
            code="failed-replicates",
            severity="note" if share < 0.01 else "caution" if share < 0.05 else "serious",
            step="effects",
            message=(
                f"{of_whom}: {failed} of {total} {plan.method} replicates gave no estimate: {told}. Intervals rest on "
                "the others and may be too short."
            ),
            numbers={"failed": failed, "replicates": total, **{_CODES[k]: v for k, v in counts.items() if v}},
        ),
    )


_CODES = {
    Failure.EMPTY_ARM: "empty_arm",
    Failure.SEPARATED: "separated",
    Failure.INFEASIBLE: "infeasible",
    Failure.NO_EVENTS: "no_events",
}
