"""What other people's scripts and files build on: names, signatures and shapes, used as they are promised.

Numbers are checked elsewhere; where one is compared here, it is with another way to the same number.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_study import DAG, STARTING, STUDY, cohort, with_starts, write_study

import causal_s4 as s4
from causal_s4.cli import main
from causal_s4.errors import ProtocolError, UsageError

ROOT = Path(__file__).parents[1]
POPULATIONS = ("ATE", "ATT", "ATC", "ATO", "ATM")


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@dataclass(frozen=True)
class Run:
    """A study that was run, and the folder it left."""

    result: Any
    folder: Path
    study: Path

    @property
    def json(self) -> dict[str, Any]:
        return json.loads((self.folder / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    here = tmp_path_factory.mktemp("contract")
    study = write_study(here)
    result = s4.Study.read(study).run(jobs=2)
    result.write(here / "out")
    return Run(result=result, folder=here / "out", study=study)


# --- what a run leaves --------------------------------------------------------------------------


def test_the_folder_holds_report_results_tables_figures_and_the_resolved_protocol(done: Run) -> None:
    names = {path.relative_to(done.folder).as_posix() for path in done.folder.rglob("*") if path.is_file()}
    assert {"report.html", "results.json", "protocol.resolved.toml"} <= names
    assert any(re.fullmatch(r"tables/[\w-]+\.csv", name) for name in names)
    svg = {name for name in names if re.fullmatch(r"figures/[\w-]+\.svg", name)}
    png = {name for name in names if re.fullmatch(r"figures/[\w-]+\.png", name)}
    assert svg
    assert {name.removesuffix(".png") for name in png} <= {name.removesuffix(".svg") for name in svg}
    for name in svg:
        assert ET.parse(done.folder / name).getroot().tag.endswith("svg")
    for name in png:
        assert (done.folder / name).read_bytes().startswith(b"\x89PNG")


def test_nothing_but_the_folder_is_left(done: Run) -> None:
    assert {path.name for path in done.study.parent.iterdir()} == {"study.toml", "small.dag", "cohort.csv", "out"}


def test_the_resolved_protocol_states_the_same_question_with_every_default(done: Run) -> None:
    text = (done.folder / "protocol.resolved.toml").read_text(encoding="utf-8")
    assert s4.Protocol.parse(text) == s4.Protocol.read(done.study)
    assert 'ties = "efron"' in text


def test_the_page_stands_alone_behind_its_content_security_policy(done: Run) -> None:
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy
    assert "default-src 'none'" in policy[1].replace("&#39;", "'")
    assert not re.search(r"""(?:src|href)=["'](?!#|data:|https://doi\.org)""", page)


# --- results.json -------------------------------------------------------------------------------

NUMBER, NUMBER_OR_NULL = (int, float), (int, float, type(None))
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "provenance": {"causal_s4": str, "packages": dict, "data_sha256": str, "protocol_sha256": str},
    "cohort": {"n": int, "treated": int, "control": int, "events": dict, "attrition": list},
    "adjustment": {"set": list, "alternatives": list, "verdict": str, "untested_assumptions": list},
    "weights": {
        "population": str,
        "method": str,
        "ess_treated": NUMBER,
        "ess_control": NUMBER,
        "max": NUMBER,
        "truncated": int,
        "trimmed": int,
    },
}
ROWS: Mapping[str, Mapping[str, Any]] = {
    "balance": {
        "term": str,
        "kind": str,
        **dict.fromkeys(
            (
                "smd_before",
                "smd_after",
                "variance_ratio_before",
                "variance_ratio_after",
                "ks_before",
                "ks_after",
            ),
            NUMBER_OR_NULL,
        ),
    },
    "estimates": {
        **dict.fromkeys(("outcome", "analysis", "population", "measure", "unit", "variance"), str),
        "arm": (str, type(None)),
        **dict.fromkeys(("horizon", "value", "std_error", "lower", "upper", "p_value"), NUMBER_OR_NULL),
        "level": float,
        "n": int,
        "events": int,
        "ess": NUMBER,
    },
    "sensitivity": {"method": str, "target": dict, "parameters": dict, "value": NUMBER_OR_NULL},
    "findings": {"code": str, "severity": str, "step": str, "message": str, "numbers": dict},
}


