"""Newton's method for many replicates of one problem at once: matrix products over a block of counts.

A replicate multiplies each row's contribution by its count. Gradient and Hessian of a whole block are then
two matrix products, of the block's row terms with the design and with the products of its columns. All
replicates start from the solution of the data as they are, where the row terms are the same for everybody:
the first step costs one product and no exponential, and the second derivative, taken from the data as they
are, bends it close to the solution. A replicate that cannot be solved is marked; it never
disturbs the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from causal_s4.kernels.risk_sets import Floats

_CHUNK = 2048  # rows at once: a block of them stays in the processor's cache
_STORED = 1 << 23  # products of columns are kept up to this many cells, and made again beyond
_SETTLED = 3e-6  # convergence is quadratic: after a step this short the error is about 1e-11
_MOST_STEPS = 60
_SMALL = 0.5  # first steps up to here are bent by the second derivative
_DEPENDENT = 1e-11  # a pivot below this share of its diagonal belongs to a column that others determine

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6
_NUMERATOR = (1.26177193074810590878e-4, 3.02994407707441961300e-2, 9.99999999999999999910e-1)
_DENOMINATOR = (
    3.00198505138664455042e-6,
    2.52448340349684104192e-3,
    2.27265548208155028766e-1,
    2.00000000000000000005e0,
)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def exponentiate(values: Floats, bits: NDArray[np.int64]) -> None:
    """Replace values by their exponential, to two units in the last place, several at a time.

    Reduction by ln 2 and the rational approximation of Hart et al. 1968 (Computer Approximations), as in Cephes.
    The compiler turns the loops into vector instructions, which it cannot do with a call of the C library.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Overwritten.
    bits : ndarray of int64, shape (n,)
        Scratch.
    """
    for i in range(values.shape[0]):
        x = min(max(values[i], -700.0), 700.0)
        power = np.floor(x * _LOG2_E + 0.5)
        x = (x - power * _LN2_HIGH) - power * _LN2_LOW
        square = x * x
        odd = x * ((_NUMERATOR[0] * square + _NUMERATOR[1]) * square + _NUMERATOR[2])
        even = ((_DENOMINATOR[0] * square + _DENOMINATOR[1]) * square + _DENOMINATOR[2]) * square + _DENOMINATOR[3]
        values[i] = 1.0 + 2.0 * (odd / (even - odd))
        bits[i] = (np.int64(power) + 1023) << 52
    scale = bits.view(np.float64)
    for i in range(values.shape[0]):
        values[i] *= scale[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def mask_absent(eta: Floats, counts: Floats) -> float:
    """Set the predictors of absent rows to zero and return the largest that is left, without its sign."""
    furthest = 0.0
    for i in range(eta.shape[0]):
        eta[i] *= np.float64(counts[i] > 0)  # a branch here would be guessed wrong for every third patient
        furthest = max(furthest, abs(eta[i]))
    return furthest


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _logistic_terms(
    eta: Floats, counts: Floats, response: Floats, unused: Floats, begin: int, spread: Floats, furthest: Floats
) -> None:
    width = eta.shape[1]
    bits = np.empty(width, np.int64)
    for row in range(eta.shape[0]):
        x, count = eta[row], counts[row, begin : begin + width]
        furthest[row] = max(furthest[row], mask_absent(x, count))
        exponentiate(x, bits)
        for i in range(width):
            p = x[i] / (1.0 + x[i])
            spread[row, i] = count[i] * p * (1.0 - p)
            x[i] = count[i] * (response[begin + i] - p)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _tilting_terms(
    eta: Floats, counts: Floats, target: Floats, member: Floats, begin: int, spread: Floats, furthest: Floats
) -> None:
    width = eta.shape[1]
    bits = np.empty(width, np.int64)
    for row in range(eta.shape[0]):
        x, count = eta[row], counts[row, begin : begin + width]
        furthest[row] = max(furthest[row], mask_absent(x, count * member[begin : begin + width]))
        exponentiate(x, bits)
        for i in range(width):
            own = count[i] * member[begin + i] * x[i]
            spread[row, i] = own
            x[i] = count[i] * target[begin + i] - own


@njit(cache=True, nogil=True, error_model="numpy")
def _steps(gradient: Floats, packed: Floats, step: Floats, solvable: NDArray[np.bool_]) -> None:
    """Solve each replicate's Newton equations by its own LDL' decomposition.

    A column that earlier ones determine keeps its coefficient, as in R's ``coxph``: a level that no patient
    of a replicate has is left out of it. ``solvable`` is False when the gradient then asks for the impossible.
    """
    q = gradient.shape[1]
    lower, scaled = np.zeros((q, q)), np.empty(q)
    for row in range(gradient.shape[0]):
        solvable[row] = True
        at = 0
        z = step[row]  # L z = gradient, then in place D L' step = z
        for j in range(q):
            pivot = diagonal = packed[row, at]
            slope = gradient[row, j]
            for k in range(j):
                scaled[k] = lower[j, k] * lower[k, k]
                pivot -= lower[j, k] * scaled[k]
                slope -= lower[j, k] * z[k]
            independent = pivot > _DEPENDENT * diagonal
            if not independent and not abs(slope) <= 1e-6 * (1.0 + abs(diagonal)):
                solvable[row] = False
            lower[j, j] = pivot if independent else 0.0
            z[j] = slope if independent else 0.0
            inverse = 1.0 / pivot if independent else 0.0
            for i in range(j + 1, q):
                value = packed[row, at + i - j]
                for k in range(j):
                    value -= lower[i, k] * scaled[k]
                lower[i, j] = value * inverse
            at += q - j
        for j in range(q - 1, -1, -1):
            value = 0.0
            if lower[j, j] > 0:
                value = z[j] / lower[j, j]
                for i in range(j + 1, q):
                    value -= lower[i, j] * z[i]
            z[j] = value


class Likelihood(Enum):
    """Which row terms are summed: the gradient's ``r`` and the Hessian's ``s`` at linear predictor x.

    The compiled loops put ``r`` in the place of x.
    """

    LOGISTIC = "logistic"
    """r = y - p, s = p (1 - p), p = 1/(1 + exp(-x)); ``first`` is y."""
    TILTING = "tilting"
    """r = t - m exp(x), s = m exp(x): weights exp(x) bring members m to the sums of the target t."""


_TERMS = {Likelihood.LOGISTIC: _logistic_terms, Likelihood.TILTING: _tilting_terms}


@dataclass(frozen=True)
class BatchedNewton:
    """A concave problem whose rows are counted differently in each replicate.

    Attributes
    ----------
    likelihood : Likelihood
    design : ndarray, shape (n, q)
        With its intercept column, other columns centred and scaled.
    first, second : ndarray, shape (n,)
        Response and nothing, or target and member.
    start : ndarray, shape (q,)
        Solution with counts of one.
    furthest : float
        Linear predictors beyond it mean that there is no solution.
    products : ndarray, shape (n, q (q + 1) / 2), or None
        Products of the design's columns, if they are few enough to keep.
    moments : ndarray, shape (n, q + q (q + 1) / 2), or None
        Row terms at the start times design and products.
    bend : ndarray, shape (q (q + 1) / 2, q)
        Half the second derivative of the gradient at the start, with counts of one: product of two
        coefficients' steps to gradient.
    """

    likelihood: Likelihood
    design: Floats
    first: Floats
    second: Floats
    start: Floats
    furthest: float
    products: Floats | None
    moments: Floats | None
    bend: Floats

    @classmethod
    def prepare(
        cls,
        likelihood: Likelihood,
        terms: Floats,
        first: Floats,
        second: Floats,
        solution: Floats,
        *,
        furthest: float,
    ) -> BatchedNewton:
        """Scale the columns and keep what all replicates share.

        Parameters
        ----------
        terms : ndarray, shape (n, q - 1)
            Without intercept.
        first, second : ndarray, shape (n,)
        solution : ndarray, shape (q,)
            Coefficients of intercept and terms with counts of one.
        furthest : float
        """
        centre, scale = terms.mean(axis=0), terms.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        design = np.column_stack([np.ones(len(terms)), (terms - centre) / scale])
        start = np.concatenate([[solution[0] + centre @ solution[1:]], solution[1:] * scale])
        q = design.shape[1]
        pairs = q * (q + 1) // 2
        bare = cls(likelihood, design, first, second, start, furthest, None, None, np.zeros((pairs, q)))
        bend = bare._bend()
        if len(design) * (q + pairs) > _STORED:
            return replace(bare, bend=bend)
        every = slice(0, len(design))
        products = bare._products(every)
        return replace(bare, bend=bend, products=products, moments=bare._moments(every, products))

    def fit(self, counts: Floats, begin_at: Floats | None = None) -> tuple[Floats, NDArray[np.bool_]]:
        """Solve every replicate.

        Parameters
        ----------
        counts : ndarray, shape (replicates, n)
        begin_at : ndarray, shape (replicates, q), optional
            Where to begin instead of the common start.

        Returns
        -------
        coefficient : ndarray, shape (replicates, q)
            Of the scaled design.
        solved : ndarray of bool, shape (replicates,)
            False without a solution: separation, or moments out of reach.
        """
        if begin_at is None:
            beta, lost = self._free_step(counts)
        else:
            beta, lost = begin_at.copy(), np.zeros(len(counts), dtype=bool)
        solved = np.zeros(len(counts), dtype=bool)
        active = np.flatnonzero(~lost)
        work = np.empty((2, len(counts) * min(_CHUNK, len(self.design))))
        for _ in range(_MOST_STEPS):
            if not active.size:
                break
            everybody = active.size == len(counts)
            gradient, hessian, furthest = self._sums(beta[active], counts if everybody else counts[active], work)
            step, solvable = newton_steps(gradient, hessian)
            size = np.abs(step).max(axis=1)
            # a step beyond one standard deviation of its column is shortened: whole ones can run away from a solution
            beta[active] += step / np.maximum(size, 1.0)[:, None]
            going = solvable & (furthest <= self.furthest) & np.isfinite(size)
            solved[active] = going & (size < _SETTLED)
            active = active[going & (size >= _SETTLED)]
        return beta, solved

    def predictors(self, beta: Floats) -> Floats:
        """Return the linear predictors, shape (replicates, n)."""
        out = np.empty((len(beta), len(self.design)))
        for rows in self._chunks():
            np.matmul(beta, self.design[rows].T, out=out[:, rows])
        return out

    def _free_step(self, counts: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        q = self.design.shape[1]
        if self.moments is not None:
            total = counts @ self.moments
        else:
            total = np.zeros((len(counts), q + q * (q + 1) // 2))
            for rows in self._chunks():
                total += counts[:, rows] @ self._moments(rows, self._products(rows))
        gradient, hessian = np.ascontiguousarray(total[:, :q]), np.ascontiguousarray(total[:, q:])
        step, solvable = newton_steps(gradient, hessian)
        left, right = np.triu_indices(q)
        bent, _ = newton_steps(gradient - (step[:, left] * step[:, right]) @ self.bend, hessian)
        small = np.abs(step).max(axis=1, keepdims=True) < _SMALL
        return self.start + np.where(small, bent, step), ~solvable

    def _sums(self, beta: Floats, counts: Floats, work: Floats) -> tuple[Floats, Floats, Floats]:
        """Return gradient, packed Hessian and the furthest linear predictor of a present row."""
        size, q = beta.shape
        gradient, hessian = np.zeros((size, q)), np.zeros((size, q * (q + 1) // 2))
        furthest = np.zeros(size)
        for rows in self._chunks():
            design = self.design[rows]
            shape = size, len(design)
            eta, spread = (each[: shape[0] * shape[1]].reshape(shape) for each in work)
            np.matmul(beta, design.T, out=eta)
            _TERMS[self.likelihood](eta, counts, self.first, self.second, rows.start, spread, furthest)
            gradient += eta @ design
            hessian += spread @ self._products(rows)
        return gradient, hessian, furthest

    def _chunks(self) -> list[slice]:
        n = len(self.design)
        return [slice(begin, min(begin + _CHUNK, n)) for begin in range(0, n, _CHUNK)]

    def _products(self, rows: slice) -> Floats:
        if self.products is not None:
            return self.products[rows]
        left, right = np.triu_indices(self.design.shape[1])
        design = self.design[rows]
        return design[:, left] * design[:, right]

    def _at_start(self, rows: slice) -> tuple[Floats, Floats]:
        """Row terms at the start with counts of one, shape (rows,) each."""
        residual = (self.design[rows] @ self.start)[None, :]
        spread = np.empty_like(residual)
        first, second = self.first[rows], self.second[rows]
        _TERMS[self.likelihood](residual, np.ones_like(residual), first, second, 0, spread, np.zeros(1))
        return residual[0], spread[0]

    def _moments(self, rows: slice, products: Floats) -> Floats:
        """Row terms at the start, times the design and the products of its columns."""
        residual, spread = self._at_start(rows)
        return np.hstack([residual[:, None] * self.design[rows], spread[:, None] * products])

    def _bend(self) -> Floats:
        left, right = np.triu_indices(self.design.shape[1])
        total = np.zeros_like(self.bend)
        for rows in self._chunks():
            residual, spread = self._at_start(rows)
            # ds/dx: s (1 - 2 p) for the logistic likelihood, where p = y - r; s for tilting
            slope = (
                spread * (1 - 2 * (self.first[rows] - residual)) if self.likelihood is Likelihood.LOGISTIC else spread
            )
            total += self._products(rows).T @ (slope[:, None] * self.design[rows])
        # products of different coefficients stand for both orders
        return total * np.where(left == right, 0.5, 1.0)[:, None]


def newton_steps(gradient: Floats, packed: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Solve each replicate's Newton equations.

    Parameters
    ----------
    gradient : ndarray, shape (replicates, q)
    packed : ndarray, shape (replicates, q (q + 1) / 2)
        Upper triangle of the negative Hessian, row by row.

    Returns
    -------
    step : ndarray, shape (replicates, q)
        Zero for a column that earlier ones determine.
    solvable : ndarray of bool, shape (replicates,)
    """
    step, solvable = np.empty_like(gradient), np.empty(len(gradient), dtype=bool)
    _steps(gradient, packed, step, solvable)
    return step, solvable
