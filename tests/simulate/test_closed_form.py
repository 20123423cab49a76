"""The closed-form world against printed digits, algebra and its own cohorts."""

import math

import numpy as np
import pytest
from lifelines import CoxPHFitter

from causal_s4.protocol.vocabulary import Estimand
from causal_s4.simulate import simulate, true_effects
from causal_s4.simulate.closed_form import ClosedForm
from causal_s4.simulate.population import marginal_log_hazard_ratio, tilt

# Worked out beforehand with another program for hazard ratio 0.7 and months 60.
PRINTED = {
    ("survival", "treated"): 0.59157826,
    ("survival", "control"): 0.48309871,
    ("survival difference", None): 0.10847955,
    ("rmst", "treated"): 46.361547,
    ("rmst", "control"): 42.083062,
    ("rmst difference", None): 4.278486,
}


@pytest.mark.parametrize(("measure", "arm"), PRINTED)
def test_printed_truth(measure, arm):
    truth = true_effects("closed-form", horizons=[60])
    digits = 8 if measure.startswith("survival") else 6
    assert truth.one(measure=measure, arm=arm).value == pytest.approx(PRINTED[measure, arm], abs=0.51 * 10**-digits)


@pytest.mark.parametrize(("stabilised", "printed"), [(False, -0.32836276), (True, -0.32826318)])
def test_printed_marginal_hazard_ratio(stabilised, printed):
    truth = true_effects("closed-form").one(measure="hazard ratio", stabilised=stabilised)
    assert math.log(truth.value) == pytest.approx(printed, abs=5.1e-9)
    assert truth.mc_error == 0


def test_share_of_treated_is_as_printed():
    assert ClosedForm.treated_share() == pytest.approx(0.417462, abs=5.1e-7)


@pytest.mark.parametrize("population", list(Estimand))
def test_without_effect_every_population_has_none(population):
    truth = true_effects("closed-form", effect="null", population=population)
    assert truth.one(measure="hazard ratio", stabilised=False).value == pytest.approx(1, abs=1e-12)
    assert truth.one(measure="survival difference", horizon=60).value == 0


def test_populations_average_to_everybody():
    """The average effect is that of the treated and the untreated, by their shares: total probability."""
    share = ClosedForm.treated_share()
    att, atc, ate = (
        true_effects("closed-form", population=each).one(measure="survival difference", horizon=36).value
        for each in ("ATT", "ATC", "ATE")
    )
    assert share * att + (1 - share) * atc == pytest.approx(ate, abs=1e-14)


def test_tilts_are_those_of_li_morgan_and_zaslavsky():
    e = np.array([0.2, 0.7])
    expected = {"ATE": [1, 1], "ATT": [0.2, 0.7], "ATC": [0.8, 0.3], "ATO": [0.16, 0.21], "ATM": [0.2, 0.3]}
    for population, values in expected.items():
        np.testing.assert_allclose(tilt(e, population), values)


def test_weighted_cohort_meets_the_truth():
    """Weights 1/e from the true propensity score; 200,000 patients, limit three standard errors."""
    frame = simulate("closed-form", n=200_000, seed=4)
    x1, x2, x3 = (frame[name].to_numpy() for name in ("x1", "x2", "x3"))
    e = 1 / (1 + np.exp(-(-0.5 + 0.9 * x1 - 0.8 * x2 - 0.4 * (x3 - 1))))
    arm = frame["treatment"].to_numpy()
    weight = np.where(arm == 1, 1 / e, 1 / (1 - e))
    found = marginal_log_hazard_ratio(frame["months"].to_numpy(), frame["event"].to_numpy(), arm, weight)
    assert found == pytest.approx(-0.32836276, abs=3 * 0.0085)


def test_two_arm_cox_agrees_with_lifelines():
    frame = simulate("closed-form", n=400, seed=1).assign(weight=lambda d: 1 + d["x3"])
    columns = ["months", "event", "treatment", "weight"]
    sharp = {"precision": 1e-12, "r_precision": 1e-14}  # its default stops at the fifth digit
    fitted = CoxPHFitter().fit(frame[columns], "months", "event", weights_col="weight", robust=True, fit_options=sharp)
    mine = marginal_log_hazard_ratio(*(frame[name].to_numpy() for name in columns))
    assert mine == pytest.approx(fitted.params_["treatment"], abs=1e-9)


def test_two_arm_cox_shares_the_risk_set_at_ties():
    """Breslow by hand, two women an arm and every event at time 1."""
    time, arm = np.array([1.0, 1.0, 1.0, 2.0]), np.array([1, 1, 0, 0])
    # One event in each arm: 1 - 2 * 2b / (2b + 2) = 0 at b = 1. Both treated and one control: 2 - 3 * 2b / (2b + 2) = 0
    # at b = 2.
    for event, ratio in (([0, 1, 1, 0], 1), ([1, 1, 1, 0], 2)):
        found = marginal_log_hazard_ratio(time, np.array(event), arm, np.ones(4))
        assert found == pytest.approx(math.log(ratio), abs=1e-12)
