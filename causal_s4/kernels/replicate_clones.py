"""The weights of cloned strategies in every replicate: rates fitted again, integrated along each row, and cut.

A factor of the weights is the exponential of something linear in a cumulative rate, so a replicate needs the rates
of its person-rows, their running sums within each patient, and one exponential a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from causal_s4.kernels.batched_newton import BatchedNewton, Likelihood, exponentiate, newton_steps
from causal_s4.kernels.clone_factors import CloneWeighting, FinalCut, LeavingFactor, Mask, RateFactor
from causal_s4.kernels.replicate_weights import Codes, Failure, Once, anew, count_quantile
from causal_s4.kernels.risk_sets import Floats, Ints

_FURTHEST = 50.0  # log rate ratio to the crude rate; the plain fit does not settle there either
_SETTLED, _MOST_STEPS = 3e-6, 60


class ReplicateFactor(Protocol):
    """A factor of the weights, made again from counts."""

    @property
    def width(self) -> int: ...  # noqa: D102

    def add(self, counts: Floats, logs: Floats) -> NDArray[np.bool_]:
        """Add the factor's logarithm to rows of present patients; return whether each replicate could be solved."""
        ...


@dataclass(frozen=True)
class CloneWeights:
    """Weights of cloned strategies.

    Attributes
    ----------
    factors : tuple of ReplicateFactor
    patient : ndarray of int, shape (rows,)
    needed : ndarray of 0.0 and 1.0, shape (patients, groups)
        A replicate without somebody of each group has no estimate.
    cut : FinalCut or None
    """

    factors: tuple[ReplicateFactor, ...]
    patient: Ints
    needed: Floats
    cut: FinalCut | None
    by_row: bool = True

    @classmethod
    def prepare(cls, made: CloneWeighting, *, whole: bool) -> CloneWeights:
        """Keep what all replicates share; with ``whole``, counts are copies of patients."""
        return cls(
            factors=tuple(
                RefittedRate.prepare(each) if isinstance(each, RateFactor) else RefittedLeaving.prepare(each, whole)
                for each in made.factors
            ),
            patient=made.patient,
            needed=np.column_stack(made.needed).astype(float),
            cut=made.cut,
        )

    @property
    def width(self) -> int:
        """Numbers a replicate keeps at once."""
        return max(len(self.patient), *(each.width for each in self.factors))

    def make(self, counts: Floats, once: Once = anew) -> tuple[Floats, Codes]:
        """Make the weights of each replicate, shape (replicates, rows); those of absent patients mean nothing."""
        failure = np.zeros(len(counts), dtype=np.int8)
        failure[(counts @ self.needed <= 0).any(axis=1)] = Failure.EMPTY_ARM
        values = np.zeros((len(counts), len(self.patient)))
        for factor in self.factors:
            failure[(failure == 0) & ~factor.add(counts, values)] = Failure.SEPARATED
        _exponentiate_all(values)
        if self.cut is not None:
            failure[(failure == 0) & ~self._cut(values, counts)] = Failure.EMPTY_ARM
        return values, failure

    def _cut(self, values: Floats, counts: Floats) -> NDArray[np.bool_]:
        """Cut the weights of each arm; return whether each replicate has somebody to read the quantiles off."""
        assert self.cut is not None
        present = np.ones(len(counts), dtype=bool)
        for arm in (0, 1):
            own = self.cut.arm == arm
            read = np.flatnonzero(own & self.cut.read)
            final = np.ascontiguousarray(values[:, read])
            used = np.ascontiguousarray(counts[:, self.patient[read]])
            present &= used.sum(axis=1) > 0
            _cut_final(
                values,
                final,
                used,
                np.argsort(final, axis=1),
                np.flatnonzero(own),
                self.cut.final,
                self.cut.low,
                self.cut.high,
            )
        return present


