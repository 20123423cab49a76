"""Overlap, time before treatment, the closed-form truth and the ladder against R 4.2.2 and survival 3.5-3.

tests/reference/scripts/overlap_alignment_truth.R; the ladder's rungs are those of tests/reference/heart.json (3.8-6).
"""

import math

import numpy as np
import pytest
from golden import reference, rotterdam, transplants, weights

from causal_s4 import Cohort, bias_ladder, check_alignment, check_positivity, true_effects

R = reference("overlap_alignment_truth.json")


def test_overlap_of_the_propensity_scores():
    found = check_positivity(rotterdam(), weights("F1", "ate"))
    assert found.overlap_coefficient == pytest.approx(R["overlap_coefficient"], abs=1e-12)
    for arm in ("treated", "control"):
        np.testing.assert_allclose(found.quantiles[arm], R[f"quantiles_{arm}"], rtol=1e-8)
        tails = [found.tails[name][arm] for name in ("below 0.05", "above 0.95", "below 0.10", "above 0.90")]
        np.testing.assert_allclose(tails, R[f"tails_{arm}"], atol=1e-12)


def test_groups_that_one_arm_does_not_reach():
    cells = check_positivity(rotterdam(), weights("F1", "ate")).empty_cells
    single = [cell for cell in cells if " and " not in cell.description]
    assert len(single) == R["empty_single"]
    assert len(cells) - len(single) == R["empty_pairs"]
    assert cells[0].n == R["empty_single_largest"]


def test_time_before_treatment():
    """R splits the rows with tmerge and sums them with pyears."""
    found = check_alignment(transplants("jasa"))
    assert (found.treated, found.later) == (R["heart_treated"], R["heart_later"])
    assert found.misplaced == pytest.approx(R["heart_misplaced_days"], abs=1e-9)
    assert found.treated_follow_up == pytest.approx(R["heart_follow_up_of_treated_days"], abs=1e-9)
    assert found.median_start == R["heart_median_start_days"]


@pytest.mark.parametrize("population", ["ATE", "ATT", "ATC", "ATO", "ATM"])
def test_truth_of_the_closed_form_world(population):
    """R sums the twelve kinds of patients, integrates and finds the root on its own."""
    truth = true_effects("closed-form", population=population, horizons=[60])
    found = [
        *(truth.one(measure="survival", arm=arm).value for arm in ("treated", "control")),
        *(truth.one(measure="rmst", arm=arm).value for arm in ("treated", "control")),
        math.log(truth.one(measure="hazard ratio", stabilised=False).value),
    ]
    np.testing.assert_allclose(found, R[f"truth_{population}"], rtol=1e-9)


def log_hazard_ratios(cohort: Cohort, adjusts_for: str) -> dict[str, float]:
    rungs = bias_ladder(cohort, landmarks=[], grace_periods=[]).rungs
    return {
        rung.analysis: math.log(rung.effects.one(measure="hazard ratio").value)
        for rung in rungs
        if rung.adjusts_for == adjusts_for and len(rung.effects)
    }


def test_rungs_of_the_ladder():
    """coxph's log hazard ratios: ever against never, with covariates, and as treatment changes."""
    expected = reference("heart.json")["heart"]
    ever = log_hazard_ratios(transplants("heart"), "nothing")["naive"]
    assert ever == pytest.approx(expected["naive_ever_transplant"]["coef"]["transplant"], abs=1e-8)
    adjusted = log_hazard_ratios(transplants("heart"), "time zero")
    assert adjusted["multivariable"] == pytest.approx(expected["naive_ever_adj"]["coef"]["transplant"], abs=1e-8)
    assert adjusted["time-dependent"] == pytest.approx(expected["td_heart_adj"]["coef"]["transplant1"], abs=1e-8)
