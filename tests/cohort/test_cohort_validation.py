"""Validation: each thing that can be wrong with a table is named, and all of them at once."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_s4.cohort import Cohort, build_cohort
from causal_s4.errors import DataError, NoEventsError, UsageError
from causal_s4.protocol.vocabulary import TimeUnit
from causal_s4.results import AttritionStep


def table(n=40, **columns):
    """Make a sound table; named columns replace or add."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "pid": np.arange(101, 101 + n),
            "surgery": np.arange(n) % 2,
            "days": rng.integers(30, 3000, n),
            "death": np.arange(n) % 3 % 2,
            "age": rng.integers(30, 80, n),
            "size": np.array(["small", "large", "medium"])[np.arange(n) % 3],
        }
    )
    return frame.assign(**columns)


OUTCOME = {"name": "Survival", "time": "days", "event": "death", "event_value": 1}


def build(frame, *, outcome=None, **options):
    defaults = {
        "id": "pid",
        "treatment": "surgery",
        "treated": 1,
        "control": 0,
        "outcomes": [OUTCOME | (outcome or {})],
        "time_unit": "days",
        "covariates": ["age", "size"],
    }
    return build_cohort(frame, **(defaults | options))


def refused(frame, error=DataError, **options):
    with pytest.raises(error) as caught:
        build(frame, **options)
    return str(caught.value)


def replaced(column, values, n=40):
    """Replace the first cells of a column of the sound table."""
    cells = table(n)[column].astype(object).tolist()
    return table(n, **{column: [*values, *cells[len(values) :]]})


def codes_of(cohort):
    return [finding.code for finding in cohort.findings]


# --- a sound table -----------------------------------------------------------------------------


def test_sound_table():
    frame = table()
    cohort = build(frame)
    assert len(cohort) == 40
    assert cohort.ids.tolist() == frame["pid"].tolist()
    assert cohort.treatment.tolist() == frame["surgery"].tolist()
    assert cohort.outcome().time.tolist() == frame["days"].tolist()
    assert cohort.outcome().event.tolist() == frame["death"].tolist()
    assert cohort.time_unit is TimeUnit.DAYS
    assert cohort.covariates["age"].tolist() == frame["age"].tolist()
    assert list(cohort.covariates["size"].cat.categories) == ["large", "medium", "small"]
    assert cohort.attrition == (AttritionStep(step="Patients in the table", n=40, excluded=0),)
    assert (cohort.findings, cohort.missing) == ((), {})
    assert (cohort.treatment_name, cohort.treated_label, cohort.control_label) == ("surgery", "Treated", "Control")


def test_arrays_are_read_only():
    cohort = build(table())
    for array in (cohort.ids, cohort.treatment, cohort.outcome().time, cohort.outcome().event):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_the_table_given_is_left_alone():
    frame = table(size=[None, *table()["size"][1:]], days=[0, *table()["days"][1:]])
    before = frame.copy()
    build(frame, missing="complete-case", zero_time="half")
    pd.testing.assert_frame_equal(frame, before)


def test_from_frame_is_the_same():
    cohort = Cohort.from_frame(
        table(),
        id="pid",
        treatment="surgery",
        treated=1,
        control=0,
        time="days",
        event="death",
        event_value=1,
        time_unit="days",
        covariates=["age"],
    )
    assert cohort.outcome().name == "death"
    assert cohort.treatment.sum() == 20


def test_without_identifier_rows_are_patients():
    assert build(table(), id=None).ids.tolist() == list(range(1, 41))


def test_attrition_and_findings_so_far_are_kept():
    steps = (AttritionStep(step="Patients in the file", n=50, excluded=0), AttritionStep(step="x", n=40, excluded=10))
    assert build(table(), attrition=steps).attrition == steps


def test_everything_wrong_is_named_at_once():
    frame = table(
        pid=[101, 101, *range(103, 141)],
        surgery=[2, None, *table()["surgery"][2:]],
        days=[-5, 0, np.inf, np.nan, *table()["days"][4:]],
        death=[9, 8, *table()["death"][2:]],
        age=["12,5", *table()["age"][1:].astype(str)],
        size=[None, *table()["size"][1:]],
    )
    text = refused(frame, covariates=["age", "size", "grade", "days"])
    for part in (
        "pid: 1 identifier on more than one row, 2 rows in all (rows 1, 2); expected one row a patient",
        "surgery: 1 patient without a treatment (row 2)",
        "surgery: 1 patient with a value other than the two declared: 2 (1) (row 1); expected 1 (treated) or 0",
        "days: 1 patient without a follow-up time (row 4)",
        "days: 1 patient with an infinite follow-up time (row 3)",
        "days: 1 patient with a negative follow-up time (row 1)",
        "days: 1 patient with a follow-up time of zero (row 2)",
        "death: besides event_value = 1 it holds 0 (26), 8 (1), 9 (1); expected exactly one code",
        "age: 1 value of text in a column of numbers (row 1); expected numbers, or levels throughout. Write decimals",
        "size: 1 of 40 patients without a value (row 1)",
        "grade: no such column",
        "days: is the time of an outcome, and cannot be a covariate as well",
    ):
        assert part in text


