"""The propensity model: a logistic regression whose failures are named, not smoothed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from causal_s4.cohort import Cohort
from causal_s4.cohort.columns import absent_columns
from causal_s4.design_matrix import DesignMatrix, build_design_matrix
from causal_s4.errors import ConvergenceError, OverlapError, Problem, SeparationError, UsageError
from causal_s4.kernels.firth import fit_firth
from causal_s4.kernels.logistic import LogisticFit, fit_logistic
from causal_s4.results import Floats, Ints

_FURTHEST = 15.0
"""A linear predictor beyond this (a probability of 3 in ten million) is separation, not a propensity score."""
_FIRTH = ' (method "firth" would still give a propensity score)'


def covariate_matrix(
    cohort: Cohort,
    *,
    splines: Mapping[str, int],
    log1p: Sequence[str],
    interactions: Sequence[tuple[str, str]],
    covariates: Sequence[str] | None = None,
) -> DesignMatrix:
    """Return the matrix of the model's terms, without intercept."""
    frame = cohort.covariates
    if covariates is not None:
        absent = absent_columns(frame, covariates)
        if absent:
            raise UsageError("the propensity model names covariates that the cohort does not have", absent)
        frame = frame[list(covariates)]
    return build_design_matrix(frame, splines=splines, log1p=log1p, interactions=interactions)


def fit_propensity(
    terms: Floats, names: Sequence[str], treatment: Ints, *, penalised: bool = False
) -> tuple[LogisticFit, Floats]:
    """Fit the probability of treatment by maximum likelihood, or by Firth's penalised likelihood.

    Parameters
    ----------
    terms : ndarray, shape (n, q)
        Without intercept.
    names : sequence of str
        One a column, for errors.
    treatment : ndarray of 0/1, shape (n,)
    penalised : bool
        Firth's penalty keeps coefficients finite when a level has patients of one arm only.

    Returns
    -------
    fit : LogisticFit
    design : ndarray, shape (n, q + 1)
        With the intercept first.

    Raises
    ------
    SeparationError
        When a term, or a combination, predicts treatment perfectly; names the term if one does.
    OverlapError
        When every treated patient has a higher score than every control.
    ConvergenceError
        When the likelihood did not settle for another reason.
    """
    design = np.column_stack([np.ones(len(treatment)), terms])
    fit = fit_firth(design, treatment) if penalised else fit_logistic(design, treatment)
    treated, control = fit.probability[treatment == 1], fit.probability[treatment == 0]
    # a penalty makes a score even of arms without anybody in common; it must not make weights
    apart = bool(treated.min() > control.max())
    if fit.converged and not apart and np.max(np.abs(design @ fit.coefficient)) <= _FURTHEST:
        return fit, design
    culprits = _separating(terms, names, treatment)
    advice = (
        "Leave those patients or that covariate out, or join its rare levels; there, one arm is empty "
        "and the data cannot speak"
    )
    hint = "" if penalised or apart else _FIRTH
    if culprits:
        raise SeparationError(
            f"the propensity model cannot be fitted: treatment is predicted perfectly{hint}",
            culprits,
        )
    if apart:
        raise OverlapError(
            "the arms have no patients in common: on the estimated propensity score every treated patient lies above "
            f"every control ({len(treated)} treated, {len(control)} controls). Restrict the cohort to patients for "
            "whom both options were real"
        )
    spread = np.abs(fit.coefficient[1:]) * terms.std(axis=0)
    worst = [Problem(where=names[j], found="among the largest coefficients") for j in np.argsort(-spread)[:3]]
    if np.max(np.abs(design @ fit.coefficient)) > _FURTHEST:
        raise SeparationError(
            "the propensity model is separated: a combination of covariates predicts treatment for some "
            f"patients{hint}. {advice}",
            worst,
        )
    raise ConvergenceError(f"the propensity model did not settle. {advice}", worst)


def _separating(terms: Floats, names: Sequence[str], treatment: Ints) -> list[Problem]:
    """Name each single term that splits the arms, wholly or for one of its values."""
    problems = []
    for j, name in enumerate(names):
        column = terms[:, j]
        treated, control = column[treatment == 1], column[treatment == 0]
        if treated.min() > control.max() or treated.max() < control.min():
            problems.append(Problem(where=name, found="its values do not overlap between the arms"))
        elif len(np.unique(column)) == 2:
            high = column == column.max()
            for part, label in ((high, "with it"), (~high, "without it")):
                arms = np.unique(treatment[part])
                if arms.size == 1:
                    arm = "treated" if arms[0] else "a control"
                    problems.append(
                        Problem(
                            where=name,
                            found=f"the only patient {label} is {arm}"
                            if part.sum() == 1
                            else f"each of the {int(part.sum())} patients {label} is {arm}",
                            todo="Leave them out by [eligibility], join the level with another, or drop the covariate",
                        )
                    )
    return problems
