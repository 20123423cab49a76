"""Cohorts to resample, and what other software makes of a resample that is physically drawn."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from small_cohorts import small_cohort, small_frame

import causal_s4 as s4
from causal_s4.inference.resampling import Refit, Replicates, Resampling, replicate_weights, resample, tile_size
from causal_s4.kernels.sweeps import Sweep

ROTTERDAM = Path(__file__).parents[2] / "data" / "rotterdam.csv"


def rotterdam() -> Any:
    """Overall survival in the Rotterdam cohort, hormonal treatment, the covariates of R's formula F1."""
    frame = pd.read_csv(ROTTERDAM)
    return s4.Cohort.from_frame(
        frame,
        id="pid",
        treatment="hormon",
        treated=1,
        control=0,
        time="dtime",
        event="death",
        event_value=1,
        time_unit="days",
        covariates=["age", "meno", "size", "grade", "nodes", "pgr", "er"],
    )


def gbsg2() -> Any:
    """Recurrence in the German breast cancer study, hormonal therapy, as lifelines ships it."""
    from lifelines.datasets import load_gbsg2

    frame = load_gbsg2()
    frame = frame.assign(
        id=range(len(frame)),
        treated=(frame["horTh"] == "yes").astype(int),
        meno=(frame["menostat"] == "Post").astype(int),
        g2=(frame["tgrade"] == "II").astype(int),
        g3=(frame["tgrade"] == "III").astype(int),
    )
    return s4.Cohort.from_frame(
        frame,
        id="id",
        treatment="treated",
        treated=1,
        control=0,
        time="time",
        event="cens",
        event_value=1,
        time_unit="days",
        covariates=["age", "meno", "tsize", "g2", "g3", "pnodes", "progrec", "estrec"],
    )


def months(seed: int = 5, n: int = 157, *, competing: bool = False) -> Any:
    """A small cohort whose times are whole months, so that many deaths are tied."""
    return small_cohort(small_frame(seed, n, tied=True, competing=competing))


def refit_of(cohort: Any, weights: Any, horizons: list[float], *, ties: str = "efron", **plan: Any) -> Refit:
    """The task of one pipeline."""
    table = cohort.risk_table()
    from causal_s4.inference.resampling import Draws

    return Refit(
        draws=Draws.of(table, Resampling(**plan)),
        weights=replicate_weights(table, weights),
        sweep=Sweep.of(
            table.patient,
            table.arm,
            table.start,
            table.stop,
            table.event,
            np.array(horizons),
            efron=ties == "efron",
        ),
        tile=tile_size(table.n_patients, table.n_patients),
        start=0.0,
    )


def replicates_of(cohort: Any, weights: Any, horizons: list[float], *, ties: str = "efron", **plan: Any) -> Replicates:
    """All replicates of one pipeline."""
    return resample(cohort.risk_table(), weights, horizons=np.array(horizons), ties=ties, plan=Resampling(**plan))


def peer_propensity(terms: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    """Propensity scores by statsmodels."""
    import statsmodels.api as sm

    design = np.column_stack([np.ones(len(terms)), terms])
    fit = sm.GLM(treatment, design, family=sm.families.Binomial()).fit(tol=1e-14, tol_criterion="params")
    return np.asarray(fit.fittedvalues)


def peer_weights(e: np.ndarray, treatment: np.ndarray, population: str, *, stabilise: bool = False) -> np.ndarray:
    """Balancing weights from their definition: tilt over the probability of the own arm."""
    tilt = {"ATE": np.ones_like(e), "ATT": e, "ATC": 1 - e, "ATO": e * (1 - e), "ATM": np.minimum(e, 1 - e)}
    weight = tilt[population] / np.where(treatment == 1, e, 1 - e)
    share = treatment.mean()
    return weight * np.where(treatment == 1, share, 1 - share) if stabilise else weight


def peer_hazard_ratio(time: np.ndarray, event: np.ndarray, arm: np.ndarray, weight: np.ndarray, ties: str) -> float:
    """Weighted log hazard ratio: lifelines with Efron's ties, the definition with Breslow's, which it lacks."""
    if ties == "efron":
        from lifelines import CoxPHFitter

        frame = pd.DataFrame({"time": time, "event": event, "arm": arm, "weight": weight})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = CoxPHFitter().fit(
                frame,
                "time",
                "event",
                weights_col="weight",
                robust=True,
                fit_options={"step_size": 1.0, "precision": 1e-20, "r_precision": 1e-20},
            )
        return float(fit.params_["arm"])
    deaths = np.flatnonzero(event)
    at_risk = time[None, :] >= time[deaths, None]
    beta = 0.0
    for _ in range(50):
        risk = at_risk * (weight * np.exp(beta * arm))
        mean = risk @ arm / risk.sum(axis=1)
        step = weight[deaths] @ (arm[deaths] - mean) / (weight[deaths] @ (mean * (1 - mean)))
        beta += step
        if abs(step) < 1e-13:
            break
    return float(beta)


def peer_curve(time: np.ndarray, event: np.ndarray, weight: np.ndarray, horizon: float) -> tuple[float, float, float]:
    """Survival, restricted mean and median of one arm by lifelines; a flat half has its median in the middle, as in R."""
    from lifelines import KaplanMeierFitter
    from lifelines.utils import restricted_mean_survival_time

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = KaplanMeierFitter().fit(time, event, weights=weight)
    return (
        float(fit.predict(horizon)),
        float(restricted_mean_survival_time(fit, t=horizon)),
        _middle_of_a_flat_half(fit.survival_function_.iloc[:, 0]) or float(fit.median_survival_time_),
    )


def _middle_of_a_flat_half(curve: pd.Series) -> float | None:
    half, below = curve.index[np.abs(curve - 0.5) <= 1e-8], curve.index[curve < 0.5 - 1e-8]
    return float(half[0] + below[0]) / 2 if len(half) and len(below) else None
