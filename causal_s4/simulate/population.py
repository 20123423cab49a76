"""Whose effect, and what a weighted Cox model tends to: the arithmetic of truth.

Kept apart from the code that estimates the same quantities, so that one can be held against the
other.
"""

from __future__ import annotations

import numpy as np

from causal_s4.protocol.vocabulary import Estimand
from causal_s4.results import Floats, Ints


def tilt(propensity: Floats, population: str) -> Floats:
    """Return how much a patient counts in a population, by her true propensity score.

    Parameters
    ----------
    propensity : ndarray, shape (n,)
        Probability of treatment given what is recorded.
    population : {"ATE", "ATT", "ATC", "ATO", "ATM"}
        Whose effect.

    Returns
    -------
    ndarray, shape (n,)
        Relative weight (Li, Morgan & Zaslavsky 2018, 10.1080/01621459.2016.1260466).
    """
    match Estimand(population):
        case Estimand.ATE:
            return np.ones_like(propensity)
        case Estimand.ATT:
            return propensity
        case Estimand.ATC:
            return 1 - propensity
        case Estimand.ATO:
            return propensity * (1 - propensity)
        case Estimand.ATM:
            return np.minimum(propensity, 1 - propensity)


def marginal_log_hazard_ratio(time: Floats, event: Ints, arm: Ints, weight: Floats) -> float:
    """Return the coefficient of a weighted Cox model with the arm alone.

    Parameters
    ----------
    time : ndarray, shape (rows,)
        Follow-up.
    event : ndarray of int, shape (rows,)
        1 the event, 0 censored.
    arm : ndarray of int, shape (rows,)
        1 treated, 0 control.
    weight : ndarray, shape (rows,)
        Not negative.

    Returns
    -------
    float
        Log hazard ratio, Breslow's handling of ties.

    Notes
    -----
    With one binary covariate the score needs only the weight at risk in each arm at each event. It
    falls with the coefficient, so Newton's steps settle from zero.
    """
    order = np.argsort(-time, kind="stable")
    time, event, arm, weight = time[order], event[order], arm[order], weight[order]
    # Ties share the risk set of the last of them in descending time.
    last = np.searchsorted(-time, -time, side="right") - 1
    events = (event == 1) & (weight > 0)
    treated, control = (np.cumsum(weight * (arm == each))[last][events] for each in (1, 0))
    mass = weight[events]
    treated_events = float(mass @ arm[events])
    beta = 0.0
    for _ in range(50):
        share = treated * np.exp(beta) / (treated * np.exp(beta) + control)
        step = (treated_events - float(mass @ share)) / float(mass @ (share * (1 - share)))
        if abs(step) < 1e-12:
            break
        beta += step
    return beta
