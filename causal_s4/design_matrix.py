"""Covariates become the columns of a regression, and remember how, so that new patients get the same ones.

Numbers enter as they are, true and false as 1 and 0, text as one 0/1 column for each level but the
first (treatment coding). Nothing is centred or scaled, and there is no intercept. The options are data,
never formulas: nothing a study file says is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import qr, solve_triangular

from causal_s4.errors import DataError, Problem
from causal_s4.protocol.words import did_you_mean
from causal_s4.results import Floats, read_only

FEWEST_KNOTS, MOST_KNOTS = 3, 7
RANK_TOLERANCE = 1e-9
"""A column is a combination of others when what they leave of it is this small a share of its length."""
CONSTANT = 1e-12
"""A column is constant when its length around its mean is this small a share of its length around zero."""
INVOLVED = 1e-6
"""A column takes part in such a combination when its coefficient, in standard deviations, is above this."""


@dataclass(frozen=True, kw_only=True)
class ColumnCode:
    """How one column of covariates becomes terms.

    Parameters
    ----------
    column : str
        Its name.
    levels : tuple of str
        For text: its levels, the first of which is the reference.
    log1p : bool
        Whether the logarithm of one plus the value stands for the value.
    knots : tuple of float
        For a restricted cubic spline: its knots, on the scale of the logarithm if that is taken.
    """

    column: str
    levels: tuple[str, ...] = ()
    log1p: bool = False
    knots: tuple[float, ...] = ()

    @property
    def base_terms(self) -> tuple[str, ...]:
        """Names of the terms that interactions are made of: the levels, or the number itself."""
        if self.levels:
            return tuple(f"{self.column}={level}" for level in self.levels[1:])
        return (f"log1p({self.column})",) if self.log1p else (self.column,)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of all terms; the curved ones of a spline carry primes, as in Harrell's books."""
        return (*self.base_terms, *(self.base_terms[0] + "'" * k for k in range(1, len(self.knots) - 1)))

    def base(self, column: pd.Series[Any]) -> Floats:
        """Return the base terms of some patients, shape (n, base terms)."""
        if self.levels:
            if isinstance(column.dtype, pd.CategoricalDtype):
                places = column.cat.categories.get_indexer(pd.Index(self.levels[1:]))
                return np.asarray(column.cat.codes.to_numpy()[:, None] == places, dtype=float)
            return np.column_stack([(column == level).to_numpy(dtype=float) for level in self.levels[1:]])
        numbers = column.to_numpy(dtype=float)[:, None]
        return np.log1p(numbers) if self.log1p else numbers

    def expand(self, column: pd.Series[Any]) -> Floats:
        """Return all terms of some patients, shape (n, terms)."""
        base = self.base(column)
        return np.hstack([base, spline_basis(base[:, 0], self.knots)]) if self.knots else base

    def trouble(self, column: pd.Series[Any]) -> str:
        """Return why values cannot be coded, or nothing."""
        missing = int(column.isna().to_numpy().sum())
        if missing:
            return f"{missing:,} missing values"
        if self.levels:
            present = _present(column)
            if not all(isinstance(value, str) for value in present):
                return "values that are neither numbers nor text throughout"
            unknown = sorted({str(value) for value in present} - set(self.levels))
            return f"levels that were not there before: {', '.join(unknown)}" if unknown else ""
        if not pd.api.types.is_numeric_dtype(column.dtype):
            return "text, where numbers are expected"
        numbers = column.to_numpy(dtype=float)
        if not np.isfinite(numbers).all():
            return "infinite values"
        negative = int((numbers < 0).sum())
        return f"{negative:,} negative values, which have no log1p here" if self.log1p and negative else ""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How covariates became a matrix: levels, knots and products, fixed once.

    Parameters
    ----------
    columns : tuple of ColumnCode
        One for each column, in order.
    interactions : tuple of tuple of str
        Columns whose base terms are multiplied.
    """

    columns: tuple[ColumnCode, ...]
    interactions: tuple[tuple[str, ...], ...] = ()

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the columns of the matrix."""
        return tuple(self.term_columns)

    @property
    def term_columns(self) -> dict[str, tuple[str, ...]]:
        """Term to the columns of covariates it is made of."""
        single = {term: (code.column,) for code in self.columns for term in code.terms}
        codes = {code.column: code for code in self.columns}
        joint = {
            ":".join(parts): names
            for names in self.interactions
            for parts in product(*(codes[name].base_terms for name in names))
        }
        return single | joint

    def apply(self, frame: pd.DataFrame) -> Floats:
        """Return the matrix of other patients, coded as the first ones were.

        Parameters
        ----------
        frame : DataFrame, shape (m, columns)
            Their covariates.

        Returns
        -------
        ndarray, shape (m, terms)

        Raises
        ------
        DataError
            When a column is absent, lacks values, or holds a level that was not there before.
        """
        problems = []
        for code in self.columns:
            found = code.trouble(frame[code.column]) if code.column in frame.columns else "no such column"
            if found:
                problems.append(Problem(where=code.column, found=found))
        if problems:
            raise DataError("the covariates cannot be coded as before", problems)
        return self._matrix(frame)

    def _matrix(self, frame: pd.DataFrame) -> Floats:
        blocks = [code.expand(frame[code.column]) for code in self.columns]
        bases = {code.column: code.base(frame[code.column]) for code in self.columns}
        for names in self.interactions:
            blocks.append(_products([bases[name] for name in names]))
        return np.hstack([np.empty((len(frame), 0)), *blocks])


