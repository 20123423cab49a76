"""What if patients with the same covariates were not equally likely to be treated? Tan's marginal sensitivity model.

The odds of treatment given covariates and everything unmeasured lie within a factor
1/odds_factor .. odds_factor of the odds given the covariates alone. Models of survival in each arm,
fitted elsewhere, then give sharp bounds of survival, of restricted mean survival time and of their
differences. Wider ones, from weights alone, are in :mod:`causal_s4.sensitivity.weight_bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from causal_s4.results import Finding, Floats, Ints, SensitivityResult
from causal_s4.sensitivity.checks import Checker

_POPULATIONS = ("ATE", "ATT", "ATC")
_MEASURES = ("survival difference", "rmst difference")
_ASSUMPTIONS = (
    "the odds of treatment given everything that matters differ from the modelled odds by at most the factor lambda",
    "censoring does not depend on what is unmeasured",
)
_SHARP = "the model of survival in each arm is right or, with the augmented outcome, nearly so"
_LARGEST = 100.0


def counterfactual_bounds(survival: Floats, odds_factor: float) -> tuple[Floats, Floats]:
    """Bound the survival that patients of the other arm would have had in this one.

    Parameters
    ----------
    survival : ndarray, any shape
        S(t | arm, X) among the patients of the arm.
    odds_factor : float
        At least 1.

    Returns
    -------
    tuple of ndarray
        Lower and upper bound, attained by one law at all times at once: its density ratio to the
        observed law is ``odds_factor`` on one side of a quantile and the inverse on the other, so
        that the bounds of an integral over time are the integrals of the bounds.

    Notes
    -----
    max(S/L, 1 - L(1 - S)) and min(LS, 1 - (1 - S)/L). Dorn, Guo & Kallus 2024,
    10.1080/01621459.2024.2335588.
    """
    death = 1 - survival
    lower = np.maximum(survival / odds_factor, 1 - odds_factor * death)
    upper = np.minimum(odds_factor * survival, 1 - death / odds_factor)
    return lower, upper


def arm_bounds(survival: Floats, share: Floats, odds_factor: float) -> tuple[Floats, Floats]:
    """Bound the survival of patients with given covariates, had all of them been in one arm.

    Parameters
    ----------
    survival : ndarray, shape (n,) or (n, k)
        S(t | arm, X).
    share : ndarray, shape (n,)
        Probability of the arm given covariates.
    odds_factor : float
        At least 1.

    Returns
    -------
    tuple of ndarray
        Lower and upper bound: what was observed for the share in the arm, the counterfactual bound
        for the others.

    Examples
    --------
    >>> low, high = arm_bounds(np.array([0.6]), np.array([0.5]), 2.0)
    >>> round(float(low[0]), 2), round(float(high[0]), 2)
    (0.45, 0.7)
    """
    share = share if survival.ndim == 1 else share[:, None]
    lower, upper = counterfactual_bounds(survival, odds_factor)
    return share * survival + (1 - share) * lower, share * survival + (1 - share) * upper


def augmented_outcome(
    *,
    time: Floats,
    event: Ints,
    times: Floats,
    survival: Floats,
    censoring_before: Floats,
) -> Floats:
    """Return a stand-in for surviving past each time that allows for censoring.

    Parameters
    ----------
    time, event : ndarray, shape (n,)
        Follow-up, and 1 for the event.
    times : ndarray, shape (k,)
        Ascending; holds every event time up to its last.
    survival : ndarray, shape (n, k)
        S(t | X) in the arm that the patient was in; above zero.
    censoring_before : ndarray, shape (n, k)
        Probability of not being censored before each time; above zero.

    Returns
    -------
    ndarray, shape (n, k)
        Has mean S(t | X) if the model of survival or that of censoring is right. Without censoring
        it is the indicator of surviving.

    Raises
    ------
    UsageError
        When shapes or values do not fit, or an event time is missing from ``times``.

    Notes
    -----
    Westling, Luedtke, Gilbert & Carone 2023, 10.1080/01621459.2023.2205060.
    """
    check = Checker("an outcome augmented for censoring")
    times = check.array("times", times, (None,), above=0)
    n, k = np.size(time), times.size
    time = check.array("time", time, (n,), above=0)
    died = check.array("event", event, (n,), at_least=0, at_most=1) == 1
    survival = check.array("survival", survival, (n, k), above=0, at_most=1)
    censoring_before = check.array("censoring_before", censoring_before, (n, k), above=0, at_most=1)
    _check_grid(check, times, time[died])
    check.raise_if_any()
    inverse = 1 / survival
    hazard = np.diff(inverse, axis=1, prepend=1.0) / censoring_before
    last = np.searchsorted(times, time, side="right") - 1
    followed = np.arange(k) <= last[:, None]
    compensator = np.cumsum(np.where(followed, hazard, 0.0), axis=1)
    row = np.arange(n)
    jump = np.where(died, inverse[row, last] / censoring_before[row, last], 0.0)
    # a death after the last of the times has not happened yet at any of them
    happened = died[:, None] & (time[:, None] <= times)
    return np.asarray(survival * (1 - jump[:, None] * happened + compensator), dtype=float)


def _check_grid(check: Checker, times: Floats, event_times: Floats) -> None:
    if times.ndim != 1 or not times.size:
        return
    if (np.diff(times) <= 0).any():
        check.refuse("times", "found times that do not ascend")
    absent = np.setdiff1d(event_times[event_times <= times[-1]], times)
    if absent.size:
        check.refuse(
            "times", f"{absent.size} event times are not among them", expected="every event time up to the last"
        )


@dataclass(frozen=True, kw_only=True)
class ArmModels:
    """What sharp bounds are computed from: one row a patient, fitted elsewhere.

    Parameters
    ----------
    times : ndarray, shape (k,)
        Ascending times, in one unit.
    treatment : ndarray of int, shape (n,)
        1 treated, 0 control.
    propensity : ndarray, shape (n,)
        Probability of treatment given covariates, strictly between 0 and 1.
    survival_treated, survival_control : ndarray, shape (n, k)
        S(t | arm, X) of each patient under either arm.
    outcome : ndarray, shape (n, k), optional
        From :func:`augmented_outcome`, with the model of the arm that each patient was in. With it
        the bounds are one-step estimates with intervals; without it plug-in values and no intervals.

    Raises
    ------
    UsageError
        Naming every shape or value that does not fit.
    """

    times: Floats
    treatment: Ints
    propensity: Floats
    survival_treated: Floats
    survival_control: Floats
    outcome: Floats | None = None

    def __post_init__(self) -> None:
        """Check shapes and ranges."""
        check = Checker("bounds of the marginal sensitivity model")
        times = check.array("times", self.times, (None,), above=0)
        _check_grid(check, times, np.empty(0))
        n, k = np.size(self.treatment), np.size(self.times)
        treatment = check.array("treatment", self.treatment, (n,), at_least=0, at_most=1)
        if not np.isin([0, 1], treatment).all():
            check.refuse("treatment", "found one arm only", expected="both 1 and 0")
        check.array("propensity", self.propensity, (n,), above=0, below=1)
        for name in ("survival_treated", "survival_control"):
            check.array(name, getattr(self, name), (n, k), at_least=0, at_most=1)
        if self.outcome is not None:
            check.array("outcome", self.outcome, (n, k))
        check.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class _Bound:
    """One bound: its value and, with an augmented outcome, its influence function."""

    value: Floats
    influence: Floats | None

    def minus(self, other: _Bound) -> _Bound:
        """Return the difference of two bounds."""
        if self.influence is None or other.influence is None:
            return _Bound(value=self.value - other.value, influence=None)
        return _Bound(value=self.value - other.value, influence=self.influence - other.influence)

    @property
    def std_error(self) -> Floats | None:
        """Standard error, from the influence function."""
        return None if self.influence is None else np.asarray(np.sqrt(np.sum(self.influence**2, axis=0)))


def _bound(models: ArmModels, arm: int, side: str, odds_factor: float, population: str, over_time: Floats) -> _Bound:
    """Return a bound of ``over_time``-weighted survival in one arm.

    ``over_time`` (k, m) turns survival at the times into what is asked: one column a quantity.
    """
    used = np.flatnonzero(over_time.any(axis=1))
    survival = (models.survival_treated if arm == 1 else models.survival_control)[:, used]
    share = models.propensity if arm == 1 else 1 - models.propensity
    bounds = counterfactual_bounds(survival, odds_factor)
    other = bounds[0] if side == "lower" else bounds[1]
    # whose survival in this arm is asked for: of those who were in it, of the others, or of both
    own, others = population != ("ATC" if arm == 1 else "ATT"), population != ("ATT" if arm == 1 else "ATC")
    if models.outcome is None:
        parts = own * share[:, None] * survival + others * (1 - share)[:, None] * other
        total = np.sum(own * share + others * (1 - share))
        return _Bound(value=parts.sum(axis=0) @ over_time[used] / total, influence=None)
    here, outcome = (models.treatment == arm)[:, None], models.outcome[:, used]
    extreme = _extreme_outcome(outcome, survival, odds_factor, side)
    correction = ((1 - share) / share)[:, None] * (extreme - other)
    scores = (own * here * outcome + others * np.where(here, correction, other)) @ over_time[used]
    reached = own * here + others * ~here
    value = scores.sum(axis=0) / reached.sum()
    return _Bound(value=value, influence=(scores - value * reached) / reached.sum())


def _extreme_outcome(outcome: Floats, survival: Floats, odds_factor: float, side: str) -> Floats:
    """Return the outcome reweighted by the extremal density ratio; linear, so that a stand-in for it serves."""
    if side == "upper":
        return np.where(survival > 1 / (1 + odds_factor), 1 - (1 - outcome) / odds_factor, odds_factor * outcome)
    threshold = odds_factor / (1 + odds_factor)
    return np.where(survival > threshold, 1 - odds_factor * (1 - outcome), outcome / odds_factor)


def _over_time(times: Floats, horizon: float, measure: str) -> Floats:
    """Return the weights on survival at each time that make the measure; the constant of RMST cancels."""
    if measure == "survival difference":
        return np.asarray((np.arange(times.size) == np.searchsorted(times, horizon, side="right") - 1)[:, None], float)
    ends = np.append(times[1:], np.inf)
    return np.asarray(np.clip(np.minimum(ends, horizon) - times, 0, None)[:, None])


def _difference(models: ArmModels, side: str, odds_factor: float, population: str, over_time: Floats) -> _Bound:
    opposite = "lower" if side == "upper" else "upper"
    treated = _bound(models, 1, side, odds_factor, population, over_time)
    return treated.minus(_bound(models, 0, opposite, odds_factor, population, over_time))


def marginal_sensitivity(
    models: ArmModels,
    *,
    horizon: float,
    measure: str = "survival difference",
    odds_factors: Sequence[float] = (1.0, 1.25, 1.5, 2.0, 3.0),
    population: str = "ATE",
    level: float = 0.95,
) -> tuple[SensitivityResult, ...]:
    """Return sharp bounds of a difference between the arms, one result for each odds factor.

    Parameters
    ----------
    models : ArmModels
        Survival and propensity of each patient.
    horizon : float
        In the unit of ``models.times``; between the first and the last of them.
    measure : {"survival difference", "rmst difference"}
        Treated minus control.
    odds_factors : sequence of float
        At least 1; 1 is no unmeasured confounding.
    population : {"ATE", "ATT", "ATC"}
        Whom the difference is about.
    level : float
        Of the interval around the bounds.

    Returns
    -------
    tuple of SensitivityResult
        ``value`` is the estimate without unmeasured confounding, ``lower`` and ``upper`` the bounds
        at ``parameters["lambda"]``, ``bound`` the limit of their interval nearer to no difference.
        ``table`` has one row with the bounds and the interval, which covers the whole of the bounds.

    Raises
    ------
    UsageError
        Naming every number that does not fit.

    Notes
    -----
    Tan 2006, 10.1198/016214506000000023; one-step estimates after Dorn, Guo & Kallus 2024,
    10.1080/01621459.2024.2335588. With lambda = 1 they are augmented inverse probability weighted.
    """
    check = Checker("bounds of the marginal sensitivity model")
    check.numbers("odds_factors", odds_factors, at_least=1)
    _check_question(check, models, horizon, measure, population, level)
    check.raise_if_any()
    over_time = _over_time(models.times, horizon, measure)
    value = float(_difference(models, "upper", 1.0, population, over_time).value[0])
    return tuple(
        _result(models, each, value, horizon=horizon, measure=measure, population=population, level=level)
        for each in odds_factors
    )


def _check_question(check: Checker, models: ArmModels, horizon: Any, measure: Any, population: Any, level: Any) -> None:
    check.choice("measure", measure, _MEASURES)
    check.choice("population", population, _POPULATIONS)
    check.number("level", level, above=0, below=1)
    check.number("horizon", horizon, at_least=float(models.times[0]), at_most=float(models.times[-1]))


def _result(
    models: ArmModels,
    odds_factor: float,
    value: float,
    *,
    horizon: float,
    measure: str,
    population: str,
    level: float,
) -> SensitivityResult:
    over_time = _over_time(models.times, horizon, measure)
    lower = _difference(models, "lower", odds_factor, population, over_time)
    upper = _difference(models, "upper", odds_factor, population, over_time)
    limits = _limits(lower, upper, level)
    row = {"lambda": float(odds_factor), "lower": float(lower.value[0]), "upper": float(upper.value[0]), **limits}
    return SensitivityResult(
        method="marginal sensitivity model",
        target={"measure": measure, "population": population, "horizon": horizon},
        parameters={"lambda": float(odds_factor), "bounds": "sharp", "level": level},
        value=value,
        lower=row["lower"],
        upper=row["upper"],
        bound=limits["interval_lower"] if value > 0 else limits["interval_upper"],
        unit="probability" if measure == "survival difference" else "unit of the times",
        direction=_direction(value),
        assumptions=(*_ASSUMPTIONS, _SHARP),
        table=(row,),
    )


def _limits(lower: _Bound, upper: _Bound, level: float) -> dict[str, float | None]:
    if lower.std_error is None or upper.std_error is None:
        return {"interval_lower": None, "interval_upper": None}
    z = NormalDist().inv_cdf((1 + level) / 2)
    return {
        "interval_lower": float(lower.value[0] - z * lower.std_error[0]),
        "interval_upper": float(upper.value[0] + z * upper.std_error[0]),
    }


def _direction(value: float) -> str:
    if value == 0:
        return "either way"
    outlook = "better" if value > 0 else "worse"
    return (
        f"among patients with the same covariates, those with the {outlook} outlook would have to be treated more often"
    )


def marginal_tipping(
    models: ArmModels,
    *,
    horizon: float,
    measure: str = "survival difference",
    population: str = "ATE",
    level: float = 0.95,
    largest: float = _LARGEST,
) -> SensitivityResult:
    """Return the odds factor at which the bounds of a difference reach zero.

    Parameters
    ----------
    models, horizon, measure, population, level
        As for :func:`marginal_sensitivity`.
    largest : float
        Where to stop looking.

    Returns
    -------
    SensitivityResult
        ``value`` for the bounds of the estimate, ``bound`` for their interval: 1 when it covers zero
        without unmeasured confounding, None without an augmented outcome. None, with a finding, when
        zero is not reached up to ``largest``.

    Raises
    ------
    UsageError
        Naming every number that does not fit.
    """
    check = Checker("the odds factor at which a conclusion is lost")
    check.number("largest", largest, above=1)
    _check_question(check, models, horizon, measure, population, level)
    check.raise_if_any()
    over_time = _over_time(models.times, horizon, measure)
    estimate = float(_difference(models, "upper", 1.0, population, over_time).value[0])
    side, sign = ("lower", 1.0) if estimate > 0 else ("upper", -1.0)
    z = NormalDist().inv_cdf((1 + level) / 2)

    def margin(odds_factor: float, *, with_error: bool) -> float:
        bound = _difference(models, side, odds_factor, population, over_time)
        error = float(bound.std_error[0]) if with_error and bound.std_error is not None else 0.0
        return sign * float(bound.value[0]) - z * error

    value = _first_zero(lambda factor: margin(factor, with_error=False), largest)
    bound = None if models.outcome is None else _first_zero(lambda factor: margin(factor, with_error=True), largest)
    return SensitivityResult(
        method="tipping point",
        target={"measure": measure, "population": population, "horizon": horizon},
        parameters={
            "solved_for": "lambda",
            "bounds": "sharp",
            "level": level,
            "estimate": estimate,
            "largest": largest,
        },
        value=value,
        bound=bound,
        unit="odds factor",
        direction=_direction(estimate),
        assumptions=(*_ASSUMPTIONS, _SHARP),
        findings=() if value is not None else (_not_reached(largest),),
    )


def _first_zero(margin: Callable[[float], float], largest: float) -> float | None:
    """Return the odds factor at which a falling margin reaches zero: 1 if it starts there, None if it never does."""
    from scipy.optimize import brentq

    if margin(1.0) <= 0:
        return 1.0
    if margin(largest) > 0:
        return None
    return math.exp(float(brentq(lambda log_factor: margin(math.exp(log_factor)), 0.0, math.log(largest), xtol=1e-8)))


def _not_reached(largest: float) -> Finding:
    return Finding(
        code="conclusion-not-lost",
        severity="note",
        step="sensitivity",
        message=f"The bounds do not reach zero with odds of treatment up to {largest:g} times off.",
    )


def marginal_curves(models: ArmModels, *, odds_factor: float, population: str = "ATE") -> SensitivityResult:
    """Return sharp bounds of both survival curves and of their difference at every time.

    Parameters
    ----------
    models : ArmModels
        Survival and propensity of each patient.
    odds_factor : float
        At least 1.
    population : {"ATE", "ATT", "ATC"}
        Whom the curves are about.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a time: ``treated_lower``, ``treated_upper``, ``control_lower``,
        ``control_upper``, ``difference_lower``, ``difference_upper``. The bounds of a curve hold at
        all times at once. One-step estimates are made to fall with time and kept within 0 and 1.

    Raises
    ------
    UsageError
        Naming every number that does not fit.
    """
    check = Checker("bounds of survival curves")
    check.number("odds_factor", odds_factor, at_least=1)
    check.choice("population", population, _POPULATIONS)
    check.raise_if_any()
    every_time = np.eye(models.times.size)
    curves = {
        (name, side): _as_curve(_bound(models, arm, side, odds_factor, population, every_time).value)
        for name, arm in (("treated", 1), ("control", 0))
        for side in ("lower", "upper")
    }
    table = tuple(
        {
            "time": float(time),
            **{f"{name}_{side}": float(curve[place]) for (name, side), curve in curves.items()},
            "difference_lower": float(curves["treated", "lower"][place] - curves["control", "upper"][place]),
            "difference_upper": float(curves["treated", "upper"][place] - curves["control", "lower"][place]),
        }
        for place, time in enumerate(models.times)
    )
    return SensitivityResult(
        method="marginal sensitivity model",
        target={"measure": "survival", "population": population},
        parameters={"lambda": float(odds_factor), "bounds": "sharp"},
        unit="probability",
        direction="either way",
        assumptions=(*_ASSUMPTIONS, _SHARP),
        table=table,
    )


def _as_curve(values: Floats) -> Floats:
    """Return the falling curve nearest to the values, between 0 and 1."""
    from scipy.optimize import isotonic_regression

    return np.asarray(np.clip(isotonic_regression(values, increasing=False).x, 0.0, 1.0))


def odds_factor_benchmarks(
    propensity: ArrayLike, without: Mapping[str, ArrayLike], *, quantile: float = 0.95
) -> SensitivityResult:
    """Return how far leaving out each measured covariate moves the odds of treatment.

    A benchmark for the odds factor: an unmeasured confounder that matters for treatment as much as
    the covariate does.

    Parameters
    ----------
    propensity : array-like, shape (n,)
        With all covariates.
    without : mapping of str to array-like, shape (n,)
        Covariate, or group of them, to the propensity score fitted without it.
    quantile : float
        Over patients.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a covariate with its ``lambda``; ``value`` is the largest.

    Raises
    ------
    UsageError
        Naming every array that does not fit.
    """
    check = Checker("benchmarks of the odds factor")
    full = check.array("propensity", propensity, (None,), above=0, below=1)
    check.number("quantile", quantile, above=0, below=1)
    if not without:
        check.refuse("without", "found none", expected="at least one covariate")
    reduced = {
        name: check.array(f"without[{name!r}]", each, full.shape, above=0, below=1) for name, each in without.items()
    }
    check.raise_if_any()
    log_odds = np.log(full / (1 - full))
    moved = {name: np.abs(log_odds - np.log(each / (1 - each))) for name, each in reduced.items()}
    factors = {name: float(np.exp(np.quantile(each, quantile))) for name, each in moved.items()}
    return SensitivityResult(
        method="leave one out",
        target={"measure": "odds of treatment"},
        parameters={"quantile": quantile},
        value=max(factors.values()),
        unit="odds factor",
        direction="either way: a factor or its inverse",
        assumptions=("what an unmeasured confounder does is held against what a measured one did",),
        table=tuple({"covariate": name, "lambda": factor} for name, factor in factors.items()),
    )
