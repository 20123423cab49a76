"""Weighted curves and effects of the Rotterdam cohort against R's survival 3.8-6, survey 4.5 and survRM2 1.0-4.

``account=False`` takes the weights as known: R's robust variance, the infinitesimal jackknife.
"""

import math

import numpy as np
import pytest
from golden import (
    ARMS,
    FORMULAS,
    HORIZONS,
    OUTCOMES,
    WEIGHTINGS,
    comparison,
    effects,
    naive_effects,
    rotterdam,
    rotterdam_numbers,
    weights,
)

from causal_s4.comparison import Comparison, estimate_curves, score_test
from causal_s4.estimation import survival_curves
from causal_s4.survival.functionals import score_gradient

CLOSED = 1e-8  # relative; R's weights carry 3e-10
COX = 3e-7  # relative; coxph stops once the log likelihood changes by less than 1e-9 of itself
EVERY_WEIGHTING = [
    pytest.param(formula, name, outcome, id=f"{formula}-{name}-{outcome}")
    for formula in FORMULAS
    for name in WEIGHTINGS
    for outcome in OUTCOMES
]


def weighted_numbers(formula, name, outcome):
    return rotterdam_numbers()[formula][outcome]["weighted"][name]


@pytest.mark.parametrize(("formula", "name", "outcome"), EVERY_WEIGHTING)
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_hazard_ratio(formula, name, outcome, ties):
    expected = weighted_numbers(formula, name, outcome)[f"cox_{ties}"]
    found = effects(formula, name, outcome, False, ties).one(measure="hazard ratio")
    assert math.log(found.value) == pytest.approx(expected["coef"]["a"], rel=COX, abs=1e-9)
    assert found.std_error == pytest.approx(expected["se_robust"]["a"], rel=COX)
    assert (found.lower, found.upper) == pytest.approx(expected["ci95_hr"]["values"][0], rel=COX)
    assert found.p_value == pytest.approx(expected["p"]["a"], rel=1e-5)
    assert found.n == expected["n"]
    assert found.events == expected["nevent"]


@pytest.mark.parametrize(("formula", "name", "outcome"), EVERY_WEIGHTING)
def test_design_based_hazard_ratio(formula, name, outcome):
    """survey's svycoxph multiplies the same variance by n/(n - 1)."""
    expected, n = weighted_numbers(formula, name, outcome)["svycoxph"], len(rotterdam())
    found = effects(formula, name, outcome, False).one(measure="hazard ratio")
    assert math.log(found.value) == pytest.approx(expected["coef"], rel=COX, abs=1e-9)
    assert found.std_error * math.sqrt(n / (n - 1)) == pytest.approx(expected["se"], rel=COX)


@pytest.mark.parametrize(("formula", "name", "outcome"), EVERY_WEIGHTING)
def test_survival(formula, name, outcome):
    expected = weighted_numbers(formula, name, outcome)["km"]
    table = effects(formula, name, outcome, False)
    for code, arm in ARMS:
        numbers = expected["robust_ij"][f"a={code}"]
        found = table.where(measure="survival", arm=arm).estimates
        assert [each.horizon for each in found] == list(HORIZONS)
        np.testing.assert_allclose([each.value for each in found], numbers["surv"], rtol=CLOSED)
        np.testing.assert_allclose([each.std_error for each in found], numbers["std.err"], rtol=CLOSED)
    differences = table.where(measure="survival difference").estimates
    np.testing.assert_allclose(
        [each.value for each in differences], expected["diff_treated_minus_control"], rtol=CLOSED, atol=1e-9
    )
    np.testing.assert_allclose([each.std_error for each in differences], expected["diff_se_robust_ij"], rtol=CLOSED)


@pytest.mark.parametrize(("formula", "name", "outcome"), EVERY_WEIGHTING)
def test_restricted_mean(formula, name, outcome):
    table = effects(formula, name, outcome, False)
    for numbers in weighted_numbers(formula, name, outcome)["rmst"].values():
        horizon = numbers["tau"]
        for _, arm in ARMS:
            found = table.one(measure="rmst", arm=arm, horizon=horizon)
            assert found.value == pytest.approx(numbers[arm], rel=CLOSED)
            assert found.std_error == pytest.approx(numbers[f"ij_se_{arm}"], rel=CLOSED)
        difference = table.one(measure="rmst difference", horizon=horizon)
        assert difference.value == pytest.approx(numbers["diff"], rel=CLOSED)
        assert difference.std_error == pytest.approx(numbers["ij_se_diff"], rel=CLOSED)
        assert table.one(measure="rmst ratio", horizon=horizon).value == pytest.approx(numbers["ratio"], rel=CLOSED)