@dataclass(frozen=True, kw_only=True)
class DesignMatrix:
    """The covariates as numbers, without an intercept.

    Parameters
    ----------
    matrix : ndarray, shape (n, q)
        One row a patient.
    terms : tuple of str, length q
        Names of its columns.
    term_columns : mapping of str to tuple of str
        Term to the columns of covariates it is made of.
    encoding : Encoding
        How it was made, to be applied to new patients.
    """

    matrix: Floats
    terms: tuple[str, ...]
    term_columns: Mapping[str, tuple[str, ...]]
    encoding: Encoding


def build_design_matrix(
    covariates: pd.DataFrame,
    *,
    splines: Mapping[str, int] | None = None,
    log1p: Sequence[str] = (),
    interactions: Sequence[Sequence[str]] = (),
    columns: Sequence[str] | None = None,
) -> DesignMatrix:
    """Turn covariates into the columns of a regression.

    Parameters
    ----------
    covariates : DataFrame, shape (n, p)
        Numbers, true and false, or text; complete.
    splines : mapping of str to int, optional
        Column to the number of knots (3 to 7) of a restricted cubic spline: cubic between the knots,
        linear beyond the outer ones. Knots lie at the quantiles that Harrell recommends: 10, 50, 90 %
        for three, 5 to 95 % evenly for four to six, 2.5 to 97.5 % for seven (numpy's and R's default
        quantile). Harrell 2015, Regression Modeling Strategies, section 2.4.6,
        10.1007/978-3-319-19425-7.
    log1p : sequence of str
        Columns that enter as log(1 + value). A spline of such a column is a spline of the logarithm.
    interactions : sequence of sequence of str
        Columns, two or more, whose terms are multiplied: levels by levels, and numbers (their
        logarithm if that is taken), not the curved terms of a spline.
    columns : sequence of str, optional
        The columns that enter; all of them by default.

    Returns
    -------
    DesignMatrix

    Raises
    ------
    DataError
        Naming at once every option that speaks of no column or of one it does not fit, every column
        with missing or infinite values, and columns that are constant or a combination of others.
    """
    splines = dict(splines or {})
    chosen = list(covariates.columns if columns is None else columns)
    groups = tuple(tuple(names) for names in interactions)
    problems = [*_absent(covariates, chosen), *_stray_options(chosen, splines, log1p, groups)]
    codes = []
    for name in chosen:
        if name not in covariates.columns:
            continue
        code, trouble = _code(covariates[name], name, name in log1p, splines.get(name))
        problems += trouble
        codes.append(code)
    if problems:
        raise DataError("the design matrix cannot be built", problems)
    encoding = Encoding(columns=tuple(codes), interactions=groups)
    _refuse_same_names(codes)
    matrix = encoding._matrix(covariates)
    _refuse_dependent(matrix, encoding.terms)
    return DesignMatrix(
        matrix=read_only(matrix), terms=encoding.terms, term_columns=encoding.term_columns, encoding=encoding
    )


