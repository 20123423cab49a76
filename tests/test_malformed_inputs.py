"""Malformed studies: each is refused with its reason, an exit status of 2 or 3, and an untouched output folder.

Status 2 says that what was given is wrong, 3 that the cohort cannot answer the question as asked.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from small_study import DAG, STARTING, STUDY, cohort, with_starts, write_study

from causal_s4.cli import main

Frame = Callable[[], pd.DataFrame]


@dataclass(frozen=True)
class Case:
    """A study with one thing wrong, and what has to be said of it."""

    name: str
    says: tuple[str, ...]
    study: str = STUDY
    dag: str | None = DAG
    frame: Frame = cohort
    content: Callable[[str], str | bytes] | None = None
    """Of the data file, made from what it should hold."""
    status: int = 2
    hides: tuple[str, ...] = ()
    """What no message may show."""


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def study(old: str, new: str) -> str:
    return replaced(STUDY, old, new)


def graph(old: str, new: str) -> str:
    return replaced(DAG, old, new)


def data_in(name: str) -> str:
    return study('"cohort.csv"', f'"{name}"')


def cells(column: str, value: object, rows: tuple[int, ...] = (6, 7)) -> Frame:
    """Put a value into rows, counted from 1."""

    def frame() -> pd.DataFrame:
        table = cohort()
        table[column] = table[column].astype(object)
        table.loc[[row - 1 for row in rows], column] = value
        return table

    return frame


def with_columns(**columns: Callable[[pd.DataFrame], object]) -> Frame:
    return lambda: cohort().assign(**columns)


# --- the study file -----------------------------------------------------------------------------

TOML = [
    Case(
        "a table that is not closed",
        ("cannot be read as TOML", "line 26", "something is not complete"),
        study=f"{STUDY}[oops",
    ),
    Case("a key given twice", ("line 26", "a key that is given twice"), study=f'{STUDY}population = "ATE"\n'),
    Case("text without its quotes", ("line 25", "Put text in quotes"), study=study('"ATO"', "ATO")),
    Case(
        "a backslash in a path",
        ("line 5", "Write paths with /"),
        study=study('"cohort.csv"', r'"C:\data\cohort.csv"'),
    ),
    Case(
        "a mistyped key",
        ('data.time_units: unknown key. Did you mean "time_unit"?',),
        study=study("time_unit", "time_units"),
    ),
    Case(
        "a mistyped table",
        ('propensty: unknown key. Did you mean "propensity"?',),
        study=f'{STUDY}[propensty]\nmethod = "logistic"\n',
    ),
    Case(
        "a single outcome",
        ("line 17: outcome: a single table", "double brackets"),
        study=study("[[outcome]]", "[outcome]"),
    ),
    Case(
        "no treatment",
        ("treatment: missing; expected a table headed [treatment]",),
        study=study('[treatment]\ncolumn = "surgery"\ntreated = 1\ncontrol = 0\n', ""),
    ),
    Case("no event value", ("outcome[1].event_value: missing", "never guessed"), study=study("event_value = 1\n", "")),
    Case(
        "no estimand",
        ("estimand: missing", "whom the effect is about"),
        study=study('[estimand]\npopulation = "ATO"\n', ""),
    ),
    Case(
        "a time unit nobody uses", ('"fortnights"; expected "days", "weeks"',), study=study('"months"', '"fortnights"')
    ),
    Case("a horizon without its unit", ("line 22", 'Write "2 days" if days are meant'), study=study('"2 years"', "2")),
    Case("a negative horizon", ('"-2 years"; expected a length of time',), study=study('"2 years"', '"-2 years"')),
    Case(
        "two arms of one value",
        ("treatment.control: the same value as treated",),
        study=study("control = 0", "control = 1"),
    ),
    Case("arms of two types", ("Quote both or neither",), study=study("control = 0", 'control = "0"')),
    Case(
        "one column in two roles",
        ('line 20: outcome[1].event: column "death" is outcome[1].time already',),
        study=study('"os_months"', '"death"'),
    ),
    Case("an unknown population", ('"ATX"; expected "ATE"', "Did you mean"), study=study('"ATO"', '"ATX"')),
    Case(
        "entropy balancing to the overlap population",
        ('ATO is not possible with method "entropy-balancing"', '"ATE", "ATT" or "ATC"'),
        study=f'{STUDY}[propensity]\nmethod = "entropy-balancing"\n',
    ),
    Case(
        "stabilising what it does not change",
        ("propensity.stabilise: would have no effect",),
        study=f"{STUDY}[propensity]\nstabilise = true\n",
    ),
    Case(
        "trimming half of all",
        ("propensity.trim: the number 0.7", "below 0.5"),
        study=f"{STUDY}[propensity]\ntrim = 0.7\n",
    ),
    Case(
        "truncation upside down",
        ("propensity.truncate: [0.99, 0.01]", "lower then upper"),
        study=f"{STUDY}[propensity]\ntruncate = [0.99, 0.01]\n",
    ),
    Case("a confidence level in per cent", ("Write 0.95",), study=f"{STUDY}[inference]\nlevel = 95\n"),
    Case(
        "replicates without a bootstrap",
        ("inference.replicates: would have no effect",),
        study=f"{STUDY}[inference]\nreplicates = 100\n",
    ),
    Case(
        "a landmark without a start of treatment",
        ('treatment.start: missing, but design "landmark" needs it',),
        study=f'{STUDY}[time_zero]\ndesign = "landmark"\nlandmark = "6 months"\n',
    ),
    Case(
        "a grace period at baseline",
        ("time_zero.grace_period: would have no effect", 'set [time_zero] design to "clone-censor-weight"'),
        study=f'{STUDY}[time_zero]\ngrace_period = "6 months"\n',
    ),
    Case("an unknown sensitivity analysis", ('Did you mean "e-value"?',), study=f"{STUDY}[sensitivity.evalue]\n"),
    Case(
        "a benchmark of another outcome",
        ('no outcome is named "Survival"; expected "Overall survival"',),
        study=f'{STUDY}[[benchmark]]\nname = "Trial"\noutcome = "Survival"\nvalue = 1\nlower = 0.8\nupper = 1.2\nsource = "x"\n',
    ),
    Case(
        "an eligibility nobody can meet",
        ("eligibility.age: a value that is above 60 and below 50, which nobody can meet",),
        study=f"{STUDY}[eligibility]\nage = {{ above = 60, below = 50 }}\n",
    ),
    Case(
        "several things at once",
        (
            "study.toml has 3 problems",
            "line 7: data.time_unit",
            "line 22: outcome[1].horizons",
            "line 25: estimand.population",
        ),
        study=replaced(replaced(study('"months"', '"month"'), '"2 years"', '"two years"'), '"ATO"', '"ato"'),
    ),
]

# --- the graph ----------------------------------------------------------------------------------

GRAPHS = [
    Case("no graph file", ("cannot read the DAG file 'small.dag'", "No such file"), dag=None),
    Case("an empty graph", ("no text; expected a graph such as dag {",), dag=""),
    Case(
        "a brace that stays open",
        ("line 1: column 5: a brace that is never closed",),
        dag=DAG.rstrip().removesuffix("}"),
    ),
    Case(
        "an edge without direction",
        ("line 4", "the edge -- has no direction"),
        dag=graph("surgery -> death", "surgery -- death"),
    ),
    Case(
        "a cycle",
        ("a cycle: age -> death -> age", "no variable causes itself"),
        dag=graph("surgery -> death", "surgery -> death -> age"),
    ),
    Case("a mistyped role", ("line 2", "Did you mean exposure?"), dag=graph("[exposure]", "[exposur]")),
    Case(
        "two exposures",
        ("2 nodes are marked as exposure (age, surgery)",),
        dag=graph("death [outcome]", "death [outcome]\nage [exposure]"),
    ),
    Case(
        "another exposure than the study's",
        ("the study's treatment is surgery, the graph marks age as exposure",),
        dag=graph("surgery [exposure]", "age [exposure]"),
    ),
    Case("no node of the treatment", ("the graph has no node 'surgery'",), dag="dag { age -> death }"),
    Case("no node of the outcome", ("the graph has no node 'death'",), dag="dag { age -> surgery }"),
    Case(
        "a column for a node that is not there",
        ("the graph has no node 'agee'; did you mean 'age'?",),
        study=f'{STUDY}[dag.columns]\nagee = ["age"]\n',
    ),
    Case(
        "a node measured by a column that is not there",
        ("years: no such column",),
        study=f'{STUDY}[dag.columns]\nage = ["years"]\n',
    ),
    Case(
        "adjusting for too little",
        (
            "adjust_for = age does not suffice under this graph; {age, pr_status, sites} would",
            "surgery <- sites -> death",
        ),
        study=study('"small.dag"', '"small.dag"\nadjust_for = ["age"]'),
    ),
    Case(
        "adjusting for an unknown node",
        ("no node 'agee'; did you mean 'age'?",),
        study=study('"small.dag"', '"small.dag"\nadjust_for = ["agee"]'),
    ),
    Case(
        "adjusting for the outcome",
        ("is the outcome itself",),
        study=study('"small.dag"', '"small.dag"\nadjust_for = ["death"]'),
    ),
]

# --- the data file ------------------------------------------------------------------------------

FILES = [
    Case("no data file", ("there is no file", "patients.csv"), study=data_in("patients.csv")),
    Case(
        "a kind of file nobody reads", ("cohort.docx is not of a kind that can be read",), study=data_in("cohort.docx")
    ),
    Case("an empty file", ("cohort.csv is empty",), content=lambda text: ""),
    Case("a header alone", ("has a header but no rows",), content=lambda text: text.splitlines()[0]),
    Case("semicolons", ("separated by semicolons; expected commas",), content=lambda text: text.replace(",", ";")),
    Case(
        "rows of different length",
        ("do not all have the 8 values", "row 1 has 2"),
        content=lambda text: text.replace("\n", "\n1,2\n", 1),
    ),
    Case(
        "Latin-1",
        ("is not UTF-8 text (line 2 holds the byte 0xf6)",),
        content=lambda text: text.replace("positive", "pösitive").encode("latin-1"),
    ),
    Case("UTF-16", ("is encoded as UTF-16; expected UTF-8",), content=lambda text: text.encode("utf-16")),
    Case(
        "two columns of one name",
        ("sites: 2 columns of this name",),
        content=lambda text: text.replace("age", "sites", 1),
    ),
    Case(
        "a quote that stays open",
        ("is not well-formed after line",),
        content=lambda text: text.replace("positive", '"positive', 1),
    ),
    Case("a NUL byte", ("line 2 holds a NUL byte",), content=lambda text: text.replace("positive", "posi\0tive", 1)),
    Case(
        "Excel named csv", ("its ending does not say what it is",), content=lambda text: b"PK\x03\x04" + text.encode()
    ),
    Case(
        "csv named Excel",
        ("cohort.xlsx cannot be read as Excel",),
        study=data_in("cohort.xlsx"),
        content=lambda text: text,
    ),
    Case(
        "csv named parquet",
        ("cohort.parquet cannot be read as parquet",),
        study=data_in("cohort.parquet"),
        content=lambda text: text,
    ),
]

# --- columns and values -------------------------------------------------------------------------

VALUES = [
    Case(
        "a mistyped time column",
        ('os_month: no such column. Did you mean "os_months"?',),
        study=study('"os_months"', '"os_month"'),
    ),
    Case(
        "a treatment column that is not there",
        ("no node 'surgry'; did you mean 'surgery'?",),
        study=study('column = "surgery"', 'column = "surgry"'),
    ),
    Case(
        "an eligibility on no column",
        ('agee: no such column. Did you mean "age"?',),
        study=f"{STUDY}[eligibility]\nagee = {{ above = 18 }}\n",
    ),
    Case(
        "an eligibility of numbers on text",
        ("pr_status: 240 values not a number",),
        study=f"{STUDY}[eligibility]\npr_status = {{ above = 1 }}\n",
    ),
    Case(
        "an eligibility by a level nobody has",
        ('no patient has the value "Positive"', 'Did you mean "positive"?'),
        study=f'{STUDY}[eligibility]\npr_status = {{ equals = "Positive" }}\n',
    ),
    Case(
        "arms named as text",
        ("The column holds 1, not text; write it without quotes",),
        study=replaced(study("treated = 1", 'treated = "1"'), "control = 0", 'control = "0"'),
    ),
    Case(
        "a third value of the treatment",
        ("2 patients with a value other than the two declared: 2 (2) (rows 6, 7)",),
        frame=cells("surgery", 2),
    ),
    Case(
        "a treatment nobody recorded",
        ("surgery: 2 patients without a treatment (rows 6, 7)",),
        frame=cells("surgery", np.nan),
    ),
    Case(
        "an identifier twice",
        ("id: 1 identifier on more than one row, 2 rows in all (rows 6, 7)",),
        frame=cells("id", "Jane Roe"),
        hides=("Jane Roe",),
    ),
    Case(
        "an identifier missing", ("id: 1 patient without an identifier (row 6)",), frame=cells("id", np.nan, rows=(6,))
    ),
    Case(
        "a negative time",
        ("os_months: 2 patients with a negative follow-up time (rows 6, 7)",),
        frame=cells("os_months", -3),
    ),
    Case(
        "a time of zero",
        ("2 patients with a follow-up time of zero (rows 6, 7)", 'State zero_time = "half"'),
        frame=cells("os_months", 0),
    ),
    Case(
        "a missing time",
        ("os_months: 2 patients without a follow-up time (rows 6, 7)",),
        frame=cells("os_months", np.nan),
    ),
    Case(
        "an infinite time",
        ("os_months: 2 patients with an infinite follow-up time (rows 6, 7)",),
        frame=cells("os_months", np.inf),
    ),
    Case(
        "decimal commas",
        ("os_months: 2 values not a number (rows 6, 7)", "Write decimals with a point"),
        frame=cells("os_months", "12,53"),
        hides=("12,53",),
    ),
    Case(
        "an event code nobody declared",
        ("besides event_value = 1 it holds 0 (", "3 (2)", "competing_value"),
        frame=cells("death", 3),
    ),
    Case(
        "an event code missing", ("death: 2 patients without an event code (rows 6, 7)",), frame=cells("death", np.nan)
    ),
    Case(
        "another event value than the column's",
        ("no patient has event_value = 2; the codes are 0 (103), 1 (137)",),
        study=study("event_value = 1", "event_value = 2"),
    ),
    Case("events as text", ("The column holds 1, not text",), study=study("event_value = 1", 'event_value = "1"')),
    Case(
        "a missing covariate",
        ("age: 2 of 240 patients without a value (rows 6, 7)", 'missing = "complete-case"'),
        frame=cells("age", np.nan),
    ),
    Case(
        "a word among numbers",
        ("age: 2 values of text in a column of numbers (rows 6, 7)",),
        frame=cells("age", "sixty-six"),
        hides=("sixty-six",),
    ),
    Case("an infinite covariate", ("age: 2 infinite values (rows 6, 7)",), frame=cells("age", np.inf)),
    Case("a covariate too large to compute with", ("age: 2 infinite values (rows 6, 7)",), frame=cells("age", 1e200)),
    Case(
        "a constant covariate",
        ("sites: every analysed patient has the same value",),
        frame=with_columns(sites=lambda table: 1),
    ),
    Case(
        "more levels than patients can fill",
        ("pr_status: 240 different texts among 240 patients",),
        frame=with_columns(pr_status=lambda table: [f"level {i}" for i in range(len(table))]),
    ),
    Case(
        "covariates that say the same",
        ("sites: determined by age", "Leave out one of them"),
        frame=with_columns(age=lambda table: 2 * table["sites"] + 1),
    ),
    Case(
        "a spline of text",
        ("splines, pr_status: not a column of numbers",),
        study=f"{STUDY}[propensity]\nsplines = {{ pr_status = 4 }}\n",
    ),
    Case(
        "a spline of another column",
        ("splines, radiotherapy: not among the covariates",),
        study=f"{STUDY}[propensity]\nsplines = {{ radiotherapy = 4 }}\n",
    ),
    Case(
        "more knots than values",
        ("splines, sites: 5 knots fall on",),
        study=f"{STUDY}[propensity]\nsplines = {{ sites = 5 }}\n",
    ),
    Case(
        "a logarithm of negative values",
        ("age: 2 negative values, which have no log1p here",),
        study=f'{STUDY}[propensity]\nlog1p = ["age"]\n',
        frame=cells("age", -5),
    ),
    Case(
        "a start of treatment before time zero",
        ("start: 1 patient treated before time zero (row 1)",),
        study=STARTING,
        frame=lambda: with_starts().assign(start=lambda table: table["start"].mask(table.index == 0, -1.0)),
    ),
    Case(
        "a start of treatment after the end of follow-up",
        ("start: 1 patient treated after the end of follow-up (row 1)",),
        study=STARTING,
        frame=lambda: with_starts().assign(start=lambda table: table["start"].mask(table.index == 0, 999.0)),
    ),
    Case(
        "treated without a start of treatment",
        ("start: 1 patient treated, but without a start of treatment (row 1)",),
        study=STARTING,
        frame=lambda: with_starts().assign(start=lambda table: table["start"].mask(table.index == 0)),
    ),
    Case(
        "several columns at once",
        (
            "the table cannot be used as declared (3 problems)",
            "os_months: 2 patients",
            "death: 2 patients",
            "age: 2 of 240",
        ),
        frame=lambda: cells("os_months", -1)().assign(
            death=cells("death", np.nan)()["death"], age=cells("age", np.nan)()["age"]
        ),
    ),
]

# --- what the cohort cannot answer --------------------------------------------------------------


def _no_common_patients() -> pd.DataFrame:
    """Two covariates that overlap one by one, but whose sum splits the arms."""
    rng = np.random.default_rng(1)
    table = cohort()
    shift, spread = 4 * (2 * table["surgery"] - 1), 5 * rng.normal(size=len(table))
    return table.assign(age=60 + spread + shift, sites=60 - spread + shift)


QUESTIONS = [
    Case(
        "a common cause that nobody recorded",
        ("is not identified: no set of measured covariates", "open path: surgery <- frailty -> death"),
        dag=graph("surgery -> death", "surgery -> death\nfrailty [latent]\nfrailty -> {surgery death}"),
        status=3,
    ),
    Case(
        "a bidirected edge between treatment and outcome",
        ("open path: surgery <-> death",),
        dag=graph("surgery -> death", "surgery -> death\nsurgery <-> death"),
        status=3,
    ),
    Case(
        "a common cause without a column",
        ("not identified from the columns at hand", "surgery <- frailty -> death", "Columns are missing for {frailty}"),
        dag=graph("surgery -> death", "surgery -> death\nfrailty -> {surgery death}"),
        status=3,
    ),
    Case(
        "a level that only the treated have",
        ("treatment is predicted perfectly", "pr_status=unknown: each of the", "is treated"),
        frame=with_columns(pr_status=lambda t: t["pr_status"].mask((t["surgery"] == 1) & (t["age"] > 60), "unknown")),
        status=3,
    ),
    Case(
        "a number that splits the arms",
        ("treatment is predicted perfectly", "age: its values do not overlap between the arms"),
        frame=with_columns(age=lambda table: table["age"] + 100 * table["surgery"]),
        status=3,
    ),
    Case(
        "arms that no patient could have been in both of",
        ("the arms have no patients in common", "105 treated, 135 controls"),
        frame=_no_common_patients,
        status=3,
    ),
    Case(
        "no event", ("Overall survival: no patient had the event",), frame=with_columns(death=lambda table: 0), status=3
    ),
    Case(
        "no event in one arm",
        ("both arms need events to be compared; found 0 in the treated arm",),
        frame=with_columns(death=lambda table: table["death"].where(table["surgery"] == 0, 0)),
        status=3,
    ),
    Case(
        "treatment that starts after time zero",
        (
            'treatment starts after time zero, and design = "baseline" ignores it',
            "105 of 105 treated patients were treated later",
            "(10% of the follow-up of the treated)",
            'design = "clone-censor-weight"',
        ),
        study=STARTING,
        frame=with_starts,
        status=3,
    ),
    Case(
        "nobody eligible",
        ("no patient is eligible", "age is above 200: 0 left, 240 excluded"),
        study=f"{STUDY}[eligibility]\nage = {{ above = 200 }}\n",
        status=3,
    ),
    Case(
        "an empty arm",
        ("surgery: no patient in the arm Control",),
        study=f"{STUDY}[eligibility]\nsurgery = {{ equals = 1 }}\n",
        status=3,
    ),
    Case(
        "a horizon beyond follow-up",
        ("horizon 480 months lies beyond the follow-up", "Choose horizons up to there"),
        study=study('"2 years"', '"40 years"'),
        status=3,
    ),
    Case(
        "trimming that leaves one arm",
        ("trimming at 0.49 leaves", "both arms need patients"),
        study=f"{STUDY}[propensity]\ntrim = 0.49\n",
        frame=lambda: cohort().head(30),
        status=3,
    ),
    Case(
        "means that no weights can reach",
        ("no usable weights bring the", "of the control arm"),
        study=f'{replaced(STUDY, "ATO", "ATT")}[propensity]\nmethod = "entropy-balancing"\n',
        frame=with_columns(age=lambda table: table["age"] + 40 * table["surgery"]),
        status=3,
    ),
]
CASES = [*TOML, *GRAPHS, *FILES, *VALUES, *QUESTIONS]


# --- running them -------------------------------------------------------------------------------


def lay_out(folder: Path, case: Case) -> Path:
    """Write the files of a case and return its study file."""
    path = write_study(folder, study=case.study, dag=case.dag or "", frame=case.frame())
    if case.dag is None:
        (folder / "small.dag").unlink()
    if case.content is not None:
        whole = (folder / "cohort.csv").read_text(encoding="utf-8")
        content = case.content(whole)
        name = case.study.split('file = "', 1)[1].split('"', 1)[0]
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def earlier_result(folder: Path) -> None:
    """Leave what an earlier run could have: replaced by a new result, and by nothing else."""
    folder.mkdir()
    result = b'{"schema": "causal-s4/results/1"}\n'
    (folder / "results.json").write_bytes(result)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(result).hexdigest()}  results.json\n", encoding="utf-8")


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def assert_refused(case: Case, status: int, stdout: str, stderr: str) -> None:
    assert status == case.status, stderr
    for words in case.says:
        assert words in stderr
    for words in ("Traceback", "Warning", "should not have happened", *case.hides):
        assert words not in stderr
    assert stdout == ""


def test_there_are_enough_of_each_kind() -> None:
    assert len(CASES) >= 40
    assert {case.status for case in CASES} == {2, 3}
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_malformed_study_is_refused_and_the_earlier_result_kept(case: Case, tmp_path: Path) -> None:
    path, out = lay_out(tmp_path, case), tmp_path / "out"
    earlier_result(out)
    before = everything_in(tmp_path)
    result = run("run", path, "--out", out)
    assert_refused(case, result.exit_code, result.stdout, result.stderr)
    assert isinstance(result.exception, SystemExit)
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize(
    "case", [TOML[4], GRAPHS[3], FILES[4], VALUES[0], QUESTIONS[0], QUESTIONS[3]], ids=lambda case: case.name
)
def test_no_folder_is_begun_for_a_malformed_study(case: Case, tmp_path: Path) -> None:
    path = lay_out(tmp_path, case)
    before = everything_in(tmp_path)
    result = run("run", path, "--out", tmp_path / "deep" / "out")
    assert_refused(case, result.exit_code, result.stdout, result.stderr)
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize(
    "case", [case for case in CASES if case not in QUESTIONS[-6:]][:: len(CASES) // 12], ids=lambda case: case.name
)
def test_check_refuses_what_run_refuses(case: Case, tmp_path: Path) -> None:
    result = run("check", lay_out(tmp_path, case))
    assert_refused(case, result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize("case", [TOML[0], VALUES[8], QUESTIONS[0]], ids=lambda case: case.name)
def test_a_process_ends_with_the_status_and_one_message(case: Case, tmp_path: Path) -> None:
    path = lay_out(tmp_path, case)
    before = everything_in(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "causal_s4.cli", "run", path, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert_refused(case, done.returncode, done.stdout, done.stderr)
    assert [line for line in done.stderr.splitlines() if line.startswith("causal-s4: ")] == [
        line for line in done.stderr.splitlines() if not line.startswith(("[", "  - "))
    ]
    assert everything_in(tmp_path) == before


def test_a_missing_study_file_names_those_beside_it(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    result = run("run", tmp_path / "studdy.toml", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "does not exist; expected a study file" in result.stderr
    assert str(path) in result.stderr


def test_a_folder_is_not_a_study_file(tmp_path: Path) -> None:
    write_study(tmp_path)
    result = run("run", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "is a folder; expected a study file" in result.stderr


# --- the output folder --------------------------------------------------------------------------


def test_a_folder_of_other_files_is_left_alone_before_anything_is_computed(tmp_path: Path) -> None:
    path, out = write_study(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / "thesis.docx").write_bytes(b"years of work")
    before = everything_in(tmp_path)
    result = run("run", path, "--out", out)
    assert result.exit_code == 2
    assert "would lose" in result.stderr
    assert "thesis.docx" in result.stderr
    assert "Reading" not in result.stderr
    assert everything_in(tmp_path) == before


def test_an_earlier_result_that_was_changed_is_left_alone(tmp_path: Path) -> None:
    path, out = write_study(tmp_path), tmp_path / "out"
    earlier_result(out)
    (out / "results.json").write_text('{"schema": "causal-s4/results/1", "note": "mine"}\n', encoding="utf-8")
    before = everything_in(tmp_path)
    result = run("run", path, "--out", out)
    assert result.exit_code == 2
    assert "results.json: was changed after it was written" in result.stderr
    assert everything_in(tmp_path) == before


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    path, out = write_study(tmp_path), tmp_path / "out"
    out.write_text("a file", encoding="utf-8")
    result = run("run", path, "--out", out)
    assert result.exit_code == 2
    assert "is a file; the report needs a folder" in result.stderr
    assert out.read_text(encoding="utf-8") == "a file"
