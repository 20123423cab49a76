"""What a valid study file becomes. Expected values are those the text states, or the contract's defaults."""

import copy
import pickle
import tomllib
from pathlib import Path

import jsonschema
import pytest
from study_texts import BASELINE, CLONES, CONSISTENT, CONTRACT, MINIMAL

from causal_s4.errors import ProtocolError
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.sections import (
    BenchmarkSpec,
    Condition,
    DagSpec,
    Data,
    EstimandSpec,
    OutcomeSpec,
    Propensity,
    TimeZero,
    Treatment,
)
from causal_s4.protocol.vocabulary import Design, Duration, Estimand, Measure, TimeUnit


def test_every_value_of_a_full_file_is_read() -> None:
    p = Protocol.parse(CONSISTENT)
    assert (p.title, p.seed) == ("Hormonal treatment in node-positive breast cancer (Rotterdam)", 20260118)
    assert (p.data.file, p.data.id, p.data.time_unit) == ("../../data/rotterdam.csv", "pid", TimeUnit.DAYS)
    assert p.dag.columns == {"nodes": ("nodes",), "oestrogen_receptor": ("er",)}
    assert p.dag.adjust_for == ()
    assert list(p.eligibility) == ["nodes"]
    assert p.eligibility["nodes"].at_least == 1
    assert (p.treatment.column, p.treatment.treated, p.treatment.control) == ("hormon", 1, 0)
    assert (p.treatment.name, p.treatment.control_name) == ("Hormonal treatment", "None")
    assert p.outcomes[0].competing_value == 2
    assert p.outcomes[0].horizons == tuple(Duration(years, TimeUnit.YEARS) for years in (1, 3, 5))
    assert p.estimand == EstimandSpec(population=Estimand.ATO)
    assert p.propensity is not None
    assert p.propensity.splines == {"age": 4, "nodes": 4}
    assert p.propensity.log1p == ("pgr", "er")
    assert p.propensity.interactions == (("age", "grade"),)
    assert (p.propensity.truncate, p.propensity.trim) == ((0.01, 0.99), 0.05)
    assert p.propensity.stabilise is None
    assert (p.inference.method, p.inference.level, p.inference.ties) == ("influence", 0.95, "efron")


def test_defaults_of_a_short_file() -> None:
    p = Protocol.parse(BASELINE)
    assert p.seed == 1
    assert (p.data.id, p.data.missing, p.data.zero_time, p.data.history) == (None, "refuse", "refuse", None)
    assert (p.treatment.name, p.treatment.node, p.treatment.control_name) == ("surgery", "surgery", "Control")
    assert (p.outcomes[0].name, p.outcomes[0].node, p.outcomes[0].horizons) == ("died", "died", ())
    assert (p.time_zero.design, p.time_zero.timing) == (Design.BASELINE, None)
    assert p.propensity == Propensity(method="logistic")
    assert p.propensity.quantile_method is None
    assert p.initiation is None
    assert (p.inference.replicates, p.inference.interval, p.inference.jobs) == (None, None, 1)
    assert (p.sensitivity, p.benchmark, p.report.suppress_below, p.report.style) == ({}, (), 0, "jama")


def test_a_bootstrap_and_a_truncation_bring_their_own_defaults() -> None:
    p = Protocol.parse(BASELINE + '[propensity]\ntruncate = [0, 0.99]\n[inference]\nmethod = "bootstrap"\n')
    assert p.propensity is not None
    assert p.propensity.quantile_method == "linear"
    assert (p.inference.replicates, p.inference.interval, p.inference.stratify) == (1000, "percentile", False)


def test_clone_censor_weight_speaks_about_everyone_and_models_initiation_instead_of_propensity() -> None:
    p = Protocol.parse(CLONES)
    assert p.time_zero.grace_period == (Duration(6, TimeUnit.MONTHS),)
    assert p.time_zero.timing == "density"
    assert p.estimand == EstimandSpec(population=Estimand.ATE)
    assert p.propensity is None
    assert p.initiation is not None
    assert p.initiation.interval is None


def test_strategies_may_be_never_and_unless() -> None:
    text = CLONES.replace('file = "cohort.csv"', 'file = "cohort.csv"\nid = "pid"\nhistory = "visits.csv"')
    text = text.replace("control = 0", 'control = 0\nnon_protocol_start = "palliation"')
    text += 'never = true\nunless = { response = "progression", ecog = [3, 4] }\ntime_varying = ["response", "ecog"]\n'
    p = Protocol.parse(text)
    assert p.treatment.non_protocol_start == "palliation"
    assert p.time_zero.never is True
    assert p.time_zero.unless == {"response": ("progression",), "ecog": (3, 4)}
    assert Protocol.parse(p.to_toml()) == p
    jsonschema.validate(tomllib.loads(text), Protocol.json_schema())
    assert (Protocol.parse(CLONES).time_zero.never, Protocol.parse(CLONES).time_zero.unless) == (None, {})


