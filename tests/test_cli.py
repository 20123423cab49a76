"""The command line: what each command prints and writes, and how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from small_study import COLUMNS, STUDY, cohort, write_study

import causal_s4 as s4
from causal_s4.cli import main
from causal_s4.errors import InputError, UsageError
from causal_s4.scaffold import GRAPH, MARK, scaffold


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def done(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def refused(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.stderr


# --- the whole of it ----------------------------------------------------------------------------


def test_without_a_command_the_commands_are_listed() -> None:
    result = invoke()
    assert result.exit_code == 2
    for command in ("run", "check", "dag", "simulate", "init", "schema", "evalue"):
        assert re.search(rf"^  {command} ", result.output, re.MULTILINE)


def test_help_names_the_exit_statuses() -> None:
    text = " ".join(done("--help").split())
    assert "0 done, 2 the input is wrong, 3 the cohort cannot answer the question as asked, 130 interrupted" in text


def test_the_version_is_the_packages() -> None:
    assert done("--version") == f"causal-s4, version {s4.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rum"], "No such command 'rum'"),
        (["run", "study.toml"], "Missing option '--out'"),
        (["run", "study.toml", "--outt", "x"], "No such option '--outt'"),
        (["run", "study.toml", "--out", "x", "--jobs", "0"], "0 is not in the range x>=1"),
        (["evalue", "half"], "'half' is not a valid float"),
        (["simulate", "stage4", "--n", "0", "--seed", "1", "--out", "x.csv"], "0 is not in the range"),
    ],
)
def test_usage_that_is_wrong_is_named(arguments: list[str], words: str) -> None:
    assert words in refused(*arguments)


# --- run and check ------------------------------------------------------------------------------


class _Written:
    """Takes the place of writing the report, which takes seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders: list[Any] = []
        monkeypatch.setattr("causal_s4.results.StudyResult.write", lambda result, folder: self.folders.append(folder))