def assert_shape(record: Mapping[str, Any], shape: Mapping[str, Any]) -> None:
    for key, kind in shape.items():
        assert key in record
        assert isinstance(record[key], kind), (key, record[key])


def test_results_are_utf8_with_sorted_keys_and_nothing_that_is_not_json(done: Run) -> None:
    text = (done.folder / "results.json").read_bytes().decode("utf-8")
    assert text == done.result.to_json()
    loaded = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert text == json.dumps(loaded, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def test_results_have_the_promised_keys_and_types(done: Run) -> None:
    found = done.json
    assert found["schema"] == "causal-s4/results/1"
    assert (found["title"], found["seed"]) == ("Surgery in a small cohort", 7)
    assert isinstance(found["sensitivity"], list)
    for key, shape in SHAPES.items():
        assert_shape(found[key], shape)
    for key, shape in ROWS.items():
        assert found[key]
        for row in found[key]:
            assert_shape(row, shape)
    for step in found["cohort"]["attrition"]:
        assert_shape(step, {"step": str, "n": int, "excluded": int})


def test_results_speak_the_promised_words(done: Run) -> None:
    found = done.json
    assert found["adjustment"]["verdict"] in ("adjust", "none needed", "not identified")
    assert {row["kind"] for row in found["balance"]} <= {"continuous", "binary", "level"}
    assert {finding["severity"] for finding in found["findings"]} <= {"note", "caution", "serious"}
    assert {each["arm"] for each in found["estimates"]} == {None, "treated", "control"}
    assert {each["analysis"] for each in found["estimates"]} == {"naive", "multivariable", "weighted"}
    of_an_arm, of_both = {"survival", "rmst", "median survival"}, {"hazard ratio"}
    of_both |= {f"{measure} {kind}" for measure in ("survival", "rmst") for kind in ("difference", "ratio")}
    for each in found["estimates"]:
        assert each["measure"] in (of_an_arm if each["arm"] else of_both)
        assert (each["horizon"] is None) == (each["measure"] in ("hazard ratio", "median survival"))
    assert {each["measure"] for each in found["estimates"]} == of_an_arm | of_both


def test_floats_keep_their_full_precision(done: Run) -> None:
    first = done.result.effects.one(analysis="naive", measure="hazard ratio")
    stored = next(each for each in done.json["estimates"] if each["measure"] == "hazard ratio")
    assert (stored["value"], stored["std_error"]) == (first.value, first.std_error)


def test_differences_and_ratios_are_treated_against_control_in_the_unit_of_the_data(done: Run) -> None:
    for analysis in ("naive", "weighted"):
        effects = done.result.effects.where(analysis=analysis)
        for measure, unit in (("survival", "probability"), ("rmst", "months")):
            treated, control = (effects.one(measure=measure, arm=arm) for arm in ("treated", "control"))
            difference = effects.one(measure=f"{measure} difference")
            assert difference.value == pytest.approx(treated.value - control.value, abs=1e-12)
            assert effects.one(measure=f"{measure} ratio").value == pytest.approx(treated.value / control.value)
            assert (difference.horizon, difference.unit) == (24.0, unit)


def test_intervals_of_ratios_are_made_on_the_log_scale(done: Run) -> None:
    for each in done.result.effects:
        if each.unit == "ratio":
            spread = 1.959963984540054 * each.std_error
            assert each.lower == pytest.approx(each.value * math.exp(-spread))
            assert each.upper == pytest.approx(each.value * math.exp(spread))


def test_checksums_are_those_of_the_files(done: Run) -> None:
    import hashlib

    data = hashlib.sha256((done.study.parent / "cohort.csv").read_bytes()).hexdigest()
    assert done.json["provenance"]["data_sha256"] == data
    assert re.fullmatch("[0-9a-f]{64}", done.json["provenance"]["protocol_sha256"])


def test_the_flow_ends_with_the_patients_analysed(done: Run) -> None:
    found = done.json["cohort"]
    assert found["attrition"][-1]["n"] == found["n"] == found["treated"] + found["control"] == 240
    assert found["events"]["Overall survival"]["total"] == int(cohort()["death"].sum())


# --- the Python interface -----------------------------------------------------------------------


def test_a_result_has_the_promised_parts(done: Run) -> None:
    for name in ("effects", "curves", "balance", "weights", "adjustment", "sensitivity", "findings"):
        assert hasattr(done.result, name)
    frame = done.result.effects.to_frame()
    assert len(frame) == len(done.result.effects)
    assert list(frame.columns) == list(inspect.signature(type(next(iter(done.result.effects)))).parameters)
    assert set(ROWS["estimates"]) <= set(frame.columns)


@pytest.mark.parametrize("part", ["cohort", "adjustment", "weights", "balance", "positivity", "effects"])
def test_every_result_is_a_table_too(done: Run, part: str) -> None:
    assert isinstance(getattr(done.result, part).to_frame(), pd.DataFrame)


def test_a_graph_answers_the_promised_questions() -> None:
    dag = s4.Dag.parse("dag { age -> surgery; age -> death; surgery [exposure]; death [outcome]; surgery -> death }")
    assert dag.adjustment_sets() == [frozenset({"age"})]
    verdict = dag.verdict(["age"])
    assert verdict
    assert (verdict.sufficient, verdict.kind, verdict.open_paths) == (True, "sufficient", ())
    assert dag.implied_independencies() == []
    frame = pd.DataFrame({name: np.arange(20.0) % k for name, k in (("age", 7), ("surgery", 2), ("death", 3))})
    assert dag.test(frame).empty


def test_implied_independencies_name_their_nodes_and_are_tested() -> None:
    dag = s4.Dag.parse("dag { a -> b -> c }")
    (one,) = dag.implied_independencies()
    assert ({one.x, one.y}, tuple(one.given)) == ({"a", "c"}, ("b",))
    rng = np.random.default_rng(5)
    a = rng.normal(size=500)
    b = a + rng.normal(size=500)
    tested = dag.test(pd.DataFrame({"a": a, "b": b, "c": b + rng.normal(size=500)}))
    assert set(tested.columns) >= {"x", "y", "given", "estimate", "p_value", "p_adjusted", "n"}
    assert len(tested) == 1


@pytest.mark.parametrize(
    ("text", "names", "kind"),
    [
        ("dag { x [exposure]; y [outcome]; x -> y; z -> y }", [], "none needed"),
        ("dag { x [exposure]; y [outcome]; x -> y; z -> {x y} }", ["z"], "sufficient"),
        ("dag { x [exposure]; y [outcome]; x -> y; z -> {x y} }", [], "insufficient"),
        ("dag { x [exposure]; y [outcome]; x -> y; u [latent]; u -> {x y} }", [], "not identified"),
    ],
)
def test_the_four_verdicts(text: str, names: list[str], kind: str) -> None:
    verdict = s4.Dag.parse(text).verdict(names)
    assert verdict.kind == kind
    assert bool(verdict) is verdict.sufficient is (kind in ("none needed", "sufficient"))
    assert verdict.reasons
    assert bool(verdict.open_paths) is not bool(verdict)


def test_sets_are_minimal_smallest_first_and_hold_the_nodes_marked_as_adjusted() -> None:
    text = "dag { x [exposure]; y [outcome]; x -> y; a -> x; a -> b -> c -> y; a -> d -> y; m -> x MARK }"
    sets = s4.Dag.parse(text.replace("MARK", "")).adjustment_sets()
    assert sets[0] == frozenset({"a"})
    assert [len(each) for each in sets] == sorted(len(each) for each in sets)
    marked = s4.Dag.parse(text.replace("MARK", "; b [adjusted]")).adjustment_sets()
    assert marked
    assert all("b" in each for each in marked)


ROTTERDAM = {
    "id": "pid",
    "treatment": "hormon",
    "treated": 1,
    "control": 0,
    "time": "dtime",
    "event": "death",
    "event_value": 1,
    "time_unit": "days",
    "covariates": ["age", "size"],
}


@pytest.fixture(scope="module")
def rotterdam() -> Any:
    return s4.Cohort.from_frame(pd.read_csv(ROOT / "data" / "rotterdam.csv"), **ROTTERDAM)


def weigh(source: Any, population: str) -> Any:
    return s4.weigh(
        source,
        population=population,
        method="logistic",
        splines={},
        log1p=[],
        stabilise=False,
        truncate=None,
        trim=None,
    )


@pytest.mark.parametrize("population", POPULATIONS)
def test_weights_balance_and_positivity_of_a_cohort(rotterdam: Any, population: str) -> None:
    weights = weigh(rotterdam, population)
    assert weights.values.shape == weights.propensity.shape == (len(rotterdam),) == (2982,)
    assert (weights.population, weights.method) == (population, "logistic")
    assert weights.normalisation
    frame = s4.check_balance(rotterdam, weights).to_frame()
    assert list(frame["term"]) == ["age", "size=20-50", "size=<=20", "size=>50"]
    assert list(frame["kind"]) == ["continuous", "level", "level", "level"]
    assert s4.check_positivity(rotterdam, weights).overlap_coefficient > 0


def test_there_is_no_default_population(rotterdam: Any) -> None:
    with pytest.raises(TypeError, match="population"):
        s4.weigh(rotterdam)


def test_curves_and_effects_of_a_cohort(rotterdam: Any) -> None:
    weights = weigh(rotterdam, "ATE")
    for given in (weights, None):
        curves = s4.survival_curves(rotterdam, given)
        assert list(curves) == ["treated", "control"]
        assert curves["treated"].at(0) == 1
        assert {curve.analysis for curve in curves.values()} == {"weighted" if given else "naive"}
    frame = s4.estimate_effects(
        rotterdam, weights, horizons=[365.25, 1826.25], ties="efron", variance="influence"
    ).to_frame()
    assert set(frame["analysis"]) == {"weighted", "naive"}
    assert set(frame["horizon"].dropna()) == {365.25, 1826.25}
    assert set(frame["variance"]) == {"influence"}
    naive = s4.estimate_effects(rotterdam, horizons=[365.25]).to_frame()
    assert set(naive["analysis"]) == {"naive"}


def test_weights_of_ones_own_are_taken_and_the_interval_says_so(rotterdam: Any) -> None:
    own = s4.Weights.given(weigh(rotterdam, "ATO").values)
    frame = s4.estimate_effects(rotterdam, own, horizons=[365.25]).to_frame()
    variance = set(frame.loc[frame["analysis"] == "weighted", "variance"])
    assert len(variance) == 1
    assert "not accounted for" in variance.pop()


def test_weights_of_the_wrong_number_are_refused(rotterdam: Any) -> None:
    with pytest.raises(UsageError, match="expected 2982 weights, one a patient; found 3"):
        s4.estimate_effects(rotterdam, s4.Weights.given([1, 1, 1]))


def test_simulated_cohorts_and_their_truth() -> None:
    frame = s4.simulate("stage4", n=157, seed=1)
    assert len(frame) == 157
    pd.testing.assert_frame_equal(frame, s4.simulate("stage4", n=157, seed=1))
    assert not frame.equals(s4.simulate("stage4", n=157, seed=2))
    truth = s4.true_effects("stage4").to_frame()
    assert {"measure", "value"} <= set(truth.columns)


def test_evalue_of_a_hazard_ratio_of_a_common_outcome() -> None:
    # VanderWeele & Ding 2017, 10.7326/M16-2607: the risk ratio's square-root approximation, then RR + sqrt(RR(RR - 1))
    def expected(hazard_ratio: float, common: bool) -> float:
        ratio = hazard_ratio
        if common:
            ratio = (1 - 0.5 ** math.sqrt(hazard_ratio)) / (1 - 0.5 ** math.sqrt(1 / hazard_ratio))
        inverse = 1 / ratio
        return inverse + math.sqrt(inverse * (inverse - 1))

    common = s4.evalue(hazard_ratio=0.65, lower=0.55, upper=0.76, outcome="common")
    assert common.value == pytest.approx(expected(0.65, True), rel=1e-12)
    assert common.bound == pytest.approx(expected(0.76, True), rel=1e-12)
    rare = s4.evalue(hazard_ratio=0.65, lower=0.55, upper=0.76, outcome="rare")
    assert (rare.value, rare.bound) == (pytest.approx(expected(0.65, False)), pytest.approx(expected(0.76, False)))
    assert s4.evalue(hazard_ratio=0.9, lower=0.7, upper=1.1, outcome="common").bound == 1


def test_rosenbaum_bounds_from_pairs_and_from_counts() -> None:
    pairs = pd.DataFrame(
        {
            "treated_time": [5.0, 7.0, 9.0, 8.0, 9.0, 4.0],
            "treated_event": [0, 1, 0, 0, 1, 1],
            "control_time": [2.0, 3.0, 1.0, 6.0, 4.0, 8.0],
            "control_event": [1, 1, 1, 1, 1, 0],
        }
    )
    from_pairs = s4.rosenbaum_bounds(pairs, gamma=[1, 2])
    from_counts = s4.rosenbaum_bounds(treated_first=1, control_first=5, gamma=[1, 2])
    assert from_pairs.table == from_counts.table
    # without hidden bias, a sign test: P(Bin(6, 1/2) >= 5) = 7/64
    assert from_counts.table[0]["p_upper"] == pytest.approx(7 / 64)


def test_the_tipping_point_solves_for_what_is_left_out() -> None:
    known = {"effect": 0.7, "prevalence_treated": 0.2, "prevalence_control": 0.5}
    strength = s4.tipping_point(**known).value
    assert strength is not None
    found = s4.tipping_point(effect=0.7, prevalence_treated=0.2, confounder_hazard_ratio=strength).value
    assert found == pytest.approx(0.5)


def test_a_long_table_becomes_a_risk_table_that_the_same_verbs_take() -> None:
    frame = pd.DataFrame(
        {
            "who": [1, 1, 2, 3, 4, 4, 5, 6],
            "from": [0, 2, 0, 0, 0, 3, 0, 0],
            "to": [2, 5, 4, 6, 3, 7, 8, 3],
            "dead": [0, 1, 1, 0, 0, 1, 0, 1],
            "arm": [0, 0, 1, 1, 1, 1, 0, 0],
            "w": [1.0, 1.2, 0.8, 1.0, 1.0, 1.1, 0.9, 1.0],
            "age": [50, 50, 60, 55, 41, 41, 62, 48],
        }
    )
    names = {"id": "who", "start": "from", "stop": "to", "event": "dead", "arm": "arm"}
    plain = s4.RiskTable.from_frame(frame, **names, weight=None, covariates=[])
    assert (len(plain), plain.n_patients) == (8, 6)
    weighted = s4.RiskTable.from_frame(frame, **names, weight="w", covariates=["age"])
    assert list(weighted.covariates["age"]) == [50, 60, 55, 41, 62, 48]
    effects = s4.estimate_effects(weighted, horizons=[4])
    assert "not accounted for" in effects.one(measure="hazard ratio", analysis="weighted").variance
    assert s4.survival_curves(plain)["control"].at(3) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (
            lambda: s4.Cohort.from_frame,
            "frame id treatment treated control time event event_value time_unit covariates",
        ),
        (lambda: s4.weigh, "cohort population method splines log1p interactions stabilise truncate trim"),
        (lambda: s4.estimate_effects, "weights horizons ties variance replicates seed jobs"),
        (lambda: s4.evalue, "hazard_ratio lower upper outcome"),
        (lambda: s4.rosenbaum_bounds, "pairs gamma treated_first control_first"),
        (lambda: s4.tipping_point, "effect prevalence_treated prevalence_control confounder_hazard_ratio"),
        (lambda: s4.RiskTable.from_frame, "frame id start stop event arm weight covariates"),
        (lambda: s4.Study.run, "jobs"),
    ],
    ids=["from_frame", "weigh", "estimate_effects", "evalue", "rosenbaum_bounds", "tipping_point", "risk table", "run"],
)
def test_parameters_have_the_promised_names(function: Callable[[], Callable[..., Any]], names: str) -> None:
    assert set(names.split()) <= set(inspect.signature(function()).parameters)


