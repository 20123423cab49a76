"""Details that mutation testing found nothing to hold: places in messages, limits, the fits behind a test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from causal_s4.dag import Dag, identify, implications, second_opinion, syntax
from causal_s4.errors import DagSyntaxError, NotIdentifiedError


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, "column 1"),
        ("a ->", 1, "column 5"),
        ("a -> b\nc ->", 2, "column 5"),
        ("a -> b\n\n  c <- ", 3, "column 8"),
    ],
)
def test_what_is_missing_at_the_end_is_placed_there(text: str, line: int, column: str) -> None:
    with pytest.raises(DagSyntaxError) as error:
        Dag.parse(text)
    (problem,) = error.value.problems
    assert (problem.line, problem.where) == (line, column)


def test_as_many_edges_as_the_limit_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "MAX_PAIRS", 6)
    assert len(Dag.parse("dag { {a b} -> {c d e} }").edges) == 6
    with pytest.raises(DagSyntaxError, match="groups that make more than 6 edges"):
        Dag.parse("dag { {a b} -> {c d e} -> f }")


@pytest.mark.parametrize("name", ["", " ", "a\x07b"])
def test_a_name_that_nobody_could_read_is_refused(name: str) -> None:
    with pytest.raises(DagSyntaxError, match="column 7: a node name that is empty or holds control characters"):
        Dag.parse(f'dag {{ "{name}" -> y }}')


@pytest.mark.parametrize(
    ("key", "shown"),
    [("aa", "aa"), ("zz", "zz"), ("k" * 29, "k" * 29), ("k" * 30, "k" * 30), ("k" * 31, "k" * 27 + "...")],
)
def test_an_unknown_option_is_shown_as_far_as_thirty_characters_go(key: str, shown: str) -> None:
    with pytest.raises(DagSyntaxError) as error:
        Dag.parse(f'dag {{ {key}="0,0,1,1" x -> y }}')
    (problem,) = error.value.problems
    assert problem.found == f"option '{shown}' is not understood"


@pytest.mark.parametrize("place", ["3,-2.5", "0,7", "-1,0.125", "999999999,-999999999"])
def test_whole_coordinates_are_written_without_a_point(place: str) -> None:
    assert f'x [pos="{place}"]' in Dag.parse(f'dag {{ x [pos="{place}"] x -> y }}').to_dagitty()


def test_what_the_effect_is_about_is_drawn_heavier() -> None:
    dot = Dag.parse("dag { x [exposure] y [outcome] a [adjusted] x -> y a -> {x y} }").to_dot().splitlines()
    assert {line.strip() for line in dot if "shape" in line} == {
        '"x" [shape=ellipse, penwidth=2];',
        '"y" [shape=ellipse, penwidth=2];',
        '"a" [shape=box];',
    }


@pytest.mark.parametrize("n", [5, 6])
def test_five_open_paths_are_explained_and_more_are_said_to_be(n: int) -> None:
    names = [f"c{k}" for k in range(n)]
    graph = Dag.parse(f"dag {{ x [exposure] y [outcome] {{{' '.join(names)}}} -> {{x y}} x -> y }}")
    found = graph.verdict([])
    assert set(found.open_paths) == {f"x <- {name} -> y" for name in names}
    explained = [reason for reason in found.reasons if any(path in reason for path in found.open_paths)]
    assert len(explained) == 5
    assert ("Further paths are open." in found.reasons) is (n > 5)


@pytest.mark.parametrize(("most", "says"), [(3, "disagrees: its own search"), (2, "disagrees: its own"), (1, "agrees")])
def test_dowhys_own_search_is_asked_of_few_enough_candidates(
    monkeypatch: pytest.MonkeyPatch, most: int, says: str
) -> None:
    # A search that finds nothing, to see whether it is asked.
    monkeypatch.setattr("dowhy.causal_identifier.auto_identifier.identify_backdoor", lambda *_: [])
    monkeypatch.setitem(second_opinion.__globals__, "MAX_CANDIDATES", most)
    graph = Dag.parse("dag { x [exposure] y [outcome] {a b} -> {x y} x -> y }")
    assert second_opinion(graph, ["a", "b"], exposure="x", outcomes=["y"]).startswith(says)


def test_at_most_three_sets_of_missing_columns_are_named() -> None:
    graph = Dag.parse("dag { x [exposure] y [outcome] x <- a -> b -> c -> d -> y x -> y }")
    with pytest.raises(NotIdentifiedError) as error:
        identify(graph, treatment_node="x", outcome_nodes=["y"], columns={"x": ("x",), "y": ("y",)}, ask_dowhy=False)
    (problem,) = error.value.problems
    assert problem.todo.startswith("Columns are missing for {a} or {b} or {c}: add them")
    assert problem.found == "x <- a -> b -> c -> d -> y"


def test_every_open_path_is_shown_where_no_set_suffices() -> None:
    latent = "".join(f"{name} [latent] {name} -> {{x y}} " for name in "uvw")
    graph = Dag.parse(f"dag {{ x [exposure] y [outcome] {latent} x -> y }}")
    assert set(graph.verdict([]).open_paths) == {"x <- u -> y", "x <- v -> y", "x <- w -> y"}


def test_a_latent_effect_of_treatment_is_not_said_to_threaten_it() -> None:
    graph = Dag.parse("dag { x [exposure] y [outcome] u [latent] x -> u -> y a -> {x y} }")
    found, _ = identify(
        graph, treatment_node="x", outcome_nodes=["y"], columns={"x": ("x",), "y": ("y",), "a": ("a",)}, ask_dowhy=False
    )
    assert "acted on x directly" not in " ".join(found.untested_assumptions)


def test_the_logistic_fit_maximises_the_penalised_likelihood() -> None:
    rng = np.random.default_rng(3)
    design = np.column_stack([np.ones(200), rng.normal(size=(200, 2)), rng.integers(0, 2, 200)])
    target = (rng.random(200) < 1 / (1 + np.exp(-design @ [-1.0, 0.8, -0.5, 0.3]))).astype(float)

    def loss(beta):  # written from its definition: minus the log likelihood, with the ridge the docstring names
        linear = design @ beta
        return np.sum(np.logaddexp(0, linear) - target * linear) + 0.5e-2 * np.sum(beta[1:] ** 2)

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(
        implications._logistic_fit(target, design), 1 / (1 + np.exp(-design @ best)), rtol=0, atol=1e-6
    )


def test_the_spline_is_a_natural_one_with_its_knots_about_the_median() -> None:
    knots = implications._KNOTS
    assert sorted(knots) == list(knots) == [-knot for knot in reversed(knots)]
    scores = np.linspace(-4, 4, 1601)
    basis = implications._spline(scores)
    assert basis.shape == (1601, len(knots) - 1)
    np.testing.assert_array_equal(basis[:, 0], scores)
    curvature = np.diff(basis, n=2, axis=0) / 0.005**2
    middle = scores[1:-1]
    tails = (middle < knots[0] - 0.01) | (middle > knots[-1] + 0.01)
    np.testing.assert_allclose(curvature[tails], 0, atol=1e-6)
    # Natural cubic splines (Hastie, Tibshirani & Friedman 2009, eq. 5.4): d_k - d_(K-1).
    first, before, last = knots[0], knots[-2], knots[-1]
    at = 1.0
    d = [(max(at - knot, 0) ** 3 - max(at - last, 0) ** 3) / (last - knot) for knot in (first, before)]
    assert basis[np.isclose(scores, at), 1][0] == pytest.approx(d[0] - d[1])


def test_the_error_of_a_correlation_is_that_of_its_influence_function() -> None:
    rng = np.random.default_rng(7)
    one = rng.normal(size=300)
    other = one + 0.3 * one**3 + rng.normal(size=300) * (0.2 + one**2)
    degrees = 290

    def z(weight):  # Fisher's, of residuals whose mean is zero by construction
        products = [np.sum(weight * left * right) for left, right in ((one, other), (one, one), (other, other))]
        return np.arctanh(products[0] / np.sqrt(products[1] * products[2]))

    step = 1e-6 * np.eye(300)
    influence = np.array([(z(1 + each) - z(1 - each)) / 2e-6 for each in step]) * 300
    expected = np.sqrt(np.mean(influence**2) / degrees)
    assert expected > 1.2 * degrees**-0.5  # above the error for equal variances, which is a floor
    found = implications._correlation(one, other, degrees)
    assert found == pytest.approx((z(np.ones(300)), expected), rel=1e-6)


def test_a_perfect_correlation_has_a_finite_size_of_either_sign() -> None:
    one = np.random.default_rng(1).normal(size=50)
    up, down = (implications._correlation(one, sign * one, 48) for sign in (1, -1))
    assert up[0] == -down[0] == pytest.approx(np.arctanh(1 - 1e-9))


def test_the_strongest_of_several_pairs_is_the_one_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = iter([(0.2, 0.1), (-0.5, 0.1), (0.3, 0.1), (0.4, 0.2)])
    monkeypatch.setattr(implications, "_correlation", lambda *_: next(pairs))
    drawn = np.random.default_rng(2).normal(size=(80, 3))
    four = implications._Variable(parts=np.tile(drawn[:, :1], 4), basis=drawn[:, :1], binary=(False,) * 4)
    one = implications._Variable(parts=drawn[:, 1:2], basis=drawn[:, 1:2], binary=(False,))
    found = implications._test(implications.Independence(x="x", y="y", given=()), {"x": four, "y": one})
    assert found.estimate == pytest.approx(np.tanh(-0.5))
    # Two sided, times the number of pairs; the tail of the normal distribution beyond 5 is 2.866516e-7.
    assert found.p_value == pytest.approx(4 * 2 * 2.866516e-7, rel=1e-6)


def test_the_hint_about_attributes_is_for_edges_after_them_alone() -> None:
    with pytest.raises(DagSyntaxError) as error:
        Dag.parse("dag { a ; -> b }")
    assert "no node on its left" in str(error.value)
    assert "Attributes" not in str(error.value)


@pytest.mark.parametrize(("levels", "columns"), [(2, 1), (6, 5), (7, 3)])
def test_numbers_with_up_to_six_values_are_conditioned_on_as_levels(levels: int, columns: int) -> None:
    """One column for each level but one; beyond six, the three of a restricted cubic spline with four knots."""
    coded = implications._code_column(pd.Series(np.arange(70) % levels, dtype=float))
    assert isinstance(coded, implications._Variable)
    assert coded.basis.shape == (70, columns)
