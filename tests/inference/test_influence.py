"""Each patient's influence against leaving her out and doing everything again."""

from dataclasses import replace

import numpy as np
import pytest
from small_cohorts import small_cohort, small_frame

from causal_s4.inference.influence import influence, standard_errors
from causal_s4.propensity.weights import weigh
from causal_s4.results import Weights
from causal_s4.survival.functionals import (
    arm_functionals,
    competing_functionals,
    fit_arms,
    hazard_ratio,
    score_gradient,
)

HORIZON = 24.0
SLOW = [pytest.mark.slow]
every_weighting = pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=" ".join(map(str, options.values())), marks=marks)
        for options, marks in (
            ({"population": "ATE", "stabilise": True}, ()),
            ({"population": "ATO"}, ()),
            ({"population": "ATT", "method": "entropy-balancing"}, ()),
            ({"population": "ATE", "method": "firth"}, ()),
            ({"population": "ATE"}, SLOW),
            ({"population": "ATT"}, SLOW),
            ({"population": "ATC"}, SLOW),
            ({"population": "ATM"}, SLOW),
            ({"population": "ATE", "method": "entropy-balancing"}, SLOW),
        )
    ],
)


def functionals(table, weight):
    """Every kind of estimate of a table with competing events, on the scale of its interval."""
    fits = fit_arms(table, weight, any_event=True)
    return [
        hazard_ratio(table, weight, ties="efron"),
        hazard_ratio(table, weight, ties="breslow"),
        *arm_functionals(fits, [HORIZON], len(table)),
        *competing_functionals(table, weight, [HORIZON]),
    ]


def estimates(cohort, options):
    table = cohort.risk_table()
    return np.array([each.theta for each in functionals(table, weigh(cohort, **options).values)])


@every_weighting
def test_leaving_patients_out(options):
    """Score, share of treated, balancing weights and estimate are all refitted without her."""
    cohort = small_cohort(small_frame(3, 240, competing=True))
    n, table, weights = len(cohort), cohort.risk_table(), weigh(cohort, **options)
    found = functionals(table, weights.values)
    phi = influence(table, weights, np.column_stack([each.gradient for each in found]))
    np.testing.assert_allclose(phi.sum(axis=0), 0, atol=1e-8)
    everybody = np.array([each.theta for each in found])
    some = np.random.default_rng(1).choice(n, 80, replace=False)
    left_out = np.array([everybody - estimates(cohort.take(np.arange(n) != i), options) for i in some])
    for j, each in enumerate(found):
        label = f"{each.measure} {each.arm}"
        assert np.corrcoef(phi[some, j], left_out[:, j])[0, 1] > 0.98, label
        assert 0.85 < standard_errors(phi[some, j]) / standard_errors(left_out[:, j]) < 1.02, label


def test_what_estimating_the_score_takes_away():
    """Against weights taken as known: a smaller standard error of the average effect, and never the same."""
    cohort = small_cohort(small_frame(4, 300))
    table, weights = cohort.risk_table(), weigh(cohort, population="ATE")
    gradient = hazard_ratio(table, weights.values, ties="efron").gradient
    accounted, fixed = (standard_errors(influence(table, weights, gradient, account=flag)) for flag in (True, False))
    assert accounted < fixed
    given = Weights.given(weights.values)
    assert standard_errors(influence(table, given, gradient)) == fixed


def test_rows_of_a_patient_are_summed_before_they_are_squared():
    """Patients twice in the table, under two names and under one."""
    frame = small_frame(5, 100)
    table = small_cohort(frame).risk_table()
    twice = replace(
        table,
        **{name: np.tile(getattr(table, name), 2) for name in ("patient", "arm", "start", "stop", "event")},
    )
    strangers = replace(twice, patient=np.arange(200), n_patients=200)
    one, clones, others = (
        influence(each, None, hazard_ratio(each, np.ones(len(each)), ties="breslow").gradient)
        for each in (table, twice, strangers)
    )
    np.testing.assert_allclose(clones, one, rtol=1e-8, atol=1e-12)
    assert standard_errors(others) == pytest.approx(standard_errors(one) / np.sqrt(2), rel=1e-8)


def test_patients_without_a_row_have_no_influence():
    table = small_cohort(small_frame(6, 50)).risk_table()
    more = replace(table, n_patients=55)
    phi = influence(more, None, hazard_ratio(table, np.ones(50), ties="efron").gradient)
    assert phi.shape == (55,)
    np.testing.assert_array_equal(phi[50:], 0)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_score_is_the_weighted_sum_of_its_derivatives(ties):
    """It is of degree one in the weights (Euler)."""
    cohort = small_cohort(small_frame(7, 100, tied=True))
    weights = weigh(cohort, population="ATO")
    score, gradient = score_gradient(cohort.risk_table(), weights.values, ties=ties)
    assert score == pytest.approx(weights.values @ gradient)
    doubled, _ = score_gradient(cohort.risk_table(), 2 * weights.values, ties=ties)
    assert doubled == pytest.approx(2 * score)


def test_one_column_or_many():
    cohort = small_cohort(small_frame(8, 60))
    table, weights = cohort.risk_table(), weigh(cohort, population="ATO")
    u = np.random.default_rng(0).normal(size=(60, 3))
    together = influence(table, weights, u)
    for j in range(3):
        np.testing.assert_allclose(influence(table, weights, u[:, j]), together[:, j], rtol=1e-12)
