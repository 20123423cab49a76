"""Does the answer hang on one choice? Every combination of choices that makes sense, sorted by its estimate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from statistics import median
from typing import Any

import pandas as pd

from causal_s4.cohort import Cohort
from causal_s4.errors import CausalS4Error
from causal_s4.protocol.methods import check_weighting, stabilised, weighting_method
from causal_s4.protocol.vocabulary import Estimand
from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.question import Answer, Question, Recipe

FEWEST = 20.0
FULL = "all"
COMPLETE_CASES = "complete cases"
CATEGORY = "missing as a category"
LEAVES_OUT = "leaves out a covariate of the adjustment set"
POPULATIONS = (Estimand.ATE, Estimand.ATT, Estimand.ATO, Estimand.ATM)
METHODS = ("logistic", "entropy-balancing")
TRUNCATIONS: tuple[tuple[float, float] | None, ...] = (None, (0.01, 0.99))
MORE_TRUNCATIONS = (*TRUNCATIONS, (0.0, 0.99), (0.025, 0.975))
MORE_TRIMS: tuple[float | None, ...] = (None, 0.025, 0.05, 0.1)
_BOUNDED = (Estimand.ATO, Estimand.ATM)
_MARK = " missing"
_UNLIKE = {
    COMPLETE_CASES: "leaves out patients with a missing value",
    CATEGORY: "a category for missing values need not remove what they confound",
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination of choices.

    Parameters
    ----------
    choices : mapping
        Axis to the choice made.
    answer : callable
        Makes the estimate.
    against : tuple of str
        Why it is shown but not counted, whatever it finds; empty when it is admissible.
    """

    choices: Mapping[str, Any]
    answer: Callable[[], Answer]
    against: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A combination that nobody would make, and the rule that says so."""

    rule: str


@dataclass(frozen=True, kw_only=True)
class CovariateSet:
    """Covariates to adjust for.

    Parameters
    ----------
    label : str
    columns : tuple of str
    cohorts : mapping of str to Cohort
        Rule for missing values to the patients under it.
    against : str
        Why an estimate with them is not counted; empty for a set that suffices under the graph.
    """

    label: str
    columns: tuple[str, ...]
    cohorts: Mapping[str, Cohort]
    against: str = ""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What is varied of the weights.

    Parameters
    ----------
    populations, methods : sequence of str
    truncations : sequence of (float, float) or None
        Quantiles at which weights are cut; None leaves them.
    trims : sequence of float or None
        Distance from 0 and 1 of the propensity score at which patients are left out; None leaves nobody out.
    """

    populations: Sequence[str] = POPULATIONS
    methods: Sequence[str] = METHODS
    truncations: Sequence[tuple[float, float] | None] = TRUNCATIONS
    trims: Sequence[float | None] = field(default=(None,))


def covariate_sets(
    cohorts: Mapping[str, Cohort],
    left_out: Mapping[str, Sequence[str]],
    alternatives: Mapping[str, Mapping[str, Cohort]] | None = None,
) -> Iterator[CovariateSet]:
    """Yield the whole set, the graph's other sets that suffice, and the whole set without some covariates.

    Parameters
    ----------
    cohorts : mapping of str to Cohort
        Rule for missing values to the patients under it, with the covariates of the adjustment set.
    left_out : mapping of str to sequence of str
        Label to covariates left out together.
    alternatives : mapping of str to mapping of str to Cohort, optional
        Label of another sufficient set to the patients with its covariates, by rule for missing values.
    """
    first = next(iter(cohorts.values()))
    whole = tuple(str(name) for name in first.covariates.columns)
    yield CovariateSet(label=FULL, columns=whole, cohorts=cohorts)
    for label, own in (alternatives or {}).items():
        columns = tuple(str(name) for name in next(iter(own.values())).covariates.columns)
        yield CovariateSet(label=label, columns=columns, cohorts=own)
    for label, names in left_out.items():
        rest = tuple(name for name in whole if name not in set(names))
        yield CovariateSet(label=f"without {label}", columns=rest, cohorts=cohorts, against=LEAVES_OUT)


