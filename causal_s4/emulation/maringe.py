"""The weights of published code for clone-censor-weight, to compare with it.

Each arm's artificial censoring is modelled by a Cox model of its own (Efron ties) on clones followed to the end
of the outcome, and the weight of an interval is the inverse probability of not having been censored by its
start. In the arm of treatment nobody is censored before the grace period ends, so those treated early and alive
then stand in for everyone alive then. Maringe et al. 2020, 10.1093/ije/dyaa057; the R package survivalCCW.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from causal_s4.cohort import Cohort
from causal_s4.design_matrix import build_design_matrix
from causal_s4.emulation.clones import CloneRows, Course
from causal_s4.emulation.intensity import Terms
from causal_s4.errors import ConvergenceError
from causal_s4.kernels.clone_factors import LeavingFactor
from causal_s4.kernels.cox import fit_cox
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.results import Floats


def maringe_factor(
    rows: CloneRows, cohort: Cohort, course: Course, terms: Terms
) -> tuple[Floats, tuple[str, ...], tuple[LeavingFactor, ...]]:
    """Return the weights, the terms of both models of leaving, and the models.

    Parameters
    ----------
    rows : CloneRows
        Made with ``treatment_first=False``.
    cohort : Cohort
    course : Course
    terms : Terms

    Raises
    ------
    DataError
        When the covariates cannot be coded.
    ConvergenceError
        When a model does not settle.
    """
    matrix = build_design_matrix(
        cohort.covariates,
        splines=terms.splines,
        log1p=terms.log1p,
        interactions=terms.interactions,
        columns=terms.covariates,
    )
    factor = np.ones(len(rows.patient))
    names: list[str] = []
    models = []
    for arm, label in ((1, "treated"), (0, "control")):
        leaves, stays_until = _leaving(course, arm)
        if not leaves.any():
            continue
        sets = RiskSets.of(None, stays_until, leaves)
        fit = fit_cox(sets, matrix.matrix, np.ones(len(cohort)))
        if not fit.converged:
            raise ConvergenceError(f"the model of leaving the {label} arm did not settle; take fewer terms")
        # within the grace period what happened before a moment counts, after it all of it
        jumps = np.where(
            rows.settled & (rows.start >= course.grace),
            np.searchsorted(sets.times, course.grace, side="right"),
            np.searchsorted(sets.times, np.minimum(rows.at, course.grace), side="left"),
        )
        own = np.flatnonzero(rows.arm == arm)
        model = LeavingFactor(
            sets=sets,
            terms=matrix.matrix,
            coefficient=fit.coefficient,
            rows=own,
            patient=rows.patient[own],
            jumps=jumps[own],
        )
        factor[own] = model.values
        names += [f"leaving the {label} arm: {term}" for term in matrix.terms]
        models.append(model)
    return factor, tuple(names), tuple(models)


def _leaving(course: Course, arm: int) -> tuple[NDArray[np.bool_], Floats]:
    """Return which clones of an arm are censored artificially, and until when each is followed."""
    within, end = course.treated_within, course.end
    if arm == 1:
        leaves = ~within & (end > course.grace)
        return leaves, np.where(leaves, course.grace, end)
    return within, np.where(within, course.treated, end)