def test_run_prints_the_answers_side_by_side_and_its_steps_to_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = _Written(monkeypatch)
    benchmark = '[[benchmark]]\nname = "A trial"\noutcome = "Overall survival"\nvalue = 0.9\nlower = 0.7\nupper = 1.2\nsource = "x"\n'
    result = invoke("run", write_study(tmp_path, study=STUDY + benchmark), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert written.folders == [tmp_path / "out"]
    effects = s4.Study.read(tmp_path / "study.toml").run().effects
    lines = result.stdout.splitlines()
    assert lines[0] == "Overall survival"
    for line, (analysis, population) in zip(
        lines[1:], [("naive", "unadjusted"), ("multivariable", "conditional"), ("weighted", "ATO")], strict=False
    ):
        each = effects.one(analysis=analysis, measure="hazard ratio")
        assert line.split()[:2] == [analysis, population]
        assert f"hazard ratio {each.value:.2f} (95% CI {each.lower:.2f} to {each.upper:.2f})" in line
    assert "hazard ratio 0.90 (95% CI 0.70 to 1.20): A trial" in lines[4]
    assert lines[-1] == f"Report: {tmp_path / 'out' / 'report.html'}"
    assert re.search(r"^\[ *\d+\.\d s\] Writing the report$", result.stderr, re.MULTILINE)


def test_quiet_prints_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = _Written(monkeypatch)
    assert done("run", write_study(tmp_path), "--out", tmp_path / "out", "--quiet") == ""
    assert len(written.folders) == 1


def test_check_prints_flow_verdict_and_weights_and_writes_nothing(tmp_path: Path) -> None:
    study = write_study(tmp_path, study=f"{STUDY}[eligibility]\nage = {{ at_most = 70 }}\n")
    before = sorted(tmp_path.rglob("*"))
    text = done("check", study)
    assert re.search(r"^ +\d+  age is at most 70 \(\d+ excluded\)$", text, re.MULTILINE)
    assert "Adjustment: adjust\n  set: age, pr_status, sites" in text
    assert "second opinion (dowhy): agrees" in text
    assert re.search(r"ATO: effective sample size \d+ treated, \d+ control", text)
    assert sorted(tmp_path.rglob("*")) == before


# --- graphs -------------------------------------------------------------------------------------


def test_dag_echoes_the_edges_it_read_and_what_follows_from_them(tmp_path: Path) -> None:
    write_study(tmp_path)
    text = done("dag", tmp_path / "small.dag")
    assert text.startswith("5 nodes, 7 edges\n  age -> death\n  age -> surgery\n")
    assert "Verdict on {age, pr_status, sites}: sufficient" in text
    assert "Minimal sufficient adjustment sets\n  {age, pr_status, sites}" in text
    assert "Implied independencies: 3\n  age is independent of pr_status\n" in text


def test_dag_judges_a_set_of_ones_own(tmp_path: Path) -> None:
    write_study(tmp_path)
    text = done("dag", tmp_path / "small.dag", "--adjust", "age", "--adjust", "sites")
    assert "Verdict on {age, sites}: insufficient" in text
    assert "open path: surgery <- pr_status -> death" in text
    assert "no node 'agee'; did you mean 'age'?" in refused("dag", tmp_path / "small.dag", "--adjust", "agee")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dag { a -> b }", "No verdict: mark an [exposure] and an [outcome]"),
        ("dag { a [exposure]; b [outcome]; a -> b }", "Verdict: none needed"),
        ("dag { a [exposure]; b [outcome]; a -> b; a <-> b }", "Verdict: not identified"),
    ],
)
def test_dag_never_confuses_its_verdicts(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "graph.dag"
    file.write_text(text, encoding="utf-8")
    assert words in done("dag", file)


def test_dag_draws_to_a_file_or_says_why_not(tmp_path: Path) -> None:
    write_study(tmp_path)
    drawing = tmp_path / "graph.svg"
    assert f"Drawing: {drawing}" in done("dag", tmp_path / "small.dag", "--svg", drawing)
    assert drawing.read_text(encoding="utf-8").lstrip().startswith("<svg")
    assert "cannot be written" in refused("dag", tmp_path / "small.dag", "--svg", tmp_path / "no" / "graph.svg")
    assert {path.suffix for path in tmp_path.iterdir()} == {".toml", ".dag", ".csv", ".svg"}


# --- simulated cohorts --------------------------------------------------------------------------


def test_simulate_writes_the_table_of_the_python_function_and_its_truth(tmp_path: Path) -> None:
    out = tmp_path / "women.csv"
    text = done("simulate", "stage4", "--n", 50, "--seed", 4, "--out", out, "--effect", "protective", "--truth")
    assert text == f"50 patients: {out}\nTruth: {tmp_path / 'women_truth.csv'}\n"
    expected = s4.simulate("stage4", n=50, seed=4, effect="protective")
    pd.testing.assert_frame_equal(pd.read_csv(out, keep_default_na=False), expected, check_dtype=False)
    truth = s4.true_effects("stage4", effect="protective").to_frame()
    assert len(pd.read_csv(tmp_path / "women_truth.csv")) == len(truth)


def test_simulate_writes_the_visits_of_a_scenario_that_has_some(tmp_path: Path) -> None:
    done("simulate", "stage4-timeline", "--n", 20, "--seed", 4, "--out", tmp_path / "women.csv")
    visits = pd.read_csv(tmp_path / "women_history.csv")
    assert set(visits["id"]) == set(pd.read_csv(tmp_path / "women.csv")["id"])


def test_simulate_writes_the_same_bytes_for_the_same_seed(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        done("simulate", "benign", "--n", 30, "--seed", 9, "--out", tmp_path / name)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stage5"], "unknown scenario 'stage5'"),
        (["stage4", "--effect", "huge"], "unknown effect 'huge'; expected one of null, protective, harmful"),
        (["stage4", "--set", "efect=null"], "did you mean 'effect'?"),
        (["stage4", "--set", "effect"], "expected --set NAME=VALUE; found 'effect'"),
    ],
)
def test_simulate_refuses_what_it_does_not_know(arguments: list[str], words: str, tmp_path: Path) -> None:
    out = tmp_path / "women.csv"
    assert words in refused("simulate", *arguments, "--n", 10, "--seed", 1, "--out", out)
    assert list(tmp_path.iterdir()) == []


def test_simulate_writes_csv_into_folders_that_exist(tmp_path: Path) -> None:
    assert "must end in .csv" in refused("simulate", "stage4", "--n", 10, "--seed", 1, "--out", tmp_path / "x.xlsx")
    assert "cannot be written" in refused(
        "simulate", "stage4", "--n", 10, "--seed", 1, "--out", tmp_path / "no" / "x.csv"
    )


# --- small commands -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([0], "hazard_ratio: found 0; expected a finite number above 0"),
        (["nan"], "hazard_ratio: found nan"),
        ([0.5, 0.6, 0.7], "lower: found 0.6; expected at most the estimate, 0.5"),
        ([0.5, 0.4], "without upper"),
    ],
)
def test_evalue_refuses_numbers_that_cannot_be(arguments: list[object], words: str) -> None:
    assert words in refused("evalue", *arguments)