def test_a_time_dependent_design_has_neither_estimand_nor_propensity() -> None:
    text = MINIMAL.replace("control = 0", 'control = 0\nstart = "s"') + '[time_zero]\ndesign = "time-dependent"\n'
    p = Protocol.parse(text)
    assert (p.estimand, p.propensity, p.initiation) == (None, None, None)


def test_several_landmarks_and_a_plain_string_for_one() -> None:
    text = BASELINE.replace("control = 0", 'control = 0\nstart = "s"') + '[time_zero]\ndesign = "landmark"\nlandmark = '
    one, several = Protocol.parse(text + '"6 months"'), Protocol.parse(text + '["3 months", "0.5 years"]')
    assert one.time_zero.landmark == (Duration(6, TimeUnit.MONTHS),)
    assert several.time_zero.landmark == (Duration(3, TimeUnit.MONTHS), Duration(0.5, TimeUnit.YEARS))


def test_a_plain_string_names_the_one_column_of_a_node() -> None:
    p = Protocol.parse(BASELINE.replace('"assumptions.dag"', '"a.dag"\ncolumns = { burden = "sites" }'))
    assert p.dag.columns == {"burden": ("sites",)}


@pytest.mark.parametrize("section", ["data", "time_zero"])
def test_the_history_may_be_named_in_either_section(section: str) -> None:
    text = CLONES.replace('time_unit = "days"', 'time_unit = "days"\nid = "pid"') + 'time_varying = ["response"]\n'
    header = f"[{section}]\n"
    p = Protocol.parse(text.replace(header, header + 'history = "visits.csv"\n'))
    assert p.data.history == "visits.csv"
    assert p.time_zero.time_varying == ("response",)


def test_benchmarks_are_held_against_named_outcomes() -> None:
    text = BASELINE.replace("event_value = 1", 'event_value = 1\nhorizons = ["1 year", "5 years"]')
    text += """
[[benchmark]]
name = "Trial"
outcome = "died"
value = 0.75
lower = 0.54
upper = 1.04
source = "J Clin Oncol 1994;12:2086"
[[benchmark]]
name = "Trial, absolute"
outcome = "died"
measure = "survival difference"
horizon = "60 months"
value = 0.05
lower = -0.01
upper = 0.11
source = "J Clin Oncol 1994;12:2086"
"""
    first, second = Protocol.parse(text).benchmark
    assert (first.measure, first.level, first.design) == (Measure.HAZARD_RATIO, 0.95, "randomised trial")
    assert second.horizon == Duration(60, TimeUnit.MONTHS)


def test_sensitivity_blocks_keep_their_options_and_cannot_be_changed() -> None:
    text = BASELINE + "[sensitivity.tipping-point]\nprevalence = [0.1, 0.5]\n[sensitivity]\ne-value = {}\n"
    p = Protocol.parse(text)
    assert p.sensitivity == {"tipping-point": {"prevalence": (0.1, 0.5)}, "e-value": {}}
    with pytest.raises(TypeError, match="not changed"):
        p.sensitivity["e-value"]["outcome"] = "rare"
    with pytest.raises(TypeError, match="not changed"):
        p.eligibility["age"] = Condition(at_least=18)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"at_least": 1}, "x is at least 1"),
        ({"at_least": 18, "below": 80.5}, "x is at least 18 and below 80.5"),
        ({"above": 0, "at_most": 10}, "x is at most 10 and above 0"),
        ({"equals": "IV"}, "x is IV"),
        ({"not_equals": 9, "known": True}, "x is not 9 and known"),
        ({"in": [1, 2, True + 2]}, "x is one of 1, 2, 3"),
        ({"not_in": ["a", "b"]}, "x is none of a, b"),
        ({"in": list(range(10))}, "x is one of 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"),
        ({"known": True}, "x is known"),
        ({"equals": False}, "x is false"),
    ],
)
def test_a_condition_describes_itself_for_the_flow_chart(condition: dict[str, object], words: str) -> None:
    assert Condition.model_validate(condition).describe("x") == words


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(BASELINE)
    p = Protocol.read(tmp_path / "study.toml")
    assert p.folder == tmp_path
    assert p.resolve(p.data.file) == tmp_path / "cohort.csv"
    assert str(tmp_path) not in p.to_toml()