# --- settled details ----------------------------------------------------------------------------


def test_a_study_names_its_nodes_when_the_columns_have_other_names(tmp_path: Path) -> None:
    study = STUDY.replace('column = "surgery"', 'column = "surgery"\nnode = "operation"')
    study = study.replace('event = "death"', 'event = "death"\nnode = "dying"')
    study = study.replace('file = "small.dag"', 'file = "small.dag"\n[dag.columns]\nburden = ["sites", "pr_status"]')
    dag = "dag { operation [exposure]; dying [outcome]; operation -> dying; {age burden} -> {operation dying} }"
    found = s4.Study.read(write_study(tmp_path, study=study, dag=dag)).check(ask_dowhy=False)
    assert found.adjustment.nodes == ("age", "burden")
    assert found.adjustment.columns == ("age", "sites", "pr_status")


def test_a_covariate_of_two_levels_has_one_row_of_balance(done: Run) -> None:
    rows = {row["term"]: row["kind"] for row in done.json["balance"]}
    assert rows == {"age": "continuous", "pr_status=positive": "binary", "sites": "continuous"}


def test_every_outcome_has_its_naive_estimates_beside_the_weighted(done: Run) -> None:
    def what(analysis: str) -> set[tuple[str, str, str | None, float | None]]:
        return {
            (each.outcome, each.measure, each.arm, each.horizon)
            for each in done.result.effects.where(analysis=analysis)
        }

    assert what("naive") == what("weighted")


