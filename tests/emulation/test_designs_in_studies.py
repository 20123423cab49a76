"""Study files of each design, from the text to the result: what is refused, what is estimated, and what it is called."""

from dataclasses import replace

import numpy as np
import pytest
from registries import registry

import causal_s4 as s4
from causal_s4.emulation.clone_censor import clone_censor
from causal_s4.emulation.time_dependent import time_dependent_table
from causal_s4.errors import ImmortalTimeError, ProtocolError, UsageError
from causal_s4.estimation import estimate_effects
from causal_s4.simulate import simulate, simulate_history

DAG = """dag {
surgery [exposure]
death [outcome]
{age ecog bone_only burden response} -> {surgery death}
subtype -> {response death bone_only}
bone_only -> burden
{age burden} -> ecog
burden -> response
surgery -> death
}
"""
STUDY = """title = "Surgery after response"
seed = 3

[data]
file = "women.csv"
%(history)sid = "id"
time_unit = "months"

[dag]
file = "timeline.dag"
%(dag)s
[treatment]
column = "surgery"
treated = 1
control = 0
start = "surgery_months"

[time_zero]
%(time_zero)s

[[outcome]]
name = "Overall survival"
time = "os_months"
event = "death"
event_value = 1
horizons = ["3 years"]
%(more)s
"""
N, SEED = 500, 51
ATE = '\n[estimand]\npopulation = "ATE"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timeline")
    simulate("stage4-timeline", n=N, seed=SEED).to_csv(folder / "women.csv", index=False)
    simulate_history("stage4-timeline", n=N, seed=SEED).to_csv(folder / "visits.csv", index=False)
    (folder / "timeline.dag").write_text(DAG, encoding="utf-8")
    # without response among the measured columns, the study has to say that it is content with less
    blind = DAG.replace("response} ->", "} ->").replace(
        "subtype -> {response death bone_only}", "subtype -> {death bone_only}"
    )
    (folder / "blind.dag").write_text(blind.replace("burden -> response\n", ""), encoding="utf-8")
    return folder


def study(folder, time_zero, *, more="", history=True, name="study.toml"):
    text = STUDY % {
        "history": 'history = "visits.csv"\n' if history else "",
        "dag": "",
        "time_zero": time_zero,
        "more": more,
    }
    if not history:
        text = text.replace("timeline.dag", "blind.dag")
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return s4.Study.read(path)


@pytest.fixture(scope="module")
def cloned(folder):
    lines = 'design = "clone-censor-weight"\ngrace_period = ["9 months", "12 months"]\ntime_varying = ["response"]'
    return study(folder, lines).run()


@pytest.fixture(scope="module")
def landmark(folder):
    lines = 'design = "landmark"\nlandmark = ["6 months", "9 months"]\ntime_varying = ["response"]'
    return study(folder, lines, more=ATE).run()


@pytest.fixture(scope="module")
def changing(folder):
    return study(folder, 'design = "time-dependent"', history=False).run()


def log_hazard_ratio(result, **wanted):
    return float(np.log(result.effects.one(measure="hazard ratio", **wanted).value))


# --- baseline -----------------------------------------------------------------------------------


def test_baseline_is_refused_with_its_figures(folder):
    with pytest.raises(ImmortalTimeError) as refused:
        study(folder, 'design = "baseline"', more=ATE, history=False).run()
    cohort = registry(N, SEED)
    naive = estimate_effects(cohort).one(measure="hazard ratio").value
    assert f"{naive:.2f}" in str(refused.value)
    assert f"{int((cohort.treatment == 1).sum()):,} treated patients" in str(refused.value)


def test_check_reports_the_alignment(folder):
    check = study(folder, 'design = "baseline"', more=ATE, history=False).check(ask_dowhy=False)
    assert check.alignment.later == check.alignment.treated > 0
    assert "treatment-after-time-zero" in {each.code for each in check.findings}


def test_check_of_cloned_strategies(folder):
    lines = 'design = "clone-censor-weight"\ngrace_period = "9 months"\ntime_varying = ["response"]'
    check = study(folder, lines).check(ask_dowhy=False)
    assert check.weights is None
    assert "timing-of-treatment" in {each.code for each in check.findings}


# --- cloned strategies --------------------------------------------------------------------------