def test_files_of_windows_editors_are_read(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_bytes(b"\xef\xbb\xbf" + BASELINE.replace("\n", "\r\n").encode())
    assert Protocol.read(tmp_path / "study.toml") == Protocol.parse(BASELINE)


@pytest.mark.parametrize("text", [CONSISTENT, BASELINE, CLONES])
def test_the_resolved_file_reads_as_the_same_protocol(text: str) -> None:
    p = Protocol.parse(text)
    again = Protocol.parse(p.to_toml())
    assert again == p
    assert hash(again) == hash(p)
    assert again.to_toml() == p.to_toml()
    assert again.sha256() == p.sha256()


def test_a_protocol_survives_pickling_and_copying_with_its_folder() -> None:
    p = Protocol.parse(CONSISTENT, folder="studies")
    for other in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p)):
        assert other == p
        assert other.folder == Path("studies")
    with pytest.raises(ValueError, match="frozen"):
        p.seed = 2  # type: ignore[misc]


def test_the_sha256_belongs_to_the_question() -> None:
    base = Protocol.parse(CONSISTENT)
    other_layout = "# a remark\n" + CONSISTENT.replace('file      = "../', "file = '../").replace('.csv"', ".csv'")
    assert Protocol.parse(other_layout, folder="elsewhere").sha256() == base.sha256()
    assert Protocol.parse(CONSISTENT.replace('ties   = "efron"', "jobs = 4")).sha256() == base.sha256()
    assert Protocol.parse(CONSISTENT.replace("at_least = 1", "at_least = 2")).sha256() != base.sha256()
    assert Protocol.parse(CONSISTENT.replace("trim     = 0.05", "")).sha256() != base.sha256()


def test_a_protocol_can_be_built_from_its_parts() -> None:
    p = Protocol(
        title="Surgery",
        data=Data(file="cohort.csv", time_unit=TimeUnit.DAYS),
        dag=DagSpec(file="assumptions.dag"),
        treatment=Treatment(column="surgery", treated=1, control=0),
        outcomes=(OutcomeSpec(time="days", event="died", event_value=1),),
        estimand=EstimandSpec(population=Estimand.ATO),
    )
    assert p == Protocol.parse(BASELINE)
    assert p != Protocol.parse(BASELINE.replace("ATO", "ATE"))


def test_parts_that_do_not_go_together_are_refused_however_they_are_given() -> None:
    with pytest.raises(ProtocolError) as refused:
        Protocol(
            data=Data(file="cohort.csv", time_unit=TimeUnit.DAYS),
            dag=DagSpec(file="assumptions.dag"),
            treatment=Treatment(column="surgery", treated=1, control=1),
            time_zero=TimeZero(landmark=(Duration(6, TimeUnit.MONTHS),)),
            outcomes=({"time": "days", "event": 3},),  # type: ignore[arg-type]
            estimand=EstimandSpec(population=Estimand.ATO),
            benchmark=(BenchmarkSpec(name="T", outcome="x", value=2, lower=3, upper=4, source="s"),),
        )
    assert {problem.where for problem in refused.value.problems} == {
        "treatment.control",
        "time_zero.landmark",
        "outcome[1].event",
        "outcome[1].event_value",
        "benchmark[1].value",
    }
    assert all(problem.line is None for problem in refused.value.problems)


def test_the_schema_is_a_schema_and_accepts_the_contract() -> None:
    schema = Protocol.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for text in (CONTRACT, CONSISTENT, BASELINE, CLONES, Protocol.parse(CONSISTENT).to_toml()):
        assert list(validator.iter_errors(tomllib.loads(text))) == []


@pytest.mark.parametrize(
    "change",
    [
        ('time_unit = "days"', 'time_unit = "fortnights"'),
        ('time_unit = "days"', ""),
        ("treated = 1", "treated = [1]"),
        ("event_value = 1", 'event_value = 1\nhorizons = ["soon"]'),
        ('population = "ATO"', 'population = "ATO"\nalso = "ATE"'),
        ("[estimand]", "[estimmand]"),
        ("[estimand]", "[sensitivity.evalue]\n[estimand]"),
        ("[estimand]", "[propensity]\nsplines = { age = 2 }\n[estimand]"),
        ("[estimand]", "[inference]\nlevel = 95\n[estimand]"),
    ],
)
def test_the_schema_sees_what_an_editor_should_underline(change: tuple[str, str]) -> None:
    text = BASELINE.replace(*change)
    assert text != BASELINE
    validator = jsonschema.Draft202012Validator(Protocol.json_schema())
    assert list(validator.iter_errors(tomllib.loads(text)))
    with pytest.raises(ProtocolError):
        Protocol.parse(text)


def test_everything_in_the_schema_is_described() -> None:
    schema = Protocol.json_schema()
    assert all(part["description"] for part in schema["$defs"].values())
    bare = [
        f"{name}.{key}"
        for name, part in schema["$defs"].items()
        for key, value in part["properties"].items()
        if not value.get("description")
    ]
    assert bare == []
    assert "null" not in str(schema)
