"""Piecewise-exponential rates: the fit, its integral, and a Cox model's baseline hazard."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import CoxPHFitter

from causal_s4.emulation.intensity import PersonRows, time_levels
from causal_s4.kernels.baseline_hazard import baseline_hazard
from causal_s4.kernels.cox import fit_cox
from causal_s4.kernels.poisson import CumulativeRate, fit_poisson
from causal_s4.kernels.risk_sets import RiskSets


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(1)
    n = 500
    design = np.column_stack([np.ones(n), rng.normal(60, 10, n), rng.integers(0, 2, n)])
    exposure = rng.exponential(3, n) + 0.01
    events = (rng.random(n) < 1 - np.exp(-exposure * np.exp(-3 + 0.02 * design[:, 1] - design[:, 2]))).astype(float)
    return design, events, exposure


def test_fit_is_that_of_statsmodels(counts):
    """statsmodels' Poisson GLM with a log-exposure offset."""
    design, events, exposure = counts
    reference = sm.GLM(events, design, family=sm.families.Poisson(), offset=np.log(exposure)).fit(tol=1e-13)
    fit = fit_poisson(design, events, exposure)
    assert fit.converged
    np.testing.assert_allclose(fit.coefficient, reference.params, rtol=1e-8)
    np.testing.assert_allclose(np.linalg.inv(fit.information), reference.cov_params(), rtol=1e-5)
    np.testing.assert_allclose(fit.score.sum(axis=0), 0, atol=1e-7)


def test_rate_without_covariates_is_events_over_time(counts):
    _, events, exposure = counts
    fit = fit_poisson(np.ones((len(events), 1)), events, exposure)
    np.testing.assert_allclose(fit.rate, events.sum() / exposure.sum(), rtol=1e-12)


def test_splitting_rows_leaves_the_fit(counts):
    design, events, exposure = counts
    halves = np.repeat(design, 2, axis=0)
    at_end = np.column_stack([np.zeros(len(events)), events]).ravel()
    split = fit_poisson(halves, at_end, np.repeat(exposure / 2, 2))
    np.testing.assert_allclose(split.coefficient, fit_poisson(design, events, exposure).coefficient, rtol=1e-9)


def test_a_level_without_events_does_not_settle(counts):
    design, events, exposure = counts
    column = (np.arange(len(events)) < 40).astype(float)
    assert not fit_poisson(np.column_stack([design, column]), np.where(column, 0, events), exposure).converged


def test_integral_by_hand():
    """Two units: rates 1 then 3 from time 2 on; and 5."""
    rate = CumulativeRate(
        unit=np.array([0, 0, 1]), start=np.array([0.0, 2.0, 0.0]), rate=np.array([1.0, 3.0, 5.0]), slope=np.eye(3)
    )
    unit = np.array([0, 0, 0, 0, 1, 1])
    time = np.array([0.0, 1.5, 2.0, 4.0, 0.5, 10.0])
    total, slope = rate.until(rate.moment(unit, time))
    assert total.tolist() == [0.0, 1.5, 2.0, 8.0, 2.5, 50.0]
    assert slope.tolist() == [[0, 0, 0], [1.5, 0, 0], [2, 0, 0], [2, 6, 0], [0, 0, 2.5], [0, 0, 50]]
    assert rate.locate(unit, time).tolist() == [0, 0, 0, 1, 2, 2]


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_baseline_hazard(ties):
    """Breslow: deaths over the relative hazards at risk. Efron, no ties: the same; lifelines' baseline is Breslow's."""
    rng = np.random.default_rng(2)
    n = 200
    frame = pd.DataFrame({"x": rng.normal(0, 1, n), "time": rng.exponential(1, n), "event": rng.integers(0, 2, n)})
    reference = CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-12})
    sets = RiskSets.of(None, frame["time"].to_numpy(), frame["event"].to_numpy() == 1)
    fit = fit_cox(sets, frame[["x"]].to_numpy(), np.ones(n))
    found = baseline_hazard(sets, np.exp(frame["x"].to_numpy() * fit.coefficient[0]), efron=ties == "efron")
    centred = reference.baseline_cumulative_hazard_["baseline cumulative hazard"]
    expected = centred.loc[sets.times] * np.exp(-frame["x"].mean() * reference.params_["x"])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_efron_spreads_tied_deaths():
    """Three at risk, two die at once: 1/3 + 1/2, not 2/3."""
    sets = RiskSets.of(None, np.array([1.0, 1.0, 2.0]), np.array([True, True, False]))
    assert baseline_hazard(sets, np.ones(3)).tolist() == pytest.approx([1 / 3 + 1 / 2])
    assert baseline_hazard(sets, np.ones(3), efron=False).tolist() == pytest.approx([2 / 3])


def test_patients_own_rows():
    rows = PersonRows.cut(
        np.array([5.0, 2.0]), np.array([1.0, 3.0]), np.array([0, 0, 1, 1]), np.array([3.0, 4.0, 0.0, 2.0])
    )
    assert rows.patient.tolist() == [0, 0, 0, 0, 1, 1]
    assert rows.start.tolist() == [0, 1, 3, 4, 0, 1]
    assert rows.stop.tolist() == [1, 3, 4, 5, 1, 2]
    assert rows.last.tolist() == [False, False, False, True, False, True]


def test_levels_of_time_hold_about_equally_many():
    times = np.random.default_rng(3).uniform(0, 100, 400)
    edges = time_levels(times, 100.0, 7.0)
    assert np.allclose(edges / 7, np.round(edges / 7))
    counts = np.histogram(times, [0, *edges, 100])[0]
    assert len(edges) == 7
    assert counts.min() >= 20


def test_few_events_have_one_level():
    assert time_levels(np.arange(1.0, 30.0), 40.0, 1.0).size == 0


def test_a_level_with_few_events_joins_the_next():
    times = np.concatenate([np.full(30, 5.0), np.full(3, 6.5), np.full(30, 9.0)])
    assert time_levels(times, 10.0, 1.0, further=[6.0, 7.0]).tolist() == [5.0]
    assert time_levels(np.full(50, 5.0), 10.0, 1.0).size == 0
