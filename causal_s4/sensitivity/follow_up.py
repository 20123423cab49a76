"""Does the answer hang on who was followed? Early events, lost patients, censoring that tells something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causal_s4.cohort import RiskTable
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.protocol.vocabulary import Duration
from causal_s4.results import Floats, Ints, SensitivityResult, read_only
from causal_s4.sensitivity.question import Question, TableEstimator, pooled

Mask = NDArray[np.bool_]

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


def lost(question: Question) -> Mask:
    """Return who left follow-up before the horizon without an event, shape (n,)."""
    return np.asarray((question.data.event == 0) & (question.data.time < question.horizon))


def rows_lost(question: Question, table: RiskTable) -> Mask:
    """Return the rows that end because their patient was lost, and not because a clone left its strategy.

    Parameters
    ----------
    question : Question
    table : RiskTable
        Of the same patients: one row each, or two clones each in rows that follow one another.

    Returns
    -------
    ndarray of bool, shape (rows,)
    """
    end = question.data.time[table.patient]
    found = lost(question)[table.patient] & _same(table.stop, end)
    if table.grace_period is None:
        return found
    # an untreated clone whose patient is treated on the last day of follow-up leaves its arm that day
    never = np.full(len(question.cohort), np.inf)
    starts = (question.cohort.treatment_start, question.cohort.non_protocol_start)
    first = np.minimum(*(never if each is None else each for each in starts))[table.patient]
    departs = (table.arm == 0) & _same(first, end) & (table.never | (first <= table.grace_period))
    return np.asarray(found & ~departs)


def _same(first: Floats, second: Floats) -> Mask:
    return np.isclose(first, second, rtol=1e-9, atol=1e-12)


def loss_bounds(question: Question, table: RiskTable, estimate: TableEstimator) -> SensitivityResult:
    """Return the estimate if those who left before the horizon all had the event, or none of them, by arm.

    Parameters
    ----------
    question : Question
    table : RiskTable
        What was estimated from, with its weights. A clone that is lost goes on in its arm, with the weight it had.
    estimate : callable
        Risk table with weights and horizon to the key effects.

    Returns
    -------
    SensitivityResult
        ``table`` has five rows; follow-up ends at the horizon in all of them. ``value``, ``lower`` and
        ``upper`` are of the survival difference: as observed, and the least and the largest.

    Notes
    -----
    A weight that makes clones represent their strategy stays, on average, what it was when the patient left: it is
    a martingale under practice (Robins, Hernan & Brumback 2000, 10.1097/00001648-200009000-00011).
    """
    ended, gone = _ended(question, table)
    treated = ended.arm == 1
    labels = {"treated_lost": "as observed", "control_lost": "as observed"}
    rows = [question.row_of(labels, lambda: estimate(ended, question.horizon))]
    for first in ("have the event at once", "stay free of it"):
        for second in ("have the event at once", "stay free of it"):
            dies = gone & np.where(treated, first.startswith("have"), second.startswith("have"))
            changed = replace(
                ended,
                stop=read_only(np.where(gone & ~dies, question.horizon, ended.stop)),
                event=read_only(np.where(dies, 1, ended.event)),
            )
            labels = {"treated_lost": first, "control_lost": second}
            rows.append(question.row_of(labels, partial(estimate, changed, question.horizon)))
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
            *_said_of(table),
        ),
        table=tuple(rows),
    )


_TO_HORIZON = "follow-up ends at the horizon in every row, so that the hazard ratio as observed is that up to there"
_CLONES = (
    "a clone whose patient left while it followed its strategy goes on to follow it, with the weight it had: such a "
    "patient counts in either arm if she left untreated within the grace period"
)


def _said_of(table: RiskTable) -> tuple[str, ...]:
    return (_TO_HORIZON,) if table.grace_period is None else (_TO_HORIZON, _CLONES)


def ended_at(question: Question) -> tuple[Floats, Ints]:
    """Return time and event with follow-up ended at the horizon."""
    late = question.data.time > question.horizon
    return np.where(late, question.horizon, question.data.time), np.where(late, 0, question.data.event)


def _ended(question: Question, table: RiskTable) -> tuple[RiskTable, Mask]:
    """Return the rows up to the horizon, and which of them end in loss."""
    keep, late = table.start < question.horizon, table.stop > question.horizon
    weights = table.weights
    if weights is not None and weights.by_row:
        parts = tuple(replace(part, derivative=part.derivative[keep]) for part in weights.parts)
        weights = replace(weights, values=read_only(weights.values[keep]), parts=parts, spec=None)
    ended = replace(
        table,
        patient=read_only(table.patient[keep]),
        arm=read_only(table.arm[keep]),
        start=read_only(table.start[keep]),
        stop=read_only(np.minimum(table.stop, question.horizon)[keep]),
        event=read_only(np.where(late, 0, table.event)[keep]),
        weights=weights,
    )
    return ended, rows_lost(question, table)[keep]


def informative_censoring(
    question: Question,
    table: RiskTable,
    estimate: TableEstimator,
    *,
    multipliers: Sequence[tuple[float, float]] = MULTIPLIERS,
    imputations: int = 40,
    block: str = "informative-censoring",
) -> SensitivityResult:
    """Return the estimate if the hazard of those who left was a multiple of that of those who stayed.

    Parameters
    ----------
    question : Question
    table : RiskTable
        As of :func:`loss_bounds`.
    estimate : callable
        Risk table with weights and horizon to the key effects.
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
    Times after leaving are drawn up to the horizon from the weighted Kaplan-Meier curve of the arm, or of the
    strategy, in a resample of patients, its hazard multiplied. Jackson et al. 2014, 10.1002/sim.6274; Zhao et al.
    2014, 10.1080/10543406.2013.860769.
    """
    ended, gone = _ended(question, table)
    labels: dict[str, Any] = {"hazard_treated": "as observed", "hazard_control": "as observed"}
    rows = [question.row_of(labels, lambda: estimate(ended, question.horizon))]
    for pair in multipliers:
        labels = {"hazard_treated": float(pair[0]), "hazard_control": float(pair[1])}
        # the same random numbers in every row, so that rows differ by the multiplier alone
        drawn = _completed(question, ended, gone, (float(pair[1]), float(pair[0])), imputations, block)
        answers = (estimate(each, question.horizon) for each in drawn)
        rows.append({**labels, **pooled(answers, question.level)})
    return question.table_of(
        "informative censoring",
        rows,
        parameters={"imputations": imputations, "lost": int(lost(question).sum())},
        direction="a higher hazard among treated patients who left raises the hazard ratio, among controls lowers it",
        assumptions=(
            "patients who left before the horizon had, from then on, a multiple of the hazard of those of their arm "
            "who stayed; the multiple is assumed, not estimated",
            "the multiple does not depend on covariates",
            *_said_of(table),
        ),
    )


def _completed(
    question: Question,
    ended: RiskTable,
    gone: Mask,
    multiplier: tuple[float, float],
    imputations: int,
    block: str,
) -> Iterator[RiskTable]:
    """Yield the rows with an end drawn for those that were lost."""
    weight = _row_weights(ended)
    for number in range(imputations):
        generator = np.random.default_rng(question.stream(block, number))
        stop, event = ended.stop.copy(), ended.event.copy()
        for code in (0, 1):
            members = np.unique(ended.patient[(ended.arm == code) & (weight > 0)])
            counts = np.bincount(members[generator.integers(0, members.size, members.size)], minlength=ended.n_patients)
            chance = generator.random(ended.n_patients)
            weighed = weight * counts[ended.patient]
            rows = np.flatnonzero((ended.arm == code) & (weighed > 0))
            sets = RiskSets.of(ended.start[rows], ended.stop[rows], ended.event[rows] > 0)
            curve = KaplanMeier.fit(sets, weighed[rows])
            who = np.flatnonzero(gone & (ended.arm == code) & (weight > 0))
            luck = chance[ended.patient[who]]
            stop[who], event[who] = _draw_after(curve, stop[who], luck, multiplier[code], question.horizon)
        yield replace(ended, stop=read_only(stop), event=read_only(event))


def _row_weights(table: RiskTable) -> Floats:
    assert table.weights is not None
    return table.weights.values if table.weights.by_row else table.weights.values[table.patient]


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
