"""THE DATA: a table becomes a validated :class:`Cohort`, and a cohort a :class:`RiskTable`."""

from causal_s4.cohort.eligibility import apply_eligibility
from causal_s4.cohort.reading import read_table, sha256_of
from causal_s4.cohort.selection import select
from causal_s4.cohort.validation import build_cohort
from causal_s4.cohort.values import Cohort, OutcomeData, RiskTable

__all__ = [
    "Cohort",
    "OutcomeData",
    "RiskTable",
    "apply_eligibility",
    "build_cohort",
    "read_table",
    "select",
    "sha256_of",
]
