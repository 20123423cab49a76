"""From a study file to its cohort."""

from pathlib import Path

import pandas as pd
import pytest

from causal_s4.cohort import select
from causal_s4.errors import DataError, NoEventsError
from causal_s4.protocol.protocol import Protocol

DATA = Path(__file__).parents[2] / "data"

ROTTERDAM = """
title = "Hormonal treatment"
[data]
file = "rotterdam.csv"
id = "pid"
time_unit = "days"
[dag]
file = "rotterdam.dag"
[eligibility]
nodes = { at_least = 1 }
[treatment]
column = "hormon"
treated = 1
control = 0
name = "Hormonal treatment"
control_name = "None"
[[outcome]]
name = "Recurrence-free survival"
time = "rfs_days"
event = "rfs_event"
event_value = 1
[[outcome]]
name = "Overall survival"
time = "dtime"
event = "death"
event_value = 1
[estimand]
population = "ATO"
"""
COVARIATES = ["age", "meno", "size", "grade", "nodes", "pgr", "er", "year", "chemo"]


def test_rotterdam():
    cohort = select(Protocol.parse(ROTTERDAM, folder=DATA), COVARIATES)
    # Royston & Altman 2013, 10.1186/1471-2288-13-33: 2,982 patients, 1,546 of them node-positive.
    assert [(step.step, step.n, step.excluded) for step in cohort.attrition] == [
        ("Patients in the file", 2982, 0),
        ("nodes is at least 1", 1546, 1436),
    ]
    assert [outcome.name for outcome in cohort.outcomes] == ["Recurrence-free survival", "Overall survival"]
    assert (cohort.treatment_name, cohort.treated_label, cohort.control_label) == (
        "Hormonal treatment",
        "Hormonal treatment",
        "None",
    )
    assert list(cohort.covariates) == COVARIATES
    assert cohort.findings == ()


def test_all_patients_have_the_events_that_r_counts():
    protocol = Protocol.parse(ROTTERDAM.replace("[eligibility]\nnodes = { at_least = 1 }\n", ""), folder=DATA)
    cohort = select(protocol, COVARIATES)
    treated = cohort.treatment == 1
    rfs, survival = (outcome.event == 1 for outcome in cohort.outcomes)
    # Counts by R 4.2.2 of the same definition: ifelse(recur == 1, rtime, dtime), pmax(recur, death).
    assert (len(cohort), treated.sum()) == (2982, 339)
    assert (rfs.sum(), rfs[treated].sum()) == (1713, 206)
    assert (survival.sum(), survival[treated].sum()) == (1272, 159)


def write_study(folder, frame, visits=None, **changes):
    frame.to_csv(folder / "cohort.csv", index=False)
    text = """
[data]
file = "cohort.csv"
id = "pid"
time_unit = "months"
HISTORY
[dag]
file = "g.dag"
[eligibility]
age = { at_least = 18 }
[treatment]
column = "surgery"
treated = 1
control = 0
start = "surgery_months"
[time_zero]
design = "clone-censor-weight"
grace_period = "6 months"
TIME_VARYING
[[outcome]]
time = "months"
event = "death"
event_value = 1
"""
    if visits is not None:
        visits.to_csv(folder / "visits.csv", index=False)
    text = text.replace("HISTORY", 'history = "visits.csv"' if visits is not None else "")
    text = text.replace("TIME_VARYING", 'time_varying = ["ecog"]' if visits is not None else "")
    for old, new in changes.items():
        text = text.replace(old, new)
    return Protocol.parse(text, folder=folder)


@pytest.fixture
def cohort_table():
    return pd.DataFrame(
        {
            "pid": [1, 2, 3, 4, 5],
            "age": [17, 30, 40, None, 60],
            "surgery": [1, 1, 0, 0, 1],
            "surgery_months": [2, 3.5, None, None, 0],
            "months": [10, 20, 30, 40, 50],
            "death": [1, 1, 0, 0, 1],
            "unused": ["x"] * 5,
        }
    )


@pytest.fixture
def visits():
    return pd.DataFrame({"pid": [1, 2, 2, 4, 5], "time": [0, 0, 3, 0, 49], "ecog": [0, 1, 2, 0, 1], "note": ["a"] * 5})


def test_history_of_the_eligible(tmp_path, cohort_table, visits):
    cohort = select(write_study(tmp_path, cohort_table, visits), ["age"])
    assert cohort.ids.tolist() == [2, 3, 5]
    assert cohort.history.to_dict("list") == {"patient": [0, 0, 2], "time": [0.0, 3.0, 49.0], "ecog": [1, 2, 1]}
    assert cohort.treatment_start.tolist() == [3.5, float("inf"), 0.0]


def test_rows_are_those_of_the_file(tmp_path, cohort_table, visits):
    cohort_table.loc[4, "months"] = -1
    visits.loc[4, "pid"] = 99
    with pytest.raises(DataError) as caught:
        select(write_study(tmp_path, cohort_table, visits), ["age"])
    text = str(caught.value)
    assert "months: 1 patient with a negative follow-up time (row 5)" in text
    assert "history, pid: 1 row of patients who are not in the cohort's file (row 5)" in text


def test_absent_columns_of_both_files_at_once(tmp_path, cohort_table, visits):
    protocol = write_study(tmp_path, cohort_table, visits.rename(columns={"ecog": "ecog_ps"}))
    with pytest.raises(DataError) as caught:
        select(protocol, ["agee"])
    text = str(caught.value)
    assert 'agee: no such column. Did you mean "age"?' in text
    assert "history, ecog: no such column" in text
    assert "ecog_ps" in text


def test_eligibility_that_cannot_be_applied_names_absent_columns_too(tmp_path, cohort_table):
    protocol = write_study(tmp_path, cohort_table.rename(columns={"age": "years"}))
    with pytest.raises(DataError) as caught:
        select(protocol, ["burden"])
    text = str(caught.value)
    assert "age: no such column" in text
    assert "burden: no such column" in text


def test_no_file(tmp_path, cohort_table):
    protocol = write_study(tmp_path, cohort_table, **{"cohort.csv": "cohrt.csv"})
    with pytest.raises(DataError, match=r"there is no file .*cohrt\.csv"):
        select(protocol, [])


def test_nobody_eligible(tmp_path, cohort_table):
    protocol = write_study(tmp_path, cohort_table, **{"at_least = 18": "at_least = 100"})
    with pytest.raises(NoEventsError, match="no patient is eligible"):
        select(protocol, [])
