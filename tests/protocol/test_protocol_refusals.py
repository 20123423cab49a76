"""Malformed study files. Lines and words were written from the texts, not from the program's output."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from study_texts import BASELINE, CLONES, CONTRACT, MINIMAL, NO_EFFECT_IN_CONTRACT

from causal_s4.errors import Problem, ProtocolError
from causal_s4.protocol.protocol import MOST_BYTES, Protocol

LINES = BASELINE.splitlines()
WITH_START = BASELINE.replace("control = 0", 'control = 0\nstart = "s"')
BOOTSTRAP = '[inference]\nmethod = "bootstrap"\n'


def line_of(text: str, part: str) -> int:
    """Return the line, counted from 1, that holds a part which the text holds once."""
    assert text.count(part) == 1, part
    return text[: text.index(part)].count("\n") + 1


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ProtocolError) as refused:
        Protocol.parse(text)
    assert refused.value.exit_status == 2
    return refused.value.problems


def test_the_lines_the_tables_below_count_on() -> None:
    assert LINES[3] == 'file = "cohort.csv"'
    assert LINES[20] == 'population = "ATO"'


# What replaces what in BASELINE; the line of the problem; its key path; words of the message.
CHANGED = [
    # words and kinds
    ('time_unit = "days"', 'time_unit = "day"', 5, "data.time_unit", 'the text "day"; expected "days", "weeks"'),
    ('time_unit = "days"', 'time_unit = "day"', 5, "data.time_unit", 'Did you mean "days"?'),
    ('time_unit = "days"', "time_unit = 1", 5, "data.time_unit", "the number 1"),
    ('file = "cohort.csv"', 'file = ""', 4, "data.file", "empty text; expected text that is not empty"),
    ('file = "cohort.csv"', 'file = ["a.csv"]', 4, "data.file", "a list of 1 value; expected text in quotes"),
    ('file = "cohort.csv"', 'file = "a\\u0000b"', 4, "data.file", "expected the path of a file"),
    ('title = "Surgery"', "title = 2020-01-01", 1, "title", "a date or time; expected text in quotes"),
    ('title = "Surgery"', "seed = 1.5", 1, "seed", "the number 1.5; expected a whole number"),
    ('title = "Surgery"', "seed = -1", 1, "seed", "expected a whole number from 0"),
    ('title = "Surgery"', "seed = true", 1, "seed", "true; expected a whole number"),
    ("treated = 1", "treated = [1]", 12, "treatment.treated", "a list of 1 value; expected one value"),
    ("treated = 1", "treated = nan", 12, "treatment.treated", "the number nan"),
    ("treated = 1", "", 10, "treatment.treated", "missing; expected the value of the treated"),
    ('column = "surgery"', "", 10, "treatment.column", "missing; expected the column of the treatment"),
    ('time_unit = "days"', "", 3, "data.time_unit", "missing; expected the unit of every time column: days"),
    ('event = "died"', "", 15, "outcome[1].event", "missing; expected the column of the event code"),
    ("event_value = 1", "", 15, "outcome[1].event_value", "missing; expected the code of the event"),
    # unknown keys
    ('column = "surgery"', 'colum = "surgery"', 11, "treatment.colum", 'unknown key. Did you mean "column"?'),
    ('title = "Surgery"', 'titel = "Surgery"', 1, "titel", 'unknown key. Did you mean "title"?'),
    ("control = 0", "control = 0\nhorizons = []", 14, "treatment.horizons", "It belongs in [[outcome]]"),
    ("control = 0", "control = 0\nseed = 2", 14, "treatment.seed", "at the top of the file, above the first table"),
    ("control = 0", "control = 0\nzzz = 2", 14, "treatment.zzz", "Known here are column, treated, control"),
    ("[[outcome]]", "[[outcomes]]", 15, "outcomes", 'unknown key. Did you mean "outcome"?'),
    # values that belong together
    ("control = 0", "control = 1", 13, "treatment.control", "the same value as treated, 1"),
    ("control = 0", "control = true", 13, "treatment.control", "the same value as treated, true"),
    ("control = 0", 'control = "0"', 13, "treatment.control", 'the text "0" where treated is the number 1'),
    ("control = 0", 'control = 0\ncontrol_name = "surgery"', 14, "treatment.control_name", "the same label as name"),
    ("control = 0", 'control = 0\nstart = "surgery"', 14, "treatment.start", "is treatment.column already"),
    (
        "control = 0",
        'control = 0\nnon_protocol_start = "p"',
        14,
        "treatment.non_protocol_start",
        "no effect with design",
    ),
    ('event = "died"', 'event = "days"', 17, "outcome[1].event", 'column "days" is outcome[1].time already'),
    ('event = "died"', 'event = "surgery"', 17, "outcome[1].event", "is treatment.column already"),
    ("event_value = 1", "event_value = 1\ncompeting_value = 1", 19, "outcome[1].competing_value", "the same value"),
    ("event_value = 1", 'event_value = 1\ncompeting_value = "2"', 19, "outcome[1].competing_value", "both text or"),
    ("[[outcome]]", "[outcome]", 15, "outcome", "a single table; expected a list of tables"),
    ("[[outcome]]", "[outcome]", 15, "outcome", "double brackets"),
    # horizons
    ("event_value = 1", "event_value = 1\nhorizons = [365]", 19, "outcome[1].horizons[1]", 'Write "365 days" if'),
    ("event_value = 1", 'event_value = 1\nhorizons = ["1 yr"]', 19, "outcome[1].horizons[1]", '"6 months"'),
    ("event_value = 1", 'event_value = 1\nhorizons = ["0 days"]', 19, "outcome[1].horizons[1]", "from 0.001 to"),
    ("event_value = 1", 'event_value = 1\nhorizons = ["-1 days"]', 19, "outcome[1].horizons[1]", "a length of time"),
    (
        "event_value = 1",
        'event_value = 1\nhorizons = ["5 years",\n "1 year"]',
        19,
        "outcome[1].horizons",
        '"1 year" comes after "5 years"; expected lengths from short to long',
    ),
    (
        "event_value = 1",
        'event_value = 1\nhorizons = ["1 year", "12 months"]',
        19,
        "outcome[1].horizons",
        '"12 months" is as long as "1 year"',
    ),
    # the graph
    ('"assumptions.dag"', '"a.dag"\nadjust_for = ["surgery"]', 9, "dag.adjust_for[1]", "is the treatment itself"),
    ('"assumptions.dag"', '"a.dag"\nadjust_for = ["age", "died"]', 9, "dag.adjust_for[2]", "is the outcome itself"),
    ('"assumptions.dag"', '"a.dag"\nadjust_for = ["a", "a"]', 9, "dag.adjust_for", '"a" is listed twice'),
    ('"assumptions.dag"', '"a.dag"\nadjust_for = "age"', 9, "dag.adjust_for", 'Write ["age"]'),
    ('"assumptions.dag"', '"a.dag"\ncolumns = { burden = [] }', 9, "dag.columns.burden", "expected at least one"),
    ('"assumptions.dag"', '"a.dag"\ncolumns = ["burden"]', 9, "dag.columns", "expected a table"),
    # populations
    ('population = "ATO"', 'population = "ato"', 21, "estimand.population", 'Did you mean "ATO"?'),
    ('population = "ATO"', 'population = "ATO"\nalso = ["ATO"]', 22, "estimand.also[1]", "is the population already"),
    ('population = "ATO"', 'population = "ATO"\nalso = ["ATE", "ATE"]', 22, "estimand.also", "is listed twice"),
    ('population = "ATO"', 'population = "ATO"\nalso = "ATE"', 22, "estimand.also", 'Write ["ATE"]'),
    ('population = "ATO"', "", 20, "estimand.population", "missing; expected the population of the effect"),
    # not there yet
    ('time_unit = "days"', 'time_unit = "days"\nmissing = "drop"', 6, "data.missing", '"complete-case"'),
]


@pytest.mark.parametrize(("old", "new", "line", "where", "words"), CHANGED)
def test_one_mistake_is_told_once_with_its_line(old: str, new: str, line: int, where: str, words: str) -> None:
    assert BASELINE.count(old) == 1
    problems = problems_of(BASELINE.replace(old, new))
    assert [(problem.where, problem.line) for problem in problems] == [(where, line)]
    assert words in str(problems[0])
    assert str(problems[0]).startswith(f"line {line}: {where}: ")


# What is added at the end of a text; a part of the line of the problem; its key path; words.
ADDED = [
    # eligibility
    (BASELINE, "[eligibility]\nage = 3", "age", "eligibility.age", "the number 3; expected a table"),
    (BASELINE, "[eligibility]\nage = {}", "age", "eligibility.age", "no condition; expected at least one of at_least"),
    (BASELINE, "[eligibility]\nage = { at_leest = 3 }", "age", "eligibility.age.at_leest", 'mean "at_least"?'),
    (BASELINE, '[eligibility]\nage = { above = "3" }', "age", "eligibility.age.above", "expected a number"),
    (BASELINE, "[eligibility]\nage = { above = inf }", "age", "eligibility.age.above", "the number inf"),
    (BASELINE, "[eligibility]\nage = { above = true }", "age", "eligibility.age.above", "true; expected a number"),
    (BASELINE, "[eligibility]\nage = { known = false }", "age", "eligibility.age.known", "false; expected true"),
    (BASELINE, "[eligibility]\nage = { in = [] }", "age", "eligibility.age.in", "expected at least one"),
    (BASELINE, "[eligibility]\nage = { in = [1, 1] }", "age", "eligibility.age.in", "1 is listed twice"),
    (BASELINE, '[eligibility]\nage = { in = [1, "a"] }', "age", "eligibility.age", "both text and numbers"),
    (BASELINE, "[eligibility]\nage = { in_ = [1] }", "age", "eligibility.age.in_", 'Did you mean "in"?'),
    (BASELINE, "[eligibility]\nage = { above = 3, at_least = 3 }", "age", "eligibility.age", "both at_least and above"),
    (BASELINE, "[eligibility]\nage = { equals = 3, in = [3] }", "age", "eligibility.age", "both equals and in"),
    (BASELINE, "[eligibility]\nage = { equals = 3, below = 9 }", "age", "eligibility.age", "below beside the eligible"),
    (BASELINE, "[eligibility]\nage = { in = [3], not_in = [4] }", "age", "eligibility.age", "not_in beside"),
    (BASELINE, "[eligibility]\nage = { at_least = 5, at_most = 3 }", "age", "eligibility.age", "nobody can meet"),
    (BASELINE, "[eligibility]\nage = { at_least = 5, below = 5 }", "age", "eligibility.age", "nobody can meet"),
    (BASELINE, '[eligibility]\nage = { at_least = 5, not_equals = "x" }', "age", "eligibility.age", "both text and"),
    (BASELINE, '[eligibility]\n"my age" = 3', "my age", 'eligibility."my age"', "expected a table"),
    # weights
    (
        BASELINE,
        '[propensity]\nmethod = "lasso"',
        "lasso",
        "propensity.method",
        '"logistic", "firth" or "entropy-balancing"',
    ),
    (BASELINE, '[propensity]\nmethod = "entropy_balancing"', "entropy_b", "propensity.method", "Did you mean"),
    (
        BASELINE,
        '[propensity]\nmethod = "entropy-balancing"',
        "population",
        "estimand.population",
        "known only through a propensity score",
    ),
    (BASELINE, "[propensity]\nstabilise = true", "stab", "propensity.stabilise", "would have no effect"),
    (BASELINE, "[propensity]\nstabilise = 1", "stab", "propensity.stabilise", "expected true or false"),
    (BASELINE, "[propensity]\nstabilize = true", "stab", "propensity.stabilize", 'Did you mean "stabilise"?'),
    (BASELINE, "[propensity]\ntruncate = 0.99", "trunc", "propensity.truncate", "such as [0.01, 0.99]"),
    (BASELINE, "[propensity]\ntruncate = [1, 99]", "trunc", "propensity.truncate", "between 0 and 1"),
    (BASELINE, "[propensity]\ntruncate = [0.9, 0.1]", "trunc", "propensity.truncate", "lower then upper"),
    (BASELINE, "[propensity]\ntruncate = [0, 1]", "trunc", "propensity.truncate", "would have no effect"),
    (BASELINE, "[propensity]\ntrim = 0.5", "trim", "propensity.trim", "above 0 and below 0.5"),
    (BASELINE, '[propensity]\nquantile_method = "nearest"', "quant", "propensity.quantile_method", "without truncate"),
    (BASELINE, "[propensity]\nsplines = { age = 2 }", "age", "propensity.splines.age", "a whole number from 3 to 7"),
    (BASELINE, '[propensity]\nsplines = ["age"]', "age", "propensity.splines", "expected a table"),
    (BASELINE, '[propensity]\nlog1p = "er"', "er", "propensity.log1p", 'Write ["er"]'),
    (BASELINE, '[propensity]\nlog1p = ["er", "er"]', 'er",', "propensity.log1p", '"er" is listed twice'),
    (BASELINE, '[propensity]\ninteractions = ["a"]', '"a"', "propensity.interactions[1]", "a pair of columns"),
    (BASELINE, '[propensity]\ninteractions = [["a", "a"]]', '"a",', "propensity.interactions", "paired with itself"),
    (BASELINE, '[propensity]\ninteractions = [["a","b"],["b","a"]]', '"a",', "propensity.interactions", "twice"),
    # time zero
    (BASELINE, '[time_zero]\ndesign = "ccw"', "ccw", "time_zero.design", '"clone-censor-weight"'),
    (
        BASELINE,
        '[time_zero]\nlandmark = "6 months"',
        "landm",
        "time_zero.landmark",
        'set [time_zero] design to "landmark"',
    ),
    (BASELINE, '[time_zero]\ngrace_period = "6 months"', "grace", "time_zero.grace_period", "would have no effect"),
    (BASELINE, '[time_zero]\ntiming = "uniform"', "timing", "time_zero.timing", "would have no effect"),
    (BASELINE, '[time_zero]\ntime_varying = ["r"]', "varying", "time_zero.time_varying", "would have no effect"),
    (BASELINE, '[time_zero]\nhistory = "v.csv"', "history", "time_zero.history", "would have no effect"),
    (BASELINE, "[initiation]\nlog1p = []", "[init", "initiation", 'would have no effect with design "baseline"'),
    (WITH_START, '[time_zero]\ndesign = "landmark"', "[time_zero]", "time_zero.landmark", "missing, but design"),
    (BASELINE, '[time_zero]\ndesign = "landmark"\nlandmark = "6 months"', "[treatment]", "treatment.start", "needs it"),
    (WITH_START, '[time_zero]\ndesign = "time-dependent"', "[estimand]", "estimand", "no fixed population"),
    (CLONES, "[propensity]\n", "[prop", "propensity", "see [initiation]"),
    (CLONES, 'landmark = "3 months"', "landmark", "time_zero.landmark", "would have no effect"),
    (CLONES, '[estimand]\npopulation = "ATO"', "popul", "estimand.population", '"ATO" is not possible with design'),
    (CLONES, '[estimand]\npopulation = "ATE"\nalso = ["ATT"]', "also", "estimand.also[1]", "is not possible"),
    (CLONES, 'timing = "normal"', "timing", "time_zero.timing", '"density", "natural", "uniform" or "maringe"'),
    (CLONES, 'natural_until = "3 months"', "natural", "time_zero.natural_until", 'no effect with timing "density"'),
    (
        CLONES,
        'timing = "natural"\nnatural_until = "6 months"',
        "natural_until",
        "time_zero.natural_until",
        "less than every grace period",
    ),
    (CLONES, '[initiation]\ninterval = "2 months"', "interval", "initiation.interval", "a month at most"),
    (CLONES, 'time_varying = ["r"]', "varying", "time_zero.time_varying", "no [data] history to read them from"),
    # strategies over time
    (BASELINE, "[time_zero]\nnever = true", "never", "time_zero.never", "only clone-censor-weight compares strategies"),
    (BASELINE, '[time_zero]\nunless = { r = "x" }', "unless", "time_zero.unless", "would have no effect"),
    (CLONES, "never = false", "never", "time_zero.never", "false; expected true"),
    (CLONES, 'timing = "maringe"\nnever = true', "never", "time_zero.never", 'no effect with timing "maringe"'),
    (CLONES, 'unless = { response = "progression" }', "unless", "time_zero.unless.response", "not among time_varying"),
    (CLONES, "unless = { response = [] }", "unless", "time_zero.unless.response", "expected at least one"),
    (CLONES, 'unless = { response = ["a", "a"] }', "unless", "time_zero.unless.response", "is listed twice"),
    (CLONES, 'unless = "progression"', "unless", "time_zero.unless", "expected a table"),
    # intervals
    (
        BASELINE,
        '[inference]\nmethod = "sandwich"',
        "sandw",
        "inference.method",
        '"influence", "bootstrap" or "jackknife"',
    ),
    (BASELINE, "[inference]\nreplicates = 99", "repl", "inference.replicates", 'set method to "bootstrap"'),
    (BASELINE, '[inference]\ncluster = "centre"', "cluster", "inference.cluster", "would have no effect"),
    (BASELINE, '[inference]\ninterval = "bca"', "interval", "inference.interval", "would have no effect"),
    (BASELINE, "[inference]\nstratify = true", "strat", "inference.stratify", "would have no effect"),
    (BASELINE, BOOTSTRAP + "replicates = 1", "repl", "inference.replicates", "a whole number from 2"),
    (BASELINE, BOOTSTRAP + 'interval = "wald"', "interval", "inference.interval", '"percentile"'),
    (BASELINE, BOOTSTRAP + 'cluster = "surgery"', "cluster", "inference.cluster", "is treatment.column already"),
    (BASELINE, "[inference]\nlevel = 95", "level", "inference.level", "Write 0.95"),
    (BASELINE, "[inference]\nlevel = 1", "level", "inference.level", "between 0 and 1"),
    (BASELINE, '[inference]\nties = "exact"', "ties", "inference.ties", '"efron" or "breslow"'),
    (BASELINE, "[inference]\njobs = 0", "jobs", "inference.jobs", "a whole number from 1"),
    # doubt, benchmarks, report
    (BASELINE, "[sensitivity.evalue]", "evalue", "sensitivity.evalue", 'Did you mean "e-value"?'),
    (BASELINE, "[sensitivity]\ne-value = true", "e-value", "sensitivity.e-value", "true; expected a table"),
    (BASELINE, "[sensitivity.e-value]\nx = 2020-01-01", "e-value", "sensitivity.e-value", "a date or time"),
    (BASELINE, "[report]\nsuppress_below = -1", "suppress", "report.suppress_below", "a whole number from 0"),
    (BASELINE, '[report]\nstyle = "bmj"', "bmj", "report.style", '"jama", "lancet", "nejm" or "plain"'),
]


@pytest.mark.parametrize(("base", "added", "part", "where", "words"), ADDED)
def test_one_addition_is_told_once_with_its_line(base: str, added: str, part: str, where: str, words: str) -> None:
    text = base + "\n" + added + "\n" if not added[:1].islower() else base + added + "\n"
    problems = problems_of(text)
    line = line_of(text, added) + added[: added.index(part)].count("\n") if part in added else line_of(text, part)
    assert [(problem.where, problem.line) for problem in problems] == [(where, line)]
    assert words in str(problems[0])


BENCHMARK = """[[benchmark]]
name = "Trial"
outcome = "died"
value = 0.75
lower = 0.54
upper = 1.04
source = "10.1200/JCO.1994.12.10.2086"
"""


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        (
            'outcome = "died"',
            'outcome = "dead"',
            "outcome",
            'no outcome is named "dead"; expected "died". Did you mean',
        ),
        ("value = 0.75", "value = 2", "value", "expected a value within its interval"),
        ("lower = 0.54", "lower = 0", "value", "expected values that a hazard ratio can have"),
        ("upper = 1.04", "upper = nan", "upper", "expected a number"),
        ("value = 0.75", 'value = 0.75\nmeasure = "rmst"', "measure", "is of one arm and compares nothing"),
        ("value = 0.75", 'value = 0.75\nmeasure = "odds ratio"', "measure", '"hazard ratio"'),
        (
            "value = 0.75",
            'value = 0.75\nmeasure = "survival ratio"',
            "horizon",
            "missing, but a survival ratio has one",
        ),
        ("value = 0.75", 'value = 0.75\nhorizon = "1 year"', "horizon", "would have no effect on a hazard ratio"),
        (
            "value = 0.75",
            'value = 0.75\nmeasure = "survival ratio"\nhorizon = "1 year"',
            "horizon",
            "is not a horizon of the outcome",
        ),
        ('name = "Trial"\n', "", "name", "missing; expected the label of the published study"),
        ('source = "10.1200/JCO.1994.12.10.2086"\n', "", "source", "missing; expected where it was published"),
    ],
)
def test_a_benchmark_that_cannot_be_compared(old: str, new: str, where: str, words: str) -> None:
    problems = problems_of(BASELINE + BENCHMARK.replace(old, new))
    assert [problem.where for problem in problems] == [f"benchmark[1].{where}"]
    assert words in str(problems[0])


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order() -> None:
    text = """titel = "x"
