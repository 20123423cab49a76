"""Leaving out one patient at a time, with everything made again."""

from __future__ import annotations

import numpy as np
import pytest
from resampled_cohorts import gbsg2, months, replicates_of
from scipy.stats import norm

import causal_s4 as s4
from causal_s4.protocol.vocabulary import Arm, Measure

GOLDEN = {
    "ATE": (0.0488463, 51.312695, 0.1321465),
    "ATT": (0.0506915, 48.996985, 0.1248096),
    "ATO": (0.0481699, 48.124986, 0.1233885),
}
"""GBSG2, 686 refits by an independent prototype: survival difference and restricted mean difference at 1,825
days, log hazard ratio."""


@pytest.mark.parametrize("population", GOLDEN)
def test_standard_errors_of_gbsg2(population):
    cohort = gbsg2()
    table = s4.estimate_effects(
        cohort, s4.weigh(cohort, population=population), horizons=[1825.0], variance="jackknife"
    ).where(analysis="weighted")
    found = [table.one(measure=m).std_error for m in ("survival difference", "rmst difference", "hazard ratio")]
    assert found == pytest.approx(GOLDEN[population], rel=2e-6)


def test_entropy_balancing_on_gbsg2():
    """The same prototype, first moments, survival difference at 1,825 days."""
    cohort = gbsg2()
    weights = s4.weigh(cohort, population="ATE", method="entropy-balancing")
    table = s4.estimate_effects(cohort, weights, horizons=[1825.0], variance="jackknife")
    found = table.one(analysis="weighted", measure="survival difference").std_error
    assert found == pytest.approx(0.04847451, abs=1e-8)


@pytest.mark.parametrize(
    "options",
    [{"population": "ATE", "stabilise": True}, {"population": "ATM"}, {"population": "ATE", "method": "firth"}],
)
def test_each_replicate_is_the_study_of_the_others(options):
    """The definition, through the public verbs: weigh and estimate the cohort without one patient."""
    cohort = months()
    found = replicates_of(cohort, s4.weigh(cohort, **options), [24.0], method="jackknife")
    assert len(found.values) == len(cohort)
    for left_out in (0, 11, 60, 156):
        rest = cohort.take(np.arange(len(cohort)) != left_out)
        table = s4.estimate_effects(rest, s4.weigh(rest, **options), horizons=[24.0]).where(analysis="weighted")
        ours = {
            "hazard ratio": np.exp(found.theta(Measure.HAZARD_RATIO, None, -1)[left_out]),
            "survival difference": found.theta(Measure.SURVIVAL_DIFFERENCE, None, 0)[left_out],
            "rmst ratio": np.exp(found.theta(Measure.RMST_RATIO, None, 0)[left_out]),
        }
        for measure, value in ours.items():
            assert value == pytest.approx(table.one(measure=measure).value, rel=1e-9)
        survival = found.theta(Measure.SURVIVAL, Arm.TREATED, 0)[left_out]
        assert survival == pytest.approx(table.one(measure="survival", arm="treated").value, rel=1e-9)


def test_interval_and_words():
    cohort = months()
    table = s4.estimate_effects(cohort, horizons=[24.0], variance="jackknife", level=0.9)
    ratio = table.one(measure="hazard ratio")
    z = norm.ppf(0.95)
    assert ratio.variance == "jackknife"
    assert ratio.lower == pytest.approx(ratio.value * np.exp(-z * ratio.std_error))
    assert ratio.p_value == pytest.approx(2 * norm.sf(abs(np.log(ratio.value)) / ratio.std_error))
    survival = table.one(measure="survival", arm="control")
    assert 0 < survival.lower < survival.value < survival.upper < 1
    # leaving out single patients cannot say how a quantile varies, so medians keep the interval of the curve's band
    assert table.one(measure="median survival", arm="control").variance == "influence"


def test_groups_left_out_whole_and_workers():
    cohort = months()
    group = np.arange(len(cohort)) // 3
    found = replicates_of(cohort, None, [24.0], method="jackknife", cluster=group)
    assert len(found.values) == group.max() + 1
    rest = cohort.take(group != 7)
    expected = s4.estimate_effects(rest, horizons=[24.0]).one(measure="rmst difference").value
    assert found.theta(Measure.RMST_DIFFERENCE, None, 0)[7] == pytest.approx(expected, rel=1e-10)
    other = replicates_of(cohort, None, [24.0], method="jackknife", cluster=group, jobs=2, block=10)
    np.testing.assert_array_equal(found.values, other.values)
