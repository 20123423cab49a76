"""How an interval is read off replicates."""

from __future__ import annotations

import numpy as np
import pytest
from resampled_cohorts import months
from scipy import stats

import causal_s4 as s4
from causal_s4.inference.intervals import bootstrap_interval


@pytest.fixture(scope="module")
def skewed():
    """A skewed sample and 9,999 resampled means by SciPy, with SciPy's own intervals."""
    sample = np.random.default_rng(3).gamma(0.5, 2.0, 40)
    found, replicates = {}, None
    for method, name in (("percentile", "percentile"), ("basic", "basic"), ("BCa", "bca")):
        result = stats.bootstrap(
            (sample,), np.mean, method=method, n_resamples=9999, rng=np.random.default_rng(1), vectorized=True
        )
        found[name] = result.confidence_interval
        replicates = result.bootstrap_distribution
    return sample, replicates, found


@pytest.mark.parametrize("kind", ["percentile", "basic", "bca"])
def test_intervals_equal_scipys(skewed, kind):
    """For a mean, influence over n and leave-one-out differences give the same acceleration."""
    sample, replicates, found = skewed
    ours = bootstrap_interval(
        sample.mean(), replicates, kind=kind, level=0.95, phi=(sample - sample.mean()) / len(sample)
    )
    assert ours.lower == pytest.approx(found[kind].low, rel=1e-3)
    assert ours.upper == pytest.approx(found[kind].high, rel=1e-3)
    assert ours.std_error == pytest.approx(np.std(replicates, ddof=1))


def test_bca_leans_towards_the_long_tail(skewed):
    sample, replicates, found = skewed
    assert found["bca"].high > found["percentile"].high
    without = bootstrap_interval(sample.mean(), replicates, kind="bca", level=0.95)
    assert without.upper < found["bca"].high


def test_symmetric_replicates_give_the_same_percentile_and_bca_limits():
    replicates = stats.norm.ppf((np.arange(1, 2000)) / 2000)
    one, other = (bootstrap_interval(0.0, replicates, kind=kind, level=0.9) for kind in ("percentile", "bca"))
    assert one.lower == pytest.approx(stats.norm.ppf(0.05), abs=1e-12)
    assert (other.lower, other.upper) == pytest.approx((one.lower, one.upper), abs=1e-9)


def test_basic_and_normal_limits_of_a_probability_stay_inside_zero_and_one():
    replicates = np.clip(np.random.default_rng(1).normal(0.97, 0.02, 2000), 0, 1)
    for kind in ("basic", "normal"):
        found = bootstrap_interval(0.97, replicates, kind=kind, level=0.95, scale="cloglog")
        assert 0 <= found.lower < 0.97 < found.upper <= 1


def test_a_median_that_is_often_not_reached_has_no_upper_limit():
    replicates = np.concatenate([np.arange(10.0, 110.0), np.full(10, np.inf)])
    found = bootstrap_interval(60.0, replicates, kind="percentile", level=0.95)
    assert np.isfinite(found.lower)
    assert found.upper == np.inf
    assert np.isnan(found.std_error)


@pytest.mark.parametrize("kind", ["percentile", "basic", "normal", "bca"])
def test_every_effect_has_an_interval_around_it(kind):
    cohort = months()
    weights = s4.weigh(cohort, population="ATO")
    table = s4.estimate_effects(
        cohort, weights, horizons=[24.0], variance="bootstrap", replicates=400, seed=2, interval=kind
    )
    for each in table:
        assert each.lower < each.value < each.upper
        assert each.variance == f"bootstrap (400 replicates, {kind})"
