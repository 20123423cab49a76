"""The long table of changing covariates: read by patient, and every malformed row named at once."""

import numpy as np
import pandas as pd
import pytest

from causal_s4.cohort import build_cohort
from causal_s4.errors import DataError

COHORT = pd.DataFrame(
    {"pid": [7, 3, 9, 5], "surgery": [1, 0, 1, 0], "days": [100, 200, 300, 400], "death": [1, 0, 0, 1]}
)


def visits(**changes):
    frame = pd.DataFrame(
        {
            "pid": [3, 3, 7, 9],
            "time": [0.0, 90.0, 30.0, -10.0],
            "response": ["stable", "partial", "stable", "none seen"],
            "ecog": [0, 1, 2, 1],
        }
    )
    return frame.assign(**changes)


def build(history, **options):
    defaults = {
        "id": "pid",
        "treatment": "surgery",
        "treated": 1,
        "control": 0,
        "outcomes": [{"name": "Survival", "time": "days", "event": "death", "event_value": 1}],
        "time_unit": "days",
        "covariates": [],
        "history": history,
    }
    return build_cohort(options.pop("frame", COHORT), **(defaults | options))


def refused(history, **options):
    with pytest.raises(DataError) as caught:
        build(history, **options)
    return str(caught.value)


def test_history_is_by_position_of_the_patient_and_time():
    history = build(visits()).history
    assert history["patient"].tolist() == [0, 1, 1, 2]
    assert history["time"].tolist() == [30.0, 0.0, 90.0, -10.0]
    assert history["response"].tolist() == ["stable", "stable", "partial", "none seen"]
    assert history["ecog"].tolist() == [2, 0, 1, 1]


def test_chosen_columns_only():
    history = build(visits(note=[f"text {k}" for k in range(4)]), history_columns=["ecog"]).history
    assert list(history) == ["patient", "time", "ecog"]
    assert 'history, eco: no such column. Did you mean "ecog"?' in refused(visits(), history_columns=["eco"])


def test_everything_wrong_is_named_at_once():
    history = pd.DataFrame(
        {
            "pid": [3, 3, 3, 7, 88, 9, 9, None, 5, 5],
            "time": [90, 30, 30, 101, 5, "soon", np.inf, 5, None, 400],
            "response": ["stable", "partial"] * 5,
            "ecog": ["1,5", "1", "0", "2", "1", "0", "1", "2", "1", "0"],
        }
    )
    text = refused(history)
    for part in (
        "history, pid: 1 row without an identifier (row 8)",
        "history, pid: 1 row of patients who are not in the cohort's file (row 5)",
        "history, time: 1 value not a number (row 6); expected numbers",
        "history, time: 1 row without a time (row 9)",
        "history, time: 1 row with an infinite time (row 7)",
        "history, time: 1 row earlier than the row before of the same patient (row 2)",
        "history, time: 1 row at the same time as another of the same patient (row 3)",
        "history, time: 1 row after the patient's follow-up ended (row 4); expected no value from the future",
        "history, ecog: 1 value of text in a column of numbers (row 1)",
    ):
        assert part in text


def test_absent_columns():
    text = refused(visits().rename(columns={"pid": "patient_id", "time": "tme"}))
    assert "history, pid: no such column" in text
    assert 'history, time: no such column. Did you mean "tme"?' in text


def test_identifiers_as_text_in_one_file_only():
    text = refused(visits(pid=["3", "3", "7", "9"]))
    assert "4 rows of patients who are not in the cohort's file" in text
    assert "One file holds them as text, the other as numbers" in text


def test_history_needs_an_identifier():
    assert "history: no column identifies a patient" in refused(visits(), id=None)


def test_problems_of_cohort_and_history_come_together():
    text = refused(visits(time=[0, 90, 30, 301]), frame=COHORT.assign(surgery=[1, 0, 2, 0]))
    assert "surgery: 1 patient with a value other than the two declared" in text
    assert "after the patient's follow-up ended (row 4)" in text


def test_malformed_timelines_are_named_all_at_once():
    """Rows after death, surgery after death, visits out of order and twice, and of somebody else."""
    frame = COHORT.assign(months=[101.0, None, 50.0, None])
    history = visits().assign(pid=[3, 3, 7, 9], time=[90, 30, 120, 10])
    history = pd.concat([history, visits().assign(pid=[9, 88, 5, 5], time=[10, 5, 20, 401])], ignore_index=True)
    text = refused(history, frame=frame, treatment_start="months")
    for part in (
        "months: 1 patient treated after the end of follow-up (row 1)",
        "history, pid: 1 row of patients who are not in the cohort's file (row 6)",
        "history, time: 1 row earlier than the row before of the same patient (row 2)",
        "history, time: 1 row at the same time as another of the same patient (row 5)",
        "history, time: 2 rows after the patient's follow-up ended (rows 3, 8); expected no value from the future",
    ):
        assert part in text


def test_rows_at_the_last_day_are_no_future():
    assert len(build(visits(time=[0, 200, 100, 300])).history) == 4


def test_a_value_after_progression_but_before_death_is_no_future():
    outcomes = [
        {"name": "Progression", "time": "progression_days", "event": "progression", "event_value": 1},
        {"name": "Survival", "time": "days", "event": "death", "event_value": 1},
    ]
    frame = COHORT.assign(progression_days=[20, 80, 250, 300], progression=[1, 1, 0, 1])
    assert len(build(visits(), frame=frame, outcomes=outcomes).history) == 4


def test_patients_left_out_take_their_rows_with_them():
    frame = COHORT.assign(age=[50, np.nan, 60, 70])
    cohort = build(visits(), frame=frame, covariates=["age"], missing="complete-case")
    assert cohort.ids.tolist() == [7, 9, 5]
    assert cohort.history["patient"].tolist() == [0, 1]
    assert cohort.history["ecog"].tolist() == [2, 1]


def test_rows_of_patients_excluded_before_are_no_strangers():
    history = visits(pid=[3, 3, 88, 9])
    assert build(history, excluded_ids=[88]).history["patient"].tolist() == [1, 1, 2]
    # Row numbers are still those of the history as it was given.
    assert "(row 4)" in refused(history.assign(time=[0, 90, 30, 301]), excluded_ids=[88])


def test_visit_without_a_value_is_said():
    cohort = build(visits(ecog=[0, None, 2, 1], response=["stable", None, None, "partial"]))
    notes = {each.numbers["column"]: each.numbers["visits"] for each in cohort.findings}
    assert notes == {"ecog": 1, "response": 2}
    assert cohort.history["ecog"].isna().sum() == 1


def test_true_and_false_with_gaps_become_numbers():
    history = build(visits(progressed=[True, None, False, True])).history
    np.testing.assert_array_equal(history["progressed"], [0.0, 1.0, np.nan, 1.0])