@pytest.mark.parametrize(("formula", "name", "outcome"), EVERY_WEIGHTING)
def test_median(formula, name, outcome):
    medians = weighted_numbers(formula, name, outcome)["km"]["median"]["median"]
    table = effects(formula, name, outcome, False)
    for code, arm in ARMS:
        assert table.one(measure="median survival", arm=arm).value == medians[f"a={code}"]


@pytest.mark.parametrize(("formula", "name", "outcome"), EVERY_WEIGHTING)
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_score_test(formula, name, outcome, ties):
    """The square of z is coxph's robust score test."""
    expected = weighted_numbers(formula, name, outcome)[f"cox_{ties}"]
    found = score_test(comparison(formula, name, outcome, account=False, ties=ties))
    assert found.z**2 == pytest.approx(expected["robust_score_test"][0][0], rel=COX)
    assert np.sign(found.z) == np.sign(expected["coef"]["a"])


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("name", ["ate", "ato"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_curve_is_that_of_the_effects(formula, name, outcome):
    """The curve's own standard error, computed for all times at once, against R's at four."""
    numbers = weighted_numbers(formula, name, outcome)["km"]["robust_ij"]
    curves = survival_curves(rotterdam(), weights(formula, name), outcome=outcome, variance="fixed")
    for code, arm in ARMS:
        curve = curves[arm]
        at = np.searchsorted(curve.times, HORIZONS, side="right") - 1
        np.testing.assert_allclose(curve.survival[at], numbers[f"a={code}"]["surv"], rtol=CLOSED)
        np.testing.assert_allclose(curve.std_error[at], numbers[f"a={code}"]["std.err"], rtol=CLOSED)


# --- without weights ----------------------------------------------------------------------------


def unweighted_numbers(outcome):
    return rotterdam_numbers()["unweighted"][outcome]


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_naive_hazard_ratio(outcome, ties):
    expected = unweighted_numbers(outcome)[f"naive_cox_{ties}"]
    found = naive_effects(outcome, ties).one(measure="hazard ratio")
    assert math.log(found.value) == pytest.approx(expected["coef"]["a"], rel=COX)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_naive_survival_with_its_interval(outcome):
    expected = unweighted_numbers(outcome)["km"]["loglog"]
    for code, arm in ARMS:
        found = naive_effects(outcome).where(measure="survival", arm=arm).estimates
        numbers = expected[f"a={code}"]
        for field, column in (("value", "surv"), ("std_error", "std.err"), ("lower", "lower"), ("upper", "upper")):
            np.testing.assert_allclose([getattr(each, field) for each in found], numbers[column], rtol=CLOSED)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_naive_patients_at_risk(outcome):
    """Patients whose follow-up ends on the day still count: R's n.risk."""
    expected = unweighted_numbers(outcome)["km"]["log"]
    naive = Comparison(table=rotterdam().risk_table(outcome), weights=None, analysis="naive", population="unadjusted")
    curves = estimate_curves(naive, risk_times=HORIZONS)
    for code, arm in ARMS:
        assert curves[arm].at_risk.tolist() == expected[f"a={code}"]["n.risk"]
        # without weights an effective sample is the sample
        np.testing.assert_allclose(curves[arm].ess_at_risk, curves[arm].at_risk, rtol=1e-12)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_naive_restricted_mean_with_its_interval(outcome):
    """Difference and ratio with intervals as survRM2 prints them."""
    for numbers in unweighted_numbers(outcome)["survRM2"].values():
        horizon = numbers["tau"]
        table = naive_effects(outcome)
        for _, arm in ARMS:
            found = table.one(measure="rmst", arm=arm, horizon=horizon)
            expected = numbers[f"rmst_{arm}"]
            assert (found.value, found.std_error, found.lower, found.upper) == pytest.approx(
                tuple(expected.values()), rel=CLOSED
            )
        for row, measure in enumerate(("rmst difference", "rmst ratio")):
            found = table.one(measure=measure, horizon=horizon)
            assert (found.value, found.lower, found.upper, found.p_value) == pytest.approx(
                numbers["unadjusted"]["values"][row], rel=1e-7
            )


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_naive_median(outcome):
    table = unweighted_numbers(outcome)["median"]["table"]
    column = table["cols"].index("median")
    for code, arm in ARMS:
        found = naive_effects(outcome).one(measure="median survival", arm=arm)
        assert found.value == table["values"][code][column]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_score_without_weights_is_the_log_rank_numerator(outcome):
    """Observed minus expected deaths of the treated."""
    numbers = unweighted_numbers(outcome)["logrank"]
    score, _ = score_gradient(rotterdam().risk_table(outcome), np.ones(len(rotterdam())), ties="breslow")
    assert score == pytest.approx(numbers["obs"][1] - numbers["exp"][1], rel=1e-10)
