"""Does the answer hang on who was followed? Early events, lost patients, censoring that tells something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets, merge_close
from causal_s4.protocol.vocabulary import Duration
from causal_s4.results import Floats, Ints, SensitivityResult, Weights
from causal_s4.sensitivity.question import Answer, Question, pooled

EARLY = ("30 days", "90 days")
MULTIPLIERS: tuple[tuple[float, float], ...] = (
    (1.0, 1.0),
    (2.0, 2.0),
    (1.5, 1.0),
    (2.0, 1.0),
    (3.0, 1.0),
    (1.0, 1.5),
    (1.0, 2.0),
    (1.0, 3.0),
)
"""Hazard after loss to follow-up, treated and control arm, as a multiple of that of those who stayed."""


def early_deaths_excluded(question: Question, *, within: Sequence[str] = EARLY) -> SensitivityResult:
    """Return the estimate among those still followed, and without the event, after a first stretch.

    Parameters
    ----------
    question : Question
    within : sequence of str
        Durations, such as ``"30 days"``.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a duration with the patients left out by arm; weights are found anew.
    """
    rows = [{**question.row({"within": "none left out"}), "left_out_treated": 0, "left_out_control": 0}]
    for text in within:
        cut = Duration.parse(text).to(question.cohort.time_unit)
        stays = question.data.time > cut
        treated = question.cohort.treatment == 1
        row = question.row({"within": text}, cohort=question.cohort.take(stays))
        rows.append(
            {
                **row,
                "left_out_treated": int((~stays & treated).sum()),
                "left_out_control": int((~stays & ~treated).sum()),
            }
        )
    return question.table_of(
        "early deaths excluded",
        rows,
        parameters={"within": list(within)},
        direction="towards no effect where patients too ill to be treated had their events first",
        assumptions=(
            "time zero stays where it is; rows speak about patients who were followed beyond the stretch",
            "no harm of treatment itself falls into the stretch, for it would be left out as well",
        ),
    )


def lost(question: Question) -> np.ndarray:
    """Return who left follow-up before the horizon without an event, shape (n,)."""
    return np.asarray((question.data.event == 0) & (question.data.time < question.horizon))


def loss_bounds(question: Question) -> SensitivityResult:
    """Return the estimate if those who left before the horizon all had the event, or none of them, by arm.

    Parameters
    ----------
    question : Question

    Returns
    -------
    SensitivityResult
        ``table`` has four rows; follow-up ends at the horizon in all of them. ``value``, ``lower`` and
        ``upper`` are of the survival difference: as observed, and the least and the largest.
    """
    gone, treated = lost(question), question.cohort.treatment == 1
    rows = [_ended(question, {"treated_lost": "as observed", "control_lost": "as observed"})]
    for first in ("have the event at once", "stay free of it"):
        for second in ("have the event at once", "stay free of it"):
            time, event = ended_at(question)
            dies = gone & np.where(treated, first.startswith("have"), second.startswith("have"))
            event = np.where(dies, 1, event)
            time = np.where(gone & ~dies, question.horizon, time)
            row = question.row(
                {"treated_lost": first, "control_lost": second},
                cohort=question.with_outcome(time, event),
                weights=question.answered.weights,
            )
            rows.append(row)
    for row in rows:  # the differences are what is bounded, and stand first
        row |= {
            f"hazard_ratio{end}": row.pop(name)
            for end, name in (("", "value"), ("_lower", "lower"), ("_upper", "upper"))
        }
    differences = [row["survival_difference"] for row in rows if row["survival_difference"] is not None]
    return SensitivityResult(
        method="loss bounds",
        target=question.target("survival difference", question.horizon),
        parameters={
            "lost_treated": int((gone & treated).sum()),
            "lost_control": int((gone & ~treated).sum()),
            "range": "lower and upper are those of the differences in the table",
        },
        value=question.answered.effects["survival difference"].value,
        lower=min(differences, default=None),
        upper=max(differences, default=None),
        unit="probability",
        direction="either way: down where treated patients who left had the event, up where controls did",
        assumptions=(
            "a patient censored before the horizon is lost, also one whose follow-up ended with the study: the bounds are "
            "wide where recruitment went on until late",
            "nothing is assumed of those who left",
        ),
        table=tuple(rows),
    )


def ended_at(question: Question) -> tuple[Floats, Ints]:
    """Return time and event with follow-up ended at the horizon."""
    late = question.data.time > question.horizon
    return np.where(late, question.horizon, question.data.time), np.where(late, 0, question.data.event)


def _ended(question: Question, labels: dict[str, Any]) -> dict[str, Any]:
    return question.row(labels, cohort=question.with_outcome(*ended_at(question)), weights=question.answered.weights)


def informative_censoring(
    question: Question,
    *,
    multipliers: Sequence[tuple[float, float]] = MULTIPLIERS,
    imputations: int = 10,
    block: str = "informative-censoring",
) -> SensitivityResult:
    """Return the estimate if the hazard of those who left was a multiple of that of those who stayed.

    Parameters
    ----------
    question : Question
    multipliers : sequence of (float, float)
        Of the hazard after leaving, in the treated and in the control arm.
    imputations : int
        Completed data sets a row.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a pair, pooled by Rubin's rules; follow-up ends at the horizon.

    Notes
    -----
    Times after leaving are drawn up to the horizon from the weighted Kaplan-Meier curve of a resample of
    the arm, its hazard multiplied. Jackson et al. 2014, 10.1002/sim.6274; Zhao et al. 2014,
    10.1080/10543406.2013.860769.
    """
    gone = lost(question)
    rows = [_ended(question, {"hazard_treated": "as observed", "hazard_control": "as observed"})]
    for pair in multipliers:
        labels = {"hazard_treated": float(pair[0]), "hazard_control": float(pair[1])}
        # the same random numbers in every row, so that rows differ by the multiplier alone
        answers = _completed(question, gone, (float(pair[1]), float(pair[0])), imputations, block)
        rows.append({**labels, **pooled(answers, question.level)})
    return question.table_of(
        "informative censoring",
        rows,
        parameters={"imputations": imputations, "lost": int(gone.sum())},
        direction="a higher hazard among treated patients who left raises the hazard ratio, among controls lowers it",
        assumptions=(
            "patients who left before the horizon had, from then on, a multiple of the hazard of those of their arm "
            "who stayed; the multiple is assumed, not estimated",
            "the multiple does not depend on covariates",
        ),
    )


def _completed(
    question: Question, gone: np.ndarray, multiplier: tuple[float, float], imputations: int, block: str
) -> Iterator[Answer]:
    weights: Weights = question.answered.weights
    arm = question.cohort.treatment
    time, event = ended_at(question)
    for number in range(imputations):
        generator = np.random.default_rng(question.stream(block, number))
        drawn_time, drawn_event = time.copy(), event.copy()
        for code in (0, 1):
            members = np.flatnonzero((arm == code) & (weights.values > 0))
            resample = members[generator.integers(0, members.size, members.size)]
            chance = generator.random(members.size)
            sets = RiskSets.of(None, time[resample], event[resample] > 0)
            curve = KaplanMeier.fit(sets, weights.values[resample])
            leaves = gone[members]
            who = members[leaves]
            drawn_time[who], drawn_event[who] = _draw_after(
                curve, time[who], chance[leaves], multiplier[code], question.horizon
            )
        yield question.answer(question.with_outcome(merge_close(drawn_time), drawn_event), weights=weights)


def _draw_after(
    curve: KaplanMeier, left: Floats, chance: Floats, multiplier: float, horizon: float
) -> tuple[Floats, Ints]:
    """Draw event times after leaving, by inversion; censored at the horizon when none falls before it."""
    if not curve.survival.size:  # nobody in the resample had an event
        return np.full(left.size, horizon), np.zeros(left.size, dtype=np.int64)
    survival = np.concatenate([[1.0], curve.survival])
    here = survival[np.searchsorted(curve.sets.times, left, side="right")]
    # S(t)/S(left) to the power of the multiplier falls below the uniform draw at the event
    goal = here * chance ** (1 / multiplier)
    place = np.searchsorted(-curve.survival, -goal, side="left")
    happens = (here > 0) & (place < curve.survival.size)
    when = np.where(happens, curve.sets.times[np.minimum(place, curve.survival.size - 1)], horizon)
    happens &= (when <= horizon) & (when > left)
    return np.where(happens, when, horizon), happens.astype(np.int64)
