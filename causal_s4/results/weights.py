"""How the arms were weighted, and whether they are alike and have counterparts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_s4.arguments import checked_arguments
from causal_s4.errors import UsageError
from causal_s4.results.cohort import Finding
from causal_s4.results.values import Floats, Ints, frame_of, read_only, record_of

if TYPE_CHECKING:
    import pandas as pd

    from causal_s4.kernels.clone_factors import CloneWeighting


@dataclass(frozen=True, kw_only=True)
class EstimatingPart:
    """A fitted nuisance of a set of weights, as its estimating equations.

    Parameters
    ----------
    name : str
        What was fitted.
    score : ndarray, shape (patients, q)
        Per-patient estimating function at the solution; sums to zero.
    information : ndarray, shape (q, q)
        Minus the derivative of the summed score.
    derivative : ndarray, shape (units, q)
        d weight / d coefficient, for each weighted unit (a patient, or a row of a risk table).
    """

    name: str
    score: Floats
    information: Floats
    derivative: Floats

    def correction(self, unit_gradient: Floats) -> Floats:
        """Return this part's term of the influence function.

        Parameters
        ----------
        unit_gradient : ndarray, shape (units,) or (units, m)
            d theta / d weight of each unit.

        Returns
        -------
        ndarray, shape (patients,) or (patients, m)
        """
        return self.score @ np.linalg.solve(self.information, self.derivative.T @ unit_gradient)


@dataclass(frozen=True, kw_only=True)
class WeightingSpec:
    """What weights were asked to be, so that a resample can make them again from its own patients.

    Parameters
    ----------
    population, method : str
        As asked.
    treatment : ndarray of 0/1, shape (patients,)
    terms : ndarray, shape (patients, q)
        The model's matrix without intercept; knots and levels stay as they are.
    stabilise : bool
    truncate : (float, float) or None
    trim : float or None
    quantile_method : str
    """

    population: str
    method: str
    treatment: Ints
    terms: Floats
    stabilise: bool = False
    truncate: tuple[float, float] | None = None
    trim: float | None = None
    quantile_method: str = "linear"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights with what is needed to account for their estimation.

    Parameters
    ----------
    values : ndarray, shape (units,)
        One weight a patient (or a row, for time-varying weights). Zero for a patient trimmed away.
    population : str
        The estimand, such as ``"ATO"``; after trimming, the renamed one.
    method : str
        ``"logistic"``, ``"entropy-balancing"``, ``"given"``, ...
    parts : tuple of EstimatingPart
        Estimating equations of what was fitted; empty for given weights.
    propensity : ndarray, shape (patients,), optional
        Estimated probability of treatment; NaN for a patient trimmed away.
    normalisation : str
        How the weights are scaled, in words: a weighted hazard ratio depends on it.
    estimated : bool
        False when the weights were given, so that an interval cannot account for their estimation.
    by_row : bool
        True when ``values`` has one entry a row of the risk table, not a patient.
    truncated, trimmed : int
        How many weights were cut, how many patients were left out.
    terms : tuple of str
        Columns of the propensity model's matrix.
    coefficients : ndarray, optional
        Coefficients of the propensity model, intercept first, in the order of ``terms``.
    covariates : tuple of str
        The covariates the weights were built from.
    findings : tuple of Finding
        What a reader has to know about them.
    spec : WeightingSpec or CloneWeighting, optional
        How to make them again; None for given weights and where there was nothing to adjust for.
    """

    values: Floats
    population: str
    method: str
    parts: tuple[EstimatingPart, ...] = ()
    propensity: Floats | None = None
    normalisation: str = ""
    estimated: bool = True
    by_row: bool = False
    truncated: int = 0
    trimmed: int = 0
    terms: tuple[str, ...] = ()
    coefficients: Floats | None = None
    covariates: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    spec: WeightingSpec | CloneWeighting | None = None

    @classmethod
    @checked_arguments
    def given(cls, values: Any, *, population: str = "as given") -> Weights:
        """Take weights made elsewhere.

        Parameters
        ----------
        values : array-like, shape (n,)
            Non-negative, finite, one a patient in the cohort's order.
        population : str, optional
            The estimand they aim at, if you know it.

        Returns
        -------
        Weights
            Marked as not estimated here: intervals made with them say so.

        Raises
        ------
        UsageError
            When a value is negative, missing or infinite, or all are zero.
        """
        try:
            array = np.array(values, dtype=float).ravel()
        except (TypeError, ValueError):
            raise UsageError("weights must be numbers, one for each patient; found something else among them") from None
        bad = np.flatnonzero(~np.isfinite(array) | (array < 0))
        if bad.size:
            rows = ", ".join(str(row + 1) for row in bad[:5])
            raise UsageError(
                f"weights must be finite and not negative; {bad.size} are not (rows {rows}"
                f"{', ...' if bad.size > 5 else ''})"
            )
        if not array.size or not array.any():
            raise UsageError("weights must hold at least one value above zero; found none")
        return cls(
            values=read_only(array),
            population=population,
            method="given",
            normalisation="as given",
            estimated=False,
        )


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts (and weighted shares) of the propensity score per arm, on shared edges."""

    edges: tuple[float, ...]
    treated: tuple[float, ...]
    control: tuple[float, ...]
    treated_weighted: tuple[float, ...]
    control_weighted: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class WeightSummary:
    """The weights of one population, as numbers that hold no patient.

    ``ess_treated``, ``ess_control`` and ``max`` are of the weights as used; ``top_share_*`` is the
    share of an arm's total weight carried by its heaviest one per cent; ``quantiles`` maps arm to
    the weights at 0, 1, 5, 25, 50, 75, 95, 99 and 100 per cent.
    """

    population: str
    describes: str
    method: str
    normalisation: str
    ess_treated: float
    ess_control: float
    max: float
    truncated: int
    trimmed: int
    mean_treated: float = float("nan")
    mean_control: float = float("nan")
    top_share_treated: float = float("nan")
    top_share_control: float = float("nan")
    quantiles: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    histogram: Histogram | None = None
    c_statistic: float | None = None
    c_statistic_weighted: float | None = None
    covariates: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    coefficients: tuple[float, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row."""
        skip = {"quantiles", "histogram", "covariates", "terms", "coefficients"}
        return frame_of([{key: value for key, value in record_of(self).items() if key not in skip}])


