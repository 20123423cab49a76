"""Kaplan-Meier, restricted mean and Aalen-Johansen against their definitions, derivatives and lifelines."""

import numpy as np
import pytest
from definitions import central_difference, draw_rows, incidence, restricted_mean, rows, survival
from hypothesis import given, settings
from lifelines import AalenJohansenFitter, KaplanMeierFitter

from causal_s4.kernels.aalen_johansen import AalenJohansen
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets, merge_close

TIMES = (0.2, 3.0, 5.5, 9.0)


@settings(max_examples=30, deadline=None)
@given(rows())
def test_survival_and_area_are_the_definition(drawn):
    fit = KaplanMeier.fit(drawn.sets(), drawn.weight)
    for time in TIMES:
        assert fit.survival_at(time) == pytest.approx(survival(drawn, drawn.weight, time), rel=1e-12)
        assert fit.rmst(time) == pytest.approx(restricted_mean(drawn, drawn.weight, time), rel=1e-12)


@settings(max_examples=10, deadline=None)
@given(rows(most=20))
def test_derivatives_in_every_weight(drawn):
    fit = KaplanMeier.fit(drawn.sets(), drawn.weight)
    for time in (4.0, 9.0):
        slope = central_difference(lambda w, t=time: survival(drawn, w, t), drawn.weight)
        np.testing.assert_allclose(fit.survival_gradient(time), slope, rtol=1e-6, atol=1e-9)
        slope = central_difference(lambda w, t=time: restricted_mean(drawn, w, t), drawn.weight)
        np.testing.assert_allclose(fit.rmst_gradient(time), slope, rtol=1e-6, atol=1e-8)


