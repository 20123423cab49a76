"""The same estimates with statsmodels and lifelines, and with R where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.cohorts import HORIZON, Rows, Timed

R_SCRIPT = Path(__file__).with_name("peer.R")


def replicate(timed: Timed, drawn: np.ndarray) -> list[float]:
    """One bootstrap replicate: propensity score, stabilised weights, Cox, survival and restricted mean of both arms."""
    import statsmodels.api as sm
    from lifelines import CoxPHFitter, KaplanMeierFitter
    from lifelines.utils import restricted_mean_survival_time

    arm, time, event = timed.arm[drawn], timed.time[drawn], timed.event[drawn]
    design = np.column_stack([np.ones(len(drawn)), timed.terms[drawn]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = sm.GLM(arm, design, family=sm.families.Binomial()).fit().fittedvalues
        share = arm.mean()
        weight = np.where(arm == 1, share / score, (1 - share) / (1 - score))
        frame = pd.DataFrame({"time": time, "event": event, "arm": arm, "weight": weight})
        cox = CoxPHFitter().fit(frame, "time", "event", weights_col="weight", robust=True)
        found = [float(cox.params_["arm"])]
        for code in (1, 0):
            own = arm == code
            curve = KaplanMeierFitter().fit(time[own], event[own], weights=weight[own])
            found += [float(curve.predict(HORIZON)), float(restricted_mean_survival_time(curve, t=HORIZON))]
    return found


def cox(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Weighted Cox model with sandwich variance by lifelines: coefficients and standard errors."""
    from lifelines import CoxPHFitter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = CoxPHFitter().fit(rows.frame(), "time", "event", weights_col="weight", robust=True)
    return fit.params_.to_numpy(), fit.standard_errors_.to_numpy()


def r_version() -> str | None:
    """Version of R with its survival package, if there is one."""
    if shutil.which("Rscript") is None:
        return None
    code = 'cat(R.version.string, "survival", as.character(packageVersion("survival")))'
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def r_seconds(task: str, frame: pd.DataFrame, repeats: int) -> float:
    """Processor seconds a repeat of a task of ``peer.R``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        frame.to_csv(path, index=False)
        done = subprocess.run(
            ["Rscript", str(R_SCRIPT), task, str(path), str(repeats)], capture_output=True, text=True, check=True
        )
    return float(done.stdout)


def r_frame(timed: Timed) -> pd.DataFrame:
    """What R is given for a bootstrap."""
    names = [f"x{j}" for j in range(timed.terms.shape[1])]
    return pd.DataFrame(timed.terms, columns=names).assign(
        time=timed.time, event=timed.event.astype(int), arm=timed.arm, horizon=HORIZON
    )