DESIGNS = {
    "landmark": 'landmark = "3 months"\n[sensitivity.e-value]\n',
    "time-dependent": "",
    "clone-censor-weight": 'grace_period = "6 months"\n',
}


def designed(design: str, folder: Path) -> Any:
    """Run the study that says when surgery was done, under a design for that."""
    study = STARTING if design == "landmark" else STARTING.replace('[estimand]\npopulation = "ATO"\n', "")
    study = f'{study}[time_zero]\ndesign = "{design}"\n{DESIGNS[design]}'
    return s4.Study.read(write_study(folder, study=study, frame=with_starts())).run()


@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_emits_its_own_and_the_naive_estimates(design: str, tmp_path: Path) -> None:
    result = designed(design, tmp_path)
    naive = result.effects.where(analysis="naive", measure="hazard ratio")
    own = result.effects.where(analysis=design, measure="hazard ratio")
    assert len(naive) == 1
    assert len(own) >= 1
    assert json.loads(result.to_json())["schema"] == "causal-s4/results/1"


def test_a_landmark_counts_from_itself_and_lists_whom_it_left_out(tmp_path: Path) -> None:
    result, frame = designed("landmark", tmp_path), with_starts()
    followed = frame[frame["os_months"] > 3]
    treated = followed["start"] <= 3
    steps = result.cohort.attrition
    assert result.cohort.n == steps[-1].n == len(followed)
    assert sum(step.excluded for step in steps) == 240 - len(followed)
    assert result.cohort.treated == int(treated.sum())
    source = s4.Cohort.from_frame(
        followed.assign(surgery=treated.astype(int), os_months=lambda table: table["os_months"] - 3),
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
    )
    for expected in s4.estimate_effects(source, horizons=[24.0]).where(measure="survival difference"):
        found = result.effects.one(analysis="landmark", population="unadjusted", measure="survival difference")
        assert (found.horizon, found.value) == (24.0, pytest.approx(expected.value, rel=1e-12))


