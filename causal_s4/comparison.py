"""Where the effect meets its interval: curves, effects and tests of a risk table, naive or weighted.

The survival room says what is estimated and how it moves with each row's weight; the inference room turns
that into an interval. This module joins them and attaches names and units.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from causal_s4.cohort import Cohort, RiskTable
from causal_s4.errors import ConvergenceError
from causal_s4.inference.influence import curve_variance, influence, row_weights, standard_errors
from causal_s4.kernels.balance import effective_sample_size
from causal_s4.kernels.normal import critical_value, two_sided
from causal_s4.kernels.risk_sets import merge_close
from causal_s4.propensity.models import covariate_matrix
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.sections import Propensity
from causal_s4.protocol.vocabulary import CONDITIONAL, Analysis, Arm, Measure, TimeUnit
from causal_s4.results import (
    EffectEstimate,
    Finding,
    Floats,
    HazardsCheck,
    Ints,
    RegressionTable,
    ScoreTest,
    SurvivalCurve,
    Weights,
    read_only,
)
from causal_s4.survival.functionals import (
    ARMS,
    ArmCurve,
    Functional,
    arm_functionals,
    competing_functionals,
    fit_arms,
    hazard_ratio,
    require_events,
    require_follow_up,
    score_gradient,
)
from causal_s4.survival.regression import hazard_ratio_trend, multivariable_cox, period_hazard_ratio

_RISK_ROWS = 8  # at most as many intervals of the at-risk table


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A risk table with weights, and how estimates from it are named.

    Parameters
    ----------
    table : RiskTable
    weights : Weights or None
        None is the naive comparison.
    analysis, population : str
        Labels of every estimate.
    account : bool
        Whether intervals account for the estimation of the weights.
    level : float
        Of the intervals.
    ties : {"efron", "breslow"}
    """

    table: RiskTable
    weights: Weights | None
    analysis: str
    population: str
    account: bool = True
    level: float = 0.95
    ties: str = "efron"

    @property
    def weight(self) -> Floats:
        """One weight a row."""
        return row_weights(self.table, self.weights)

    @property
    def variance(self) -> str:
        """How the intervals are made, in words."""
        if self.weights is not None and not self.weights.estimated:
            return "influence, given weights: their estimation is not accounted for"
        if not self.account and self.weights is not None:
            return "influence, weights taken as known"
        return "influence"

    def phi(self, gradient: Floats) -> Floats:
        """Each patient's influence."""
        return influence(self.table, self.weights, gradient, account=self.account)

    def counts(self, arm: Arm | None) -> tuple[int, int, float]:
        """Patients, patients with the event, and effective sample size, of one arm or both."""
        return self._counts[arm]

    @cached_property
    def _counts(self) -> dict[Arm | None, tuple[int, int, float]]:
        return {arm: self._count(arm) for arm in (None, *Arm)}

    def _count(self, arm: Arm | None) -> tuple[int, int, float]:
        weight = self.weight
        arms = [(self.table.arm == code) & (weight > 0) for each, code in ARMS if arm is None or each == arm]
        # a patient may have rows in both arms: she is one patient, and one event
        rows = np.logical_or.reduce(arms)
        n = _distinct(self.table.patient[rows], self.table.n_patients)
        events = _distinct(self.table.patient[rows & (self.table.event == 1)], self.table.n_patients)
        return n, events, float(sum(self._ess(each, weight) for each in arms))

    def _ess(self, rows: np.ndarray, weight: Floats) -> float:
        if self.weights is not None and self.weights.by_row:
            # weights change over follow-up: those at entry would all be one, so take the latest row of each patient
            latest = np.full(self.table.n_patients, -np.inf)
            np.maximum.at(latest, self.table.patient[rows], self.table.stop[rows])
            final = rows & (self.table.stop >= latest[self.table.patient])
            return effective_sample_size(weight[final])
        first = np.zeros(self.table.n_patients)
        first[self.table.patient[rows]] = weight[rows]
        return effective_sample_size(first)


def _distinct(patients: Ints, n: int) -> int:
    """Count the different patients among some, numbered 0 to n - 1."""
    seen = np.zeros(n, dtype=bool)
    seen[patients] = True
    return int(seen.sum())


