"""One-to-one pairs of a treated patient and a control with a similar propensity score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causal_s4.errors import OverlapError
from causal_s4.results import Floats, Ints, SensitivityResult
from causal_s4.sensitivity.matched_pairs import rosenbaum_bounds
from causal_s4.sensitivity.question import Question

CALIPER = 0.2


def greedy_pairs(log_odds: Floats, treatment: Ints, caliper: float = CALIPER) -> tuple[Ints, Ints]:
    """Match each treated patient to the nearest control not taken yet, the highest score first.

    Parameters
    ----------
    log_odds : ndarray, shape (n,)
        Of the propensity score.
    treatment : ndarray of 0/1, shape (n,)
    caliper : float
        Largest distance, in standard deviations of the log odds.

    Returns
    -------
    treated, control : ndarray of int, shape (pairs,)

    Notes
    -----
    Caliper of Austin 2011, 10.1002/pst.433. Ties go to the control with the lower score, then to the one
    that comes first.
    """
    reach = caliper * float(log_odds.std(ddof=1))
    controls = np.flatnonzero(treatment == 0)
    controls = controls[np.argsort(log_odds[controls], kind="stable")]
    score = log_odds[controls]
    # next free control at or to the left and right of a place, with the path to it shortened as it is walked
    left, right = np.arange(controls.size + 1), np.arange(controls.size + 1)

    def free(link: Ints, place: int) -> int:
        while link[place] != place:
            link[place] = link[link[place]]
            place = int(link[place])
        return place

    treated = np.flatnonzero(treatment == 1)
    pairs: list[tuple[int, int]] = []
    for patient in treated[np.argsort(-log_odds[treated], kind="stable")]:
        place = int(np.searchsorted(score, log_odds[patient], side="right"))
        # left[p] stands for control p - 1, so that 0 means none is left
        below, above = free(left, place) - 1, free(right, place)
        gaps = (
            log_odds[patient] - score[below] if below >= 0 else np.inf,
            score[above] - log_odds[patient] if above < controls.size else np.inf,
        )
        if min(gaps) > reach:
            continue
        chosen = below if gaps[0] <= gaps[1] else above
        left[chosen + 1], right[chosen] = chosen, chosen + 1
        pairs.append((int(patient), int(controls[chosen])))
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def matched_bounds(question: Question, *, caliper: float = CALIPER) -> tuple[SensitivityResult, ...]:
    """Return Rosenbaum bounds of pairs matched on the propensity score: sign test and Prentice-Wilcoxon.

    Parameters
    ----------
    question : Question
    caliper : float
        In standard deviations of the log odds of treatment.

    Returns
    -------
    tuple of SensitivityResult

    Raises
    ------
    OverlapError
        When no treated patient has a control within the caliper.
    """
    recipe = replace(
        question.recipe, population="ATT", method=question.recipe.of_score, truncate=None, trim=None, stabilise=False
    )
    score = question.weigh(question.cohort, recipe).propensity
    chance = np.full(len(question.cohort), 0.5) if score is None else score
    treated, control = greedy_pairs(np.log(chance / (1 - chance)), question.cohort.treatment, caliper)
    if not treated.size:
        raise OverlapError(f"no treated patient has a control within {caliper:g} standard deviations of the log odds")
    data = question.data
    event = (data.event > 0).astype(np.int64)  # free of either, where events compete
    pairs = {
        "treated_time": data.time[treated],
        "treated_event": event[treated],
        "control_time": data.time[control],
        "control_event": event[control],
    }
    unmatched = int((question.cohort.treatment == 1).sum()) - treated.size
    return tuple(
        replace(
            result,
            target={"outcome": question.outcome, "analysis": "matched pairs", "population": "ATT", **result.target},
            parameters={**result.parameters, "caliper": caliper, "treated_unmatched": unmatched},
        )
        for result in (rosenbaum_bounds(pairs, statistic=name) for name in ("sign", "prentice-wilcoxon"))
    )
