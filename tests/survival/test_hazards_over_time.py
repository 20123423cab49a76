"""Trend of the hazard ratio in log time, and hazard ratios by period, against their likelihoods."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, CoxTimeVaryingFitter
from scipy.optimize import minimize
from small_cohorts import small_cohort, small_frame

from causal_s4.comparison import Comparison, hazards_check
from causal_s4.propensity.weights import weigh
from causal_s4.results import Weights
from causal_s4.survival.regression import hazard_ratio_trend, period_hazard_ratio


def log_likelihood(cohort, weight, beta):
    """Breslow: each death's arm effect is beta_0 + beta_1 log t at its own time."""
    outcome, z = cohort.outcomes[0], cohort.treatment
    total = 0.0
    for time in np.unique(outcome.time[outcome.event == 1]):
        effect = beta[0] + beta[1] * math.log(time)
        dead = (outcome.time == time) & (outcome.event == 1)
        at_risk = outcome.time >= time
        total += effect * (weight[dead] @ z[dead])
        total -= weight[dead].sum() * math.log(weight[at_risk] @ np.exp(effect * z[at_risk]))
    return total


@pytest.mark.parametrize("tied", [False, True])
def test_trend_maximises_the_likelihood(tied):
    cohort = small_cohort(small_frame(1, 120, tied=tied))
    weight = np.random.default_rng(0).uniform(0.3, 2, 120)
    found = minimize(lambda beta: -log_likelihood(cohort, weight, beta), np.zeros(2), options={"gtol": 1e-9})
    slope, _ = hazard_ratio_trend(cohort.risk_table(), weight)
    assert slope == pytest.approx(found.x[1], abs=1e-5)


def test_trend_is_that_of_a_time_varying_model():
    """lifelines, on rows split at every event with log t as a covariate; no ties."""
    frame = small_frame(2, 120)
    times = np.unique(frame.loc[frame["event"] == 1, "months"])
    rows = []
    for i, patient in frame.iterrows():
        edges = [0.0, *times[times < patient["months"]], patient["months"]]
        for left, right in pairwise(edges):
            z = float(patient["arm"] == "yes")
            rows.append((i, left, right, z, z * math.log(right), int(right == patient["months"] and patient["event"])))
    long = pd.DataFrame(rows, columns=["id", "start", "stop", "z", "z_log_t", "event"])
    theirs = CoxTimeVaryingFitter().fit(
        long, id_col="id", event_col="event", start_col="start", stop_col="stop", fit_options={"precision": 1e-12}
    )
    slope, _ = hazard_ratio_trend(small_cohort(frame).risk_table(), np.ones(len(frame)))
    assert slope == pytest.approx(theirs.params_["z_log_t"], rel=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_derivative_of_the_trend(tied):
    cohort = small_cohort(small_frame(3, 60, tied=tied))
    weight = np.random.default_rng(1).uniform(0.3, 2, 60)
    _, gradient = hazard_ratio_trend(cohort.risk_table(), weight)
    for i in range(0, 60, 5):
        ends = []
        for step in (1e-5, -1e-5):
            moved = weight.copy()
            moved[i] += step
            ends.append(hazard_ratio_trend(cohort.risk_table(), moved)[0])
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-8)
    assert weight @ gradient == pytest.approx(0, abs=1e-9)


def test_periods_are_cox_models_of_the_rows_within():
    """Patients still followed at the start of a period enter there."""
    frame = small_frame(4, 200)
    table = small_cohort(frame).risk_table()
    for begin, end in ((0, 12), (12, 30), (30, 60)):
        inside = frame["months"] > begin
        part = pd.DataFrame(
            {
                "z": (frame["arm"] == "yes").astype(float),
                "entry": float(begin),
                "stop": frame["months"].clip(upper=end),
                "event": ((frame["event"] == 1) & (frame["months"] <= end)).astype(int),
            }
        )[inside]
        fitter = CoxPHFitter().fit(part.drop(columns="entry"), "stop", "event", fit_options={"precision": 1e-12})
        found = period_hazard_ratio(table, np.ones(200), begin, end, ties="efron")
        assert found[0] == pytest.approx(fitter.params_["z"], rel=1e-6)


def test_a_period_without_events_in_an_arm_is_left_out():
    frame = small_frame(5, 120)
    frame.loc[(frame["arm"] == "yes") & (frame["months"] > 20), "event"] = 0
    cohort = small_cohort(frame)
    check = hazards_check(
        Comparison(table=cohort.risk_table(), weights=None, analysis="naive", population="unadjusted"), cuts=[20.0]
    )
    assert [period[:2] for period in check.periods] == [(0.0, 20.0)]
    ratio, lower, upper = check.periods[0][2:]
    assert lower < ratio < upper
    assert 0 < check.p_value <= 1


def test_trend_grows_with_what_was_put_in():
    """Late benefit: control and treated hazards cross, and the slope is far below zero."""
    rng = np.random.default_rng(6)
    n = 1500
    treated = rng.random(n) < 0.5
    early, late = rng.exponential(np.where(treated, 8, 16)), rng.exponential(np.where(treated, 60, 12))
    months = np.where(early < 6, early, 6 + late)
    frame = small_frame(6, n).assign(
        arm=np.where(treated, "yes", "no"), months=np.minimum(months, 48), event=(months <= 48).astype(int)
    )
    cohort = small_cohort(frame)
    weights = weigh(cohort, population="ATO")
    check = hazards_check(
        Comparison(table=cohort.risk_table(), weights=weights, analysis="weighted", population="ATO"), cuts=[6.0]
    )
    assert check.slope < -0.5
    assert check.p_value < 1e-6
    first, second = check.periods
    assert first[2] > 1.5
    assert second[2] < 0.5
    unit = Comparison(
        table=cohort.risk_table(), weights=Weights.given(np.ones(n)), analysis="weighted", population="as given"
    )
    naive = Comparison(table=cohort.risk_table(), weights=None, analysis="naive", population="unadjusted")
    assert hazards_check(unit).slope == hazards_check(naive).slope
