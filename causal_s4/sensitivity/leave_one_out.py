"""What did each measured covariate do to the estimate? A benchmark for confounders that were not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from causal_s4.errors import CausalS4Error
from causal_s4.protocol.vocabulary import Measure
from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.e_value import observed_covariate_evalue
from causal_s4.sensitivity.question import Answer, Estimate, Question

ALL_TOGETHER = "all measured covariates"
_ASSUMPTIONS = (
    "what an unmeasured confounder would do is held against what a measured one does beside the others; nothing says "
    "that the unmeasured one is as strong, or weaker",
    "a covariate that the others stand in for moves little when it alone is left out",
)


def leave_one_out(
    question: Question, *, groups: Mapping[str, Sequence[str]] | None = None, outcome: str = "common"
) -> SensitivityResult:
    """Return the estimate with each covariate, the two strongest, and groups of them left out of the weights.

    Parameters
    ----------
    question : Question
    groups : mapping of str to sequence of str, optional
        Label to covariates that are left out together.
    outcome : {"common", "rare"}
        For the observed-covariate E-value.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a covariate or group: the estimate without it, ``moved_by`` (the factor by
        which leaving it out multiplies the hazard ratio) and ``e_value`` (the E-value of how far the
        limit nearer one moved). ``parameters["sentence"]`` says what the single one that moved it most did.

    Notes
    -----
    D'Agostino McGowan & Greevy 2020, arXiv:2011.07030.
    """
    singles = [_row(question, name, (name,), outcome) for name in question.covariates]
    together: dict[str, Sequence[str]] = {label: tuple(names) for label, names in (groups or {}).items()}
    if len(question.covariates) > 2:
        pair = sorted(_strongest_two(singles), key=question.covariates.index)
        together.setdefault(" and ".join(pair), pair)
    rows = [*singles, *(_row(question, label, names, outcome) for label, names in together.items())]
    strongest = max((row for row in singles if row["moved_by"] is not None), key=_moved, default=None)
    if len(question.covariates) > 1:
        rows.append(_row(question, ALL_TOGETHER, question.covariates, outcome))
    parameters: dict[str, Any] = {"outcome": outcome}
    if strongest is not None:
        parameters |= {
            "sentence": sentence(question, strongest),
            "strongest": strongest["covariate"],
            "estimate": question.answered.hazard_ratio.value,
            "estimate_without": strongest["value"],
        }
    return question.table_of(
        "leave one out",
        rows,
        parameters=parameters,
        direction=_direction(strongest),
        assumptions=_ASSUMPTIONS,
    )


def _moved(row: Mapping[str, Any]) -> float:
    return 0.0 if row["moved_by"] is None else abs(math.log(row["moved_by"]))


def _strongest_two(singles: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(row["covariate"]) for row in sorted(singles, key=_moved, reverse=True)[:2]]


def sentence(question: Question, row: Mapping[str, Any]) -> str:
    """Say what an unmeasured confounder as strong as a measured covariate would do."""
    now, then = question.answered.hazard_ratio.value, row["value"]
    return (
        f"Leaving {row['covariate']} out moves the hazard ratio from {now:.2f} to {then:.2f}. An unmeasured confounder "
        f"as strong as {row['covariate']} would move it from {now:.2f} to {now * now / then:.2f} if it acts the same "
        f"way, and to {then:.2f} if it acts the other way."
    )


def _direction(strongest: Mapping[str, Any] | None) -> str:
    if strongest is None:
        return "none: nothing was adjusted for"
    way = "raises" if strongest["moved_by"] > 1 else "lowers"
    return (
        f"leaving {strongest['covariate']} out {way} the hazard ratio; adjusting for more of its kind does the opposite"
    )


def _row(question: Question, label: str, names: Sequence[str], outcome: str) -> dict[str, Any]:
    recipe = question.recipe.without(names, question.covariates)
    full = question.answered.hazard_ratio
    try:
        answer: Answer = question.answer(recipe=recipe)
    except CausalS4Error as error:
        empty = dict.fromkeys(question.answered.cells())
        return {"covariate": label, **empty, "moved_by": None, "e_value": None, "note": error.message}
    reduced = answer.effects[Measure.HAZARD_RATIO]
    e_value = observed_covariate_evalue(
        limit=nearer_one(full, full.value), limit_without=nearer_one(reduced, full.value), outcome=outcome
    ).value
    return {"covariate": label, **answer.cells(), "moved_by": reduced.value / full.value, "e_value": e_value}


def nearer_one(estimate: Estimate, value: float) -> float:
    """Return the limit on the side of one that the primary estimate is compared with."""
    return estimate.upper if value < 1 else estimate.lower