def test_cloned_strategies_speak_about_all_eligible_patients(tmp_path: Path) -> None:
    result = designed("clone-censor-weight", tmp_path)
    cloned = result.effects.where(analysis="clone-censor-weight")
    assert {each.population for each in cloned} == {"ATE"}
    assert result.cohort.n == 240
    assert len(result.effects.where(analysis="clone-censor-unweighted", measure="hazard ratio")) == 1


def test_sizes_and_largest_weight_are_of_the_weights_as_used() -> None:
    frame = cohort()
    source = s4.Cohort.from_frame(
        frame,
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
        covariates=["age", "sites"],
    )
    weights = s4.weigh(source, population="ATE", stabilise=True, truncate=(0.05, 0.95))
    from causal_s4.propensity.weights import summarise_weights

    summary = summarise_weights(source, weights)
    assert summary.max == weights.values.max()
    for arm, found in ((1, summary.ess_treated), (0, summary.ess_control)):
        w = weights.values[source.treatment == arm]
        assert found == pytest.approx(w.sum() ** 2 / (w**2).sum())


def test_a_study_with_nothing_to_adjust_for_runs_and_says_why(tmp_path: Path) -> None:
    dag = "dag { surgery [exposure]; death [outcome]; surgery -> death; age -> death }"
    result = s4.Study.read(write_study(tmp_path, dag=dag)).run()
    assert (result.adjustment.verdict, result.adjustment.nodes) == ("none needed", ())
    for weighted in result.effects.where(analysis="weighted"):
        naive = result.effects.one(
            analysis="naive", measure=weighted.measure, arm=weighted.arm, horizon=weighted.horizon
        )
        assert (weighted.value, weighted.std_error) == (naive.value, naive.std_error)
        assert (weighted.lower, weighted.upper) == (naive.lower, naive.upper)
    assert any("nothing" in finding.message.lower() for finding in result.findings)
    assert result.weights.max == 1


