"""Logistic regression under a weak normal prior, for drawing what was not seen or was recorded with error.

A model that draws values has more columns than a small cohort can tell apart, and may separate the patients;
the prior keeps its coefficients finite and weighs next to nothing otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causal_s4.kernels.firth import expit
from causal_s4.kernels.risk_sets import Floats

_PRECISION = 1 / 2.5**2  # of a coefficient of a standardised column
_PRECISION_INTERCEPT = 1e-2
_STEPS, _HALVINGS = 100, 30
_SETTLED = 1e-8


def standardised(matrix: Floats) -> Floats:
    """Return an intercept and the columns that vary, with mean zero and unit spread."""
    spread = matrix.std(axis=0)
    varies = spread > 1e-12
    scaled = (matrix[:, varies] - matrix[:, varies].mean(axis=0)) / spread[varies]
    return np.column_stack([np.ones(len(matrix)), scaled])


@dataclass(frozen=True)
class Posterior:
    """The normal approximation to the posterior of logistic coefficients.

    Attributes
    ----------
    coefficient : ndarray, shape (q,)
        Its mode.
    information : ndarray, shape (q, q)
        Information of the data at the mode, and of the prior.
    """

    coefficient: Floats
    information: Floats

    @classmethod
    def fit(
        cls, design: Floats, record: NDArray[np.bool_], *, sensitivity: float = 1.0, specificity: float = 1.0
    ) -> Posterior:
        """Find the mode by Newton's method; where that would not climb, by a step of Fisher's scoring.

        Parameters
        ----------
        design : ndarray, shape (n, q)
            From :func:`standardised`.
        record : ndarray of bool, shape (n,)
        sensitivity, specificity : float
            Chance that a patient who has it is recorded so, and that one who has not is. The coefficients are of
            having it: the likelihood is that of a record with mean 1 - specificity + (sensitivity + specificity - 1) p
            (Carroll et al. 2006, 10.1201/9781420010138).
        """
        y, prior = record.astype(float), np.full(design.shape[1], _PRECISION)
        prior[0] = _PRECISION_INTERCEPT
        reach = sensitivity + specificity - 1

        def mean(beta: Floats) -> tuple[Floats, Floats]:
            p = expit(design @ beta)
            return p, 1 - specificity + reach * p

        def height(beta: Floats) -> float:
            with np.errstate(divide="ignore", invalid="ignore"):
                recorded = mean(beta)[1]
                seen = np.log(np.where(record, recorded, 1 - recorded))
            return float(seen.sum() - 0.5 * prior @ beta**2)

        beta = np.zeros(design.shape[1])
        top = height(beta)
        for _ in range(_STEPS):
            p, recorded = mean(beta)
            spread, variance = p * (1 - p), recorded * (1 - recorded)
            # without error both are the same, and may both be nothing far out
            share = np.divide(reach * spread, variance, out=np.ones_like(p), where=variance > 0)
            expected, excess = share * reach * spread, y - recorded
            bend = share * ((1 - 2 * p) - share * (1 - 2 * recorded)) * excess
            information = _climbing(design, expected - bend, expected, prior)
            step = np.linalg.solve(information, design.T @ (share * excess) - prior * beta)
            for _ in range(_HALVINGS):
                found = height(beta + step)
                if found >= top - 1e-9 * abs(top):
                    break
                step = step / 2
            beta, top = beta + step, found
            if np.abs(step).max() < _SETTLED:
                break
        return cls(coefficient=beta, information=information)

    def draw(self, generator: np.random.Generator) -> Floats:
        """Draw coefficients."""
        lower = np.linalg.cholesky(self.information)
        normal = generator.standard_normal(len(self.coefficient))
        return np.asarray(self.coefficient + np.linalg.solve(lower.T, normal))


def _climbing(design: Floats, observed: Floats, expected: Floats, prior: Floats) -> Floats:
    """Return the observed information, or the expected one where the posterior bends the wrong way."""
    information = np.asarray((design * observed[:, None]).T @ design + np.diag(prior))
    try:
        np.linalg.cholesky(information)
    except np.linalg.LinAlgError:
        return np.asarray((design * expected[:, None]).T @ design + np.diag(prior))
    return information