def test_evalue_of_an_estimate_alone_has_no_second_number() -> None:
    text = done("evalue", 2, "--rare")
    assert text.startswith("E-value for the estimate: 3.414214\n")  # 2 + sqrt(2 * 1)
    assert "interval" not in text


def test_the_schema_accepts_the_small_study_and_refuses_a_mistyped_key() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(done("schema"))
    study = tomllib.loads(STUDY)
    jsonschema.validate(study, schema)
    with pytest.raises(jsonschema.ValidationError, match="time_units"):
        jsonschema.validate({**study, "data": {**study["data"], "time_units": "days"}}, schema)


# --- a study to begin with ----------------------------------------------------------------------

PLACES = {
    'title = ""': 'title = "Surgery"',
    'time_unit = ""': 'time_unit = "months"',
    'column = ""': 'column = "surgery"',
    'treated = ""': "treated = 1",
    'control = ""': "control = 0",
    '\ntime = ""': '\ntime = "os_months"',
    '\nevent = ""': '\nevent = "death"',
    'event_value = ""': "event_value = 1",
    'population = ""': 'population = "ATO"',
}


def filled_in(study: Path) -> None:
    text = study.read_text(encoding="utf-8")
    for place, answer in PLACES.items():
        assert text.count(place) == 1, place
        text = text.replace(place, answer)
    study.write_text(text, encoding="utf-8")


def drawn(graph: Path, causes: tuple[str, ...]) -> None:
    lines = graph.read_text(encoding="utf-8").replace("TREATMENT", "surgery").replace("OUTCOME", "death").splitlines()
    kept = [line.replace("//", "  ") if line.split(" ")[0] in causes else line for line in lines]
    graph.write_text("\n".join(kept), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    cohort().to_csv(tmp_path / "cohort.csv", index=False)
    return tmp_path / "cohort.csv"


def test_init_writes_a_study_and_a_graph_and_says_what_comes_next(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "mine"
    text = done("init", folder, "--data", data)
    assert text.startswith(f"Wrote {folder / 'study.toml'}\nWrote {folder / GRAPH}\n")
    assert MARK in text.splitlines()[2]
    assert {path.name for path in folder.iterdir()} == {"study.toml", GRAPH}


def test_each_open_place_of_a_new_study_is_named_with_its_line(tmp_path: Path, data: Path) -> None:
    study, _ = scaffold(tmp_path / "mine", data)
    lines = study.read_text(encoding="utf-8").splitlines()
    marked = [number for number, line in enumerate(lines, start=1) if MARK in line and not line.startswith("#")]
    assert len(marked) == len(PLACES)
    text = refused("check", study)
    assert f"study.toml has {len(PLACES)} problems" in text
    assert [int(line) for line in re.findall(r"- line (\d+):", text)] == marked


def test_a_new_study_runs_once_its_places_are_filled_in(tmp_path: Path, data: Path) -> None:
    study, graph = scaffold(tmp_path / "mine", data)
    filled_in(study)
    causes = ("age", "sites", "pr_status")
    drawn(graph, causes)
    found = s4.Study.read(study).check(ask_dowhy=False)
    assert found.adjustment.nodes == tuple(sorted(causes))
    assert (found.cohort.n, found.cohort.treated) == (240, int(cohort()["surgery"].sum()))


def test_the_lines_that_may_be_added_to_a_new_study_hold_as_they_stand(tmp_path: Path, data: Path) -> None:
    study, graph = scaffold(tmp_path / "mine", data)
    filled_in(study)
    drawn(graph, ("age",))
    text = study.read_text(encoding="utf-8").replace('# id = ""', '# id = "id"')
    study.write_text(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE), encoding="utf-8")
    protocol = s4.Protocol.read(study)
    assert (protocol.data.id, protocol.data.missing) == ("id", "complete-case")
    assert [str(each) for each in protocol.outcomes[0].horizons] == ["1 year", "5 years"]
    assert protocol.outcomes[0].competing_value == 2


def test_a_new_graph_is_refused_by_the_study_until_treatment_and_outcome_are_named(tmp_path: Path, data: Path) -> None:
    study, _ = scaffold(tmp_path / "mine", data)
    filled_in(study)
    text = refused("check", study)
    assert "the graph marks TREATMENT as exposure" in text
    assert "the graph marks OUTCOME as outcome" in text


def test_a_new_graph_lists_the_columns_and_draws_no_arrow_between_them(tmp_path: Path, data: Path) -> None:
    _, path = scaffold(tmp_path / "mine", data)
    graph = s4.Dag.read(path)
    assert graph.edges == (("TREATMENT", "OUTCOME"),)
    assert set(graph.nodes) == {"TREATMENT", "OUTCOME", *COLUMNS} - {"id"}
    assert "no two, are alike, or hold dates: id." in " ".join(path.read_text(encoding="utf-8").split())


def test_a_new_study_shows_levels_with_counts_and_no_patient(tmp_path: Path, data: Path) -> None:
    study, graph = scaffold(tmp_path / "mine", data)
    text, frame = study.read_text(encoding="utf-8"), cohort()
    positive = int((frame["pr_status"] == "positive").sum())
    assert f'"negative" ({240 - positive}), "positive" ({positive})' in text
    assert re.search(r"^#   age +numbers, \d+ different$", text, re.MULTILINE)
    assert re.search(r"^#   os_months +numbers, \d+ different$", text, re.MULTILINE)
    for value in frame["os_months"]:
        assert str(value) not in text + graph.read_text(encoding="utf-8")


def test_a_small_or_strange_table_shows_no_single_values(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "name": [f"woman {i}" for i in range(12)],
            "age": [41.5, 52.25, 63, 47, 58, 69, 71, 44, 55, 66, 77, 48],
            "visit": pd.date_range("2001-01-01", periods=12),
            "notes": [["a", "b"]] * 12,
            "nothing": [None] * 12,
            "TREATMENT": [0, 1] * 6,
            'a "quoted"\nname': [True, False] * 6,
        }
    )
    frame.to_parquet(tmp_path / "odd.parquet")
    study, graph = scaffold(tmp_path, tmp_path / "odd.parquet")
    text = study.read_text(encoding="utf-8")
    for shown in ("woman", "52.25", "2001"):
        assert shown not in text
    assert "text, 12 different" in text
    assert "lists or records" in text
    assert tomllib.loads(text)["data"]["file"] == "odd.parquet"
    read = s4.Dag.read(graph)
    assert (read.exposure, read.nodes) == ("TREATMENT_", ("OUTCOME", "TREATMENT", "TREATMENT_", "age"))


