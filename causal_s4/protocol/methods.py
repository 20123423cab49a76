"""What goes with what: weighting methods, measures, designs, intervals, each as one record.

A combination that is refused is looked up here, together with the reason that the reader is given.
A new weighting method is one more :class:`WeightingMethod` in :data:`WEIGHTING_METHODS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType
from typing import Any, TypeVar

from causal_s4.errors import Problem, UsageError
from causal_s4.protocol.vocabulary import Design, Estimand, Measure
from causal_s4.protocol.words import did_you_mean, found, one_of, quoted

Record = TypeVar("Record")
_LARGEST = 1e300  # beyond it, sums and squares are no longer finite


# --- weighting ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class WeightingMethod:
    """A way to make weights, and what can be asked of it.

    Parameters
    ----------
    name : str
        As written in ``[propensity] method``.
    label : str
        As written in a report.
    populations : tuple of Estimand
        Whom it can speak about.
    other_populations : str
        Why it cannot speak about the others.
    propensity_score : bool
        Whether it gives a probability of treatment for each patient.
    refuses : mapping of str to str
        Option (``stabilise``, ``truncate``, ``trim``) to the reason it has no meaning here.
    variances : tuple of str
        The intervals it can have.
    citation : str
        Whose method it is.
    """

    name: str
    label: str
    populations: tuple[Estimand, ...]
    other_populations: str = ""
    propensity_score: bool
    refuses: Mapping[str, str] = field(default_factory=dict)
    variances: tuple[str, ...] = ("influence", "bootstrap", "jackknife")
    citation: str

    def supports(self, option: str) -> bool:
        """Whether ``stabilise``, ``truncate`` or ``trim`` means something here."""
        return option not in self.refuses


WEIGHTING_METHODS: Mapping[str, WeightingMethod] = MappingProxyType(
    {
        method.name: method
        for method in (
            WeightingMethod(
                name="logistic",
                label="Propensity score by logistic regression (maximum likelihood)",
                populations=tuple(Estimand),
                propensity_score=True,
                citation="Rosenbaum & Rubin 1983, 10.1093/biomet/70.1.41",
            ),
            WeightingMethod(
                name="firth",
                label="Propensity score by logistic regression (Firth's penalised likelihood)",
                populations=tuple(Estimand),
                propensity_score=True,
                citation="Firth 1993, 10.1093/biomet/80.1.27; Heinze & Schemper 2002, 10.1002/sim.1047",
            ),
            WeightingMethod(
                name="entropy-balancing",
                label="Entropy balancing",
                populations=(Estimand.ATE, Estimand.ATT, Estimand.ATC),
                other_populations=(
                    "it balances towards known means, and those of the overlap and the matched population "
                    "are known only through a propensity score"
                ),
                propensity_score=False,
                refuses={
                    "truncate": "its weights are solved so that the arms balance exactly, and cutting them undoes that",
                    "trim": "it fits no propensity score to trim on",
                },
                citation="Hainmueller 2012, 10.1093/pan/mpr025; Zhao & Percival 2017, 10.1515/jci-2016-0010",
            ),
        )
    }
)

STABILISED_POPULATIONS = (Estimand.ATE,)
"""Populations whose weights stabilising changes: the weights of the others are not inverse probabilities
of treatment of everyone, so there is no marginal probability of treatment to multiply them by."""

QUANTILE_METHODS = ("linear", "nearest")
"""How a truncation quantile is read off: R's type 7, and its type 3 (an order statistic)."""


def weighting_method(name: str) -> WeightingMethod:
    """Return the record of a weighting method.

    Raises
    ------
    UsageError
        When there is none of that name, naming the nearest.
    """
    return _look_up(WEIGHTING_METHODS, name, "weighting method")


def stabilised(population: str, stabilise: bool | None) -> bool:
    """Whether weights for a population are stabilised, given what was asked.

    Without a wish they are, where stabilising means something: the allocation ratio of the weighted
    Cox model is then that of the cohort. Arm-wise survival and restricted mean do not depend on it.

    Parameters
    ----------
    population : str
        The estimand.
    stabilise : bool or None
        What was asked; None when nothing was.

    Returns
    -------
    bool
    """
    return stabilise is not False and population in STABILISED_POPULATIONS


