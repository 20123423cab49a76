"""Weighted cumulative incidence and cause-specific hazards against survival 3.8-6.

Rotterdam: recurrence, and death without it, weighted by formula F1. mgus2: progression to a plasma cell
malignancy, and death without it, women against men, in months (the package's own example).
"""

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from golden import ARMS, COVARIATES, HORIZONS, TESTS, reference, rotterdam_frame, weights

from causal_s4.cohort import build_cohort
from causal_s4.comparison import Comparison, effects_of
from causal_s4.results import EffectTable

CAUSES = {"recur": (1, 2), "death": (2, 1)}
WEIGHTINGS = ("unweighted", "ate", "ato")
COX = 3e-7  # relative; coxph stops once the log likelihood changes by less than 1e-9 of itself


@cache
def effects(name, cause):
    frame = rotterdam_frame()
    state = np.where(frame["recur"] == 1, 1, np.where(frame["death"] == 1, 2, 0))
    of_interest, competing = CAUSES[cause]
    cohort = build_cohort(
        frame.assign(state=state),
        id="pid",
        treatment="hormon",
        treated=1,
        control=0,
        outcomes=[
            {
                "name": cause,
                "time": "rfs_days",
                "event": "state",
                "event_value": of_interest,
                "competing_value": competing,
            }
        ],
        time_unit="days",
        covariates=COVARIATES,
    )
    comparison = Comparison(
        table=cohort.risk_table(),
        weights=None if name == "unweighted" else weights("F1", name),
        analysis="naive" if name == "unweighted" else "weighted",
        population=name,
        account=False,
    )
    return EffectTable(estimates=tuple(effects_of(comparison, HORIZONS)))


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_cumulative_incidence(name, cause):
    expected = reference("competing.json")["rotterdam"]["aalen_johansen"][name]
    table = effects(name, cause)
    for code, arm in ARMS:
        found = table.where(measure="cumulative incidence", arm=arm).estimates
        numbers = expected[f"g={code}"]
        np.testing.assert_allclose([each.value for each in found], numbers[f"cif_{cause}"], rtol=1e-9)
        np.testing.assert_allclose([each.std_error for each in found], numbers[f"se_ij_{cause}"], rtol=1e-8)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_causes_and_survival_sum_to_one(name):
    recurrence, death = effects(name, "recur"), effects(name, "death")
    for _, arm in ARMS:
        for horizon in HORIZONS:
            wanted = {"arm": arm, "horizon": horizon}
            free = recurrence.one(measure="survival", **wanted).value
            risks = [table.one(measure="cumulative incidence", **wanted).value for table in (recurrence, death)]
            assert free + sum(risks) == pytest.approx(1, abs=1e-12)
            assert death.one(measure="survival", **wanted).value == free


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_cause_specific_hazard_ratio(name, cause):
    expected = reference("competing.json")["rotterdam"]["cause_specific"][name][cause]
    found = effects(name, cause).one(measure="hazard ratio")
    assert math.log(found.value) == pytest.approx(expected["coef"]["hormon"], rel=COX)
    assert found.std_error == pytest.approx(expected["se_robust"]["hormon"], rel=COX)
    assert found.events == expected["nevent"]


@pytest.mark.parametrize("cause", ["pcm", "death"])
def test_second_data_set(cause):
    frame = pd.read_csv(TESTS / "reference" / "mgus2.csv")
    progressed = frame["pstat"] == 1
    frame = frame.assign(
        months=frame["futime"].where(~progressed, frame["ptime"]), state=np.where(progressed, 1, 2 * frame["death"])
    )
    of_interest, competing = {"pcm": (1, 2), "death": (2, 1)}[cause]
    cohort = build_cohort(
        frame,
        id="id",
        treatment="sex",
        treated="M",
        control="F",
        outcomes=[
            {
                "name": cause,
                "time": "months",
                "event": "state",
                "event_value": of_interest,
                "competing_value": competing,
            }
        ],
        time_unit="months",
        covariates=(),
    )
    naive = Comparison(table=cohort.risk_table(), weights=None, analysis="naive", population="unadjusted")
    numbers = reference("competing.json")["mgus2"]["aalen_johansen"]
    table = EffectTable(estimates=tuple(effects_of(naive, numbers["g=0"]["times"])))
    for code, arm in ARMS:
        found = table.where(measure="cumulative incidence", arm=arm).estimates
        np.testing.assert_allclose([each.value for each in found], numbers[f"g={code}"][f"cif_{cause}"], rtol=1e-9)
        np.testing.assert_allclose(
            [each.std_error for each in found], numbers[f"g={code}"][f"se_ij_{cause}"], rtol=1e-8
        )