# --- rates --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RefittedRate:
    """A factor read off a piecewise constant rate.

    Attributes
    ----------
    model : BatchedNewton
        Of the rate relative to the crude one.
    unit : ndarray of int, shape (person-rows,)
        Patient of each, ascending.
    length : ndarray, shape (person-rows,)
        Time until the patient's next row starts, zero for the last, times the crude rate.
    crude : float
    event : ndarray of int, shape (events,)
        Person-rows that end in an event.
    level : ndarray of 0.0 and 1.0, shape (person-rows, levels)
        The first holds every row.
    factor : RateFactor
    """

    model: BatchedNewton
    unit: Ints
    length: Floats
    crude: float
    event: Ints
    level: Floats
    factor: RateFactor

    @classmethod
    def prepare(cls, factor: RateFactor) -> RefittedRate:
        """Keep what all replicates share."""
        rate = factor.rate
        integral = rate.integral
        crude = float(rate.event.sum() / rate.exposure.sum())
        solution = rate.coefficient.copy()
        solution[0] -= np.log(crude)
        same = integral.unit[1:] == integral.unit[:-1]
        return cls(
            model=BatchedNewton.prepare(
                Likelihood.TILTING,
                integral.slope[:, 1:],
                rate.event,
                rate.exposure * crude,
                solution,
                furthest=_FURTHEST,
            ),
            unit=integral.unit,
            length=np.append(np.where(same, np.diff(integral.start), 0.0), 0.0) * crude,
            crude=crude,
            event=np.flatnonzero(rate.event),
            level=np.column_stack([np.ones(len(rate.event)), rate.level]),
            factor=factor,
        )

    @property
    def width(self) -> int:
        """Numbers a replicate keeps at once."""
        return len(self.unit)

    def add(self, counts: Floats, logs: Floats) -> NDArray[np.bool_]:
        """Refit the rate and add the factor's logarithm."""
        here = counts[:, self.unit]
        self._silence(here)
        beta, solved = self.model.fit(here)
        eta = self.model.predictors(beta)
        reading = self.factor.reading
        since = reading.since
        _add_rate(
            logs,
            eta,
            here * (self.model.second > 0),
            self.unit,
            self.length,
            self.crude,
            reading.until.row,
            reading.until.elapsed * self.crude,
            np.empty(0, dtype=np.int64) if since is None else since.row,
            np.empty(0) if since is None else since.elapsed * self.crude,
            reading.own,
            np.log(reading.scale),
            reading.sign,
        )
        return solved

    def _silence(self, here: Floats) -> None:
        """Take out the rows of levels without an event: their rate is zero, the limit of the fit."""
        happened = here[:, self.event] @ self.level[self.event]
        for replicate, level in zip(*np.nonzero(happened == 0), strict=True):
            here[replicate, self.level[:, level] > 0] = 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_rate(
    logs: Floats,
    eta: Floats,
    counts: Floats,
    unit: Ints,
    length: Floats,
    crude: float,
    until: Ints,
    until_elapsed: Floats,
    since: Ints,
    since_elapsed: Floats,
    own: Ints,
    scale: Floats,
    sign: float,
) -> None:
    """Add log scale +- (L(until) - L(since)) - log rate to each row, rates from log rate ratios ``eta``."""
    rows = unit.size
    bits, rate, before = np.empty(rows, np.int64), np.empty(rows), np.empty(rows)
    log_crude = np.log(crude)
    for r in range(logs.shape[0]):
        relative, present, out = eta[r], counts[r], logs[r]
        for i in range(rows):
            relative[i] *= np.float64(present[i] > 0)
            rate[i] = relative[i]
        exponentiate(rate, bits)
        total, last = 0.0, -1
        for i in range(rows):
            rate[i] *= np.float64(present[i] > 0)
            total *= np.float64(unit[i] == last)
            before[i] = total
            total += rate[i] * length[i]
            last = unit[i]
        for j in range(out.size):
            i = until[j]
            mass = before[i] + rate[i] * until_elapsed[j]
            if since.size:
                i = since[j]
                mass -= before[i] + rate[i] * since_elapsed[j]
            out[j] += scale[j] + sign * mass
            if own[j] >= 0:
                out[j] -= relative[own[j]] + log_crude


