"""What the graph says must be independent, and whether a cohort contradicts it.

Every pair of measured nodes without an edge that some measured set separates is an implication. Each
is tested by the correlation of residuals, after Shah & Peters 2020, 10.1214/19-AOS1857: both
variables are predicted from the conditioning set, and what is left must not move together. An
independence that is not contradicted is not thereby shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, islice, product
from typing import TYPE_CHECKING

import numpy as np

from causal_s4.dag.graph import Dag
from causal_s4.dag.separation import minimal_separators
from causal_s4.errors import UsageError
from causal_s4.results import Floats, IndependenceTest

if TYPE_CHECKING:
    import pandas as pd

MAX_NODES = 100
MAX_SETS_OF_A_PAIR = 100
MAX_LEVELS = 20
MAX_ROWS = 50_000
MIN_ROWS = 30
LEVEL = 0.95

_KNOTS = (-1.6, -0.5, 0.5, 1.6)
_FEW = 6
"""Numbers with at most so many values are conditioned on as levels, so that any shape is caught."""


@dataclass(frozen=True, kw_only=True)
class Independence:
    """Two nodes that the graph says are independent given others.

    Parameters
    ----------
    x, y : str
        The pair, in alphabetical order.
    given : tuple of str
        What is conditioned on, sorted; nothing can be left out of it.
    """

    x: str
    y: str
    given: tuple[str, ...]

    def __str__(self) -> str:
        """Return ``x ⟂ y | given``."""
        return f"{self.x} ⟂ {self.y}" + (f" | {', '.join(self.given)}" if self.given else "")


@dataclass(frozen=True, kw_only=True)
class Implications:
    """The tests of a graph, and what could not be tested with the reason."""

    tests: tuple[IndependenceTest, ...]
    untested: tuple[str, ...] = ()


def implied_independencies(dag: Dag, among: Collection[str] | None = None) -> list[Independence]:
    """Return the independencies a graph implies among measured nodes, the minimal ones of each pair.

    Parameters
    ----------
    dag : Dag
        The graph.
    among : collection of str, optional
        The measured nodes; all that are not latent by default.

    Returns
    -------
    list of Independence
        Sorted by pair, then by size of the conditioning set; at most 100 sets a pair.

    Raises
    ------
    UsageError
        For more than 100 measured nodes, whose pairs would take minutes.
    """
    measured = [node for node in dag.nodes if node not in dag.latent and (among is None or node in among)]
    if len(measured) > MAX_NODES:
        raise UsageError(
            f"independencies are listed for at most {MAX_NODES} measured nodes; found {len(measured)}. "
            "Name those of interest."
        )
    adjacent = {frozenset(pair) for pair in (*dag.edges, *dag.bidirected)}
    found = []
    for x, y in combinations(measured, 2):
        if frozenset((x, y)) in adjacent:
            continue
        sets = islice(minimal_separators(dag.parents, [x], [y], measured), MAX_SETS_OF_A_PAIR)
        given = sorted((tuple(sorted(map(str, each))) for each in sets), key=lambda each: (len(each), each))
        found += [Independence(x=x, y=y, given=each) for each in given]
    return found


def check_implications(
    dag: Dag,
    frame: pd.DataFrame,
    columns: Mapping[str, Iterable[str]] | None = None,
    *,
    leave_out: Iterable[str] = (),
) -> Implications:
    """Hold the implied independencies against data, one for each pair of nodes.

    Of the sets that separate a pair, the smallest is used. Numbers enter as normal scores of their
    ranks, so that units and outliers do not matter; they are predicted linearly, indicators by logistic
    regression, from restricted cubic splines and levels of the conditioning set. The
    estimate is the correlation of the residuals with an interval that allows for unequal variances. For a
    node with several columns or levels the pair of columns that correlates most is shown, its
    interval and p-value widened for the number of pairs (Bonferroni); ``p_adjusted`` is Holm's over all tests.

    Parameters
    ----------
    dag : Dag
        The graph.
    frame : DataFrame
        One row a patient. Of more than 50,000, evenly spaced rows are used; each test says how many.
    columns : mapping of str to iterable of str, optional
        The columns that measure a node; its own name by default. Nodes without a column are not measured.
    leave_out : iterable of str
        Nodes that are never one of the pair, such as a censored outcome.

    Returns
    -------
    Implications
        Tests in the order of the pairs, and why others could not be made.

    Raises
    ------
    UsageError
        When ``columns`` names a node or a column that does not exist.
    """
    named = _columns(dag, frame, columns)
    left_out = {dag.known(node) for node in leave_out}
    if len(frame) > MAX_ROWS:
        frame = frame.iloc[np.linspace(0, len(frame) - 1, MAX_ROWS).astype(int)]
    untested: list[str] = []
    coded = {}
    for node, names in named.items():
        variable = _code(frame, names)
        if isinstance(variable, str):
            untested.append(f"{node}: {variable}")
        else:
            coded[node] = variable
    if len(coded) > MAX_NODES:
        return Implications(tests=(), untested=(f"{len(coded)} measured nodes: at most {MAX_NODES} are tested",))
    tests = []
    pairs: set[tuple[str, str]] = set()
    for claim in implied_independencies(dag, coded):
        if (claim.x, claim.y) in pairs or {claim.x, claim.y} & left_out:
            continue
        pairs.add((claim.x, claim.y))
        result = _test(claim, coded)
        if isinstance(result, str):
            untested.append(f"{claim}: {result}")
        else:
            tests.append(result)
    adjusted = _holm([test.p_value for test in tests])
    return Implications(
        tests=tuple(replace(test, p_adjusted=p) for test, p in zip(tests, adjusted, strict=True)),
        untested=tuple(untested),
    )


def _columns(dag: Dag, frame: pd.DataFrame, columns: Mapping[str, Iterable[str]] | None) -> dict[str, tuple[str, ...]]:
    if columns is None:
        return {node: (node,) for node in dag.nodes if node in frame.columns and node not in dag.latent}
    named = {dag.known(node): tuple(names) for node, names in columns.items()}
    absent = sorted({name for names in named.values() for name in names} - set(frame.columns))
    if absent:
        raise UsageError(f"the table has no column {', '.join(map(repr, absent))}")
    return {node: names for node, names in named.items() if names and node not in dag.latent}


# --- variables as numbers --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Variable:
    """A node as numbers: ``parts`` (n, k) to be predicted, ``basis`` (n, q) to predict from; NaN is missing."""

    parts: Floats
    basis: Floats
    binary: tuple[bool, ...]


def _code(frame: pd.DataFrame, names: tuple[str, ...]) -> _Variable | str:
    """Return the columns of a node as numbers, or the reason why not."""
    coded = [_code_column(frame[name]) for name in names]
    refused = [each for each in coded if isinstance(each, str)]
    if refused:
        return refused[0]
    good = [each for each in coded if isinstance(each, _Variable)]
    return _Variable(
        parts=np.hstack([each.parts for each in good]),
        basis=np.hstack([each.basis for each in good]),
        binary=tuple(flag for each in good for flag in each.binary),
    )


def _code_column(column: pd.Series) -> _Variable | str:
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
    if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
        column, numeric = column.cat.codes.where(column.notna()), True
    if numeric:
        values = column.to_numpy(dtype=float, na_value=np.nan)
        values = np.where(np.isfinite(values), values, np.nan)
    elif pd.api.types.is_datetime64_any_dtype(column):
        return "a date cannot be tested"
    else:
        codes, _ = pd.factorize(column)
        values = np.where(codes < 0, np.nan, codes.astype(float))
    levels, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if levels.size < 2:
        return "a column that does not vary"
    if not numeric and levels.size > MAX_LEVELS:
        return f"a column with {levels.size} levels"
    others = np.delete(levels, np.argmax(counts))
    indicators = (
        np.where(np.isnan(values)[:, None], np.nan, (values[:, None] == others).astype(float))
        if levels.size <= MAX_LEVELS
        else None
    )
    if indicators is not None and (not numeric or levels.size == 2):
        return _Variable(parts=indicators, basis=indicators, binary=(True,) * others.size)
    scores = _normal_scores(values)
    basis = indicators if indicators is not None and levels.size <= _FEW else _spline(scores)
    return _Variable(parts=scores[:, None], basis=basis, binary=(False,))


def _normal_scores(values: Floats) -> Floats:
    import pandas as pd
    from scipy.special import ndtri

    ranks = pd.Series(values).rank().to_numpy()
    scores: Floats = ndtri((ranks - 0.5) / np.count_nonzero(~np.isnan(values)))
    return scores


def _spline(scores: Floats) -> Floats:
    """Return a restricted cubic spline basis, linear in both tails."""
    *inner, before, last = _KNOTS
    cubes = {knot: np.maximum(scores - knot, 0) ** 3 for knot in _KNOTS}
    bend = (cubes[before] - cubes[last]) / (last - before)
    return np.column_stack([scores, *((cubes[knot] - cubes[last]) / (last - knot) - bend for knot in inner)])


# --- the test --------------------------------------------------------------------------------------


def _test(claim: Independence, coded: Mapping[str, _Variable]) -> IndependenceTest | str:
    x, y = coded[claim.x], coded[claim.y]
    bases = [coded[node].basis for node in claim.given]
    whole = np.hstack([x.parts, y.parts, *bases])
    kept = ~np.isnan(whole).any(axis=1)
    n = int(kept.sum())
    design = np.column_stack([np.ones(n), *(basis[kept] for basis in bases)])
    if n < MIN_ROWS + 2 * design.shape[1]:
        return f"{n} patients with values are too few"
    best: tuple[float, float] | None = None
    n_pairs = 0
    left = [_residuals(x.parts[kept, i], design, x.binary[i]) for i in range(x.parts.shape[1])]
    right = [_residuals(y.parts[kept, j], design, y.binary[j]) for j in range(y.parts.shape[1])]
    for one, other in product(left, right):
        measured = _correlation(one, other, n - design.shape[1])
        if measured is not None:
            n_pairs += 1
            if best is None or abs(measured[0] / measured[1]) > abs(best[0] / best[1]):
                best = measured
    if best is None:
        return "one of the two is determined by the conditioning set"
    return _as_test(claim, best, n_pairs, n)


def _as_test(claim: Independence, measured: tuple[float, float], n_pairs: int, n: int) -> IndependenceTest:
    from scipy.special import ndtr, ndtri

    z, error = measured
    reach = -ndtri((1 - LEVEL) / 2 / n_pairs) * error
    p = float(min(1.0, 2 * ndtr(-abs(z / error)) * n_pairs))
    estimate, lower, upper = (float(each) for each in np.tanh([z, z - reach, z + reach]))
    return IndependenceTest(
        x=claim.x,
        y=claim.y,
        given=claim.given,
        estimate=estimate,
        lower=lower,
        upper=upper,
        p_value=p,
        p_adjusted=p,
        n=n,
    )


def _correlation(one: Floats, other: Floats, degrees: int) -> tuple[float, float] | None:
    """Return Fisher's z of two residuals' correlation and its standard error.

    The error comes from the influence function, which allows for unequal variances, but is never below that for equal
    ones: with few patients in a cell the former is too small.
    """
    one_sd, other_sd = np.sqrt(np.mean(one**2)), np.sqrt(np.mean(other**2))
    if min(one_sd, other_sd) < 1e-6:
        return None
    a, b = one / one_sd, other / other_sd
    r = float(np.clip(np.mean(a * b), -1 + 1e-9, 1 - 1e-9))
    influence = a * b - r / 2 * (a**2 + b**2)
    error = float(np.sqrt(np.mean(influence**2) / degrees)) / (1 - r * r)
    return float(np.arctanh(r)), max(error, degrees**-0.5)


def _residuals(target: Floats, design: Floats, binary: bool) -> Floats:
    if binary:
        return target - _logistic_fit(target, design)
    coefficients = np.linalg.lstsq(design, target, rcond=None)[0]
    residuals: Floats = target - design @ coefficients
    return residuals


def _logistic_fit(target: Floats, design: Floats) -> Floats:
    """Return fitted probabilities; a small ridge keeps separated data finite."""
    ridge = np.diag(np.r_[0.0, np.full(design.shape[1] - 1, 1e-2)])
    mean = np.clip(target.mean(), 1e-6, 1 - 1e-6)
    coefficients = np.r_[np.log(mean / (1 - mean)), np.zeros(design.shape[1] - 1)]
    for _ in range(25):
        fitted = 1 / (1 + np.exp(-np.clip(design @ coefficients, -30, 30)))
        slope = design.T @ (target - fitted) - ridge @ coefficients
        curvature = (design.T * (fitted * (1 - fitted) + 1e-9)) @ design + ridge
        step = np.linalg.solve(curvature, slope)
        coefficients = coefficients + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-8:
            break
    fitted_values: Floats = 1 / (1 + np.exp(-np.clip(design @ coefficients, -30, 30)))
    return fitted_values


def _holm(p_values: list[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, position in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = running
    return adjusted