# --- columns and identifiers -------------------------------------------------------------------


def test_absent_columns_name_the_nearest():
    text = refused(table(), covariates=["Age", "nodes"], treatment="surgry", outcome={"time": "dayz"})
    assert 'Age: no such column. Did you mean "age"?' in text
    assert 'surgry: no such column. Did you mean "surgery"?' in text
    assert 'dayz: no such column. Did you mean "days"?' in text
    assert "nodes: no such column. The columns are: pid, surgery, days, death, age, size" in text


def test_column_named_twice_in_the_frame():
    frame = pd.concat([table(), table()[["age"]]], axis=1)
    assert "age: 2 columns of this name; expected one" in refused(frame)


def test_covariate_listed_twice():
    assert "age: is listed as a covariate more than once" in refused(table(), covariates=["age", "age"])


@pytest.mark.parametrize(
    ("column", "role"),
    [("surgery", "the treatment"), ("pid", "the identifier"), ("death", "the event of an outcome")],
)
def test_covariate_with_another_role(column, role):
    assert f"{column}: is {role}, and cannot be a covariate as well" in refused(table(), covariates=[column])


def test_missing_identifiers():
    frame = table(pid=[np.nan, np.nan, *range(103, 141)])
    assert "pid: 2 patients without an identifier (rows 1, 2)" in refused(frame)


def test_rows_are_named_up_to_five_and_identifiers_never():
    text = refused(table(days=[-1.0] * 40))
    assert "40 patients with a negative follow-up time (rows 1, 2, 3, 4, 5, ...)" in text
    assert "101" not in text


def test_rows_can_carry_the_numbers_of_the_file():
    frame = table(days=[-1, *table()["days"][1:]])
    assert "(row 77)" in refused(frame, rows=np.arange(77, 117))


# --- treatment ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "treated", "control"),
    [
        ([0, 1], 1, 0),
        ([0.0, 1.0], 1, 0),
        ([False, True], 1, 0),
        ([False, True], True, False),
        ([0, 1], True, False),
        (["no", "yes"], "yes", "no"),
        ([Decimal(0), Decimal(1)], 1, 0),
        (["1", "2"], "2", "1"),
    ],
)
def test_declared_values_match_across_number_types(values, treated, control):
    frame = table(surgery=[values[k % 2] for k in range(40)])
    assert build(frame, treated=treated, control=control).treatment.tolist() == [0, 1] * 20


def test_declared_values_match_in_a_categorical():
    frame = table(surgery=pd.Categorical(["no", "yes"] * 20))
    assert build(frame, treated="yes", control="no").treatment.sum() == 20


@pytest.mark.parametrize(
    ("values", "treated", "control", "hint"),
    [
        ([0, 1], "1", "0", "The column holds 1, not text; write it without quotes"),
        (["0", "1"], 1, 0, 'The column holds the text "1"; write it in quotes'),
        (["no", "Yes"], "yes", "no", 'Did you mean "Yes"?'),
        (["no", "yes "], "yes", "no", 'Did you mean "yes "?'),
    ],
)
def test_text_never_matches_a_number_but_the_hint_says_so(values, treated, control, hint):
    frame = table(surgery=[values[k % 2] for k in range(40)])
    assert hint in refused(frame, treated=treated, control=control)


def test_three_treatments():
    text = refused(table(surgery=["none", "primary", "metastasis", "none"] * 10), treated="primary", control="none")
    assert 'a value other than the two declared: "metastasis" (10) (rows 3, 7, 11, 15, 19, ...)' in text
    assert "Exclude them by an eligibility condition" in text


def test_treated_and_control_alike():
    assert "treated and control are both 1" in refused(table(), treated=1, control=1)


def test_an_arm_without_patients_cannot_answer():
    with pytest.raises(NoEventsError, match="no patient in the arm Treated") as caught:
        build(table(surgery=0))
    assert caught.value.exit_status == 3


