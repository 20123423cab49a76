"""Eligibility: conditions in order, each counted, nobody lost between the lines."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causal_s4.cohort import apply_eligibility
from causal_s4.errors import DataError, NoEventsError
from causal_s4.protocol.sections import Condition

FRAME = pd.DataFrame(
    {
        "age": [17, 18, 40, 80, 81, np.nan],
        "size": ["small", "large", None, "small", "unknown", "large"],
        "stage": [4, 4, 4, 3, 4, 4],
        "operable": [True, True, False, True, True, True],
    },
    index=[10, 11, 12, 13, 14, 15],
)


def flow(conditions, frame=FRAME):
    eligible, steps = apply_eligibility(frame, conditions)
    return eligible.index.tolist(), [(step.step, step.n, step.excluded) for step in steps]


def refused(conditions, frame=FRAME, error=DataError):
    with pytest.raises(error) as caught:
        apply_eligibility(frame, conditions)
    return str(caught.value)


def test_no_condition():
    assert flow({}) == (FRAME.index.tolist(), [("Patients in the file", 6, 0)])


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"at_least": 18}, [11, 12, 13, 14]),
        ({"above": 18}, [12, 13, 14]),
        ({"at_most": 80}, [10, 11, 12, 13]),
        ({"below": 80}, [10, 11, 12]),
        ({"at_least": 18, "below": 81}, [11, 12, 13]),
        ({"equals": 40}, [12]),
        ({"not_equals": 40}, [10, 11, 13, 14]),
        ({"in_": (17, 81)}, [10, 14]),
        ({"not_in": (17, 81)}, [11, 12, 13]),
        ({"known": True}, [10, 11, 12, 13, 14]),
    ],
)
def test_each_condition_on_numbers(condition, kept):
    assert flow({"age": Condition(**condition)})[0] == kept


@pytest.mark.parametrize(
    ("column", "condition", "kept"),
    [
        ("size", {"equals": "small"}, [10, 13]),
        ("size", {"not_equals": "unknown"}, [10, 11, 13, 15]),
        ("size", {"in_": ("small", "unknown")}, [10, 13, 14]),
        ("size", {"not_in": ("small", "unknown")}, [11, 15]),
        ("size", {"known": True}, [10, 11, 13, 14, 15]),
        ("operable", {"equals": True}, [10, 11, 13, 14, 15]),
        ("operable", {"equals": 1}, [10, 11, 13, 14, 15]),
        ("stage", {"equals": 4.0}, [10, 11, 12, 14, 15]),
    ],
)
def test_each_condition_on_levels(column, condition, kept):
    assert flow({column: Condition(**condition)})[0] == kept


def test_every_line_of_the_flow_in_order():
    conditions = {
        "stage": Condition(equals=4),
        "age": Condition(at_least=18, below=81),
        "size": Condition(known=True),
    }
    assert flow(conditions) == (
        [11],
        [
            ("Patients in the file", 6, 0),
            ("stage is 4", 5, 1),
            ("age is recorded", 4, 1),
            ("age is at least 18 and below 81", 2, 2),
            ("size is known", 1, 1),
        ],
    )


def test_complete_columns_need_no_line_for_missing_values():
    assert [step for step, *_ in flow({"stage": Condition(equals=4)})[1]] == ["Patients in the file", "stage is 4"]


def test_known_beside_another_condition_is_its_own_line():
    steps = [step for step, *_ in flow({"stage": Condition(equals=4, known=True)})[1]]
    assert steps == ["Patients in the file", "stage is recorded", "stage is 4 and known"]


def test_any_value_with_the_same_attributes_is_a_condition():
    parts = dict.fromkeys(["at_most", "above", "below", "equals", "not_equals", "in_", "not_in", "known"])
    condition = SimpleNamespace(**parts, at_least=18, describe=lambda column: f"{column} 18 or more")
    assert flow({"age": condition})[1][-1] == ("age 18 or more", 4, 1)


def test_everything_wrong_is_named_at_once():
    frame = FRAME.assign(nodes=["1", "2", "3", "4", "5", "many"], code=["1"] * 6)
    text = refused(
        {
            "aeg": Condition(at_least=18),
            "nodes": Condition(at_least=1),
            "size": Condition(equals="Small"),
            "stage": Condition(in_=(2, 1)),
            "code": Condition(not_equals=1),
            "operable": Condition(above=0),
        },
        frame,
    )
    for part in (
        'aeg: no such column. Did you mean "age"?',
        "nodes: 1 value not a number (row 6)",
        'size: no patient has the value "Small"; the column holds "large" (2), "small" (2), "unknown" (1). '
        'Did you mean "small"?',
        'code: no patient has the value 1; the column holds "1" (6). The column holds the text "1"; write it in quotes',
        "operable: holds true and false; expected numbers",
    ):
        assert part in text
    assert "stage" not in text  # 2 and 1 are numbers like the stages; that nobody has them is no mistake of type


def test_a_single_eligible_value_that_nobody_has():
    assert 'size: no patient has the value "huge"' in refused({"size": Condition(equals="huge")})


def test_measurements_are_not_spelled_out():
    frame = pd.DataFrame({"age": np.linspace(40, 80, 21)})
    assert "the column holds 21 different values" in refused({"age": Condition(equals=30)}, frame)


def test_a_value_to_leave_out_that_nobody_has_is_a_precaution():
    assert len(flow({"size": Condition(not_equals="huge")})[0]) == 5


def test_nobody_eligible_shows_where_they_went():
    text = refused({"stage": Condition(equals=4), "age": Condition(above=90)}, error=NoEventsError)
    assert "no patient is eligible" in text
    assert "age is above 90: 0 left, 4 excluded" in text


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=30), st.integers(0, 9))
def test_lines_add_up_whatever_the_column(values, bound):
    frame = pd.DataFrame({"x": values}, dtype=float)
    conditions = {"x": Condition(at_least=bound)}
    try:
        eligible, steps = apply_eligibility(frame, conditions)
    except NoEventsError:
        assert not any(value is not None and value >= bound for value in values)
        return
    assert [step.n for step in steps[1:]] == [earlier.n - step.excluded for earlier, step in pairwise(steps)]
    assert steps[-1].n == len(eligible) == sum(value is not None and value >= bound for value in values)