def check_weighting(
    population: str,
    method: str,
    stabilise: bool | None = None,
    truncate: Any = None,
    trim: Any = None,
) -> list[Problem]:
    """Return everything that is wrong with a combination of weighting options.

    The study file and the Python functions ask this one function.

    Parameters
    ----------
    population : str
        ``"ATE"``, ``"ATT"``, ``"ATC"``, ``"ATO"`` or ``"ATM"``.
    method : str
        A name in :data:`WEIGHTING_METHODS`.
    stabilise : bool or None
        None leaves it to :func:`stabilised`; ``False`` is always accepted.
    truncate : pair of float or None
        Lower and upper quantile of the weights, 0 to 1.
    trim : float or None
        Patients with a propensity score within ``trim`` of 0 or 1 are left out.

    Returns
    -------
    list of Problem
        ``where`` is the name of the parameter. Empty when all is well.

    Examples
    --------
    >>> [problem.where for problem in check_weighting("ATO", "entropy-balancing", trim=0.05)]
    ['population', 'trim']
    """
    problems = [
        unknown("population", population, [each.value for each in Estimand]),
        unknown("method", method, WEIGHTING_METHODS),
        check_truncate(truncate),
        check_trim(trim),
    ]
    record = WEIGHTING_METHODS.get(method) if isinstance(method, str) else None
    if record is not None:
        problems.append(_check_population(population, record))
        for option, value in (("stabilise", stabilise or None), ("truncate", truncate), ("trim", trim)):
            if value is not None and not record.supports(option):
                problems.append(
                    Problem(
                        where=option,
                        found=f"has no meaning with method {quoted(method)}: {record.refuses[option]}",
                        todo="Leave it out, or choose another method",
                    )
                )
    problems.append(_check_stabilise(population, stabilise))
    return [problem for problem in problems if problem is not None]


def _check_population(population: str, record: WeightingMethod) -> Problem | None:
    if population in record.populations or population not in list(Estimand):
        return None
    return Problem(
        where="population",
        found=f"{population} is not possible with method {quoted(record.name)}: {record.other_populations}",
        expected=one_of(each.value for each in record.populations),
        todo='Choose one of these, or method "logistic"',
    )


def _check_stabilise(population: str, stabilise: bool | None) -> Problem | None:
    if stabilise is None or isinstance(stabilise, bool):
        if not stabilise or population in STABILISED_POPULATIONS or population not in list(Estimand):
            return None
        return Problem(
            where="stabilise",
            found=f"would have no effect on weights for the population {population}; only weights for the "
            "ATE are inverse probabilities of treatment that it could change",
            todo="Leave it out",
        )
    return Problem(where="stabilise", found=found(stabilise), expected="true or false")


def check_truncate(value: Any) -> Problem | None:
    """Return what is wrong with a pair of truncation quantiles, if anything is."""
    expected = "a pair of quantiles of the weights, lower then upper, between 0 and 1, such as [0.01, 0.99]"
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(is_number(each) for each in value):
        return Problem(where="truncate", found=found(value), expected=expected)
    lower, upper = value
    shown = f"[{quoted(lower)}, {quoted(upper)}]"
    if not 0 <= lower < upper <= 1:
        return Problem(where="truncate", found=shown, expected=expected)
    if (lower, upper) == (0, 1):
        return Problem(where="truncate", found=f"{shown} cuts nothing, so it would have no effect", todo="Leave it out")
    return None


def check_trim(value: Any) -> Problem | None:
    """Return what is wrong with a trimming threshold, if anything is."""
    if value is None or (is_number(value) and 0 < value < 0.5):
        return None
    return Problem(
        where="trim",
        found=found(value),
        expected="a distance from 0 and 1 on the propensity score, above 0 and below 0.5, such as 0.05",
    )


# --- measures -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MeasureRecord:
    """What a measure is made of.

    Parameters
    ----------
    measure : Measure
        Its name.
    kind : {"ratio", "difference", "arm"}
        Treated over control, treated minus control, or a quantity of one arm.
    needs_horizon : bool
        Whether it speaks about follow-up up to a horizon.
    lowest, highest : float
        What it can be.
    """

    measure: Measure
    kind: str
    needs_horizon: bool
    lowest: float
    highest: float = math.inf

    @property
    def null(self) -> float | None:
        """The value that means no difference."""
        return {"ratio": 1.0, "difference": 0.0}.get(self.kind)


