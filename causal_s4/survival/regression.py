"""The conditional Cox model that papers report, and whether hazards are proportional."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causal_s4.cohort import RiskTable
from causal_s4.errors import ConvergenceError
from causal_s4.kernels.cox import fit_cox
from causal_s4.kernels.normal import critical_value, two_sided
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.results import Floats, RegressionRow, RegressionTable
from causal_s4.survival.functionals import row_sets

_FURTHEST = 10.0
"""A log hazard ratio beyond this for one standard deviation is a likelihood without a maximum."""


def multivariable_cox(
    table: RiskTable,
    terms: Floats,
    names: Sequence[str],
    *,
    ties: str,
    level: float,
    treatment: str,
    clustered: bool = False,
) -> RegressionTable:
    """Fit the unweighted Cox model of treatment and covariates.

    Parameters
    ----------
    table : RiskTable
    terms : ndarray, shape (patients, q)
        Covariate columns without intercept.
    names : sequence of str
        One a column.
    ties : {"efron", "breslow"}
    level : float
        Of the intervals.
    treatment : str
        Name of the first row.
    clustered : bool
        Whether standard errors are those of the influence function, summed over the rows of a patient (Lin &
        Wei 1989, 10.1080/01621459.1989.10478874), instead of model-based.

    Returns
    -------
    RegressionTable
        Treatment first. Its hazard ratio is conditional on the covariates: with effects on survival it
        differs from a marginal one even without confounding (10.1002/bimj.201900297). Standard errors
        are model-based unless asked otherwise, as such papers report them.

    Raises
    ------
    ConvergenceError
        When the partial likelihood has no maximum.
    """
    sets, rows = row_sets(table, np.ones(len(table)))
    covariates = np.column_stack([table.arm[rows].astype(float), terms[table.patient[rows]]])
    scale = covariates.std(axis=0)
    scale[scale == 0] = 1.0
    fit = fit_cox(sets, covariates / scale, np.ones(rows.size), efron=ties == "efron")
    if not fit.converged or np.max(np.abs(fit.coefficient)) > _FURTHEST:
        raise ConvergenceError(
            f"{table.outcome}: the multivariable Cox model did not settle; a covariate level may have no events"
        )
    coefficient = fit.coefficient / scale
    if clustered:
        by_patient = np.column_stack(
            [np.bincount(table.patient[rows], weights=column, minlength=table.n_patients) for column in fit.gradient.T]
        )
        std_error = np.sqrt((by_patient**2).sum(axis=0)) / scale
    else:
        std_error = np.sqrt(np.diag(np.linalg.inv(fit.information))) / scale
    spread = critical_value(level) * std_error
    with np.errstate(over="ignore"):  # a hazard ratio for one unit of a column in tiny units
        ratio, lower, upper = np.exp([coefficient, coefficient - spread, coefficient + spread]).tolist()
    return RegressionTable(
        outcome=table.outcome,
        rows=tuple(
            RegressionRow(
                term=name,
                hazard_ratio=ratio[j],
                std_error=float(std_error[j]),
                lower=lower[j],
                upper=upper[j],
                p_value=two_sided(coefficient[j] / std_error[j]),
            )
            for j, name in enumerate((treatment, *names))
        ),
        ties=ties,
        n=table.n_patients,
        events=int((table.event == 1).sum()),
    )


def hazard_ratio_trend(table: RiskTable, weight: Floats) -> tuple[float, Floats]:
    """Return the slope of the log hazard ratio in log time, and its derivative in each row's weight.

    The Cox model of the arm and of arm x log(t), Breslow ties; a slope of zero is proportional hazards.
    """
    sets, rows = row_sets(table, weight)
    w, z = weight[rows], table.arm[rows].astype(float)
    log_time = np.log(sets.times)
    centre = float(np.average(log_time, weights=np.maximum(sets.events(w), 1e-300)))
    basis = np.column_stack([np.ones(len(log_time)), log_time - centre])
    treated, everyone = sets.at_risk(w * z), sets.at_risk(w)
    deaths, deaths_treated = sets.events(w), sets.events(w * z)
    used = deaths > 0
    beta = np.zeros(2)
    with np.errstate(over="ignore", invalid="ignore"):  # of steps that run away
        for _ in range(50):
            relative = np.exp(basis @ beta)
            share = np.where(
                used, relative * treated / np.maximum(everyone - treated + relative * treated, 1e-300), 0.0
            )
            score = basis.T @ (deaths_treated - deaths * share)
            information = basis.T @ ((deaths * share * (1 - share))[:, None] * basis)
            try:
                step = np.linalg.solve(information, score)
            except np.linalg.LinAlgError:
                return float("nan"), np.zeros(len(table))
            beta = beta + step
            if np.max(np.abs(step)) < 1e-10:
                break
    # a likelihood that rises for ever looks settled once its slope drowns in rounding
    if not np.max(np.abs(step)) < 1e-10 or not np.linalg.eigvalsh(information)[0] > 1e-10 * deaths.sum():
        return float("nan"), np.zeros(len(table))
    relative = np.exp(basis @ beta)
    total = np.maximum(everyone - treated + relative * treated, 1e-300)
    hazard = np.where(used, deaths / total, 0.0)
    gradient = np.empty((rows.size, 2))
    for j in range(2):
        # a row at risk pulls by (z - share) times its relative hazard
        for_treated = sets.between(basis[:, j] * relative * (1 - share) * hazard)
        for_control = sets.between(basis[:, j] * share * hazard)
        gradient[:, j] = np.where(z == 1, -for_treated, for_control)
        gradient[sets.dead, j] += basis[sets.when, j] * (z[sets.dead] - share[sets.when])
    full = np.zeros(len(table))
    full[rows] = np.linalg.solve(information, gradient.T)[1]
    return float(beta[1]), full


def period_hazard_ratio(
    table: RiskTable, weight: Floats, begin: float, end: float, *, ties: str
) -> tuple[float, Floats] | None:
    """Return the log hazard ratio within (begin, end], and its derivative; None without events in both arms."""
    rows = np.flatnonzero((weight > 0) & (table.stop > begin) & (table.start < end))
    event = (table.event[rows] == 1) & (table.stop[rows] <= end)
    if any(not event[table.arm[rows] == arm].any() for arm in (0, 1)):
        return None
    start, stop = np.maximum(table.start[rows], begin), np.minimum(table.stop[rows], end)
    sets = RiskSets.of(start if (table.start[rows] > begin).any() else None, stop, event)
    fit = fit_cox(sets, table.arm[rows, None].astype(float), weight[rows], efron=ties == "efron")
    if not fit.converged:
        return None
    gradient = np.zeros(len(table))
    gradient[rows] = fit.gradient[:, 0]
    return float(fit.coefficient[0]), gradient
