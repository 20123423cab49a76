"""The German Breast Cancer Study Group 2 cohort of 686 women, as lifelines ships it."""

from functools import cache

import pandas as pd
from lifelines.datasets import load_gbsg2

from causal_s4.cohort import Cohort, build_cohort

COVARIATES = ("age", "meno", "tsize", "g2", "g3", "pnodes", "progrec", "estrec")


@cache
def gbsg2() -> Cohort:
    """Hormonal treatment against none, event-free days; grade as two indicators, numbers untransformed."""
    raw = load_gbsg2()
    frame = pd.DataFrame(
        {
            "treated": raw["horTh"],
            "days": raw["time"],
            "event": raw["cens"],
            "age": raw["age"],
            "meno": (raw["menostat"] == "Post").astype(int),
            "tsize": raw["tsize"],
            "g2": (raw["tgrade"] == "II").astype(int),
            "g3": (raw["tgrade"] == "III").astype(int),
            "pnodes": raw["pnodes"],
            "progrec": raw["progrec"],
            "estrec": raw["estrec"],
        }
    )
    return build_cohort(
        frame,
        id=None,
        treatment="treated",
        treated="yes",
        control="no",
        outcomes=[{"name": "event-free survival", "time": "days", "event": "event", "event_value": 1}],
        time_unit="days",
        covariates=COVARIATES,
    )
