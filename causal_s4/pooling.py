"""From several completed data sets to one answer: Rubin's rules, each estimate on the scale of its interval.

Ratios are pooled as logarithms, survival and cumulative incidence on the complementary log-log scale (Morisot
et al. 2015, 10.1186/s12874-015-0048-4), differences and means as they are. Degrees of freedom: Barnard & Rubin
1999, 10.1093/biomet/86.4.948. Propensity scores are never averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from causal_s4.estimation import Answer
from causal_s4.fixed_arms import Weighted
from causal_s4.kernels.rubin import rubin
from causal_s4.protocol.vocabulary import CONDITIONAL, UNADJUSTED, Measure
from causal_s4.results import (
    BalanceRow,
    BalanceTable,
    EffectEstimate,
    Finding,
    Floats,
    HazardsCheck,
    RegressionTable,
    ScoreTest,
    SurvivalCurve,
    WeightSummary,
    read_only,
)

_NO_ESTIMAND = (UNADJUSTED, CONDITIONAL)
_CURVED = (Measure.SURVIVAL, Measure.CUMULATIVE_INCIDENCE)


# --- effects ------------------------------------------------------------------------------------


def pool_effects(sets: Sequence[Sequence[EffectEstimate]]) -> tuple[EffectEstimate, ...]:
    """Pool the estimates that every completed data set has, in the order of the first.

    Parameters
    ----------
    sets : sequence of sequence of EffectEstimate
        One a completed data set.

    Returns
    -------
    tuple of EffectEstimate
        Medians by arm are the mean of the data sets' medians, with no interval: read theirs off the curve.
    """
    by_name = [{_name(each): each for each in estimates} for estimates in sets]
    return tuple(
        _pool_effect([names[_name(first)] for names in by_name])
        for first in sets[0]
        if all(_name(first) in names for names in by_name)
    )


def _name(estimate: EffectEstimate) -> tuple[str | float | None, ...]:
    return (
        estimate.outcome,
        estimate.analysis,
        estimate.population,
        estimate.measure,
        estimate.arm,
        estimate.horizon,
    )


def _pool_effect(several: Sequence[EffectEstimate]) -> EffectEstimate:
    first = several[0]
    values = np.array([np.nan if each.value is None else each.value for each in several])
    errors = np.array([np.nan if each.std_error is None else each.std_error for each in several])
    variance = f"{first.variance}, pooled over {len(several)} imputations"
    common: dict[str, Any] = {"variance": variance, "ess": float(np.mean([each.ess for each in several]))}
    if not np.isfinite(errors).all() or not np.isfinite(values).all():
        known = bool(np.isfinite(values).all())
        return replace(first, value=float(values.mean()) if known else None, lower=None, upper=None, **common)
    inside = bool(((values > 0) & (values < 1)).all())
    if first.measure in _CURVED and inside:
        theta, spread = np.log(-np.log(values)), errors / np.abs(values * np.log(values))
        pooled = rubin(theta, spread**2, first.n - 2)
        reach = pooled.reach(first.level)
        value, one, other = np.exp(-np.exp(pooled.theta + np.array([0.0, reach, -reach]))).tolist()
        std_error = pooled.std_error * abs(value * np.log(value))
        return replace(first, value=value, std_error=std_error, lower=one, upper=other, **common)
    logarithm = first.measure.endswith("ratio")
    pooled = rubin(np.log(values) if logarithm else values, errors**2, first.n - 2)
    reach = pooled.reach(first.level)
    limits = pooled.theta + np.array([0.0, -reach, reach])
    value, lower, upper = (np.exp(limits) if logarithm else limits).tolist()
    return replace(
        first,
        value=value,
        std_error=pooled.std_error,
        lower=lower,
        upper=upper,
        p_value=None if first.arm is not None else pooled.p_value,
        **common,
    )


# --- curves, tests, models ----------------------------------------------------------------------


def pool_curve(several: Sequence[SurvivalCurve]) -> SurvivalCurve:
    """Pool one arm's curves pointwise on the complementary log-log scale, at every time any of them has."""
    first = several[0]
    times = np.unique(np.concatenate([each.times for each in several]))
    at = [np.searchsorted(each.times, times, side="right") - 1 for each in several]
    survival = np.array([each.survival[place] for each, place in zip(several, at, strict=True)])
    errors = np.array([each.std_error[place] for each, place in zip(several, at, strict=True)])
    pooled, std_error = survival.mean(axis=0), np.sqrt((errors**2).mean(axis=0))
    lower, upper = np.full(times.size, np.nan), np.full(times.size, np.nan)
    lower[pooled == 1], upper[pooled == 1] = 1.0, 1.0
    patients = float(sum(each.at_risk[0] for each in several) / len(several)) if first.at_risk.size else 1e6
    for k in np.flatnonzero(((survival > 0) & (survival < 1) & np.isfinite(errors)).all(axis=0)):
        s = survival[:, k]
        each = rubin(np.log(-np.log(s)), (errors[:, k] / (s * np.log(s))) ** 2, max(patients - 2, 1))
        reach = each.reach(first.level)
        pooled[k], lower[k], upper[k] = np.exp(-np.exp(each.theta + np.array([0.0, reach, -reach])))
        std_error[k] = each.std_error * abs(pooled[k] * np.log(pooled[k]))
    return replace(
        first,
        times=read_only(times),
        survival=read_only(np.minimum.accumulate(pooled)),
        std_error=read_only(std_error),
        lower=read_only(lower),
        upper=read_only(upper),
        at_risk=read_only(np.mean([each.at_risk for each in several], axis=0).round().astype(np.int64)),
        ess_at_risk=read_only(np.mean([each.ess_at_risk for each in several], axis=0)),
    )