def weighted_cells(
    sets: Iterable[CovariateSet],
    recipe: Recipe,
    answer: Callable[[Cohort, Recipe], Answer],
    *,
    design: str,
    axes: Axes,
    against: tuple[str, ...] = (),
) -> Iterator[Cell | Pruned]:
    """Yield the ways to weight arms that are fixed from some time on, each once.

    Parameters
    ----------
    sets : iterable of CovariateSet
    recipe : Recipe
        The primary one: its splines, logarithms and interactions are kept, or dropped as one choice.
    answer : callable
        Cohort and recipe to an answer.
    design : str
        Label of the design.
    axes : Axes
    against : tuple of str
        Why none of these cells is admissible.
    """
    seen: set[str] = set()
    curved = (True, False) if recipe.splines or recipe.interactions else (False,)
    # a study's own method is one of the choices, whichever they are
    methods = list(dict.fromkeys((*axes.methods, recipe.method)))
    for each, population, method, curves, cut, trim in product(
        sets, axes.populations, methods, curved, axes.truncations, axes.trims
    ):
        rule = _rule(each, population, method, cut, trim)
        if rule:
            yield Pruned(rule=rule)
            continue
        made = replace(
            recipe,
            population=str(population),
            method=method,
            truncate=cut,
            trim=trim,
            stabilise=weighting_method(method).propensity_score and stabilised(str(population), None),
            splines={name: knots for name, knots in recipe.splines.items() if curves and name in each.columns},
            interactions=tuple(pair for pair in recipe.interactions if curves and set(pair) <= set(each.columns)),
            log1p=tuple(name for name in recipe.log1p if name in each.columns),
            covariates=each.columns,
        )
        if repr(made) in seen:  # nothing of what the choice changes is left in this set
            continue
        seen.add(repr(made))
        for missing, cohort in each.cohorts.items():
            yield Cell(
                choices={
                    "design": design,
                    "population": str(population),
                    "method": method,
                    "covariates": each.label,
                    "curves": curves,
                    "truncate": "none" if cut is None else f"{cut[0]:g} to {cut[1]:g}",
                    "trim": "none" if trim is None else f"{trim:g}",
                    "missing": missing,
                },
                answer=partial(answer, cohort, made if missing != CATEGORY else _with_category(made, cohort)),
                against=(*against, *filter(None, (each.against, _UNLIKE.get(missing, "")))),
            )


def _rule(each: CovariateSet, population: str, method: str, cut: tuple[float, float] | None, trim: float | None) -> str:
    """Return why a combination makes no sense; empty when it does."""
    if not each.columns:
        return "no covariate is left to adjust for"
    problems = check_weighting(population, method, None, cut, trim)
    if problems:
        return problems[0].found
    if population in _BOUNDED and (cut is not None or trim is not None):
        return "overlap and matching weights are bounded: there is nothing extreme to cut or to trim"
    if cut is not None and trim is not None:
        return "weights are cut or patients are trimmed, one remedy at a time"
    return ""


def _with_category(recipe: Recipe, cohort: Cohort) -> Recipe:
    """Return the recipe with the columns that say what was missing."""
    assert recipe.covariates is not None
    own = set(recipe.covariates)
    more = [
        str(name)
        for name in cohort.covariates.columns
        if str(name).endswith(_MARK) and str(name).removesuffix(_MARK) in own
    ]
    return replace(recipe, covariates=(*recipe.covariates, *more))


def missing_as_category(cohort: Cohort) -> Cohort:
    """Return a cohort whose missing levels are a level, and whose missing numbers are the median with a mark.

    Parameters
    ----------
    cohort : Cohort
        Covariates may lack values.
    """
    columns: dict[str, Any] = {}
    for name in cohort.covariates.columns:
        column = cohort.covariates[name]
        gap = column.isna()
        if not gap.any():
            columns[str(name)] = column
        elif isinstance(column.dtype, pd.CategoricalDtype):
            columns[str(name)] = column.cat.add_categories("missing").fillna("missing")
        else:
            columns[str(name)] = column.astype(float).fillna(float(column.median()))
            columns[f"{name}{_MARK}"] = gap.astype(float)
    return replace(cohort, covariates=pd.DataFrame(columns))


