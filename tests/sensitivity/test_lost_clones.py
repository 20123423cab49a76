"""Patients who leave follow-up while their clones follow a strategy: tables made by hand, and fates that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from causal_s4.cohort import Cohort, RiskTable
from causal_s4.emulation.clone_censor import clone_censor, clone_unweighted
from causal_s4.probe.asking import table_estimator
from causal_s4.protocol.protocol import Protocol
from causal_s4.results import Floats, Weights
from causal_s4.sensitivity.follow_up import informative_censoring, loss_bounds, rows_lost
from causal_s4.sensitivity.question import Answer, Question, Recipe, TimedQuestion

PROTOCOL = """
seed = 5
[data]
file = "x.csv"
time_unit = "months"
[dag]
file = "x.dag"
[treatment]
column = "a"
treated = 1
control = 0
start = "start"
[time_zero]
design = "clone-censor-weight"
grace_period = "6 months"
[[outcome]]
name = "death"
time = "time"
event = "event"
event_value = 1
"""
GRACE, HORIZON = 6.0, 24.0
ESTIMATE = table_estimator(Protocol.parse(PROTOCOL))


def patients(start: Floats, time: Floats, event: np.ndarray) -> Cohort:
    frame = pd.DataFrame(
        {"a": np.isfinite(start).astype(int), "start": start, "time": time, "event": event, "age": np.arange(time.size)}
    )
    return Cohort.from_frame(
        frame.replace(np.inf, np.nan),
        treatment="a",
        treated=1,
        control=0,
        treatment_start="start",
        time="time",
        event="event",
        event_value=1,
        time_unit="months",
        covariates=["age"],
        name="death",
    )


def asked(cohort: Cohort, table: RiskTable, horizon: float = HORIZON) -> Question:
    def remake(patients: Cohort, recipe: Recipe) -> Answer:
        raise NotImplementedError

    return TimedQuestion(
        cohort=cohort,
        outcome="death",
        horizon=horizon,
        recipe=Recipe(population="ATE"),
        answered=ESTIMATE(table, horizon),
        remake=remake,
        seed=5,
        analysis="clone-censor-weight",
    )


def with_ones(table: RiskTable) -> RiskTable:
    ones = replace(Weights.given(np.ones(len(table))), by_row=True)
    return replace(table, weights=ones)


@pytest.mark.parametrize("never", [False, True])
def test_a_clone_is_lost_where_its_patient_left_while_it_followed_its_strategy(never: bool) -> None:
    none = np.inf
    start = np.array([none, 3.0, 5.0, none, none, 9.0, 1.0, none, none])
    time = np.array([2.0, 8.0, 5.0, 10.0, 4.0, 11.0, 30.0, 30.0, 12.0])
    event = np.array([0, 0, 0, 0, 1, 0, 0, 0, 1])
    cohort = patients(start, time, event)
    table = with_ones(clone_unweighted(cohort, grace_period=GRACE, never=never))
    gone = rows_lost(asked(cohort, table), table)
    found = {code: sorted({int(each) for each in table.patient[gone & (table.arm == code)]}) for code in (0, 1)}
    # patient 0 left untreated within the grace period, and is lost to both strategies; 1 and 2 were treated, the
    # latter on her last day; 3 was untreated beyond the grace period; 5 was treated after it, as only "none within it"
    # allows; 4 and 8 died, 6 and 7 were followed beyond the horizon
    assert found == {1: [0, 1, 2], 0: [0, 3] if never else [0, 3, 5]}
    assert gone.sum() == len(found[0]) + len(found[1])


def test_bounds_by_hand() -> None:
    """Arm 1: weights 1 and from month 2 on 2, 1, 1, 2; arm 0: ones. One patient of each arm is lost."""
    rows = pd.DataFrame(
        [
            (0, 1, 0.0, 2.0, 0, 1.0),
            (0, 1, 2.0, 5.0, 1, 2.0),
            (1, 1, 0.0, 3.0, 0, 1.0),  # lost at 3
            (2, 1, 0.0, 30.0, 0, 1.0),
            (3, 1, 0.0, 30.0, 0, 2.0),
            (4, 0, 0.0, 4.0, 1, 1.0),
            (5, 0, 0.0, 7.0, 0, 1.0),  # lost at 7
            (6, 0, 0.0, 9.0, 1, 1.0),
            (7, 0, 0.0, 30.0, 0, 1.0),
        ],
        columns=["id", "arm", "start", "stop", "event", "weight"],
    )
    table = RiskTable.from_frame(
        rows, id="id", start="start", stop="stop", event="event", arm="arm", weight="weight", time_unit="months"
    )
    table = replace(table, grace_period=GRACE, analysis="clone-censor-weight")
    none = np.inf
    start = np.array([2.0, 1.0, 1.0, 1.0, none, none, none, none])
    cohort = patients(start, np.array([5.0, 3.0, 30.0, 30.0, 4.0, 7.0, 9.0, 30.0]), np.array([1, 0, 0, 0, 1, 0, 1, 0]))
    result = loss_bounds(asked(cohort, table), table, ESTIMATE)
    # treated: one event of weight 2 at month 5, of 5 at risk, or of 6 if the lost one stayed; an event of weight 1 at
    # month 3 of 6 at risk (2 + 1 + 1 + 2) if she had it. Controls: 3/4, then 1/2 of what is left; with the lost one
    # 3/4 times 2/3; with her event at 7, of three at risk, 3/4 times 2/3 times 1/2
    treated = {"as observed": 3 / 5, "have the event at once": 5 / 6 * 3 / 5, "stay free of it": 4 / 6}
    control = {"as observed": 3 / 4 / 2, "have the event at once": 1 / 4, "stay free of it": 1 / 2}
    assert len(result.table) == 5
    for row in result.table:
        expected = treated[row["treated_lost"]] - control[row["control_lost"]]
        assert row["survival_difference"] == pytest.approx(expected, abs=1e-12)
    assert (result.lower, result.upper) == pytest.approx((0.5 - 0.5, 4 / 6 - 1 / 4))
    assert (result.parameters["lost_treated"], result.parameters["lost_control"]) == (1, 1)
    assert any("goes on to follow it" in said for said in result.assumptions)


def clones(n: int, seed: int) -> tuple[Cohort, RiskTable, dict[float, RiskTable]]:
    """Return patients of whom treated ones leave, their clones, and those had nobody left, by what leaving does."""
    generator = np.random.default_rng(seed)
    death, begun = generator.exponential(30, n), generator.exponential(10, n)
    start = np.where((begun < death) & (begun < GRACE), begun, np.inf)
    leaves = start + generator.exponential(12, n)
    gone = leaves < np.minimum(death, 30)
    seen = patients(start, np.where(gone, leaves, np.minimum(death, 30)), (~gone & (death < 30)).astype(int))
    whole = {}
    for multiple in (1.0, 3.0):
        # what is left of life after leaving is exponential as well, and a third of it under three times the hazard
        left = np.where(gone, death - leaves, 0.0)
        fate = np.where(gone, death - left + left / multiple, death)
        cohort = patients(start, np.minimum(fate, 30), (fate < 30).astype(int))
        whole[multiple] = clone_censor(cohort, grace_period=GRACE)
    return seen, clone_censor(seen, grace_period=GRACE), whole


def test_draws_after_loss_find_the_fates_of_those_who_left() -> None:
    cohort, seen, whole = clones(1200, 1)
    fates = {multiple: ESTIMATE(table, HORIZON).effects for multiple, table in whole.items()}
    question = asked(cohort, seen)
    result = informative_censoring(question, seen, ESTIMATE, multipliers=[(1.0, 1.0), (3.0, 1.0)], imputations=5)
    observed, same, right = result.table
    for measure, near in (("survival_difference", 0.03), ("rmst_difference", 0.4)):
        harm = [fates[multiple][measure.replace("_", " ")].value for multiple in (1.0, 3.0)]
        assert harm[1] - harm[0] < -5 * near
        # nothing is told by leaving: what was observed; three times the hazard: the harm that was done to those who left
        assert same[measure] == pytest.approx(observed[measure], abs=near)
        assert right[measure] - same[measure] == pytest.approx(harm[1] - harm[0], abs=near)
    bounds = loss_bounds(question, seen, ESTIMATE)
    assert bounds.lower < min(each["survival difference"].value for each in fates.values())
    assert bounds.upper > max(each["survival difference"].value for each in fates.values())


def test_extreme_draws_are_the_bounds() -> None:
    # the event comes at the next time that anybody has one, not at once
    cohort, seen, _ = clones(500, 2)
    question = asked(cohort, seen)
    pairs = [(1e6, 1e-6), (1e-6, 1e6)]
    drawn = informative_censoring(question, seen, ESTIMATE, multipliers=pairs, imputations=3).table
    bounds = loss_bounds(question, seen, ESTIMATE)
    assert drawn[1]["survival_difference"] == pytest.approx(bounds.lower, abs=0.02)
    assert drawn[2]["survival_difference"] == pytest.approx(bounds.upper, abs=0.02)
