"""The Rotterdam question from Python: weights, balance, effects."""

import pandas as pd

import causal_s4 as s4

frame = pd.read_csv("data/rotterdam.csv")
cohort = s4.Cohort.from_frame(
    frame,
    id="pid",
    treatment="hormon",
    treated=1,
    control=0,
    time="rfs_days",
    event="rfs_event",
    event_value=1,
    time_unit="days",
    covariates=["age", "chemo", "er", "grade", "meno", "nodes", "pgr", "size", "year"],
)
weights = s4.weigh(cohort, population="ATO", splines={"age": 4, "year": 4, "nodes": 3}, log1p=["nodes", "pgr", "er"])

balance = s4.check_balance(cohort, weights).to_frame()
print(balance[["term", "smd_before", "smd_after"]].round(3).to_string(index=False))

effects = s4.estimate_effects(cohort, weights, horizons=[5 * 365.25]).to_frame()
shown = effects[effects["measure"].isin(["hazard ratio", "survival difference", "rmst difference"])]
print(shown[["analysis", "measure", "unit", "value", "lower", "upper"]].round(3).to_string(index=False))
