"""The weights of every replicate, made again from its own counts: propensity model, tilt, cuts and all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from causal_s4.kernels.batched_newton import BatchedNewton, Likelihood, exponentiate, mask_absent
from causal_s4.kernels.entropy_balancing import balance_moments
from causal_s4.kernels.firth import FirthReplicates
from causal_s4.kernels.logistic import fit_logistic
from causal_s4.kernels.risk_sets import Floats, Ints

_HARD_LIMIT = 20.0  # a Newton step may pass the limit on the way, never by this much

Codes = NDArray[np.int8]
Fit = tuple[Floats, NDArray[np.bool_]]
"""Coefficients of each replicate, and whether it was solved."""
Once = Callable[[Callable[[], Fit]], Fit]
"""Makes the fit of a block of replicates, or knows it from who made the same before."""


def anew(fit: Callable[[], Fit]) -> Fit:
    """Make a fit that nobody made before."""
    return fit()


class Failure(IntEnum):
    """Why a replicate has no estimate."""

    NONE = 0
    EMPTY_ARM = 1
    SEPARATED = 2
    INFEASIBLE = 3
    NO_EVENTS = 4


class ReplicateWeights(Protocol):
    """A way to make the weights of replicates.

    Attributes
    ----------
    by_row : bool
        Whether there is one weight a row of the risk table instead of one a patient.
    width : int
        Numbers that a replicate keeps at once.
    """

    @property
    def by_row(self) -> bool: ...  # noqa: D102

    @property
    def width(self) -> int: ...  # noqa: D102

    def make(self, counts: Floats, once: Once = anew) -> tuple[Floats, Codes]:
        """Return the weights of each replicate.

        Parameters
        ----------
        counts : ndarray, shape (replicates, patients)
        once : callable
            Makes the fit of a model that hangs on nothing but the counts.

        Returns
        -------
        values : ndarray, shape (replicates, units), or (1, units) when all have the same
            Not multiplied by the counts. Zero for who is trimmed away.
        failure : ndarray of Failure, shape (replicates,)
        """
        ...


@dataclass(frozen=True)
class FixedWeights:
    """Weights that no replicate changes: ones, or given ones."""

    values: Floats
    by_row: bool = False

    @property
    def width(self) -> int:
        """Numbers that a replicate keeps at once."""
        return len(self.values)

    def make(self, counts: Floats, once: Once = anew) -> tuple[Floats, Codes]:
        """Return the same weights for all."""
        return self.values[None, :], np.zeros(len(counts), dtype=np.int8)


@dataclass(frozen=True)
class LogisticWeights:
    """Weights from a logistic propensity model.

    Attributes
    ----------
    model : BatchedNewton or FirthReplicates
    treated : ndarray of 0.0 and 1.0, shape (patients,)
    population : {"ATE", "ATT", "ATC", "ATO", "ATM"}
    stabilise : bool
    truncate : (float, float) or None
    trim : float or None
    nearest : bool
        Read truncation quantiles as an order statistic (type 3), not by interpolation (type 7).
    furthest : float
        A linear predictor beyond it is separation.
    """

    model: BatchedNewton | FirthReplicates
    treated: Floats
    population: str
    stabilise: bool
    truncate: tuple[float, float] | None
    trim: float | None
    nearest: bool
    furthest: float
    by_row: bool = False

    @classmethod
    def prepare(
        cls,
        terms: Floats,
        treatment: NDArray[np.int64],
        population: str,
        *,
        stabilise: bool = False,
        truncate: tuple[float, float] | None = None,
        trim: float | None = None,
        nearest: bool = False,
        furthest: float = 15.0,
        penalised: bool = False,
    ) -> LogisticWeights:
        """Fit the data as they are, where replicates start; ``terms`` come without intercept, ``penalised`` is Firth's."""
        treated = treatment.astype(float)
        if penalised:
            firth = FirthReplicates.prepare(terms, treatment)
            return cls(firth, treated, population, stabilise, truncate, trim, nearest, furthest)
        fit = fit_logistic(np.column_stack([np.ones(len(terms)), terms]), treatment)
        model = BatchedNewton.prepare(
            Likelihood.LOGISTIC,
            terms,
            treated,
            np.zeros_like(treated),
            fit.coefficient,
            furthest=max(furthest, _HARD_LIMIT),
        )
        return cls(model, treated, population, stabilise, truncate, trim, nearest, furthest)

    @property
    def width(self) -> int:
        """Numbers that a replicate keeps at once."""
        return len(self.treated)

    def make(self, counts: Floats, once: Once = anew) -> tuple[Floats, Codes]:
        """Refit every replicate."""
        failure = np.zeros(len(counts), dtype=np.int8)
        failure[_empty_arm(counts, self.treated)] = Failure.EMPTY_ARM
        beta, solved = once(lambda: self.model.fit(counts))
        if self.trim is not None:
            eta = self.model.predictors(beta)
            within = _furthest(eta, counts) <= self.furthest
            counts = np.where(np.abs(eta) <= np.log(1 / self.trim - 1), counts, 0.0)
            failure[(failure == 0) & _empty_arm(counts, self.treated)] = Failure.EMPTY_ARM
            beta, again = self.model.fit(counts, beta)
            solved = solved & within & again
        values = self.model.predictors(beta)
        factor = self._factors(counts)
        furthest = np.empty(len(counts))
        _tilt(values, counts, self.treated, _POPULATION[self.population], factor, furthest)
        failure[(failure == 0) & ~(solved & (furthest <= self.furthest))] = Failure.SEPARATED
        if self.truncate is not None:
            _cut(values, counts, self.treated, np.argsort(values, axis=1), *self.truncate, self.nearest)
        return values, failure

    def _factors(self, counts: Floats) -> Floats:
        """Return what weights of controls and of the treated are multiplied by, shape (replicates, 2)."""
        if not self.stabilise:
            return np.ones((len(counts), 2))
        with np.errstate(invalid="ignore"):
            share = counts @ self.treated / counts.sum(axis=1)
        return np.column_stack([1 - share, share])


