"""Whatever is written, a protocol or a ProtocolError comes out; whatever is valid survives its own text."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from study_texts import BASELINE, CLONES, CONSISTENT, CONTRACT

from causal_s4.errors import ProtocolError
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.writer import write_toml

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])

text = st.text(min_size=1, max_size=12).filter(lambda value: value.strip())
path = text.filter(lambda value: "\0" not in value)
number = st.integers(-10, 10**6) | st.floats(-1e6, 1e6)
code_pairs = st.sampled_from([(1, 0), ("yes", "no"), (True, False), (2.5, -1), ('"', "'"), ("\\", "a\nb")])
days = st.integers(1, 10_000)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def lengths(many: bool = True) -> st.SearchStrategy[Any]:
    several = st.lists(days, min_size=1, max_size=3 if many else 1, unique=True)
    return several.map(lambda values: [f"{value} days" for value in sorted(values)])


conditions = st.one_of(
    st.fixed_dictionaries({"at_least": st.integers(0, 50)}, optional={"below": st.floats(51, 90)}),
    st.fixed_dictionaries({"in": st.lists(text, min_size=1, max_size=3, unique=True)}),
    st.fixed_dictionaries({"not_equals": number | text, "known": st.just(True)}),
)
terms = {
    "splines": st.dictionaries(text, st.integers(3, 7), max_size=3),
    "log1p": st.lists(text, max_size=3, unique=True),
    "interactions": st.just([["age", "grade"], ["age", "er"]]),
}
bootstrap = st.fixed_dictionaries(
    {"method": st.just("bootstrap")},
    optional={
        "replicates": st.integers(2, 10_000),
        "interval": st.sampled_from(["percentile", "bca"]),
        "stratify": st.booleans(),
        "level": st.floats(0.5, 0.999),
    },
)
by_formula = st.fixed_dictionaries(
    {"method": st.sampled_from(["influence", "jackknife"])},
    optional={"ties": st.sampled_from(["efron", "breslow"]), "jobs": st.integers(1, 8)},
)


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """Return a valid study file as the table that a TOML reader gives."""
    treated, control = draw(code_pairs)
    event, competing = draw(code_pairs)
    design = draw(st.sampled_from(["baseline", "landmark", "time-dependent", "clone-censor-weight"]))
    study: dict[str, Any] = {
        "title": draw(text),
        "seed": draw(st.integers(0, 2**63 - 1)),
        "data": {"file": draw(path), "id": "the id", "time_unit": draw(st.sampled_from(["days", "months"]))},
        "dag": {"file": draw(path)} | draw(optional(columns=st.dictionaries(text, text, max_size=2))),
        "eligibility": draw(st.dictionaries(text, conditions, max_size=3)),
        "treatment": {"column": "the arm", "treated": treated, "control": control, "control_name": "the other arm"},
        "time_zero": {"design": design},
        "outcome": [
            {"time": "the time", "event": "the event", "event_value": event, "name": "the first"}
            | draw(optional(competing_value=st.just(competing), horizons=lengths())),
            {"time": "the time", "event": "the event", "event_value": competing, "name": draw(text)},
        ],
        "inference": draw(bootstrap | by_formula),
        "sensitivity": draw(st.dictionaries(st.sampled_from(["e-value", "refuter"]), st.dictionaries(text, number))),
        "report": {"suppress_below": draw(st.integers(0, 10))},
    }
    if design != "baseline":
        study["treatment"]["start"] = "the start"
    if design in ("baseline", "landmark"):
        study["estimand"] = {"population": draw(st.sampled_from(["ATE", "ATO"])), "also": ["ATT"]}
        study["propensity"] = draw(optional(truncate=st.just([0, 0.99]), trim=st.floats(0.001, 0.4), **terms))
    if design == "landmark":
        study["time_zero"]["landmark"] = draw(lengths())
    if design == "clone-censor-weight":
        study["time_zero"]["grace_period"] = draw(lengths())
        study["initiation"] = draw(optional(**terms))
    return study


@quick
@given(studies())
def test_a_valid_study_survives_its_own_text(study: dict[str, Any]) -> None:
    study["outcome"][1]["name"] += " (second)"
    p = Protocol.model_validate(study)
    again = Protocol.parse(p.to_toml())
    assert again == p
    assert hash(again) == hash(p)
    assert again.to_toml() == p.to_toml()
    assert again.sha256() == p.sha256()
    assert Protocol.parse(write_toml(_tuples(study))) == p


def _tuples(value: Any) -> Any:
    """Return a table as the writer takes it."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def read_or_refused(written: str) -> Protocol | None:
    """Return the protocol, or None when the text was refused in words."""
    try:
        return Protocol.parse(written)
    except ProtocolError as error:
        refused = error
    lines = written.count("\n") + 1
    assert refused.message
    for problem in refused.problems:
        assert problem.found
        assert problem.line is None or 1 <= problem.line <= lines
    return None


@quick
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(written: str) -> None:
    read_or_refused(written)


pieces = [piece for base in (CONTRACT, CLONES) for piece in base.splitlines()]
fragments = [
    "[[outcome]]",
    "[",
    "]",
    "=",
    "x = {",
    '"""',
    "nan",
    "[data.file]",
    "\\",
    "é",
    "[sensitivity.refuter]",
    "#",
]


@quick
@given(st.lists(st.sampled_from(pieces + fragments), max_size=30))
def test_shuffled_lines_of_a_study_are_read_or_refused(lines: list[str]) -> None:
    read_or_refused("\n".join(lines))


@quick
@given(st.sampled_from([BASELINE, CLONES, CONSISTENT]), st.data())
def test_a_study_with_a_few_letters_changed_is_read_or_refused(base: str, data: st.DataObject) -> None:
    written = list(base)
    for _ in range(data.draw(st.integers(1, 4))):
        written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.sampled_from(list('=[]{}"\n#.0-ax,')))
    read_or_refused("".join(written))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.dates()
    | st.sampled_from(["6 months", "ATO", "landmark", "bootstrap", "entropy-balancing", "logistic", "hazard ratio"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*path, key), *_places(item, (*path, key)))]


@quick
@given(st.sampled_from([BASELINE, CLONES, CONSISTENT, CONTRACT]), st.data())
def test_a_study_with_values_replaced_is_read_or_refused(base: str, data: st.DataObject) -> None:
    study = tomllib.loads(base)
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(_places(study)))
        table = study
        for key in parents:
            table = table[key]
        if data.draw(st.booleans()):
            table[last] = data.draw(anything)
        elif isinstance(table, dict):
            table[data.draw(st.sampled_from(["horizons", "trim", "name", "landmark", "x", ""]))] = data.draw(anything)
    for raw in (study, copy.deepcopy(study)):
        try:
            p = Protocol.model_validate(raw)
        except ProtocolError:
            continue
        assert Protocol.parse(p.to_toml()) == p


@quick
@given(anything)
def test_any_structure_is_read_or_refused(raw: Any) -> None:
    with pytest.raises(ProtocolError):
        Protocol.model_validate(raw)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([BASELINE, CLONES, CONSISTENT, CONTRACT]), st.data())
def test_many_damaged_studies_are_read_or_refused(base: str, data: st.DataObject) -> None:
    lines = base.splitlines()
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(lines) - 1))
        lines[place] = data.draw(st.sampled_from(pieces + fragments) | st.text(max_size=30))
    read_or_refused("\n".join(lines))