def harrell_knots(values: Floats, knots: int) -> Floats:
    """Return the knots of a restricted cubic spline at the recommended quantiles.

    Parameters
    ----------
    values : ndarray, shape (n,)
        The column.
    knots : int
        How many, 3 to 7.
    """
    outer = 0.10 if knots == 3 else 0.025 if knots == 7 else 0.05
    return np.quantile(values, np.linspace(outer, 1 - outer, knots))


def spline_basis(values: Floats, knots: Sequence[float]) -> Floats:
    """Return the curved terms of a restricted cubic spline; with the value itself they span it.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Where to evaluate it.
    knots : sequence of float, length k
        Increasing.

    Returns
    -------
    ndarray, shape (n, k - 2)
        Divided by the square of the distance of the outer knots, so that each term is on the scale
        of the value (Harrell's normalisation, ``norm = 2`` of his ``rcspline.eval``).
    """
    t = np.asarray(knots, dtype=float)
    cubes = np.clip(values[:, None] - t, 0, None) ** 3
    inner, before_last, last = cubes[:, :-2], cubes[:, -2:-1], cubes[:, -1:]
    gap = t[-1] - t[-2]
    tail = before_last * (t[-1] - t[:-2]) / gap - last * (t[-2] - t[:-2]) / gap
    basis: Floats = (inner - tail) / (t[-1] - t[0]) ** 2
    return basis


def _products(bases: Sequence[Floats]) -> Floats:
    """Return all products of one column from each base, in the order of ``itertools.product``."""
    return np.column_stack([prod(parts) for parts in product(*(base.T for base in bases))])


# --- what can be wrong -------------------------------------------------------------------------


def _absent(covariates: pd.DataFrame, chosen: Sequence[str]) -> Iterator[Problem]:
    for name in chosen:
        if name not in covariates.columns:
            hint = did_you_mean(name, [str(column) for column in covariates.columns])
            yield Problem(where=name, found="no such covariate", todo=hint)
    for name in sorted({name for name in chosen if list(chosen).count(name) > 1}):
        yield Problem(where=name, found="asked for more than once", expected="each covariate once")


def _stray_options(
    chosen: Sequence[str],
    splines: Mapping[str, int],
    log1p: Sequence[str],
    interactions: Sequence[tuple[str, ...]],
) -> Iterator[Problem]:
    """Name options that would have no effect, or none that is meant."""
    for option, names in (
        ("splines", list(splines)),
        ("log1p", list(log1p)),
        ("interactions", [name for group in interactions for name in group]),
    ):
        for name in dict.fromkeys(names):
            if name not in chosen:
                hint = did_you_mean(name, chosen)
                yield Problem(where=f"{option}, {name}", found="not among the covariates that enter", todo=hint)
    for name in sorted({name for name in log1p if list(log1p).count(name) > 1}):
        yield Problem(where=f"log1p, {name}", found="listed more than once", expected="each column once")
    for name, knots in splines.items():
        if isinstance(knots, bool) or not isinstance(knots, int) or not FEWEST_KNOTS <= knots <= MOST_KNOTS:
            expected = f"a whole number from {FEWEST_KNOTS} to {MOST_KNOTS}"
            yield Problem(where=f"splines, {name}", found=f"{knots} knots", expected=expected)
    seen: set[frozenset[str]] = set()
    for group in interactions:
        where = f"interactions, {', '.join(group)}"
        if len(group) < 2 or len(set(group)) < len(group):
            yield Problem(where=where, found="not a pair", expected="two or more different columns")
        if frozenset(group) in seen:
            yield Problem(where=where, found="listed more than once", expected="each interaction once")
        seen.add(frozenset(group))