def test_cloned_study_is_what_the_verbs_give(cloned):
    table = clone_censor(registry(N, SEED), grace_period=9.0, time_varying=["response"])
    expected = estimate_effects(table, horizons=[36.0], variance="fixed")
    for measure in ("hazard ratio", "survival difference", "rmst difference"):
        found = cloned.effects.one(analysis="clone-censor-weight", measure=measure)
        assert found.value == pytest.approx(expected.one(measure=measure).value, rel=1e-6)
        assert found.std_error == pytest.approx(expected.one(measure=measure).std_error, rel=1e-6)
    assert found.population == "ATE"
    assert "taken as known" in found.variance


def test_cloned_study_says_what_either_variance_gives(cloned):
    table = clone_censor(registry(N, SEED), grace_period=9.0, time_varying=["response"])
    (said,) = [each for each in cloned.findings if each.code == "clone-variance"]
    for key, variance in (("std_error_known", "fixed"), ("std_error_accounted", "influence")):
        verb = estimate_effects(table, variance=variance).one(measure="hazard ratio").std_error
        assert said.numbers[key] == pytest.approx(verb, rel=1e-12)
        assert f"{verb:.3f} with " in said.message


def test_cloned_study_shows_naive_and_unweighted_beside_it(cloned):
    naive = log_hazard_ratio(cloned, analysis="naive")
    unweighted = log_hazard_ratio(cloned, analysis="clone-censor-unweighted")
    weighted = log_hazard_ratio(cloned, analysis="clone-censor-weight")
    assert naive < unweighted < weighted
    assert {curve.analysis for curve in cloned.curves} == {"naive", "clone-censor-weight"}


def test_response_comes_from_the_history(cloned):
    assert "response" in cloned.adjustment.columns
    terms = [row.term for row in cloned.regressions[0].rows]
    assert any(term.startswith("response=") for term in terms)


def test_cloned_study_carries_flow_balance_and_summary(cloned):
    assert cloned.clone_flow.grace_period == 9.0
    assert cloned.balance_over_time.worst is not None
    assert cloned.weights.ess_treated > 0
    assert cloned.alignment.later > 0
    assert cloned.balance is None


def test_other_grace_periods_are_a_grid(cloned):
    (grid,) = [each for each in cloned.sensitivity if each.method == "grace period grid"]
    lengths = {row["grace_period"] for row in grid.table}
    assert lengths == {"9 months", "12 months"}
    (own,) = [r for r in grid.table if r["grace_period"] == "9 months" and r["measure"] == "hazard ratio"]
    assert np.log(own["value"]) == pytest.approx(log_hazard_ratio(cloned, analysis="clone-censor-weight"))


def test_other_timings_and_cut_weights_are_grids_of_the_verb(folder):
    lines = 'design = "clone-censor-weight"\ngrace_period = "9 months"\ntime_varying = ["response"]'
    more = '\n[sensitivity.timing-grid]\nrules = ["natural", "uniform"]\n'
    more += "[sensitivity.truncation-grid]\nquantiles = [[0, 0.95]]\n"
    result = study(folder, lines, more=more, name="grids.toml").run()
    timings, cuts = (
        next(each for each in result.sensitivity if each.method == f"{what} grid") for what in ("timing", "truncation")
    )
    given = {"grace_period": 9.0, "time_varying": ["response"]}
    options = {
        ("timing", "density"): {},
        ("timing", "natural"): {"timing": "natural", "natural_until": 4.5},
        ("timing", "uniform"): {"timing": "uniform"},
        ("upper_quantile", 1.0): {},
        ("upper_quantile", 0.95): {"truncate": (0.0, 0.95)},
    }
    found = {
        (key, row[key]): row for grid, key in ((timings, "timing"), (cuts, "upper_quantile")) for row in grid.table
    }
    assert list(found) == list(options)
    for key, row in found.items():
        table = clone_censor(registry(N, SEED), **given, **options[key])
        assert row["value"] == pytest.approx(estimate_effects(table).one(measure="hazard ratio").value), key
    assert cuts.table[1]["cut"] > 0
    assert cuts.direction.startswith("cutting weights moves the estimate towards the unweighted")


def test_timings_belong_to_cloned_strategies(folder):
    with pytest.raises(UsageError, match="timing-grid"):
        study(folder, 'design = "time-dependent"', more="\n[sensitivity.timing-grid]\n", history=False).run()


