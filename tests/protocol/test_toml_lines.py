"""Places in TOML text. Expected lines were counted by eye; the property test holds the scanner against tomllib."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_s4.protocol.toml_lines import TomlLines
from causal_s4.protocol.writer import write_toml

TEXT = '''# a comment with [brackets] and "quotes"
title = "a # is not a comment here"   # but this is
seed = 1

[data]
file = 'C:\\literal\\path.csv'
"time unit" = "days"
long = """
[not.a.table]
x = 1
"""
nested.deeper.key = 1

[dag.columns]
nodes = [
  "one", # with ] in a comment
  "two",
]

[[outcome]]
time = "t"
[[outcome]]
time = "t2"
horizons = ["1 year",
            "2 years"]
[outcome.extra]
x = 1
[eligibility]
age = { at_least = 18, in = [
  1, 2], deep = { a = 1 } }
"quo\\"ted\\u0041" = { below = 3 }
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("seed",), 3),
        (("data",), 5),
        (("data", "file"), 6),
        (("data", "time unit"), 7),
        (("data", "long"), 8),
        (("data", "nested", "deeper", "key"), 12),
        (("dag",), 14),
        (("dag", "columns", "nodes"), 15),
        (("dag", "columns", "nodes", 0), 16),
        (("dag", "columns", "nodes", 1), 17),
        (("outcome",), 20),
        (("outcome", 0, "time"), 21),
        (("outcome", 1), 22),
        (("outcome", 1, "time"), 23),
        (("outcome", 1, "horizons", 1), 25),
        (("outcome", 1, "extra"), 26),
        (("outcome", 1, "extra", "x"), 27),
        (("eligibility", "age", "at_least"), 29),
        (("eligibility", "age", "in", 1), 30),
        (("eligibility", "age", "deep", "a"), 30),
        (("eligibility", 'quo"tedA', "below"), 31),
    ],
)
def test_each_key_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)  # the text is TOML
    assert TomlLines(TEXT).exact(path) == line


def test_a_missing_key_points_at_the_table_it_should_be_in() -> None:
    lines = TomlLines(TEXT)
    assert lines.nearest(("data", "id")) == 5
    assert lines.nearest(("outcome", 1, "event")) == 22
    assert lines.nearest(("outcome", 7, "event")) == 20
    assert lines.nearest(("treatment", "column")) is None
    assert lines.exact(("data", "id")) is None


def test_lines_are_counted_the_same_with_windows_line_ends() -> None:
    assert TomlLines(TEXT.replace("\n", "\r\n")).exact(("outcome", 1, "time")) == 23


def test_text_that_is_not_toml_gives_what_was_found_until_then() -> None:
    lines = TomlLines("a = 1\nb = \n[[[")
    assert lines.exact(("a",)) == 1
    assert lines.exact(("b",)) == 2


def _paths(value: Any, path: tuple[Any, ...] = ()) -> set[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path} | {inner for key, item in items for inner in _paths(item, (*path, key))}


values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(), values, max_size=5))
def test_the_scanner_finds_exactly_the_keys_that_tomllib_reads(content: dict[str, Any]) -> None:
    text = write_toml(content)
    read = tomllib.loads(text)
    lines = TomlLines(text)
    known = {path for path in _paths(read) if path}
    assert {path for path in known if lines.exact(path) is None} == set()


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab.=[]{}\"'\\\n #,1"))
def test_no_text_makes_the_scanner_fail(text: str) -> None:
    assert TomlLines(text).nearest(("a", 0)) in {None, *range(1, text.count("\n") + 2)}