@dataclass(frozen=True, kw_only=True)
class BalanceRow:
    """Balance of one term before and after weighting; SMDs are signed, treated minus control.

    ``mean_*`` are means (proportions for ``binary`` and ``level``), ``sd_*`` standard deviations
    (None for proportions); ``count_*`` the unweighted number with the level (None for continuous).
    """

    term: str
    kind: str
    column: str
    level: str | None
    smd_before: float
    smd_after: float
    variance_ratio_before: float | None
    variance_ratio_after: float | None
    ks_before: float
    ks_after: float
    mean_treated_before: float
    mean_control_before: float
    mean_treated_after: float
    mean_control_after: float
    sd_treated_before: float | None = None
    sd_control_before: float | None = None
    sd_treated_after: float | None = None
    sd_control_after: float | None = None
    count_treated: int | None = None
    count_control: int | None = None


@dataclass(frozen=True, kw_only=True)
class BalanceTable:
    """Balance of every covariate, before and after weighting.

    ``denominator`` names the standard deviation that both SMD columns share.
    """

    population: str
    denominator: str
    rows: tuple[BalanceRow, ...]
    ess_treated: float
    ess_control: float

    def _repr_html_(self) -> str:
        from causal_s4.report.notebook import balance_html

        return balance_html(self)

    @property
    def worst(self) -> BalanceRow | None:
        """The term with the largest absolute SMD after weighting."""
        return max(self.rows, key=lambda row: abs(row.smd_after), default=None)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a term."""
        names = [each.name for each in fields(BalanceRow)]
        return frame_of([record_of(row) for row in self.rows], names)


@dataclass(frozen=True, kw_only=True)
class EmptyCell:
    """A group of patients in which one arm has nobody: the data cannot speak about it."""

    description: str
    n: int
    treated: int
    control: int


@dataclass(frozen=True, kw_only=True)
class Positivity:
    """Overlap of the arms on the propensity score, and where it fails.

    ``quantiles`` maps arm to the propensity score at 0, 5, 25, 50, 75, 95 and 100 per cent;
    ``tails`` maps a threshold such as ``"below 0.05"`` to ``{"treated": share, "control": share}``.
    """

    overlap_coefficient: float | None
    quantiles: Mapping[str, tuple[float, ...]]
    tails: Mapping[str, Mapping[str, float]]
    empty_cells: tuple[EmptyCell, ...]
    sentences: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the cells without a treated or without a control patient."""
        names = [each.name for each in fields(EmptyCell)]
        return frame_of([record_of(cell) for cell in self.empty_cells], names)
