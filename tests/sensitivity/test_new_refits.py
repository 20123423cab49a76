"""Analyses that make an estimate again: against direct estimation, closed forms, other software and known truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter

from causal_s4.cohort import Cohort, RiskTable
from causal_s4.errors import UsageError
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.probe.asking import estimator, table_estimator, weigh_by
from causal_s4.propensity.weights import weigh
from causal_s4.protocol.protocol import Protocol
from causal_s4.results import Benchmark, EffectEstimate
from causal_s4.sensitivity.arm_models import StratifiedCox, bounded_population, marginal_bounds
from causal_s4.sensitivity.follow_up import _draw_after, early_deaths_excluded, informative_censoring, loss_bounds, lost
from causal_s4.sensitivity.leave_one_out import ALL_TOGETHER, leave_one_out
from causal_s4.sensitivity.measured_strength import measured_strengths
from causal_s4.sensitivity.misclassification import misclassification
from causal_s4.sensitivity.negative_control import early_events, negative_exposures, negative_outcomes
from causal_s4.sensitivity.pair_matching import greedy_pairs, matched_bounds
from causal_s4.sensitivity.question import Answer, Question, Recipe, TableEstimator, pooled
from causal_s4.sensitivity.refuters import refute
from causal_s4.sensitivity.specification_curve import (
    Axes,
    Cell,
    Pruned,
    covariate_sets,
    missing_as_category,
    specification_curve,
    weighted_cells,
)
from causal_s4.sensitivity.trial_benchmark import hold_against, rct_benchmark
from causal_s4.sensitivity.weighting_grids import estimand_switch, trimming_grid, truncation_grid

PROTOCOL = """
seed = 5
[data]
file = "x.csv"
time_unit = "months"
[dag]
file = "x.dag"
[treatment]
column = "a"
treated = 1
control = 0
[[outcome]]
name = "death"
time = "time"
event = "event"
event_value = 1
[estimand]
population = "ATE"
"""


def frame(n: int = 500, seed: int = 1, *, effect: float = 0.0) -> pd.DataFrame:
    """Patients whose burden (yes or no) and age drive treatment and death; the log hazard ratio is ``effect``."""
    generator = np.random.default_rng(seed)
    age, burden = generator.normal(size=n), (generator.random(n) < 0.4).astype(int)
    chance = 1 / (1 + np.exp(-(0.3 - 0.5 * age - 1.2 * burden)))
    a = (generator.random(n) < chance).astype(int)
    death = generator.exponential(1 / (0.04 * np.exp(effect * a + 0.4 * age + 0.9 * burden)))
    censored = generator.uniform(5, 90, n)
    return pd.DataFrame(
        {
            "a": a,
            "age": age,
            "burden": burden,
            "time": np.round(np.minimum(death, censored), 6) + 1e-4,
            "event": (death <= censored).astype(int),
        }
    )


def ask(data: pd.DataFrame, *, population: str = "ATE", covariates: tuple[str, ...] = ("age", "burden")) -> Question:
    """Return the question of a cohort, answered."""
    cohort = Cohort.from_frame(
        data,
        treatment="a",
        treated=1,
        control=0,
        time="time",
        event="event",
        event_value=1,
        time_unit="months",
        covariates=covariates,
        name="death",
    )
    recipe = Recipe(population=population)
    estimate = estimator(Protocol.parse(PROTOCOL))
    return Question(
        cohort=cohort,
        outcome="death",
        horizon=24.0,
        recipe=recipe,
        answered=estimate(cohort, "death", weigh_by(cohort, recipe), 24.0),
        weigh=weigh_by,
        estimate=estimate,
        seed=5,
    )


@pytest.fixture(scope="module")
def question() -> Question:
    return ask(frame())


def rows(result: Any, key: str) -> dict[Any, dict[str, Any]]:
    return {row[key]: dict(row) for row in result.table}


def test_naive_ratios_of_what_is_lost_have_the_errors_of_greenwood_by_the_delta_method(question: Question) -> None:
    naive = question.estimate(question.cohort, "death", None, 24.0)
    data = question.data
    log_ratio, variance = 0.0, 0.0
    for arm, sign in ((1, 1), (0, -1)):
        members = question.cohort.treatment == arm
        curve = KaplanMeierFitter().fit(data.time[members], data.event[members])
        survival = float(curve.predict(24.0))
        deaths = curve.event_table.loc[:24.0]
        greenwood = survival**2 * (deaths.observed / (deaths.at_risk * (deaths.at_risk - deaths.observed))).sum()
        log_ratio += sign * np.log(1 - survival)
        variance += greenwood / (1 - survival) ** 2
    ratio = naive.effects["risk ratio"]
    assert ratio.theta == pytest.approx(log_ratio, abs=1e-9)
    assert ratio.std_error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_a_ratio_of_time_lost_is_what_its_two_means_say(question: Question) -> None:
    effects = question.answered.effects
    difference, ratio = effects["rmst difference"].theta, effects["rmst ratio"].theta
    control = difference / np.expm1(ratio)  # mu1 - mu0 and mu1/mu0 give both means
    assert effects["restricted mean time lost ratio"].value == pytest.approx(
        (24 - control - difference) / (24 - control), rel=1e-9
    )


def test_each_covariate_left_out_is_the_estimate_made_without_it(question: Question) -> None:
    result = leave_one_out(question, groups={"both": ("age", "burden")})
    found = rows(result, "covariate")
    weights = weigh(question.cohort, population="ATE", covariates=["age"])
    directly = question.estimate(question.cohort, "death", weights, 24.0).hazard_ratio
    assert found["burden"]["value"] == pytest.approx(directly.value, rel=1e-12)
    assert found["burden"]["lower"] == pytest.approx(directly.lower, rel=1e-12)
    naive = question.estimate(question.cohort, "death", None, 24.0).hazard_ratio
    assert found[ALL_TOGETHER]["value"] == pytest.approx(naive.value, rel=1e-12) == found["both"]["value"]
    # treated patients have less burden, so without it treatment looks better than it is
    assert found["burden"]["moved_by"] < 1 < found["burden"]["e_value"]
    assert result.parameters["strongest"] == "burden"
    assert f"{result.parameters['estimate_without']:.2f}" in result.parameters["sentence"]


def test_grids_of_the_weights_start_from_the_weights_as_they_are(question: Question) -> None:
    truncated, trimmed = truncation_grid(question), trimming_grid(question, bounds=[0.1, 0.3])
    for result in (truncated, trimmed):
        assert result.table[0]["value"] == pytest.approx(question.answered.hazard_ratio.value, rel=1e-12)
    assert truncated.table[0]["cut"] == 0 < truncated.table[-1]["cut"]
    by_bound = rows(trimmed, "trim")
    assert by_bound[0.3]["left_out"] > by_bound[0.1]["left_out"] > 0
    weights = weigh(question.cohort, population="ATE", trim=0.1)
    assert by_bound[0.1]["left_out"] == weights.trimmed


def test_a_row_that_cannot_be_had_says_why_and_leaves_the_others(question: Question) -> None:
    result = trimming_grid(question, bounds=[0.1, 0.499])
    impossible = rows(result, "trim")[0.499]
    assert impossible["value"] is None
    assert impossible["note"]
    assert rows(result, "trim")[0.1]["value"] is not None


def test_who_each_population_is_comes_from_its_weights(question: Question) -> None:
    switch, who = estimand_switch(question)
    described = rows(who, "covariate")
    burden = question.cohort.covariates["burden"]
    assert described["burden"]["everyone"] == pytest.approx(burden.mean())
    # the weighted treated look like all treated patients: so do both arms together, up to the fit of the model
    assert described["burden"]["ATT"] == pytest.approx(burden[question.cohort.treatment == 1].mean(), abs=0.02)
    ess = rows(switch, "population")
    assert ess["ATT"]["ess_treated"] == pytest.approx((question.cohort.treatment == 1).sum())


def test_early_deaths_excluded_is_the_estimate_of_those_who_stay(question: Question) -> None:
    found = rows(early_deaths_excluded(question, within=["3 months"]), "within")["3 months"]
    stays = question.data.time > 3.0
    smaller = question.cohort.take(stays)
    directly = question.estimate(smaller, "death", weigh(smaller, population="ATE"), 24.0)
    assert found["value"] == pytest.approx(directly.hazard_ratio.value, rel=1e-12)
    assert found["left_out_treated"] + found["left_out_control"] == int((~stays).sum())


def rows_of(question: Question) -> tuple[RiskTable, TableEstimator]:
    """Return the rows of fixed arms with their weights, and what estimates from rows."""
    table = replace(question.cohort.risk_table(), weights=question.answered.weights)
    return table, table_estimator(Protocol.parse(PROTOCOL))


def test_loss_bounds_are_weighted_shares(question: Question) -> None:
    result = loss_bounds(question, *rows_of(question))
    gone, weight, treated = lost(question), question.answered.weights.values, question.cohort.treatment == 1
    alive = question.data.time >= 24.0

    def share(members: np.ndarray, who: np.ndarray) -> float:
        return float((weight * who)[members].sum() / weight[members].sum())

    # nobody is censored before the horizon any more, so a curve is a weighted share
    least = share(treated, alive) - share(~treated, alive | gone)
    most = share(treated, alive | gone) - share(~treated, alive)
    assert (result.lower, result.upper) == pytest.approx((least, most), abs=1e-12)
    assert result.lower < result.value < result.upper
    assert result.parameters["lost_treated"] + result.parameters["lost_control"] == int(gone.sum())


def test_informative_censoring_runs_from_as_observed_to_the_bounds(question: Question) -> None:
    pairs = [(1.0, 1.0), (1e5, 1e-5), (1e-5, 1e5)]
    result = informative_censoring(question, *rows_of(question), multipliers=pairs, imputations=8)
    observed, same, worst, best = (row["survival_difference"] for row in result.table)
    bounds = loss_bounds(question, *rows_of(question))
    assert same == pytest.approx(observed, abs=0.02)
    assert worst == pytest.approx(bounds.lower, abs=0.01)
    assert best == pytest.approx(bounds.upper, abs=0.01)


def test_after_a_resample_without_events_nobody_has_one() -> None:
    curve = KaplanMeier.fit(RiskSets.of(None, np.array([3.0, 5.0]), np.array([False, False])), np.ones(2))
    time, event = _draw_after(curve, np.array([1.0, 2.0]), np.array([0.1, 0.9]), 1.0, 24.0)
    assert time.tolist() == [24.0, 24.0]
    assert not event.any()


def test_times_after_leaving_follow_the_curve_of_those_who_stayed() -> None:
    # S drops to 0.75, 0.5, 0.25, 0 at 1, 2, 3, 4: someone who left at 1.5 has S(t)/0.75 ahead of them
    curve = KaplanMeier.fit(RiskSets.of(None, np.arange(1.0, 5.0), np.ones(4, dtype=bool)), np.ones(4))
    left, chance = np.full(4, 1.5), np.array([0.9, 0.6, 0.3, 0.5])
    time, event = _draw_after(curve, left, chance, 1.0, 3.5)
    # 2/3 >= u > 1/3 has the event at 3, above 2/3 at 2, below 1/3 after the horizon
    assert time.tolist() == [2.0, 3.0, 3.5, 3.0]
    assert event.tolist() == [1, 1, 0, 1]
    # with half the hazard the survival ahead is the square root: sqrt(2/3) = 0.82, sqrt(1/3) = 0.58
    assert _draw_after(curve, left, chance, 0.5, 3.5)[0].tolist() == [2.0, 3.0, 3.5, 3.5]


def test_completed_data_sets_that_agree_are_pooled_to_what_they_are(question: Question) -> None:
    cells, once = pooled([question.answered] * 5, 0.95), question.answered.cells()
    assert {key: cells[key] for key in once} == pytest.approx(once)


def test_stratified_cox_agrees_with_lifelines() -> None:
    data = frame(300, 7)
    terms = data[["age", "burden"]].to_numpy(float)
    fit = StratifiedCox.fit(terms, data["a"].to_numpy(), data["time"].to_numpy(), data["event"].to_numpy() == 1)
    other = CoxPHFitter().fit(data, "time", "event", strata=["a"])
    assert fit.coefficient == pytest.approx(other.params_[["age", "burden"]].to_numpy(), abs=1e-5)
    for arm in (0, 1):
        # at event times: between them lifelines interpolates
        times = np.sort(data["time"][(data["event"] == 1) & (data["a"] == arm)].to_numpy())[[5, 40, 80]]
        patient = pd.DataFrame({"age": [0.5], "burden": [1], "a": [arm]})
        curve = other.predict_survival_function(patient, times=times).to_numpy()[:, 0]
        assert fit.survival(np.array([[0.5, 1.0]]), arm, times)[0] == pytest.approx(curve, abs=1e-4)


def test_without_hidden_bias_the_bounds_are_one_number_near_the_weighted_estimate() -> None:
    question = ask(frame(2000, 3, effect=-0.5))
    results = marginal_bounds(question, lambdas=(1.0, 2.0))
    survival = [each for each in results if each.target["measure"] == "survival difference"]
    none, double, tipping = survival
    weighted = question.answered.effects["survival difference"]
    assert none.lower == pytest.approx(none.upper, abs=1e-12)
    assert none.value == pytest.approx(weighted.value, abs=0.5 * weighted.std_error)
    assert double.lower < none.value < double.upper
    assert 1 < tipping.bound < tipping.value
    benchmark = results[-1]
    assert {row["covariate"] for row in benchmark.table} == {"age", "burden"}


def test_overlap_weights_are_given_the_bounds_of_the_treated() -> None:
    assert [bounded_population(each) for each in ("ATO", "ATM", "ATE", "ATC")] == ["ATT", "ATT", "ATE", "ATC"]


@pytest.mark.parametrize("seed", range(5))
def test_greedy_pairs_are_those_of_a_search_through_all_controls(seed: int) -> None:
    generator = np.random.default_rng(seed)
    score, treatment = generator.normal(size=120), (generator.random(120) < 0.4).astype(int)
    treated, control = greedy_pairs(score, treatment, 0.2)
    reach, free, expected = 0.2 * score.std(ddof=1), set(np.flatnonzero(treatment == 0)), []
    for patient in sorted(np.flatnonzero(treatment == 1), key=lambda i: -score[i]):
        nearest = min(free, key=lambda c: abs(score[c] - score[patient]), default=None)
        if nearest is not None and abs(score[nearest] - score[patient]) <= reach:
            expected.append((patient, nearest))
            free.remove(nearest)
    assert list(zip(treated, control, strict=True)) == expected


def test_matched_pairs_count_everybody(question: Question) -> None:
    sign, scores = matched_bounds(question)
    treated = int((question.cohort.treatment == 1).sum())
    assert sign.parameters["pairs"] + sign.parameters["treated_unmatched"] == treated
    assert scores.parameters["statistic"] == "prentice-wilcoxon"


def test_refuters_find_what_they_should() -> None:
    question = ask(frame(800, 11, effect=-0.7))
    placebo, noise, subset = refute(question, replicates=12)
    # twelve hazard ratios of a treatment that does nothing: their mean lies within three of its errors
    spread = np.log([row["value"] for row in placebo.table]).std(ddof=1) / np.sqrt(12)
    assert abs(np.log(placebo.value)) < 3 * spread
    estimate = question.answered.hazard_ratio.value
    assert estimate < 0.75
    assert noise.value == pytest.approx(estimate, rel=0.03)
    assert subset.lower < estimate < subset.upper
    again = refute(question, replicates=3)[2]
    assert [row["value"] for row in again.table] == [row["value"] for row in subset.table[:3]]


def test_a_misrecorded_confounder_is_put_right() -> None:
    truth = frame(4000, 21)
    generator = np.random.default_rng(9)
    kept = generator.random(len(truth)) < np.where(truth["burden"] == 1, 0.8, 0.9)
    recorded = truth.assign(burden=np.where(kept, truth["burden"], 1 - truth["burden"]))
    right = ask(truth).answered.hazard_ratio
    result = misclassification(
        ask(recorded), column="burden", sensitivity=0.8, specificity=0.9, patients=5000, imputations=10
    )
    as_recorded, corrected = result.table
    # burden confounds towards benefit; recorded with error it is adjusted for in part
    assert abs(np.log(corrected["value"]) - right.theta) < 0.4 * abs(np.log(as_recorded["value"]) - right.theta)
    assert corrected["lower"] < right.value < corrected["upper"]


def test_few_patients_whom_the_model_separates_are_no_reason_to_leave_draws_out() -> None:
    patients = frame(80, 3)
    # everybody with the burden was old: its model has no maximum without a prior
    patients["burden"] = (patients["age"] > 0.3).astype(int)
    patients["age"] = patients["age"].round(1)
    result = misclassification(ask(patients), column="burden", sensitivity=0.85, specificity=0.9, imputations=10)
    assert result.parameters["rejected"] == 0
    assert 0 < result.table[1]["lower"] < result.table[1]["value"] < result.table[1]["upper"]


def test_a_correction_needs_a_covariate_of_two_values(question: Question) -> None:
    with pytest.raises(UsageError, match="age has 500 values"):
        misclassification(question, column="age", sensitivity=0.9, specificity=0.9)
    with pytest.raises(UsageError, match="no covariate"):
        misclassification(question, column="size", sensitivity=0.9, specificity=0.9)
    with pytest.raises(UsageError) as caught:
        misclassification(question, column="burden", sensitivity=0.3, specificity=1.0)
    assert {problem.where for problem in caught.value.problems} == {"sensitivity", "specificity"}


def test_early_events_compare_the_arms_before_treatment_can_act(question: Question) -> None:
    result = early_events(question, within=["2 months", "4 months"])
    assert result is not None
    last = result.table[-1]
    early = (question.data.event == 1) & (question.data.time <= 4.0)
    assert last["events_treated"] + last["events_control"] == int(early.sum())
    directly = question.estimate(question.cohort, "death", None, 4.0).effects["survival difference"]
    assert last["naive"] == pytest.approx(directly.value)
    assert early_events(question, within=["1 days"]) is None


def test_a_control_outcome_that_is_the_outcome_calibrates_to_nothing(question: Question) -> None:
    result = negative_outcomes(question, [("death", question.cohort)], calibrate=True)
    row = result.table[0]
    assert row["value"] == pytest.approx(question.answered.hazard_ratio.value)
    assert [row["calibrated"], row["calibrated_lower"], row["calibrated_upper"]] == pytest.approx([1, 1, 1])


def cells_of(question: Question, **axes: Any) -> list[Cell | Pruned]:
    left_out = {name: (name,) for name in question.covariates}
    sets = list(covariate_sets({"none": question.cohort}, left_out))

    def answer(cohort: Cohort, recipe: Recipe) -> Answer:
        return question.answer(cohort, recipe)

    return list(weighted_cells(sets, question.recipe, answer, design="weighted", axes=Axes(**axes)))


def test_the_specification_curve_keeps_what_makes_sense(question: Question) -> None:
    curved = replace(question, recipe=replace(question.recipe, splines={"age": 3}))
    result = specification_curve(curved, cells_of(curved))
    cells = result.table
    assert [row["rank"] for row in cells] == list(range(1, len(cells) + 1))
    values = [row["value"] for row in cells if row["value"] is not None]
    assert values == sorted(values)
    assert not [row for row in cells if row["population"] in ("ATO", "ATM") and row["truncate"] != "none"]
    assert not [row for row in cells if row["method"] == "entropy-balancing" and row["population"] in ("ATO", "ATM")]
    # without age there is nothing to curve, so that set has half the cells
    assert len(
        {(r["population"], r["method"], r["truncate"]) for r in cells if r["covariates"] == "without age"}
    ) == len([r for r in cells if r["covariates"] == "without age"])
    admissible = [row for row in cells if row["admissible"]]
    assert admissible
    assert all(row["covariates"] == "all" for row in admissible)
    excluding = sum(not row["lower"] <= 1 <= row["upper"] for row in admissible)
    assert result.parameters["share_excluding_one"] == pytest.approx(excluding / len(admissible))


def test_what_is_pruned_is_counted_by_its_rule_and_what_is_not_counted_says_why(question: Question) -> None:
    cells = cells_of(question, trims=(None, 0.05))
    result = specification_curve(question, cells)
    pruned = result.parameters["pruned"]
    # by hand: 3 sets; of 4 populations x 2 methods x 2 truncations x 2 trims
    assert sum(pruned.values()) + result.parameters["cells"] == 3 * 4 * 2 * 2 * 2
    # overlap and matching: logistic, all but uncut and untrimmed; both remedies at once: ATE and ATT, logistic
    assert pruned["overlap and matching weights are bounded: there is nothing extreme to cut or to trim"] == 3 * 2 * 3
    assert pruned["weights are cut or patients are trimmed, one remedy at a time"] == 3 * 2
    left_out = [row for row in result.table if row["covariates"] != "all"]
    assert left_out
    assert all("adjustment set" in row["note"] for row in left_out)


def test_a_primary_cell_is_the_primary_estimate(question: Question) -> None:
    result = specification_curve(question, cells_of(question))
    (same,) = [
        row
        for row in result.table
        if (row["population"], row["method"], row["covariates"], row["truncate"]) == ("ATE", "logistic", "all", "none")
    ]
    # the study's own weights are not stabilised, those of the curve are: the survival difference is the same
    own = question.answered.effects["survival difference"]
    assert [same["survival_difference"], same["survival_difference_lower"]] == pytest.approx([own.value, own.lower])


def test_missing_values_become_a_level_or_the_median_with_a_mark() -> None:
    data = frame(60)
    data["stage"] = np.where(data["burden"] == 1, "II", "I")
    data.loc[:4, "age"] = np.nan
    data.loc[5:9, "stage"] = None
    cohort = Cohort.from_frame(
        data,
        treatment="a",
        treated=1,
        control=0,
        time="time",
        event="event",
        event_value=1,
        time_unit="months",
        covariates=("age", "stage"),
        missing="impute",
    )
    filled = missing_as_category(cohort).covariates
    assert not filled.isna().any(axis=None)
    assert (filled["age"][:5] == data["age"].median()).all()
    assert filled["age missing"].to_numpy().tolist() == [1.0] * 5 + [0.0] * 55
    assert (filled["stage"][5:10] == "missing").all()


def test_measured_covariates_have_the_strengths_of_their_tables(question: Question) -> None:
    found = rows(measured_strengths(question), "covariate")["burden"]
    data = question.data
    treated, burden = question.cohort.treatment == 1, question.cohort.covariates["burden"].to_numpy() == 1
    shares = burden[treated].mean(), burden[~treated].mean()
    assert found["rr_eu"] == pytest.approx(max(shares[1] / shares[0], (1 - shares[0]) / (1 - shares[1])))
    risks = {
        (arm, side): 1 - float(KaplanMeierFitter().fit(data.time[mask], data.event[mask]).predict(24.0))
        for arm in (True, False)
        for side in (True, False)
        for mask in [(treated == arm) & (burden == side)]
    }
    assert found["rr_ud"] == pytest.approx(max(risks[arm, True] / risks[arm, False] for arm in (True, False)))


def hidden(n: int, seed: int) -> tuple[pd.DataFrame, float]:
    """Return a cohort whose unmeasured confounder makes a treatment without effect look good, and the true lambda."""
    generator = np.random.default_rng(seed)
    age, u = generator.normal(size=n), (generator.random(n) < 0.5).astype(int)
    # given age the odds of treatment are 2.2 times the modelled ones for one half, 1/2.2 times for the other
    chance = np.where(u == 1, 2.2 / 3.2, 1 / 3.2)
    a = (generator.random(n) < chance).astype(int)
    death = generator.exponential(1 / (0.05 * np.exp(0.3 * age - 3.5 * u)))
    censored = generator.uniform(26, 60, n)
    frame = {"a": a, "age": age, "time": np.minimum(death, censored) + 1e-3, "event": (death <= censored).astype(int)}
    return pd.DataFrame(frame), 2.2


def test_bounds_hold_the_truth_at_the_true_lambda_and_not_at_half_the_strength() -> None:
    data, strength = hidden(3000, 31)
    question = ask(data, covariates=("age",))
    full, half = marginal_bounds(question, lambdas=(strength, np.sqrt(strength)))[:2]
    assert question.answered.effects["survival difference"].lower > 0.1
    assert full.lower - 0.02 <= 0 <= full.upper
    assert half.lower > 0.05


def estimate(**changes: Any) -> EffectEstimate:
    fields: dict[str, Any] = {
        "outcome": "death",
        "analysis": "weighted",
        "population": "ATE",
        "measure": "hazard ratio",
        "arm": None,
        "horizon": None,
        "unit": "ratio",
        "value": 0.65,
        "std_error": 0.1,
        "lower": 0.534,
        "upper": 0.791,
        "level": 0.95,
        "variance": "influence",
        "p_value": None,
        "n": 100,
        "events": 50,
        "ess": 90.0,
    }
    return EffectEstimate(**{**fields, **changes})


def test_a_trial_with_a_90_percent_interval_is_read_at_its_own_level() -> None:
    # E2108: 1.11, 90 % interval 0.82 to 1.52; se = (ln 1.52 - ln 0.82)/(2 x 1.644854)
    trial = Benchmark(
        name="E2108", outcome="death", measure="hazard ratio", value=1.11, lower=0.82, upper=1.52, level=0.90, source=""
    )
    row = hold_against(estimate(), trial)
    error = np.hypot(0.1, np.log(1.52 / 0.82) / (2 * 1.644854))
    assert row["z"] == pytest.approx(np.log(0.65 / 1.11) / error, rel=1e-6)
    assert not row["estimate_agrees"]
    assert not row["difference_agrees"]
    assert not row["conclusion_agrees"]
    assert row["bias_factor"] == pytest.approx(0.65 / 1.11)


def test_benchmarks_of_other_outcomes_are_left_alone() -> None:
    trial = Benchmark(
        name="t", outcome="other", measure="hazard ratio", value=1.0, lower=0.8, upper=1.25, level=0.95, source=""
    )
    assert rct_benchmark([estimate()], [trial]) == ()
    (result,) = rct_benchmark([estimate(analysis="naive"), estimate()], [replace(trial, outcome="death")])
    assert len(result.table) == 2
    assert result.value == pytest.approx(result.table[1]["z"])


def test_an_exposure_that_does_nothing_has_no_effect_and_the_treatment_itself_calibrates_to_nothing() -> None:
    data, generator = frame(3000, seed=2, effect=-0.7), np.random.default_rng(6)
    # a flu vaccination: goes with age and, through it, with treatment and death
    data["vaccine"] = (generator.random(len(data)) < 1 / (1 + np.exp(-data["age"] - data["a"]))).astype(int)
    question = ask(data)
    known = question.cohort.covariates.assign(a=data["a"])
    vaccinated = replace(question.cohort, treatment=data["vaccine"].to_numpy(), covariates=known)
    (row,) = negative_exposures(question, [("Vaccination", vaccinated)]).table
    assert row["lower"] < 1 < row["upper"]
    (own,) = negative_exposures(question, [("Treatment", question.cohort)], calibrate=True).table
    assert own["value"] == pytest.approx(question.answered.hazard_ratio.value)
    assert own["calibrated"] == pytest.approx(1)
