"""Doubt beyond the weighted arms of a baseline: designs over time, control exposures, other sufficient sets, text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_study import DAG, STARTING, STUDY, cohort, with_starts, write_study

from causal_s4.cli import main
from causal_s4.errors import InputError, UsageError
from causal_s4.probe import plan
from causal_s4.probe.subject import LARGE, Probe
from causal_s4.protocol.protocol import Protocol
from causal_s4.report.doubt import MOST_ROWS, at_a_glance, by_question, doubt_text
from causal_s4.report.doubt_opening import opening
from causal_s4.report.reading import Reading
from causal_s4.results import SensitivityResult, StudyResult
from causal_s4.study import Study

CLONES = STARTING.replace(
    '[estimand]\npopulation = "ATO"\n', '[time_zero]\ndesign = "clone-censor-weight"\ngrace_period = "6 months"\n'
)
CHANGING = STARTING.replace('[estimand]\npopulation = "ATO"\n', '[time_zero]\ndesign = "time-dependent"\n')
LANDMARK = STARTING.replace("[estimand]", '[time_zero]\ndesign = "landmark"\nlandmark = "3 months"\n\n[estimand]')
CURVE = "\n[sensitivity.specification-curve]\n"


def run(folder: Path, study: str, **files: object) -> StudyResult:
    return Study.read(write_study(folder, study=study, **files)).run()  # type: ignore[arg-type]


def of(result: StudyResult, method: str) -> list[SensitivityResult]:
    return [each for each in result.sensitivity if each.method == method]


# --- treatment that starts later -----------------------------------------------------------------


@pytest.fixture(scope="module")
def cloned(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    folder = tmp_path_factory.mktemp("cloned")
    text = CLONES + "\n[sensitivity.e-value]\n[sensitivity.leave-one-out]\n[sensitivity.loss-bounds]\n"
    text += "[sensitivity.informative-censoring]\nmultipliers = [[2, 1]]\nimputations = 3\n"
    text += '[sensitivity.specification-curve]\nlandmarks = ["3 months"]\n'
    return run(folder, text, frame=with_starts())


def test_cloned_strategies_are_put_in_doubt_as_they_were_estimated(cloned: StudyResult) -> None:
    hazard = cloned.effects.one(analysis="clone-censor-weight", measure="hazard ratio")
    of_hazard = next(each for each in of(cloned, "e-value") if each.target["measure"] == "hazard ratio")
    assert of_hazard.parameters["estimate"] == pytest.approx(hazard.value, rel=1e-12)
    assert of_hazard.parameters["estimate_lower"] == pytest.approx(hazard.lower, rel=1e-12)
    (left_out,) = of(cloned, "leave one out")
    assert left_out.value == pytest.approx(hazard.value, rel=1e-12)
    assert left_out.target["analysis"] == "clone-censor-weight"


def test_clones_that_were_lost_are_followed_on_from_the_estimate_of_the_study(cloned: StudyResult) -> None:
    (bounds,), (drawn,) = of(cloned, "loss bounds"), of(cloned, "informative censoring")
    difference = cloned.effects.one(analysis="clone-censor-weight", measure="survival difference", horizon=24.0)
    for result in (bounds, drawn):
        assert result.table[0]["survival_difference"] == pytest.approx(difference.value, abs=1e-12)
    assert bounds.value == pytest.approx(difference.value, abs=1e-12)
    assert bounds.lower < drawn.table[1]["survival_difference"] < difference.value < bounds.upper
    assert bounds.parameters["lost_treated"] > 0


def test_fewer_completed_data_sets_than_usual_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causal_s4.probe.choices.CLONES", 1_200)  # as if the cohort were ten times as large
    monkeypatch.setattr("causal_s4.background._processors", lambda: 1)  # where nothing else is patched
    block = "\n[sensitivity.informative-censoring]\nmultipliers = [[2, 1]]\n"
    (short,) = of(run(tmp_path / "short", CLONES + block, frame=with_starts()), "informative censoring")
    assert short.parameters["imputations"] == 5
    assert any(said.startswith("5 completed data sets instead of 40") for said in short.assumptions)
    asked = of(
        run(tmp_path / "asked", f"{CLONES}{block}imputations = 5\n", frame=with_starts()), "informative censoring"
    )
    assert not any("instead of 40" in said for said in asked[0].assumptions)


def test_where_nothing_can_be_assumed_of_the_lost_the_study_is_refused(tmp_path: Path) -> None:
    for study, why in (
        (CHANGING, "no arms in which those who left could go on"),
        (CLONES + "\n[initiation]\nloss_weights = true\n", "stand in for those who left already"),
    ):
        with pytest.raises(UsageError, match=why):
            run(tmp_path, study + "\n[sensitivity.loss-bounds]\n", frame=with_starts())


def test_a_covariate_left_out_of_the_clones_is_a_study_without_it(cloned: StudyResult, tmp_path: Path) -> None:
    (left_out,) = of(cloned, "leave one out")
    without = next(row for row in left_out.table if row["covariate"] == "sites")
    unaware = DAG.replace("sites -> {surgery death}\n", "")
    text = CLONES + "\n[sensitivity.e-value]\n"
    directly = run(tmp_path, text, dag=unaware, frame=with_starts())
    assert without["value"] == pytest.approx(
        directly.effects.one(analysis="clone-censor-weight", measure="hazard ratio").value, rel=1e-9
    )


def test_the_curve_of_a_timed_study_holds_its_designs_and_says_what_is_wrong_with_some(cloned: StudyResult) -> None:
    (curve,) = of(cloned, "specification curve")
    designs = {row["design"] for row in curve.table}
    assert designs == {
        "ever against never treated",
        "landmark at 3 months",
        "treatment as it changes",
        "cloned strategies, 6 months",
    }
    hazard = cloned.effects.one(analysis="clone-censor-weight", measure="hazard ratio")
    primary = [
        row
        for row in curve.table
        if (row["design"], row["method"], row["covariates"], row["truncate"])
        == ("cloned strategies, 6 months", "timing: density", "all", "none")
    ]
    assert [row["value"] for row in primary] == [pytest.approx(hazard.value, rel=1e-12)]
    for row in curve.table:
        if row["design"] == "ever against never treated":
            assert not row["admissible"]
            assert "time before treatment" in row["note"]
        if row["design"].startswith("cloned") and row["truncate"] != "none":
            assert not row["admissible"]


def test_changing_treatment_has_the_analyses_of_its_hazard_ratio(tmp_path: Path) -> None:
    text = CHANGING + "\n[sensitivity.e-value]\n[sensitivity.leave-one-out]\n"
    result = run(tmp_path, text, frame=with_starts())
    conditional = result.effects.one(analysis="time-dependent", population="conditional", measure="hazard ratio")
    (e_value,) = of(result, "e-value")
    assert e_value.parameters["estimate"] == pytest.approx(conditional.value, rel=1e-9)
    (left_out,) = of(result, "leave one out")
    assert {"age", "sites", "pr_status"} <= {row["covariate"] for row in left_out.table}


def test_a_landmark_study_varies_its_landmark_from_the_patients_at_time_zero(tmp_path: Path) -> None:
    text = LANDMARK + CURVE + 'landmarks = ["2 months", "3 months"]\ngrace_periods = ["6 months"]\n'
    result = run(tmp_path, text + "truncations = [[0.01, 0.99]]\ntrims = [0.1]\n", frame=with_starts())
    hazard = result.effects.one(analysis="landmark", population="ATO", measure="hazard ratio")
    (curve,) = of(result, "specification curve")
    same = [
        row["value"]
        for row in curve.table
        if (row["design"], row["population"], row["covariates"], row["truncate"], row["trim"])
        == ("landmark at 3 months", "ATO", "all", "none", "none")
    ]
    assert same == [pytest.approx(hazard.value, rel=1e-12)]
    assert any(row["design"] == "landmark at 2 months" for row in curve.table)


def test_a_design_without_fixed_arms_refuses_what_needs_them(tmp_path: Path) -> None:
    text = CLONES + "\n[sensitivity.estimand-switch]\n[sensitivity.trimming-grid]\n"
    protocol = Protocol.read(write_study(tmp_path, study=text, frame=with_starts()))
    with pytest.raises(InputError) as caught:
        plan(protocol)
    assert [each.where for each in caught.value.problems] == [
        "sensitivity.estimand-switch",
        "sensitivity.trimming-grid",
    ]
    assert "leave-one-out" in str(caught.value)


def test_landmarks_have_no_effect_where_treatment_starts_at_time_zero(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no effect"):
        run(tmp_path, STUDY + CURVE + 'landmarks = ["3 months"]\n')


# --- baseline ------------------------------------------------------------------------------------


def test_a_control_exposure_is_read_from_the_file_of_the_cohort(tmp_path: Path) -> None:
    frame = cohort()
    frame["flu_jab"] = np.where(np.random.default_rng(2).random(len(frame)) < 0.4, "yes", "no")
    blocks = """
