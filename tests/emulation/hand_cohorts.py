"""A few patients whose cloned strategies can be worked out by hand."""

from collections.abc import Iterable, Mapping

import pandas as pd

from causal_s4.cohort import Cohort

GRACE = 10.0
DENSITY = 1 / GRACE
"""Of the observed timing: with so few patients it is one level, uniform over the ten days."""


def cohort_of(
    patients: Mapping[str, tuple[float | None, float | None, float, int]],
    visits: Iterable[tuple[str, float, str]] = (),
) -> Cohort:
    """Return patients given as name: (treated on day, treated otherwise on day, followed until day, died)."""
    frame = pd.DataFrame(
        [
            (k, start is not None, start, other, end, died)
            for k, (start, other, end, died) in enumerate(patients.values())
        ],
        columns=["id", "treated", "start", "other", "time", "died"],
    ).astype({"start": float, "other": float})
    history = pd.DataFrame(
        [(list(patients).index(who), day, state) for who, day, state in visits], columns=["id", "time", "state"]
    )
    return Cohort.from_frame(
        frame,
        id="id",
        treatment="treated",
        treated=True,
        control=False,
        time="time",
        event="died",
        event_value=1,
        time_unit="days",
        treatment_start="start",
        non_protocol_start="other" if frame["other"].notna().any() else None,
        history=history if len(history) else None,
    )
