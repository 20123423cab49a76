"""The spine: one study file becomes the naive and the adjusted answers, the same bytes every time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from small_study import DAG, STUDY, cohort, write_study

import causal_s4 as s4
from causal_s4.errors import (
    BeyondFollowUpError,
    DataError,
    NoEventsError,
    NotIdentifiedError,
    OverlapError,
    ProtocolError,
    SeparationError,
)


def answer(folder: Path, study: str = STUDY, **changes: Any) -> Any:
    """Run the small study with something changed, and with the quickest of its sensitivity analyses alone."""
    return s4.Study.read(write_study(folder, study=f"{study}[sensitivity.e-value]\n", **changes)).run()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return s4.Study.read(write_study(tmp_path_factory.mktemp("study"))).run()


def test_what_outcomes_have_in_common_is_said_once(tmp_path: Path) -> None:
    again = STUDY[STUDY.index("[[outcome]]") :].split("\n\n")[0].replace('"Overall survival"', '"Death, again"')
    found = answer(tmp_path, study=f"{STUDY}\n{again}\n\n")
    assert len(found.cohort.events) == 2  # each would say of itself that nobody knows when treatment started
    said = [(finding.code, finding.message) for finding in found.findings]
    assert [code for code, _ in said].count("start-of-treatment-unknown") == 1
    assert len(said) == len(set(said))


# --- the same bytes -----------------------------------------------------------------------------


def test_results_are_the_same_bytes_wherever_and_however_often_they_are_made(result: Any, tmp_path: Path) -> None:
    study = write_study(tmp_path / "elsewhere")
    (tmp_path / "work").mkdir()
    code = "import sys, causal_s4; sys.stdout.buffer.write(causal_s4.Study.read(sys.argv[1]).run(jobs=2).to_json().encode())"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, path],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed},  # as many threads as the seed says
            stdout=subprocess.PIPE,
        )
        for path, folder, seed in (
            ("study.toml", study.parent, "1"),
            (os.path.relpath(study, tmp_path / "work"), tmp_path / "work", "2"),
        )
    ]
    texts = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert texts[0] == texts[1] == result.to_json().encode()


def test_nothing_of_the_machine_is_in_the_results(result: Any, tmp_path: Path) -> None:
    text = result.to_json()
    for trace in (str(tmp_path.parent), str(Path.home()), os.sep + "tmp", "pytest"):
        assert trace not in text


def test_another_layout_of_the_same_question_is_the_same_question(result: Any) -> None:
    other = s4.Protocol.parse("# a remark\n" + STUDY.replace("seed = 7", "seed    =    7  # lucky"))
    assert other.sha256() == result.provenance.protocol_sha256


def test_another_question_or_table_has_another_checksum(result: Any, tmp_path: Path) -> None:
    study = s4.Study.read(write_study(tmp_path, study=STUDY.replace("seed = 7", "seed = 8")))
    assert study.protocol.sha256() != result.provenance.protocol_sha256
    data = hashlib.sha256((tmp_path / "cohort.csv").read_bytes()).hexdigest()
    assert data == result.provenance.data_sha256


# --- against other software ---------------------------------------------------------------------


def test_the_naive_answer_is_that_of_lifelines(result: Any) -> None:
    frame = cohort()
    fit = CoxPHFitter().fit(frame[["surgery", "os_months", "death"]], "os_months", "death")
    naive = result.effects.where(analysis="naive")
    assert naive.one(measure="hazard ratio").value == pytest.approx(float(fit.hazard_ratios_["surgery"]), rel=1e-5)
    for arm, code in (("treated", 1), ("control", 0)):
        part = frame[frame["surgery"] == code]
        curve = KaplanMeierFitter().fit(part["os_months"], part["death"])
        assert naive.one(measure="survival", arm=arm).value == pytest.approx(float(curve.predict(24.0)), rel=1e-12)
        assert naive.one(measure="median survival", arm=arm).value == curve.median_survival_time_


def test_the_conditional_answer_is_that_of_lifelines(result: Any) -> None:
    frame = cohort().assign(pr=lambda table: (table["pr_status"] == "positive").astype(int))
    fit = CoxPHFitter().fit(frame[["surgery", "age", "sites", "pr", "os_months", "death"]], "os_months", "death")
    found = result.effects.one(analysis="multivariable")
    assert found.value == pytest.approx(float(fit.hazard_ratios_["surgery"]), rel=1e-5)
    assert found.std_error == pytest.approx(float(fit.standard_errors_["surgery"]), rel=1e-5)
    assert (found.population, found.variance) == ("conditional", "model-based")


def test_overlap_weights_balance_the_means_of_the_set_exactly(result: Any) -> None:
    # Li, Morgan & Zaslavsky 2018, 10.1080/01621459.2016.1260466: a property of logistic overlap weights
    assert {row.column for row in result.balance.rows} == {"age", "sites", "pr_status"}
    assert all(abs(row.smd_after) < 1e-10 for row in result.balance.rows)
    assert any(abs(row.smd_before) > 0.1 for row in result.balance.rows)


def test_the_answer_is_that_of_the_same_steps_by_hand(result: Any) -> None:
    source = s4.Cohort.from_frame(
        cohort(),
        id="id",
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
        covariates=list(result.adjustment.columns),
    )
    by_hand = s4.estimate_effects(source, s4.weigh(source, population="ATO"), horizons=[24])
    for each in by_hand.where(analysis="weighted"):
        found = result.effects.one(analysis="weighted", measure=each.measure, arm=each.arm, horizon=each.horizon)
        assert (found.value, found.lower, found.upper) == (each.value, each.lower, each.upper)


# --- what the graph says ------------------------------------------------------------------------


def test_a_graph_without_open_paths_leaves_the_naive_answer(tmp_path: Path) -> None:
    found = answer(tmp_path, dag="dag { surgery [exposure]; death [outcome]; surgery -> death; age -> death }")
    assert (found.adjustment.verdict, found.adjustment.columns) == ("none needed", ())
    assert found.balance.rows == ()
    assert found.regressions == ()
    naive, weighted = (found.effects.one(analysis=name, measure="hazard ratio") for name in ("naive", "weighted"))
    assert (naive.value, naive.std_error) == (weighted.value, weighted.std_error)
    reasons = [finding.message for finding in found.findings if "othing needs adjusting" in finding.message]
    assert reasons


def test_an_open_path_that_nobody_measured_is_printed(tmp_path: Path) -> None:
    dag = DAG.replace("surgery -> death", "surgery -> death\nfrailty [latent]\nsurgery <- frailty -> death")
    with pytest.raises(NotIdentifiedError, match="open path: surgery <- frailty -> death"):
        answer(tmp_path, dag=dag)


def test_a_set_of_ones_own_is_used_when_it_suffices(tmp_path: Path) -> None:
    dag = "dag { surgery [exposure]; death [outcome]; surgery -> death; surgery <- age -> sites -> death }"
    study = STUDY.replace('file = "small.dag"', 'file = "small.dag"\nadjust_for = ["{}"]')
    for name in ("age", "sites"):
        found = s4.Study.read(write_study(tmp_path, study=study.replace("{}", name), dag=dag)).check(ask_dowhy=False)
        assert found.adjustment.nodes == (name,)
        assert found.weights.covariates == (name,)


def test_a_declared_column_of_a_node_has_to_be_there(tmp_path: Path) -> None:
    study = f'{STUDY}[dag.columns]\nage = ["age_at_diagnosis"]\n'
    with pytest.raises(DataError, match="age_at_diagnosis: no such column"):
        answer(tmp_path, study=study)


def test_columns_of_an_unknown_node_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="no node 'menopause'"):
        answer(tmp_path, study=f'{STUDY}[dag.columns]\nmenopause = ["age"]\n')


def test_a_column_given_to_a_latent_node_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    dag = DAG.replace("surgery -> death", "surgery -> death\nfrailty [latent]\nfrailty -> death")
    study = f'{STUDY}[dag.columns]\nfrailty = ["radiotherapy"]\n'
    found = s4.Study.read(write_study(tmp_path, study=study, dag=dag)).check(ask_dowhy=False)
    assert "latent-with-column" in {finding.code for finding in found.findings}
    assert "radiotherapy" not in found.adjustment.columns


def test_the_second_opinion_is_asked_by_default(result: Any, tmp_path: Path) -> None:
    assert result.adjustment.second_opinion == "agrees"
    unasked = s4.Study.read(write_study(tmp_path)).check(ask_dowhy=False)
    assert unasked.adjustment.second_opinion.startswith("not asked")


# --- what the cohort says -----------------------------------------------------------------------


def test_separation_names_the_covariate_and_the_patients(tmp_path: Path) -> None:
    frame = cohort()
    alone = (frame["surgery"] == 1) & (frame["age"] > 60)
    frame["pr_status"] = frame["pr_status"].mask(alone, "unknown")
    with pytest.raises(SeparationError) as refused:
        answer(tmp_path, frame=frame)
    (problem,) = refused.value.problems
    assert problem.where == "pr_status=unknown"
    assert f"each of the {int(alone.sum())} patients with it is treated" in problem.found


def test_arms_without_common_patients_are_not_compared(tmp_path: Path) -> None:
    frame, rng = cohort(), np.random.default_rng(1)
    shift, spread = 4 * (2 * frame["surgery"] - 1), 5 * rng.normal(size=len(frame))
    with pytest.raises(OverlapError, match="105 treated, 135 controls"):
        answer(tmp_path, frame=frame.assign(age=60 + spread + shift, sites=60 - spread + shift))


def test_arms_without_events_are_not_compared(tmp_path: Path) -> None:
    frame = cohort()
    with pytest.raises(NoEventsError, match="no patient had the event"):
        answer(tmp_path, frame=frame.assign(death=0))
    with pytest.raises(NoEventsError, match="found 0 in the treated arm"):
        answer(tmp_path, frame=frame.assign(death=frame["death"] * (1 - frame["surgery"])))


def test_the_curve_of_an_arm_without_events_stays_at_one() -> None:
    frame = cohort().assign(death=lambda table: table["death"] * table["surgery"])
    names = {"time": "os_months", "event": "death", "event_value": 1, "time_unit": "months"}
    source = s4.Cohort.from_frame(frame, treatment="surgery", treated=1, control=0, **names)
    curve = s4.survival_curves(source)["control"]
    assert (list(curve.survival), list(curve.std_error)) == ([1.0], [0.0])


def test_a_horizon_has_to_be_followed_to(tmp_path: Path) -> None:
    frame = cohort()
    reach = frame.groupby("surgery")["os_months"].max().min()
    with pytest.raises(BeyondFollowUpError, match=f"horizon 240 months .* followed to {reach} months"):
        answer(tmp_path, study=STUDY.replace("2 years", "20 years"))


def test_without_horizons_the_last_whole_month_of_both_arms_is_taken(tmp_path: Path) -> None:
    found = answer(tmp_path, study=STUDY.replace('horizons = ["2 years"]\n', ""))
    reach = cohort().groupby("surgery")["os_months"].max().min()
    assert found.effects.one(analysis="naive", measure="rmst difference").horizon == float(int(reach))


def test_a_cohort_in_which_nobody_is_censored_is_answered(tmp_path: Path) -> None:
    found = answer(tmp_path, frame=cohort().assign(death=1))
    assert found.cohort.follow_up["Overall survival"] is None
    assert "nobody-censored" in {finding.code for finding in found.findings}
    frame = cohort()
    survivors = (frame.loc[frame["surgery"] == 1, "os_months"] > 24).mean()
    assert found.effects.one(analysis="naive", measure="survival", arm="treated").value == pytest.approx(survivors)


def test_a_covariate_that_tells_the_event_leaves_out_the_conditional_model_and_says_so(tmp_path: Path) -> None:
    found = answer(tmp_path, frame=cohort().assign(sites=lambda table: table["death"]))
    assert found.regressions == ()
    assert "no-multivariable-model" in {finding.code for finding in found.findings}
    assert len(found.effects.where(analysis="multivariable")) == 0


def test_eligibility_and_missing_values_are_counted_in_the_flow(tmp_path: Path) -> None:
    frame = cohort()
    old = frame["age"] > 70
    frame.loc[[1, 2], "sites"] = np.nan
    study = STUDY.replace('time_unit = "months"', 'time_unit = "months"\nmissing = "complete-case"')
    study += "[eligibility]\nage = { at_most = 70 }\n"
    found = s4.Study.read(write_study(tmp_path, study=study, frame=frame)).check(ask_dowhy=False)
    steps = [(step.step, step.n, step.excluded) for step in found.cohort.attrition]
    left = 240 - int(old.sum())
    gone = int((~old)[[1, 2]].sum())
    assert steps == [
        ("Patients in the file", 240, 0),
        ("age is at most 70", left, int(old.sum())),
        ("Complete covariates", left - gone, gone),
    ]


def test_several_outcomes_populations_and_benchmarks_are_answered_together(tmp_path: Path) -> None:
    frame = s4.simulate("stage4", n=240, seed=3)
    study = STUDY.replace('population = "ATO"', 'population = "ATT"\nalso = ["ATE", "ATO"]') + (
        '[[outcome]]\nname = "Free of distant progression"\ntime = "dpfs_months"\nevent = "distant_progression"\n'
        'event_value = 1\nhorizons = ["1 years"]\n'
        '[[benchmark]]\nname = "A trial"\noutcome = "Overall survival"\nvalue = 0.9\nlower = 0.7\nupper = 1.2\n'
        'source = "10.1000/example"\n'
    )
    dag = DAG.replace("death [outcome]", "death [outcome]\ndistant_progression [outcome]").replace(
        "{surgery death}", "{surgery death distant_progression}"
    )
    found = answer(tmp_path, study=study, dag=dag, frame=frame)
    assert set(found.cohort.events) == {"Overall survival", "Free of distant progression"}
    for outcome, horizon in (("Overall survival", 24.0), ("Free of distant progression", 12.0)):
        asked = {
            (each.analysis, each.population)
            for each in found.effects.where(outcome=outcome, measure="rmst difference", horizon=horizon)
        }
        assert asked == {("naive", "unadjusted"), *(("weighted", name) for name in ("ATT", "ATE", "ATO"))}
    assert [summary.population for summary in (found.weights, *found.other_weights)] == ["ATT", "ATE", "ATO"]
    (benchmark,) = found.benchmarks
    assert (benchmark.value, benchmark.design) == (0.9, "randomised trial")


def test_check_says_what_run_says_but_estimates_nothing(result: Any, tmp_path: Path) -> None:
    found = s4.Study.read(write_study(tmp_path)).check()
    for part in ("cohort", "adjustment", "weights", "balance", "positivity"):
        assert getattr(found, part) == getattr(result, part)
    assert not hasattr(found, "effects")


def test_progress_tells_each_step_once(tmp_path: Path) -> None:
    told: list[str] = []
    study = write_study(tmp_path, study=f"{STUDY}[sensitivity.e-value]\n")
    s4.Study.read(study).run(progress=told.append)
    assert told
    assert len(told) == len(set(told))


def test_files_of_other_kinds_give_the_same_answer(result: Any, tmp_path: Path) -> None:
    for ending in ("parquet", "dta", "xlsx"):
        frame = cohort()
        path = tmp_path / f"cohort.{ending}"
        if ending == "parquet":
            frame.to_parquet(path)
        elif ending == "dta":
            frame.to_stata(path, write_index=False)
        else:
            frame.to_excel(path, index=False)
        found = answer(tmp_path, study=STUDY.replace("cohort.csv", f"cohort.{ending}"))
        pd.testing.assert_frame_equal(found.effects.to_frame(), result.effects.to_frame(), rtol=1e-9)
