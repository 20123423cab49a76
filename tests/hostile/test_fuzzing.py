"""Whatever is given, an answer or a refusal in words comes out: never a traceback, a hang, or a changed folder.

Most cases go through the layer that reads them, and some through the whole command line, in this process.
``SHARES`` says how many of each kind the slow run makes; the default run makes a few of each.
"""

from __future__ import annotations

import io
import json
import signal
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import pytest
import spoiling
from click.testing import CliRunner
from fixtures import make_result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_cohorts import small_cohort, small_frame
from small_study import DAG, STUDY, cohort, with_starts, write_study
from study_texts import BASELINE, CLONES, CONSISTENT, CONTRACT

import causal_s4 as s4
from causal_s4.cli import main
from causal_s4.cohort import read_table, select
from causal_s4.errors import CausalS4Error
from causal_s4.protocol.writer import write_toml
from causal_s4.report.page import render
from causal_s4.report.read_back import read_results_json
from causal_s4.report.reading import Reading
from causal_s4.report.spreadsheets import sheets

SHARES = {
    "study text": 50_000,
    "study values": 12_000,
    "graph text": 17_000,
    "csv": 8_000,
    "cells": 3_000,
    "parquet": 2_500,
    "stata": 2_500,
    "spss": 2_500,
    "excel": 1_500,
    "results": 1_500,
    "reports": 40,
    "functions": 2_500,
    "command line": 400,
}
"""Cases of the slow run, by what is spoilt."""
MOST_SECONDS = 20
"""Of processor time that one case may take."""
quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
seeds = st.integers(0, 2**62)


def test_the_slow_run_makes_a_hundred_thousand_cases() -> None:
    assert sum(SHARES.values()) >= 100_000


def fuzz(kind: str, case: Callable[[Random], object]) -> None:
    """Run the share of the slow run of one kind, and hold the number of cases against it."""
    made = 0

    @settings(quick, max_examples=SHARES[kind])
    @given(seeds)
    def run(seed: int) -> None:
        nonlocal made
        made += 1
        case(Random(seed))

    run()
    assert made >= SHARES[kind]


@contextmanager
def answered() -> Iterator[None]:
    """Let a case end in an answer or a refusal in words, within its time."""

    def hang(*_: object) -> None:
        raise TimeoutError("a hang")

    before, began = signal.signal(signal.SIGALRM, hang), time.process_time()
    signal.alarm(120)
    try:
        yield
    except CausalS4Error as error:
        assert_said(error)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert time.process_time() - began < MOST_SECONDS


def assert_said(error: CausalS4Error) -> None:
    """Hold a refusal against what every refusal says."""
    said = str(error)
    assert error.exit_status in (2, 3)
    assert len(error.message.split()) >= 3, said
    assert len(said) < 40_000
    for words in ("Traceback", "object at 0x", "<class '", "dtype="):
        assert words not in said, said
    for problem in error.problems:
        assert problem.found.strip(), said


# --- study files --------------------------------------------------------------------------------

BASES = [BASELINE, CLONES, CONSISTENT, CONTRACT, STUDY]
PIECES = [line for base in BASES for line in base.splitlines()] + [
    "[[outcome]]", "[outcome]", "x = {", "x = [[[[", '"""', "'''", "a" * 300 + " = 1", "a.b.c.d.e.f = 1", "[sensitivity.refuter]",
    "[inference]", 'method = "bootstrap"', "jobs = 10000000", "seed = -1", "horizons = []", "[eligibility]", "age = { above = 1e308 }",
    "1979-05-27 = 07:32:00", "x = 1979-02-30", "[" + "a." * 150 + "a]", "x = " + "[" * 3_000, "[report]", "suppress_below = 1e9",
]  # fmt: skip
KEYS = sorted(
    {key for base in BASES for place in spoiling.places(tomllib.loads(base)) for key in place if isinstance(key, str)}
)


def study_text(rng: Random) -> None:
    with answered():
        protocol = s4.Protocol.parse(spoiling.text(rng, rng.choice(BASES), PIECES))
        assert s4.Protocol.parse(protocol.to_toml()) == protocol


