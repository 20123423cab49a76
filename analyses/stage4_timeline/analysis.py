"""The bias ladder on a simulated registry of 5,000 women, and on 157: every way of analysing the same data.

Surgery does nothing in this world, so that each hazard ratio other than 1 is bias or chance. Run it with
``python analyses/stage4_timeline/analysis.py``, optionally with the name of another effect, such as ``protective``.
"""

import sys

import causal_s4 as s4
from causal_s4.simulate import simulate_history
from causal_s4.simulate.timeline import ROLES

WORLD = "stage4-timeline"
FIVE_YEARS = 60.0
SHOWN = ["rung", "adjusts_for", "value", "lower", "upper", "n", "ess"]


def registry(n: int, effect: str) -> s4.Cohort:
    """Return a registry with its history of visits."""
    return s4.Cohort.from_frame(
        s4.simulate(WORLD, n=n, seed=157, effect=effect),
        history=simulate_history(WORLD, n=n, seed=157, effect=effect),
        name="Overall survival",
        **ROLES,
    )


def main() -> None:
    """Print the hazard ratios and the five-year restricted mean differences of every rung."""
    effect = sys.argv[1] if len(sys.argv) > 1 else "null"
    truth = s4.true_effects(WORLD, effect=effect, horizons=[FIVE_YEARS])
    for n in (5_000, 157):
        ladder = s4.bias_ladder(
            registry(n, effect), horizons=[FIVE_YEARS], time_varying=["response"], truth=truth
        ).to_frame()
        for measure in ("hazard ratio", "rmst difference"):
            kept = ladder["measure"].eq(measure) | ladder["measure"].isna()
            table = ladder.loc[kept, SHOWN].round({"value": 2, "lower": 2, "upper": 2, "ess": 0})
            print(f"\n{n:,} women, {measure}\n" + table.to_string(index=False))


if __name__ == "__main__":
    main()
