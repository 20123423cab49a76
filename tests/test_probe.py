"""The analyses of one study as a study file asks for them: which are made, with which options, and how they read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from small_study import STUDY, cohort, write_study

from causal_s4.errors import InputError, UsageError
from causal_s4.probe import ANALYSES, plan
from causal_s4.protocol.protocol import Protocol
from causal_s4.results import SensitivityResult, StudyResult
from causal_s4.study import Study

CONTRACT = {
    "e-value",
    "bias factor",
    "confounder array",
    "tipping point",
    "probabilistic bias analysis",
    "leave one out",
    "simulated confounder",
    "marginal sensitivity model",
    "rosenbaum bounds",
    "negative control",
    "truncation grid",
    "trimming grid",
    "estimand switch",
    "early deaths excluded",
    "informative censoring",
    "loss bounds",
    "refuter",
    "specification curve",
}
VERDICTS = re.compile(r"\b(robust|valid|safe|trustworthy|reassuring|unlikely|convincing)\b", re.IGNORECASE)


def run(folder: Path, blocks: str = "", **files: object) -> StudyResult:
    return Study.read(write_study(folder, study=STUDY + blocks, **files)).run()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return run(tmp_path_factory.mktemp("everything"))


def of(result: StudyResult, method: str) -> list[SensitivityResult]:
    return [each for each in result.sensitivity if each.method == method]


def test_without_blocks_all_that_apply_are_made(everything: StudyResult) -> None:
    assert {each.method for each in everything.sensitivity} == CONTRACT
    made = [each for each in everything.sensitivity if each.value is not None or each.table]
    # with 240 patients a matched comparison may have no gamma to report; all others have an answer
    assert {each.method for each in everything.sensitivity if each not in made} <= {"rosenbaum bounds"}


def test_every_result_says_its_direction_and_assumptions_and_gives_no_verdict(everything: StudyResult) -> None:
    for each in everything.sensitivity:
        assert each.direction, each.method
        assert each.assumptions, each.method
        assert each.target.get("measure"), each.method
        words = " ".join([each.direction, *each.assumptions, *(f.message for f in each.findings)])
        assert not VERDICTS.search(words), words


def test_what_was_assumed_and_found_can_be_written_as_json(everything: StudyResult) -> None:
    for each in everything.sensitivity:
        text = json.dumps([dict(each.parameters), dict(each.target), [dict(row) for row in each.table]])
        assert "array" not in text
    assert len(json.loads(everything.to_json())["sensitivity"]) == len(everything.sensitivity)


def test_what_an_analysis_found_reaches_the_reader(everything: StudyResult) -> None:
    own = [finding for each in everything.sensitivity for finding in each.findings]
    assert own
    assert set(map(id, own)) <= set(map(id, everything.findings))


def test_e_values_prefer_the_risk_of_the_event_and_agree_with_the_effects(everything: StudyResult) -> None:
    by_measure = {each.target["measure"]: each for each in of(everything, "e-value")}
    assert by_measure["risk ratio"].parameters["preferred"]
    survival = {
        arm: everything.effects.one(analysis="weighted", measure="survival", arm=arm).value
        for arm in ("treated", "control")
    }
    # the definition: B + sqrt(B (B - 1)) of the ratio of risks
    ratio = (1 - survival["treated"]) / (1 - survival["control"])
    bias = max(ratio, 1 / ratio)
    assert by_measure["risk ratio"].value == pytest.approx(bias + np.sqrt(bias * (bias - 1)))


def test_the_same_analysis_alone_gives_the_same_numbers(everything: StudyResult, tmp_path: Path) -> None:
    blocks = "\n[sensitivity.refuter]\n[sensitivity.informative-censoring]\n[sensitivity.simulated-confounder]\n"
    alone = run(tmp_path, blocks)
    assert {each.method for each in alone.sensitivity} == {"refuter", "informative censoring", "simulated confounder"}
    for each in alone.sensitivity:
        same = [other for other in of(everything, each.method) if other.parameters == each.parameters]
        assert [other.table for other in same] == [each.table]


def test_options_reach_the_analysis(tmp_path: Path) -> None:
    blocks = """
