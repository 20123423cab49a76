"""The Rotterdam cohort as the tutorial's study has it."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd

from causal_s4 import Cohort, Dag, Protocol
from docs.make.markdown import ROOT

STUDY = ROOT / "analyses" / "rotterdam_hormone" / "study.toml"


@cache
def protocol() -> Protocol:
    """Return the study's protocol."""
    return Protocol.read(STUDY)


@cache
def cohort() -> Cohort:
    """Return its patients with the covariates that its graph asks for, and its primary outcome."""
    question = protocol()
    outcome = question.outcomes[0]
    return Cohort.from_frame(
        pd.read_csv(question.resolve(question.data.file)),
        id=question.data.id,
        treatment=question.treatment.column,
        treated=question.treatment.treated,
        control=question.treatment.control,
        time=outcome.time,
        event=outcome.event,
        event_value=outcome.event_value,
        time_unit=question.data.time_unit,
        covariates=sorted(Dag.read(question.resolve(question.dag.file)).adjustment_sets()[0]),
        name=outcome.name,
    )


def model() -> dict[str, Any]:
    """Return how covariates enter its propensity score."""
    terms = protocol().propensity
    assert terms is not None
    return {"splines": dict(terms.splines), "log1p": terms.log1p}