# --- curves -------------------------------------------------------------------------------------


def estimate_curves(comparison: Comparison, risk_times: Sequence[float] | None = None) -> dict[str, SurvivalCurve]:
    """Return both arms' curves with pointwise complementary log-log bands."""
    table = comparison.table
    fits = fit_arms(table, comparison.weight)
    last = max(curve.last_time for curve in fits.values())
    times = _risk_times(last, table.time_unit) if risk_times is None else np.asarray(risk_times, dtype=float)
    return {str(arm): _curve(comparison, curve, times) for arm, curve in fits.items()}


def _risk_times(last: float, unit: TimeUnit) -> Floats:
    """Return the times of the at-risk table: whole months or years, so that a reader can name them."""
    month = TimeUnit.MONTHS.in_days / unit.in_days
    step = next(
        (m * month for m in (1, 2, 3, 6, 12, 24, 36, 60, 120) if last < _RISK_ROWS * m * month), last / _RISK_ROWS
    )
    if last < 2 * step:  # too short to be told in months
        step = last / _RISK_ROWS
    return np.asarray(np.arange(int(np.ceil(last / step))) * step)


def _curve(comparison: Comparison, curve: ArmCurve, risk_times: Floats) -> SurvivalCurve:
    fit = curve.fit
    std_error = np.concatenate([[0.0], np.sqrt(_curve_variance(comparison, curve))])
    survival = np.concatenate([[1.0], fit.survival])
    z = critical_value(comparison.level)
    lower, upper = _cloglog(survival, std_error, z)
    weight = comparison.weight[curve.rows]
    at_risk, ess = [], []
    patient = comparison.table.patient[curve.rows]
    for time in risk_times:
        # just before the time: a patient whose follow-up ends at that time is still counted
        present = (curve.start < time) & (curve.stop >= time) if time > 0 else curve.start <= 0
        at_risk.append(_distinct(patient[present], comparison.table.n_patients))
        ess.append(effective_sample_size(weight[present]))
    return SurvivalCurve(
        outcome=comparison.table.outcome,
        analysis=comparison.analysis,
        population=comparison.population,
        arm=str(curve.arm),
        unit=str(comparison.table.time_unit),
        level=comparison.level,
        times=read_only(np.concatenate([[0.0], fit.sets.times])),
        survival=read_only(survival),
        std_error=read_only(std_error),
        lower=read_only(lower),
        upper=read_only(upper),
        risk_times=read_only(risk_times.copy()),
        at_risk=read_only(np.array(at_risk, dtype=np.int64)),
        ess_at_risk=read_only(np.array(ess)),
    )


def _curve_variance(comparison: Comparison, curve: ArmCurve) -> Floats:
    table, fit = comparison.table, curve.fit
    alive = fit.at_risk - fit.deaths
    used = (alive > 1e-12 * fit.at_risk) & (fit.deaths > 0)
    dead = np.zeros(curve.rows.size, dtype=bool)
    dead[fit.sets.dead] = True
    return curve_variance(
        table,
        comparison.weights,
        curve.rows,
        (fit.sets.first, fit.sets.last),
        np.divide(1.0, alive, out=np.zeros_like(alive), where=used),
        np.divide(fit.deaths, fit.at_risk, out=np.zeros_like(alive), where=fit.deaths > 0),
        fit.survival,
        dead,
        account=comparison.account,
    )


def _cloglog(survival: Floats, std_error: Floats, z: float) -> tuple[Floats, Floats]:
    """Complementary log-log limits; NaN where S is 0 or where a standard error of zero says nothing."""
    inside = (survival > 0) & (survival < 1)
    s = np.where(inside, survival, 0.5)
    spread = z * std_error / np.abs(s * np.log(s))
    lower = np.where(inside, s ** np.exp(spread), np.nan)
    upper = np.where(inside, s ** np.exp(-spread), np.nan)
    start = survival == 1
    return np.where(start, 1.0, lower), np.where(start, 1.0, upper)


# --- effects ------------------------------------------------------------------------------------