def pool_test(several: Sequence[ScoreTest], patients: float) -> ScoreTest:
    """Pool standard normal statistics: their mean, over the spread that imputation adds."""
    z = [each.z for each in several]
    pooled = rubin(z, np.ones(len(z)), patients)
    p_value = pooled.p_value
    return replace(
        several[0], z=pooled.theta / pooled.std_error, p_value=several[0].p_value if p_value is None else p_value
    )


def pool_hazards(several: Sequence[HazardsCheck], level: float, patients: float) -> HazardsCheck:
    """Pool the trend of the log hazard ratio, and the hazard ratios of the periods that all data sets have."""
    slope = rubin([each.slope for each in several], [each.std_error**2 for each in several], patients)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    by_stretch = [{period[:2]: period[2:] for period in each.periods} for each in several]
    periods = []
    for stretch in by_stretch[0]:
        if not all(stretch in each for each in by_stretch):
            continue
        found = np.log([each[stretch] for each in by_stretch])
        pooled = rubin(found[:, 0], ((found[:, 2] - found[:, 1]) / (2 * z)) ** 2, patients)
        reach = pooled.reach(level)
        limits = np.exp(pooled.theta + np.array([0.0, -reach, reach])).tolist()
        periods.append((stretch[0], stretch[1], limits[0], limits[1], limits[2]))
    p_value = slope.p_value
    return replace(
        several[0],
        slope=slope.theta,
        std_error=slope.std_error,
        p_value=float("nan") if p_value is None else p_value,
        periods=tuple(periods),
    )


def pool_regression(several: Sequence[RegressionTable | None], level: float) -> RegressionTable | None:
    """Pool the conditional model row by row; None when a data set has none."""
    tables = [each for each in several if each is not None]
    if len(tables) < len(several):
        return None
    first, rows = tables[0], []
    for place, row in enumerate(first.rows):
        same = [table.rows[place] for table in tables]
        pooled = rubin(
            np.log([each.hazard_ratio for each in same]),
            [each.std_error**2 for each in same],
            first.n - len(first.rows),
        )
        reach, p_value = pooled.reach(level), pooled.p_value
        value, lower, upper = np.exp(pooled.theta + np.array([0.0, -reach, reach])).tolist()
        rows.append(
            replace(
                row,
                hazard_ratio=value,
                std_error=pooled.std_error,
                lower=lower,
                upper=upper,
                p_value=row.p_value if p_value is None else p_value,
            )
        )
    return replace(first, rows=tuple(rows))


# --- everything of one outcome, and of one set of weights ----------------------------------------


def pool_answers(several: Sequence[Answer], level: float) -> Answer:
    """Pool all that was estimated of one outcome in each completed data set.

    Parameters
    ----------
    several : sequence of Answer
        One a completed data set; a single one is returned as it is.
    level : float
        Of intervals.

    Returns
    -------
    Answer
        With a finding that says what share of the information on the hazard ratio is missing.
    """
    first = several[0]
    if len(several) == 1:
        return first
    patients = float(first.estimates[0].n - 2)
    curves = tuple(pool_curve(same) for same in zip(*(each.curves for each in several), strict=True))
    estimates = pool_effects([each.estimates for each in several])
    regression = pool_regression([each.regression for each in several], level)
    return replace(
        first,
        curves=curves,
        estimates=tuple(_median_of(each, curves) for each in estimates),
        tests=tuple(pool_test(same, patients) for same in zip(*(each.tests for each in several), strict=True)),
        hazards=tuple(
            pool_hazards(same, level, patients) for same in zip(*(each.hazards for each in several), strict=True)
        ),
        regression=regression,
        findings=(*first.findings, _missing_information(several), *_not_in_all(first, estimates)),
    )


