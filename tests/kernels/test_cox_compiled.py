"""Three ways to the sums of a Cox model, by the number of rows and of distinct values: they agree to 1e-12."""

from __future__ import annotations

import numpy as np
import pytest

from causal_s4.kernels import cox
from causal_s4.kernels.risk_sets import RiskSets


def rows(n, p, *, delayed, tied, seed=0):
    rng = np.random.default_rng(seed)
    time = rng.exponential(10, n) * 3
    time = np.ceil(time) if tied else time
    start = time * rng.random(n) * 0.5 if delayed else None
    weight = rng.exponential(1, n) * (rng.random(n) < 0.95)  # some rows are absent
    return RiskSets.of(start, time, rng.random(n) < 0.6), rng.normal(size=(n, p)), weight


@pytest.mark.parametrize("efron", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("delayed", [True, False])
@pytest.mark.parametrize("p", [1, 3])
def test_compiled_loops_equal_numpys_sums(monkeypatch, p, delayed, tied, efron):
    """NumPy's sums are themselves held against R."""
    sets, covariates, weight = rows(800, p, delayed=delayed, tied=tied)
    plain = cox.fit_cox(sets, covariates, weight, efron=efron)
    monkeypatch.setattr(cox, "COMPILED_FROM", 1)
    compiled = cox.fit_cox(sets, covariates, weight, efron=efron)
    np.testing.assert_allclose(compiled.coefficient, plain.coefficient, rtol=0, atol=1e-12)
    # they start apart, and the information is that of a coefficient which is still up to 1e-10 away
    np.testing.assert_allclose(compiled.information, plain.information, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(compiled.score_gradient, plain.score_gradient, rtol=0, atol=1e-10)
    np.testing.assert_allclose(compiled.gradient, plain.gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("efron", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("delayed", [True, False])
def test_two_groups_equal_numpys_sums(monkeypatch, delayed, tied, efron):
    sets, covariates, weight = rows(800, 1, delayed=delayed, tied=tied)
    group = np.where(covariates > 0.3, 2.0, -1.0)
    collapsed = cox.fit_cox(sets, group, weight, efron=efron)
    monkeypatch.setattr(cox, "_likelihood_of", cox._Likelihood)
    plain = cox.fit_cox(sets, group, weight, efron=efron)
    np.testing.assert_allclose(collapsed.coefficient, plain.coefficient, rtol=0, atol=1e-12)
    np.testing.assert_allclose(collapsed.information, plain.information, rtol=1e-11)
    np.testing.assert_allclose(collapsed.gradient, plain.gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("delayed", [True, False])
def test_a_start_from_every_twentieth_row_changes_nothing(monkeypatch, delayed):
    sets, covariates, weight = rows(4000, 2, delayed=delayed, tied=True, seed=1)
    plain = cox.fit_cox(sets, covariates, weight)
    assert cox._Compiled(sets, covariates, weight, efron=True).start().all()  # somewhere else than plain began
    monkeypatch.setattr(cox, "COMPILED_FROM", 1)
    near = cox.fit_cox(sets, covariates, weight)
    assert near.converged
    np.testing.assert_allclose(near.coefficient, plain.coefficient, rtol=0, atol=1e-12)


def test_twentieth_rows_without_a_maximum_are_no_start():
    """No row among them has an event, or any weight."""
    sets, covariates, weight = rows(400, 2, delayed=False, tied=True)
    for few in (RiskSets.of(None, sets.last.astype(float), np.arange(400) % 20 == 1), sets):
        none = np.where(np.arange(400) % 20 == 0, 0.0, 1.0)
        assert not cox._Compiled(few, covariates, none if few is sets else weight, efron=True).start().any()


def test_times_closer_than_rounding_are_one_time_however_many_there_are():
    """0.1 + 0.2 and 0.3 differ in the last place."""
    rng = np.random.default_rng(2)
    whole = np.ceil(rng.exponential(20, 500))
    noisy = whole * (1 + rng.choice([0, 1e-12, -1e-12], 500))
    event = rng.random(500) < 0.7
    one, other = RiskSets.of(None, whole, event), RiskSets.of(None, noisy, event)
    np.testing.assert_array_equal(one.last, other.last)
    np.testing.assert_array_equal(one.when, other.when)