_POPULATION = {"ATE": 0, "ATT": 1, "ATC": 2, "ATO": 3, "ATM": 4}


def _empty_arm(counts: Floats, treated: Floats) -> NDArray[np.bool_]:
    one, everybody = counts @ treated, counts.sum(axis=1)
    return np.asarray((one <= 0) | (everybody - one <= 1e-9 * everybody))


def _furthest(eta: Floats, counts: Floats) -> Floats:
    return np.asarray(np.where(counts > 0, np.abs(eta), 0.0).max(axis=1))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _tilt(values: Floats, counts: Floats, treated: Floats, population: int, factor: Floats, furthest: Floats) -> None:
    """Replace linear predictors by weights; all follow from t = (1 - own probability) / own probability."""
    bits = np.empty(values.shape[1], np.int64)
    for row in range(values.shape[0]):
        t, count = values[row], counts[row]
        furthest[row] = mask_absent(t, count)
        for i in range(t.shape[0]):
            t[i] *= 1.0 - 2.0 * treated[i]
        exponentiate(t, bits)
        if population == 0:
            for i in range(t.shape[0]):
                t[i] = 1.0 + t[i]
        elif population == 1:
            for i in range(t.shape[0]):
                t[i] = treated[i] + (1.0 - treated[i]) * t[i]
        elif population == 2:
            for i in range(t.shape[0]):
                t[i] = treated[i] * t[i] + (1.0 - treated[i])
        elif population == 3:
            for i in range(t.shape[0]):
                t[i] = t[i] / (1.0 + t[i])
        else:
            for i in range(t.shape[0]):
                t[i] = min(1.0, t[i])
        for_control, for_treated = factor[row]
        for i in range(t.shape[0]):
            t[i] *= (for_control + (for_treated - for_control) * treated[i]) * np.float64(count[i] > 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _cut(values: Floats, counts: Floats, treated: Floats, order: Ints, low: float, high: float, nearest: bool) -> None:
    """Cut each replicate's weights at its own quantiles, over the arms in which weights vary."""
    n = values.shape[1]
    used = np.empty(n)
    for row in range(values.shape[0]):
        smallest, largest = np.full(2, np.inf), np.full(2, -np.inf)
        for i in range(n):
            if counts[row, i] > 0:
                arm = int(treated[i])
                smallest[arm] = min(smallest[arm], values[row, i])
                largest[arm] = max(largest[arm], values[row, i])
        for i in range(n):
            arm = int(treated[i])
            used[i] = counts[row, i] if largest[arm] - smallest[arm] > 1e-12 else 0.0
        if not used.sum() > 0:
            continue
        bottom = count_quantile(values[row], used, order[row], low, nearest)
        top = count_quantile(values[row], used, order[row], high, nearest)
        for i in range(n):
            if used[i] > 0:
                values[row, i] = min(max(values[row, i], bottom), top)


@njit(cache=True, nogil=True, error_model="numpy")
def count_quantile(values: Floats, counts: Floats, order: Ints, share: float, nearest: bool) -> float:
    """Read the quantile of values that count often, seldom or in part."""
    total = float(counts.sum())
    if nearest:
        # type 3: the order statistic nearest to n p, the even one halfway
        place = np.floor(total * share - 0.5)
        exact = total * share - 0.5 == place
        return _order_statistic(values, counts, order, place if exact and place % 2 == 0 else place + 1)
    place = 1.0 + (total - 1.0) * share
    below = np.floor(place + 4e-16 * place)
    left = _order_statistic(values, counts, order, below)
    right = _order_statistic(values, counts, order, below + 1.0)
    return float(left + max(place - below, 0.0) * (right - left))


@njit(cache=True, nogil=True, error_model="numpy")
def _order_statistic(values: Floats, counts: Floats, order: Ints, place: float) -> float:
    """Return the value that covers a place; a hair of slack because sums of fractions are rounded."""
    upto, found = 0.0, 0.0
    for i in order:
        if counts[i] > 0:
            upto += counts[i]
            found = values[i]
            if upto >= place * (1.0 - 1e-12):
                break
    return found


@dataclass(frozen=True)
class EntropyWeights:
    """Entropy balancing weights.

    Attributes
    ----------
    models : tuple of BatchedNewton
        One an arm that is weighted.
    members : tuple of ndarray of 0.0 and 1.0, shape (patients,)
        Whom each weighs.
    target : ndarray of 0.0 and 1.0, shape (patients,)
        Whose means are reached.
    treated : ndarray of 0.0 and 1.0, shape (patients,)
    """

    models: tuple[BatchedNewton, ...]
    members: tuple[Floats, ...]
    target: Floats
    treated: Floats
    by_row: bool = False

    @classmethod
    def prepare(cls, terms: Floats, treatment: NDArray[np.int64], population: str) -> EntropyWeights:
        """Solve the data as they are, where every replicate starts; ``terms`` come without intercept."""
        arm_of_target = {"ATE": None, "ATT": 1, "ATC": 0}[population]
        treated = treatment.astype(float)
        target = np.ones_like(treated) if arm_of_target is None else (treatment == arm_of_target).astype(float)
        models, members = [], []
        for arm in (1, 0):
            if arm == arm_of_target:
                continue
            rows = treatment == arm
            share, _ = balance_moments(terms[rows], target @ terms / target.sum())
            basis = np.column_stack([np.ones(int(rows.sum())), terms[rows]])
            solution = np.linalg.lstsq(basis, np.log(share * target.sum()), rcond=None)[0]
            member = rows.astype(float)
            members.append(member)
            models.append(BatchedNewton.prepare(Likelihood.TILTING, terms, target, member, solution, furthest=50.0))
        return cls(tuple(models), tuple(members), target, treated)

    @property
    def width(self) -> int:
        """Numbers that a replicate keeps at once."""
        return len(self.treated)

    def make(self, counts: Floats, once: Once = anew) -> tuple[Floats, Codes]:
        """Balance every replicate to its own target."""
        failure = np.zeros(len(counts), dtype=np.int8)
        failure[_empty_arm(counts, self.treated)] = Failure.EMPTY_ARM
        values = np.ones_like(counts)
        for model, member in zip(self.models, self.members, strict=True):
            beta, solved = model.fit(counts)
            own = member[None, :] * (counts > 0)
            weight = np.exp(np.where(own > 0, model.predictors(beta), 0.0)) * own
            total = (counts * weight).sum(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                largest = weight.max(axis=1) / total
                effective = total**2 / (counts * weight**2).sum(axis=1)
            usable = solved & (largest <= 0.5) & (effective >= 5)
            failure[(failure == 0) & ~usable] = Failure.INFEASIBLE
            values = np.where(member > 0, weight, values)
        return values, failure
