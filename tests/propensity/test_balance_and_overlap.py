"""What balance and positivity tables say, on tables small enough to check by hand."""

import numpy as np
import pandas as pd
import pytest
from small_cohorts import small_cohort, small_frame

from causal_s4.propensity.balance import balance_findings, check_balance
from causal_s4.propensity.positivity import check_positivity, positivity_findings
from causal_s4.propensity.weights import weigh
from causal_s4.results import Weights


def hand_made(**columns):
    frame = pd.DataFrame(
        {"id": range(8), "arm": ["yes"] * 4 + ["no"] * 4, "months": range(1, 9), "event": [1, 0] * 4, **columns}
    )
    return small_cohort(frame, covariates=tuple(columns))


def test_means_and_differences_by_hand():
    cohort = hand_made(x=[1.0, 2, 3, 4, 3, 4, 5, 8], b=[1, 1, 1, 0, 1, 0, 0, 0])
    row_x, row_b = check_balance(cohort, Weights.given([1, 1, 1, 1, 3, 1, 1, 1], population="ATT")).rows
    assert (row_x.mean_treated_before, row_x.mean_control_before) == (2.5, 5.0)
    assert row_x.mean_control_after == pytest.approx((9 + 4 + 5 + 8) / 6)
    spread = np.std([1, 2, 3, 4], ddof=1)  # of the treated
    assert row_x.smd_before == pytest.approx(-2.5 / spread)
    assert row_x.smd_after == pytest.approx((2.5 - 26 / 6) / spread)
    assert row_b.smd_before == pytest.approx((0.75 - 0.25) / np.sqrt(0.75 * 0.25))
    assert (row_b.count_treated, row_b.count_control, row_b.kind) == (3, 1, "binary")
    assert row_b.ks_after == pytest.approx(abs(0.75 - 3 / 6))


def test_one_term_a_level_for_three_levels_and_one_for_two():
    cohort = hand_made(g=["a", "b", "c", "a", "b", "c", "a", "b"], s=["f", "m"] * 4)
    assert [(row.term, row.kind, row.level) for row in check_balance(cohort).rows] == [
        ("g=a", "level", "a"), ("g=b", "level", "b"), ("g=c", "level", "c"), ("s=m", "binary", "m"),
    ]  # fmt: skip


def test_a_covariate_that_one_arm_does_not_vary_in():
    """No spread in the treated: the whole sample's is used, and the difference is a number."""
    cohort = hand_made(b=[1, 1, 1, 1, 1, 0, 0, 0])
    (row,) = check_balance(cohort, Weights.given(np.ones(8), population="ATT")).rows
    assert row.smd_before == pytest.approx(0.75 / np.sqrt(5 / 8 * 3 / 8))


def test_what_stays_imbalanced_is_named_worst_first():
    cohort = small_cohort(small_frame(1, 300))
    assert balance_findings(check_balance(cohort, weigh(cohort, population="ATO"))) == ()
    (finding,) = balance_findings(check_balance(cohort))
    assert finding.code == "imbalance-after-weighting"
    assert finding.numbers["terms"][0] == check_balance(cohort).worst.term
    assert finding.numbers["largest"] > 0.25
    assert finding.severity == "serious"


def test_cells_that_an_arm_does_not_reach_are_named():
    frame = small_frame(2, 400)
    frame.loc[(frame["g"] == "high") & (frame["b"] == 1), "arm"] = "no"
    cohort = small_cohort(frame)
    found = check_positivity(cohort, weigh(cohort, population="ATO"))
    cell = found.empty_cells[0]
    assert cell.description == "b 1 and g high"
    assert (cell.n, cell.treated) == (cell.control, 0)
    assert cell.n == ((frame["g"] == "high") & (frame["b"] == 1)).sum()
    assert found.sentences[0].startswith(f"None of the {cell.n} patients with b 1 and g high")
    everybody, overlap = (positivity_findings(found, population)[0] for population in ("ATE", "ATO"))
    assert (everybody.severity, overlap.severity) == ("serious", "caution")


def test_overlap_of_arms_that_are_alike_and_of_arms_that_are_not():
    frame = small_frame(3, 600)
    shuffled = frame.assign(arm=np.random.default_rng(0).permutation(frame["arm"]))
    apart = frame.assign(x=frame["x"] + 2.0 * (frame["arm"] == "yes"))
    alike, different = (
        check_positivity(cohort, weigh(cohort, population="ATO"))
        for cohort in (small_cohort(shuffled), small_cohort(apart))
    )
    assert alike.overlap_coefficient > 0.8
    assert different.overlap_coefficient < 0.3
    assert "poor-overlap" in {finding.code for finding in positivity_findings(different, "ATO")}
    assert alike.tails["below 0.05"] == {"treated": 0, "control": 0}
    assert different.tails["above 0.95"]["treated"] > 0.2
    for arm in ("treated", "control"):
        assert list(alike.quantiles[arm]) == sorted(alike.quantiles[arm])


def test_without_a_propensity_score_only_cells_are_looked_at():
    cohort = small_cohort(small_frame(4, 200))
    found = check_positivity(cohort, weigh(cohort, population="ATE", method="entropy-balancing"))
    assert (found.overlap_coefficient, found.quantiles, found.tails) == (None, {}, {})
