"""A result read back from its folder: the same bytes again, and nothing but a result is taken for one."""

import copy
import io
import json
import os
import random
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from fixtures import make_protocol, make_result
from matplotlib.image import imsave

from causal_s4.errors import CausalS4Error, InputError, UsageError
from causal_s4.report import write
from causal_s4.report.drawing import Drawing
from causal_s4.report.read_back import read_result, read_results_json
from causal_s4.report.results_json import SCHEMA, STEPS, decoded, document_of, results_json
from causal_s4.results import (
    NOT_SHOWN,
    Alignment,
    BalanceOverTime,
    CloneFlow,
    CloneFlowRow,
    EffectTable,
    Finding,
    SensitivityResult,
    StudyResult,
    TimedBalanceRow,
)


def put(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def signed(folder):
    """Write the checksums of what is there, as if it had been written so."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    files.pop("SHA256SUMS", None)
    lines = "".join(f"{write._digest(data)}  {name}\n" for name, data in sorted(files.items()))
    (folder / "SHA256SUMS").write_text(lines)
    return folder


@pytest.fixture
def folder(tmp_path, files):
    return put(tmp_path / "out", files)


@pytest.fixture(scope="module")
def document():
    return json.loads(results_json(make_result()))


@pytest.fixture(scope="module")
def steps():
    return [[getattr(curve, name) for name in STEPS] for curve in make_result().curves]


def everything(**changes):
    """Return a result with every part that a result may have, and what JSON has no word for."""
    made = make_result()
    first, *others = made.effects.estimates
    odd = replace(first, value=None, std_error=float("nan"), lower=float("-inf"), upper=float("inf"))
    row = {"setting": "b", "a": 1.0, "value": np.float64(0.5), "n": np.int64(7), "flag": np.bool_(True), "none": None}
    return replace(
        made,
        effects=EffectTable(estimates=(odd, *others), findings=(Finding(code="x", severity="note", step="s", message="m"),)),
        balance=replace(made.balance, rows=(replace(made.balance.rows[0], smd_before=float("-inf")), *made.balance.rows)),
        sensitivity=(
            *made.sensitivity,
            SensitivityResult(method="odd", parameters={"z": [1, 2.0, "x"], "a": {"b/c": 1, "a~": None}}, table=(row, row)),
        ),
        alignment=Alignment(
            treated=9, later=3, misplaced=4.5, treated_follow_up=90.0, median_start=None, unit="days", known=True
        ),
        clone_flow=CloneFlow(
            outcome=made.protocol.outcomes[0].name,
            grace_period=180.0,
            unit="days",
            n=100,
            shares=(0.5, 1.0),
            rows=tuple(
                CloneFlowRow(
                    time=float(time), arm=arm, followed=100 - time, adherent=time, deviated=time, events=0, lost=0,
                    ess=90.0, mean_weight=1.0, largest_share=0.02, quantiles=(1.0, 2.0),
                )
                for time in (0, 3, 50)
                for arm in ("treated", "control")
            ),
        ),
        balance_over_time=BalanceOverTime(
            unit="days",
            denominator="one",
            rows=(TimedBalanceRow(time=0.0, comparison="treated", term="age", smd_before=0.1, smd_after=0.0),),
        ),
        **changes,
    )  # fmt: skip


# --- the same again -------------------------------------------------------------------------------


def test_a_result_read_back_is_the_result(folder, result, files):
    back = StudyResult.read(folder)
    assert replace(back, curves=()) == replace(result, curves=())
    for one, other in zip(back.curves, result.curves, strict=True):
        for name in (*STEPS, "risk_times", "at_risk", "ess_at_risk"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert results_json(back).encode() == files["results.json"]


@pytest.mark.parametrize("below", [pytest.param(0, marks=pytest.mark.slow), 50])
def test_the_report_of_a_result_read_back_has_the_same_bytes(tmp_path, monkeypatch, below):
    # Pictures of dots are drawn by the same functions as the vectors, and take long.
    png = make_picture()
    monkeypatch.setattr(Drawing, "png", lambda *_: png)
    result = everything(protocol=make_protocol(f"[report]\nsuppress_below = {below}\n" if below else ""))
    files = write.contents(result)
    again = write.contents(read_result(put(tmp_path / "out", files)))
    assert list(again) == list(files)
    assert [name for name in files if again[name] != files[name]] == []


def make_picture():
    """Return the smallest picture."""
    buffer = io.BytesIO()
    imsave(buffer, np.zeros((1, 1, 3)), format="png")
    return buffer.getvalue()


def test_numbers_that_json_has_no_word_for_come_back(steps):
    result = everything()
    text = results_json(result)
    back = decoded(document_of(text.encode(), "it"), "it", steps=steps)
    first = back.effects.estimates[0]
    assert first.value is None
    assert np.isnan(first.std_error)
    assert (first.lower, first.upper) == (float("-inf"), float("inf"))
    assert back.balance.rows[0].smd_before == float("-inf")
    assert list(back.sensitivity[-1].table[0]) == ["setting", "a", "value", "n", "flag", "none"]
    assert list(back.sensitivity[-1].parameters) == ["z", "a"]
    assert results_json(back) == text


def test_hidden_numbers_are_not_in_the_file_and_stay_hidden(steps):
    result = everything(protocol=make_protocol("[report]\nsuppress_below = 50\n"))
    text = results_json(result)
    assert json.loads(text)["alignment"]["treated"] is None
    curves = json.loads(text)["curves"]
    shorter = [[column[: each["steps"]] for column in columns] for each, columns in zip(curves, steps, strict=True)]
    back = decoded(document_of(text.encode(), "it"), "it", steps=shorter)
    assert back.alignment.treated == NOT_SHOWN
    assert results_json(back) == text
    bare = json.loads(text)
    bare["protocol"] = bare["protocol"].replace("suppress_below = 50", "suppress_below = 0")
    with pytest.raises(InputError, match="null; expected a whole number"):
        decoded(bare, "it", steps=shorter)


def test_the_version_of_python_is_in_the_report_and_not_in_the_results(files):
    assert b"3.11.7" not in files["results.json"]
    assert b"Python,3.11.7" in files["tables/provenance.csv"]
    assert b"in Python 3.11.7" in files["methods.md"]


def test_results_alone_are_read_from_the_file_or_its_folder(folder, result):
    alone = read_results_json(folder)
    assert alone == read_results_json(folder / "results.json")
    assert alone.effects == result.effects
    assert alone.curves == ()


# --- what is no result ----------------------------------------------------------------------------


def test_what_is_no_folder_of_ours_is_named(tmp_path, folder):
    with pytest.raises(UsageError, match="is not a folder"):
        read_result(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"holds no results\.json"):
        read_result(tmp_path)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(InputError, match="SHA256SUMS is not there"):
        read_result(folder)


@pytest.mark.parametrize("name", ["results.json", "tables/curves.csv", "figures/dag.svg", "tables/provenance.csv"])
def test_a_file_that_was_changed_or_taken_away_is_named(folder, name):
    file = folder / name
    before = file.read_bytes()
    file.write_bytes(before + b"\n")
    with pytest.raises(InputError) as refusal:
        read_result(folder)
    assert f"{name}: is not what was written" in str(refusal.value)
    if name != "results.json":
        file.unlink()
        with pytest.raises(InputError, match="is gone"):
            read_result(folder)


def test_a_file_cut_off_is_told(folder):
    file = folder / "results.json"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"results\.json is not JSON: .* at line \d+, column \d+"):
        read_result(folder)


def test_a_huge_file_is_refused_unread(folder):
    os.truncate(folder / "results.json", 3_000_000_000)
    with pytest.raises(InputError, match="longer than 200,000,000 bytes"):
        read_result(folder)


@pytest.mark.parametrize("rows", [1, -1])
def test_curves_that_do_not_match_are_told(folder, rows):
    file = folder / "tables" / "curves.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines, lines[-1]] if rows > 0 else lines[:-1]))
    with pytest.raises(InputError, match=r"tables/curves\.csv: \d+ rows; expected \d+"):
        read_result(signed(folder))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is not JSON"),
        (b"[]", "is not a result of this package"),
        (b'{"schema": 1}', "is not a result of this package"),
        (b'{"schema": "causal-s4/results/2"}', "this version reads 'causal-s4/results/1'"),
        (b'{"schema": "causal-s4/results/1", "schema": "x"}', "the key 'schema' stands twice"),
        (b'{"schema": NaN}', "NaN is not JSON"),
        (b'{"schema": Infinity}', "Infinity is not JSON"),
        (b"\xff{}", "not text in UTF-8: byte 1"),
        (b"[" * 100_000, "too deep"),
        (b'{"schema": ' + b"1" * 5000 + b"}", "cannot be read"),
        (b'{"schema": "causal-s4/results/1"}', "layout: it is missing"),
    ],
)
def test_what_is_not_json_of_this_version_is_refused(text, said):
    with pytest.raises(InputError) as refusal:
        decoded(document_of(text, "results.json"), "results.json")
    assert said in str(refusal.value)
    assert "results.json" in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("cohort", "n"), "12", "cohort.n: text; expected a whole number"),
        (("cohort", "n"), True, "cohort.n: true or false; expected a whole number"),
        (("cohort", "n"), 10**30, "cohort.n: a number too large"),
        (("cohort", "time_unit"), "fortnights", "cohort.time_unit: 'fortnights'; expected one of"),
        (("cohort", "events"), {}, "cohort.events: events of 0 outcomes; expected those of the protocol"),
        (("estimates", 3, "value"), "0.5", "estimates.3.value: text; expected a number"),
        (("estimates", 3, "level"), None, "estimates.3.level: null; expected a number"),
        (("estimates", 3), [], "estimates.3: a list; expected an object"),
        (("findings", 0, "severity"), "terrible", "findings.0.severity: 'terrible'; expected one of"),
        (("findings", 0, "message"), "\ud800", "findings.0.message: half a character"),
        (("sensitivity", 0, "target", "horizon"), "soon", "sensitivity.0.target.horizon: text; expected a number"),
        (("balance",), {}, "balance: an object; expected a list"),
        (("curves", 0, "arm"), "left", "curves.0.arm: 'left'"),
        (("curves", 0, "at_risk"), [], "curves.0.at_risk: times and numbers at risk that do not match"),
        (("weights", "histogram", "edges", 0), None, "weights.histogram.edges.0: null; expected a number"),
        (("title",), "another", "title: it is not that of the protocol"),
        (("protocol",), "title = 1", "protocol:"),
        (("layout",), [], "layout: it is missing or not an object"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(document, steps, path, value, said):
    changed = copy.deepcopy(document)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(InputError) as refusal:
        decoded(changed, "results.json", steps=steps)
    assert said in str(refusal.value)


@pytest.mark.parametrize("key", ["cohort", "estimates", "clone_flow", "layout"])
def test_a_missing_or_unknown_key_is_named(document, steps, key):
    fewer = {name: value for name, value in document.items() if name != key}
    with pytest.raises(InputError, match=f"{key}: it is missing"):
        decoded(fewer, "results.json", steps=steps)
    with pytest.raises(InputError, match=r"more'?: it is unknown to this version.*written by causal_s4 '0\.1\.0'"):
        decoded({**document, "more": 1}, "results.json", steps=steps)


def test_nothing_but_a_result_or_a_refusal_comes_of_a_damaged_document(document, steps):
    paths = list(places(document))
    draw = random.Random(157)
    values = [None, True, "x", -1, 1.5, 10**400, 1e300, [], {}, [1], "\ud800", {"a": 1}]
    for _ in range(100):
        path = draw.choice(paths)
        changed = copy.deepcopy(document) if len(path) > 1 else dict(document)
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        if draw.random() < 0.2:
            del holder[path[-1]]
        else:
            holder[path[-1]] = draw.choice(values)
        with suppress(CausalS4Error):
            back = decoded(changed, "results.json", steps=steps)
            assert json.loads(results_json(back))["schema"] == SCHEMA


def places(value, path=()):
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from places(item, (*path, key))
