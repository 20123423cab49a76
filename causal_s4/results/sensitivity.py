"""An analysis that puts an estimate in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from causal_s4.results.cohort import Finding
from causal_s4.results.values import frame_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SensitivityResult:
    """The answer of one sensitivity analysis.

    Parameters
    ----------
    method : str
        A name from the contract's list, such as ``"e-value"``.
    target : mapping
        Which estimate it is about: outcome, analysis, population, measure, horizon.
    parameters : mapping
        What was assumed.
    value : float or None
        The answer for the estimate.
    lower, upper : float or None
        Its bounds or interval, where the method has them.
    bound : float or None
        The answer for the interval limit nearer the null.
    unit : str
        What ``value`` is measured in.
    direction : str
        Which way the bias would have to go, in words.
    assumptions : tuple of str
        What has to hold for the number to mean what it says.
    table : tuple of mapping
        Rows of a grid, when the answer is one.
    findings : tuple of Finding
        What a reader has to know.
    """

    method: str
    target: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    bound: float | None = None
    unit: str = ""
    direction: str = ""
    assumptions: tuple[str, ...] = ()
    table: tuple[Mapping[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the grid if there is one, else one row with the answer."""
        if self.table:
            return frame_of(self.table)
        row = {"method": self.method, "value": self.value, "bound": self.bound}
        return frame_of([{**row, "lower": self.lower, "upper": self.upper, **self.parameters}])
