"""Logistic regression by maximum likelihood: unpenalised, with its score and information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causal_s4.kernels.risk_sets import Floats


@dataclass(frozen=True)
class LogisticFit:
    """A fitted model.

    Attributes
    ----------
    coefficient : ndarray, shape (q,)
    probability : ndarray, shape (n,)
    score : ndarray, shape (n, q)
        Per-row score; sums to zero.
    information : ndarray, shape (q, q)
    converged : bool
        False when the likelihood has no maximum (separation) or the iteration did not settle.
    """

    coefficient: Floats
    probability: Floats
    score: Floats
    information: Floats
    converged: bool


def fit_logistic(
    design: Floats,
    response: NDArray[np.int64],
    *,
    weight: Floats | None = None,
    max_iterations: int = 50,
) -> LogisticFit:
    """Fit by Newton's method on columns scaled to unit spread.

    Parameters
    ----------
    design : ndarray, shape (n, q)
        With its intercept column.
    response : ndarray of 0/1, shape (n,)
    weight : ndarray, shape (n,), optional
        Frequency weights.
    """
    y = response.astype(float)
    w = np.ones(len(y)) if weight is None else weight
    # scaling keeps the Newton steps well conditioned; it is undone before returning
    scale = np.sqrt(np.average(design**2, axis=0, weights=w))
    scale[scale == 0] = 1.0
    x = design / scale
    beta = np.zeros(x.shape[1])
    converged = False
    deviance = np.inf
    for _ in range(max_iterations):
        probability = _expit(x @ beta)
        spread = w * probability * (1 - probability)
        information = x.T @ (spread[:, None] * x)
        try:
            step = np.linalg.solve(information, x.T @ (w * (y - probability)))
        except np.linalg.LinAlgError:
            break
        new = _deviance(x @ (beta + step), y, w)
        for _ in range(30):
            if new <= deviance + 1e-9 * abs(deviance) or not np.isfinite(deviance):
                break
            step = step / 2
            new = _deviance(x @ (beta + step), y, w)
        beta, deviance = beta + step, new
        if np.max(np.abs(x @ beta)) > 40:
            break
        if np.max(np.abs(step)) < 1e-11 * (1 + np.max(np.abs(beta))):
            converged = True
            break
    probability = _expit(x @ beta)
    spread = w * probability * (1 - probability)
    return LogisticFit(
        coefficient=beta / scale,
        probability=probability,
        score=design * (w * (y - probability))[:, None],
        information=design.T @ (spread[:, None] * design),
        converged=converged,
    )


def _expit(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _deviance(eta: Floats, y: Floats, w: Floats) -> float:
    return float(2 * (w @ (np.logaddexp(0, eta) - y * eta)))