def _median_of(estimate: EffectEstimate, curves: Sequence[SurvivalCurve]) -> EffectEstimate:
    """Read a median and its interval off the pooled curve where there is one."""
    if estimate.measure != Measure.MEDIAN_SURVIVAL:
        return estimate
    wanted = (estimate.outcome, estimate.analysis, estimate.population, estimate.arm)
    for curve in curves:
        if (curve.outcome, curve.analysis, curve.population, curve.arm) == wanted:
            value, lower, upper = (_first_at_half(curve.times, of) for of in (curve.survival, curve.lower, curve.upper))
            return replace(estimate, value=value, lower=lower, upper=upper)
    return estimate


def _first_at_half(times: Floats, survival: Floats) -> float | None:
    below = np.flatnonzero(np.nan_to_num(survival, nan=1.0) <= 0.5 + 1e-8)
    return float(times[below[0]]) if below.size else None


def _missing_information(several: Sequence[Answer]) -> Finding:
    weighted = [
        next(e for e in each.estimates if e.measure == Measure.HAZARD_RATIO and e.population not in _NO_ESTIMAND)
        for each in several
    ]
    theta = np.log([_known(each.value) for each in weighted])
    pooled = rubin(theta, [_known(each.std_error) ** 2 for each in weighted], weighted[0].n - 2)
    share = pooled.missing_information
    return Finding(
        code="multiple-imputation",
        severity="note",
        step="effects",
        message=(
            f"{weighted[0].outcome}: estimates are pooled over {len(several)} imputations of missing covariates; "
            f"{100 * share:.0f}% of the variance of the weighted log hazard ratio is due to what is missing. Values are "
            "taken to be missing at random given the covariates, treatment and outcomes."
        ),
        numbers={
            "imputations": len(several),
            "missing_information": share,
            "degrees_of_freedom": _finite(pooled.freedom),
        },
    )


def _not_in_all(first: Answer, pooled: Sequence[EffectEstimate]) -> tuple[Finding, ...]:
    kept = {_name(each) for each in pooled}
    lost = [each for each in first.estimates if _name(each) not in kept]
    if not lost:
        return ()
    names = sorted({f"{each.measure} ({each.analysis}, {each.population})" for each in lost})
    return (
        Finding(
            code="not-in-every-imputation",
            severity="caution",
            step="effects",
            message=(
                f"{lost[0].outcome}: {', '.join(names)} could not be had in every imputation and is left out of the pooled "
                "estimates."
            ),
            numbers={"left_out": len(lost)},
        ),
    )


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def pool_weighted(several: Sequence[Sequence[Weighted]]) -> tuple[Weighted, ...]:
    """Describe the weights of all completed data sets; the weights themselves stay those of the first.

    Parameters
    ----------
    several : sequence of sequence of Weighted
        For each completed data set, its weights by population.
    """
    if len(several) == 1:
        return tuple(several[0])
    return tuple(
        replace(
            same[0],
            summary=average_weights([each.summary for each in same]),
            balance=average_balance([each.balance for each in same]),
        )
        for same in zip(*several, strict=True)
    )


# --- descriptions -------------------------------------------------------------------------------


def average_balance(several: Sequence[BalanceTable]) -> BalanceTable:
    """Average the balance of completed data sets, number by number; levels that one lacks are left out."""
    by_term = [{row.term: row for row in each.rows} for each in several]
    rows = [
        _average_row([terms[row.term] for terms in by_term])
        for row in several[0].rows
        if all(row.term in terms for terms in by_term)
    ]
    return replace(
        several[0],
        rows=tuple(rows),
        ess_treated=float(np.mean([each.ess_treated for each in several])),
        ess_control=float(np.mean([each.ess_control for each in several])),
    )


def _average_row(same: Sequence[BalanceRow]) -> BalanceRow:
    numbers: dict[str, Any] = {}
    for name in BalanceRow.__dataclass_fields__:
        values = [getattr(row, name) for row in same]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            mean = float(np.mean(values))
            numbers[name] = round(mean) if name.startswith("count") else mean
    return replace(same[0], **numbers)


def average_weights(several: Sequence[WeightSummary]) -> WeightSummary:
    """Describe the weights of the first data set with sizes averaged and the largest weight of all."""
    mean: dict[str, Any] = {
        name: float(np.mean([getattr(each, name) for each in several]))
        for name in (
            "ess_treated",
            "ess_control",
            "mean_treated",
            "mean_control",
            "top_share_treated",
            "top_share_control",
        )
    }
    return replace(several[0], max=max(each.max for each in several), **mean)
