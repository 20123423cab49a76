"""The study of study.toml through the Python API, next to the randomised comparison of GBSG-2.

Run it with ``python analyses/rotterdam_hormone/analysis.py``.
"""

from pathlib import Path

import pandas as pd

import causal_s4 as s4

HERE = Path(__file__).parent
YEARS = [365.25, 3 * 365.25, 5 * 365.25]
MODEL = {"splines": {"age": 4, "year": 4, "nodes": 3}, "log1p": ["nodes", "pgr", "er"]}
SHOWN = ["hazard ratio", "survival difference", "rmst difference"]


def main() -> None:
    """Print the naive and the weighted effects for each population, and how well the arms balance."""
    frame = pd.read_csv(HERE / "../../data/rotterdam.csv")
    dag = s4.Dag.read(HERE / "rotterdam.dag")
    adjustment = ["age", "chemo", "er", "grade", "meno", "nodes", "pgr", "size", "year"]
    print("sufficient:", bool(dag.verdict(adjustment)))
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
        covariates=adjustment,
        name="Recurrence-free survival",
    )
    tables = [s4.estimate_effects(cohort, horizons=YEARS).to_frame()]
    for population in ("ATO", "ATT", "ATM", "ATE"):
        weights = s4.weigh(cohort, population=population, stabilise=population == "ATE", **MODEL)
        worst = s4.check_balance(cohort, weights).worst
        print(f"{population}: largest standardised mean difference {worst.smd_after:+.2f} ({worst.term})")
        effects = s4.estimate_effects(cohort, weights, horizons=YEARS)
        tables.append(effects.where(analysis="weighted").to_frame())
    table = pd.concat(tables)
    columns = ["analysis", "population", "measure", "horizon", "unit", "value", "lower", "upper"]
    print(table.loc[table["measure"].isin(SHOWN), columns].to_string(index=False))
    print("randomised (GBSG-2, J Clin Oncol 1994;12:2086): hazard ratio 0.75 (95% CI 0.54 to 1.04)")


if __name__ == "__main__":
    main()