def test_zero_times_become_half_a_unit_when_the_study_says_so(tmp_path: Path) -> None:
    frame = cohort()
    frame.loc[[3, 8], "os_months"] = 0
    study = STUDY.replace('time_unit = "months"', 'time_unit = "months"\nzero_time = "half"')
    found = s4.Study.read(write_study(tmp_path, study=study, frame=frame)).check(ask_dowhy=False)
    (finding,) = [each for each in found.findings if each.code == "zero-time"]
    assert finding.numbers["patients"] == 2
    source = s4.Cohort.from_frame(
        frame,
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
        zero_time="half",
    )
    assert list(source.outcome().time[[3, 8]]) == [0.5, 0.5]


def test_values_that_look_like_a_missing_code_are_kept_and_named(tmp_path: Path) -> None:
    frame = cohort()
    frame.loc[[3, 8], "age"] = 99
    found = s4.Study.read(write_study(tmp_path, frame=frame)).check(ask_dowhy=False)
    (finding,) = [each for each in found.findings if each.code == "looks-like-missing"]
    assert "age" in finding.message
    assert found.cohort.n == 240


@pytest.mark.parametrize(
    ("design", "block", "words"),
    [
        ('design = "baseline"', "", "estimand: missing"),
        ('design = "landmark"\nlandmark = "6 months"', "", "estimand: missing"),
        ('design = "time-dependent"', '[estimand]\npopulation = "ATE"\n', "estimand: would have no effect"),
        ('design = "time-dependent"', "[propensity]\n", "propensity: would have no effect"),
        (
            'design = "clone-censor-weight"\ngrace_period = "6 months"',
            "[propensity]\n",
            "propensity: would have no effect",
        ),
        (
            'design = "clone-censor-weight"\ngrace_period = "6 months"',
            '[estimand]\npopulation = "ATO"\n',
            '"ATO" is not possible with design "clone-censor-weight"',
        ),
        (
            'design = "baseline"',
            '[estimand]\npopulation = "ATO"\n[initiation]\nsplines = { age = 4 }\n',
            "initiation: would have no effect",
        ),
    ],
)
def test_blocks_belong_to_designs(design: str, block: str, words: str) -> None:
    text = STUDY.replace('[estimand]\npopulation = "ATO"\n', "").replace("control = 0", 'control = 0\nstart = "start"')
    with pytest.raises(ProtocolError) as refused:
        s4.Protocol.parse(f"{text}[time_zero]\n{design}\n{block}")
    assert words in str(refused.value)


