"""The estimate that is put in doubt, and how it is made again when one thing changes.

A sensitivity analysis of this room never weighs or estimates by itself: it changes a cohort, a recipe or
the follow-up and asks for the same answer again. What answers is handed in from above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from causal_s4.cohort import Cohort, OutcomeData, RiskTable
from causal_s4.errors import CausalS4Error, UsageError
from causal_s4.kernels.rubin import rubin
from causal_s4.protocol.methods import SENSITIVITY_ANALYSES, weighting_method
from causal_s4.protocol.vocabulary import Measure
from causal_s4.results import Finding, Floats, SensitivityResult, Weights, read_only

STAGE = 5
"""First word of every stream of random numbers that a sensitivity analysis draws from."""

KEY_MEASURES = (Measure.HAZARD_RATIO, Measure.SURVIVAL_DIFFERENCE, Measure.RMST_DIFFERENCE)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the arms are weighted: whom for, and from which model.

    Parameters
    ----------
    population : str
        ``"ATE"``, ``"ATT"``, ``"ATC"``, ``"ATO"`` or ``"ATM"``.
    method : str
        A name in :data:`~causal_s4.protocol.methods.WEIGHTING_METHODS`.
    splines : mapping of str to int
    log1p : tuple of str
    interactions : tuple of pairs of str
    stabilise : bool
    truncate : (float, float) or None
    trim : float or None
    quantile_method : str
    covariates : tuple of str or None
        None is all of the cohort.
    """

    population: str
    method: str = "logistic"
    splines: Mapping[str, int] = field(default_factory=dict)
    log1p: tuple[str, ...] = ()
    interactions: tuple[tuple[str, str], ...] = ()
    stabilise: bool = False
    truncate: tuple[float, float] | None = None
    trim: float | None = None
    quantile_method: str = "linear"
    covariates: tuple[str, ...] | None = None

    @property
    def of_score(self) -> str:
        """The method if it has a propensity score, and else the one by maximum likelihood."""
        return self.method if weighting_method(self.method).propensity_score else "logistic"

    def without(self, names: Iterable[str], all_covariates: Iterable[str]) -> Recipe:
        """Return the recipe with some covariates left out, and whatever is made of them."""
        left_out = set(names)
        of = self.covariates if self.covariates is not None else tuple(all_covariates)
        return replace(
            self,
            covariates=tuple(name for name in of if name not in left_out),
            splines={name: knots for name, knots in self.splines.items() if name not in left_out},
            log1p=tuple(name for name in self.log1p if name not in left_out),
            interactions=tuple(pair for pair in self.interactions if not left_out & set(pair)),
        )


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One effect with its interval.

    Parameters
    ----------
    measure : str
    value, lower, upper : float
    theta, std_error : float
        On the scale the interval is made on: a logarithm for ratios.
    influence : ndarray, shape (patients,)
        Of ``theta``.
    """

    measure: str
    value: float
    lower: float
    upper: float
    theta: float
    std_error: float
    influence: Floats


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The key effects of one cohort under one set of weights.

    Parameters
    ----------
    effects : mapping of str to Estimate
        By measure: hazard ratio, survival and restricted mean survival time difference at the horizon,
        and the ratios of death risk, survival and restricted mean time lost.
    weights : Weights
    n_treated, n_control : int
        Patients with a weight above zero.
    events : int
    ess_treated, ess_control : float
    """

    effects: Mapping[str, Estimate]
    weights: Weights
    n_treated: int
    n_control: int
    events: int
    ess_treated: float
    ess_control: float

    @property
    def hazard_ratio(self) -> Estimate:
        """The hazard ratio."""
        return self.effects[Measure.HAZARD_RATIO]

    def cells(self) -> dict[str, Any]:
        """Return the answer as cells of a table: ``value``, ``lower`` and ``upper`` are of the hazard ratio."""
        ratio = self.hazard_ratio
        found: dict[str, Any] = {"value": ratio.value, "lower": ratio.lower, "upper": ratio.upper}
        for measure in KEY_MEASURES[1:]:
            name, each = measure.replace(" ", "_"), self.effects.get(measure)
            found |= {
                name: None if each is None else each.value,
                f"{name}_lower": None if each is None else each.lower,
                f"{name}_upper": None if each is None else each.upper,
            }
        return {**found, "ess_treated": self.ess_treated, "ess_control": self.ess_control}


