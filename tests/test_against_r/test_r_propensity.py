"""Propensity model and weights of the Rotterdam cohort against R's glm and WeightIt 1.5.1."""

import numpy as np
import pytest
from golden import FORMULAS, WEIGHTINGS, rotterdam, rotterdam_numbers, weights, weights_by_patient

from causal_s4.kernels.balance import effective_sample_size
from causal_s4.propensity.weights import summarise_weights

# glm stops at a relative change in deviance of 1e-8, and WeightIt's stabilisation factor is good to 7e-10; ten digits
# of R's weights are kept.
PATIENT = 2e-9


@pytest.mark.parametrize("formula", FORMULAS)
def test_coefficients(formula):
    expected = rotterdam_numbers()[formula]["ps"]["coef"]
    found = weights(formula, "ate")
    assert found.terms[:4] == ("(intercept)", "age", "meno", "size=20-50")
    np.testing.assert_allclose(found.coefficients, list(expected.values()), rtol=PATIENT)


@pytest.mark.parametrize("formula", FORMULAS)
def test_covariance_of_the_coefficients(formula):
    """R reports the information of the last iteration but one, so its own digits end at about the fourth."""
    expected = rotterdam_numbers()[formula]["ps"]["vcov"]["values"]
    found = np.linalg.inv(weights(formula, "ate").parts[0].information)
    np.testing.assert_allclose(found, expected, rtol=3e-4)


@pytest.mark.parametrize("formula", FORMULAS)
def test_log_likelihood(formula):
    e, treated = weights(formula, "ate").propensity, rotterdam().treatment == 1
    found = np.log(e[treated]).sum() + np.log1p(-e[~treated]).sum()
    assert found == pytest.approx(rotterdam_numbers()[formula]["ps"]["loglik"], rel=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_discrimination(formula):
    summary = summarise_weights(rotterdam(), weights(formula, "ate"))
    assert summary.c_statistic == pytest.approx(rotterdam_numbers()[formula]["ps"]["auc"], rel=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_propensity_patient_by_patient(formula):
    np.testing.assert_allclose(weights(formula, "ate").propensity, weights_by_patient(formula)["ps"], rtol=PATIENT)


@pytest.mark.parametrize(
    ("formula", "name"),
    [(formula, name) for formula in FORMULAS for name in weights_by_patient(formula).columns.drop(["pid", "ps"])],
)
def test_weights_patient_by_patient(formula, name):
    """Of F2 the file holds those that are not formulas of the propensity score."""
    np.testing.assert_allclose(weights(formula, name).values, weights_by_patient(formula)[name], rtol=PATIENT)


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("formula", FORMULAS)
def test_weights_in_summary(formula, name):
    expected, found = rotterdam_numbers()[formula]["weights"][name], weights(formula, name)
    summary = summarise_weights(rotterdam(), found)
    for code, arm in ((1, "treated"), (0, "control")):
        numbers, values = expected[arm], found.values[rotterdam().treatment == code]
        assert values.sum() == pytest.approx(numbers["sum"], rel=PATIENT)
        assert values.std(ddof=1) == pytest.approx(numbers["sd"], rel=PATIENT, abs=1e-12)
        assert getattr(summary, f"ess_{arm}") == pytest.approx(numbers["ess"], rel=PATIENT)
        assert getattr(summary, f"mean_{arm}") == pytest.approx(numbers["mean"], rel=PATIENT)
        np.testing.assert_allclose(summary.quantiles[arm][1:-1], list(numbers["q"].values()), rtol=PATIENT)
    both = expected["all"]
    assert summary.max == pytest.approx(both["max"], rel=PATIENT)
    assert effective_sample_size(found.values) == pytest.approx(both["ess"], rel=PATIENT)


@pytest.mark.parametrize("name", ["ate_trunc99", "ate_stab_trunc99"])
def test_truncation_cuts_the_patients_beyond_two_order_statistics(name):
    """R's type 3 quantiles at 1% and 99% of 2,982 weights are the 30th and the 2,952nd: 29 lie below, 30 above."""
    found, whole = weights("F1", name), weights("F1", name.removesuffix("_trunc99"))
    ordered = np.sort(whole.values)
    assert found.truncated == 29 + 30
    assert found.values.min() == pytest.approx(ordered[29], rel=1e-14)
    assert found.values.max() == pytest.approx(ordered[2951], rel=1e-14)