def test_further_rules_of_strategies_reach_the_trial(folder):
    women = simulate("stage4-timeline", n=N, seed=SEED)
    palliated = women["os_months"].where(women["id"] % 9 == 0) * 0.1
    women.assign(palliation=palliated).to_csv(folder / "palliated.csv", index=False)
    lines = (
        'design = "clone-censor-weight"\ngrace_period = "9 months"\ntime_varying = ["response"]\nnever = true\n'
        'unless = { response = "progression" }'
    )
    text = (STUDY % {"history": 'history = "visits.csv"\n', "dag": "", "time_zero": lines, "more": ""}).replace(
        'start = "surgery_months"', 'start = "surgery_months"\nnon_protocol_start = "palliation"'
    )
    path = folder / "rules.toml"
    path.write_text(text.replace("women.csv", "palliated.csv") + "\n[sensitivity.e-value]\n", encoding="utf-8")
    result = s4.Study.read(path).run()
    cohort = replace(registry(N, SEED), non_protocol_start=palliated.fillna(np.inf).to_numpy())
    table = clone_censor(
        cohort, grace_period=9.0, time_varying=["response"], never=True, unless={"response": ["progression"]}
    )
    expected = estimate_effects(table).one(measure="hazard ratio").value
    assert np.log(expected) == pytest.approx(log_hazard_ratio(result, analysis="clone-censor-weight"), abs=1e-6)
    rules = {"never-treated", "released-from-treatment", "treated-outside-strategies"}
    assert rules <= {each.code for each in result.findings}
    assert {row.deviated for row in result.clone_flow.rows if row.time == 0} == {0}


@pytest.mark.parametrize("design", ['"clone-censor-weight"\ngrace_period = "9 months"', '"time-dependent"'])
def test_patients_of_both_arms_are_not_drawn_within_arms(folder, design):
    more = '\n[inference]\nmethod = "bootstrap"\nstratify = true\n'
    with pytest.raises(ProtocolError) as refused:
        study(folder, f"design = {design}", more=more, history=False).run()
    assert [problem.where for problem in refused.value.problems] == ["inference.stratify"]


def test_resampled_study_of_cloned_strategies_is_what_the_verb_gives(folder):
    lines = 'design = "clone-censor-weight"\ngrace_period = ["9 months", "12 months"]\ntime_varying = ["response"]'
    more = '\n[inference]\nmethod = "bootstrap"\nreplicates = 40\ninterval = "normal"\n'
    result = study(folder, lines, more=more, name="resampled.toml").run(jobs=2)
    table = clone_censor(registry(N, SEED), grace_period=9.0, time_varying=["response"])
    expected = estimate_effects(table, horizons=[36.0], variance="bootstrap", replicates=40, interval="normal", seed=3)
    for each in expected:
        found = result.effects.one(analysis="clone-censor-weight", measure=each.measure, arm=each.arm)
        assert (found.lower, found.upper, found.variance) == pytest.approx((each.lower, each.upper, each.variance))
    assert {each.variance for each in result.effects} == {"bootstrap (40 replicates, normal)"}
    (grid,) = [each for each in result.sensitivity if each.method == "grace period grid"]
    (own,) = [r for r in grid.table if r["grace_period"] == "12 months" and r["measure"] == "hazard ratio"]
    other = clone_censor(registry(N, SEED), grace_period=12.0, time_varying=["response"])
    again = estimate_effects(other, variance="bootstrap", replicates=40, interval="normal", seed=3)
    assert own["lower"] == pytest.approx(again.one(measure="hazard ratio").lower)
    assert "clone-variance" not in {each.code for each in result.findings}


def test_resampled_study_of_changing_treatment(folder):
    more = '\n[inference]\nmethod = "jackknife"\n'
    result = study(folder, 'design = "time-dependent"', more=more, history=False, name="left-out.toml").run()
    table = time_dependent_table(registry(N, SEED))
    expected = estimate_effects(table, variance="jackknife").one(measure="hazard ratio")
    found = result.effects.one(analysis="time-dependent", variance="jackknife")
    assert (found.value, found.std_error) == pytest.approx((expected.value, expected.std_error))