@njit(cache=True, nogil=True, error_model="numpy")
def _exponentiate_all(values: Floats) -> None:
    bits = np.empty(values.shape[1], np.int64)
    for r in range(values.shape[0]):
        exponentiate(values[r], bits)


@njit(cache=True, nogil=True, error_model="numpy")
def _cut_final(
    values: Floats, final: Floats, used: Floats, order: Ints, own: Ints, late: Mask, low: float, high: float
) -> None:
    """Cut the rows of one arm at the quantiles of its final weights; early rows from above only."""
    for r in range(values.shape[0]):
        bottom = count_quantile(final[r], used[r], order[r], low, False)
        top = count_quantile(final[r], used[r], order[r], high, False)
        for j in own:
            values[r, j] = min(values[r, j], top)
            if late[j]:
                values[r, j] = max(values[r, j], bottom)


# --- leaving an arm, as in published code ---------------------------------------------------------


@dataclass(frozen=True)
class RefittedLeaving:
    """A factor exp(H relative hazard) from a Cox model of leaving an arm, Efron's ties.

    Attributes
    ----------
    design : ndarray, shape (n, p)
        Centred and scaled; patients by the time they stay until, earliest first.
    start : ndarray, shape (p,)
        Coefficients with counts of one.
    patient : ndarray of int, shape (n,)
        Who each is.
    last : ndarray of int, shape (n,)
        Number of times of leaving at or before that time.
    leaves : ndarray of bool, shape (n,)
    times : int
    whole : bool
    rows, row_place, jumps : ndarray of int, shape (m,)
        Rows of the arm, the place of their patient, and how many times have passed.
    """

    design: Floats
    start: Floats
    patient: Ints
    last: Ints
    leaves: Mask
    times: int
    whole: bool
    rows: Ints
    row_place: Ints
    jumps: Ints

    @classmethod
    def prepare(cls, factor: LeavingFactor, whole: bool) -> RefittedLeaving:
        """Keep what all replicates share."""
        sets = factor.sets
        order = np.argsort(sets.last, kind="stable")
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        leaves = np.zeros(len(order), dtype=bool)
        leaves[sets.dead] = True
        scale = factor.terms.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        design = (factor.terms - factor.terms.mean(axis=0)) / scale
        return cls(
            design=design[order],
            start=factor.coefficient * scale,
            patient=order,
            last=sets.last[order],
            leaves=leaves[order],
            times=len(sets.times),
            whole=whole,
            rows=factor.rows,
            row_place=place[factor.patient],
            jumps=factor.jumps,
        )

    @property
    def width(self) -> int:
        """Numbers a replicate keeps at once."""
        return len(self.rows)

    def add(self, counts: Floats, logs: Floats) -> NDArray[np.bool_]:
        """Refit the model and add the factor's logarithm."""
        here = counts[:, self.patient]
        p = self.design.shape[1]
        beta, solved = np.tile(self.start, (len(counts), 1)), np.zeros(len(counts), dtype=bool)
        hazard = np.zeros((len(counts), self.times + 1))
        active = np.arange(len(counts))
        for _ in range(_MOST_STEPS):
            if not active.size:
                break
            relative = self._relative(beta[active])
            gradient, packed = np.zeros((active.size, p)), np.zeros((active.size, p * (p + 1) // 2))
            _leaving_sums(
                relative, here[active], self.design, self.last, self.leaves, self.times, self.whole, gradient, packed
            )
            step, solvable = newton_steps(gradient, packed)
            size = np.abs(step).max(axis=1, initial=0.0)
            beta[active] += step / np.maximum(size, 1.0)[:, None]
            going = solvable & np.isfinite(size) & (np.abs(beta[active]).max(axis=1, initial=0.0) <= _FURTHEST)
            solved[active] = going & (size < _SETTLED)
            active = active[going & (size >= _SETTLED)]
        relative = self._relative(beta)
        _leaving_hazard(relative, here, self.last, self.leaves, self.whole, hazard)
        _add_leaving(logs, hazard, relative, self.rows, self.row_place, self.jumps)
        return solved

    def _relative(self, beta: Floats) -> Floats:
        relative = beta @ self.design.T
        _exponentiate_all(relative)
        return relative


@njit(cache=True, nogil=True, error_model="numpy")
def _leaving_sums(
    relative: Floats,
    counts: Floats,
    design: Floats,
    last: Ints,
    leaves: Mask,
    times: int,
    whole: bool,
    gradient: Floats,
    packed: Floats,
) -> None:
    """Sum the score and the packed information of each replicate's partial likelihood."""
    n, p = design.shape
    one, dead_one = np.empty(p), np.empty(p)
    two, dead_two = np.empty(packed.shape[1]), np.empty(packed.shape[1])
    for r in range(counts.shape[0]):
        zero = 0.0
        one[:], two[:] = 0.0, 0.0
        i = n - 1
        for time in range(times, 0, -1):
            # those who stay until this time or longer are at risk; those who leave at it are the dead of the model
            dead_zero, weight, copies = 0.0, 0.0, 0.0
            dead_one[:], dead_two[:] = 0.0, 0.0
            while i >= 0 and last[i] >= time:
                count = counts[r, i]
                if count > 0:
                    w = count * relative[r, i]
                    dies = leaves[i] and last[i] == time
                    zero += w
                    if dies:
                        dead_zero += w
                        weight += count
                        copies += count if whole else 1.0
                    at = 0
                    for a in range(p):
                        x = w * design[i, a]
                        one[a] += x
                        if dies:
                            dead_one[a] += x
                            gradient[r, a] += count * design[i, a]
                        for b in range(a, p):
                            two[at] += x * design[i, b]
                            if dies:
                                dead_two[at] += x * design[i, b]
                            at += 1
                i -= 1
            for part in range(int(copies)):
                left = part / copies
                s0 = zero - left * dead_zero
                share = weight / copies
                at = 0
                for a in range(p):
                    mean = (one[a] - left * dead_one[a]) / s0
                    gradient[r, a] -= share * mean
                    for b in range(a, p):
                        other = (one[b] - left * dead_one[b]) / s0
                        packed[r, at] += share * ((two[at] - left * dead_two[at]) / s0 - mean * other)
                        at += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _leaving_hazard(relative: Floats, counts: Floats, last: Ints, leaves: Mask, whole: bool, hazard: Floats) -> None:
    """Fill the cumulative baseline hazard after each number of times."""
    for r in range(counts.shape[0]):
        zero = 0.0
        i = last.size - 1
        for time in range(hazard.shape[1] - 1, 0, -1):
            dead_zero, weight, copies = 0.0, 0.0, 0.0
            while i >= 0 and last[i] >= time:
                count = counts[r, i]
                if count > 0:
                    zero += count * relative[r, i]
                    if leaves[i] and last[i] == time:
                        dead_zero += count * relative[r, i]
                        weight += count
                        copies += count if whole else 1.0
                i -= 1
            for part in range(int(copies)):
                hazard[r, time] += weight / copies / (zero - part / copies * dead_zero)
        for time in range(1, hazard.shape[1]):
            hazard[r, time] += hazard[r, time - 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_leaving(logs: Floats, hazard: Floats, relative: Floats, rows: Ints, place: Ints, jumps: Ints) -> None:
    for r in range(logs.shape[0]):
        for j in range(rows.size):
            logs[r, rows[j]] += hazard[r, jumps[j]] * relative[r, place[j]]
