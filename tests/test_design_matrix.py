"""The design matrix: spline bases against algebra and patsy, names, memory, and every refusal."""

from pathlib import Path

import numpy as np
import pandas as pd
import patsy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_s4.cohort import read_table
from causal_s4.design_matrix import build_design_matrix, harrell_knots, spline_basis
from causal_s4.errors import DataError

RNG = np.random.default_rng(11)
N = 200
FRAME = pd.DataFrame(
    {
        "age": RNG.normal(60, 10, N),
        "pgr": RNG.exponential(100, N).round(),
        "nodes": RNG.poisson(0.7, N),
        "size": pd.Categorical(np.array(["<=20", "20-50", ">50"])[RNG.integers(0, 3, N)]),
        "meno": np.where(RNG.random(N) < 0.5, "pre", "post"),
        "visceral": RNG.random(N) < 0.4,
    }
)


def column(design, term):
    return design.matrix[:, design.terms.index(term)]


def refused(*arguments, **options):
    with pytest.raises(DataError) as caught:
        build_design_matrix(*arguments, **options)
    return str(caught.value)


# --- coding ------------------------------------------------------------------------------------


def test_numbers_levels_and_truth_values():
    design = build_design_matrix(FRAME, columns=["age", "size", "meno", "visceral"])
    assert design.terms == ("age", "size=<=20", "size=>50", "meno=pre", "visceral")
    np.testing.assert_array_equal(column(design, "age"), FRAME["age"])
    np.testing.assert_array_equal(column(design, "size=>50"), FRAME["size"] == ">50")
    np.testing.assert_array_equal(column(design, "meno=pre"), FRAME["meno"] == "pre")
    np.testing.assert_array_equal(column(design, "visceral"), FRAME["visceral"])
    assert design.term_columns["size=>50"] == ("size",)
    assert not design.matrix.flags.writeable


def test_first_level_of_an_ordered_categorical_is_the_reference():
    frame = pd.DataFrame({"grade": pd.Categorical(["low", "high", "mid"] * 5, ["low", "mid", "high"], ordered=True)})
    assert build_design_matrix(frame).terms == ("grade=mid", "grade=high")


def test_levels_that_nobody_has_are_left_out():
    frame = FRAME[FRAME["size"] != ">50"]
    assert build_design_matrix(frame, columns=["size"]).terms == ("size=<=20",)


def test_all_columns_in_their_order_by_default():
    assert build_design_matrix(FRAME).terms[:3] == ("age", "pgr", "nodes")


def test_no_columns_make_an_empty_matrix():
    design = build_design_matrix(FRAME, columns=[])
    assert (design.matrix.shape, design.terms) == ((N, 0), ())


def test_log1p():
    design = build_design_matrix(FRAME, columns=["pgr"], log1p=["pgr"])
    assert design.terms == ("log1p(pgr)",)
    np.testing.assert_allclose(design.matrix[:, 0], np.log(1 + FRAME["pgr"]), rtol=1e-14)


# --- splines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knots", "shares"),
    [
        # Harrell, Regression Modeling Strategies, 2nd ed., table 2.3.
        (3, [0.10, 0.5, 0.90]),
        (4, [0.05, 0.35, 0.65, 0.95]),
        (5, [0.05, 0.275, 0.5, 0.725, 0.95]),
        (6, [0.05, 0.23, 0.41, 0.59, 0.77, 0.95]),
        (7, [0.025, 0.1833, 0.3417, 0.5, 0.6583, 0.8167, 0.975]),
    ],
)
def test_knots_lie_at_harrells_quantiles(knots, shares):
    grid = np.linspace(0, 1, 10_001)
    np.testing.assert_allclose(harrell_knots(grid, knots), shares, atol=5e-5)


def test_basis_by_hand():
    # Knots 0, 1, 2, 4 at x = 3: tau = (t_k - t_1)^2 = 16, and by Harrell's formula (2.25)
    # x_2: (27 - 1 * (4 - 0) / (4 - 2) + 0) / 16 = 25 / 16;  x_3: (8 - 1 * (4 - 1) / (4 - 2) + 0) / 16 = 6.5 / 16.
    np.testing.assert_allclose(spline_basis(np.array([3.0]), [0, 1, 2, 4]), [[25 / 16, 6.5 / 16]], rtol=1e-15)


@pytest.mark.parametrize("knots", [3, 4, 5, 6, 7])
def test_linear_beyond_the_outer_knots_and_smooth_between(knots):
    t = harrell_knots(FRAME["age"].to_numpy(), knots)
    right = spline_basis(np.linspace(t[-1], t[-1] + 50, 40), t)
    left = spline_basis(np.linspace(t[0] - 50, t[0], 40), t)
    np.testing.assert_allclose(np.diff(right, 2, axis=0), 0, atol=1e-10)
    np.testing.assert_array_equal(left, 0)
    # The second derivative is continuous at the inner knots: equal from both sides, by differences.
    h = 1e-3
    for place in t[1:-1]:
        before = np.diff(spline_basis(place + h * np.array([-2.0, -1, 0]), t), 2, axis=0) / h**2
        after = np.diff(spline_basis(place + h * np.array([0.0, 1, 2]), t), 2, axis=0) / h**2
        np.testing.assert_allclose(before, after, atol=2e-3)