def test_initiation_reaches_the_model(folder):
    lines = (
        'design = "clone-censor-weight"\ngrace_period = "9 months"\ntime_varying = ["response"]\nmax_carry = "4 months"'
    )
    more = '\n[initiation]\nsplines = { age = 4 }\ninterval = "14 days"\nloss_weights = true\n'
    result = study(folder, lines, more=more, name="initiation.toml").run()
    terms = [row.term for row in result.regressions[0].rows]
    assert {"age", "age'", "age''"} <= set(terms)


@pytest.mark.parametrize(
    ("lines", "more", "where"),
    [
        ('timing = "maringe"', "", "time_zero.time_varying"),
        ('timing = "maringe"', "\n[initiation]\nloss_weights = true\n", "initiation.loss_weights"),
    ],
)
def test_published_timing_refuses_what_it_does_not_use(folder, lines, more, where):
    text = f'design = "clone-censor-weight"\ngrace_period = "9 months"\ntime_varying = ["response"]\n{lines}'
    with pytest.raises(ProtocolError) as refused:
        study(folder, text, more=more)
    assert where in str(refused.value)


def test_carry_without_changing_columns_is_refused(folder):
    with pytest.raises(ProtocolError, match=r"time_zero\.max_carry"):
        study(folder, 'design = "time-dependent"\nmax_carry = "4 months"', history=False)


# --- landmarks ----------------------------------------------------------------------------------


def test_landmark_study_names_its_analyses(landmark):
    pairs = {(each.analysis, each.population) for each in landmark.effects}
    assert {("naive", "unadjusted"), ("landmark", "unadjusted"), ("landmark", "ATE")} <= pairs
    naive = estimate_effects(registry(N, SEED)).one(measure="hazard ratio").value
    assert landmark.effects.one(analysis="naive", measure="hazard ratio").value == pytest.approx(naive, rel=1e-6)


def test_landmark_study_counts_those_at_risk(landmark):
    cohort = registry(N, SEED)
    assert landmark.cohort.n == (cohort.outcomes[0].time > 6).sum()
    assert [step.n for step in landmark.cohort.attrition][-1] == landmark.cohort.n
    assert {"before-landmark", "treated-after-landmark"} <= {each.code for each in landmark.findings}


def test_landmark_weights_know_response_as_of_then(landmark):
    assert any(term.startswith("response=") for term in landmark.weights.terms)
    assert any(row.column == "response" for row in landmark.balance.rows)


def test_other_landmarks_are_a_grid(landmark):
    (grid,) = [each for each in landmark.sensitivity if each.method == "landmark grid"]
    assert {row["landmark"] for row in grid.table} == {"6 months", "9 months"}
    (own,) = [r for r in grid.table if r["landmark"] == "6 months" and r["measure"] == "hazard ratio"]
    ratio = landmark.effects.one(analysis="landmark", population="ATE", measure="hazard ratio").value
    assert own["value"] == pytest.approx(ratio)


# --- changing treatment -------------------------------------------------------------------------


def test_changing_treatment_study(changing):
    pairs = {(each.analysis, each.population, each.measure) for each in changing.effects}
    assert ("time-dependent", "unadjusted", "hazard ratio") in pairs
    assert ("time-dependent", "conditional", "hazard ratio") in pairs
    measures = {each.measure for each in changing.effects if each.analysis == "time-dependent"}
    assert measures == {"hazard ratio"}
    assert "Mantel-Byar" in {test.test for test in changing.tests}
    assert changing.weights is None


def test_curves_by_current_treatment_say_what_they_are_not(changing):
    curves = [curve for curve in changing.curves if curve.analysis == "time-dependent"]
    assert {curve.population for curve in curves} == {"by current treatment, not counterfactual"}
    assert "curves-by-current-treatment" in {each.code for each in changing.findings}


def test_changing_covariates_are_refused_with_changing_treatment(folder):
    with pytest.raises(ProtocolError, match="time_varying"):
        study(folder, 'design = "time-dependent"\ntime_varying = ["response"]')


@pytest.mark.parametrize("name", ["cloned", "changing"])
def test_a_design_without_fixed_arms_writes_a_whole_report(request, tmp_path, name):
    request.getfixturevalue(name).write(tmp_path / "out")
    assert {"report.html", "results.json", "report.docx"} <= {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.slow
def test_a_landmark_study_writes_a_whole_report(landmark, tmp_path):
    landmark.write(tmp_path / "out")
    assert (tmp_path / "out" / "report.html").exists()