def _code(column: pd.Series[Any], name: str, log1p: bool, knots: Any) -> tuple[ColumnCode, list[Problem]]:
    """Decide how a column is coded, and say what stands against it."""
    numeric = pd.api.types.is_numeric_dtype(column.dtype)  # true and false count as numbers
    levels = () if numeric else _levels(column)
    code = ColumnCode(column=name, levels=levels, log1p=log1p and numeric)
    found = code.trouble(column)
    if not found and column.nunique() < 2:
        found = "the same value for every patient, which cannot be balanced or confound"
    if found:
        return code, [Problem(where=name, found=found)]
    if not numeric or pd.api.types.is_bool_dtype(column.dtype):
        asked = [option for option, given in (("splines", knots is not None), ("log1p", log1p)) if given]
        return code, [Problem(where=f"{option}, {name}", found="not a column of numbers") for option in asked]
    if not isinstance(knots, int) or not FEWEST_KNOTS <= knots <= MOST_KNOTS:
        return code, []
    values = code.base(column)[:, 0]
    places = harrell_knots(values, knots)
    if len(np.unique(places)) < knots:
        found = f"{knots} knots fall on {len(np.unique(places))} different values, for many patients have the same"
        return code, [Problem(where=f"splines, {name}", found=found, todo=_fewer_knots(values, knots))]
    return ColumnCode(column=name, log1p=log1p, knots=tuple(float(place) for place in places)), []


def _levels(column: pd.Series[Any]) -> tuple[str, ...]:
    present = [str(level) for level in _present(column)]
    return tuple(present if isinstance(column.dtype, pd.CategoricalDtype) else sorted(present))


def _present(column: pd.Series[Any]) -> list[Any]:
    """Return the values that occur; levels of a categorical column in their order."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = np.unique(column.cat.codes.to_numpy())
        return list(column.cat.categories[codes[codes >= 0]])
    return list(column.dropna().unique())


def _fewer_knots(values: Floats, knots: int) -> str:
    for fewer in range(knots - 1, FEWEST_KNOTS - 1, -1):
        if len(np.unique(harrell_knots(values, fewer))) == fewer:
            return f"{fewer} knots would do"
    return "Take it without a spline"


def _refuse_same_names(codes: Sequence[ColumnCode]) -> None:
    terms = [term for code in codes for term in code.terms]
    twice = sorted({term for term in terms if terms.count(term) > 1})
    if twice:
        problems = [Problem(where=term, found="the name of two terms", todo="Rename a column") for term in twice]
        raise DataError("the design matrix cannot be built", problems)


def _refuse_dependent(matrix: Floats, terms: Sequence[str]) -> None:
    """Refuse columns that are combinations of others, naming all that take part.

    A pivoted QR decomposition of the centred columns, each scaled to length one, puts dependent
    columns last; their coefficients on the others say which.
    """
    n, q = matrix.shape
    if not q:
        return
    if q >= n:
        raise DataError(f"{q} terms for {n} patients: fewer terms than patients are needed")
    centred = matrix - matrix.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    constant = length <= CONSTANT * np.linalg.norm(matrix, axis=0)
    problems = [
        Problem(where=terms[int(k)], found="the same value for every patient") for k in np.flatnonzero(constant)
    ]
    if not problems:
        upper, order = qr(centred / length, mode="r", pivoting=True)
        rank = int((np.abs(np.diag(upper)) > RANK_TOLERANCE).sum())
        shares = solve_triangular(upper[:rank, :rank], upper[:rank, rank:]) if rank < q else np.empty((rank, 0))
        for dependent, share in zip(order[rank:], shares.T, strict=True):
            others = [terms[each] for each, size in zip(order[:rank], share, strict=True) if abs(size) > INVOLVED]
            problems.append(
                Problem(
                    where=terms[dependent],
                    found=f"determined by {', '.join(sorted(others))}",
                    todo="Leave out one of them",
                )
            )
    if problems:
        raise DataError("some covariates say the same as others, so their effects cannot be told apart", problems)
