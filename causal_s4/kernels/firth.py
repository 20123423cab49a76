"""Logistic regression with Firth's penalty: finite where maximum likelihood is not, and less biased in small samples.

The penalised log likelihood is l + log|I| / 2, I the Fisher information (Firth 1993, 10.1093/biomet/80.1.27; Heinze &
Schemper 2002, 10.1002/sim.1047). Its score is X'(y - p + h (1/2 - p)), h the leverages. Rows may count often or in
part, and many replicates are solved at once, each with counts of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causal_s4.kernels.logistic import LogisticFit
from causal_s4.kernels.risk_sets import Floats

_SETTLED = 1e-9  # convergence is linear, the faster the larger the sample
_MOST_STEPS = 200
_RANK = 1e-11  # directions in which a replicate has no information keep their coefficient


@dataclass(frozen=True)
class FirthReplicates:
    """The model of rows that each replicate counts differently.

    Attributes
    ----------
    design : ndarray, shape (n, q)
        With its intercept column, other columns centred and scaled.
    products : ndarray, shape (n, q * q)
        Products of its columns.
    response : ndarray of 0.0 and 1.0, shape (n,)
    """

    design: Floats
    products: Floats
    response: Floats

    @classmethod
    def prepare(cls, terms: Floats, response: NDArray[np.int64]) -> FirthReplicates:
        """Scale the columns; ``terms`` come without intercept."""
        spread = terms.std(axis=0)
        scaled = (terms - terms.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        design = np.column_stack([np.ones(len(terms)), scaled])
        products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
        return cls(design, products, response.astype(float))

    def fit(self, counts: Floats, begin_at: Floats | None = None) -> tuple[Floats, NDArray[np.bool_]]:
        """Solve every replicate by Fisher's scoring.

        Parameters
        ----------
        counts : ndarray, shape (replicates, n)
        begin_at : ndarray, shape (replicates, q), optional

        Returns
        -------
        coefficient : ndarray, shape (replicates, q)
            Of the scaled design.
        solved : ndarray of bool, shape (replicates,)
            False when the steps did not settle.
        """
        q = self.design.shape[1]
        beta = np.zeros((len(counts), q)) if begin_at is None else begin_at.copy()
        active = np.arange(len(counts))
        for _ in range(_MOST_STEPS):
            here = counts if active.size == len(counts) else counts[active]
            probability = expit(self.predictors(beta[active]))
            leverage, inverse = self.leverages(here, probability)
            score = (here * (self.response - probability) + leverage * (0.5 - probability)) @ self.design
            step = np.matmul(inverse, score[:, :, None])[:, :, 0]
            size = np.abs(step).max(axis=1)
            # a step beyond one standard deviation of its column is shortened: whole ones can run away
            beta[active] += step / np.maximum(size, 1.0)[:, None]
            active = active[~(size <= _SETTLED)]
            if not active.size:
                break
        solved = np.ones(len(counts), dtype=bool)
        solved[active] = False
        return beta, solved

    def predictors(self, beta: Floats) -> Floats:
        """Return the linear predictors, shape (replicates, n)."""
        return np.asarray(beta @ self.design.T)

    def leverages(self, counts: Floats, probability: Floats) -> tuple[Floats, Floats]:
        """Return leverages, shape (replicates, n), of rows times their counts, and the inverse information."""
        q = self.design.shape[1]
        spread = counts * probability * (1 - probability)
        information = (spread @ self.products).reshape(-1, q, q)
        inverse = _inverses(information)
        return spread * (inverse.reshape(-1, q * q) @ self.products.T), inverse


def fit_firth(design: Floats, response: NDArray[np.int64]) -> LogisticFit:
    """Fit by Firth's penalised likelihood.

    Parameters
    ----------
    design : ndarray, shape (n, q)
        With its intercept column first.
    response : ndarray of 0/1, shape (n,)

    Returns
    -------
    LogisticFit
        ``score`` and ``information`` are those of the penalised equations, such that ``score`` times the inverse of
        ``information`` is each row's influence on the coefficients: what a row does to the leverages of all others
        is part of it. The scores sum to zero.
    """
    model = FirthReplicates.prepare(design[:, 1:], response)
    ones = np.ones((1, len(design)))
    beta, solved = model.fit(ones)
    p = expit(model.predictors(beta))[0]
    leverages, inverse = model.leverages(ones, p[None, :])
    h, covariance, x = leverages[0], inverse[0], model.design
    # the scaled design is this one times a matrix; going back is a change of basis
    basis = np.linalg.lstsq(design, x, rcond=None)[0]
    back = np.linalg.inv(basis)
    spread = p * (1 - p)
    pulled = np.einsum("i,ia,ib,ic->abc", spread * (0.5 - p), x, x, x, optimize=True)
    reach = x @ covariance
    others = np.einsum("abc,ib,ic->ia", pulled, reach, reach, optimize=True)
    score = x * (model.response - p + h * (0.5 - p))[:, None] - spread[:, None] * others
    score -= score.mean(axis=0)  # counts add up to the number of rows
    return LogisticFit(
        coefficient=basis @ beta[0],
        probability=p,
        score=score @ back,
        information=back.T @ _negative_slope(x, p, h, covariance) @ back,
        converged=bool(solved[0]),
    )


def _inverses(information: Floats) -> Floats:
    """Invert each matrix, in the directions in which there is any information."""
    try:
        inverse = np.linalg.inv(information)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(information, rcond=_RANK, hermitian=True))
    size = np.abs(information).max(axis=(1, 2)) * np.abs(inverse).max(axis=(1, 2))
    lost = ~(size < 1 / _RANK)
    if lost.any():
        inverse[lost] = np.linalg.pinv(information[lost], rcond=_RANK, hermitian=True)
    return np.asarray(inverse)


def _negative_slope(x: Floats, p: Floats, h: Floats, covariance: Floats) -> Floats:
    """Return minus the derivative of the penalised score in the coefficients."""
    spread = p * (1 - p)
    # half the derivative of log|I| is a trace; its own derivative has one term from each factor
    thirds = np.einsum("i,ia,ib,ic->abc", spread * (1 - 2 * p), x, x, x, optimize=True)
    turned = np.einsum("ab,kbc->kac", covariance, thirds, optimize=True)
    first = np.einsum("kab,lba->kl", turned, turned, optimize=True)
    leverage = np.divide(h, spread, out=np.zeros_like(h), where=spread > 0)
    second = x.T @ ((spread * (1 - 6 * spread) * leverage)[:, None] * x)
    return np.asarray(x.T @ (spread[:, None] * x) + (first - second) / 2)


def expit(x: Floats) -> Floats:
    """Return 1/(1 + exp(-x))."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))