def test_the_data_is_named_relative_to_the_study(tmp_path: Path, data: Path) -> None:
    study, _ = scaffold(tmp_path / "deep" / "er", data)
    assert tomllib.loads(study.read_text(encoding="utf-8"))["data"]["file"] == "../../cohort.csv"


GIVEN = {
    "title": "Surgery and survival",
    "id": "id",
    "time-unit": "months",
    "treatment": "surgery",
    "treated": "1",
    "control": "0",
    "time": "os_months",
    "event": "death",
    "event-value": "1",
    "population": "ATO",
}
CAUSES = ("age", "sites", "pr_status")


def test_a_study_begun_with_every_answer_runs_as_it_stands(tmp_path: Path, data: Path) -> None:
    given = [part for name, value in GIVEN.items() for part in (f"--{name}", value)]
    text = done("init", tmp_path / "mine", "--data", data, *given, *(f"--confounder={name}" for name in CAUSES))
    assert MARK not in text
    found = s4.Study.read(tmp_path / "mine" / "study.toml").check(ask_dowhy=False)
    assert found.adjustment.nodes == tuple(sorted(CAUSES))
    assert (found.cohort.n, found.cohort.treated) == (240, int(cohort()["surgery"].sum()))


def test_what_is_asked_and_answered_is_what_options_give(tmp_path: Path, data: Path) -> None:
    given = [part for name, value in GIVEN.items() for part in (f"--{name}", value)]
    done("init", tmp_path / "options", "--data", data, *given, *(f"--confounder={name}" for name in CAUSES))
    replies = [value for name, value in GIVEN.items() if name != "id"] + [", ".join(CAUSES)]
    command = ["init", str(tmp_path / "asked"), "--data", str(data), "--ask", "--id", "id"]
    result = CliRunner().invoke(main, command, input="\n".join(replies) + "\n")
    assert result.exit_code == 0
    for name in ("study.toml", GRAPH):
        assert (tmp_path / "asked" / name).read_bytes() == (tmp_path / "options" / name).read_bytes()


def test_empty_replies_leave_their_places_open(tmp_path: Path, data: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path / "mine"), "--data", str(data), "--ask"], input="\n" * 10)
    assert result.exit_code == 0
    assert (tmp_path / "mine" / "study.toml").read_text() == scaffold(tmp_path / "other", data)[0].read_text()


