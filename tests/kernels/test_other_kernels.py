"""Logistic regression, entropy balancing and balance against other software and algebra."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from causal_s4.kernels.balance import (
    c_statistic,
    effective_sample_size,
    kolmogorov_smirnov,
    weighted_mean,
    weighted_variance,
)
from causal_s4.kernels.entropy_balancing import balance_moments
from causal_s4.kernels.logistic import fit_logistic


def treated_patients(seed, n=300):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(50, 10, n), rng.integers(0, 2, n), rng.exponential(1000, n)])
    logit = -3 + 0.05 * x[:, 1] - 0.5 * x[:, 2] + 0.0003 * x[:, 3]
    return x, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int64), rng.integers(1, 4, n).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_logistic_is_that_of_statsmodels(seed):
    x, y, count = treated_patients(seed)
    for weight in (None, count):
        theirs = sm.GLM(y, x, family=sm.families.Binomial(), freq_weights=weight).fit(tol=1e-14, maxiter=100)
        fit = fit_logistic(x, y, weight=weight)
        assert fit.converged
        np.testing.assert_allclose(fit.coefficient, theirs.params, rtol=1e-8)
        np.testing.assert_allclose(np.linalg.inv(fit.information), theirs.cov_params(), rtol=1e-6)
        np.testing.assert_allclose(fit.score.sum(axis=0) / np.abs(fit.score).sum(axis=0), 0, atol=1e-12)


def test_logistic_says_when_there_is_no_maximum():
    x = np.column_stack([np.ones(20), np.arange(20.0)])
    assert not fit_logistic(x, (np.arange(20) > 9).astype(np.int64)).converged


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_entropy_balancing_reaches_its_target(seed, columns):
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(80, columns)) * 10 ** rng.uniform(-3, 3, columns) + rng.normal(size=columns)
    target = basis[rng.integers(0, 80, 40)].mean(axis=0)
    weight, converged = balance_moments(basis, target)
    assert converged
    assert weight.min() > 0
    assert weight.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose((weight @ basis - target) / basis.std(axis=0), 0, atol=1e-11)


def test_entropy_balancing_stays_closest_to_equal_weights():
    """Among weights that balance none has a larger entropy: a general optimiser finds the same."""
    rng = np.random.default_rng(3)
    basis = rng.normal(size=(12, 2))
    target = np.array([0.2, -0.1])
    weight, _ = balance_moments(basis, target)
    constraints = [
        {"type": "eq", "fun": lambda w: w.sum() - 1},
        {"type": "eq", "fun": lambda w: w @ basis - target},
    ]
    found = minimize(
        lambda w: (w * np.log(w)).sum(), np.full(12, 1 / 12), bounds=[(1e-9, 1)] * 12, constraints=constraints,
        method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    np.testing.assert_allclose(weight, found.x, atol=1e-5)


def test_entropy_balancing_settles_where_the_gain_drowns_in_rounding():
    """605 patients and fifteen terms: the last steps lower the dual by less than it can be represented."""
    rng = np.random.default_rng(0)
    unsettled = 0
    for _ in range(100):
        basis = rng.normal(size=(600, 15)) @ np.diag(10 ** rng.uniform(-2, 3, 15)) + 100
        _, converged = balance_moments(basis, basis.mean(axis=0) + 0.25 * basis.std(axis=0) * rng.choice([-1, 1], 15))
        unsettled += not converged
    assert unsettled == 0


def test_entropy_balancing_says_when_the_target_is_out_of_reach():
    basis = np.random.default_rng(1).uniform(0, 1, size=(50, 2))
    weight, converged = balance_moments(basis, np.array([1.2, 0.5]))
    assert not converged or weight.max() > 0.5


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_discrimination_is_that_of_scikit_learn(seed, tied):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 5, 60).astype(float) if tied else rng.normal(size=60)
    treated = rng.random(60) < 0.4
    treated[:2] = True, False
    weight = rng.uniform(0.1, 3, 60)
    expected = roc_auc_score(treated, score, sample_weight=weight)
    assert c_statistic(score, treated, weight) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_distance_of_distributions_is_that_of_scipy(seed):
    """Whole weights stand for copies, which scipy can count."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 8, 50).astype(float)
    treated = rng.random(50) < 0.5
    treated[:2] = True, False
    count = rng.integers(1, 4, 50)
    expected = ks_2samp(np.repeat(x[treated], count[treated]), np.repeat(x[~treated], count[~treated])).statistic
    assert kolmogorov_smirnov(x, count.astype(float), treated) == pytest.approx(expected, abs=1e-12)


def test_moments():
    x, w = np.array([1.0, 2.0, 6.0]), np.array([2.0, 1.0, 1.0])
    assert weighted_mean(x, w) == 2.5
    assert weighted_variance(x, np.full(3, 7.0), binary=False) == pytest.approx(x.var(ddof=1), rel=1e-14)
    # shares 1/2, 1/4, 1/4: spread 4.25 over 1 - 3/8
    assert weighted_variance(x, w, binary=False) == pytest.approx(4.25 / (1 - 3 / 8), rel=1e-14)
    assert weighted_variance(np.array([0.0, 1.0, 1.0]), w, binary=True) == 0.25
    assert np.isnan(weighted_variance(np.array([3.0]), np.array([1.0]), binary=False))


def test_effective_sample_size():
    assert effective_sample_size(np.full(17, 0.3)) == pytest.approx(17)
    assert effective_sample_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    assert effective_sample_size(np.zeros(3)) == 0


def test_distributions_of_a_constant_do_not_differ() -> None:
    treated = np.array([True, False, True, False])
    assert kolmogorov_smirnov(np.ones(4), np.array([1.0, 2, 3, 4]), treated) == pytest.approx(0, abs=1e-15)
