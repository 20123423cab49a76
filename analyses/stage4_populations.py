"""The studies of stage4_surgery and stage4_radiotherapy through the Python API, for three populations, next to the truth.

Run it with ``python analyses/stage4_populations.py surgery`` (or ``radiotherapy``).
"""

import sys
from pathlib import Path

import pandas as pd

import causal_s4 as s4

HERE = Path(__file__).parent
GRAPHS = {"surgery": "stage4_surgery/stage4.dag", "radiotherapy": "stage4_radiotherapy/stage4_radiotherapy.dag"}
OUTCOMES = {"death": "os_months", "distant_progression": "dpfs_months"}
MONTHS = [12, 36, 60]
SHOWN = ["hazard ratio", "survival difference", "rmst difference"]


def main(treatment: str) -> None:
    """Print the naive, the weighted and the true effects."""
    frame = pd.read_csv(HERE / "../data/stage4.csv")
    adjustment = sorted(s4.Dag.read(HERE / GRAPHS[treatment]).adjustment_sets()[0])
    print("adjusted for", ", ".join(adjustment))
    for event, time in OUTCOMES.items():
        cohort = s4.Cohort.from_frame(
            frame,
            id="id",
            treatment=treatment,
            treated=1,
            control=0,
            time=time,
            event=event,
            event_value=1,
            time_unit="months",
            covariates=adjustment,
        )
        tables = [s4.estimate_effects(cohort, horizons=MONTHS).to_frame()]
        for population in ("ATO", "ATE", "ATT"):
            weights = s4.weigh(cohort, population=population)
            effects = s4.estimate_effects(cohort, weights, horizons=MONTHS)
            tables.append(effects.where(analysis="weighted").to_frame())
            truth = s4.true_effects("stage4", treatment=treatment, outcome=event, population=population).to_frame()
            tables.append(truth[truth["stabilised"].ne(True)].assign(analysis="truth"))
        table = pd.concat(tables)
        columns = ["analysis", "population", "measure", "horizon", "value", "lower", "upper"]
        print(f"\n{event}\n" + table.loc[table["measure"].isin(SHOWN), columns].to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:] or ["surgery"])
