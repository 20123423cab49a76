"""Counts of clones add up, weights are described, and balance over time tells whether response was accounted for."""

import numpy as np
import pytest
from registries import USUAL, registry

from causal_s4.emulation.clone_censor import clone_censor, clone_unweighted, initiation_table
from causal_s4.emulation.clone_flow import (
    balance_over_time,
    clone_flow,
    clone_weight_summary,
    timed_balance_findings,
)
from causal_s4.emulation.weight_checks import variance_finding
from causal_s4.errors import UsageError

GRACE = 9.0


@pytest.fixture(scope="module")
def cohort():
    return registry(1_200, 31)


@pytest.fixture(scope="module")
def weighted(cohort):
    return clone_censor(cohort, grace_period=GRACE, time_varying=["response"], timing_density=USUAL)


@pytest.fixture(scope="module")
def blind(cohort):
    """The same without response."""
    return clone_censor(cohort, grace_period=GRACE, timing_density=USUAL)


def test_every_clone_is_somewhere(cohort, weighted):
    flow = clone_flow(weighted, cohort)
    assert len(flow.rows) == 2 * (13 + 11)
    for row in flow.rows:
        assert row.followed + row.deviated + row.events + row.lost == flow.n == len(cohort)
        assert row.adherent <= row.followed


def test_counts_are_those_of_the_cohort(cohort, weighted):
    time, event = cohort.outcomes[0].time, cohort.outcomes[0].event
    start = cohort.treatment_start
    flow = clone_flow(weighted, cohort, times=[4.0, 9.0, 30.0])
    found = {(row.time, row.arm): row for row in flow.rows}
    early = found[4.0, "control"]
    assert early.deviated == (start <= 4).sum()
    assert early.followed == ((time > 4) & (start > 4)).sum()
    assert early.events == ((time <= 4) & (event == 1) & (start > time)).sum()
    end = found[9.0, "treated"]
    assert end.deviated == ((time > 9) & (start > 9)).sum()
    assert end.followed == end.adherent == ((time > 9) & (start <= 9)).sum()
    late = found[30.0, "treated"]
    assert late.events == ((time <= 30) & (event == 1) & ((start <= 9) | (time <= 9))).sum()
    assert found[30.0, "control"].adherent == ((time > 30) & (start > 9)).sum()


def test_rows_at_risk_are_the_clones_followed(cohort):
    """Without weights no row is left out, so the table itself says who is followed."""
    table = clone_unweighted(cohort, grace_period=GRACE)
    for row in clone_flow(table, cohort, times=[0.0, 3.3, 9.0, 20.0]).rows:
        arm = 1 if row.arm == "treated" else 0
        present = (table.arm == arm) & (table.start <= row.time) & (table.stop > row.time)
        assert row.followed == present.sum() == row.ess


def test_weights_of_those_followed(cohort, weighted):
    flow = clone_flow(weighted, cohort, times=[GRACE]).to_frame()
    treated = flow[flow["arm"] == "treated"].iloc[0]
    rows = (weighted.arm == 1) & (weighted.start <= GRACE) & (weighted.stop > GRACE)
    values = weighted.weights.values[rows]
    assert treated["weight_100"] == values.max()
    assert treated["weight_50"] == np.median(values)
    assert treated["ess"] == pytest.approx(values.sum() ** 2 / (values**2).sum())
    assert treated["largest_share"] == pytest.approx(values.max() / values.sum())
    assert treated["mean_weight"] == pytest.approx(values.sum() / (cohort.outcomes[0].time > GRACE).sum())


def test_summary_speaks_of_the_end_of_the_grace_period(cohort, weighted):
    summary = clone_weight_summary(weighted)
    flow = {row.arm: row for row in clone_flow(weighted, cohort, times=[GRACE]).rows}
    assert summary.ess_treated == flow["treated"].ess
    assert summary.ess_control == flow["control"].ess
    assert summary.population == "ATE"
    with pytest.raises(UsageError, match="with weights"):
        clone_weight_summary(clone_unweighted(cohort, grace_period=GRACE))


def test_response_is_balanced_only_where_the_weights_know_it(cohort, weighted, blind):
    with_response = balance_over_time(weighted, cohort, time_varying=["response"])
    without = balance_over_time(blind, cohort, time_varying=["response"])
    assert {row.comparison for row in with_response.rows} == {
        "treated clones against everyone",
        "control clones against everyone",
        "treated against control",
    }
    assert abs(with_response.worst.smd_after) < 0.25
    assert abs(without.worst.smd_after) > 0.5
    assert without.worst.term.startswith("response")
    (finding,) = timed_balance_findings(without)
    assert finding.severity == "serious"
    assert "response=response" in finding.numbers["terms"]


def test_baseline_balance_by_hand(cohort, weighted):
    """Mean age of treated clones at six months against everyone alive then, over the pooled standard deviation."""
    balance = balance_over_time(weighted, cohort, times=[6.0])
    (row,) = [r for r in balance.rows if r.term == "age" and r.comparison.startswith("treated clones")]
    age = cohort.covariates["age"].to_numpy()
    present = (weighted.arm == 1) & (weighted.start <= 6) & (weighted.stop > 6)
    own, weights = age[weighted.patient[present]], weighted.weights.values[present]
    everyone = age[cohort.outcomes[0].time > 6]
    scale = np.sqrt((own.var(ddof=1) + everyone.var(ddof=1)) / 2)
    assert row.smd_before == pytest.approx((own.mean() - everyone.mean()) / scale, abs=1e-9)
    assert row.smd_after == pytest.approx((np.average(own, weights=weights) - everyone.mean()) / scale, abs=1e-9)
    assert len(balance.to_frame()) == len(balance.rows)


def test_balance_is_judged_within_the_grace_period(cohort, weighted):
    with pytest.raises(UsageError, match="within the grace period"):
        balance_over_time(weighted, cohort, times=[12.0])


def test_other_tables_have_no_flow(cohort):
    with pytest.raises(UsageError, match="cloned strategies"):
        clone_flow(cohort.risk_table(), cohort)


def test_model_of_starting_treatment_finds_what_drives_it(cohort, weighted):
    """The world's rate ratios (METHODS 10.3): response against stable e^1.6, ecog e^-0.5, burden e^-0.45."""
    found = {row.term: row for row in initiation_table(weighted).rows}
    assert found["burden"].lower < np.exp(-0.45) < found["burden"].upper
    assert found["ecog"].lower < np.exp(-0.5) < found["ecog"].upper
    ratio = found["response=response"].hazard_ratio / found["response=stable"].hazard_ratio
    assert np.log(ratio) == pytest.approx(1.6, abs=0.35)
    assert initiation_table(weighted).events == (cohort.treatment_start <= GRACE).sum()


def test_which_intervals_are_shown_is_said(weighted):
    finding = variance_finding(weighted)
    assert finding.numbers["variance"] == "fixed"
    assert "take the weights as known" in finding.message


def test_a_short_grace_period_is_flagged():
    """Few are operated within two months, and those few would have to stand for all."""
    table = clone_censor(registry(400, 32), grace_period=2.0, time_varying=["response"])
    (finding,) = [each for each in table.weights.findings if each.code == "few-effective-clones"]
    assert finding.severity == "serious"
    assert finding.numbers["ess_treated"] < 50