@settings(max_examples=15, deadline=None)
@given(rows(most=25))
def test_cumulative_incidence_and_its_derivative(drawn):
    for cause in (1, 2):
        fit = AalenJohansen.fit(drawn.sets((1, 2)), drawn.weight, drawn.event == cause)
        for time in TIMES:
            expected = incidence(drawn, drawn.weight, time, cause)
            assert fit.incidence_at(time) == pytest.approx(expected, rel=1e-12, abs=1e-15)
        slope = central_difference(lambda w, c=cause: incidence(drawn, w, 9.0, c), drawn.weight)
        np.testing.assert_allclose(fit.incidence_gradient(9.0), slope, rtol=1e-6, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(rows())
def test_scaling_the_weights_changes_nothing(drawn):
    """Each estimate is of degree zero in the weights, so the weighted derivatives sum to zero (Euler)."""
    fit = KaplanMeier.fit(drawn.sets(), drawn.weight)
    larger = KaplanMeier.fit(drawn.sets(), 37.0 * drawn.weight)
    joint = AalenJohansen.fit(drawn.sets((1, 2)), drawn.weight, drawn.event == 1)
    for time in TIMES:
        assert drawn.weight @ fit.survival_gradient(time) == pytest.approx(0, abs=1e-12)
        assert drawn.weight @ fit.rmst_gradient(time) == pytest.approx(0, abs=1e-11)
        assert drawn.weight @ joint.incidence_gradient(time) == pytest.approx(0, abs=1e-12)
        assert larger.survival_at(time) == pytest.approx(fit.survival_at(time), rel=1e-13)


@settings(max_examples=30, deadline=None)
@given(rows())
def test_causes_and_survival_sum_to_one(drawn):
    sets = drawn.sets((1, 2))
    first, second = (AalenJohansen.fit(sets, drawn.weight, drawn.event == cause) for cause in (1, 2))
    total = first.incidence + second.incidence + first.any_event.survival
    np.testing.assert_allclose(total, 1, rtol=0, atol=1e-12)
    together = first.incidence_gradient(8.0) + second.incidence_gradient(8.0)
    np.testing.assert_allclose(together, -first.any_event.survival_gradient(8.0), atol=1e-13)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("delayed", [False, True])
def test_survival_is_that_of_lifelines(tied, delayed):
    drawn = draw_rows(5, 200, tied=tied, delayed=delayed)
    entry = drawn.start if delayed else None
    theirs = KaplanMeierFitter().fit(drawn.stop, drawn.event == 1, entry=entry)
    ours = KaplanMeier.fit(drawn.sets(), np.ones(200))
    expected = theirs.survival_function_at_times(ours.sets.times).to_numpy()
    np.testing.assert_allclose(ours.survival, expected, rtol=1e-10)
    weighted = KaplanMeierFitter().fit(drawn.stop, drawn.event == 1, entry=entry, weights=np.arange(200) % 3 + 1)
    ours = KaplanMeier.fit(drawn.sets(), np.arange(200) % 3 + 1.0)
    expected = weighted.survival_function_at_times(ours.sets.times).to_numpy()
    np.testing.assert_allclose(ours.survival, expected, rtol=1e-10)


@pytest.mark.parametrize("tied", [False, True])
def test_unit_weights_give_greenwood(tied):
    """The sum of squared influences is Greenwood's variance, exactly."""
    drawn = draw_rows(6, 150, tied=tied, delayed=False)
    fit = KaplanMeier.fit(drawn.sets(), np.ones(150))
    greenwood = fit.survival**2 * np.cumsum(fit.deaths / (fit.at_risk * (fit.at_risk - fit.deaths)))
    influence = [(fit.survival_gradient(time) ** 2).sum() for time in fit.sets.times]
    np.testing.assert_allclose(influence, greenwood, rtol=1e-12)


def test_cumulative_incidence_is_that_of_lifelines():
    drawn = draw_rows(7, 200, tied=False, delayed=False)
    theirs = AalenJohansenFitter(calculate_variance=False).fit(drawn.stop, drawn.event, event_of_interest=1)
    ours = AalenJohansen.fit(drawn.sets((1, 2)), np.ones(200), drawn.event == 1)
    expected = theirs.cumulative_density_.iloc[:, 0]
    found = [ours.incidence_at(time) for time in expected.index]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_a_curve_that_ends_at_zero_stays_there():
    """When everybody at risk dies nothing is left to vary."""
    sets = RiskSets.of(None, np.array([1.0, 2.0, 3.0]), np.array([True, True, True]))
    fit = KaplanMeier.fit(sets, np.array([0.1, 0.2, 0.3]))
    assert fit.survival[-1] == 0
    assert fit.survival_at(50) == 0
    np.testing.assert_array_equal(fit.survival_gradient(3.0), 0)
    assert np.isfinite(fit.rmst_gradient(3.0)).all()


@pytest.mark.parametrize(
    ("stop", "event", "median"),
    [
        ([1, 2, 3, 4], [1, 1, 1, 1], 2.5),  # S is one half from 2 to 3: the middle, as survfit says
        ([1, 2, 3], [1, 1, 1], 2.0),
        ([1, 2, 3, 4], [1, 1, 0, 0], 2.0),  # one half, never left
        ([1, 2, 3, 4], [1, 0, 0, 0], np.inf),
        ([1, 2], [0, 0], np.inf),
    ],
)
def test_median(stop, event, median):
    sets = RiskSets.of(None, np.array(stop, dtype=float), np.array(event, dtype=bool))
    assert KaplanMeier.fit(sets, np.ones(len(stop))).median() == median


def test_times_that_differ_by_rounding_are_one_time():
    times = np.array([0.1 + 0.2, 0.3, 1.0, 0.3, 2.0])
    np.testing.assert_array_equal(merge_close(times), [0.3, 0.3, 1.0, 0.3, 2.0])
    sets = RiskSets.of(None, times, np.array([True, True, True, False, True]))
    np.testing.assert_array_equal(sets.times, [0.3, 1.0, 2.0])
    fit = KaplanMeier.fit(sets, np.ones(5))
    np.testing.assert_array_equal(fit.at_risk, [5, 2, 1])
    assert fit.survival_at(0.1 + 0.2) == fit.survival_at(0.3) == pytest.approx(0.6)


def test_an_event_comes_before_a_censoring_of_the_same_day():
    sets = RiskSets.of(None, np.array([2.0, 2.0, 3.0]), np.array([True, False, False]))
    np.testing.assert_array_equal(KaplanMeier.fit(sets, np.ones(3)).at_risk, [3])


def test_entry_at_an_event_time_comes_after_it():
    sets = RiskSets.of(np.array([0.0, 2.0, 1.0]), np.array([2.0, 4.0, 4.0]), np.array([True, True, False]))
    np.testing.assert_array_equal(KaplanMeier.fit(sets, np.ones(3)).at_risk, [2, 2])