MEASURES: Mapping[Measure, MeasureRecord] = MappingProxyType(
    {
        record.measure: record
        for record in (
            MeasureRecord(measure=Measure.HAZARD_RATIO, kind="ratio", needs_horizon=False, lowest=0),
            MeasureRecord(measure=Measure.SURVIVAL, kind="arm", needs_horizon=True, lowest=0, highest=1),
            MeasureRecord(
                measure=Measure.SURVIVAL_DIFFERENCE, kind="difference", needs_horizon=True, lowest=-1, highest=1
            ),
            MeasureRecord(measure=Measure.SURVIVAL_RATIO, kind="ratio", needs_horizon=True, lowest=0),
            MeasureRecord(measure=Measure.RMST, kind="arm", needs_horizon=True, lowest=0),
            MeasureRecord(measure=Measure.RMST_DIFFERENCE, kind="difference", needs_horizon=True, lowest=-math.inf),
            MeasureRecord(measure=Measure.RMST_RATIO, kind="ratio", needs_horizon=True, lowest=0),
            MeasureRecord(measure=Measure.MEDIAN_SURVIVAL, kind="arm", needs_horizon=False, lowest=0),
            MeasureRecord(measure=Measure.CUMULATIVE_INCIDENCE, kind="arm", needs_horizon=True, lowest=0, highest=1),
            MeasureRecord(
                measure=Measure.CUMULATIVE_INCIDENCE_DIFFERENCE,
                kind="difference",
                needs_horizon=True,
                lowest=-1,
                highest=1,
            ),
            MeasureRecord(measure=Measure.CUMULATIVE_INCIDENCE_RATIO, kind="ratio", needs_horizon=True, lowest=0),
        )
    }
)


# --- designs ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DesignRecord:
    """What a design of time zero needs, and what it has no use for.

    Parameters
    ----------
    design : Design
        Its name.
    requires : mapping of str to str
        Key path to what it is needed for.
    refuses : mapping of str to str
        Key path to why it would have no effect.
    populations : tuple of Estimand
        Whom it can speak about; empty when it claims no population.
    citation : str
        Whose design it is.
    """

    design: Design
    requires: Mapping[str, str]
    refuses: Mapping[str, str]
    populations: tuple[Estimand, ...]
    citation: str


_ONLY_LANDMARK = "only a landmark analysis starts its clock later"
_ONLY_CLONES = "only clone-censor-weight has a grace period"
_TIMING_MODEL = "only clone-censor-weight models when treatment starts"
_NO_PROPENSITY = "treatment changes with time and no propensity score at time zero is fitted"
_NOTHING_CHANGES = "its Cox model holds covariates of time zero; those that change may carry effects of treatment"
_START = "when treatment started, for each patient"
_ONLY_STRATEGIES = "only clone-censor-weight compares strategies over time"
_STRATEGY_KEYS = ("time_zero.never", "time_zero.unless", "treatment.non_protocol_start")
_GRACE_KEYS = ("time_zero.grace_period", "time_zero.timing", "time_zero.natural_until")
_FIXED_ARM_REFUSES = {
    **dict.fromkeys(_GRACE_KEYS, _ONLY_CLONES),
    **dict.fromkeys(_STRATEGY_KEYS, _ONLY_STRATEGIES),
    "initiation": _TIMING_MODEL,
}

