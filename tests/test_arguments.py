"""Arguments of a wrong kind are refused at the door, all at once and without telling a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_s4.arguments import checked_arguments
from causal_s4.errors import UsageError


class Cohort:
    """Has the name of a value of the package."""


@checked_arguments
def act(
    cohort: Cohort | None = None,
    *,
    text: str = "",
    number: float = 0.0,
    count: int = 0,
    flag: bool = False,
    names: Sequence[str] = (),
    bounds: tuple[float, float] | None = None,
    pairs: Sequence[Sequence[str]] = (),
    knots: Mapping[str, int] | None = None,
    path: str | Path = "",
    tell: Callable[[str], None] | None = None,
    frame: pd.DataFrame | None = None,
    anything: Any = None,
    **more: Any,
) -> str:
    """Do nothing."""
    return "done"


@pytest.mark.parametrize(
    "given",
    [
        {"cohort": Cohort()},
        {"number": 1},
        {"number": np.float32(1.5)},
        {"number": float("nan")},
        {"count": np.int64(3)},
        {"flag": np.bool_(True)},
        {"names": ["a"]},
        {"names": np.array(["a", "b"])},
        {"names": pd.Index(["a"])},
        {"names": {"a"}},
        {"bounds": [0.1, 1]},
        {"pairs": [("a", "b")]},
        {"knots": {"a": 3}},
        {"path": Path()},
        {"tell": print},
        {"frame": pd.DataFrame()},
        {"anything": object()},
        {"unknown": object()},
    ],
)
def test_what_the_signature_says_is_taken(given: dict[str, Any]) -> None:
    assert act(**given) == "done"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cohort": [1]}, "cohort: a list of int; expected a Cohort or None"),
        ({"text": None}, "text: None; expected text"),
        ({"number": "1"}, "number: a str; expected a number"),
        ({"number": True}, "number: a bool; expected a number"),
        ({"number": 10**400}, "number: a number beyond what is computed with"),
        ({"count": 1.5}, "count: a float; expected a whole number"),
        ({"flag": 1}, "flag: a int; expected True or False"),
        ({"names": "age"}, "names: a str; expected a list of texts"),
        ({"names": ["a", None]}, "names: a list of None, str; expected a list of texts"),
        ({"names": np.zeros((2, 2))}, "names: a ndarray; expected a list of texts"),
        ({"bounds": ["a"]}, "bounds: a list of str; expected a list of numbers or None"),
        ({"pairs": ["ab", "cd"]}, "pairs: a list of str; expected a list of lists"),
        ({"knots": {"a": 1.5}}, "knots: a dict; expected a mapping or None"),
        ({"path": 3}, "path: a int; expected text or a path"),
        ({"tell": 3}, "tell: a int; expected a function or None"),
        ({"frame": {}}, "frame: a dict; expected a DataFrame or None"),
        ({"cohort": Cohort}, "cohort: a class; expected a Cohort or None"),
    ],
)
def test_what_it_does_not_say_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refusal:
        act(**given)
    assert str(refusal.value).startswith("act was given what it cannot take\n")
    assert said in str(refusal.value)


def test_all_that_is_wrong_is_named_at_once_and_no_value_told() -> None:
    with pytest.raises(UsageError) as refusal:
        act(text=["Jane Roe"], number="Jane Roe", count=None)
    assert [problem.where for problem in refusal.value.problems] == ["text", "number", "count"]
    assert "Jane Roe" not in str(refusal.value)


def test_what_is_missing_or_unknown_is_named_by_python() -> None:
    @checked_arguments
    def needs(one: int) -> int:
        return one

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'one'"):
        needs()
    with pytest.raises(TypeError, match="unexpected keyword argument 'two'"):
        needs(one=1, two=2)
    assert needs.__name__ == "needs"
