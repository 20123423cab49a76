"""Which worlds, which estimators, how many cohorts: the whole grid."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analyses.validation.estimators import ESTIMATORS, HORIZON, RESAMPLED
from analyses.validation.worlds import COVARIATES, World, truth_of
from causal_s4.cohort import Cohort, OutcomeData
from causal_s4.protocol.vocabulary import TimeUnit
from causal_s4.simulate import simulate, simulate_history, true_effects
from causal_s4.simulate.timeline import ROLES

Truth = tuple[float, float]
"""A true value and its Monte Carlo standard error."""


class Source(Protocol):
    """Where cohorts come from, and what is true of them."""

    def cohort(self, n: int, seed: int) -> Cohort:
        """Draw a cohort."""
        ...

    def truth(self, population: str, measure: str, *, stabilised: bool) -> Truth | None:
        """Return a truth, None where the world has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """Patients of a few kinds; every truth is exact."""

    world: World

    def cohort(self, n: int, seed: int) -> Cohort:
        """Draw a cohort."""
        return self.world.cohort(n, seed)

    def truth(self, population: str, measure: str, *, stabilised: bool) -> Truth | None:
        """Return a truth, None where the world has none."""
        if population == "conditional":
            steps = self.world.hazard_ratios
            return (float(np.log(steps[0][1])), 0.0) if len(steps) == 1 else None
        return truth_of(self.world, population, stabilised)[measure], 0.0


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Stage IV breast cancer from restaging on, sixteen terms in the propensity model."""

    effect: str
    operated: int | None = None

    def cohort(self, n: int, seed: int) -> Cohort:
        """Draw a cohort."""
        frame = simulate("stage4", n=n, seed=seed, effect=self.effect, operated=self.operated)
        covariates = frame.loc[:, "year":"response"]
        text = covariates.select_dtypes(object).columns
        return Cohort(
            ids=frame["id"].to_numpy(),
            treatment=frame["surgery"].to_numpy(),
            outcomes=(OutcomeData(name="death", time=frame["os_months"].to_numpy(), event=frame["death"].to_numpy()),),
            covariates=covariates.astype(dict.fromkeys(text, "category")),
            time_unit=TimeUnit.MONTHS,
        )

    def truth(self, population: str, measure: str, *, stabilised: bool) -> Truth | None:
        """Return a truth, None where the world has none."""
        if population == "conditional":  # a frailty that nobody records: the model's limit is known without effect only
            return (0.0, 0.0) if self.effect == "null" else None
        truths = true_effects("stage4", effect=self.effect, population=population, horizons=[HORIZON])
        return _named(truths, measure, stabilised)


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Stage IV breast cancer from the start of systemic therapy on: surgery comes later, after response."""

    effect: str

    def cohort(self, n: int, seed: int) -> Cohort:
        """Draw a cohort with its history."""
        return Cohort.from_frame(
            simulate("stage4-timeline", n=n, seed=seed, effect=self.effect),
            history=simulate_history("stage4-timeline", n=n, seed=seed, effect=self.effect),
            **ROLES,
        )

    def truth(self, population: str, measure: str, *, stabilised: bool) -> Truth | None:
        """Return a truth, None where the world has none."""
        return _named(true_effects("stage4-timeline", effect=self.effect, horizons=[HORIZON]), measure, False)


