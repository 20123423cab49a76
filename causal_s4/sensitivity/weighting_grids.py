"""Does the answer hang on the weights? Other truncations, other trimmings, other populations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from causal_s4.protocol.methods import check_weighting, stabilised
from causal_s4.protocol.vocabulary import Estimand
from causal_s4.results import Floats, SensitivityResult
from causal_s4.sensitivity.question import Question, Recipe

TRUNCATIONS: tuple[tuple[float, float], ...] = ((0.0, 0.995), (0.0, 0.99), (0.01, 0.99), (0.025, 0.975), (0.05, 0.95))
TRIMMINGS = (0.01, 0.025, 0.05, 0.1, 0.15)


def truncation_grid(question: Question, *, quantiles: Sequence[tuple[float, float]] = TRUNCATIONS) -> SensitivityResult:
    """Return the estimate with the weights cut at other quantiles, and uncut.

    Parameters
    ----------
    question : Question
    quantiles : sequence of (float, float)
        Lower and upper quantile.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a pair with ``cut``, the number of weights cut.
    """
    rows: list[dict[str, Any]] = []
    for pair in (None, *quantiles):
        recipe = replace(question.recipe, truncate=pair)
        labels: dict[str, Any] = {
            "lower_quantile": pair[0] if pair else 0.0,
            "upper_quantile": pair[1] if pair else 1.0,
        }
        rows.append(question.row(labels, recipe=recipe, more=lambda answer: {"cut": answer.weights.truncated}))
    return question.table_of(
        "truncation grid",
        rows,
        parameters={"primary": "none" if question.recipe.truncate is None else list(question.recipe.truncate)},
        direction="cutting weights moves the estimate towards the unweighted comparison, and its interval inwards",
        assumptions=("a cut weight no longer balances: what is gained in precision is paid in confounding",),
    )


def trimming_grid(question: Question, *, bounds: Sequence[float] = TRIMMINGS) -> SensitivityResult:
    """Return the estimate among patients whose propensity score lies away from 0 and 1.

    Parameters
    ----------
    question : Question
    bounds : sequence of float
        Patients with a score within this distance of 0 or 1 are left out, and the score is refitted.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a bound with ``left_out``, the number of patients left out.
    """
    rows: list[dict[str, Any]] = []
    for bound in (None, *bounds):
        recipe = replace(question.recipe, trim=bound)
        labels = {"trim": 0.0 if bound is None else float(bound)}
        rows.append(question.row(labels, recipe=recipe, more=lambda answer: {"left_out": answer.weights.trimmed}))
    return question.table_of(
        "trimming grid",
        rows,
        parameters={"primary": "none" if question.recipe.trim is None else question.recipe.trim},
        direction="either way: each row speaks about other patients",
        assumptions=("the effect of a row is that of the patients who stayed, and no longer that of the population",),
    )


def estimand_switch(
    question: Question, *, populations: Sequence[str] = tuple(Estimand)
) -> tuple[SensitivityResult, ...]:
    """Return the estimate for every population, and who each population is.

    Parameters
    ----------
    question : Question
    populations : sequence of str

    Returns
    -------
    tuple of SensitivityResult
        First the estimates with their effective sample sizes; then, one row a covariate, its mean (or the
        share with a level) among all patients and in each weighted population.
    """
    rows, means = [], {"everyone": _means(question.cohort.covariates, np.ones(len(question.cohort)))}
    for population in populations:
        recipe = replace(
            question.recipe,
            population=str(population),
            method=question.recipe.of_score,
            trim=None,
            stabilise=stabilised(str(population), None),
        )
        row = question.row(
            {"population": str(population), "speaks_about": Estimand(population).describes}, recipe=recipe
        )
        rows.append(row)
        if row["value"] is not None:
            means[str(population)] = _means(question.cohort.covariates, question.weigh(question.cohort, recipe).values)
    switch = question.table_of(
        "estimand switch",
        rows,
        parameters={"primary": question.recipe.population},
        direction="none: each population has an effect of its own, and the effects differ where treatment does not work "
        "alike in everybody",
        assumptions=("the propensity model is right over the whole range that the population needs",),
    )
    who = SensitivityResult(
        method="estimand switch",
        target={"outcome": question.outcome, "measure": "who each population is"},
        parameters={"shown": "weighted mean, or share with the level"},
        direction="none: a description",
        assumptions=("the means of the two arms together under the weights",),
        table=tuple(
            {"covariate": name, **{label: of[name] for label, of in means.items()}} for name in means["everyone"]
        ),
    )
    return switch, who


def _means(covariates: pd.DataFrame, weight: Floats) -> dict[str, float]:
    share = weight / weight.sum()
    found: dict[str, float] = {}
    for name in covariates.columns:
        column = covariates[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            found |= {f"{name}={level}": float(share @ (column == level)) for level in column.cat.categories}
        else:
            found[str(name)] = float(share @ column.to_numpy(dtype=float))
    return found


def can_truncate(recipe: Recipe) -> bool:
    """Whether weights of this recipe may be cut at all."""
    return not check_weighting(recipe.population, recipe.method, None, (0.01, 0.99), recipe.trim)


def can_trim(recipe: Recipe) -> bool:
    """Whether patients may be left out by their propensity score."""
    return not check_weighting(recipe.population, recipe.method, None, recipe.truncate, 0.05)
