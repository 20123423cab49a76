"""What if a covariate was recorded wrongly? Record-level probabilistic correction of a yes-or-no covariate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from causal_s4.design_matrix import build_design_matrix
from causal_s4.errors import ConvergenceError, Problem, QuestionError, UsageError
from causal_s4.kernels.firth import expit
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.kernels.weak_prior import Posterior, standardised
from causal_s4.results import Floats, SensitivityResult
from causal_s4.sensitivity.question import Answer, Question, pooled

_TRIES = 20


def misclassification(
    question: Question,
    *,
    column: str,
    sensitivity: float,
    specificity: float,
    patients: float = 100.0,
    level: str | None = None,
    imputations: int = 50,
    block: str = "misclassification",
) -> SensitivityResult:
    """Return the estimate had a covariate been recorded without error.

    Parameters
    ----------
    question : Question
    column : str
        A covariate with two values.
    sensitivity, specificity : float
        Chance that a patient who has it is recorded so, and that one who has not is recorded so.
    patients : float
        How well these are known: as if counted in so many patients.
    level : str, optional
        For text: the level that means yes; the last by default.
    imputations : int
        Completed data sets.

    Returns
    -------
    SensitivityResult
        ``table`` has the estimate as recorded and as corrected; ``parameters["rejected"]`` counts draws of
        sensitivity and specificity that the recorded frequencies rule out.

    Raises
    ------
    UsageError
        When the column is no covariate with two values, or a number cannot be.
    QuestionError
        When the recorded frequencies rule out nearly every draw.

    Notes
    -----
    The true value is drawn by Bayes' theorem given the record and a logistic model of the true value on arm,
    event, cumulative hazard and the other covariates, fitted to a resample by the likelihood of the record, with a
    weak normal prior: a resample that separates the patients is no reason to draw another. Fox, Lash & Greenland
    2005, 10.1093/ije/dyi184; Carroll et al. 2006, 10.1201/9781420010138.
    """
    recorded, yes, no = _two_values(question, column, level)
    _check(sensitivity, specificity, patients, imputations)
    design = _design(question, column)
    answers: list[Answer] = []
    rejected, number = 0, 0
    while len(answers) < imputations:
        if number > _TRIES * imputations:
            raise QuestionError(
                f"the recorded frequencies of {column} rule out nearly every draw with sensitivity {sensitivity:g} and "
                f"specificity {specificity:g} ({rejected} rejected); one of them is too low"
            )
        generator = np.random.default_rng(question.stream(block, number))
        number += 1
        se, sp = (generator.beta(patients * mean, patients * (1 - mean)) for mean in (sensitivity, specificity))
        chance = _chance(recorded, design, float(se), float(sp), generator)
        if chance is None:
            rejected += 1
            continue
        truth = generator.random(recorded.size) < chance
        covariates = question.cohort.covariates.assign(**{column: _written(question, column, truth, yes, no)})
        try:
            answers.append(question.answer(replace(question.cohort, covariates=covariates)))
        except ConvergenceError:
            rejected += 1
    rows: list[dict[str, Any]] = [
        question.row({"covariate": f"{column} as recorded"}),
        {"covariate": f"{column} corrected", **pooled(answers, question.level)},
    ]
    return question.table_of(
        "misclassification",
        rows,
        parameters={
            "column": column,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "patients": patients,
            "imputations": imputations,
            "rejected": rejected,
        },
        direction="either way; errors that do not depend on treatment leave some of its confounding in",
        assumptions=(
            "sensitivity and specificity are the same in both arms and whatever the outcome",
            "the logistic model of the true value is right",
        ),
    )


def _check(sensitivity: float, specificity: float, patients: float, imputations: int) -> None:
    problems = [
        Problem(where=name, found=f"found {value:g}", expected="between 0.5 and 1, both excluded")
        for name, value in (("sensitivity", sensitivity), ("specificity", specificity))
        if not 0.5 < value < 1
    ]
    if not patients > 0:
        problems.append(Problem(where="patients", found=f"found {patients:g}", expected="above 0"))
    if imputations < 2:
        problems.append(Problem(where="imputations", found=f"found {imputations}", expected="at least 2"))
    if problems:
        raise UsageError("a misclassified covariate cannot be corrected with these numbers", problems)


def _two_values(question: Question, column: str, level: str | None) -> tuple[np.ndarray, Any, Any]:
    if column not in question.covariates:
        raise UsageError(f"{column!r} is no covariate of the weights; expected one of {', '.join(question.covariates)}")
    values = question.cohort.covariates[column]
    levelled = isinstance(values.dtype, pd.CategoricalDtype)
    categories = list(values.cat.categories) if levelled else sorted(values.unique())
    if len(categories) != 2:
        raise UsageError(f"{column} has {len(categories)} values; a record-level correction needs two")
    yes = categories[1] if level is None else level
    if yes not in categories:
        raise UsageError(f"{column} has no level {level!r}; expected {categories[0]!r} or {categories[1]!r}")
    no = categories[0] if yes == categories[1] else categories[1]
    return (values == yes).to_numpy(), yes, no


def _written(question: Question, column: str, truth: np.ndarray, yes: Any, no: Any) -> Any:
    values = np.where(truth, yes, no)
    before = question.cohort.covariates[column]
    return pd.Categorical(values, dtype=before.dtype) if isinstance(before.dtype, pd.CategoricalDtype) else values


def _design(question: Question, column: str) -> Floats:
    """Return what the true value is predicted from: arm, event, cumulative hazard, the other covariates."""
    data, arm = question.data, question.cohort.treatment
    died = (data.event == 1).astype(float)
    sets = RiskSets.of(None, data.time, data.event == 1)
    hazard = sets.between(sets.events(np.ones(len(arm))) / sets.at_risk(np.ones(len(arm))))
    others = question.cohort.covariates.drop(columns=column)
    terms = build_design_matrix(others).matrix if len(others.columns) else np.empty((len(arm), 0))
    return standardised(np.column_stack([arm, died, arm * died, hazard, arm * hazard, terms]))


def _chance(
    recorded: np.ndarray, design: Floats, se: float, sp: float, generator: np.random.Generator
) -> Floats | None:
    """Return the chance of each patient of truly having it; None when the record rules the draw out."""
    if not 1 - sp < recorded.mean() < se:
        return None
    resample = generator.integers(0, recorded.size, recorded.size)
    model = Posterior.fit(design[resample], recorded[resample], sensitivity=se, specificity=sp)
    return _given_record(recorded, expit(design @ model.coefficient), se, sp)


def _given_record(record: np.ndarray, share: Floats, se: float, sp: float) -> Floats:
    """Apply Bayes' theorem to the chance before the record was seen."""
    likely = np.where(record, se, 1 - se) * share
    return np.asarray(likely / (likely + np.where(record, 1 - sp, sp) * (1 - share)))
