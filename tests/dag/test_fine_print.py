"""Details that mutation testing found nothing to hold: places in messages, limits, the fits behind a test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from causal_s4.dag import Dag, identify, implications, syntax
from causal_s4.errors import DagSyntaxError


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
