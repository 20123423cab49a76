"""Does the answer hang on who was lost? Weights for staying in follow-up, without covariates and with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causal_s4.cohort import RiskTable
from causal_s4.errors import CausalS4Error
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.protocol.vocabulary import Measure
from causal_s4.results import Floats, Ints, SensitivityResult, Weights, read_only
from causal_s4.sensitivity.arm_models import StratifiedCox, standardised_terms
from causal_s4.sensitivity.follow_up import ended_at, lost
from causal_s4.sensitivity.question import Question, TableEstimator

MOST_CUTS = 100
MOST_ROWS = 400_000


def loss_weighting(question: Question, estimate: TableEstimator) -> SensitivityResult:
    """Return the estimate with patients who stayed standing in for those like them who left.

    Parameters
    ----------
    question : Question
        Of arms that are fixed.
    estimate : callable
        Risk table with weights of its own and horizon to the key effects.

    Returns
    -------
    SensitivityResult
        ``table`` has two rows, follow-up ended at the horizon in both: patients who stayed count alike, or by the
        covariates of those who left. ``value`` is the hazard ratio of the second, ``lower`` and ``upper`` the range
        of the two; ``largest_factor`` is the most that anybody stands in for.

    Notes
    -----
    A patient counts G(t-|arm) / G(t-|arm, X) times: G is the probability of not having left, by Kaplan-Meier
    over by a Cox model of leaving with a baseline for each arm. Without covariates the factor is one. Robins &
    Finkelstein 2000, 10.1111/j.0006-341X.2000.00779.x.
    """
    gone = lost(question)
    time, event = ended_at(question)
    table = _split(question, time, event)
    plain = {"weights_for_loss": "without covariates: all who stay count alike", "largest_factor": 1.0}
    rows = [question.row(plain, cohort=question.with_outcome(time, event), weights=question.answered.weights)]
    label = {"weights_for_loss": "with covariates: like stand in for like"}
    largest = None
    try:
        factor = _factor(question, table, time, gone)
        largest = float(factor.max())
        answer = estimate(replace(table, weights=_by_row(question, table, factor)), question.horizon)
        rows.append({**label, "largest_factor": largest, **answer.cells()})
    except CausalS4Error as error:
        empty = dict.fromkeys(question.answered.cells())
        rows.append({**label, "largest_factor": largest, **empty, "note": error.message})
    values = [row["value"] for row in rows if row["value"] is not None]
    return SensitivityResult(
        method="informative censoring",
        target=question.target(Measure.HAZARD_RATIO, question.horizon),
        parameters={
            "weights": "inverse probability of staying in follow-up",
            "lost": int(gone.sum()),
            "range": "lower and upper are those of the estimates in the table",
        },
        value=rows[-1]["value"],
        lower=min(values, default=None),
        upper=max(values, default=None),
        unit="hazard ratio",
        direction="either way: down where treated patients with a poor outlook stayed, up where those of the controls did",
        assumptions=(
            "among patients of one arm with the same covariates, leaving tells nothing of the outlook",
            "intervals count that the weights of treatment were estimated, and take those for loss as known",
        ),
        table=tuple(rows),
    )


def _split(question: Question, time: Floats, event: Ints) -> RiskTable:
    """Return the follow-up of each patient cut where somebody had the event, so that weights may change there."""
    cuts = np.unique(time[event > 0])
    most = max(2, min(MOST_CUTS, MOST_ROWS // len(time)))
    if cuts.size > most:
        cuts = cuts[np.unique(np.linspace(0, cuts.size - 1, most).round().astype(int))]
    passed = np.searchsorted(cuts, time, side="left")  # cuts strictly before the end of each patient's follow-up
    patient = np.repeat(np.arange(time.size), passed + 1)
    place = np.arange(patient.size) - np.repeat(np.cumsum(passed + 1) - (passed + 1), passed + 1)
    last = place == passed[patient]
    edges = np.concatenate([[0.0], cuts])
    return RiskTable(
        patient=read_only(patient),
        arm=read_only(question.cohort.treatment[patient]),
        start=read_only(edges[place]),
        stop=read_only(np.where(last, time[patient], edges[np.minimum(place + 1, cuts.size)])),
        event=read_only(np.where(last, event[patient], 0)),
        n_patients=time.size,
        time_unit=question.cohort.time_unit,
        outcome=question.outcome,
        covariates=question.cohort.covariates,
    )


def _factor(question: Question, table: RiskTable, time: Floats, gone: np.ndarray) -> Floats:
    """Return how often each row counts for those who left."""
    terms, arm = standardised_terms(question.cohort, question.recipe), question.cohort.treatment
    given = StratifiedCox.fit(terms, arm, time, gone)
    risk = np.exp(terms @ given.coefficient)
    stops, place = np.unique(table.stop, return_inverse=True)
    factor = np.ones(len(table))
    for code in (0, 1):
        members, rows = arm == code, table.arm == code
        if not gone[members].any():
            continue
        alone = KaplanMeier.fit(RiskSets.of(None, time[members], gone[members]), np.ones(int(members.sum())))
        stayed = np.concatenate([[1.0], alone.survival])[np.searchsorted(alone.sets.times, stops, side="left")]
        left = given.cumulative(code, stops, before=True)[place[rows]]
        factor[rows] = stayed[place[rows]] * np.exp(risk[table.patient[rows]] * left)
    return factor


def _by_row(question: Question, table: RiskTable, factor: Floats) -> Weights:
    """Return the weights of treatment times those for loss, one a row, with the equations of the former."""
    weights = question.answered.weights
    return replace(
        weights,
        values=read_only(weights.values[table.patient] * factor),
        parts=tuple(
            replace(part, derivative=part.derivative[table.patient] * factor[:, None]) for part in weights.parts
        ),
        by_row=True,
        spec=None,
    )
