"""Every weighted estimate of a risk table with its derivative in each row's weight.

The naive estimate is the same code with weights of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from causal_s4.cohort import RiskTable
from causal_s4.errors import BeyondFollowUpError, ConvergenceError, NoEventsError
from causal_s4.kernels.aalen_johansen import AalenJohansen
from causal_s4.kernels.cox import CoxFit, fit_cox
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.protocol.vocabulary import Arm, Measure
from causal_s4.results import Floats, Ints

ARMS = ((Arm.TREATED, 1), (Arm.CONTROL, 0))


@dataclass(frozen=True, kw_only=True)
class Functional:
    """An estimate on the scale its interval is made on.

    Parameters
    ----------
    measure : Measure
    arm : Arm or None
    horizon : float or None
    theta : float
        On the scale of the interval: a logarithm for ratios.
    gradient : ndarray, shape (rows,)
        d theta / d weight of each row.
    scale : {"plain", "log", "cloglog"}
        How theta becomes the reported value: itself, exp, or itself with a complementary log-log interval.
    """

    measure: Measure
    arm: Arm | None
    horizon: float | None
    theta: float
    gradient: Floats
    scale: str = "plain"


@dataclass(frozen=True)
class ArmCurve:
    """The Kaplan-Meier fit of one arm, and which rows of the table it used."""

    arm: Arm
    rows: Ints
    fit: KaplanMeier
    last_time: float
    stop: Floats
    start: Floats

    def spread(self, gradient: Floats, size: int) -> Floats:
        """Put the arm's derivatives in the table's rows."""
        full = np.zeros(size)
        full[self.rows] = gradient
        return full


def fit_arms(table: RiskTable, weight: Floats, *, any_event: bool = False) -> dict[Arm, ArmCurve]:
    """Fit one curve an arm.

    Parameters
    ----------
    table : RiskTable
    weight : ndarray, shape (rows,)
    any_event : bool
        Count competing events as events.

    Raises
    ------
    NoEventsError
        When an arm has no rows or no weight.
    """
    fits = {}
    for arm, code in ARMS:
        rows = np.flatnonzero((table.arm == code) & (weight > 0))
        if not rows.size:
            raise NoEventsError(f"the {arm} arm of {table.outcome} has no patients with a weight above zero")
        start = table.start[rows]
        event = table.event[rows] > 0 if any_event else table.event[rows] == 1
        sets = RiskSets.of(start if (start > 0).any() else None, table.stop[rows], event)
        fits[arm] = ArmCurve(
            arm, rows, KaplanMeier.fit(sets, weight[rows]), float(table.stop[rows].max()), table.stop[rows], start
        )
    return fits


def require_events(table: RiskTable, weight: Floats) -> None:
    """Raise NoEventsError unless both arms have an event of interest."""
    counts = {arm: int(((table.arm == code) & (table.event == 1) & (weight > 0)).sum()) for arm, code in ARMS}
    if not all(counts.values()):
        raise NoEventsError(
            f"{table.outcome}: both arms need events to be compared; found {counts[Arm.TREATED]} in the treated arm and "
            f"{counts[Arm.CONTROL]} in the control arm"
        )


def require_follow_up(fits: dict[Arm, ArmCurve], horizons: Iterable[float], outcome: str, unit: str) -> None:
    """Raise BeyondFollowUpError for horizons that an arm's follow-up does not reach.

    A curve that has dropped to zero is known at every later time.
    """
    reach = min(
        np.inf if curve.fit.survival.size and curve.fit.survival[-1] <= 0 else curve.last_time
        for curve in fits.values()
    )
    beyond = [h for h in horizons if h > reach * (1 + 1e-9)]
    if beyond:
        raise BeyondFollowUpError(
            f"{outcome}: horizon {', '.join(f'{h:g}' for h in beyond)} {unit} lies beyond the follow-up; the shorter arm was "
            f"followed to {reach:g} {unit}. Choose horizons up to there"
        )


def arm_functionals(fits: dict[Arm, ArmCurve], horizons: Sequence[float], size: int) -> list[Functional]:
    """Return survival and restricted mean survival time per arm, their differences and their ratios."""
    found: list[Functional] = []
    for horizon in horizons:
        survival = {
            arm: (curve.fit.survival_at(horizon), curve.spread(curve.fit.survival_gradient(horizon), size))
            for arm, curve in fits.items()
        }
        rmst = {
            arm: (curve.fit.rmst(horizon), curve.spread(curve.fit.rmst_gradient(horizon), size))
            for arm, curve in fits.items()
        }
        found += _family(
            survival, horizon, Measure.SURVIVAL, Measure.SURVIVAL_DIFFERENCE, Measure.SURVIVAL_RATIO, "cloglog"
        )
        found += _family(rmst, horizon, Measure.RMST, Measure.RMST_DIFFERENCE, Measure.RMST_RATIO, "plain")
    return found


def competing_functionals(table: RiskTable, weight: Floats, horizons: Sequence[float]) -> list[Functional]:
    """Return cumulative incidence per arm, its difference and its ratio (Aalen-Johansen)."""
    found: list[Functional] = []
    fits = {}
    for arm, code in ARMS:
        rows = np.flatnonzero((table.arm == code) & (weight > 0))
        start = table.start[rows]
        sets = RiskSets.of(start if (start > 0).any() else None, table.stop[rows], table.event[rows] > 0)
        fits[arm] = (rows, AalenJohansen.fit(sets, weight[rows], table.event[rows] == 1))
    for horizon in horizons:
        values = {}
        for arm, (rows, fit) in fits.items():
            gradient = np.zeros(len(table))
            gradient[rows] = fit.incidence_gradient(horizon)
            values[arm] = (fit.incidence_at(horizon), gradient)
        found += _family(
            values,
            horizon,
            Measure.CUMULATIVE_INCIDENCE,
            Measure.CUMULATIVE_INCIDENCE_DIFFERENCE,
            Measure.CUMULATIVE_INCIDENCE_RATIO,
            "cloglog",
        )
    return found


def _family(
    values: dict[Arm, tuple[float, Floats]],
    horizon: float,
    level: Measure,
    difference: Measure,
    ratio: Measure,
    scale: str,
) -> list[Functional]:
    (treated, d_treated), (control, d_control) = values[Arm.TREATED], values[Arm.CONTROL]
    family = [
        Functional(measure=level, arm=arm, horizon=horizon, theta=theta, gradient=gradient, scale=scale)
        for arm, (theta, gradient) in values.items()
    ]
    family.append(
        Functional(
            measure=difference, arm=None, horizon=horizon, theta=treated - control, gradient=d_treated - d_control
        )
    )
    if treated > 0 and control > 0:
        family.append(
            Functional(
                measure=ratio,
                arm=None,
                horizon=horizon,
                theta=float(np.log(treated / control)),
                gradient=d_treated / treated - d_control / control,
                scale="log",
            )
        )
    return family


def row_sets(table: RiskTable, weight: Floats) -> tuple[RiskSets, Ints]:
    """Sort the rows that carry weight, both arms together, for the event of interest."""
    rows = np.flatnonzero(weight > 0)
    start = table.start[rows]
    return RiskSets.of(start if (start > 0).any() else None, table.stop[rows], table.event[rows] == 1), rows


def hazard_ratio(table: RiskTable, weight: Floats, *, ties: str) -> Functional:
    """Return the log hazard ratio of the arms from a weighted Cox model of the arm alone.

    Marginal under the weights, and not the hazard ratio of a model with covariates; with
    non-proportional hazards it depends on the censoring.
    """
    sets, rows = row_sets(table, weight)
    fit = fit_cox(sets, table.arm[rows, None].astype(float), weight[rows], efron=ties == "efron")
    if not fit.converged:
        raise ConvergenceError(
            f"{table.outcome}: the hazard ratio did not settle; events may all fall in one arm while the other is at risk"
        )
    gradient = np.zeros(len(table))
    gradient[rows] = fit.gradient[:, 0]
    return Functional(
        measure=Measure.HAZARD_RATIO,
        arm=None,
        horizon=None,
        theta=float(fit.coefficient[0]),
        gradient=gradient,
        scale="log",
    )


def score_gradient(table: RiskTable, weight: Floats, *, ties: str) -> tuple[float, Floats]:
    """Return the score of no effect and its derivative in each row's weight: the score test's two parts."""
    sets, rows = row_sets(table, weight)
    fit: CoxFit = fit_cox(
        sets, table.arm[rows, None].astype(float), weight[rows], efron=ties == "efron", max_iterations=0
    )
    gradient = np.zeros(len(table))
    gradient[rows] = fit.score_gradient[:, 0]
    return float(weight @ gradient), gradient
