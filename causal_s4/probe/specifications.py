"""Every choice that a study leaves open, as the cells of a specification curve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

from causal_s4.cohort import Cohort, select
from causal_s4.emulation.trial import emulate
from causal_s4.errors import CausalS4Error, UsageError
from causal_s4.missing_data import complete
from causal_s4.probe.asking import answer_strategies, conditional_answer, estimator, weigh_by, with_recipe
from causal_s4.probe.subject import Probe, Results
from causal_s4.protocol.vocabulary import CONDITIONAL, UNADJUSTED, Design, Duration, Estimand
from causal_s4.sensitivity.question import Answer, Recipe
from causal_s4.sensitivity.specification_curve import (
    CATEGORY,
    COMPLETE_CASES,
    FULL,
    LEAVES_OUT,
    METHODS,
    MORE_TRIMS,
    MORE_TRUNCATIONS,
    POPULATIONS,
    TRUNCATIONS,
    Axes,
    Cell,
    CovariateSet,
    Pruned,
    covariate_sets,
    missing_as_category,
    specification_curve,
    weighted_cells,
)

WEIGHTED, COX, NAIVE = "weighted", "Cox model with covariates", "unadjusted"
LANDMARKS = ("3 months", "6 months", "9 months", "12 months")
GRACE_PERIODS = ("6 months", "9 months", "12 months")
_IMMORTAL = "counts time before treatment as if treated"
_ONLY_TIME_ZERO = "leaves out what changes after time zero"
_CUT_CLONES = "cuts the weights of cloned strategies, which brings confounding back"


def specifications(
    begun: Probe,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    populations: Sequence[str] = POPULATIONS,
    methods: Sequence[str] = METHODS,
    truncations: Sequence[tuple[float, float]] | None = None,
    trims: Sequence[float] | None = None,
    landmarks: Sequence[str] | None = None,
    grace_periods: Sequence[str] | None = None,
) -> Results:
    """Answer under every combination of choices that makes sense.

    A block makes the whole curve: each covariate left out by itself, more truncations, and trimming.
    """
    whole = "specification-curve" in begun.protocol.sensitivity
    axes = Axes(
        populations=populations,
        methods=methods,
        truncations=(None, *truncations) if truncations is not None else MORE_TRUNCATIONS if whole else TRUNCATIONS,
        trims=(None, *trims) if trims is not None else MORE_TRIMS if whole else (None,),
    )
    left_out = groups if groups is not None else _singles(begun) if whole else begun.groups
    if begun.time_zero is None:
        if landmarks or grace_periods:
            raise UsageError(
                "[sensitivity.specification-curve] landmarks and grace_periods would have no effect: treatment starts at "
                "time zero. Leave them out"
            )
        yield specification_curve(begun.question, _fixed_cells(begun, left_out, axes), begun.each)
        return
    own = begun.protocol.time_zero
    marks = _parsed(landmarks) if landmarks else own.landmark or _parsed(LANDMARKS)
    periods = _parsed(grace_periods) if grace_periods else own.grace_period or _parsed(GRACE_PERIODS)
    timed = _Timed(begun=begun, cohort=begun.time_zero, left_out=left_out)
    yield specification_curve(begun.question, timed.cells(axes, marks, periods), begun.each)


def _parsed(texts: Sequence[str]) -> tuple[Duration, ...]:
    return tuple(Duration.parse(text) for text in texts)


def _singles(begun: Probe) -> dict[str, tuple[str, ...]]:
    return {**{name: (name,) for name in begun.question.covariates}, **begun.groups}


# --- arms that are fixed from time zero on --------------------------------------------------------


def _fixed_cells(begun: Probe, left_out: Mapping[str, Sequence[str]], axes: Axes) -> Iterator[Cell | Pruned]:
    question, protocol = begun.question, begun.protocol
    outcome, horizon = question.outcome, question.horizon  # what goes to other workers is small without the question
    estimate = estimator(protocol)
    sets = list(covariate_sets(_by_missing(begun), left_out, dict(_alternatives(begun))))

    def weighted(cohort: Cohort, recipe: Recipe) -> Answer:
        return estimate(cohort, outcome, weigh_by(cohort, recipe), horizon)

    def conditional(cohort: Cohort, recipe: Recipe) -> Answer:
        return conditional_answer(cohort, cohort.risk_table(outcome), recipe, protocol)

    yield Cell(
        choices=_bare(NAIVE, UNADJUSTED),
        answer=partial(estimate, question.cohort, outcome, None, horizon),
        against=("adjusts for nothing",),
    )
    yield from weighted_cells(sets, question.recipe, weighted, design=WEIGHTED, axes=axes)
    yield from _cox_cells(sets, question.recipe, conditional, COX)


def _bare(design: str, population: str) -> dict[str, Any]:
    """Return the choices of a cell that has few."""
    left = dict.fromkeys(("method", "covariates", "curves", "truncate", "trim", "missing"), "none")
    return {"design": design, "population": population, **left}


def _cox_cells(
    sets: Iterable[CovariateSet], recipe: Recipe, answer: Any, design: str, against: tuple[str, ...] = ()
) -> Iterator[Cell | Pruned]:
    """Yield Cox models given covariates: one a set, with its curves or without."""
    only = Axes(populations=(Estimand.ATE,), methods=("logistic",), truncations=(None,))
    for cell in weighted_cells(sets, recipe, answer, design=design, axes=only, against=against):
        if isinstance(cell, Pruned):
            yield cell
            continue
        choices = {**cell.choices, "population": CONDITIONAL, "method": "none"}
        yield replace(cell, choices=choices)


def _by_missing(begun: Probe) -> dict[str, Cohort]:
    """Return the patients under each rule for missing values."""
    if begun.incomplete is None or len(begun.completed) == 1:
        return {"none": begun.question.cohort}
    gaps = begun.incomplete.covariates.isna().any(axis=1).to_numpy()
    return {
        "imputed": begun.question.cohort,
        COMPLETE_CASES: begun.completed[0].take(~gaps),
        CATEGORY: missing_as_category(begun.incomplete),
    }


def _alternatives(begun: Probe) -> Iterator[tuple[str, dict[str, Cohort]]]:
    """Yield the patients with the columns of each other set that suffices under the graph."""
    for label, columns in begun.alternatives.items():
        try:
            cohort = complete(select(begun.protocol, columns), begun.protocol)[0]
        except CausalS4Error:
            continue  # a column of that set is not in the file, or not known of these patients
        yield label, {"none" if len(begun.completed) == 1 else "imputed": cohort}


# --- treatment that starts later ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """The designs for treatment that starts after time zero, from the same patients at time zero."""

    begun: Probe
    cohort: Cohort
    left_out: Mapping[str, Sequence[str]]

    def cells(
        self, axes: Axes, landmarks: Sequence[Duration], grace_periods: Sequence[Duration]
    ) -> Iterator[Cell | Pruned]:
        """Yield ever against never treated, landmarks, changing treatment and cloned strategies."""
        yield from self.ever_or_never(axes)
        for mark in landmarks:
            yield from self.landmark(axes, mark)
        yield from self.changing()
        for grace in grace_periods:
            yield from self.cloned(grace)

    @property
    def changing_columns(self) -> tuple[str, ...]:
        """Columns of the history that drive treatment and outcome."""
        return self.begun.protocol.time_zero.time_varying

    def ever_or_never(self, axes: Axes) -> Iterator[Cell | Pruned]:
        """Yield the comparisons that take ever treated as an arm from time zero on."""
        outcome, horizon = self.begun.question.outcome, self.begun.question.horizon
        estimate = estimator(self.begun.protocol)

        def weighted(cohort: Cohort, recipe: Recipe) -> Answer:
            return estimate(cohort, outcome, weigh_by(cohort, recipe), horizon)

        design = "ever against never treated"
        yield Cell(
            choices=_bare(design, UNADJUSTED),
            answer=partial(estimate, self.cohort, outcome, None, horizon),
            against=(_IMMORTAL, "adjusts for nothing"),
        )
        only = replace(axes, populations=(Estimand.ATE,), truncations=(None,), trims=(None,))
        whole = covariate_sets({"none": self.cohort}, {})
        yield from weighted_cells(
            whole, self._recipe(), weighted, design=design, axes=only, against=(_IMMORTAL, *self._stays())
        )

    def _recipe(self) -> Recipe:
        """Return the primary recipe without what is not known at time zero."""
        recipe = self.begun.question.recipe
        own = {str(name) for name in self.cohort.covariates.columns}
        used = {*recipe.splines, *recipe.log1p, *(name for pair in recipe.interactions for name in pair)}
        return replace(recipe.without(used - own, own), trim=None)

    def _stays(self) -> tuple[str, ...]:
        return (_ONLY_TIME_ZERO,) if self.changing_columns else ()

    def landmark(self, axes: Axes, mark: Duration) -> Iterator[Cell | Pruned]:
        """Yield the comparisons from a landmark on, with what is known by then and without."""
        question, protocol = self.begun.question, self.begun.protocol
        outcome, estimate = question.outcome, estimator(protocol)
        left = question.horizon - mark.to(self.cohort.time_unit)
        design = f"landmark at {mark}"
        if left <= 0:
            yield Pruned(rule="a landmark after the horizon leaves nothing to estimate")
            return

        def weighted(cohort: Cohort, recipe: Recipe) -> Answer:
            return estimate(cohort, outcome, weigh_by(cohort, recipe), left)

        for columns in dict.fromkeys((self.changing_columns, ())):
            time_zero = protocol.time_zero.model_copy(
                update={"design": Design.LANDMARK, "landmark": (mark,), "time_varying": columns}
            )
            asked = protocol.model_copy(update={"time_zero": time_zero})
            try:
                later = emulate(self.cohort, asked, outcome).cohort
            except CausalS4Error as error:
                yield Cell(choices=_bare(design, "none"), answer=partial(_refuse, error))
                continue
            complete = columns == self.changing_columns
            sets = covariate_sets({"none": later}, self.left_out if complete else {})
            if not complete:
                sets = (replace(each, label="of time zero only", against=_ONLY_TIME_ZERO) for each in sets)
            yield from weighted_cells(sets, question.recipe, weighted, design=design, axes=axes)

    def changing(self) -> Iterator[Cell | Pruned]:
        """Yield Cox models of treatment as it changes, given covariates of time zero."""
        outcome = self.begun.question.outcome
        time_zero = self.begun.protocol.time_zero.model_copy(
            update={"design": Design.TIME_DEPENDENT, "time_varying": (), "landmark": (), "grace_period": ()}
        )
        asked = self.begun.protocol.model_copy(update={"time_zero": time_zero})

        def conditional(cohort: Cohort, recipe: Recipe) -> Answer:
            table = emulate(cohort, asked, outcome).table
            return conditional_answer(cohort, table, recipe, asked, clustered=True)

        sets = covariate_sets({"none": self.cohort}, self._own_left_out())
        yield from _cox_cells(sets, self._recipe(), conditional, "treatment as it changes", self._stays())

    def _own_left_out(self) -> dict[str, tuple[str, ...]]:
        """Return what is left out, as far as it is known at time zero."""
        own = set(map(str, self.cohort.covariates.columns))
        kept = {label: tuple(name for name in names if name in own) for label, names in self.left_out.items()}
        return {label: names for label, names in kept.items() if names}

    def cloned(self, grace: Duration) -> Iterator[Cell | Pruned]:
        """Yield the cloned strategies of one grace period."""
        question, own = self.begun.question, self.begun.question.covariates
        sets = {FULL: ((), "")} | {f"without {label}": (names, LEAVES_OUT) for label, names in self.left_out.items()}
        if self.changing_columns:
            sets["of time zero only"] = (self.changing_columns, _ONLY_TIME_ZERO)
        half = Duration(grace.value / 2, grace.unit)
        cuts: tuple[tuple[float, float] | None, ...] = (None, (0.0, 0.99))
        for (label, (names, why)), timing, cut in product(sets.items(), ("density", "natural"), cuts):
            recipe = replace(self._cloning().without(names, own), truncate=cut, population=str(Estimand.ATE))
            time_zero = self.begun.protocol.time_zero.model_copy(
                update={
                    "design": Design.CLONE_CENSOR_WEIGHT,
                    "grace_period": (grace,),
                    "landmark": (),
                    "timing": timing,
                    "natural_until": half if timing == "natural" else None,
                }
            )
            asked = with_recipe(self.begun.protocol.model_copy(update={"time_zero": time_zero}), recipe)
            yield Cell(
                choices={
                    "design": f"cloned strategies, {grace}",
                    "population": recipe.population,
                    "method": f"timing: {timing}",
                    "covariates": label,
                    "curves": bool(recipe.splines),
                    "truncate": "none" if cut is None else f"{cut[0]:g} to {cut[1]:g}",
                    "trim": "none",
                    "missing": "none",
                },
                answer=partial(answer_strategies, self.cohort, asked, recipe, question.horizon),
                against=tuple(filter(None, (why, _CUT_CLONES if cut else ""))),
            )

    def _cloning(self) -> Recipe:
        return replace(self.begun.question.recipe, method="logistic", trim=None, stabilise=False)


def _refuse(error: CausalS4Error) -> Answer:
    raise error