@pytest.mark.parametrize("knots", [3, 4, 5, 6, 7])
def test_spans_the_same_space_as_the_natural_splines_of_patsy(knots):
    age = FRAME["age"].to_numpy()
    response = np.sin(age / 8) + 0.01 * age
    design = build_design_matrix(FRAME, columns=["age"], splines={"age": knots})
    t = harrell_knots(age, knots)
    inside = (age >= t[0]) & (age <= t[-1])  # patsy's natural spline with these as its boundary
    natural = np.asarray(patsy.cr(age[inside], knots=t[1:-1], lower_bound=t[0], upper_bound=t[-1]))
    ours = np.column_stack([np.ones(inside.sum()), design.matrix[inside]])
    assert ours.shape == natural.shape
    fitted = [m @ np.linalg.lstsq(m, response[inside], rcond=None)[0] for m in (ours, natural)]
    np.testing.assert_allclose(fitted[0], fitted[1], atol=1e-9)


def test_spline_terms_carry_primes_and_remember_their_knots():
    design = build_design_matrix(FRAME, columns=["age"], splines={"age": 5})
    assert design.terms == ("age", "age'", "age''", "age'''")
    assert set(design.term_columns.values()) == {("age",)}
    assert design.encoding.columns[0].knots == pytest.approx(np.quantile(FRAME["age"], [0.05, 0.275, 0.5, 0.725, 0.95]))


def test_spline_of_a_logarithm():
    design = build_design_matrix(FRAME, columns=["pgr"], splines={"pgr": 4}, log1p=["pgr"])
    logged = pd.DataFrame({"pgr": np.log1p(FRAME["pgr"])})
    assert design.terms == ("log1p(pgr)", "log1p(pgr)'", "log1p(pgr)''")
    np.testing.assert_allclose(design.matrix, build_design_matrix(logged, splines={"pgr": 4}).matrix, rtol=1e-12)


# --- interactions ------------------------------------------------------------------------------


def test_products_of_base_terms():
    design = build_design_matrix(
        FRAME,
        columns=["age", "size", "visceral"],
        splines={"age": 4},
        interactions=[["age", "size"], ["size", "visceral"]],
    )
    assert design.terms[6:] == (
        "age:size=<=20",
        "age:size=>50",
        "size=<=20:visceral",
        "size=>50:visceral",
    )
    np.testing.assert_allclose(column(design, "age:size=>50"), FRAME["age"] * (FRAME["size"] == ">50"))
    np.testing.assert_allclose(column(design, "size=<=20:visceral"), (FRAME["size"] == "<=20") & FRAME["visceral"])
    assert design.term_columns["age:size=>50"] == ("age", "size")


def test_products_of_three_and_of_a_logarithm():
    design = build_design_matrix(
        FRAME, columns=["age", "pgr", "meno"], log1p=["pgr"], interactions=[["age", "pgr", "meno"]]
    )
    assert design.terms[-1] == "age:log1p(pgr):meno=pre"
    np.testing.assert_allclose(
        design.matrix[:, -1], FRAME["age"] * np.log1p(FRAME["pgr"]) * (FRAME["meno"] == "pre"), rtol=1e-12
    )


# --- new patients ------------------------------------------------------------------------------

OPTIONS = {
    "splines": {"age": 4, "pgr": 3},
    "log1p": ["pgr"],
    "interactions": [["age", "size"], ["meno", "visceral"]],
}


def test_new_patients_are_coded_as_the_first_ones():
    design = build_design_matrix(FRAME, **OPTIONS)
    some = FRAME.iloc[[5, 3, 3, 150]].assign(size=lambda f: f["size"].astype(str))
    np.testing.assert_array_equal(design.encoding.apply(some), design.matrix[[5, 3, 3, 150]])
    assert design.encoding.terms == design.terms


def test_one_new_patient():
    design = build_design_matrix(FRAME, **OPTIONS)
    np.testing.assert_array_equal(design.encoding.apply(FRAME.iloc[[9]]), design.matrix[[9]])


def test_new_patients_who_cannot_be_coded():
    encoding = build_design_matrix(FRAME, **OPTIONS).encoding
    new = FRAME.drop(columns="visceral").assign(
        size="60", pgr=-1.0, age=[None, *FRAME["age"][1:]], nodes="many", meno=["pre"] * N
    )
    with pytest.raises(DataError) as caught:
        encoding.apply(new)
    text = str(caught.value)
    for part in (
        "visceral: no such column",
        "size: levels that were not there before: 60",
        "pgr: 200 negative values",
        "age: 1 missing values",
        "nodes: text, where numbers are expected",
    ):
        assert part in text
    assert "meno" not in text


