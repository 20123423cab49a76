"""Does the machinery find what it should? A treatment that does nothing, a covariate of noise, part of the patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from causal_s4.cohort import Cohort
from causal_s4.errors import CausalS4Error, ConvergenceError
from causal_s4.results import SensitivityResult, read_only
from causal_s4.sensitivity.question import Answer, Question

REPLICATES = 10
SHARE = 0.8
_NOISE = "random common cause"


def refute(
    question: Question, *, replicates: int = REPLICATES, share: float = SHARE, block: str = "refuter"
) -> tuple[SensitivityResult, ...]:
    """Return the three refuters of dowhy that say something about a weighted survival estimate.

    Parameters
    ----------
    question : Question
    replicates : int
        Of each.
    share : float
        Of the patients that the subset keeps.

    Returns
    -------
    tuple of SensitivityResult
        ``value`` is the geometric mean of the hazard ratios, ``lower`` and ``upper`` the least and the
        largest. ``table`` has one row a replicate.

    Notes
    -----
    After dowhy's placebo treatment, random common cause and data subset refuters, made with this study's
    own weights and estimator. The placebo is drawn from the propensity score, so that who is treated keeps
    its relation to the covariates; permuting treatment among all patients would test nothing, and permuting
    it within tenths of the score leaves confounding within them.
    """
    estimate = question.answered.hazard_ratio.value
    return (
        _refuter(
            question,
            "placebo treatment",
            _placebo,
            replicates,
            (block, 0),
            direction="hazard ratios of a placebo should lie about 1",
            assumptions=(
                "can show an error of the code or of the propensity model, which would give a treatment that does "
                "nothing an effect",
                "cannot show confounding by what was not measured: the drawn treatment does not know it",
            ),
        ),
        _refuter(
            question,
            _NOISE,
            _noise,
            replicates,
            (block, 1),
            direction=f"the hazard ratio should stay at {estimate:.2f}",
            assumptions=(
                "can show an estimate that hangs on how many terms the model has, as with few treated patients",
                "cannot show confounding: the added covariate is noise and causes nothing",
            ),
        ),
        _refuter(
            question,
            "data subset",
            lambda cohort, answer, generator: _subset(cohort, generator, share),
            replicates,
            (block, 2),
            direction=f"the hazard ratios should scatter about {estimate:.2f}, a little wider than its interval says",
            assumptions=(
                "can show an estimate that hangs on few patients with large weights",
                "cannot show confounding: every subset is confounded alike",
            ),
            share=share,
        ),
    )


Change = Callable[[Cohort, Answer, np.random.Generator], Cohort]


def _refuter(
    question: Question,
    name: str,
    change: Change,
    replicates: int,
    key: tuple[str, int],
    *,
    direction: str,
    assumptions: tuple[str, ...],
    **parameters: Any,
) -> SensitivityResult:
    rows: list[dict[str, Any]] = []
    for number in range(replicates):
        generator = np.random.default_rng(question.stream(*key, number))
        cohort = change(question.cohort, question.answered, generator)
        recipe = question.recipe
        if recipe.covariates is not None and _NOISE in cohort.covariates.columns:
            recipe = replace(recipe, covariates=(*recipe.covariates, _NOISE))
        try:
            ratio = question.answer(cohort, recipe).hazard_ratio
        except CausalS4Error:
            continue
        rows.append(
            {
                "replicate": number + 1,
                "value": ratio.value,
                "lower": ratio.lower,
                "upper": ratio.upper,
                "covers_one": ratio.lower <= 1 <= ratio.upper,
            }
        )
    if not rows:
        raise ConvergenceError(f"no replicate of the refuter {name!r} could be estimated")
    values = np.array([row["value"] for row in rows])
    return SensitivityResult(
        method="refuter",
        target=question.target("hazard ratio", question.horizon),
        parameters={
            "refuter": name,
            "replicates": replicates,
            "estimated": len(rows),
            "share_covering_one": float(np.mean([row["covers_one"] for row in rows])),
            **parameters,
        },
        value=float(np.exp(np.log(values).mean())),
        lower=float(values.min()),
        upper=float(values.max()),
        unit="hazard ratio",
        direction=direction,
        assumptions=assumptions,
        table=tuple(rows),
    )


def _placebo(cohort: Cohort, answer: Answer, generator: np.random.Generator) -> Cohort:
    """Draw who is treated anew from the propensity score; patients trimmed away keep their arm."""
    score = answer.weights.propensity
    chance = np.full(len(cohort), cohort.treatment.mean()) if score is None else score
    drawn = generator.random(len(cohort)) < np.nan_to_num(chance)
    treatment = np.where(np.isnan(chance), cohort.treatment, drawn).astype(np.int64)
    return replace(cohort, treatment=read_only(treatment))


def _noise(cohort: Cohort, answer: Answer, generator: np.random.Generator) -> Cohort:
    return replace(cohort, covariates=cohort.covariates.assign(**{_NOISE: generator.standard_normal(len(cohort))}))


def _subset(cohort: Cohort, generator: np.random.Generator, share: float) -> Cohort:
    return cohort.take(generator.permutation(len(cohort)) < round(share * len(cohort)))