def _named(truths, measure: str, stabilised: bool) -> Truth:
    if measure == "log hazard ratio":
        ratio = truths.one(measure="hazard ratio", stabilised=stabilised)
        return float(np.log(ratio.value)), ratio.mc_error
    found = truths.one(measure=measure)
    return found.value, found.mc_error


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One row of the grid.

    Parameters
    ----------
    name : str
        In the table.
    about : str
        What it is, in a sentence.
    source : Source
    n : int
        Patients of each cohort.
    replicates : int
        Cohorts.
    estimators : tuple of str
    resampled : tuple of str
        Estimators that get their intervals by resampling too.
    dear : bool
        Whether a cohort takes about a second.
    """

    name: str
    about: str
    source: Source
    n: int
    replicates: int
    estimators: tuple[str, ...]
    resampled: tuple[str, ...] = ()
    dear: bool = False

    def asked(self, estimator: str) -> tuple[str, ...]:
        """Return the intervals of an estimator here."""
        more = RESAMPLED if estimator in self.resampled else ()
        return (*ESTIMATORS[estimator].intervals, *more)

    def columns(self) -> Iterator[tuple[str, str, str]]:
        """Yield estimator, interval and measure of everything that has a truth here."""
        for name in self.estimators:
            for interval in self.asked(name):
                for measure in ESTIMATORS[name].measures:
                    yield name, interval, measure

    def truth(self, estimator: str, measure: str) -> Truth:
        """Return what an estimator is to find."""
        record = ESTIMATORS[estimator]
        found = self.source.truth(record.population, measure, stabilised=record.stabilised)
        if found is None:
            raise ValueError(f"{self.name} has no truth for {estimator}")
        return found

    def seed(self, replicate: int) -> int:
        """Return the seed of a cohort: streams of different scenarios have nothing in common."""
        place = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:5], "big")
        return place * 1_000_000 + replicate


_WEIGHTED = ("logistic, ATE", "logistic, ATT", "logistic, ATO", "entropy balancing, ATE", "entropy balancing, ATT")
_TRUNCATED = "logistic truncated at 1%, ATE"
_POINT = ("naive", "multivariable Cox", *_WEIGHTED, _TRUNCATED)
_MARGINAL = tuple(name for name in _POINT if name != "multivariable Cox")
_FIRTH = ("firth, ATE", "firth, ATO")
_KEY = ("logistic, ATE", "logistic, ATO")
_BENEFIT, _HARM = ((0.0, 0.75),), ((0.0, 1.45),)
_CROSSING = ((0.0, 1.6), (12.0, 0.6))
MAIN, STRESS = 2000, 1000


def _kinds(name: str, about: str, *, n: int = 500, replicates: int = STRESS, **more) -> Scenario:
    """Return a scenario of the world of few kinds; what is not a field of a scenario is a switch of the world."""
    chosen = {key: more.pop(key) for key in ("estimators", "resampled", "dear") if key in more}
    world = World(**({"hazard_ratios": _BENEFIT} | more))
    return Scenario(
        name=name,
        about=about,
        source=Kinds(world=world),
        n=n,
        replicates=replicates,
        **({"estimators": _POINT} | chosen),
    )


_SCENARIOS = (
    _kinds("null", "No effect; 50 % have the event.", replicates=MAIN, hazard_ratios=((0.0, 1.0),), resampled=_KEY[:1]),
    _kinds("benefit", "Hazard ratio 0.75 given the covariates.", replicates=MAIN, resampled=_KEY[:1]),
    _kinds("harm", "Hazard ratio 1.45 given the covariates.", replicates=MAIN, hazard_ratios=_HARM),
    _kinds(
        "early harm, late benefit",
        "Hazard ratio 1.6 for a year and 0.6 from then on.",
        replicates=MAIN,
        hazard_ratios=_CROSSING,
        estimators=_MARGINAL,
    ),
    _kinds(
        "null, n=157",
        "No effect, 157 patients.",
        n=157,
        replicates=MAIN,
        hazard_ratios=((0.0, 1.0),),
        estimators=(*_POINT, *_FIRTH),
        resampled=_KEY[:1],
    ),
    _kinds(
        "benefit, n=157",
        "As benefit, 157 patients.",
        n=157,
        replicates=MAIN,
        estimators=(*_POINT, *_FIRTH),
        resampled=_KEY,
    ),
    _kinds("benefit, n=2000", "As benefit, 2,000 patients.", n=2000, replicates=MAIN),
    _kinds("events 10 %", "As benefit; 10 % have the event.", events=0.1, resampled=_KEY[:1]),
    _kinds(
        "events 10 %, n=157",
        "As benefit, 157 patients; 10 % have the event.",
        n=157,
        events=0.1,
        estimators=(*_POINT, *_FIRTH),
        resampled=_KEY[:1],
    ),
    _kinds("events 30 %", "As benefit; 30 % have the event.", events=0.3),
    _kinds("events 70 %", "As benefit; 70 % have the event.", events=0.7),
    _kinds("events 90 %", "As benefit; 90 % have the event.", events=0.9),
    _kinds("weak confounding", "Covariates do a third as much to treatment.", confounding=1 / 3),
    _kinds("strong confounding", "Covariates do twice as much to treatment.", confounding=2.0, resampled=_KEY[:1]),
    _kinds(
        "near-violation of positivity",
        "Covariates do four times as much to treatment: its probability runs from 0.001 to 0.99.",
        confounding=4.0,
        estimators=(*_POINT, *_FIRTH),
        resampled=_KEY[:1],
    ),
    _kinds(
        "misspecified propensity model",
        "x1 and x2 interact in treatment and hazard; a model without their product is wrong, one with it is right.",
        interaction=1.5,
        estimators=(*_MARGINAL, "logistic with interaction, ATE"),
    ),
    _kinds("unmeasured confounder", "x2 is not recorded.", recorded=("x1", "x3")),
    _kinds(
        "covariate-dependent censoring",
        "The treated with x2 = 1, who do badly, and the controls without are lost sooner; the weights know nothing of it.",
        informative_loss=0.01,
    ),
    _kinds(
        "rare subtype",
        "Four per cent have a subtype that is seldom treated and does badly.",
        rare=0.04,
        recorded=(*COVARIATES, "x4"),
    ),
    _kinds(
        "rare subtype, n=157",
        "As the rare subtype, 157 patients: about six have it.",
        n=157,
        rare=0.04,
        recorded=(*COVARIATES, "x4"),
        estimators=(*_POINT, *_FIRTH),
        resampled=_KEY[:1],
    ),
    _kinds(
        "missing at random",
        "x2 is missing for 30 %, more often after an event and among the treated without one.",
        missing=True,
        dear=True,
        estimators=("complete cases, logistic, ATE", "imputed, logistic, ATE"),
    ),
    *(
        Scenario(
            name=f"founding size, {effect}",
            about=f"Stage IV registry of 157 women, 66 of them operated, sixteen terms; effect {effect}.",
            source=Registry(effect=effect, operated=66),
            n=157,
            replicates=MAIN if effect == "null" else STRESS,
            estimators=(*(_POINT if effect == "null" else _MARGINAL), *_FIRTH),
            resampled=_KEY,
        )
        for effect in ("null", "protective")
    ),
    Scenario(
        name="registry, n=400",
        about="The same registry with 400 women, some ten operated ones for each coefficient; no effect.",
        source=Registry(effect="null"),
        n=400,
        replicates=STRESS,
        estimators=("naive", "logistic, ATE", "logistic, ATO", "entropy balancing, ATE", *_FIRTH),
    ),
    *(
        Scenario(
            name=f"time-varying response, {effect}",
            about=f"Surgery follows a response that comes after time zero; effect {effect}.",
            source=Timeline(effect=effect),
            n=1000,
            replicates=STRESS,
            dear=True,
            estimators=(
                "ever treated, naive",
                "ever treated, logistic",
                "time-dependent Cox",
                *(("landmark with response",) if effect == "null" else ()),
                "clone-censor-weight, baseline only",
                "clone-censor-weight, response",
                "clone-censor-weight, truncated at 1%",
            ),
        )
        for effect in ("null", "protective")
    ),
)
SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _SCENARIOS}
