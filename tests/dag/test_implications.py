"""Tests of implied independencies: size under truth, power, effect size, mixed and awkward columns."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from causal_s4.dag import Dag, check_implications
from causal_s4.errors import UsageError
from causal_s4.results import IndependenceTest

RNG = np.random.default_rng(20260118)


def world(rng: np.random.Generator, n: int, *, missing_arrow: float = 0.0) -> pd.DataFrame:
    """Return data of the graph below, in columns of all kinds; ``missing_arrow`` adds age -> site."""
    age = rng.normal(60, 12, n)
    z = (age - 60) / 12
    stage = np.searchsorted([-0.5, 0.8], z + rng.normal(size=n))
    marker = np.exp(1.5 * stage + rng.normal(size=n) * 2)
    fit = (rng.random(n) < 1 / (1 + np.exp(0.8 * z + 0.7 * z**2 - 0.5))).astype(int)
    site = np.array(["bone", "lung", "liver"], dtype=object)[
        np.searchsorted([-0.2, 0.9], 0.8 * (stage - 1) + missing_arrow * z + rng.normal(size=n))
    ]
    treated = rng.random(n) < 1 / (1 + np.exp(1 - fit - 0.6 * (site == "bone")))
    return pd.DataFrame({"age": age, "stage": stage, "marker": marker, "fit": fit, "site": site, "treated": treated})


GRAPH = Dag.parse("age -> stage -> marker; age -> fit; stage -> site; {fit site} -> treated")


def test_what_is_tested_is_what_the_graph_implies() -> None:
    found = GRAPH.test(world(RNG, 400))
    assert list(found.columns) == list(IndependenceTest.__dataclass_fields__)
    assert {(row.x, row.y, row.given) for row in found.itertuples()} == {
        ("age", "marker", ("stage",)), ("age", "site", ("stage",)), ("age", "treated", ("fit", "site")),
        ("fit", "marker", ("age",)), ("fit", "site", ("age",)), ("fit", "stage", ("age",)),
        ("marker", "site", ("stage",)), ("marker", "treated", ("stage",)), ("stage", "treated", ("age", "site")),
    }  # fmt: skip
    assert (found["n"] == 400).all()
    assert found["estimate"].between(found["lower"], found["upper"]).all()
    assert (found["p_adjusted"] >= found["p_value"]).all()


@pytest.mark.parametrize("n", [150, 1500])
def test_a_true_graph_is_rarely_contradicted(n: int) -> None:
    # 40 cohorts, nine tests each: 5% of 360 p-values below 0.05, binomial limits at one in ten thousand.
    p = np.concatenate([GRAPH.test(world(np.random.default_rng(seed), n))["p_value"] for seed in range(40)])
    low = int((p < 0.05).sum())
    assert stats.binom.ppf(5e-5, p.size, 0.02) <= low <= stats.binom.ppf(1 - 5e-5, p.size, 0.055)


def test_a_missing_arrow_is_found() -> None:
    found = GRAPH.test(world(np.random.default_rng(5), 1500, missing_arrow=0.5)).set_index(["x", "y"])
    assert found.loc[("age", "site"), "p_adjusted"] < 1e-4
    assert abs(found.loc[("age", "site"), "estimate"]) > 0.15


def test_the_estimate_is_the_partial_correlation() -> None:
    # Two normal variables: their normal scores' correlation, against scipy's, and its textbook standard error.
    n = 4000
    x = RNG.normal(size=n)
    y = 0.4 * x + RNG.normal(size=n)
    (test,) = check_implications(Dag.parse("x; y"), pd.DataFrame({"x": x, "y": y})).tests
    assert test.estimate == pytest.approx(stats.pearsonr(x, y).statistic, abs=0.01)
    z = math.atanh(test.estimate)
    assert test.lower == pytest.approx(math.tanh(z - 1.96 / math.sqrt(n)), abs=0.005)
    assert test.upper == pytest.approx(math.tanh(z + 1.96 / math.sqrt(n)), abs=0.005)
    # Given a common cause, the partial correlation of a trivariate normal: (r_xy - r_xz r_yz) / ...
    z_ = RNG.normal(size=n)
    x, y = z_ + RNG.normal(size=n), z_ + RNG.normal(size=n)
    y = y + 0.5 * (x - z_)
    (test,) = check_implications(Dag.parse("z -> x; z -> y"), pd.DataFrame({"x": x, "y": y, "z": z_})).tests
    assert test.given == ("z",)
    assert test.estimate == pytest.approx(0.5 / math.sqrt(1.25), abs=0.03)


def test_holm_adjustment_is_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    found = GRAPH.test(world(np.random.default_rng(5), 300, missing_arrow=0.3))
    assert found["p_adjusted"].to_numpy() == pytest.approx(multipletests(found["p_value"], method="holm")[1])


def test_units_and_outliers_do_not_matter() -> None:
    frame = world(np.random.default_rng(2), 500)
    changed = frame.assign(age=frame["age"] * 365.25, marker=frame["marker"] ** 3)
    pd.testing.assert_frame_equal(GRAPH.test(frame), GRAPH.test(changed))


def test_columns_may_be_named_several_and_missing() -> None:
    frame = world(np.random.default_rng(3), 300)
    frame.loc[:49, "marker"] = np.nan
    frame["stage_text"] = pd.Categorical(frame.pop("stage"), ordered=True)
    named = {"stage": ["stage_text", "age"], "marker": ["marker"], "fit": ["fit"]}
    tests = check_implications(GRAPH, frame, named).tests
    assert {(test.x, test.y, test.given, test.n) for test in tests} == {("fit", "marker", ("stage",), 250)}


def test_latent_and_left_out_nodes_are_not_tested() -> None:
    frame = pd.DataFrame(RNG.normal(size=(100, 3)), columns=["a", "b", "c"])
    assert len(Dag.parse("a; b; c").test(frame)) == 3
    assert len(Dag.parse("a; b; c [latent]").test(frame)) == 1
    assert len(Dag.parse("a; b; c").test(frame, leave_out=["c"])) == 1
    assert Dag.parse("a -> b").test(frame).empty


def test_what_cannot_be_tested_is_said() -> None:
    n = 60
    frame = pd.DataFrame(
        {
            "a": RNG.normal(size=n),
            "same": 1,
            "day": pd.date_range("2020-01-01", periods=n),
            "who": [f"p{i}" for i in range(n)],
            "few": np.where(np.arange(n) < 20, np.arange(n) * 1.0, np.nan),
            "copy": 0.0,
        }
    )
    frame["copy"] = frame["a"]
    checked = check_implications(Dag.parse("a; same; day; who; few"), frame)
    assert checked.tests == ()
    said = " ".join(checked.untested)
    for word in ("same: a column that does not vary", "day: a date", "who: a column with 60 levels", "20 patients"):
        assert word in said
    assert "p1" not in said
    levels = frame.assign(level=np.arange(n) % 3, twin=np.arange(n) % 3, b=RNG.normal(size=n))
    checked = check_implications(Dag.parse("level -> twin; level -> b"), levels)
    assert "determined by the conditioning set" in checked.untested[0]


def test_a_copy_is_found_out() -> None:
    a = RNG.normal(size=200)
    (test,) = check_implications(Dag.parse("a; b"), pd.DataFrame({"a": a, "b": a})).tests
    assert test.estimate > 0.999
    assert test.p_value < 1e-10


def test_many_rows_are_thinned_and_counted() -> None:
    frame = pd.DataFrame(RNG.normal(size=(120_000, 2)), columns=["a", "b"])
    (test,) = check_implications(Dag.parse("a; b"), frame).tests
    assert test.n == 50_000


def test_unknown_names_are_refused() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]})
    with pytest.raises(UsageError, match="no column 'c'"):
        check_implications(Dag.parse("a; b"), frame, {"a": ["c"]})
    with pytest.raises(UsageError, match="no node 'x'"):
        check_implications(Dag.parse("a; b"), frame, {"x": ["a"]})
    with pytest.raises(UsageError, match="no node 'x'"):
        Dag.parse("a; b").test(frame, leave_out=["x"])


def test_very_large_graphs_are_refused_rather_than_waited_for() -> None:
    dag = Dag.parse(" ".join(f"v{i}" for i in range(101)))
    with pytest.raises(UsageError, match="at most 100 measured nodes; found 101"):
        dag.implied_independencies()
    frame = pd.DataFrame(RNG.normal(size=(40, 101)), columns=list(dag.nodes))
    checked = check_implications(dag, frame)
    assert checked.tests == ()
    assert "101 measured nodes" in checked.untested[0]


def test_an_independence_prints_as_such() -> None:
    assert [str(each) for each in Dag.parse("a -> b -> c; d").implied_independencies()] == [
        "a ⟂ c | b", "a ⟂ d", "b ⟂ d", "c ⟂ d",
    ]  # fmt: skip