# --- times -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["12,5"], "days: 1 value not a number (row 1); expected numbers. Write decimals with a point"),
        (["1,200"], "Write decimals with a point and thousands without a separator"),
        (["<30"], "days: 1 value not a number (row 1)"),
        (["unknown", "n/a"], "days: 2 values not a number (rows 1, 2)"),
        ([None, None], "days: 2 patients without a follow-up time (rows 1, 2)"),
        ([np.inf], "days: 1 patient with an infinite follow-up time (row 1)"),
        ([-1, -2.5], "days: 2 patients with a negative follow-up time (rows 1, 2)"),
        ([0], 'days: 1 patient with a follow-up time of zero (row 1). State zero_time = "half"'),
    ],
)
def test_malformed_times(values, message):
    assert message in refused(replaced("days", values))


def test_numbers_stored_as_text_are_not_times():
    text = refused(table(days=table()["days"].astype(str)))
    assert "days: 40 values not a number" in text
    assert "The numbers are stored as text; convert the column to numbers" in text


@pytest.mark.parametrize("column", [pd.date_range("2001-01-01", periods=40), [dt.date(2001, 1, 1)] * 40])
def test_dates_are_not_times(column):
    text = refused(table(days=column))
    assert "days: holds dates; expected numbers. Count the time from each patient's time zero first" in text


def test_true_and_false_are_not_times():
    assert "days: holds true and false; expected numbers" in refused(table(days=[True] * 40))


def test_half_a_unit_is_added_to_zero_and_counted():
    cohort = build(table(days=[0, 0, *table()["days"][2:]]), zero_time="half")
    assert cohort.outcome().time[:2].tolist() == [0.5, 0.5]
    (finding,) = cohort.findings
    assert (finding.code, finding.numbers["patients"]) == ("zero-time", 2)


@pytest.mark.parametrize(
    ("days", "unit", "doubted"),
    [(2000, "days", False), (2000, "months", True), (4, "days", True), (60, "months", False), (60, "years", True)],
)
def test_units_that_make_follow_up_absurd(days, unit, doubted):
    cohort = build(table(days=np.linspace(0.5, 1.5, 40) * days), time_unit=unit)
    assert (codes_of(cohort) == ["time-unit"]) is doubted


def test_nullable_and_decimal_numbers_are_numbers():
    frame = table(days=pd.array(table()["days"], dtype="Int64"), age=[Decimal(int(v)) for v in table()["age"]])
    cohort = build(frame)
    assert cohort.outcome().time.tolist() == table()["days"].tolist()
    assert cohort.covariates["age"].tolist() == table()["age"].tolist()


# --- event codes -------------------------------------------------------------------------------


def test_competing_event():
    frame = table(death=[0, 1, 2, 0] * 10)
    assert build(frame, outcome={"competing_value": 2}).outcome().event.tolist() == [0, 1, 2, 0] * 10


def test_one_two_coding_is_read_as_declared():
    frame = table(death=[1, 2] * 20)
    cohort = build(frame, outcome={"event_value": 2})
    assert cohort.outcome().event.tolist() == [0, 1] * 20
    assert cohort.findings == ()


def test_one_two_coding_the_wrong_way_round_is_doubted():
    cohort = build(table(death=[1, 2, 2, 2] * 10), outcome={"event_value": 1})
    assert cohort.outcome().event.sum() == 10
    (finding,) = cohort.findings
    assert finding.code == "event-coding"
    assert (
        "death is coded 1 and 2. As declared, 1 is the event and 2 is censored (10 events in 40 patients)"
        in finding.message
    )


def test_event_value_not_stated():
    text = refused(table(death=[1, 2] * 20), outcome={"event_value": None})
    assert "death: event_value is not stated; the codes are 1 (20), 2 (20)" in text


def test_event_value_not_found_names_the_codes():
    text = refused(table(death=["alive", "dead"] * 20), outcome={"event_value": "deceased"})
    assert 'death: no patient has event_value = "deceased"; the codes are "alive" (20), "dead" (20)' in text


@pytest.mark.parametrize(
    ("codes", "value", "hint"),
    [
        ([0, 1], "1", "The column holds 1, not text; write it without quotes"),
        (["0", "1"], 1, 'The column holds the text "1"; write it in quotes'),
        (["alive", "Dead"], "dead", 'Did you mean "Dead"?'),
        (["alive", "deceased"], "decaesed", 'Did you mean "deceased"?'),
        ([True, False], "true", "The column holds true, not text; write it without quotes"),
    ],
)
def test_event_value_of_another_type_or_spelling(codes, value, hint):
    assert hint in refused(table(death=codes * 20), outcome={"event_value": value})