def test_answers_that_do_not_fit_the_file_are_all_named_and_nothing_is_written(tmp_path: Path, data: Path) -> None:
    wrong = ["--time-unit=month", "--treatment=surgry", "--treated=1", "--event=death", "--event-value=dead"]
    text = refused("init", tmp_path / "mine", "--data", data, *wrong, "--confounder=death", "--confounder=id")
    for part in (
        'time_unit: the text "month"; expected "days", "weeks", "months" or "years". Did you mean "months"?',
        'treatment: no column "surgry". Did you mean "surgery"?',
        "treated: ",
        'event_value: the text "dead"; expected a value of death: 0 (',
        'confounders: "death", which is named for something else as well',
        'confounders: "id", which holds',
    ):
        assert part in text
    assert not (tmp_path / "mine").exists()


def test_leaving_at_a_question_writes_nothing(tmp_path: Path, data: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path / "mine"), "--data", str(data), "--ask"], input="a title\n")
    assert result.exit_code == 130
    assert "nothing was written" in result.stderr
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("there", ["study.toml", GRAPH])
def test_init_overwrites_nothing(there: str, tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / there).write_text("mine", encoding="utf-8")
    text = refused("init", folder, "--data", data)
    assert "holds a study already, which is not overwritten" in text
    assert f"{there}: is there" in text
    assert [path.name for path in folder.iterdir()] == [there]
    assert (folder / there).read_text(encoding="utf-8") == "mine"


def test_init_refuses_data_it_cannot_read_and_folders_it_cannot_write(tmp_path: Path, data: Path) -> None:
    assert "there is no file" in refused("init", tmp_path / "mine", "--data", tmp_path / "none.csv")
    assert not (tmp_path / "mine").exists()
    with pytest.raises(UsageError, match="is a file; expected a folder"):
        scaffold(data, data)
    with pytest.raises(InputError, match="cannot be written"):
        scaffold(data / "below", data)


# --- how it ends when something goes wrong ------------------------------------------------------


def _raise(error: BaseException) -> Any:
    def instead(*_: object, **__: object) -> NoReturn:
        raise error

    return instead


def test_an_interrupted_run_ends_with_130_and_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write_study(tmp_path)
    monkeypatch.setattr("causal_s4.report.write._fill", _raise(KeyboardInterrupt()))
    monkeypatch.setattr("causal_s4.report.write.contents", lambda result: {})
    before = sorted(tmp_path.rglob("*"))
    result = invoke("run", study, "--out", tmp_path / "deep" / "out")
    assert result.exit_code == 130
    assert "interrupted; nothing was written" in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unexpected_error_names_its_place_without_values_or_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path)
    monkeypatch.setattr("causal_s4.protocol.protocol.Protocol.read", _raise(ZeroDivisionError("Jane Roe, 66")))
    result = invoke("check", study)
    assert result.exit_code == 1
    assert "this should not have happened: ZeroDivisionError in instead" in result.stderr
    assert "Jane Roe" not in result.output
    assert "Traceback" not in result.output
    shown = invoke("--debug", "check", study)
    assert shown.exit_code == 1
    assert "ZeroDivisionError: Jane Roe, 66" in shown.stderr


def test_debug_shows_where_a_deliberate_error_comes_from_and_keeps_the_status(tmp_path: Path) -> None:
    result = invoke("--debug", "dag", tmp_path / "none.dag")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "InputError" in result.stderr
    assert "causal-s4: cannot read the DAG file" in result.stderr


def test_too_little_memory_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causal_s4.protocol.protocol.Protocol.read", _raise(MemoryError()))
    assert "not enough memory" in refused("check", write_study(tmp_path))


def test_a_reader_that_stops_early_is_no_error() -> None:
    code = "import sys; from causal_s4.cli import main; sys.argv = ['causal-s4', 'schema']; main()"
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stderr is not None
    started.stdout.close()
    errors = started.stderr.read().decode()
    assert (started.wait(timeout=60), errors) == (0, "")


def test_infinite_numbers_in_a_file_cause_no_warning(tmp_path: Path) -> None:
    frame = cohort()
    frame["sites"] = frame["sites"].astype(float)
    frame.loc[4, "sites"] = np.inf
    frame.to_csv(tmp_path / "cohort.csv", index=False)
    study, _ = scaffold(tmp_path / "mine", tmp_path / "cohort.csv")
    assert "inf (1)" in study.read_text(encoding="utf-8")
