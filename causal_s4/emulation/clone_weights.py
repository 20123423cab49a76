"""What a clone that stayed with its strategy counts, moment by moment, and how that moves with the model.

With L(s) the cumulative rate of starting treatment, l(s) the rate, and Q, q the distribution of the timing
after a time a until which practice is left alone, the weights at s within the grace period are

* none within it, untreated: exp L(s);
* treatment within it, untreated: (1 - Q(s)) exp(L(s) - L(a)), or one before a;
* treatment within it, treated at S: q(S) / [l(S) exp(L(a) - L(S))], or one if before a,

and stay what they were at its end afterwards. A clone that was released from treatment at P keeps the weight of an
untreated one at P. Where no later treatment is allowed, the untreated go on with the rate after the grace period;
treatment outside both strategies adds the exp of its own cumulative rate. Each is the probability of the course under the strategy over
that under practice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causal_s4.emulation.clones import CloneRows, Course
from causal_s4.emulation.intensity import FittedRate
from causal_s4.emulation.timing import Timing
from causal_s4.kernels.clone_factors import Mask, RateFactor, Reading
from causal_s4.results import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class LogWeights:
    """A factor of the weights, and how its logarithm moves with the coefficients of a rate.

    Parameters
    ----------
    factor : ndarray, shape (rows,)
    slope : ndarray, shape (rows, q)
        d log factor / d coefficient.
    rate : FittedRate
    reading : Reading
        How it is read off the rate.
    """

    factor: Floats
    slope: Floats
    rate: FittedRate
    reading: Reading

    @classmethod
    def read(cls, rate: FittedRate, reading: Reading) -> LogWeights:
        """Read a factor off a rate."""
        factor, slope = reading.of(rate.integral)
        return cls(factor=factor, slope=slope, rate=rate, reading=reading)

    def remade(self, keep: Mask) -> RateFactor:
        """Return how the factor of some rows is made again."""
        return RateFactor(rate=self.rate.refittable, reading=self.reading.take(keep))


def initiation_factor(rows: CloneRows, course: Course, rate: FittedRate, timing: Timing, when: Floats) -> LogWeights:
    """Return the weights for staying with the strategy.

    Parameters
    ----------
    rows : CloneRows
    course : Course
    rate : FittedRate
        Of starting treatment.
    timing : Timing
    when : ndarray, shape (n,)
        Time of treatment as the model has it.
    """
    patient = rows.patient
    treated = (rows.arm == 1) & rows.settled & course.treated_within[patient]
    # up to when the rate of starting treatment has mattered
    until = np.where(treated, when[patient], _asked_until(rows, course))
    moment = rate.integral.moment(patient, until)
    strategy = rows.arm == 1
    as_usual = strategy & (until <= timing.since)
    waiting, treated = strategy & ~treated & ~as_usual, treated & ~as_usual
    scale = np.ones(len(patient))
    scale[waiting] = timing.remaining(until[waiting])
    scale[treated] = timing.density(until[treated])
    early = None
    if timing.since > 0:
        # as in practice: from the moment to itself, and so nothing
        begin = np.where(as_usual, until, np.where(strategy, timing.since, 0.0))
        early = rate.integral.moment(patient, begin)
    own = np.where(treated, moment.row, -1)
    return LogWeights.read(rate, Reading(until=moment, since=early, own=own, scale=scale))


def diversion_factor(rows: CloneRows, course: Course, rate: FittedRate) -> LogWeights:
    """Return the weights for not having been treated outside both strategies, while either asks for something.

    Parameters
    ----------
    rows : CloneRows
    course : Course
    rate : FittedRate
        Of such treatment within the grace period.
    """
    until = np.where((rows.arm == 1) & rows.settled, course.settles(1)[rows.patient], _asked_until(rows, course))
    return _survived(rate, rows.patient, until)


def later_factor(rows: CloneRows, rate: FittedRate) -> LogWeights:
    """Return the weights for staying untreated after the grace period, of the arm that asks for it.

    Parameters
    ----------
    rows : CloneRows
    rate : FittedRate
        Of any treatment after the grace period.
    """
    return _survived(rate, rows.patient, np.where(rows.arm == 0, rows.at, 0.0))


def _asked_until(rows: CloneRows, course: Course) -> Floats:
    """Return until when within the grace period a strategy has asked something of an untreated clone."""
    until = np.minimum(rows.at, course.grace)
    return np.where(rows.arm == 1, np.minimum(until, course.released[rows.patient]), until)


def _survived(rate: FittedRate, patient: Ints, until: Floats) -> LogWeights:
    nothing, one = np.full(len(patient), -1), np.ones(len(patient))
    return LogWeights.read(
        rate, Reading(until=rate.integral.moment(patient, until), since=None, own=nothing, scale=one)
    )


def loss_factor(rows: CloneRows, rate: FittedRate, marginal: FittedRate) -> tuple[LogWeights, LogWeights]:
    """Return the weights for not being lost, and what stabilises them: the rate of loss by time alone.

    Parameters
    ----------
    rows : CloneRows
    rate, marginal : FittedRate
        Of being lost, given what is known and by time alone.
    """
    nothing, one = np.full(len(rows.patient), -1), np.ones(len(rows.patient))

    def read(of: FittedRate, sign: float) -> LogWeights:
        moment = of.integral.moment(rows.patient, rows.at)
        return LogWeights.read(of, Reading(until=moment, since=None, own=nothing, scale=one, sign=sign))

    return read(rate, 1.0), read(marginal, -1.0)
