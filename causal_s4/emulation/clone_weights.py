"""What a clone that stayed with its strategy counts, moment by moment, and how that moves with the model.

With L(s) the cumulative rate of starting treatment, l(s) the rate, and Q, q the distribution of the timing
after a time a until which practice is left alone, the weights at s within the grace period are

* none within it, untreated: exp L(s);
* treatment within it, untreated: (1 - Q(s)) exp(L(s) - L(a)), or one before a;
* treatment within it, treated at S: q(S) / [l(S) exp(L(a) - L(S))], or one if before a,

and stay what they were at its end afterwards. Each is the probability of the course under the strategy over
that under practice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causal_s4.emulation.clones import CloneRows, Course
from causal_s4.emulation.intensity import FittedRate
from causal_s4.emulation.timing import Timing
from causal_s4.results import Floats


@dataclass(frozen=True, kw_only=True)
class LogWeights:
    """A factor of the weights, and how its logarithm moves with the coefficients of a rate.

    Parameters
    ----------
    factor : ndarray, shape (rows,)
    slope : ndarray, shape (rows, q)
        d log factor / d coefficient.
    rate : FittedRate
    """

    factor: Floats
    slope: Floats
    rate: FittedRate


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
    patient, treated = rows.patient, (rows.arm == 1) & rows.settled
    # up to when the rate of starting treatment has mattered
    until = np.where(treated, when[patient], np.minimum(rows.at, course.grace))
    mass, slope = rate.integral.until(patient, until)
    factor = np.exp(mass)
    strategy = rows.arm == 1
    if timing.since > 0:
        early, early_slope = rate.integral.until(patient, np.full(len(patient), timing.since))
        factor[strategy] *= np.exp(-early[strategy])
        slope[strategy] -= early_slope[strategy]
    waiting = strategy & ~treated
    factor[waiting] *= timing.remaining(until[waiting])
    own = rate.integral.locate(patient[treated], until[treated])
    factor[treated] *= timing.density(until[treated]) / rate.integral.rate[own]
    slope[treated] -= rate.integral.slope[own]
    as_usual = strategy & (until <= timing.since)
    factor[as_usual], slope[as_usual] = 1.0, 0.0
    return LogWeights(factor=factor, slope=slope, rate=rate)


def loss_factor(rows: CloneRows, rate: FittedRate, marginal: FittedRate) -> tuple[LogWeights, LogWeights]:
    """Return the weights for not being lost, and what stabilises them: the rate of loss by time alone.

    Parameters
    ----------
    rows : CloneRows
    rate, marginal : FittedRate
        Of being lost, given what is known and by time alone.
    """
    mass, slope = rate.integral.until(rows.patient, rows.at)
    usual, usual_slope = marginal.integral.until(rows.patient, rows.at)
    return (
        LogWeights(factor=np.exp(mass), slope=slope, rate=rate),
        LogWeights(factor=np.exp(-usual), slope=-usual_slope, rate=marginal),
    )
