"""Every result type, each with ``to_frame()``; and the values that pass between rooms.

A result holds numbers and words, never a fitted model, a table of patients or a closure.
:class:`Weights` and :class:`EstimatingPart` do hold one value a patient: they are working values
that pass from the propensity room to the estimators and stay out of :class:`StudyResult`.
"""

from causal_s4.results.cohort import AdjustmentSet, AttritionStep, CohortSummary, Finding, IndependenceTest
from causal_s4.results.effects import (
    Benchmark,
    EffectEstimate,
    EffectTable,
    HazardsCheck,
    RegressionRow,
    RegressionTable,
    ScoreTest,
    SurvivalCurve,
)
from causal_s4.results.sensitivity import SensitivityResult
from causal_s4.results.study import Provenance, StudyResult
from causal_s4.results.time_zero import (
    Alignment,
    BalanceOverTime,
    BiasLadder,
    CloneFlow,
    CloneFlowRow,
    LadderRung,
    TimedBalanceRow,
)
from causal_s4.results.values import NOT_SHOWN, Floats, Ints, read_only
from causal_s4.results.weights import (
    BalanceRow,
    BalanceTable,
    EmptyCell,
    EstimatingPart,
    Histogram,
    Positivity,
    WeightingSpec,
    Weights,
    WeightSummary,
)

__all__ = [
    "AdjustmentSet",
    "Alignment",
    "AttritionStep",
    "BalanceOverTime",
    "BalanceRow",
    "BalanceTable",
    "Benchmark",
    "BiasLadder",
    "CloneFlow",
    "CloneFlowRow",
    "CohortSummary",
    "EffectEstimate",
    "EffectTable",
    "EmptyCell",
    "EstimatingPart",
    "Finding",
    "Floats",
    "HazardsCheck",
    "Histogram",
    "IndependenceTest",
    "Ints",
    "LadderRung",
    "NOT_SHOWN",
    "Positivity",
    "Provenance",
    "RegressionRow",
    "RegressionTable",
    "ScoreTest",
    "SensitivityResult",
    "StudyResult",
    "SurvivalCurve",
    "TimedBalanceRow",
    "WeightSummary",
    "WeightingSpec",
    "Weights",
    "read_only",
]
