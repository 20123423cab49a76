"""The Rotterdam cohort as R saw it, and R's numbers; provenance in tests/reference/README.md."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lifelines.datasets import load_stanford_heart_transplants

from causal_s4.cohort import Cohort, build_cohort
from causal_s4.comparison import Comparison, effects_of
from causal_s4.propensity.weights import weigh
from causal_s4.results import EffectTable, Weights

TESTS = Path(__file__).parents[1]
FORMULAS = ("F1", "F2")
OUTCOMES = ("OS", "RFS")
HORIZONS = (365.25, 1095.75, 1826.25, 3652.5)
COVARIATES = ("age", "meno", "size", "grade", "nodes", "pgr", "er")
SKEWED = ("nodes", "pgr", "er")
ARMS = ((0, "control"), (1, "treated"))

_NEAREST = {"truncate": (0.01, 0.99), "quantile_method": "nearest"}
WEIGHTINGS: dict[str, dict[str, Any]] = {
    "ate": {"population": "ATE"},
    "ate_stab": {"population": "ATE", "stabilise": True},
    "att": {"population": "ATT"},
    "atc": {"population": "ATC"},
    "ato": {"population": "ATO"},
    "atm": {"population": "ATM"},
    "ate_trunc99": {"population": "ATE", **_NEAREST},
    "ate_stab_trunc99": {"population": "ATE", "stabilise": True, **_NEAREST},
    "ebal_ate": {"population": "ATE", "method": "entropy-balancing"},
    "ebal_att": {"population": "ATT", "method": "entropy-balancing"},
}


@cache
def reference(name: str) -> dict[str, Any]:
    """Read one of R's JSON files."""
    path = TESTS / "reference" / name
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    numbers: dict[str, Any] = json.loads(text)
    return numbers


def rotterdam_numbers() -> dict[str, Any]:
    return reference("rotterdam.json.gz")


@cache
def weights_by_patient(formula: str) -> pd.DataFrame:
    """R's propensity scores and weights, ten significant digits."""
    return pd.read_csv(TESTS / "reference" / f"rotterdam_weights_{formula}.csv.gz")


@cache
def rotterdam_frame() -> pd.DataFrame:
    frame = pd.read_csv(TESTS.parent / "data" / "rotterdam.csv")
    levels = pd.Categorical(frame["size"], categories=["<=20", "20-50", ">50"], ordered=True)
    return frame.assign(size=levels)


@cache
def rotterdam() -> Cohort:
    """2,982 patients; tumour size with R's order of levels, so that its coefficients have R's reference level."""
    return _cohort(rotterdam_frame(), COVARIATES)


@cache
def rotterdam_logged() -> Cohort:
    """The same patients with log1p of nodes and receptors as the covariates themselves, as cobalt reads formula F2."""
    frame = rotterdam_frame()
    logged = frame.assign(**{f"log1p({name})": np.log1p(frame[name]) for name in SKEWED})
    return _cohort(logged, [f"log1p({name})" if name in SKEWED else name for name in COVARIATES])


def _cohort(frame: pd.DataFrame, covariates: Any) -> Cohort:
    return build_cohort(
        frame,
        id="pid",
        treatment="hormon",
        treated=1,
        control=0,
        outcomes=[
            {"name": "OS", "time": "dtime", "event": "death", "event_value": 1},
            {"name": "RFS", "time": "rfs_days", "event": "rfs_event", "event_value": 1},
        ],
        time_unit="days",
        covariates=covariates,
    )


@cache
def weights(formula: str, name: str) -> Weights:
    """Our weights; those of entropy balancing on R's scale.

    WeightIt 1.5.1 gives each entropy-balanced arm a sum of its own size, ours a sum of the size of the
    target population. A hazard ratio depends on that, nothing else does.
    """
    ours = weigh(rotterdam(), log1p=SKEWED if formula == "F2" else (), **WEIGHTINGS[name])
    if not name.startswith("ebal"):
        return ours
    values, arm = ours.values.copy(), rotterdam().treatment
    for code in (0, 1):
        values[arm == code] *= (arm == code).sum() / values[arm == code].sum()
    return replace(ours, values=values)


def comparison(formula: str, name: str, outcome: str, *, account: bool, ties: str = "efron") -> Comparison:
    return Comparison(
        table=rotterdam().risk_table(outcome),
        weights=weights(formula, name),
        analysis="weighted",
        population=name,
        account=account,
        ties=ties,
    )


@cache
def effects(formula: str, name: str, outcome: str, account: bool, ties: str = "efron") -> EffectTable:
    """Weighted effects; ``account=False`` takes the weights as known, which is R's robust variance."""
    return EffectTable(
        estimates=tuple(effects_of(comparison(formula, name, outcome, account=account, ties=ties), HORIZONS))
    )


@cache
def naive_effects(outcome: str, ties: str = "efron") -> EffectTable:
    naive = Comparison(
        table=rotterdam().risk_table(outcome), weights=None, analysis="naive", population="unadjusted", ties=ties
    )
    return EffectTable(estimates=tuple(effects_of(naive, HORIZONS)))


@cache
def transplants(source: str) -> Cohort:
    """The Stanford heart transplant programme, one row a patient.

    ``"heart"`` puts the rows of that data frame together, as lifelines ships them; ``"jasa"`` are the patients that R's
    scripts for landmarks and clones had.
    """
    covariates = ["age", "surgery", "year"]
    if source == "heart":
        rows = load_stanford_heart_transplants()
        first = {name: (name, "first") for name in covariates}
        frame = rows.groupby("id").agg(day=("stop", "max"), death=("event", "max"), **first)
        frame["start"] = rows[rows["transplant"] == 1].set_index("id")["start"]
        frame = frame.reset_index()
    else:
        names = {"sid": "id", "ft": "day", "fustat": "death", "wt": "start"}
        frame = pd.read_csv(TESTS / "reference" / "heart_patients.csv").rename(columns=names)
    return Cohort.from_frame(
        frame.assign(transplant=frame["start"].notna().astype(int)),
        id="id",
        treatment="transplant",
        treated=1,
        control=0,
        time="day",
        event="death",
        event_value=1,
        time_unit="days",
        covariates=covariates,
        treatment_start="start",
    )
