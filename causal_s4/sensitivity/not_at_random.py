"""What if values are missing because of what they would have been? Imputed values moved by a little, and by more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from causal_s4.cohort import Cohort
from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.question import Question, pooled

SHIFTS = (-1.0, 1.0)
TOGETHER = "all of them together"

Imputer = Callable[[Mapping[str, float]], Sequence[Cohort]]
"""Shift of imputed values by covariate to completed data sets."""


def missing_not_at_random(
    question: Question, impute: Imputer, incomplete: Sequence[str], *, shifts: Sequence[float] = SHIFTS
) -> SensitivityResult:
    """Return the estimate with imputed values moved: a pattern mixture.

    Parameters
    ----------
    question : Question
    impute : callable
        Shift of imputed values by covariate to completed data sets; without a shift, missing at random.
    incomplete : sequence of str
        Covariates with missing values.
    shifts : sequence of float
        Numbers are moved by so many standard deviations; the log odds of the later level by so much.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a covariate and shift, pooled over the completed data sets.

    Notes
    -----
    Carpenter & Kenward 2013, 10.1002/9781119942283, chapter 10.
    """
    names = [*incomplete, *([TOGETHER] if len(incomplete) > 1 else [])]
    moves = [
        (name, float(size), dict.fromkeys(incomplete if name == TOGETHER else [name], float(size)))
        for name in names
        for size in shifts
    ]
    rows: list[dict[str, Any]] = []
    for name, size, shift in [("none", 0.0, {}), *moves]:
        answers = [question.answer(cohort) for cohort in impute(shift)]
        rows.append({"covariate": name, "shift": size, **pooled(answers, question.level)})
    return question.table_of(
        "missing not at random",
        rows,
        parameters={"incomplete": list(incomplete), "shifts": [float(each) for each in shifts]},
        direction="either way: up or down as the patients without a value were really worse or better than those like them",
        assumptions=(
            "values that are missing differ from those of like patients by the shift, in both arms alike",
            "a shift of numbers is in standard deviations; of levels it is on the log odds of the later level",
        ),
    )
