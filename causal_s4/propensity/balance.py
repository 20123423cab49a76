"""Are the arms alike, before and after weighting? Differences in means, spreads and shapes; no p-values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from causal_s4.arguments import checked_arguments
from causal_s4.cohort import Cohort
from causal_s4.kernels.balance import effective_sample_size, kolmogorov_smirnov, weighted_mean, weighted_variance
from causal_s4.protocol.vocabulary import Estimand
from causal_s4.results import BalanceRow, BalanceTable, Finding, Floats, Weights

_DENOMINATORS = {
    "pooled": "square root of the mean of the two arms' unweighted variances",
    "treated": "unweighted standard deviation of the treated",
    "control": "unweighted standard deviation of the controls",
    "weighted": "standard deviation of both arms together under the weights",
}
_DENOMINATOR_OF = {
    Estimand.ATT: "treated",
    Estimand.ATC: "control",
    Estimand.ATO: "weighted",
    Estimand.ATM: "weighted",
}
IMBALANCE = 0.1
"""An absolute standardised mean difference above this is reported."""


@dataclass(frozen=True)
class _Term:
    name: str
    kind: str
    column: str
    level: str | None
    values: Floats


@checked_arguments
def check_balance(cohort: Cohort, weights: Weights | None = None) -> BalanceTable:
    """Compare the arms' covariates before and after weighting.

    Parameters
    ----------
    cohort : Cohort
    weights : Weights, optional
        One a patient; without weights, before and after are the same.

    Returns
    -------
    BalanceTable
        Standardised mean differences are signed, treated minus control. Both columns share one
        denominator, which follows the estimand: the pooled unweighted standard deviation (ATE), that
        of the treated (ATT) or controls (ATC), and for ATO and ATM that of the whole weighted sample.

    Notes
    -----
    Variances of two-valued covariates are p(1 - p); of others n - 1 style. The Kolmogorov-Smirnov
    statistic is the largest distance between weighted distribution functions. These are the
    conventions of the R package cobalt.
    """
    n = len(cohort)
    after = np.ones(n) if weights is None else weights.values
    population = "unadjusted" if weights is None else weights.population
    label = population.split(",")[0]
    denominator = _DENOMINATOR_OF.get(Estimand(label), "pooled") if label in set(Estimand) else "pooled"
    treated = cohort.treatment == 1
    rows = [_row(term, treated, np.ones(n), after, denominator) for term in _terms(cohort.covariates)]
    return BalanceTable(
        population=population,
        denominator=_DENOMINATORS[denominator],
        rows=tuple(rows),
        ess_treated=effective_sample_size(after[treated]),
        ess_control=effective_sample_size(after[~treated]),
    )


def _terms(frame: pd.DataFrame) -> Iterator[_Term]:
    """Yield one term a number or two-level covariate, one a level for more levels."""
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            levels = [level for level in column.cat.categories if (column == level).any()]
            for level in levels[1:] if len(levels) == 2 else levels:
                kind = "binary" if len(levels) == 2 else "level"
                yield _Term(f"{name}={level}", kind, name, str(level), (column == level).to_numpy(dtype=float))
            continue
        values = column.to_numpy(dtype=float)
        distinct = np.unique(values)
        if distinct.size == 2:
            yield _Term(name, "binary", name, f"{distinct[1]:g}", (values == distinct[1]).astype(float))
        else:
            yield _Term(name, "continuous", name, None, values)


def _row(term: _Term, treated: np.ndarray, before: Floats, after: Floats, denominator: str) -> BalanceRow:
    x = term.values
    binary = term.kind != "continuous"
    means = {
        (arm, time): weighted_mean(x[rows], w[rows])
        for arm, rows in (("treated", treated), ("control", ~treated))
        for time, w in (("before", before), ("after", after))
    }
    variances = {
        (arm, time): weighted_variance(x[rows], w[rows], binary=binary)
        for arm, rows in (("treated", treated), ("control", ~treated))
        for time, w in (("before", before), ("after", after))
    }
    scale = _scale(x, after, variances, denominator, binary)

    def smd(time: str) -> float:
        difference = means["treated", time] - means["control", time]
        if abs(difference) < 1e-15:
            return 0.0
        return difference / scale if scale > 0 else float(np.copysign(np.inf, difference))

    def ratio(time: str) -> float | None:
        if binary or not variances["control", time] > 0:
            return None
        return variances["treated", time] / variances["control", time]

    def sd(arm: str, time: str) -> float | None:
        return None if binary else float(np.sqrt(variances[arm, time]))

    return BalanceRow(
        term=term.name,
        kind=term.kind,
        column=term.column,
        level=term.level,
        smd_before=smd("before"),
        smd_after=smd("after"),
        variance_ratio_before=ratio("before"),
        variance_ratio_after=ratio("after"),
        ks_before=kolmogorov_smirnov(x, before, treated),
        ks_after=kolmogorov_smirnov(x, after, treated),
        mean_treated_before=means["treated", "before"],
        mean_control_before=means["control", "before"],
        mean_treated_after=means["treated", "after"],
        mean_control_after=means["control", "after"],
        sd_treated_before=sd("treated", "before"),
        sd_control_before=sd("control", "before"),
        sd_treated_after=sd("treated", "after"),
        sd_control_after=sd("control", "after"),
        count_treated=int(x[treated].sum()) if binary else None,
        count_control=int(x[~treated].sum()) if binary else None,
    )


def _scale(x: Floats, weight: Floats, variances: dict[tuple[str, str], float], denominator: str, binary: bool) -> float:
    if denominator == "pooled":
        variance = (variances["treated", "before"] + variances["control", "before"]) / 2
    elif denominator == "weighted":
        variance = weighted_variance(x, weight, binary=binary)
    else:
        variance = variances[denominator, "before"]
    if not (np.isfinite(variance) and variance > 0):
        variance = weighted_variance(x, np.ones(len(x)), binary=binary)
    return float(np.sqrt(variance)) if variance > 0 else 0.0


def balance_findings(table: BalanceTable) -> tuple[Finding, ...]:
    """Name the terms that stay imbalanced after weighting."""
    worst = [row for row in table.rows if abs(row.smd_after) > IMBALANCE]
    if not worst:
        return ()
    worst.sort(key=lambda row: -abs(row.smd_after))
    named = ", ".join(f"{row.term} ({row.smd_after:+.2f})" for row in worst[:6])
    return (
        Finding(
            code="imbalance-after-weighting",
            severity="serious" if abs(worst[0].smd_after) > 0.25 else "caution",
            step="balance",
            message=(
                f"{table.population}: {len(worst)} of {len(table.rows)} terms keep an absolute standardised mean difference above "
                f"{IMBALANCE:g} after weighting: {named}. A richer propensity model (splines, interactions) may mend it."
            ),
            numbers={"terms": [row.term for row in worst], "largest": abs(worst[0].smd_after)},
        ),
    )