[data]
time_unti = "days"
[treatmnt]
column = "a"
[time_zero]
design = "landmrk"
landmark = "6"
[[outcome]]
time = "t"
event = "e"
event_value = 1
[[outcome]]
time = "t"
event = "e"
event_value = 2
[inference]
level = 95
replicates = 10
[sensitivity]
evalue = {}
"""
    assert [(problem.line, problem.where) for problem in problems_of(text)] == [
        (None, "dag"),
        (1, "titel"),
        (2, "data.file"),
        (3, "data.time_unti"),
        (4, "treatmnt"),
        (7, "time_zero.design"),
        (8, "time_zero.landmark[1]"),
        (13, "outcome[2].name"),
        (18, "inference.level"),
        (19, "inference.replicates"),
        (21, "sensitivity.evalue"),
    ]


def test_an_empty_file_is_told_what_a_question_consists_of() -> None:
    problems = problems_of("")
    assert [problem.where for problem in problems] == ["data", "dag", "treatment", "outcome", "estimand"]
    assert "expected a table headed [[outcome]]" in str(problems[3])
    assert all(problem.line is None for problem in problems)


def test_each_key_of_the_contract_that_would_have_no_effect_is_refused() -> None:
    problems = problems_of(CONTRACT)
    assert {problem.where.split(".")[1] for problem in problems} == set(NO_EFFECT_IN_CONTRACT)
    assert all("would have no effect" in problem.found for problem in problems)
    assert all(CONTRACT.splitlines()[(p.line or 0) - 1].startswith(p.where.split(".")[1]) for p in problems)


def test_history_needs_columns_an_id_and_one_place() -> None:
    text = CLONES.replace('time_unit = "days"', 'time_unit = "days"\nhistory = "a.csv"')
    assert [problem.where for problem in problems_of(text)] == ["data.id", "data.history"]
    twice = text.replace("[time_zero]", '[time_zero]\nhistory = "b.csv"\ntime_varying = ["r"]').replace(
        "[data]", '[data]\nid = "pid"'
    )
    (problem,) = problems_of(twice)
    assert (problem.where, problem.line) == ("time_zero.history", line_of(twice, 'history = "b.csv"'))
    assert "named in [data] already" in problem.found


def test_two_outcomes_of_one_name_and_outcomes_beyond_measure() -> None:
    second = '[[outcome]]\ntime = "days"\nevent = "died"\nevent_value = 2\n'
    (problem,) = problems_of(BASELINE + second)
    assert problem.where == "outcome[2].name"
    (problem,) = problems_of(BASELINE + second * 100)
    assert "101 tables; expected 100 at most" in str(problem)


def test_a_baseline_design_without_estimand() -> None:
    (problem,) = problems_of(MINIMAL)
    assert str(problem) == 'estimand: missing, but design "baseline" needs it; expected whom the effect is about'


# --- text that is not TOML ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('title = "a"\ntitle = "b"\n', 2, "a key that is given twice"),
        ("[data]\nx = 1\n[data]\n", 3, "a table that is given twice"),
        ("title = unquoted\n", 1, "Put text in quotes"),
        ("stabilise = True\n", 1, "true and false in small letters"),
        ('[data]\nfile = "C:\\data\\x.csv"\n', 2, "Write paths with /"),
        ('[data]\nfile = "C:\\users\\x.csv"\n', 2, "Write paths with /"),
        ('title = "a\nseed = 1\n', 1, "text without its closing quote"),
        ("[data\nx = 1\n", 1, "a table header without its closing bracket"),
        ("seed 1\n", 1, "a key without = and a value"),
        ("seed = 1 2\n", 1, "something after the end of a value"),
        ("= 1\n", 1, "neither a key nor a [table]"),
        ("x = {a = 1, a = 2}\n", 1, "a key that is given twice"),
        ("x = [1, 2\ny = 3\n", 2, "without its closing bracket"),
        ("x = {a = 1\n", 1, "without its closing brace"),
        ("a = 1\nx = [1,", 2, "something is not complete"),
        ("x = 2020-13-01\n", 1, "something after the end of a value"),
        ("x = 2021-02-29\n", 1, "a date that does not exist"),
    ],
)
def test_text_that_is_not_toml_names_the_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ProtocolError, match="cannot be read as TOML") as refused:
        Protocol.parse(text)
    (problem,) = refused.value.problems
    assert problem.line == line
    assert words in str(problem)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "[" * 3000, "too deep"),
        ("x" + ".y" * 5000 + " = 1", "dots"),
        ("x = " + "9" * 5000, "too many digits"),
        ("#" * (MOST_BYTES + 1), "longer than 1,000,000"),
    ],
)
def test_text_made_to_exhaust_a_reader_is_refused(text: str, words: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        Protocol.parse(text)
    assert words in str(refused.value)


def test_options_within_options_end_somewhere() -> None:
    (problem,) = problems_of(BASELINE + "[sensitivity.e-value" + ".a" * 60 + "]\n")
    assert "more than 10 tables or lists within each other" in problem.found


def test_only_so_many_problems_are_told() -> None:
    with pytest.raises(ProtocolError, match="more than 100 problems") as refused:
        Protocol.parse(BASELINE + "[eligibility]\n" + "".join(f"c{i} = 1\n" for i in range(5000)))
    assert len(refused.value.problems) == 100


def test_a_number_of_any_length_is_not_printed_in_full() -> None:
    (problem,) = problems_of("seed = 0x" + "f" * 9000 + "\n" + BASELINE)
    assert problem.found == "the number 2^35999 or more"


@pytest.mark.parametrize("value", [3, b"title = 1", None])
def test_what_is_not_text_is_refused(value: object) -> None:
    with pytest.raises(ProtocolError, match="parsed from text"):
        Protocol.parse(value)  # type: ignore[arg-type]


# --- files ----------------------------------------------------------------------------------------


def test_a_missing_file_names_the_study_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "node_positive.toml").write_text(BASELINE)
    with pytest.raises(ProtocolError, match="does not exist") as refused:
        Protocol.read(tmp_path / "study.toml")
    assert "node_positive.toml" in str(refused.value)
    with pytest.raises(ProtocolError, match="does not exist"):
        Protocol.read(tmp_path / "nowhere" / "study.toml")
    with pytest.raises(ProtocolError, match="does not exist"):
        Protocol.read("a\0b")


def test_a_folder_is_not_a_study_file(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="is a folder"):
        Protocol.read(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "study.toml")
    with pytest.raises(ProtocolError, match="not a regular file"):
        Protocol.read(tmp_path / "study.toml")


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("title = 'x'\nname = 'Café'".encode("latin-1"), 2, "a byte that is not UTF-8"),
        ("title = 'x'".encode("utf-16"), None, "text in UTF-16"),
        (b"\x89PNG\r\n\x1a\n", 1, "a byte that is not UTF-8"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, line: int | None, words: str) -> None:
    (tmp_path / "study.toml").write_bytes(content)
    with pytest.raises(ProtocolError, match=r"study\.toml is not a text file in UTF-8") as refused:
        Protocol.read(tmp_path / "study.toml")
    (problem,) = refused.value.problems
    assert problem.line == line
    assert words in str(problem)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "study.toml").open("wb") as stream:
        stream.truncate(10**12)  # sparse: nothing is written
    with pytest.raises(ProtocolError, match="longer than 1,000,000 bytes"):
        Protocol.read(tmp_path / "study.toml")


def test_a_file_names_itself_in_its_message(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(BASELINE.replace("days", "dayz", 1))
    with pytest.raises(ProtocolError, match=r"^mine\.toml has one problem:"):
        Protocol.read(tmp_path / "mine.toml")
