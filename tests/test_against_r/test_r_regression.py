"""The multivariable Cox model that papers report, against coxph of survival 3.8-6."""

import math

import pytest
from golden import FORMULAS, OUTCOMES, SKEWED, rotterdam, rotterdam_numbers

from causal_s4.propensity.models import covariate_matrix
from causal_s4.survival.regression import multivariable_cox


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_every_coefficient(formula, outcome, ties):
    matrix = covariate_matrix(rotterdam(), splines={}, log1p=SKEWED if formula == "F2" else (), interactions=())
    found = multivariable_cox(
        rotterdam().risk_table(outcome), matrix.matrix, matrix.terms, ties=ties, level=0.95, treatment="hormon"
    )
    expected = rotterdam_numbers()[formula][outcome]["multivariable_cox"][ties]
    assert found.rows[0].term == "hormon"
    assert (found.n, found.events, found.ties) == (expected["n"], expected["nevent"], ties)
    assert len(found.rows) == len(expected["coef"])
    intervals = expected["ci95_hr"]["values"]
    for row, name, interval in zip(found.rows, expected["coef"], intervals, strict=True):
        assert math.log(row.hazard_ratio) == pytest.approx(expected["coef"][name], rel=1e-7), name
        assert row.std_error == pytest.approx(expected["se_naive"][name], rel=1e-7), name
        assert (row.lower, row.upper) == pytest.approx(interval, rel=1e-7), name
        assert row.p_value == pytest.approx(expected["p"][name], rel=1e-5), name