def study_values(rng: Random) -> None:
    spoilt = spoiling.structure(rng, tomllib.loads(rng.choice(BASES)), [*KEYS, *spoiling.WORDS])
    with answered():
        s4.Protocol.model_validate(spoilt)
    try:
        text = write_toml(_tuples(spoilt))
    except (TypeError, ValueError):  # not what TOML can say
        return
    with answered():
        s4.Protocol.parse(text)


def _tuples(value: Any) -> Any:
    """Return a table as the writer takes it."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


@quick
@given(seeds)
def test_study_text(seed: int) -> None:
    study_text(Random(seed))


@quick
@given(seeds)
def test_study_values(seed: int) -> None:
    study_values(Random(seed))


# --- graphs -------------------------------------------------------------------------------------

GRAPHS = [
    DAG,
    'dag { bb="0,0,1,1" x [exposure,pos="0.1,0.2"] y [outcome] u [latent] x -> y u -> {x y} a <-> b a -> x b -> y }',
    'digraph G { a -> b -> c; /* note */ d [adjusted] "long name" -> c } // end',
    "dag{x[e]y[o]m x->m->y z1->z2->x z1->y z2->w<-y}",
    *[path.read_text("utf-8") for path in sorted((Path(__file__).parents[2] / "analyses").rglob("*.dag"))],
]
GRAPH_PIECES = [
    "a -- b", "a @-> b", "a o-> b", "{a b c} -> {d e f} -> {a}", "x -> x", "{" * 200, "}" * 50, "a [", "a [pos=1]", 'a [pos="1e999,0"]', "[latent]",
    "graph {", "pdag { a -> b }", "a <- b <- c <- a", '"" -> b', "a ->", "-> b", "a -> b [beta=0.5]", "node [x=1]", "subgraph { a }", "/* never closed",
    " ".join(f"n{k} -> n{k + 1}" for k in range(60)), " ".join(f"a{k} <-> b{k}" for k in range(30)), "a;;;;b", "é -> 患 -> 🙂",
]  # fmt: skip


def graph_text(rng: Random) -> None:
    written = spoiling.text(rng, rng.choice(GRAPHS), GRAPH_PIECES)
    with answered():
        graph = s4.Dag.parse(written)
        assert s4.Dag.parse(graph.to_dagitty()) == graph
        if rng.random() < 0.03:
            assert graph.draw().lstrip().startswith("<svg")
        if rng.random() < 0.15 and graph.exposure and graph.outcomes:
            for each in graph.adjustment_sets()[:3]:
                assert graph.verdict(sorted(each)).sufficient
            graph.verdict(rng.sample(graph.nodes, min(len(graph.nodes), 3)))


@quick
@given(seeds)
def test_graph_text(seed: int) -> None:
    graph_text(Random(seed))


# --- data files ---------------------------------------------------------------------------------


@cache
def valid(ending: str) -> bytes:
    """Return a valid file of the small cohort, as the software of that format writes it."""
    frame, stream = cohort().head(40), io.BytesIO()
    if ending == ".csv":
        return frame.to_csv(index=False).encode()
    if ending == ".parquet":
        frame.to_parquet(stream)
    elif ending == ".xlsx":
        frame.to_excel(stream, index=False)
    else:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / f"x{ending}")
            (pyreadstat.write_dta if ending == ".dta" else pyreadstat.write_sav)(frame, path)
            return Path(path).read_bytes()
    return stream.getvalue()


def damaged(rng: Random, ending: str, folder: Path) -> None:
    path = folder / f"cohort{ending}"
    path.write_bytes(spoiling.raw(rng, valid(ending)))
    with answered():
        read_table(path, rng.choice((None, ["id", "age", "death"])))


def csv_file(rng: Random, folder: Path) -> None:
    path = folder / "cohort.csv"
    spoilt = spoiling.text(
        rng, valid(".csv").decode(), ["", ",", ",,,,,,,,", '"', "1;2;3", "a,b", "\r", "NA", "#REF!", '"a""b",1']
    )
    path.write_bytes(spoilt.encode(rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), errors="replace"))
    with answered():
        read_table(path)


@cache
def protocols() -> list[str]:
    return [
        STUDY.replace('time_unit = "months"', 'time_unit = "months"\nmissing = "complete-case"'),
        STUDY.replace('time_unit = "months"', 'time_unit = "months"\nzero_time = "half"')
        + "[eligibility]\nage = { at_least = 18 }\n",
        STUDY.replace("event_value = 1", "event_value = 1\ncompeting_value = 2").replace(
            "control = 0", 'control = 0\nstart = "start"'
        ),
    ]


def cells(rng: Random, folder: Path) -> None:
    """Spoil the cells of a cohort, and read it as a study says."""
    protocol = s4.Protocol.parse(rng.choice(protocols()), folder=folder)
    spoiling.table(rng, rng.choice((cohort, with_starts))().head(rng.choice((5, 60)))).to_csv(
        folder / "cohort.csv", index=False
    )
    with answered():
        select(protocol, ("age", "sites", "pr_status"))


DATA_FILES: dict[str, Callable[[Random, Path], None]] = {
    "csv": csv_file,
    "cells": cells,
    "parquet": lambda rng, folder: damaged(rng, ".parquet", folder),
    "stata": lambda rng, folder: damaged(rng, ".dta", folder),
    "spss": lambda rng, folder: damaged(rng, ".sav", folder),
    "excel": lambda rng, folder: damaged(rng, ".xlsx", folder),
}


@pytest.mark.parametrize("kind", DATA_FILES)
def test_data_files(kind: str, tmp_path: Path) -> None:
    @settings(quick, max_examples=12)
    @given(seeds)
    def run(seed: int) -> None:
        DATA_FILES[kind](Random(seed), tmp_path)

    run()


# --- results that come back ---------------------------------------------------------------------


@cache
def document() -> str:
    return make_result().to_json()


def spoilt_results(rng: Random, folder: Path) -> Path:
    """Write a spoilt ``results.json``."""
    if rng.random() < 0.7:
        tree = json.loads(document())
        # Most of it is estimates: spoil other parts as often.
        part = rng.choice([*tree, None])
        spoilt = spoiling.structure(rng, tree if part is None else {part: tree[part]}, [*tree, "value", "n", "kind"])
        text = json.dumps(spoilt if part is None else tree | spoilt)
    else:
        text = spoiling.text(
            rng, document(), ["{", "}", "[", "]", "null,", "NaN", "1e999", '"a": 1,', "[" * 3_000, "/* x */"]
        )
    path = folder / "results.json"
    path.write_text(text, encoding="utf-8", errors="replace")
    return path


def results(rng: Random, folder: Path) -> None:
    with answered():
        found = read_results_json(spoilt_results(rng, folder))
        assert json.loads(found.to_json())["schema"] == "causal-s4/results/1"


def reports(rng: Random, folder: Path) -> None:
    """Spoil a result until it can still be read, and make its page and tables."""
    for _ in range(200):
        try:
            found = read_results_json(spoilt_results(rng, folder))
        except CausalS4Error:
            continue
        if found.to_json() != document():
            break
    else:
        return
    with answered():
        drawn = Reading(found)
        assert len(render(drawn, {})) > 10_000
        assert all(sheets(drawn).values())


@pytest.mark.parametrize(("kind", "cases"), [("results", 25), ("reports", 3)])
def test_results(kind: str, cases: int, tmp_path: Path) -> None:
    @settings(quick, max_examples=cases)
    @given(seeds)
    def run(seed: int) -> None:
        RESULTS[kind](Random(seed), tmp_path)

    run()


RESULTS: dict[str, Callable[[Random, Path], None]] = {"results": results, "reports": reports}


# --- public functions ---------------------------------------------------------------------------


@cache
def fixed() -> tuple[Any, Any, Any]:
    frame = small_frame(3)
    one = small_cohort(frame)
    return one, s4.weigh(one, population="ATO"), frame


@cache
def calls() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Return each public function with arguments that it takes."""
    one, weights, frame = fixed()
    timed = s4.Cohort.from_frame(
        with_starts().head(120), id="id", treatment="surgery", treated=1, control=0, time="os_months", event="death",
        event_value=1, time_unit="months", covariates=["age"], treatment_start="start",
    )  # fmt: skip
    rows = pd.DataFrame(
        {
            "id": [1, 1, 2, 3],
            "start": [0.0, 2, 0, 0],
            "stop": [2.0, 5, 4, 6],
            "event": [0, 1, 1, 0],
            "arm": [0, 1, 1, 0],
            "w": 1.0,
        }
    )
    return {
        "weigh": (s4.weigh, {"cohort": one, "population": "ATE", "method": "logistic", "truncate": (0.01, 0.99), "covariates": ["x", "b"], "stabilise": True, "trim": None}),
        "estimate_effects": (s4.estimate_effects, {"source": one, "weights": weights, "horizons": [12, 24], "level": 0.95, "ties": "efron", "variance": "influence", "outcome": None}),
        "survival_curves": (s4.survival_curves, {"source": one, "weights": weights, "outcome": "event", "level": 0.9, "variance": "influence"}),
        "check_balance": (s4.check_balance, {"cohort": one, "weights": weights}),
        "check_positivity": (s4.check_positivity, {"cohort": one, "weights": weights}),
        "check_alignment": (s4.check_alignment, {"cohort": one, "outcome": "event"}),
        "landmark_cohort": (s4.landmark_cohort, {"cohort": timed, "landmark": 6, "outcome": None, "max_carry": None}),
        "time_dependent_table": (s4.time_dependent_table, {"cohort": timed, "outcome": None}),
        "clone_censor": (s4.clone_censor, {"cohort": timed, "grace_period": 6, "timing": "density", "interval": 1.0, "covariates": ["age"]}),
        "evalue": (s4.evalue, {"hazard_ratio": 0.6, "lower": 0.5, "upper": 0.8, "outcome": "common", "true": 1.0}),
        "tipping_point": (s4.tipping_point, {"effect": 0.6, "prevalence_treated": 0.2, "prevalence_control": 0.5, "confounder_hazard_ratio": None, "true": 1.0}),
        "rosenbaum_bounds": (s4.rosenbaum_bounds, {"treated_first": 20, "control_first": 10, "gamma": [1, 1.5], "alpha": 0.05, "alternative": "observed"}),
        "simulate": (s4.simulate, {"scenario": "benign", "n": 10, "seed": 1, "effect": "null"}),
        "Weights.given": (s4.Weights.given, {"values": [1.0, 2.0], "population": "as given"}),
        "Cohort.from_frame": (s4.Cohort.from_frame, {"frame": frame, "id": "id", "treatment": "arm", "treated": "yes", "control": "no", "time": "months", "event": "event", "event_value": 1, "time_unit": "months", "covariates": ["x", "g"], "missing": "refuse", "zero_time": "refuse"}),
        "RiskTable.from_frame": (s4.RiskTable.from_frame, {"frame": rows, "id": "id", "start": "start", "stop": "stop", "event": "event", "arm": "arm", "weight": "w", "covariates": [], "time_unit": "days"}),
        "Dag.parse": (s4.Dag.parse, {"text": DAG}),
        "Dag.verdict": (s4.Dag.parse(DAG).verdict, {"names": ["age"]}),
        "Protocol.parse": (s4.Protocol.parse, {"text": STUDY}),
        "Protocol.read": (s4.Protocol.read, {"path": "study.toml"}),
        "Study.read": (s4.Study.read, {"path": "study.toml"}),
    }  # fmt: skip