[sensitivity.negative-control]
calibrate = true
[[sensitivity.negative-control.exposure]]
name = "Influenza vaccination"
column = "flu_jab"
treated = "yes"
control = "no"
"""
    exposure = of(run(tmp_path, STUDY + blocks, frame=frame), "negative control")[-1]
    (row,) = exposure.table
    assert exposure.parameters["kind"] == "exposure"
    assert row["control"] == "Influenza vaccination"
    # it was given at random: the interval covers one
    assert row["lower"] < 1 < row["upper"]
    assert row["calibrated_lower"] < row["calibrated"] < row["calibrated_upper"]


def test_calibration_without_a_control_would_have_no_effect(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="calibrate would have no effect"):
        run(tmp_path, STUDY + "\n[sensitivity.negative-control]\ncalibrate = true\n")


def test_other_sets_that_suffice_under_the_graph_are_admissible_cells(tmp_path: Path) -> None:
    # sites -> burden -> surgery: adjusting for either closes that path
    graph = DAG.replace("sites -> {surgery death}", "sites -> {burden death}\nburden -> surgery")
    frame = cohort()
    frame["burden"] = frame["sites"] + np.random.default_rng(1).integers(0, 2, len(frame))
    result = run(tmp_path, STUDY + CURVE, dag=graph, frame=frame)
    (curve,) = of(result, "specification curve")
    used = set(result.adjustment.columns)
    other = {"burden", "sites"} - used
    (label,) = {row["covariates"] for row in curve.table if " + " in str(row["covariates"])}
    assert other & set(label.split(" + "))
    assert any(row["admissible"] for row in curve.table if row["covariates"] == label)


def test_what_is_repeated_is_repeated_less_often_in_a_large_cohort() -> None:
    class Many:
        def __len__(self) -> int:
            return 10 * LARGE

    class Question:
        cohort = Many()

    begun = Probe(
        question=Question(),  # type: ignore[arg-type]
        completed=(),
        incomplete=None,
        protocol=None,  # type: ignore[arg-type]
        estimates=(),
        benchmarks=(),
    )
    assert begun.repeats(None, 20, 5) == 5
    assert begun.repeats(None, 100, 5) == 10
    assert begun.repeats(40, 20, 5) == 40


# --- as it is read -------------------------------------------------------------------------------

SHORT = """
[sensitivity.e-value]
[sensitivity.bias-factor]
[sensitivity.leave-one-out]
[sensitivity.marginal-sensitivity-model]
[sensitivity.specification-curve]
[sensitivity.rct-benchmark]
[[benchmark]]
name = "A trial"
outcome = "Overall survival"
value = 0.93
lower = 0.75
upper = 1.16
source = "somewhere"
"""


@pytest.fixture(scope="module")
def doubted(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return run(tmp_path_factory.mktemp("doubted"), STUDY + SHORT)


def test_the_section_opens_with_what_would_have_to_be_true(doubted: StudyResult) -> None:
    said = " ".join(opening(Reading(doubted)))
    preferred = next(each for each in of(doubted, "e-value") if each.parameters["preferred"])
    (left_out,) = [each for each in of(doubted, "leave one out") if "sentence" in each.parameters]
    (curve,) = of(doubted, "specification curve")
    assert f"risk ratio of {preferred.value:.2f}" in said
    assert left_out.parameters["sentence"] in said
    assert f"{curve.parameters['excluding_one']} (" in said
    assert "published randomised estimate" in said


def test_all_analyses_stand_in_one_table_and_like_ones_together(doubted: StudyResult) -> None:
    several = by_question(Reading(doubted))
    shown = [each for _, analyses in several for each in analyses]
    table = at_a_glance(several)
    assert table is not None
    assert [row.cells[0] for row in table.rows if row.kind == "body"] == [each.name for each in shown]
    (e_values,) = [each for each in shown if each.name == "E-values"]
    assert e_values.table is not None
    assert len(e_values.table.rows) == len(of(doubted, "e-value"))
    bounds = [each for each in shown if each.name == "Marginal sensitivity model"]
    assert len(bounds) == 2  # survival and restricted mean, one row a lambda each
    assert all(each.table is not None and len(each.table.rows) == 5 for each in bounds)
    assert all(each.answer and "None" not in each.answer for each in shown)


def test_no_key_of_the_code_reaches_the_reader(doubted: StudyResult) -> None:
    shown = [each for _, analyses in by_question(Reading(doubted)) for each in analyses]
    words = [column.label for each in shown if each.table for column in each.table.columns]
    words += [each.settings for each in shown]
    assert not [word for word in words if "_" in word or "Rr eu" in word or "Ess " in word]


def test_the_command_prints_the_section(tmp_path: Path, doubted: StudyResult) -> None:
    study = write_study(tmp_path, study=STUDY + SHORT)
    shown = CliRunner().invoke(main, ["sensitivity", str(study), "--quiet"])
    assert shown.exit_code == 0, shown.output
    assert shown.output == doubt_text(doubted)
    assert "ask for --all" in shown.output
    assert "ask for --all" not in doubt_text(doubted, whole=True)
    longest = max(
        len(each.table.rows) for _, several in by_question(Reading(doubted)) for each in several if each.table
    )
    assert longest > MOST_ROWS


@pytest.mark.slow
def test_the_command_writes_the_report(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", study=STUDY + SHORT)
    out = tmp_path / "report"
    shown = CliRunner().invoke(main, ["sensitivity", str(study), "--out", str(out), "--quiet", "--all"])
    assert shown.exit_code == 0, shown.output
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What would have to be true for the effect to vanish" in page
    assert "Every analysis of doubt" in page


def test_doubt_is_of_the_intervals_that_the_study_gives(tmp_path: Path) -> None:
    # with forty patients the study's intervals are by the jackknife, wider than those of the rows
    text = STUDY + "\n[sensitivity.e-value]\n[sensitivity.truncation-grid]\n"
    text = text.replace('population = "ATO"', 'population = "ATE"')
    result = run(tmp_path, text, frame=cohort().head(80))
    hazard = result.effects.one(analysis="weighted", measure="hazard ratio")
    by_measure = {each.target["measure"]: each for each in of(result, "e-value")}
    assert hazard.variance == "jackknife"
    assert by_measure["hazard ratio"].parameters["estimate_lower"] == hazard.lower
    (grid,) = of(result, "truncation grid")
    assert "from the jackknife" in grid.assumptions[-1]
    assert grid.table[0]["lower"] != hazard.lower