TableEstimator = Callable[[RiskTable, float], Answer]
"""Risk table with weights of its own and horizon to the key effects."""
Weigher = Callable[[Cohort, Recipe], Weights]
Estimator = Callable[[Cohort, str, Weights | None, float], Answer]


def _no_arms(*arguments: Any) -> Any:
    raise UsageError("this design has no arms fixed at time zero that could be weighted")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A weighted estimate with everything needed to make it again.

    Parameters
    ----------
    cohort : Cohort
    outcome : str
        Name of the outcome.
    horizon : float
        In the cohort's time unit.
    recipe : Recipe
        How the primary weights were made.
    answered : Answer
        The primary estimate.
    weigh : callable
        Cohort and recipe to weights.
    estimate : callable
        Cohort, outcome, weights (None: naive) and horizon to the key effects.
    level : float
        Of intervals.
    seed : int
        Of the protocol.
    analysis : str
        What the primary estimate is called.
    """

    cohort: Cohort
    outcome: str
    horizon: float
    recipe: Recipe
    answered: Answer
    weigh: Weigher
    estimate: Estimator
    level: float = 0.95
    seed: int = 1
    analysis: str = "weighted"
    fixed_arms: ClassVar[bool] = True
    """Whether patients stay in one arm from time zero on."""

    @property
    def competes(self) -> bool:
        """Whether some patients had a competing event."""
        return bool((self.data.event == 2).any())

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates that were adjusted for."""
        return tuple(str(name) for name in self.cohort.covariates.columns)

    @property
    def data(self) -> OutcomeData:
        """Time and event of the outcome."""
        return self.cohort.outcome(self.outcome)

    def answer(
        self, cohort: Cohort | None = None, recipe: Recipe | None = None, weights: Weights | None = None
    ) -> Answer:
        """Answer again, with the weights found anew unless they are given."""
        patients = self.cohort if cohort is None else cohort
        found = self.weigh(patients, recipe or self.recipe) if weights is None else weights
        return self.estimate(patients, self.outcome, found, self.horizon)

    def row(
        self,
        labels: Mapping[str, Any],
        cohort: Cohort | None = None,
        recipe: Recipe | None = None,
        weights: Weights | None = None,
        more: Callable[[Answer], Mapping[str, Any]] = lambda answer: {},
    ) -> dict[str, Any]:
        """Return a row of a table, the answer made again as by :meth:`answer`; ``more`` reads further cells off it."""
        return self.row_of(labels, lambda: self.answer(cohort, recipe, weights), more)

    def row_of(
        self,
        labels: Mapping[str, Any],
        answer: Callable[[], Answer],
        more: Callable[[Answer], Mapping[str, Any]] = lambda answer: {},
    ) -> dict[str, Any]:
        """Return a row of a table; one that cannot be had says why instead of stopping the others."""
        try:
            found = answer()
        except CausalS4Error as error:
            return {**labels, **dict.fromkeys(self.answered.cells()), "note": error.message}
        return {**labels, **found.cells(), **more(found)}

    def with_outcome(self, time: Floats, event: Any) -> Cohort:
        """Return the cohort with this outcome's time and event replaced."""
        changed = OutcomeData(
            name=self.outcome, time=read_only(time), event=read_only(np.asarray(event, dtype=np.int64))
        )
        return replace(
            self.cohort, outcomes=tuple(changed if o.name == self.outcome else o for o in self.cohort.outcomes)
        )

    def target(self, measure: str, horizon: float | None = None, **other: Any) -> dict[str, Any]:
        """Return which estimate a result is about."""
        return {
            "outcome": self.outcome,
            "analysis": str(self.analysis),
            "population": str(self.answered.weights.population),
            "measure": str(measure),
            "horizon": horizon,
            **other,
        }

    def stream(self, block: str, *key: int) -> np.random.SeedSequence:
        """Return the stream of random numbers of one analysis, the same whatever else is run."""
        return np.random.SeedSequence(self.seed, spawn_key=(STAGE, SENSITIVITY_ANALYSES.index(block), *key))

    def table_of(
        self,
        method: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        parameters: Mapping[str, Any],
        direction: str,
        assumptions: tuple[str, ...],
        findings: tuple[Finding, ...] = (),
    ) -> SensitivityResult:
        """Return a grid of answers; its ``lower`` and ``upper`` are the range of the estimates in it."""
        table = tuple(dict(row) for row in rows)
        values = [row["value"] for row in table if row["value"] is not None]
        return SensitivityResult(
            method=method,
            target=self.target(Measure.HAZARD_RATIO, self.horizon),
            parameters={**parameters, "range": "lower and upper are those of the estimates in the table"},
            value=self.answered.hazard_ratio.value,
            lower=min(values, default=None),
            upper=max(values, default=None),
            unit="hazard ratio",
            direction=direction,
            assumptions=assumptions,
            table=table,
            findings=findings,
        )


