"""From a protocol to its cohort: read the files, apply the eligibility, validate what is left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from causal_s4.cohort.columns import absent_columns
from causal_s4.cohort.eligibility import apply_eligibility
from causal_s4.cohort.history import TIME
from causal_s4.cohort.reading import column_names, read_table
from causal_s4.cohort.validation import build_cohort
from causal_s4.cohort.values import Cohort
from causal_s4.errors import DataError

if TYPE_CHECKING:
    from causal_s4.protocol.protocol import Protocol


def select(protocol: Protocol, covariates: Sequence[str]) -> Cohort:
    """Return the eligible patients of a study.

    Parameters
    ----------
    protocol : Protocol
        The question; its files are found relative to its folder.
    covariates : sequence of str
        Columns of the baseline covariates.

    Returns
    -------
    Cohort

    Raises
    ------
    DataError
        When a file cannot be read or is not as declared: all problems of the eligible patients at
        once, or of the eligibility, which comes first.
    NoEventsError
        When nobody is eligible, an arm is empty, or nobody had an event.
    """
    data, treatment = protocol.data, protocol.treatment
    needed = [
        *protocol.eligibility,
        *([data.id] if data.id else []),
        treatment.column,
        *([treatment.start] if treatment.start else []),
        *([treatment.non_protocol_start] if treatment.non_protocol_start else []),
        *(column for outcome in protocol.outcomes for column in (outcome.time, outcome.event)),
        *covariates,
    ]
    frame = _read(protocol.resolve(data.file), needed)
    history = None
    if data.history is not None:
        visit = [*([data.id] if data.id else []), TIME, *protocol.time_zero.time_varying]
        history = _read(protocol.resolve(data.history), visit)
    try:
        eligible, attrition = apply_eligibility(frame, protocol.eligibility)
    except DataError as refused:
        missing = absent_columns(frame, needed)
        raise DataError(refused.message, dict.fromkeys([*refused.problems, *missing])) from refused
    excluded = frame.loc[~frame.index.isin(eligible.index), data.id] if data.id in frame.columns else ()
    return build_cohort(
        eligible,
        id=data.id,
        treatment=treatment.column,
        treated=treatment.treated,
        control=treatment.control,
        outcomes=[
            {
                "name": outcome.name,
                "time": outcome.time,
                "event": outcome.event,
                "event_value": outcome.event_value,
                "competing_value": outcome.competing_value,
            }
            for outcome in protocol.outcomes
        ],
        time_unit=data.time_unit,
        covariates=covariates,
        treatment_start=treatment.start,
        non_protocol_start=treatment.non_protocol_start,
        history=history,
        history_columns=protocol.time_zero.time_varying if history is not None else None,
        missing=data.missing,
        zero_time=data.zero_time,
        treatment_name=treatment.name,
        treated_label=treatment.name,
        control_label=treatment.control_name,
        attrition=attrition,
        rows=eligible.index.to_numpy() + 1,
        excluded_ids=excluded,
    )


def _read(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """Read the needed columns; all of them when one is absent, so that the nearest can be named."""
    wanted = list(dict.fromkeys(needed))
    return read_table(path, wanted if set(wanted) <= set(column_names(path)) else None)
