"""Small confounded cohorts for properties that hold for any cohort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from causal_s4.cohort import Cohort, build_cohort

COVARIATES = ("x", "b", "g")


def small_frame(seed: int, n: int = 80, *, tied: bool = False, competing: bool = False) -> pd.DataFrame:
    """A number, a flag and three levels that drive both treatment and months to the event."""
    rng = np.random.default_rng(seed)
    x, b, g = rng.normal(size=n), rng.integers(0, 2, n), rng.integers(0, 3, n)
    logit = 0.6 * x - 0.5 * b + 0.3 * (g == 2)
    treated = rng.random(n) < 1 / (1 + np.exp(-logit))
    treated[:2] = True, False
    event_time = rng.exponential(20 * np.exp(-0.4 * x + 0.3 * b - 0.2 * treated))
    followed = rng.uniform(10, 60, n)
    months = np.minimum(event_time, followed)
    event = (event_time <= followed).astype(int)
    if competing:
        event = np.where((event == 1) & (rng.random(n) < 0.35), 2, event)
    if tied:
        months = np.ceil(months)
    # both arms hold an event of each kind, and are followed to 60 months
    months[:6] = 3, 4, 5, 6, 60, 60
    event[:6] = 1, 1, 2 if competing else 1, 2 if competing else 1, 0, 0
    treated[:6] = True, False, True, False, True, False
    return pd.DataFrame(
        {
            "id": [f"patient {i}" for i in range(n)],
            "arm": np.where(treated, "yes", "no"),
            "x": x,
            "b": b,
            "g": np.array(["low", "middle", "high"])[g],
            "months": months,
            "event": event,
        }
    )


def small_cohort(frame: pd.DataFrame, **changes: Any) -> Cohort:
    """Build the cohort of such a table; competing events are those with code 2."""
    options: dict[str, Any] = {
        "id": "id",
        "treatment": "arm",
        "treated": "yes",
        "control": "no",
        "outcomes": [
            {
                "name": "event",
                "time": "months",
                "event": "event",
                "event_value": 1,
                "competing_value": 2 if (frame["event"] == 2).any() else None,
            }
        ],
        "time_unit": "months",
        "covariates": COVARIATES,
    }
    return build_cohort(frame, **(options | changes))