@dataclass(frozen=True, kw_only=True)
class TimedQuestion(Question):
    """An estimate of a design without fixed arms: made again as a whole, from patients and a recipe.

    Parameters
    ----------
    remake : callable
        Cohort and recipe to the key effects.
    time_varying : tuple of str
        Covariates that change; a recipe may leave them out as it does others.
    """

    remake: Callable[[Cohort, Recipe], Answer]
    time_varying: tuple[str, ...] = ()
    weigh: Weigher = _no_arms
    estimate: Estimator = _no_arms
    fixed_arms: ClassVar[bool] = False

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates that were adjusted for, those that change last."""
        own = super().covariates
        return (*own, *(name for name in self.time_varying if name not in own))

    def answer(
        self, cohort: Cohort | None = None, recipe: Recipe | None = None, weights: Weights | None = None
    ) -> Answer:
        """Answer again; the weights are always found anew."""
        return self.remake(self.cohort if cohort is None else cohort, recipe or self.recipe)


def pool_answers(answers: Iterable[Answer], level: float) -> Answer:
    """Pool answers of completed data sets by Rubin's rules.

    Parameters
    ----------
    answers : iterable of Answer
        At least two.
    level : float
        Of intervals.

    Returns
    -------
    Answer
        Weights and influence functions are those of the first.

    Notes
    -----
    On the scale of each interval, by :func:`causal_s4.kernels.rubin.rubin`.
    """
    several = list(answers)
    if len(several) < 2:
        raise UsageError(f"pooling needs at least two completed data sets; found {len(several)}")
    patients = several[0].n_treated + several[0].n_control - 2
    effects = {}
    for measure, first in several[0].effects.items():
        if not all(measure in answer.effects for answer in several):
            continue
        each = [answer.effects[measure] for answer in several]
        one = rubin([own.theta for own in each], [own.std_error**2 for own in each], patients)
        limits = one.theta + np.array([0.0, -1.0, 1.0]) * one.reach(level)
        value, lower, upper = (np.exp(limits) if measure.endswith("ratio") else limits).tolist()
        effects[measure] = replace(
            first, value=value, lower=lower, upper=upper, theta=one.theta, std_error=one.std_error
        )
    return replace(
        several[0],
        effects=effects,
        ess_treated=float(np.mean([answer.ess_treated for answer in several])),
        ess_control=float(np.mean([answer.ess_control for answer in several])),
    )


def pooled(answers: Iterable[Answer], level: float) -> dict[str, Any]:
    """Pool answers of completed data sets into the cells of a table."""
    return pool_answers(answers, level).cells()
