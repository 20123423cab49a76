"""Curves, effects and tests; published estimates beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_s4.errors import UsageError
from causal_s4.results.cohort import Finding
from causal_s4.results.values import Floats, Ints, frame_of, record_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SurvivalCurve:
    """A survival curve of one arm: right-continuous steps, with a pointwise band.

    Parameters
    ----------
    outcome, analysis, population, arm : str
        What it is a curve of.
    unit : str
        Unit of the times.
    level : float
        Of the pointwise interval (complementary log-log).
    times : ndarray, shape (k,)
        0 and the distinct event times of the arm.
    survival, std_error, lower, upper : ndarray, shape (k,)
        At those times.
    risk_times : ndarray, shape (m,)
        Times of the at-risk table.
    at_risk : ndarray of int, shape (m,)
        Patients at risk (unweighted) just before those times.
    ess_at_risk : ndarray, shape (m,)
        Effective sample size of those at risk.
    """

    outcome: str
    analysis: str
    population: str
    arm: str
    unit: str
    level: float
    times: Floats
    survival: Floats
    std_error: Floats
    lower: Floats
    upper: Floats
    risk_times: Floats
    at_risk: Ints
    ess_at_risk: Floats

    def at(self, time: float) -> float:
        """Return S(time)."""
        if not time >= 0:
            raise UsageError(f"a survival curve is asked at a time of 0 or later; found {time!r}")
        return float(self.survival[np.searchsorted(self.times, time, side="right") - 1])

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step."""
        import pandas as pd

        return pd.DataFrame(
            {
                "time": self.times,
                "survival": self.survival,
                "std_error": self.std_error,
                "lower": self.lower,
                "upper": self.upper,
            }
        ).assign(arm=self.arm, analysis=self.analysis, population=self.population, outcome=self.outcome)


@dataclass(frozen=True, kw_only=True)
class EffectEstimate:
    """One number with everything needed to read it.

    Differences are treated minus control, ratios treated over control. The interval of a ratio is
    made on the log scale, and ``std_error`` is that of its logarithm. ``horizon`` is in the time
    unit of the data. ``variance`` says how the interval was made.
    """

    outcome: str
    analysis: str
    population: str
    measure: str
    arm: str | None
    horizon: float | None
    unit: str
    value: float | None
    std_error: float | None
    lower: float | None
    upper: float | None
    level: float
    variance: str
    p_value: float | None
    n: int
    events: int
    ess: float

    def to_record(self) -> dict[str, Any]:
        """Return the estimate as a flat record."""
        return record_of(self)


@dataclass(frozen=True, kw_only=True)
class EffectTable:
    """Estimates in order, naive next to adjusted.

    Parameters
    ----------
    estimates : tuple of EffectEstimate
    findings : tuple of Finding
        What a reader has to know about the intervals, such as replicates without an estimate.
    """

    estimates: tuple[EffectEstimate, ...]
    findings: tuple[Finding, ...] = ()

    def __iter__(self) -> Iterator[EffectEstimate]:
        """Iterate over the estimates."""
        return iter(self.estimates)

    def __len__(self) -> int:
        """Return how many estimates there are."""
        return len(self.estimates)

    def _repr_html_(self) -> str:
        from causal_s4.report.notebook import effects_html

        return effects_html(self)

    def where(self, **wanted: Any) -> EffectTable:
        """Keep the estimates whose fields equal what is asked.

        Examples
        --------
        >>> result.effects.where(analysis="weighted", measure="hazard ratio")  # doctest: +SKIP
        """
        return EffectTable(
            estimates=tuple(
                each for each in self.estimates if all(getattr(each, key) == value for key, value in wanted.items())
            )
        )

    def one(self, **wanted: Any) -> EffectEstimate:
        """Return the only estimate whose fields equal what is asked.

        Raises
        ------
        UsageError
            When there is none, or more than one.
        """
        found = self.where(**wanted).estimates
        if len(found) != 1:
            raise UsageError(f"expected one estimate with {wanted}; found {len(found)}")
        return found[0]

    def to_frame(self) -> pd.DataFrame:
        """Return one row an estimate."""
        names = [each.name for each in fields(EffectEstimate)]
        return frame_of([each.to_record() for each in self.estimates], names)


@dataclass(frozen=True, kw_only=True)
class ScoreTest:
    """A comparison of two curves: the score test of no effect, z on the standard normal."""

    outcome: str
    analysis: str
    population: str
    test: str
    z: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class HazardsCheck:
    """Whether the hazard ratio changes with time.

    ``slope`` is the change in log hazard ratio per unit of log time, with its Wald test under the
    same influence-function variance as everything else; ``periods`` holds a hazard ratio for each
    stretch of follow-up as (from, to, value, lower, upper).
    """

    outcome: str
    analysis: str
    population: str
    slope: float
    std_error: float
    p_value: float
    periods: tuple[tuple[float, float, float, float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RegressionRow:
    """One coefficient of the multivariable Cox model, as a hazard ratio."""

    term: str
    hazard_ratio: float
    std_error: float
    lower: float
    upper: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class RegressionTable:
    """The conditional multivariable Cox model that such papers report."""

    outcome: str
    rows: tuple[RegressionRow, ...]
    ties: str
    n: int
    events: int

    def to_frame(self) -> pd.DataFrame:
        """Return one row a coefficient."""
        names = [each.name for each in fields(RegressionRow)]
        return frame_of([record_of(row) for row in self.rows], names)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A published estimate that the study is held against, with its source."""

    name: str
    outcome: str
    measure: str
    value: float
    lower: float
    upper: float
    level: float
    source: str
    design: str = "randomised trial"
    horizon: float | None = None