DESIGNS: Mapping[Design, DesignRecord] = MappingProxyType(
    {
        record.design: record
        for record in (
            DesignRecord(
                design=Design.BASELINE,
                requires={"estimand": "whom the effect is about"},
                refuses={
                    **_FIXED_ARM_REFUSES,
                    "time_zero.landmark": _ONLY_LANDMARK,
                    "data.history": "everything is measured at time zero",
                    "time_zero.time_varying": "everything is measured at time zero",
                },
                populations=tuple(Estimand),
                citation="Hernán & Robins 2016, 10.1093/aje/kwv254",
            ),
            DesignRecord(
                design=Design.LANDMARK,
                requires={
                    "time_zero.landmark": "the time at which the clock starts",
                    "treatment.start": _START,
                    "estimand": "whom the effect is about",
                },
                refuses=_FIXED_ARM_REFUSES,
                populations=tuple(Estimand),
                citation="Anderson, Cain & Gelber 1983, 10.1200/JCO.1983.1.11.710",
            ),
            DesignRecord(
                design=Design.TIME_DEPENDENT,
                requires={"treatment.start": _START},
                refuses={
                    **_FIXED_ARM_REFUSES,
                    "time_zero.landmark": _ONLY_LANDMARK,
                    "data.history": _NOTHING_CHANGES,
                    "time_zero.time_varying": _NOTHING_CHANGES,
                    "estimand": "a time-dependent hazard ratio speaks about no fixed population",
                    "propensity": _NO_PROPENSITY,
                },
                populations=(),
                citation="Mantel & Byar 1974, 10.1080/01621459.1974.10480131",
            ),
            DesignRecord(
                design=Design.CLONE_CENSOR_WEIGHT,
                requires={
                    "time_zero.grace_period": "within how long treatment has to start",
                    "treatment.start": _START,
                },
                refuses={"time_zero.landmark": _ONLY_LANDMARK, "propensity": f"{_NO_PROPENSITY}; see [initiation]"},
                populations=(Estimand.ATE,),
                citation="Maringe et al. 2020, 10.1093/ije/dyaa057; Hernán 2018, 10.1136/bmj.k182",
            ),
        )
    }
)

TIMINGS: Mapping[str, str] = MappingProxyType(
    {
        "density": "as those treated within the grace period were timed, held fixed",
        "natural": "as in practice until a time, then everyone still untreated at an even pace",
        "uniform": "at an even pace over the grace period",
        "maringe": "the survivors at its end stand in for all (for comparison with published code)",
    }
)
"""When, within the grace period, treatment is taken to start. Wanis et al. 2024, 10.1093/jrsssa/qnae002."""


# --- intervals ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class VarianceRecord:
    """A way to make intervals, and the options of ``[inference]`` that belong to it."""

    name: str
    options: tuple[str, ...]
    citation: str


VARIANCES: Mapping[str, VarianceRecord] = MappingProxyType(
    {
        record.name: record
        for record in (
            VarianceRecord(name="influence", options=(), citation="Shu et al. 2021, 10.1111/biom.13332"),
            VarianceRecord(
                name="bootstrap",
                options=("replicates", "interval", "stratify", "cluster"),
                citation="Austin 2016, 10.1002/sim.7084",
            ),
            VarianceRecord(name="jackknife", options=(), citation="Efron & Stein 1981, 10.1214/aos/1176345462"),
        )
    }
)
INTERVALS = ("percentile", "basic", "normal", "bca")
TIES = ("efron", "breslow")


# --- sensitivity analyses -----------------------------------------------------------------------

SENSITIVITY_ANALYSES = (
    "e-value",
    "bias-factor",
    "confounder-array",
    "tipping-point",
    "probabilistic-bias-analysis",
    "leave-one-out",
    "simulated-confounder",
    "marginal-sensitivity-model",
    "rosenbaum-bounds",
    "negative-control",
    "truncation-grid",
    "trimming-grid",
    "estimand-switch",
    "landmark-grid",
    "grace-period-grid",
    "early-deaths-excluded",
    "informative-censoring",
    "loss-bounds",
    "missing-not-at-random",
    "misclassification",
    "refuter",
    "specification-curve",
    "rct-benchmark",
    "timing-grid",
)
"""Blocks of ``[sensitivity]``, as the contract's method names with hyphens. Streams of random numbers are numbered by
their order, so a new one comes last."""


# --- what is declared but not there yet ---------------------------------------------------------

NOT_AVAILABLE_YET: Mapping[str, Mapping[str, str]] = MappingProxyType({})
"""Key path to the values that a study file may not use yet, each with what to do instead.

An entry goes when what it names is built; nothing else refuses it.
"""


# --- small checks -------------------------------------------------------------------------------


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; true and false are not."""
    return isinstance(value, Real) and not isinstance(value, bool) and bool(abs(value) <= _LARGEST)  # type: ignore[operator]


def unknown(where: str, value: Any, known: Iterable[str]) -> Problem | None:
    """Return the problem of a word that is not among the known ones, naming the nearest."""
    words = list(known)
    if isinstance(value, str) and value in words:
        return None
    return Problem(where=where, found=found(value), expected=one_of(words), todo=did_you_mean(value, words))


def _look_up(records: Mapping[str, Record], name: str, what: str) -> Record:
    problem = unknown("", name, records)
    if problem is not None:
        raise UsageError(f"{what}: {problem}")
    return records[name]
