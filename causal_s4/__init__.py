"""The adjusted answer next to the naive one: weighted survival analysis of observational cohorts.

A question (protocol and causal graph) and a cohort go in; the naive answer and the adjusted answers come
out side by side, each with its estimand, its interval, its assumptions and how much doubt it survives.

Names are loaded when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Cohort": "causal_s4.cohort.values",
    "Dag": "causal_s4.dag.graph",
    "Protocol": "causal_s4.protocol.protocol",
    "RiskTable": "causal_s4.cohort.values",
    "Study": "causal_s4.study",
    "Weights": "causal_s4.results",
    "CausalS4Error": "causal_s4.errors",
    "InputError": "causal_s4.errors",
    "QuestionError": "causal_s4.errors",
    "bias_ladder": "causal_s4.ladder",
    "check_alignment": "causal_s4.emulation.alignment",
    "check_balance": "causal_s4.propensity.balance",
    "check_positivity": "causal_s4.propensity.positivity",
    "clone_censor": "causal_s4.emulation.clone_censor",
    "estimate_effects": "causal_s4.estimation",
    "evalue": "causal_s4.sensitivity.e_value",
    "landmark_cohort": "causal_s4.emulation.landmark",
    "rosenbaum_bounds": "causal_s4.sensitivity.matched_pairs",
    "run_study": "causal_s4.study",
    "simulate": "causal_s4.simulate",
    "survival_curves": "causal_s4.estimation",
    "time_dependent_table": "causal_s4.emulation.time_dependent",
    "tipping_point": "causal_s4.sensitivity.tipping_point",
    "true_effects": "causal_s4.simulate.truth",
    "weigh": "causal_s4.propensity.weights",
}

__all__ = ["__version__", *sorted(_HOMES)]

if TYPE_CHECKING:
    from causal_s4.cohort.values import Cohort, RiskTable
    from causal_s4.dag.graph import Dag
    from causal_s4.emulation.alignment import check_alignment
    from causal_s4.emulation.clone_censor import clone_censor
    from causal_s4.emulation.landmark import landmark_cohort
    from causal_s4.emulation.time_dependent import time_dependent_table
    from causal_s4.errors import CausalS4Error, InputError, QuestionError
    from causal_s4.estimation import estimate_effects, survival_curves
    from causal_s4.ladder import bias_ladder
    from causal_s4.propensity.balance import check_balance
    from causal_s4.propensity.positivity import check_positivity
    from causal_s4.propensity.weights import weigh
    from causal_s4.protocol.protocol import Protocol
    from causal_s4.results import Weights
    from causal_s4.sensitivity.e_value import evalue
    from causal_s4.sensitivity.matched_pairs import rosenbaum_bounds
    from causal_s4.sensitivity.tipping_point import tipping_point
    from causal_s4.simulate import simulate
    from causal_s4.simulate.truth import true_effects
    from causal_s4.study import Study, run_study


def __getattr__(name: str) -> Any:
    """Load a public name from its room when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
