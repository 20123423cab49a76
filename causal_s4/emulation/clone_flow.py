"""Who is in which arm until when, why clones leave, and whether those who stay still look like everyone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_s4.cohort import Cohort, RiskTable
from causal_s4.emulation.clones import Course
from causal_s4.emulation.history import carried_forward, carry_limit, check_time_varying
from causal_s4.emulation.weight_checks import at_risk, mean_weights, row_weights
from causal_s4.errors import UsageError
from causal_s4.kernels.balance import effective_sample_size, weighted_mean, weighted_variance
from causal_s4.protocol.vocabulary import Estimand
from causal_s4.results import (
    BalanceOverTime,
    CloneFlow,
    CloneFlowRow,
    Finding,
    Floats,
    TimedBalanceRow,
    WeightSummary,
)

Mask = NDArray[np.bool_]

_SHARES = (0.0, 0.25, 0.5, 0.75, 0.99, 1.0)
_SUMMARY_SHARES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
_STEPS, _FLOW_STEPS = 6, 12
_ARMS = ((1, "treated"), (0, "control"))
_DENOMINATOR = "square root of the mean of the unweighted variances of the two groups compared"
IMBALANCE = 0.1
"""An absolute standardised mean difference above this is reported."""


def clone_flow(table: RiskTable, cohort: Cohort, times: Sequence[float] | None = None) -> CloneFlow:
    """Follow the clones: how many are still in their arm, why the others left, and what the weights do.

    Parameters
    ----------
    table : RiskTable
        Of cloned strategies, from this cohort.
    cohort : Cohort
    times : sequence of float, optional
        When to look; by default twelve equal steps of the grace period and as many of the follow-up after it.

    Returns
    -------
    CloneFlow

    Raises
    ------
    UsageError
        When the table is not of cloned strategies.
    """
    course = _course(table, cohort)
    last = float(course.end.max())
    if times is None:
        steps = np.arange(_FLOW_STEPS + 1) / _FLOW_STEPS
        later = course.grace + (last - course.grace) * steps[1:-1]
        times = [*(course.grace * steps).tolist(), *later.tolist()]
    means = mean_weights(table, course, np.asarray(times, dtype=float))
    return CloneFlow(
        outcome=table.outcome,
        grace_period=course.grace,
        unit=str(table.time_unit),
        n=len(cohort),
        shares=_SHARES,
        rows=tuple(
            _flow_row(table, course, float(time), arm, label, float(means[label][k]))
            for k, time in enumerate(times)
            for arm, label in _ARMS
        ),
    )


def _flow_row(table: RiskTable, course: Course, time: float, arm: int, label: str, mean: float) -> CloneFlowRow:
    gone, deviated = course.end <= time, course.departs(arm) <= time
    followed = ~gone & ~deviated
    settled = course.settles(arm) <= time
    weight = row_weights(table)[at_risk(table, arm, time, after=True)]
    return CloneFlowRow(
        time=time,
        arm=label,
        followed=int(followed.sum()),
        adherent=int((followed & settled).sum()),
        deviated=int(deviated.sum()),
        events=int((gone & ~deviated & (course.event > 0)).sum()),
        lost=int((gone & ~deviated & (course.event == 0)).sum()),
        ess=effective_sample_size(weight),
        mean_weight=mean,
        largest_share=float(weight.max() / weight.sum()) if weight.size else 0.0,
        quantiles=tuple(float(q) for q in np.quantile(weight, _SHARES))
        if weight.size
        else (float("nan"),) * len(_SHARES),
    )


def clone_weight_summary(table: RiskTable) -> WeightSummary:
    """Describe the weights of those followed beyond the grace period by numbers that hold no patient.

    Parameters
    ----------
    table : RiskTable
        Of cloned strategies, with weights.

    Raises
    ------
    UsageError
        When it has no weights.
    """
    weights = table.weights
    if weights is None or table.grace_period is None:
        raise UsageError("a table of cloned strategies with weights is needed")
    final = {label: weights.values[at_risk(table, arm, table.grace_period, after=True)] for arm, label in _ARMS}
    return WeightSummary(
        population=weights.population,
        describes=Estimand.ATE.describes,
        method=weights.method,
        normalisation=weights.normalisation,
        ess_treated=effective_sample_size(final["treated"]),
        ess_control=effective_sample_size(final["control"]),
        max=float(weights.values.max()),
        truncated=weights.truncated,
        trimmed=0,
        mean_treated=float(final["treated"].mean()),
        mean_control=float(final["control"].mean()),
        top_share_treated=_top_share(final["treated"]),
        top_share_control=_top_share(final["control"]),
        quantiles={label: tuple(float(q) for q in np.quantile(w, _SUMMARY_SHARES)) for label, w in final.items()},
        covariates=weights.covariates,
        terms=weights.terms,
        coefficients=() if weights.coefficients is None else tuple(float(c) for c in weights.coefficients),
    )


def _top_share(values: Floats) -> float:
    """Share of the total carried by the heaviest one per cent (at least one patient)."""
    heaviest = max(1, int(np.ceil(0.01 * len(values))))
    return float(np.sort(values)[-heaviest:].sum() / values.sum())


# --- balance ------------------------------------------------------------------------------------


def balance_over_time(
    table: RiskTable,
    cohort: Cohort,
    *,
    time_varying: Sequence[str] = (),
    times: Sequence[float] | None = None,
    max_carry: float | None = None,
) -> BalanceOverTime:
    """Compare the clones that stayed with everyone under observation, at times within the grace period.

    Both arms should look like everybody, as if nobody had been taken out. At the end of the grace period the
    arms are compared with each other as well; later differences are no imbalance but may be effects.

    Parameters
    ----------
    table : RiskTable
        Of cloned strategies, from this cohort.
    cohort : Cohort
    time_varying : sequence of str
        Columns of the history to compare, as last known at each time, beside the covariates of time zero.
    times : sequence of float, optional
        Within the grace period; six equal steps by default.
    max_carry : float, optional
        How long a value is carried forward; a year by default.

    Returns
    -------
    BalanceOverTime

    Raises
    ------
    UsageError
        When the table is not of cloned strategies, or a time lies beyond the grace period.
    """
    course = _course(table, cohort)
    check_time_varying(cohort, time_varying)
    steps = (course.grace * np.arange(1, _STEPS + 1) / _STEPS).tolist() if times is None else [float(t) for t in times]
    beyond = [time for time in steps if not 0 <= time <= course.grace * (1 + 1e-9)]
    if beyond:
        raise UsageError(f"balance is judged within the grace period of {course.grace:g}; found {beyond}")
    limit = carry_limit(max_carry, cohort.time_unit)
    rows = [row for time in steps for row in _balance_at(table, cohort, course, time, tuple(time_varying), limit)]
    return BalanceOverTime(unit=str(table.time_unit), denominator=_DENOMINATOR, rows=tuple(rows))


def _balance_at(
    table: RiskTable, cohort: Cohort, course: Course, time: float, time_varying: tuple[str, ...], limit: float
) -> Iterator[TimedBalanceRow]:
    everyone = np.flatnonzero(course.end > time)
    weight = row_weights(table)
    groups = {"everyone": (everyone, np.ones(everyone.size))}
    for arm, label in _ARMS:
        rows = at_risk(table, arm, time, after=True)
        groups[label] = (table.patient[rows], weight[rows])
    pairs = [(label, "everyone", f"{label} clones against everyone") for _, label in _ARMS]
    if time >= course.grace * (1 - 1e-9):
        pairs.append(("treated", "control", "treated against control"))
    for term, values in _terms(cohort, time, time_varying, limit):
        for one, other, words in pairs:
            (a, wa), (b, wb) = groups[one], groups[other]
            if a.size and b.size:
                before, after = _differences(values[a], wa, values[b], wb)
                yield TimedBalanceRow(time=time, comparison=words, term=term, smd_before=before, smd_after=after)


def _differences(a: Floats, wa: Floats, b: Floats, wb: Floats) -> tuple[float, float]:
    """Return the standardised mean difference without and with the weights."""
    binary = bool(np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all())
    variance = [weighted_variance(x, np.ones(x.size), binary=binary) for x in (a, b)]
    scale = float(np.sqrt(np.mean(variance)))
    found = []
    for one, other in ((np.ones(a.size), np.ones(b.size)), (wa, wb)):
        difference = weighted_mean(a, one) - weighted_mean(b, other)
        found.append(0.0 if abs(difference) < 1e-12 else difference / scale if scale > 0 else float("nan"))
    return found[0], found[1]


def _terms(cohort: Cohort, time: float, time_varying: tuple[str, ...], limit: float) -> Iterator[tuple[str, Floats]]:
    """Yield a column for each number and each level, everyone's value as known at a time."""
    frame = cohort.covariates[[name for name in cohort.covariates if name not in time_varying]]
    if time_varying:
        now = np.full(len(cohort), time)
        frame = pd.concat(
            [frame, pd.DataFrame(carried_forward(cohort, time_varying, np.arange(len(cohort)), now, limit))], axis=1
        )
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            levels = [level for level in column.cat.categories if (column == level).any()]
            for level in levels[1:] if len(levels) == 2 else levels:
                yield f"{name}={level}", (column == level).to_numpy(dtype=float)
        else:
            yield str(name), column.to_numpy(dtype=float)


def timed_balance_findings(balance: BalanceOverTime) -> tuple[Finding, ...]:
    """Name what stays out of balance under the weights."""
    off = [row for row in balance.rows if abs(row.smd_after) > IMBALANCE]
    if not off:
        return ()
    worst = max(off, key=lambda row: abs(row.smd_after))
    terms = sorted({row.term for row in off})
    return (
        Finding(
            code="imbalance-over-time",
            severity="serious" if abs(worst.smd_after) > 0.25 else "caution",
            step="balance",
            message=(
                f"Under the weights {len(terms)} terms differ by more than {IMBALANCE:g} standard deviations at some time within the "
                f"grace period: {', '.join(terms[:6])}. The largest difference is {worst.smd_after:+.2f} ({worst.term}, "
                f"{worst.comparison}, at {worst.time:.3g} {balance.unit})."
            ),
            numbers={"terms": terms, "largest": worst.smd_after},
        ),
    )


def _course(table: RiskTable, cohort: Cohort) -> Course:
    if table.grace_period is None or table.n_patients != len(cohort):
        raise UsageError("expected a table of cloned strategies of this cohort, from clone_censor or clone_unweighted")
    return Course.of(cohort, table.outcome, table.grace_period, never=table.never, unless=table.unless)
