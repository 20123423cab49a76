"""A replicate equals what lifelines and statsmodels make of the same patients, physically drawn."""

from __future__ import annotations

import numpy as np
import pytest
from resampled_cohorts import (
    months,
    peer_curve,
    peer_hazard_ratio,
    peer_propensity,
    peer_weights,
    refit_of,
    replicates_of,
    rotterdam,
)

import causal_s4 as s4
from causal_s4.protocol.vocabulary import Arm, Measure

HORIZON = 24.0
POPULATIONS = [("ATE", False), ("ATE", True), ("ATT", False), ("ATC", False), ("ATO", False), ("ATM", False)]


def compare(cohort, population, stabilise, ties, horizon, chosen, **plan):
    weights = s4.weigh(cohort, population=population, stabilise=stabilise)
    counts = refit_of(cohort, weights, [horizon], **plan).draws.counts(0, max(chosen) + 1)
    ours = replicates_of(cohort, weights, [horizon], ties=ties, replicates=max(chosen) + 1, **plan)
    outcome, terms = cohort.outcome(), weights.spec.terms
    for replicate in chosen:
        drawn = np.repeat(np.arange(len(cohort)), counts[replicate].astype(int))
        time, event, arm = outcome.time[drawn], outcome.event[drawn] == 1, cohort.treatment[drawn]
        weight = peer_weights(peer_propensity(terms[drawn], arm), arm, population, stabilise=stabilise)

        def found(measure, of_arm=None, index=0, *, replicate=replicate):
            return ours.theta(measure, of_arm, index)[replicate]

        assert ours.failure[replicate] == 0
        assert found(Measure.HAZARD_RATIO, None, -1) == pytest.approx(
            peer_hazard_ratio(time, event, arm, weight, ties), abs=1e-8
        )
        for name, code in ((Arm.TREATED, 1), (Arm.CONTROL, 0)):
            own = arm == code
            survival, rmst, median = peer_curve(time[own], event[own], weight[own], horizon)
            assert found(Measure.SURVIVAL, name) == pytest.approx(survival, abs=1e-8)
            assert found(Measure.RMST, name) == pytest.approx(rmst, rel=1e-8)
            assert found(Measure.MEDIAN_SURVIVAL, name, -1) == median


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("population, stabilise", POPULATIONS)
def test_replicates_of_a_small_cohort_with_tied_months(population, stabilise, ties):
    compare(months(), population, stabilise, ties, HORIZON, chosen=range(5), seed=11)


@pytest.mark.slow
@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("population, stabilise", POPULATIONS)
def test_fifty_replicates_of_each_kind(population, stabilise, ties):
    compare(months(6), population, stabilise, ties, HORIZON, chosen=range(50), seed=12)


def test_replicates_of_rotterdam():
    compare(rotterdam(), "ATE", True, "efron", 1826.25, chosen=[1, 17], seed=2)


def test_cumulative_incidence_equals_that_of_statsmodels():
    from statsmodels.duration.survfunc import CumIncidenceRight

    cohort = months(competing=True)
    weights = s4.weigh(cohort, population="ATE")
    counts = refit_of(cohort, weights, [HORIZON], seed=3).draws.counts(0, 5)
    ours = replicates_of(cohort, weights, [HORIZON], replicates=5, seed=3)
    outcome = cohort.outcome()
    for replicate in range(5):
        drawn = np.repeat(np.arange(len(cohort)), counts[replicate].astype(int))
        arm = cohort.treatment[drawn]
        weight = peer_weights(peer_propensity(weights.spec.terms[drawn], arm), arm, "ATE")
        for name, code in ((Arm.TREATED, 1), (Arm.CONTROL, 0)):
            own = arm == code
            curve = CumIncidenceRight(outcome.time[drawn][own], outcome.event[drawn][own], freq_weights=weight[own])
            expected = curve.cinc[0][np.searchsorted(curve.times, HORIZON, side="right") - 1]
            assert ours.theta(Measure.CUMULATIVE_INCIDENCE, name, 0)[replicate] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("options", [{"truncate": (0.05, 0.9)}, {"trim": 0.2, "stabilise": True}])
def test_cuts_are_made_again_in_each_replicate(options):
    """Quantiles by numpy on the physically drawn weights; trimming and the second fit by statsmodels."""
    cohort = months()
    weights = s4.weigh(cohort, population="ATE", **options)
    refit = refit_of(cohort, weights, [HORIZON], seed=4)
    counts = refit.draws.counts(0, 10)
    values, failure = refit.weights.make(counts)
    for replicate in np.flatnonzero(failure == 0):
        drawn = np.repeat(np.arange(len(cohort)), counts[replicate].astype(int))
        arm, terms = cohort.treatment[drawn], weights.spec.terms[drawn]
        e = peer_propensity(terms, arm)
        expected = np.zeros(len(drawn))
        kept = np.ones(len(drawn), dtype=bool)
        if "trim" in options:
            kept = (e >= 0.2) & (e <= 0.8)
            e = peer_propensity(terms[kept], arm[kept])
        expected[kept] = peer_weights(e, arm[kept], "ATE", stabilise=options.get("stabilise", False))
        if "truncate" in options:
            expected = np.clip(expected, *np.quantile(expected, options["truncate"]))
        np.testing.assert_allclose(values[replicate][drawn], expected, rtol=1e-8)


def test_entropy_balancing_reaches_each_replicates_own_moments():
    """The definition: means of the weighted arm equal those of the target, and log weights are linear in the terms."""
    cohort = months()
    for population, target in (("ATE", None), ("ATT", 1), ("ATC", 0)):
        weights = s4.weigh(cohort, population=population, method="entropy-balancing")
        refit = refit_of(cohort, weights, [HORIZON], seed=4)
        counts = refit.draws.counts(0, 20)
        values, failure = refit.weights.make(counts)
        assert (failure == 0).all()
        terms = weights.spec.terms
        for count, value in zip(counts, values, strict=True):
            goal = count if target is None else count * (cohort.treatment == target)
            for code in {0, 1} - {target}:
                own = (cohort.treatment == code) & (count > 0)
                np.testing.assert_allclose(
                    (count * value)[own] @ terms[own] / (count * value)[own].sum(),
                    goal @ terms / goal.sum(),
                    atol=1e-9,
                )
                design = np.column_stack([np.ones(own.sum()), terms[own]])
                log_weight = np.log(value[own])
                line = design @ np.linalg.lstsq(design, log_weight, rcond=None)[0]
                np.testing.assert_allclose(log_weight, line, atol=1e-9)
