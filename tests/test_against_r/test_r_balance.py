"""Balance of the Rotterdam cohort against cobalt 4.6.2: every column, every estimand's denominator."""

import numpy as np
import pytest
from golden import FORMULAS, WEIGHTINGS, rotterdam, rotterdam_logged, rotterdam_numbers, weights

from causal_s4.propensity.balance import check_balance

COLUMNS = {
    "smd_before": "Diff.Un",
    "smd_after": "Diff.Adj",
    "variance_ratio_before": "V.Ratio.Un",
    "variance_ratio_after": "V.Ratio.Adj",
    "ks_before": "KS.Un",
    "ks_after": "KS.Adj",
    "mean_treated_before": "M.1.Un",
    "mean_control_before": "M.0.Un",
    "mean_treated_after": "M.1.Adj",
    "mean_control_after": "M.0.Adj",
}
SPREADS = {
    "sd_treated_before": "SD.1.Un",
    "sd_control_before": "SD.0.Un",
    "sd_treated_after": "SD.1.Adj",
    "sd_control_after": "SD.0.Adj",
}
DENOMINATOR = {
    "pooled": "square root of the mean of the two arms' unweighted variances",
    "treated": "unweighted standard deviation of the treated",
    "control": "unweighted standard deviation of the controls",
    "weighted": "standard deviation of both arms together under the weights",
}


@pytest.fixture(scope="module")
def tables():
    """Our table and cobalt's, by formula and weighting."""
    cohorts = {"F1": rotterdam(), "F2": rotterdam_logged()}
    return {
        (formula, name): (
            check_balance(cohorts[formula], weights(formula, name)),
            rotterdam_numbers()[formula]["balance"][name],
        )
        for formula in FORMULAS
        for name in WEIGHTINGS
    }


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("formula", FORMULAS)
def test_every_column(tables, formula, name):
    ours, cobalt = tables[formula, name]
    table = cobalt["table"]
    assert [row.term.replace("=", "_", 1) for row in ours.rows] == [
        variable.replace("grade_3", "grade") for variable in table["variable"]
    ]
    for field, column in COLUMNS.items():
        for row, expected in zip(ours.rows, table[column], strict=True):
            found = getattr(row, field)
            assert (found is None) == (expected is None), (field, row.term)
            if expected is not None:
                # weights are good to 3e-10, and what overlap weights balance is zero up to that
                assert found == pytest.approx(expected, rel=2e-9, abs=2e-9), (field, row.term)


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("formula", FORMULAS)
def test_standard_deviations_of_continuous_terms(tables, formula, name):
    ours, cobalt = tables[formula, name]
    for field, column in SPREADS.items():
        for row, expected in zip(ours.rows, cobalt["table"][column], strict=True):
            if row.kind == "continuous":
                assert getattr(row, field) == pytest.approx(expected, rel=2e-9)
            else:
                assert getattr(row, field) is None


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("formula", FORMULAS)
def test_denominator_and_effective_sample_sizes(tables, formula, name):
    ours, cobalt = tables[formula, name]
    assert ours.denominator == DENOMINATOR[cobalt["s_d_denom"]]
    control, treated = cobalt["ess"]["values"][1]
    assert (ours.ess_control, ours.ess_treated) == pytest.approx((control, treated), rel=2e-9)


def test_raw_differences_of_proportions(tables):
    """cobalt's default for two-valued terms is the difference itself."""
    ours, cobalt = tables["F1", "ate"]
    for row, before, after in zip(ours.rows, cobalt["diff_un_binary_raw"], cobalt["diff_adj_binary_raw"], strict=True):
        if row.kind != "continuous":
            assert row.mean_treated_before - row.mean_control_before == pytest.approx(before, abs=1e-9)
            assert row.mean_treated_after - row.mean_control_after == pytest.approx(after, abs=1e-9)


def test_without_weights_before_and_after_are_the_same():
    ours = check_balance(rotterdam())
    raw = rotterdam_numbers()["F1"]["balance_raw"]["pooled"]
    np.testing.assert_allclose([row.smd_before for row in ours.rows], raw["Diff.Un"], rtol=1e-12)
    assert [row.smd_after for row in ours.rows] == [row.smd_before for row in ours.rows]
    assert (ours.ess_treated, ours.ess_control) == (339, 2643)
