"""Mistakes that people make with weighted survival analyses, and how each is prevented or told.

They are those that users of comparable tools report in public threads and papers. ``ELSEWHERE`` lists those that other
tests hold already; the rest is tested here:

==  =============================================================  ====================================
 1  Naive standard errors after weighting: weights as copies       here
 2  A log-rank test that takes weights for numbers of patients     here
 3  The variance of a known score assumed conservative             elsewhere
 4  The propensity score fitted once, outside the bootstrap        elsewhere
 5  Clones, or patients drawn twice, taken for independent ones    elsewhere
 6  "Ever treated" as a baseline; immortal time                    elsewhere, and here
 7  Mediators and other effects of treatment adjusted for          here
 8  "Nothing needed", "no set exists" and "wrong set" look alike   elsewhere
 9  A graph that is read by halves                                 here
10  Event codes flipped, or 1 and 2                                elsewhere
11  Rows with missing values dropped unseen                        elsewhere
12  Scores or standard errors averaged over imputations            elsewhere
13  A balance threshold read as a p-value                          elsewhere
14  Differences standardised by different denominators             elsewhere
15  Weighted numbers shown as patients at risk                     here
16  Trimming hidden, not refitted, the target changed              elsewhere, and here
17  Near-separation accepted                                       elsewhere
18  The estimand not stated                                        elsewhere
19  A restricted mean without its horizon, or past follow-up       elsewhere, and here
20  Records from before eligibility, or from the future, used      elsewhere
21  E-values: cut-offs, both limits, common outcomes as rare       elsewhere, and here
22  A treatment of several levels taken for a number               here
23  Weights of everybody used within a subgroup                    here
24  No seed                                                        elsewhere, and here
25  An expansion that outgrows the memory                          here
26  An option that is ignored                                      elsewhere
==  =============================================================  ====================================
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_cohorts import small_cohort, small_frame
from small_study import DAG, STARTING, STUDY, cohort, with_starts, write_study

import causal_s4 as s4
from causal_s4.cli import main
from causal_s4.errors import BeyondFollowUpError, CausalS4Error, DataError, ImmortalTimeError, UsageError

TESTS = Path(__file__).parents[1]
ELSEWHERE = {
    3: ["sensitivity/test_loss_weighting.py::test_intervals_keep_the_part_of_the_propensity_score"],
    4: [
        "inference/test_bootstrap.py::test_standard_errors_equal_those_of_a_bootstrap_in_r",
        "inference/test_bootstrap.py::test_given_weights_stay_and_say_so",
    ],
    5: [
        "inference/test_clone_bootstrap.py::test_jackknife_leaves_out_both_clones",
        "kernels/test_firth.py::test_counts_are_copies_of_rows",
    ],
    6: ["test_malformed_inputs.py::test_a_malformed_study_is_refused_and_the_earlier_result_kept"],
    8: ["test_cli.py::test_dag_never_confuses_its_verdicts"],
    10: [
        "cohort/test_cohort_validation.py::test_event_value_not_stated",
        "cohort/test_cohort_validation.py::test_more_than_one_code_left_for_censoring",
        "cohort/test_cohort_validation.py::test_codes_that_may_mean_censoring_are_doubted",
    ],
    11: [
        "cohort/test_cohort_validation.py::test_missing_covariates_are_refused_with_counts",
        "test_study.py::test_eligibility_and_missing_values_are_counted_in_the_flow",
    ],
    12: ["test_probe_missing_data.py::test_a_study_pools_effects_made_within_each_data_set"],
    13: ["report/test_report_tables.py::test_table_1_has_no_p_values_and_names_its_denominator"],
    14: ["test_against_r/test_r_balance.py::test_denominator_and_effective_sample_sizes"],
    16: ["test_against_r/test_r_other_packages.py::test_trimming_refits_the_score"],
    17: ["test_study.py::test_separation_names_the_covariate_and_the_patients"],
    18: [
        "test_contract.py::test_there_is_no_default_population",
        "report/test_word.py::test_every_estimate_has_its_estimand_horizon_and_unit",
    ],
    19: ["survival/test_effects.py::test_a_horizon_beyond_the_shorter_arm_is_refused"],
    20: ["cohort/test_changing_covariates.py::test_rows_at_the_last_day_are_no_future"],
    21: [
        "sensitivity/test_e_value.py::test_equals_evalue_package",
        "sensitivity/test_e_value.py::test_common_is_the_default_for_a_hazard_ratio",
    ],
    24: ["inference/test_bootstrap.py::test_jobs_blocks_and_company_change_no_bit"],
    26: ["protocol/test_protocol_refusals.py::test_each_key_of_the_contract_that_would_have_no_effect_is_refused"],
}
"""The mistakes that other tests hold, by their number above."""


@pytest.mark.parametrize("place", sorted({each for places in ELSEWHERE.values() for each in places}))
def test_what_is_tested_elsewhere_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    assert re.search(rf"^def {name}\(", (TESTS / file).read_text("utf-8"), re.MULTILINE)


def refused(study: Path, command: str = "check") -> str:
    result = CliRunner().invoke(main, [command, str(study)])
    assert result.exit_code in (2, 3), result.output
    return result.stderr


@pytest.fixture(scope="module")
def small() -> s4.Cohort:
    return small_cohort(small_frame(3))


# --- 1, 2: weights are no copies ----------------------------------------------------------------


def test_1_2_weights_ten_times_as_large_make_nobody_more_certain(small: s4.Cohort) -> None:
    # Had weights counted as patients, standard errors would shrink by the root of ten, and the test's chi-square grow
    # tenfold.
    one = s4.weigh(small, population="ATE").values
    effects = [s4.estimate_effects(small, s4.Weights.given(k * one), horizons=[24.0]) for k in (1, 10)]
    for small_weights, large_weights in zip(*(table.estimates for table in effects), strict=True):
        if small_weights.std_error is not None:
            assert large_weights.value == pytest.approx(small_weights.value, rel=1e-8)
            assert large_weights.std_error == pytest.approx(small_weights.std_error, rel=1e-6)
        if small_weights.p_value is not None:
            assert large_weights.p_value == pytest.approx(small_weights.p_value, rel=1e-6)


@pytest.mark.parametrize("variance", ["naive", "model", "none", "robust"])
def test_1_no_naive_standard_error_can_be_asked_for(small: s4.Cohort, variance: str) -> None:
    with pytest.raises(UsageError, match="influence"):
        s4.estimate_effects(small, s4.weigh(small, population="ATE"), variance=variance)


# --- 6, 7: what happens after time zero ---------------------------------------------------------


def test_6_immortal_time_is_refused_with_its_size_and_the_ways_out(tmp_path: Path) -> None:
    study = s4.Study.read(write_study(tmp_path, study=STARTING, frame=with_starts()))
    with pytest.raises(ImmortalTimeError) as error:
        study.run()
    said = str(error.value)
    assert "105 of 105 treated patients were treated later" in said
    for way in ("landmark", "clone-censor-weight", "time-dependent"):
        assert way in said


@pytest.mark.parametrize("effect", ["radiotherapy", "death"])
def test_7_an_effect_of_treatment_is_no_confounder(tmp_path: Path, effect: str) -> None:
    graph = DAG.replace("surgery -> death", "surgery -> radiotherapy -> death\nsurgery -> death")
    study = STUDY.replace('"small.dag"', f'"small.dag"\nadjust_for = ["age", "sites", "pr_status", "{effect}"]')
    said = refused(write_study(tmp_path, study=study, dag=graph))
    assert effect in said
    assert re.search(r"descendant|caused by|effect of|lies on|the outcome itself", said), said


def test_7_a_mediator_is_never_chosen(tmp_path: Path) -> None:
    graph = DAG.replace("surgery -> death", "surgery -> radiotherapy -> death\nsurgery -> death")
    found = s4.Study.read(write_study(tmp_path, dag=graph)).check()
    assert found.adjustment.nodes == ("age", "pr_status", "sites")


# --- 9: graphs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arrows"),
    [
        ("dag { x <- a -> y }", {("a", "->", "x"), ("a", "->", "y")}),
        ("dag { a <-> x; x -> y }", {("a", "<->", "x"), ("x", "->", "y")}),
        ("dag { a -> {b c} }", {("a", "->", "b"), ("a", "->", "c")}),
        ("dag { y <- x }", {("x", "->", "y")}),
    ],
)
def test_9_no_arrow_is_lost(text: str, arrows: set[tuple[str, str, str]]) -> None:
    assert set(s4.Dag.parse(text).arrows) == arrows


def test_9_what_is_latent_is_not_adjusted_for_though_a_column_has_its_name(tmp_path: Path) -> None:
    graph = s4.Dag.parse("dag { x [exposure] y [outcome] a [latent] a -> x; a -> y; x -> y }")
    assert graph.adjustment_sets() == []
    said = refused(write_study(tmp_path, dag=DAG.replace("death [outcome]", "death [outcome]\nage [latent]")))
    assert "not identified" in said


# --- 15, 16: numbers of patients ----------------------------------------------------------------


def test_15_numbers_at_risk_are_of_patients_whatever_the_weights(small: s4.Cohort) -> None:
    weighted = s4.survival_curves(small, s4.Weights.given(np.full(len(small), 7.3)))
    for arm, curve in weighted.items():
        members = int((np.asarray(small.treatment) == (arm == "treated")).sum())
        assert curve.at_risk[0] == members
        assert all(float(count).is_integer() and count <= members for count in curve.at_risk)


def test_16_trimming_is_counted_described_and_changes_the_name_of_the_population(small: s4.Cohort) -> None:
    weights = s4.weigh(small, population="ATE", trim=0.3)
    assert weights.trimmed == int((np.asarray(weights.values) == 0).sum()) > 0
    assert weights.population != "ATE"
    (said,) = [
        each.message
        for each in weights.findings
        if each.numbers.get("trimmed") == weights.trimmed or "left out" in each.message
    ]
    assert f"{weights.trimmed} of {len(small)} patients" in said
    assert "the score was refitted" in said
    assert "not the ATE of everybody" in said


# --- 19, 21: what a number means ----------------------------------------------------------------


def test_19_every_restricted_mean_says_until_when(small: s4.Cohort) -> None:
    effects = s4.estimate_effects(small, s4.weigh(small, population="ATO"), horizons=[24.0])
    means = [each for each in effects if each.measure.startswith("rmst")]
    assert means
    assert all(each.horizon == 24.0 for each in means)
    with pytest.raises(BeyondFollowUpError):
        s4.estimate_effects(small, horizons=[600.0])


def test_21_an_interval_that_covers_no_effect_has_a_bound_of_one_and_there_is_one_bound() -> None:
    # VanderWeele & Ding 2017 (10.7326/M16-2607): where the interval covers the null, its E-value is 1.
    assert s4.evalue(hazard_ratio=0.8, lower=0.6, upper=1.1).bound == 1
    beneficial = s4.evalue(hazard_ratio=0.8, lower=0.6, upper=0.9)
    assert beneficial.bound == pytest.approx(s4.evalue(hazard_ratio=0.9).value)


@pytest.mark.parametrize("word", ["robust", "convincing", "strong evidence", "large enough", "significant"])
def test_21_no_verdict_is_passed_on_an_e_value(word: str) -> None:
    result = CliRunner().invoke(main, ["evalue", "0.4", "0.3", "0.5"])
    assert result.exit_code == 0
    assert word not in result.stdout.lower()


# --- 22, 23: treatments and subgroups -----------------------------------------------------------


def test_22_a_treatment_of_several_values_is_never_a_number(tmp_path: Path) -> None:
    frame = cohort()
    frame.loc[:20, "surgery"] = 2
    said = refused(write_study(tmp_path, frame=frame))
    assert "21 patients with a value other than the two declared: 2 (21)" in said


def test_23_weights_are_fitted_anew_within_a_subgroup(tmp_path: Path) -> None:
    # Overlap weights balance the means of the model's covariates exactly in the patients they were fitted to, and in
    # no others (Li, Morgan & Zaslavsky 2018, 10.1080/01621459.2016.1260466).
    study = STUDY + "[eligibility]\nage = { below = 62 }\n"
    found = s4.Study.read(write_study(tmp_path, study=study)).check()
    assert found.cohort.n < 240
    assert found.balance is not None
    assert max(abs(row.smd_after) for row in found.balance.rows) < 1e-6
    everybody = s4.Study.read(write_study(tmp_path / "all")).check()
    assert everybody.weights is not None
    assert found.weights is not None
    assert found.weights.max != everybody.weights.max


# --- 24, 25: the machine ------------------------------------------------------------------------


def test_24_a_bootstrap_needs_a_seed_and_writes_it_down(small: s4.Cohort) -> None:
    protocol = s4.Protocol.parse(STUDY.replace("seed = 7\n", ""))
    assert "seed = 1\n" in protocol.to_toml()
    weights = s4.weigh(small, population="ATO")
    first, second = (
        s4.estimate_effects(small, weights, variance="bootstrap", replicates=20, seed=5).to_frame() for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, second)


def timed() -> s4.Cohort:
    return s4.Cohort.from_frame(
        with_starts(), id="id", treatment="surgery", treated=1, control=0, time="os_months", event="death",
        event_value=1, time_unit="months", covariates=["age"], treatment_start="start",
    )  # fmt: skip


@pytest.mark.parametrize("interval", [1e-3, 1e-6, 1e-12])
def test_25_an_interval_that_would_outgrow_the_memory_is_refused_or_does_not_matter(interval: float) -> None:
    began, rows = time.process_time(), 0
    try:
        rows = len(s4.clone_censor(timed(), grace_period=6, interval=interval).start)
    except CausalS4Error as error:
        said = str(error)
    else:
        said = "interval"
    assert "interval" in said
    assert rows < 1_000_000
    assert time.process_time() - began < 10


def test_25_a_text_with_a_value_of_its_own_for_each_patient_is_no_covariate(tmp_path: Path) -> None:
    frame = cohort().assign(pr_status=lambda table: [f"note {k}" for k in range(len(table))])
    with pytest.raises(DataError, match="240 different texts among 240 patients"):
        s4.Study.read(write_study(tmp_path, frame=frame)).check()
