"""Weighted Cox regression against its likelihood, numerical derivatives, lifelines and replicated rows."""

import numpy as np
import pandas as pd
import pytest
from definitions import Rows, central_difference, cox_log_likelihood, draw_rows, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from scipy.optimize import minimize

from causal_s4.kernels.cox import fit_cox

SHARP = {"precision": 1e-13, "r_precision": 1e-15}
TIES = pytest.mark.parametrize("efron", [True, False], ids=["efron", "breslow"])


@TIES
@settings(max_examples=12, deadline=None)
@given(drawn=rows())
def test_coefficient_maximises_the_likelihood(efron, drawn):
    fit = fit_cox(drawn.sets(), drawn.z, drawn.weight, efron=efron)
    if not fit.converged or np.abs(fit.coefficient).max() > 5:
        return  # a cohort this small may have no maximum
    at = fit.coefficient
    score = central_difference(lambda b: cox_log_likelihood(drawn, drawn.weight, b, efron=efron), at)
    np.testing.assert_allclose(score, 0, atol=1e-6)

    def slope(beta):
        return central_difference(lambda b: cox_log_likelihood(drawn, drawn.weight, b, efron=efron), beta, 1e-4)

    information = -central_difference(slope, at, 1e-3)
    np.testing.assert_allclose(fit.information, information, rtol=1e-4, atol=1e-4)


@TIES
@settings(max_examples=8, deadline=None)
@given(drawn=rows(most=20))
def test_derivative_in_every_weight(efron, drawn):
    """The influence of a row: refit with its weight a little larger, and a little smaller."""
    sets = drawn.sets()
    fit = fit_cox(sets, drawn.z, drawn.weight, efron=efron)
    if not fit.converged or np.abs(fit.coefficient).max() > 5:
        return

    def refit(weight):
        return fit_cox(sets, drawn.z, weight, efron=efron).coefficient

    np.testing.assert_allclose(fit.gradient, central_difference(refit, drawn.weight), rtol=2e-5, atol=1e-7)


@TIES
@settings(max_examples=30, deadline=None)
@given(drawn=rows(), factor=st.floats(0.01, 100))
def test_scaling_the_weights_changes_nothing(efron, drawn, factor):
    fit = fit_cox(drawn.sets(), drawn.z, drawn.weight, efron=efron)
    if not fit.converged:
        return
    np.testing.assert_allclose(drawn.weight @ fit.score_gradient, 0, atol=1e-9)
    scaled = fit_cox(drawn.sets(), drawn.z, factor * drawn.weight, efron=efron)
    np.testing.assert_allclose(scaled.coefficient, fit.coefficient, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("delayed", [False, True])
def test_efron_without_weights_is_lifelines(tied, delayed):
    drawn = draw_rows(11, 200, tied=tied, delayed=delayed)
    frame = pd.DataFrame(drawn.z, columns=["arm", "x"]).assign(
        start=drawn.start, stop=drawn.stop, event=(drawn.event == 1).astype(int)
    )
    fitter = CoxPHFitter().fit(
        frame if delayed else frame.drop(columns="start"),
        "stop", "event", entry_col="start" if delayed else None, fit_options=SHARP,
    )  # fmt: skip
    fit = fit_cox(drawn.sets(), drawn.z, np.ones(200))
    np.testing.assert_allclose(fit.coefficient, fitter.params_[["arm", "x"]], rtol=1e-6)
    std_error = np.sqrt(np.diag(np.linalg.inv(fit.information)))
    np.testing.assert_allclose(std_error, fitter.standard_errors_[["arm", "x"]], rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(drawn=rows(), seed=st.integers(0, 1000))
def test_breslow_with_whole_weights_is_that_many_copies(drawn, seed):
    count = np.random.default_rng(seed).integers(1, 4, len(drawn.stop))
    weighted = fit_cox(drawn.sets(), drawn.z, count.astype(float), efron=False)
    copies = Rows(*(np.repeat(values, count, axis=0) for values in (drawn.start, drawn.stop, drawn.event, drawn.z)),
                  weight=np.ones(count.sum()))  # fmt: skip
    repeated = fit_cox(copies.sets(), copies.z, copies.weight, efron=False)
    assert weighted.converged == repeated.converged
    if weighted.converged:
        np.testing.assert_allclose(weighted.coefficient, repeated.coefficient, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(weighted.information, repeated.information, rtol=1e-8)


@TIES
def test_rows_of_weight_zero_are_absent(efron):
    """Also from the count of tied deaths."""
    drawn = draw_rows(12, 60, tied=True, delayed=True)
    weight = np.where(np.arange(60) % 4 == 0, 0.0, drawn.weight)
    used = weight > 0
    part = Rows(*(values[used] for values in (drawn.start, drawn.stop, drawn.event, drawn.z)), weight=weight[used])
    whole = fit_cox(drawn.sets(), drawn.z, weight, efron=efron)
    alone = fit_cox(part.sets(), part.z, part.weight, efron=efron)
    np.testing.assert_allclose(whole.coefficient, alone.coefficient, rtol=1e-9)


@TIES
def test_maximum_found_by_another_optimiser(efron):
    drawn = draw_rows(13, 80, tied=True, delayed=True)
    found = minimize(
        lambda beta: -cox_log_likelihood(drawn, drawn.weight, beta, efron=efron), np.zeros(2), options={"gtol": 1e-9}
    )
    fit = fit_cox(drawn.sets(), drawn.z, drawn.weight, efron=efron)
    np.testing.assert_allclose(fit.coefficient, found.x, atol=1e-5)


@TIES
@pytest.mark.parametrize(
    ("start", "event"),
    [
        ([0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]),  # events in one arm only
        ([0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]),  # every death of one arm before any of the other
        ([0, 0, 0, 10, 10, 10], [1, 1, 1, 1, 1, 1]),  # never at risk together
        ([0, 0, 0, 2.5, 10, 10], [1, 1, 1, 1, 1, 1]),
    ],
)
def test_a_likelihood_without_a_maximum_is_not_settled(efron, start, event):
    """It rises for ever, or is flat: nothing may be reported as an estimate."""
    stop, arm = np.array([1.0, 2, 3, 11, 12, 13]), np.array([[1.0], [1], [1], [0], [0], [0]])
    rows_ = Rows(np.array(start, dtype=float), stop, np.array(event), arm, np.ones(6))
    assert not fit_cox(rows_.sets(), rows_.z, rows_.weight, efron=efron).converged


@TIES
@pytest.mark.parametrize("weight", [1.0, 1e-4])
def test_one_event_against_hundreds_settles(efron, weight):
    """Little information is still information: the score is zero at a large log hazard ratio."""
    n = 400
    arm = (np.arange(2 * n) < n).astype(float)
    stop = np.where(arm == 1, (np.arange(2 * n) % n + 1) / n, 1.0)
    event = (arm == 1).astype(int)
    stop[-1], event[-1] = 0.5, 1
    drawn = Rows(np.zeros(2 * n), stop, event, arm[:, None], np.full(2 * n, weight))
    fit = fit_cox(drawn.sets(), drawn.z, drawn.weight, efron=efron)
    assert fit.converged
    assert fit.coefficient[0] > 5
    slope = central_difference(lambda b: cox_log_likelihood(drawn, drawn.weight, b, efron=efron), fit.coefficient)
    assert slope[0] / weight == pytest.approx(0, abs=1e-4)