# --- refusals ----------------------------------------------------------------------------------


def test_every_stray_option_is_named_at_once():
    text = refused(
        FRAME,
        columns=["age", "pgr", "size", "meno", "gread", "visceral", "visceral"],
        splines={"aeg": 4, "pgr": 2, "size": 4, "visceral": 3},
        log1p=["er", "meno", "pgr", "pgr"],
        interactions=[["age", "grade"], ["age"], ["age", "pgr"], ["pgr", "age"]],
    )
    for part in (
        "gread: no such covariate",
        "visceral: asked for more than once",
        'splines, aeg: not among the covariates that enter. Did you mean "age"?',
        "splines, pgr: 2 knots; expected a whole number from 3 to 7",
        "splines, size: not a column of numbers",
        "splines, visceral: not a column of numbers",
        "log1p, er: not among the covariates that enter",
        "log1p, meno: not a column of numbers",
        "log1p, pgr: listed more than once",
        "interactions, grade: not among the covariates that enter",
        "interactions, age: not a pair",
        "interactions, pgr, age: listed more than once",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([np.nan, 1.0, 2.0], "x: 1 missing values"),
        ([np.inf, 1.0, 2.0], "x: infinite values"),
        ([4, 4, 4], "x: the same value for every patient"),
        (["a", "a", "a"], "x: the same value for every patient"),
        ([1, "a", 2], "x: values that are neither numbers nor text throughout"),
    ],
)
def test_columns_that_cannot_enter(values, message):
    assert message in refused(pd.DataFrame({"x": values, "y": [1, 2, 4]}))


def test_log1p_of_negative_values():
    frame = FRAME.assign(score=np.linspace(-3, 5, N))
    assert "score: 75 negative values, which have no log1p here" in refused(frame, columns=["score"], log1p=["score"])


def test_spline_of_too_few_values():
    text = refused(pd.DataFrame({"nodes": [0] * 90 + [1] * 10}), splines={"nodes": 5})
    assert "splines, nodes: 5 knots fall on 2 different values" in text
    assert "Take it without a spline" in text


def test_spline_with_too_many_knots_names_how_many_would_do():
    nodes = read_table(Path(__file__).parents[1] / "data/rotterdam.csv", ["nodes"])  # 48 % have none
    assert "5 knots fall on 4 different values" in refused(nodes, splines={"nodes": 5})
    assert "3 knots would do" in refused(nodes, splines={"nodes": 5})
    build_design_matrix(nodes, splines={"nodes": 3})


def test_collinear_columns_name_all_that_take_part():
    frame = FRAME.assign(total=lambda f: f["age"] + 2 * f["pgr"], other=FRAME["nodes"] + 1.0)
    text = refused(frame, columns=["age", "pgr", "total", "nodes", "other", "visceral"])
    assert text.count("determined by") == 2
    assert "visceral" not in text
    for name in ("age", "pgr", "total", "nodes", "other"):
        assert name in text


def test_level_that_is_another_column():
    frame = FRAME.assign(post=(FRAME["meno"] == "post").astype(int))
    assert "meno=pre: determined by post" in refused(frame, columns=["post", "meno"]) or (
        "post: determined by meno=pre" in refused(frame, columns=["post", "meno"])
    )


def test_interaction_of_levels_that_never_meet():
    frame = pd.DataFrame({"a": ["x", "y", "x", "z"] * 10, "b": ["p", "p", "q", "p"] * 10, "c": np.arange(40) ** 2})
    text = refused(frame, interactions=[["a", "b"]])
    assert "a=y:b=q: the same value for every patient" in text


def test_more_terms_than_patients():
    assert "6 terms for 5 patients" in refused(pd.DataFrame(RNG.normal(size=(5, 6)), columns=list("abcdef")))


def test_two_terms_of_one_name():
    frame = pd.DataFrame({"a": ["x", "b", "x", "b"], "a=x": [1, 2, 4, 9]})
    assert "a=x: the name of two terms" in refused(frame)


def test_nearly_collinear_columns_are_let_pass():
    frame = FRAME.assign(twin=FRAME["age"] + 1e-4 * RNG.normal(size=N))
    assert build_design_matrix(frame, columns=["age", "twin"]).matrix.shape == (N, 2)


def test_large_offsets_do_not_look_like_constants():
    frame = pd.DataFrame({"year": 2_000_000 + np.arange(30) % 7, "constant": 0.1 * 3})
    assert build_design_matrix(frame, columns=["year"]).terms == ("year",)
    assert "constant: the same value" in refused(frame)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(N)))
def test_order_of_rows_does_not_matter(order):
    order = list(order)
    one, other = build_design_matrix(FRAME, **OPTIONS), build_design_matrix(FRAME.iloc[order], **OPTIONS)
    assert one.terms == other.terms
    np.testing.assert_allclose(other.matrix, one.matrix[order], rtol=1e-9, atol=1e-12)
