"""The cohorts that everybody is timed on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import causal_s4 as s4

COVARIATES = ["age", "ecog", "sites", "visceral", "subtype", "response"]
HORIZON = 24.0


@dataclass(frozen=True)
class Timed:
    """A cohort as a table, and as the arrays that peers are given."""

    cohort: Any
    terms: np.ndarray
    arm: np.ndarray
    time: np.ndarray
    event: np.ndarray


def stage4(n: int, *, monthly: bool = False) -> Timed:
    """Simulated stage IV breast cancer: eight terms in the propensity model, follow-up in months."""
    frame = s4.simulate("stage4", n=n, seed=1)
    if monthly:
        frame["os_months"] = np.ceil(frame["os_months"])
    cohort = s4.Cohort.from_frame(
        frame,
        id="id",
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
        covariates=COVARIATES,
    )
    terms = s4.weigh(cohort, population="ATE", stabilise=True).spec.terms
    outcome = cohort.outcome()
    return Timed(cohort, terms, cohort.treatment, outcome.time, outcome.event == 1)


@dataclass(frozen=True)
class Rows:
    """Rows of a weighted Cox model."""

    covariates: np.ndarray
    time: np.ndarray
    event: np.ndarray
    weight: np.ndarray

    def frame(self) -> pd.DataFrame:
        names = [f"x{j}" for j in range(self.covariates.shape[1])]
        return pd.DataFrame(self.covariates, columns=names).assign(
            time=self.time, event=self.event.astype(int), weight=self.weight
        )


def cox_rows(n: int, p: int) -> Rows:
    """A binary treatment and p - 1 numbers; days, so that deaths are tied in large cohorts."""
    rng = np.random.default_rng(1)
    covariates = rng.normal(size=(n, p))
    covariates[:, 0] = covariates[:, 0] > 0.3
    event_time = rng.exponential(3650 / np.exp(covariates @ np.full(p, 0.15)))
    followed = rng.uniform(0, 5000, n)
    time = np.ceil(np.minimum(event_time, followed))
    return Rows(covariates, time, event_time <= followed, rng.uniform(0.5, 2.0, n))
