"""The Rotterdam cohort as the tutorial's study has it."""

from __future__ import annotations

from functools import cache
from typing import Any

from causal_s4 import Cohort, Study
from causal_s4.cohort import select
from causal_s4.protocol.protocol import Protocol
from causal_s4.study import at_time_zero, identify_study
from docs.make.markdown import ROOT

STUDY = ROOT / "analyses" / "rotterdam_hormone" / "study.toml"


@cache
def protocol() -> Protocol:
    """Return the study's protocol."""
    return Study.read(STUDY).protocol


@cache
def cohort() -> Cohort:
    """Return its patients with the covariates that its graph asks for."""
    adjustment, _ = identify_study(protocol(), ask_dowhy=False)
    return select(protocol(), at_time_zero(adjustment, protocol()))


def model() -> dict[str, Any]:
    """Return how covariates enter its propensity score."""
    terms = protocol().propensity
    assert terms is not None
    return {"splines": dict(terms.splines), "log1p": terms.log1p}
