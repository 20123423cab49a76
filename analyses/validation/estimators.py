"""The estimators that are put to the test, each through the package's own functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.stats import norm

from causal_s4.cohort import Cohort, RiskTable
from causal_s4.comparison import Comparison, functionals_of
from causal_s4.emulation.clone_censor import clone_censor
from causal_s4.emulation.landmark import landmark_cohort
from causal_s4.emulation.time_dependent import time_dependent_table
from causal_s4.errors import CausalS4Error, ConvergenceError
from causal_s4.inference.influence import standard_errors
from causal_s4.inference.intervals import bootstrap_interval, jackknife_std_error
from causal_s4.inference.resampling import Resampling, resample
from causal_s4.missing_data import impute
from causal_s4.pooling import rubin
from causal_s4.propensity.models import covariate_matrix
from causal_s4.propensity.weights import weigh
from causal_s4.protocol.methods import INTERVALS
from causal_s4.protocol.vocabulary import Analysis, Measure
from causal_s4.results import Floats, Weights
from causal_s4.simulate.timeline import USUAL_EDGES, USUAL_MASSES
from causal_s4.survival.regression import multivariable_cox

MEASURES = ("log hazard ratio", "survival difference", "rmst difference")
_NAMES = (Measure.HAZARD_RATIO, Measure.SURVIVAL_DIFFERENCE, Measure.RMST_DIFFERENCE)
HORIZON = 60.0
LEVEL = 0.95
GRACE = 9.0
REPLICATES = 500
IMPUTATIONS = 20
BOOTSTRAPS = tuple(f"bootstrap, {kind}" for kind in INTERVALS)
RESAMPLED = ("jackknife", *BOOTSTRAPS)
_Z = float(norm.ppf(0.5 + LEVEL / 2))

Found = dict[str, Floats]
"""Interval to estimate, standard error, lower and upper limit of each measure, shape (3, 4)."""


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """A way to an estimate.

    Parameters
    ----------
    population : str
        Whose effect it is of: ``"ATE"``, ...; ``"conditional"`` for a hazard ratio given the covariates.
    analyse : callable
        Cohort, intervals asked for and seed to what was found.
    intervals : tuple of str
        Intervals that it has without resampling.
    stabilised : bool
        Whether its hazard ratio is that of stabilised weights.
    measures : tuple of str
    """

    population: str
    analyse: Callable[[Cohort, Sequence[str], int], Found]
    intervals: tuple[str, ...] = ("influence",)
    stabilised: bool = False
    measures: tuple[str, ...] = MEASURES


def _of_table(table: RiskTable, weights: Weights | None, asked: Sequence[str], seed: int) -> Found:
    """Estimate by influence, with weights as known, and by resampling, as far as asked."""
    comparison = Comparison(
        table=table,
        weights=weights,
        analysis=Analysis.NAIVE if weights is None else Analysis.WEIGHTED,
        population="" if weights is None else weights.population,
        level=LEVEL,
    )
    found, _ = functionals_of(comparison, [HORIZON])
    by_name = {each.measure: each for each in found if each.arm is None}
    chosen = [by_name[name] for name in _NAMES]
    theta = np.array([each.theta for each in chosen])
    gradient = np.column_stack([each.gradient for each in chosen])
    answer = {}
    for interval in asked:
        if interval in ("influence", "fixed"):
            phi = replace(comparison, account=interval == "influence").phi(gradient)
            answer[interval] = _normal(theta, standard_errors(phi))
    for method in ("jackknife", "bootstrap"):
        if any(interval.startswith(method) for interval in asked):
            plan = Resampling(method=method, replicates=REPLICATES, seed=seed)
            horizon = np.array([HORIZON])
            again = resample(table, weights, horizons=horizon, ties="efron", plan=plan, start=float(theta[0]))
            columns = [again.theta(name, None, -1 if j == 0 else 0) for j, name in enumerate(_NAMES)]
            columns = [column[~np.isnan(column)] for column in columns]
            if min(map(len, columns)) < 2:
                raise ConvergenceError(f"fewer than two {method} replicates gave an estimate")
            phi = comparison.phi(gradient)
            for interval in asked:
                if interval == "jackknife" == method:
                    answer[interval] = _normal(theta, np.array([jackknife_std_error(each) for each in columns]))
                elif interval.startswith(method):
                    answer[interval] = _bootstrap(interval.split(", ")[1], theta, columns, phi)
    return answer


def _bootstrap(kind: str, theta: Floats, columns: Sequence[Floats], phi: Floats) -> Floats:
    found = [
        bootstrap_interval(float(each), columns[j], kind=kind, level=LEVEL, phi=phi[:, j])
        for j, each in enumerate(theta)
    ]
    return np.array([(each, f.std_error, f.lower, f.upper) for each, f in zip(theta, found, strict=True)])


def _normal(theta: Floats, std_error: Floats) -> Floats:
    return np.column_stack([theta, std_error, theta - _Z * std_error, theta + _Z * std_error])


# --- arms fixed at time zero --------------------------------------------------------------------


def _naive(cohort: Cohort, asked: Sequence[str], seed: int) -> Found:
    return _of_table(cohort.risk_table(), None, asked, seed)


def _multivariable(cohort: Cohort, asked: Sequence[str], seed: int) -> Found:
    return {"model-based": _cox(cohort, cohort.risk_table(), clustered=False)}


def _cox(cohort: Cohort, table: RiskTable, *, clustered: bool) -> Floats:
    matrix = covariate_matrix(cohort, splines={}, log1p=(), interactions=())
    row = multivariable_cox(
        table, matrix.matrix, matrix.terms, ties="efron", level=LEVEL, treatment="treatment", clustered=clustered
    ).rows[0]
    found = np.full((len(MEASURES), 4), np.nan)
    found[:1] = _normal(np.log([row.hazard_ratio]), np.array([row.std_error]))
    return found


def _weighted(**options: Any) -> Callable[[Cohort, Sequence[str], int], Found]:
    def analyse(cohort: Cohort, asked: Sequence[str], seed: int) -> Found:
        return _of_table(cohort.risk_table(), weigh(cohort, **options), asked, seed)

    return analyse


_ATE = {"population": "ATE", "stabilise": True}


def _complete_cases(cohort: Cohort, asked: Sequence[str], seed: int) -> Found:
    complete = cohort.take(cohort.covariates.notna().all(axis=1).to_numpy())
    return _of_table(complete.risk_table(), weigh(complete, **_ATE), asked, seed)


def _imputed(cohort: Cohort, asked: Sequence[str], seed: int) -> Found:
    sets = [
        _of_table(each.risk_table(), weigh(each, **_ATE), ("influence",), seed)["influence"]
        for each in impute(cohort, imputations=IMPUTATIONS, seed=seed)
    ]
    rows = []
    for measure in range(len(MEASURES)):
        pooled = rubin([s[measure, 0] for s in sets], [s[measure, 1] ** 2 for s in sets], len(cohort))
        reach = pooled.reach(LEVEL)
        rows.append((pooled.theta, pooled.std_error, pooled.theta - reach, pooled.theta + reach))
    return {"influence": np.array(rows)}


# --- treatment that comes later -----------------------------------------------------------------


def _time_dependent(cohort: Cohort, asked: Sequence[str], seed: int) -> Found:
    return {"influence": _cox(cohort, time_dependent_table(cohort), clustered=True)}


def _landmark(cohort: Cohort, asked: Sequence[str], seed: int) -> Found:
    later = landmark_cohort(cohort, GRACE, time_varying=("response",))
    comparison = Comparison(
        table=later.risk_table(), weights=weigh(later, **_ATE), analysis=Analysis.LANDMARK, population="ATE"
    )
    found, _ = functionals_of(comparison, [])
    rows = np.full((len(MEASURES), 4), np.nan)
    rows[:1] = _normal(np.array([found[0].theta]), standard_errors(comparison.phi(found[0].gradient[:, None])))
    return {"influence": rows}


def _cloned(**options: Any) -> Callable[[Cohort, Sequence[str], int], Found]:
    def analyse(cohort: Cohort, asked: Sequence[str], seed: int) -> Found:
        table = clone_censor(cohort, grace_period=GRACE, timing_density=(USUAL_EDGES, USUAL_MASSES), **options)
        return _of_table(table, table.weights, asked, seed)

    return analyse


_HAZARD_RATIO = MEASURES[:1]
ESTIMATORS: Mapping[str, Estimator] = MappingProxyType(
    {
        "naive": Estimator(population="ATE", analyse=_naive),
        "multivariable Cox": Estimator(
            population="conditional", analyse=_multivariable, intervals=("model-based",), measures=_HAZARD_RATIO
        ),
        "logistic, ATE": Estimator(
            population="ATE", analyse=_weighted(**_ATE), intervals=("influence", "fixed"), stabilised=True
        ),
        "logistic, ATT": Estimator(population="ATT", analyse=_weighted(population="ATT")),
        "logistic, ATO": Estimator(population="ATO", analyse=_weighted(population="ATO")),
        "logistic with interaction, ATE": Estimator(
            population="ATE", analyse=_weighted(**_ATE, interactions=[("x1", "x2")]), stabilised=True
        ),
        "logistic truncated at 1%, ATE": Estimator(
            population="ATE", analyse=_weighted(**_ATE, truncate=(0.01, 0.99)), stabilised=True
        ),
        "firth, ATE": Estimator(population="ATE", analyse=_weighted(**_ATE, method="firth"), stabilised=True),
        "firth, ATO": Estimator(population="ATO", analyse=_weighted(population="ATO", method="firth")),
        "entropy balancing, ATE": Estimator(
            population="ATE", analyse=_weighted(population="ATE", method="entropy-balancing")
        ),
        "entropy balancing, ATT": Estimator(
            population="ATT", analyse=_weighted(population="ATT", method="entropy-balancing")
        ),
        "complete cases, logistic, ATE": Estimator(population="ATE", analyse=_complete_cases, stabilised=True),
        "imputed, logistic, ATE": Estimator(population="ATE", analyse=_imputed, stabilised=True),
        "ever treated, naive": Estimator(population="strategies", analyse=_naive),
        "ever treated, logistic": Estimator(population="strategies", analyse=_weighted(**_ATE)),
        "time-dependent Cox": Estimator(population="strategies", analyse=_time_dependent, measures=_HAZARD_RATIO),
        "landmark with response": Estimator(population="strategies", analyse=_landmark, measures=_HAZARD_RATIO),
        "clone-censor-weight, baseline only": Estimator(
            population="strategies", analyse=_cloned(), intervals=("fixed", "influence")
        ),
        "clone-censor-weight, response": Estimator(
            population="strategies", analyse=_cloned(time_varying=("response",)), intervals=("fixed", "influence")
        ),
        "clone-censor-weight, truncated at 1%": Estimator(
            population="strategies", analyse=_cloned(time_varying=("response",), truncate=(0.0, 0.99))
        ),
    }
)

REASONS = ("", "separated", "no overlap", "balance out of reach", "no events", "follow-up too short", "other")
"""Why a replicate has no estimate, by code."""
_BY_ERROR = {
    "SeparationError": 1,
    "OverlapError": 2,
    "InfeasibleBalanceError": 3,
    "NoEventsError": 4,
    "BeyondFollowUpError": 5,
}


def attempt(estimator: str, cohort: Cohort, asked: Sequence[str], seed: int) -> tuple[Found, int]:
    """Estimate, or say by a code why not: see :data:`REASONS`."""
    try:
        return ESTIMATORS[estimator].analyse(cohort, asked, seed), 0
    except CausalS4Error as error:
        return {}, _BY_ERROR.get(type(error).__name__, len(REASONS) - 1)