def test_more_than_one_code_left_for_censoring():
    text = refused(table(death=[0, 1, 2, 9] * 10))
    assert "death: besides event_value = 1 it holds 0 (10), 2 (10), 9 (10)" in text
    assert "expected exactly one code beside the declared ones, that of censoring" in text
    assert "Name a competing event by competing_value" in text


def test_time_column_given_as_event():
    text = refused(table(), outcome={"event": "days"}, covariates=[])
    assert "days: no patient has event_value = 1; the codes are 40 different values" in text


def test_missing_event_codes():
    text = refused(table(death=[None, *table()["death"][1:]]))
    assert "death: 1 patient without an event code (row 1). Give the code of censoring" in text


def test_event_and_competing_alike():
    assert "event_value and competing_value are both 1" in refused(table(), outcome={"competing_value": 1})


def test_declared_competing_event_that_nobody_had():
    assert codes_of(build(table(), outcome={"competing_value": 2})) == ["no-competing-event"]


def test_nobody_censored_is_said():
    assert codes_of(build(table(death=1))) == ["nobody-censored"]


@pytest.mark.parametrize(("column", "value"), [("death", 0), ("cnsr", 1), ("censored", 1)])
def test_codes_that_may_mean_censoring_are_doubted(column, value):
    frame = table().rename(columns={"death": column})
    assert codes_of(build(frame, outcome={"event": column, "event_value": value})) == ["event-coding"]


def test_no_events_cannot_answer():
    with pytest.raises(NoEventsError, match="Survival: no patient had the event"):
        build(table(death=0))


def test_problem_of_a_shared_time_column_is_named_once():
    second = {"name": "Progression", "time": "days", "event": "progression", "event_value": 1}
    frame = table(progression=table()["death"], days=[-1, *table()["days"][1:]])
    text = refused(frame, outcomes=[OUTCOME, second])
    assert text.count("negative") == 1


def test_two_outcomes_of_one_name():
    assert "Survival: 2 outcomes of this name" in refused(table(), outcomes=[OUTCOME, OUTCOME])


# --- start of treatment ------------------------------------------------------------------------


def starts(**changes):
    values = [30.0 if k % 2 else np.nan for k in range(40)]
    for row, value in changes.items():
        values[int(row[1:]) - 1] = value
    return table(start=values, days=table()["days"] + 100)


def test_start_is_infinite_for_those_never_treated():
    cohort = build(starts(), treatment_start="start")
    assert cohort.treatment_start.tolist() == [30.0 if k % 2 else np.inf for k in range(40)]


def test_start_may_be_zero_or_the_last_day():
    frame = starts(r2=0.0)
    frame.loc[3, "start"] = frame.loc[3, "days"]
    assert build(frame, treatment_start="start").treatment_start[[1, 3]].tolist() == [0.0, frame.loc[3, "days"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r2": -1.0}, "1 patient treated before time zero (row 2)"),
        ({"r2": np.inf}, "1 patient with an infinite time to treatment (row 2)"),
        ({"r2": 1e6}, "1 patient treated after the end of follow-up (row 2)"),
        ({"r2": np.nan, "r4": np.nan}, "2 patients treated, but without a start of treatment (rows 2, 4)"),
        ({"r1": 5.0}, "1 patient not treated, but with a start of treatment (row 1)"),
    ],
)
def test_malformed_starts(changes, message):
    assert f"start: {message}" in refused(starts(**changes), treatment_start="start")


def test_start_as_a_date():
    frame = starts().assign(start=pd.Timestamp("2001-01-01"))
    assert "start: holds dates" in refused(frame, treatment_start="start")


# --- covariates --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["12,5"], "age: 1 value of text in a column of numbers (row 1)"),
        (["<0.1", "unknown"], "age: 2 values of text in a column of numbers (rows 1, 2)"),
        (["n/a"] * 30, "age: 30 values of text in a column of numbers"),
        ([np.inf], "age: 1 infinite value (row 1); expected finite numbers"),
        ([b"x"], "age: 1 value neither number nor text (row 1)"),
        ([[1, 2]], "age: holds lists or records"),
        ([dt.date(2001, 1, 1)], "age: holds dates; expected numbers or levels"),
    ],
)
def test_malformed_covariates(values, message):
    assert message in refused(replaced("age", values))


