"""Who was studied and under which assumptions; what was noticed on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from causal_s4.results.values import frame_of, record_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that does not stop a study but that a reader has to know.

    Parameters
    ----------
    code : str
        Stable name in kebab case, such as ``"imbalance-after-weighting"``.
    severity : {"note", "caution", "serious"}
        How much it matters.
    step : str
        The step of the spine that found it.
    message : str
        One or two sentences, without anything row-level.
    numbers : mapping of str to number, str or list
        The figures behind the sentence.
    """

    code: str
    severity: str
    step: str
    message: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AttritionStep:
    """One line of the flow chart: ``n`` patients remain after ``excluded`` left at this step."""

    step: str
    n: int
    excluded: int


@dataclass(frozen=True, kw_only=True)
class CohortSummary:
    """Who was analysed.

    Parameters
    ----------
    n, treated, control : int
        Patients, and patients per arm.
    events : mapping of str to mapping
        Outcome name to ``{"treated": int, "control": int, "total": int}``.
    attrition : tuple of AttritionStep
        The flow from the file to the analysis, in order.
    time_unit : str
        Unit of every time.
    treatment_name, treated_label, control_label : str
        Labels for reports.
    follow_up : mapping of str to float
        Outcome name to median follow-up by the reverse Kaplan-Meier method, in ``time_unit``
        (None when not reached).
    missing : mapping of str to int
        Column to number of patients with no value, before any was dropped.
    """

    n: int
    treated: int
    control: int
    events: Mapping[str, Mapping[str, int]]
    attrition: tuple[AttritionStep, ...]
    time_unit: str
    treatment_name: str = "Treatment"
    treated_label: str = "Treated"
    control_label: str = "Control"
    follow_up: Mapping[str, float | None] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return the attrition as a table."""
        return frame_of([record_of(step) for step in self.attrition])


@dataclass(frozen=True, kw_only=True)
class IndependenceTest:
    """One implied conditional independence, held against the cohort.

    ``estimate`` is an effect size (partial correlation of the residuals, 0 when the independence
    holds), ``p_adjusted`` is Holm's over all tests of the graph. A large p-value says "not
    contradicted", never "valid".
    """

    x: str
    y: str
    given: tuple[str, ...]
    estimate: float
    lower: float
    upper: float
    p_value: float
    p_adjusted: float
    n: int


@dataclass(frozen=True, kw_only=True)
class AdjustmentSet:
    """What the assumptions say must be adjusted for.

    Parameters
    ----------
    nodes : tuple of str
        The chosen set, as nodes of the DAG, sorted.
    columns : tuple of str
        The columns that measure those nodes, in the order of ``nodes``.
    alternatives : tuple of tuple of str
        Other minimal sufficient sets.
    verdict : {"adjust", "none needed", "not identified"}
        The three verdicts, never confused.
    reasons : tuple of str
        Sentences that say why.
    untested_assumptions : tuple of str
        What the graph assumes and data cannot show.
    tests : tuple of IndependenceTest
        The implied independencies that could be tested.
    second_opinion : str
        What dowhy says of the set: ``"agrees"``, ``"disagrees: ..."`` or ``"not asked: ..."``.
    dagitty : str
        The graph as read, in dagitty syntax.
    drawing : str
        The graph as a self-contained SVG.
    labels : mapping of str to str
        Node to the label the graph gives it, where it gives one.
    """

    nodes: tuple[str, ...]
    columns: tuple[str, ...]
    alternatives: tuple[tuple[str, ...], ...] = ()
    verdict: str = "adjust"
    reasons: tuple[str, ...] = ()
    untested_assumptions: tuple[str, ...] = ()
    tests: tuple[IndependenceTest, ...] = ()
    second_opinion: str = "not asked"
    dagitty: str = ""
    drawing: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return the tested independencies as a table."""
        names = [each.name for each in fields(IndependenceTest)]
        return frame_of([record_of(test) for test in self.tests], names)
