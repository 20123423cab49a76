"""Does the answer hang on one choice? Every reasonable combination of them, sorted by its estimate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from statistics import median
from typing import Any

from causal_s4.cohort import Cohort
from causal_s4.errors import CausalS4Error
from causal_s4.protocol.methods import check_weighting, stabilised
from causal_s4.protocol.vocabulary import Estimand
from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.question import Question, Recipe

FEWEST = 20.0
FULL = "all"
COMPLETE_CASES = "complete cases"
POPULATIONS = (Estimand.ATE, Estimand.ATT, Estimand.ATO, Estimand.ATM)
METHODS = ("logistic", "entropy-balancing")
TRUNCATIONS: tuple[tuple[float, float] | None, ...] = (None, (0.01, 0.99))
MORE_TRUNCATIONS = (*TRUNCATIONS, (0.0, 0.99), (0.025, 0.975))
MORE_TRIMS: tuple[float | None, ...] = (None, 0.025, 0.05, 0.1)
_BOUNDED = (Estimand.ATO, Estimand.ATM)


def specification_curve(
    question: Question,
    *,
    left_out: Mapping[str, Sequence[str]] | None = None,
    populations: Sequence[str] = POPULATIONS,
    methods: Sequence[str] = METHODS,
    truncations: Sequence[tuple[float, float] | None] = TRUNCATIONS,
    trims: Sequence[float | None] = (None,),
    complete_cases: Cohort | None = None,
) -> SensitivityResult:
    """Return the estimate of every combination of choices that makes sense.

    Parameters
    ----------
    question : Question
    left_out : mapping of str to sequence of str, optional
        Label to covariates left out of the model; each covariate by itself when not given.
    populations, methods : sequence of str
    truncations : sequence of (float, float) or None
        Quantiles at which weights are cut; None leaves them.
    trims : sequence of float or None
    complete_cases : Cohort, optional
        Patients without a gap, where the question's cohort has imputed values.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a cell, sorted by its hazard ratio, with the choices made, whether the cell is
        ``admissible`` and why not. ``value`` is the median of the admissible cells, ``lower`` and ``upper``
        their least and largest; ``parameters`` counts cells and the share of admissible ones whose interval
        excludes 1.

    Notes
    -----
    Steegen et al. 2016, 10.1177/1745691616658637; Simonsohn et al. 2020, 10.1038/s41562-020-0912-z. No test
    is made of the curve as a whole: its cells are the same patients over and over.
    """
    sets: dict[str, tuple[str, ...]] = {FULL: ()}
    given = {name: (name,) for name in question.covariates} if left_out is None else left_out
    sets |= {f"without {label}": tuple(names) for label, names in given.items()}
    cohorts: dict[str, Cohort | None] = {"none" if complete_cases is None else "imputed": None}
    if complete_cases is not None:
        cohorts[COMPLETE_CASES] = complete_cases
    rows = [
        _cell(question, {**labels, "missing": rule}, recipe, cohort)
        for labels, recipe in _cells(question, sets, populations, methods, truncations, trims)
        for rule, cohort in cohorts.items()
    ]
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
                "admissible: the whole adjustment set, nobody left out for a missing value, and both arms worth at least "
                f"{FEWEST:g} patients after weighting"
            ),
        },
        value=median(values) if values else None,
        lower=min(values, default=None),
        upper=max(values, default=None),
        unit="hazard ratio",
        direction="either way",
        assumptions=(
            "every admissible cell adjusts for a set that suffices under the graph; cells without a covariate are shown "
            "beside them, for what they are",
            "cells share patients: their agreement is no replication, and what all of them leave unmeasured biases all",
            "populations differ, and so may their effects",
        ),
        table=tuple({"rank": rank, **row} for rank, row in enumerate([*done, *failed], start=1)),
    )


def _cells(
    question: Question,
    sets: Mapping[str, tuple[str, ...]],
    populations: Sequence[str],
    methods: Sequence[str],
    truncations: Sequence[tuple[float, float] | None],
    trims: Sequence[float | None],
) -> Iterator[tuple[dict[str, Any], Recipe]]:
    """Yield the combinations that make sense, each once."""
    seen: set[str] = set()
    curved = (True, False) if question.recipe.splines or question.recipe.interactions else (False,)
    for population, method, label, curves, cut, trim in product(populations, methods, sets, curved, truncations, trims):
        # overlap and matching weights cannot be extreme: cutting them is no choice anybody has to make
        bounded = population in _BOUNDED and (cut is not None or trim is not None)
        if bounded or (cut is not None and trim is not None):
            continue
        if check_weighting(population, method, None, cut, trim):
            continue
        recipe = replace(
            question.recipe,
            population=str(population),
            method=method,
            truncate=cut,
            trim=trim,
            stabilise=method == "logistic" and stabilised(str(population), None),
        ).without(sets[label], question.covariates)
        if not curves:
            recipe = replace(recipe, splines={}, interactions=())
        if not recipe.covariates or repr(recipe) in seen:
            continue
        seen.add(repr(recipe))
        yield (
            {
                "population": str(population),
                "method": method,
                "covariates": label,
                "curves": curves,
                "truncate": "none" if cut is None else f"{cut[0]:g} to {cut[1]:g}",
                "trim": 0.0 if trim is None else float(trim),
            },
            recipe,
        )


def _cell(question: Question, labels: dict[str, Any], recipe: Recipe, cohort: Cohort | None) -> dict[str, Any]:
    try:
        answer = question.answer(cohort, recipe)
    except CausalS4Error as error:
        empty = {**dict.fromkeys(question.answered.cells()), "excludes_one": None}
        return {**labels, **empty, "admissible": False, "note": error.message}
    ratio = answer.hazard_ratio
    reasons = []
    if labels["covariates"] != FULL:
        reasons.append("leaves out a covariate of the adjustment set")
    if labels["missing"] == COMPLETE_CASES:
        reasons.append("leaves out patients with a missing value")
    if min(answer.ess_treated, answer.ess_control) < FEWEST:
        reasons.append(f"an arm is worth fewer than {FEWEST:g} patients")
    return {
        **labels,
        **answer.cells(),
        "excludes_one": not ratio.lower <= 1 <= ratio.upper,
        "admissible": not reasons,
        "note": "; ".join(reasons),
    }