def test_text_among_numbers_read_from_csv():
    # In a csv column, one value that is no number makes text of them all.
    frame = table(age=["<0.1", *table()["age"][1:].astype(str)])
    text = refused(frame)
    assert "age: 1 value of text in a column of numbers (row 1)" in text
    assert "Decide what a value below or above the limit of the assay stands for" in text


def test_one_decimal_comma_read_from_csv():
    frame = table(age=["12,5", *table()["age"][1:].astype(str)])
    assert "age: 1 value of text in a column of numbers (row 1)" in refused(frame)


def test_numbers_stored_as_text_among_numbers():
    # As a spreadsheet has them, where some cells were typed as text.
    assert "age: 1 number stored as text (row 1); expected numbers" in refused(replaced("age", ["61"]))


def test_decimal_commas_throughout():
    frame = table(age=[f"{value},5" for value in table()["age"]])
    text = refused(frame)
    assert "age: 40 values of text in a column of numbers" in text
    assert "Write decimals with a point" in text


def test_levels_that_look_like_ranges_are_levels():
    frame = table(size=np.array(["<=20", "20-50", ">50"])[np.arange(40) % 3])
    assert list(build(frame).covariates["size"].cat.categories) == ["20-50", "<=20", ">50"]


def test_numbers_are_never_levels():
    assert build(table(size=np.arange(40) % 3)).covariates["size"].dtype == np.int64


def test_numbers_stored_as_text_are_levels_and_said():
    cohort = build(table(size=np.array(["1", "2", "3"])[np.arange(40) % 3]))
    assert list(cohort.covariates["size"].cat.categories) == ["1", "2", "3"]
    assert codes_of(cohort) == ["numbers-as-text"]


def test_many_numbers_stored_as_text():
    text = refused(table(size=[str(k) for k in range(40)]))
    assert "size: 40 different texts among 40 patients; expected at most 10 levels" in text
    assert "stored as text; convert" in text


def test_free_text():
    text = refused(table(size=[f"remark {k}" for k in range(40)]))
    assert "Group them into fewer levels, or leave the column out" in text
    frame = table(400, size=[f"centre {k % 51}" for k in range(400)])
    assert "51 different texts among 400 patients; expected at most 50 levels" in refused(frame)


def test_true_and_false_stay_so():
    frame = table(size=[True, False, False, True] * 10, age=pd.array([True, False, False, True] * 10, dtype="boolean"))
    assert build(frame).covariates.dtypes.tolist() == [bool, bool]


def test_ordered_categorical_keeps_its_order_and_others_are_sorted():
    values = np.array(["small", "large", "medium"])[np.arange(40) % 3]
    order = ["small", "medium", "large", "huge"]
    ordered = build(table(size=pd.Categorical(values, categories=order, ordered=True)))
    plain = build(table(size=pd.Categorical(values, categories=order)))
    assert list(ordered.covariates["size"].cat.categories) == ["small", "medium", "large"]
    assert list(plain.covariates["size"].cat.categories) == ["large", "medium", "small"]


def test_categorical_of_numbers_was_told_to_be_levels():
    cohort = build(table(size=pd.Categorical(np.array([10, 2, 1])[np.arange(40) % 3])))
    assert list(cohort.covariates["size"].cat.categories) == ["1", "2", "10"]


def test_constant_covariate():
    text = refused(table(size="small", age=50))
    assert "size: every analysed patient has the same value" in text
    assert "age: every analysed patient has the same value; expected at least two values" in text
    assert "cannot confound" in text


def test_missing_covariates_are_refused_with_counts():
    text = refused(table(age=[None, None, *table()["age"][2:]], size=[None, *table()["size"][1:]]))
    assert "age: 2 of 40 patients without a value (rows 1, 2)" in text
    assert "size: 1 of 40 patients without a value (row 1)" in text
    assert 'missing = "complete-case"' in text


def test_complete_cases_are_counted_in_the_flow():
    frame = table(age=[None, None, *table()["age"][2:]], size=[None, *table()["size"][1:]])
    cohort = build(frame, missing="complete-case")
    assert cohort.ids.tolist() == frame["pid"].tolist()[2:]
    assert cohort.attrition[-1] == AttritionStep(step="Complete covariates", n=38, excluded=2)
    assert cohort.missing == {"age": 2, "size": 1}
    (finding,) = cohort.findings
    assert "age (2), size (1)" in finding.message
    assert finding.numbers == {"excluded": 2, "columns": ["age", "size"], "counts": [2, 1]}
    assert cohort.covariates.index.tolist() == list(range(38))