Row = dict[str, Any]
Each = Callable[[Callable[[Cell], Row], Sequence[Cell]], list[Row]]
"""Does something to each of several, here or elsewhere: their answers in order."""


def one_after_another(function: Callable[[Cell], Row], cells: Sequence[Cell]) -> list[Row]:
    """Do something to each of several cells, here."""
    return [function(cell) for cell in cells]


def specification_curve(
    question: Question, cells: Iterable[Cell | Pruned], each: Each = one_after_another
) -> SensitivityResult:
    """Return the estimate of every combination of choices that makes sense.

    Parameters
    ----------
    question : Question
        The primary estimate.
    cells : iterable of Cell or Pruned
    each : callable
        Makes the row of each cell, so that others can share the work.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a cell, sorted by its hazard ratio, with the choices made, whether the cell is
        ``admissible`` and why not. ``value`` is the median of the admissible cells, ``lower`` and ``upper``
        their least and largest; ``parameters`` counts cells, the share of admissible ones whose interval
        excludes 1, and the combinations that each rule pruned.

    Notes
    -----
    Steegen et al. 2016, 10.1177/1745691616658637; Simonsohn et al. 2020, 10.1038/s41562-020-0912-z. No test
    is made of the curve as a whole: its cells are the same patients over and over.
    """
    combinations = list(cells)
    pruned = Counter(cell.rule for cell in combinations if isinstance(cell, Pruned))
    names = tuple(question.answered.cells())  # and not the question itself, which would go to every worker
    rows = each(partial(_row, names), [cell for cell in combinations if isinstance(cell, Cell)])
    done = sorted((row for row in rows if row["value"] is not None), key=lambda row: float(row["value"]))
    failed = [row for row in rows if row["value"] is None]
    admissible = [row for row in done if row["admissible"]]
    values = [float(row["value"]) for row in admissible]
    excluding = sum(bool(row["excludes_one"]) for row in admissible)
    return SensitivityResult(
        method="specification curve",
        target=question.target("hazard ratio", question.horizon),
        parameters={
            "cells": len(rows),
            "estimated": len(done),
            "not_possible": len(failed),
            "admissible": len(admissible),
            "excluding_one": excluding,
            "share_excluding_one": excluding / len(admissible) if admissible else None,
            "share_of_all_excluding_one": sum(bool(row["excludes_one"]) for row in done) / len(done) if done else None,
            "rule": (
                "admissible: a set that suffices under the graph, a design that counts time as it was, nobody left out "
                f"for a missing value, and both arms worth at least {FEWEST:g} patients after weighting"
            ),
            "pruned": dict(sorted(pruned.items())),
        },
        value=median(values) if values else None,
        lower=min(values, default=None),
        upper=max(values, default=None),
        unit="hazard ratio",
        direction="either way",
        assumptions=(
            "every admissible cell adjusts for a set that suffices under the graph; the others are shown beside them, for "
            "what they are",
            "cells share patients: their agreement is no replication, and what all of them leave unmeasured biases all",
            "populations differ, and so may their effects; a hazard ratio given covariates is no marginal one",
        ),
        table=tuple({"rank": rank, **row} for rank, row in enumerate([*done, *failed], start=1)),
    )


def _row(names: Sequence[str], cell: Cell) -> Row:
    try:
        answer = cell.answer()
    except CausalS4Error as error:
        empty = {**dict.fromkeys(names), "excludes_one": None}
        return {**cell.choices, **empty, "admissible": False, "note": error.message}
    ratio, reasons = answer.hazard_ratio, [*cell.against]
    if min(answer.ess_treated, answer.ess_control) < FEWEST:
        reasons.append(f"an arm is worth fewer than {FEWEST:g} patients")
    return {
        **cell.choices,
        **answer.cells(),
        "excludes_one": not ratio.lower <= 1 <= ratio.upper,
        "admissible": not reasons,
        "note": "; ".join(reasons),
    }