def effects_of(comparison: Comparison, horizons: Sequence[float]) -> list[EffectEstimate]:
    """Return every effect of a comparison: hazard ratio first, then by horizon, then medians."""
    found, fits = functionals_of(comparison, horizons)
    phi = comparison.phi(np.column_stack([each.gradient for each in found]))
    estimates = [_estimate(comparison, each, float(se)) for each, se in zip(found, standard_errors(phi), strict=True)]
    return [*estimates, *_medians(comparison, fits)]


def functionals_of(comparison: Comparison, horizons: Sequence[float]) -> tuple[list[Functional], dict[Arm, ArmCurve]]:
    """Return every effect of a comparison but the medians, each with its derivative, and the arms' curves.

    Raises
    ------
    NoEventsError, BeyondFollowUpError, ConvergenceError
        When the data cannot give an effect.
    """
    table, weight = comparison.table, comparison.weight
    require_events(table, weight)
    competing = bool((table.event == 2).any())
    fits = fit_arms(table, weight, any_event=competing)
    require_follow_up(fits, horizons, table.outcome, str(table.time_unit))
    found = [hazard_ratio(table, weight, ties=comparison.ties)]
    # with competing events the curve is that of being free of every event; risk is the cumulative incidence
    found += arm_functionals(fits, horizons, len(table))
    if competing:
        found += competing_functionals(table, weight, horizons)
    return found, fits


def _estimate(comparison: Comparison, each: Functional, std_error: float) -> EffectEstimate:
    z = critical_value(comparison.level)
    low, high = each.theta - z * std_error, each.theta + z * std_error
    value, lower, upper, p_value = each.theta, _number(low), _number(high), None
    if each.scale == "log":
        value, lower, upper = float(np.exp(each.theta)), float(np.exp(low)), float(np.exp(high))
    elif each.scale == "cloglog":
        limits = _cloglog(np.array([each.theta]), np.array([std_error]), z)
        lower, upper = _number(float(limits[0][0])), _number(float(limits[1][0]))
    if each.arm is None:
        p_value = two_sided(each.theta / std_error) if std_error > 0 else None
    n, events, ess = comparison.counts(each.arm)
    return EffectEstimate(
        outcome=comparison.table.outcome,
        analysis=comparison.analysis,
        population=comparison.population,
        measure=str(each.measure),
        arm=None if each.arm is None else str(each.arm),
        horizon=each.horizon,
        unit=unit_of(each.measure, str(comparison.table.time_unit)),
        value=value,
        std_error=std_error,
        lower=lower,
        upper=upper,
        level=comparison.level,
        variance=comparison.variance,
        p_value=p_value,
        n=n,
        events=events,
        ess=ess,
    )


def unit_of(measure: Measure, time_unit: str) -> str:
    """Return the unit of a measure: a ratio, a probability, or the data's time unit."""
    if measure.endswith("ratio"):
        return "ratio"
    if measure.startswith(("survival", "cumulative incidence")):
        return "probability"
    return time_unit


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _medians(comparison: Comparison, fits: dict[Arm, ArmCurve]) -> Iterable[EffectEstimate]:
    """Median survival by arm; its interval holds the times whose interval of S(t) contains one half."""
    for arm, curve in fits.items():
        fit = curve.fit
        band = _cloglog(fit.survival, np.sqrt(_curve_variance(comparison, curve)), critical_value(comparison.level))
        n, events, ess = comparison.counts(arm)
        yield EffectEstimate(
            outcome=comparison.table.outcome,
            analysis=comparison.analysis,
            population=comparison.population,
            measure=str(Measure.MEDIAN_SURVIVAL),
            arm=str(arm),
            horizon=None,
            unit=str(comparison.table.time_unit),
            value=_number(fit.median()),
            std_error=None,
            lower=_first_below_half(fit.sets.times, band[0]),
            upper=_first_below_half(fit.sets.times, band[1]),
            level=comparison.level,
            variance=comparison.variance,
            p_value=None,
            n=n,
            events=events,
            ess=ess,
        )


def _first_below_half(times: Floats, limit: Floats) -> float | None:
    below = np.flatnonzero(np.nan_to_num(limit, nan=0.0) <= 0.5)
    return float(times[below[0]]) if below.size else None