JUNK = [
    None, "", "x", b"x", 0, -1, 3.7, float("nan"), float("inf"), 1e308, 10**30, True, [], ["x", 1], [None], (), (1,), {}, {"x": 1}, {1, 2}, object(),
    np.zeros(3), np.zeros((2, 2)), np.array([np.nan]), np.array(["a"]), pd.DataFrame(), pd.Series([1, 2]), lambda: None, "ATO", "months", [0.5, -1], int,
]  # fmt: skip
"""What nobody should give."""


def function(rng: Random) -> None:
    name = rng.choice(list(calls()))
    call, arguments = calls()[name]
    spoilt = dict(arguments)
    for each in rng.sample(list(spoilt), rng.choice((1, 1, 2)) if len(spoilt) > 1 else 1):
        spoilt[each] = rng.choice(JUNK)
    with answered(), np.errstate(all="ignore"):
        try:
            call(**spoilt)
        except CausalS4Error:
            raise
        except Exception as error:
            shown = {key: spoilt[key] for key in spoilt if spoilt[key] is not arguments[key]}
            raise AssertionError(f"{name}({shown}): {type(error).__name__}: {error}") from error


@quick
@given(seeds)
def test_public_functions(seed: int) -> None:
    function(Random(seed))


@pytest.mark.parametrize(
    ("name", "spoilt", "says"),
    [
        ("weigh", {"covariates": np.array(["a"])}, "a: no such column"),
        ("weigh", {"covariates": ["x", "age"]}, "age: no such column"),
        ("evalue", {"upper": 10**30}, "upper: found a number beyond what is computed with"),
        ("evalue", {"true": 10**400}, "true: found a number beyond what is computed with"),
        ("Cohort.from_frame", {"treated": int}, "treated: a class; expected text or a number or True or False"),
        ("Cohort.from_frame", {"control": None}, "control: None; expected text or a number or True or False"),
        ("Cohort.from_frame", {"event_value": ["a"]}, "event_value: a list of str; expected text or a number"),
        ("Cohort.from_frame", {"competing_value": object()}, "competing_value: a object; expected text or a number"),
    ],
)
def test_what_the_slow_run_found(name: str, spoilt: dict[str, Any], says: str) -> None:
    call, arguments = calls()[name]
    with pytest.raises(s4.CausalS4Error) as caught:
        call(**arguments | spoilt)
    assert says in str(caught.value)
    assert_said(caught.value)


