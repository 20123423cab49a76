"""The whole answer of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from causal_s4.results.cohort import AdjustmentSet, CohortSummary, Finding
from causal_s4.results.effects import Benchmark, EffectTable, HazardsCheck, RegressionTable, ScoreTest, SurvivalCurve
from causal_s4.results.sensitivity import SensitivityResult
from causal_s4.results.time_zero import Alignment, BalanceOverTime, CloneFlow
from causal_s4.results.weights import BalanceTable, Positivity, WeightSummary

if TYPE_CHECKING:
    from causal_s4.protocol.protocol import Protocol
    from causal_s4.report.plots import Plots


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made the result, so that it can be made again. No time, host or path."""

    causal_s4: str
    python: str
    packages: Mapping[str, str]
    data_sha256: str
    protocol_sha256: str


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """The naive answer and the adjusted answers of one study, with all they rest on.

    ``weights``, ``balance`` and ``positivity`` belong to the primary population;
    ``other_weights`` and ``other_balance`` to the further populations the protocol asks for.
    ``clone_flow`` and ``balance_over_time`` are of cloned strategies.
    """

    protocol: Protocol
    cohort: CohortSummary
    adjustment: AdjustmentSet
    weights: WeightSummary | None
    balance: BalanceTable | None
    positivity: Positivity | None
    curves: tuple[SurvivalCurve, ...]
    effects: EffectTable
    tests: tuple[ScoreTest, ...] = ()
    hazards: tuple[HazardsCheck, ...] = ()
    regressions: tuple[RegressionTable, ...] = ()
    benchmarks: tuple[Benchmark, ...] = ()
    other_weights: tuple[WeightSummary, ...] = ()
    other_balance: tuple[BalanceTable, ...] = ()
    sensitivity: tuple[SensitivityResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    provenance: Provenance | None = None
    alignment: Alignment | None = None
    clone_flow: CloneFlow | None = None
    balance_over_time: BalanceOverTime | None = None

    def _repr_html_(self) -> str:
        from causal_s4.report.notebook import study_html

        return study_html(self)

    @property
    def plot(self) -> Plots:
        """The figures of the study for a paper: ``result.plot.ladder(width="single").save("figure1.pdf")``."""
        from causal_s4.report.plots import Plots

        return Plots(self)

    @classmethod
    def read(cls, folder: Any) -> StudyResult:
        """Read a result back from the folder that :meth:`write` or ``causal-s4 run`` left it in.

        Parameters
        ----------
        folder : path-like
            Its files have to be what ``SHA256SUMS`` says.

        Returns
        -------
        StudyResult
            Nothing is estimated; its report has the same bytes. Numbers of patients that were too small to show
            are not in the folder and stay hidden.

        Raises
        ------
        InputError
            When the folder holds no result, or not what was written.
        """
        from causal_s4.report.read_back import read_result

        return read_result(folder)

    def to_json(self) -> str:
        """Return the text of ``results.json``."""
        from causal_s4.report.results_json import results_json

        return results_json(self)

    def write(self, folder: Any) -> None:
        """Write report, tables, figures and ``results.json`` to a folder, whole or not at all.

        Parameters
        ----------
        folder : path-like
            Made if missing; an earlier result in it is replaced.
        """
        from causal_s4.report.write import write_result

        write_result(self, folder)