[sensitivity.truncation-grid]
quantiles = [[0.1, 0.9]]
[sensitivity.marginal-sensitivity-model]
lambdas = [1.4]
[sensitivity.leave-one-out]
groups = { burden = ["age", "sites"] }
[sensitivity.probabilistic-bias-analysis]
priors = ["frailty", "responder"]
draws = 2000
"""
    result = run(tmp_path, blocks)
    assert [row["upper_quantile"] for row in of(result, "truncation grid")[0].table] == [1.0, 0.9]
    assert {each.parameters["lambda"] for each in of(result, "marginal sensitivity model")} == {1.4}
    groups = [each for each in of(result, "leave one out") if "sentence" in each.parameters]
    assert "burden" in [row["covariate"] for row in groups[0].table]
    # each prior by itself, then both
    assert [len(each.parameters["priors"]) for each in of(result, "probabilistic bias analysis")] == [1, 1, 2]


def test_a_simulated_confounder_moves_weighted_curves_too(tmp_path: Path) -> None:
    blocks = """
[sensitivity.simulated-confounder]
log_odds_of_treatment = [0.0, 1.0]
log_hazard_ratio = [-1.5]
survival = true
"""
    result = run(tmp_path, blocks)
    weighted = of(result, "simulated confounder")[1]
    nothing, something = weighted.table
    hazard = result.effects.one(analysis="weighted", measure="hazard ratio")
    difference = result.effects.one(analysis="weighted", measure="survival difference")
    # without a link to treatment the confounder moves little; one that spares the treated made them look better
    assert nothing["value"] == pytest.approx(hazard.value, rel=0.1)
    assert something["value"] > hazard.value * 1.1
    assert something["survival_difference"] < difference.value


def test_everything_wrong_with_the_blocks_is_said_at_once(tmp_path: Path) -> None:
    blocks = """
[sensitivity.truncation-grid]
quantile = [[0.1, 0.9]]
[sensitivity.early-deaths-excluded]
within = ["a month"]
[sensitivity.misclassification]
column = "sites"
[sensitivity.grace-period-grid]
"""
    protocol = Protocol.read(write_study(tmp_path, study=STUDY + blocks))
    with pytest.raises(InputError) as caught:
        plan(protocol)
    places = [problem.where for problem in caught.value.problems]
    assert places == [
        "sensitivity.truncation-grid.quantile",
        "sensitivity.early-deaths-excluded.within",
        "sensitivity.misclassification.sensitivity",
        "sensitivity.misclassification.specificity",
        "sensitivity.grace-period-grid",
    ]
    assert "quantiles" in str(caught.value.problems[0])


def test_an_analysis_that_cannot_be_made_says_so_and_stops_nothing(tmp_path: Path) -> None:
    # everybody dies: nobody is lost, and the simulated confounder has no censoring to learn from
    result = run(tmp_path, frame=cohort().assign(death=1))
    (simulated,) = of(result, "simulated confounder")
    assert simulated.value is None
    assert simulated.findings[0].code == "sensitivity-not-possible"
    assert "event" in simulated.findings[0].message
    assert {"loss bounds", "informative censoring"} == CONTRACT - {each.method for each in result.sensitivity}


def test_a_block_without_effect_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no benchmark"):
        run(tmp_path, "\n[sensitivity.rct-benchmark]\n")


def test_control_outcomes_are_read_from_the_file_of_the_cohort(tmp_path: Path) -> None:
    frame = cohort()
    generator = np.random.default_rng(4)
    frame["fall_months"] = np.minimum(generator.exponential(40, len(frame)), frame["os_months"])
    frame["fall"] = (frame["fall_months"] < frame["os_months"]).astype(int)
    blocks = """
[sensitivity.negative-control]
calibrate = true
[[sensitivity.negative-control.outcome]]
name = "Falls"
time = "fall_months"
event = "fall"
event_value = 1
"""
    results = of(run(tmp_path, blocks, frame=frame), "negative control")
    falls = results[-1]
    assert [row["control"] for row in falls.table] == ["Falls"]
    # falls happen at random: the interval covers one
    assert falls.table[0]["lower"] < 1 < falls.table[0]["upper"]
    assert falls.table[0]["calibrated_lower"] < falls.table[0]["calibrated"] < falls.table[0]["calibrated_upper"]


def test_every_block_of_a_baseline_design_is_a_method_of_the_contract() -> None:
    assert {name.replace("-", " ") if name != "e-value" else name for name in ANALYSES} >= CONTRACT - {"e-value"}