def test_clones_speak_about_everyone_and_need_no_estimand() -> None:
    text = STUDY.replace('[estimand]\npopulation = "ATO"\n', "").replace("control = 0", 'control = 0\nstart = "start"')
    protocol = s4.Protocol.parse(f'{text}[time_zero]\ndesign = "clone-censor-weight"\ngrace_period = "6 months"\n')
    assert protocol.estimand is not None
    assert protocol.estimand.population == "ATE"
    assert protocol.propensity is None


# --- the command line ---------------------------------------------------------------------------


def test_the_command_for_an_evalue_is_as_promised() -> None:
    expected = s4.evalue(hazard_ratio=0.56, lower=0.46, upper=0.69, outcome="common")
    numbers = [float(each) for each in re.findall(r": (\d\.\d+)", invoke("evalue", 0.56, 0.46, 0.69, "--common"))]
    assert numbers == [pytest.approx(expected.value, abs=1e-6), pytest.approx(expected.bound, abs=1e-6)]


@pytest.mark.parametrize("command", ["run", "check", "dag", "simulate", "init", "schema", "evalue"])
def test_every_promised_command_explains_itself(command: str) -> None:
    assert f"{command} [OPTIONS]" in invoke(command, "--help")


def test_the_schema_is_that_of_study_files() -> None:
    schema = json.loads(invoke("schema"))
    assert {"data", "dag", "treatment", "outcome", "estimand", "propensity", "inference"} <= set(schema["properties"])
    assert schema["$schema"].startswith("https://json-schema.org/")


def test_values_of_results_are_plain_numbers(done: Run) -> None:
    for each in done.result.effects:
        assert each.value is None or (isinstance(each.value, Real) and not isinstance(each.value, np.generic))


def test_the_graph_of_the_small_study_is_what_these_tests_take_it_for() -> None:
    assert s4.Dag.parse(DAG).adjustment_sets() == [frozenset({"age", "sites", "pr_status"})]
