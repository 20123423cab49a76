"""Entropy balancing of one arm to target moments.

Hainmueller 2012, 10.1093/pan/mpr025; the dual problem is Zhao & Percival 2017, 10.1515/jci-2016-0010.
"""

from __future__ import annotations

import numpy as np

from causal_s4.kernels.risk_sets import Floats


def balance_moments(basis: Floats, target: Floats, *, max_iterations: int = 200) -> tuple[Floats, bool]:
    """Find the weights closest to equal that bring the basis to its target means.

    Parameters
    ----------
    basis : ndarray, shape (m, q)
        Moments of the arm's patients, without intercept.
    target : ndarray, shape (q,)

    Returns
    -------
    weight : ndarray, shape (m,)
        Sums to one.
    converged : bool
        False when the target lies outside what the arm's patients can reach.
    """
    centred = basis - target
    scale = centred.std(axis=0)
    scale[scale == 0] = 1.0
    centred = centred / scale
    dual = np.zeros(centred.shape[1])
    weight, value = _tilt(centred, dual)
    for _ in range(max_iterations):
        gradient = -(weight @ centred)
        if np.max(np.abs(gradient), initial=0.0) < 1e-12:
            return weight, True
        hessian = (centred * weight[:, None]).T @ centred - np.outer(gradient, gradient)
        try:
            step = np.linalg.solve(hessian, -gradient)
        except np.linalg.LinAlgError:
            return weight, False
        length = 1.0
        new_weight, new_value = _tilt(centred, dual + step)
        # close to the solution the decrease drowns in rounding, while Newton's step is as good as ever
        slack = 1e-12 * max(1.0, abs(value))
        while new_value > value + 1e-4 * length * (gradient @ step) + slack and length > 1e-10:
            length /= 2
            new_weight, new_value = _tilt(centred, dual + length * step)
        if length <= 1e-10:
            return weight, bool(np.max(np.abs(gradient)) < 1e-9)
        dual, weight, value = dual + length * step, new_weight, new_value
    return weight, bool(np.max(np.abs(weight @ centred)) < 1e-9)


def _tilt(centred: Floats, dual: Floats) -> tuple[Floats, float]:
    exponent = -(centred @ dual)
    top = float(exponent.max())
    weight = np.exp(exponent - top)
    total = float(weight.sum())
    return weight / total, top + float(np.log(total))