# --- the command line ---------------------------------------------------------------------------


def command_line(rng: Random, folder: Path) -> None:
    """Spoil one file of a study, and ask the whole command line about it."""
    study, graph, frame = STUDY, DAG, cohort().head(120)
    kind = rng.randrange(4)
    if kind == 0:
        study = spoiling.text(rng, study, PIECES)
    elif kind == 1:
        graph = spoiling.text(rng, graph, GRAPH_PIECES)
    elif kind == 2:
        frame = spoiling.table(rng, frame)
    path = write_study(folder, study=study, dag=graph, frame=frame)
    if kind == 3:
        (folder / "cohort.csv").write_bytes(spoiling.raw(rng, (folder / "cohort.csv").read_bytes()))
    before = {each.name: each.read_bytes() for each in folder.rglob("*") if each.is_file()}
    commands = (
        ["check", path],
        ["run", path, "--out", folder / "out"],
        ["dag", folder / "small.dag"],
        ["init", folder / "new", "--data", folder / "cohort.csv"],
    )
    arguments = rng.choice(commands[:1] * 4 + commands)
    with pytest.MonkeyPatch.context() as patch, answered():
        # What is written, and how, is tested elsewhere; making the figures takes seconds.
        patch.setattr(
            "causal_s4.results.StudyResult.write", lambda result, _: json.loads(result.to_json())["estimates"][0]
        )
        result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code in (0, 2, 3), (arguments, result.output, result.exception)
    assert isinstance(result.exception, SystemExit | None)
    assert "Traceback" not in result.output
    assert "this should not have happened" not in result.output
    if result.exit_code == 0:
        assert result.stdout.strip()
    else:
        assert result.stdout == ""
        assert len(result.stderr.split()) >= 5
    if arguments[0] != "init" or result.exit_code != 0:
        assert {each.name: each.read_bytes() for each in folder.rglob("*") if each.is_file()} == before
    with suppress(FileNotFoundError):
        for each in (folder / "new").iterdir():
            each.unlink()


def test_command_line(tmp_path: Path) -> None:
    @settings(quick, max_examples=10)
    @given(seeds)
    def run(seed: int) -> None:
        command_line(Random(seed), tmp_path)

    run()


# --- the slow run -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARES)
def test_very_many(kind: str, tmp_path: Path) -> None:
    cases: dict[str, Callable[[Random], object]] = {
        "study text": study_text,
        "study values": study_values,
        "graph text": graph_text,
        "functions": function,
        "command line": lambda rng: command_line(rng, tmp_path),
    }
    fuzz(kind, cases.get(kind) or (lambda rng: (DATA_FILES | RESULTS)[kind](rng, tmp_path)))