def test_constant_among_the_complete_cases():
    frame = table(size=["small"] * 39 + ["large"], age=[*table()["age"][:39].astype(float), None])
    assert "size: every analysed patient has the same value" in refused(frame, missing="complete-case")


def test_column_without_any_value():
    assert "age: 40 of 40 patients without a value" in refused(table(age=None))
    with pytest.raises(NoEventsError, match="nothing to compare among 0 patients"):
        build(table(age=None), missing="complete-case")


@pytest.mark.parametrize(
    ("column", "values", "shown"),
    [
        ("size", ["unknown", "unknown"], '"unknown" (2)'),
        ("size", ["N/A", "."], '"." (1), "N/A" (1)'),
        ("age", [99], "99 (1)"),
        ("age", [999, 99, 99], "99 (2), 999 (1)"),
        ("age", [-9, -9], "-9 (2)"),
    ],
)
def test_values_that_look_like_missing_codes_are_let_pass_but_said(column, values, shown):
    cohort = build(table(**{column: [*values, *table()[column][len(values) :]]}))
    finding = next(each for each in cohort.findings if each.code == "looks-like-missing")
    assert finding.severity == "caution"
    for part in shown.split(", "):
        assert part in finding.message


def test_ordinary_values_are_not_taken_for_missing_codes():
    # 99 within the range, and negative values of a column that has others.
    frame = table(age=[99, 250, *table()["age"][2:]], score=np.r_[-9, np.linspace(-20, 20, 39)])
    assert codes_of(build(frame, covariates=["age", "score"])) == []


@pytest.mark.parametrize(
    "values",
    [["rare"] * 2 + ["a", "a", "b", "b"] * 9 + ["a", "b"], [True, False, True] + [False] * 37, [7, 3, 7] + [3] * 37],
)
def test_level_with_one_arm_only(values):
    frame = table(size=values, surgery=[1, 1, 1] + [0, 1] * 18 + [0])
    findings = [each for each in build(frame).findings if each.code == "level-in-one-arm"]
    (finding,) = findings
    assert finding.numbers["control"] == 0
    assert "positivity" in finding.message


# --- options and properties --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "complete_case"}, 'missing = "complete_case" has no meaning.*Did you mean "complete-case"?'),
        ({"zero_time": "drop"}, 'zero_time = "drop" has no meaning; expected "refuse" or "half"'),
        ({"time_unit": "moths"}, 'Did you mean "months"?'),
        ({"outcomes": []}, "at least one outcome"),
    ],
)
def test_options_without_a_meaning(options, message):
    with pytest.raises(UsageError, match=message):
        build(table(), **options)


def test_not_a_table():
    with pytest.raises(UsageError, match="pandas DataFrame"):
        build({"pid": [1]})
    with pytest.raises(DataError, match="no patients"):
        build(table().iloc[:0])


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(40)))
def test_the_order_of_rows_does_not_matter(order):
    frame = table(size=[None, "unknown", *table()["size"][2:]], days=[0, *table()["days"][1:]])
    options = {"missing": "complete-case", "zero_time": "half"}
    one, other = build(frame, **options), build(frame.iloc[list(order)], **options)
    back = np.argsort(other.ids)
    assert other.ids[back].tolist() == one.ids.tolist()
    assert other.treatment[back].tolist() == one.treatment.tolist()
    assert other.outcome().time[back].tolist() == one.outcome().time.tolist()
    assert other.outcome().event[back].tolist() == one.outcome().event.tolist()
    pd.testing.assert_frame_equal(other.covariates.iloc[back].reset_index(drop=True), one.covariates)
    assert (other.findings, other.attrition, other.missing) == (one.findings, one.attrition, one.missing)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["pid", "surgery", "days", "death", "age", "size"]),
        st.lists(
            st.one_of(st.none(), st.booleans(), st.integers(-3, 9), st.floats(), st.text(max_size=4), st.dates()),
            min_size=12,
            max_size=12,
        ),
        max_size=3,
    )
)
def test_whatever_a_table_holds_it_is_a_cohort_or_an_error_of_ours(columns):
    frame = table(12, **columns)
    try:
        cohort = build(frame, missing="complete-case", zero_time="half")
    except (DataError, NoEventsError):
        return
    assert set(np.unique(cohort.treatment)) == {0, 1}
    assert (cohort.outcome().time > 0).all()
    assert np.isfinite(cohort.outcome().time).all()
    assert not cohort.covariates.isna().any(axis=None)