def conditional_model(
    cohort: Cohort, table: RiskTable, protocol: Protocol, *, clustered: bool = False
) -> tuple[RegressionTable | None, tuple[Finding, ...]]:
    """Fit the Cox model of treatment and covariates that a protocol's comparison is held against.

    Parameters
    ----------
    cohort : Cohort
        Whose covariates are conditioned on; without any there is no model.
    table : RiskTable
        Of the same patients.
    protocol : Protocol
        Covariates enter as in its propensity score.
    clustered : bool
        Whether a patient may have several rows.

    Returns
    -------
    RegressionTable or None
    tuple of Finding
        Why there is none, when the fit does not settle.
    """
    if not len(cohort.covariates.columns):
        return None, ()
    terms = protocol.propensity or Propensity()
    matrix = covariate_matrix(cohort, splines=terms.splines, log1p=terms.log1p, interactions=terms.interactions)
    try:
        fitted = multivariable_cox(
            table,
            matrix.matrix,
            matrix.terms,
            ties=protocol.inference.ties,
            level=protocol.inference.level,
            treatment=protocol.treatment.name,
            clustered=clustered,
        )
    except ConvergenceError as error:
        return None, (
            Finding(code="no-multivariable-model", severity="caution", step="effects", message=error.message),
        )
    return fitted, ()


def conditional_estimate(
    table: RegressionTable, level: float, *, analysis: str = Analysis.MULTIVARIABLE, variance: str = "model-based"
) -> EffectEstimate:
    """Return the treatment's row of a multivariable model as an estimate of its own kind."""
    row = table.rows[0]
    return EffectEstimate(
        outcome=table.outcome,
        analysis=analysis,
        population=CONDITIONAL,
        measure=str(Measure.HAZARD_RATIO),
        arm=None,
        horizon=None,
        unit="ratio",
        value=row.hazard_ratio,
        std_error=row.std_error,
        lower=row.lower,
        upper=row.upper,
        level=level,
        variance=variance,
        p_value=row.p_value,
        n=table.n,
        events=table.events,
        ess=float(table.n),
    )


# --- tests --------------------------------------------------------------------------------------


def score_test(comparison: Comparison) -> ScoreTest:
    """Return the score test of no effect under the weights, with its influence-function variance.

    It takes the place of a weighted log-rank test, which treats weights as copies of patients.
    """
    score, gradient = score_gradient(comparison.table, comparison.weight, ties=comparison.ties)
    std_error = float(standard_errors(comparison.phi(gradient)))
    z = score / std_error if std_error > 0 else float("nan")  # zero when all have the event at once
    return ScoreTest(
        outcome=comparison.table.outcome,
        analysis=comparison.analysis,
        population=comparison.population,
        test="score test of no effect, influence-function variance",
        z=z,
        p_value=two_sided(z),
    )


def hazards_check(comparison: Comparison, cuts: Sequence[float] = ()) -> HazardsCheck:
    """Return the trend of the log hazard ratio in log time, and hazard ratios by period of follow-up."""
    table, weight = comparison.table, comparison.weight
    slope, gradient = hazard_ratio_trend(table, weight)
    std_error = float(standard_errors(comparison.phi(gradient)))
    z = critical_value(comparison.level)
    periods: list[Any] = []
    edges = [0.0, *cuts, float(table.stop.max())]
    for begin, end in pairwise(edges):
        part = period_hazard_ratio(table, weight, begin, end, ties=comparison.ties) if begin < end else None
        if part is not None:
            theta, se = part[0], float(standard_errors(comparison.phi(part[1])))
            periods.append((begin, end, *np.exp([theta, theta - z * se, theta + z * se]).tolist()))
    return HazardsCheck(
        outcome=table.outcome,
        analysis=comparison.analysis,
        population=comparison.population,
        slope=slope,
        std_error=std_error,
        p_value=two_sided(slope / std_error) if std_error > 0 else float("nan"),
        periods=tuple(periods),
    )


def median_follow_up(time: Floats, event: Ints) -> float | None:
    """Return the median follow-up by the reverse Kaplan-Meier method; None if not reached."""
    from causal_s4.kernels.kaplan_meier import KaplanMeier
    from causal_s4.kernels.risk_sets import RiskSets

    sets = RiskSets.of(None, merge_close(time), event == 0)
    return _number(KaplanMeier.fit(sets, np.ones(len(time))).median())
