"""Whether treatment starts at time zero; what becomes of clones; the ladder of designs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from causal_s4.errors import UsageError
from causal_s4.results.effects import EffectTable
from causal_s4.results.values import frame_of, record_of

if TYPE_CHECKING:
    import pandas as pd

    from causal_s4.report.plots import Plot


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Whether treatment starts at time zero, and how much follow-up a fixed-arm design would misplace.

    Parameters
    ----------
    treated : int
        Patients treated during follow-up.
    later : int
        Of those, treated after time zero.
    misplaced : float
        Their person-time before treatment, which comparing ever with never treated credits to treatment
        although nobody could die in it and still be treated.
    treated_follow_up : float
        Person-time of all treated, from time zero.
    median_start : float or None
        Median time to treatment of the treated.
    unit : str
        Of every time.
    known : bool
        Whether the cohort says when treatment started; if not, nothing can be checked.
    """

    treated: int
    later: int
    misplaced: float
    treated_follow_up: float
    median_start: float | None
    unit: str
    known: bool

    @property
    def share(self) -> float:
        """Share of the treated patients' follow-up that precedes treatment."""
        return self.misplaced / self.treated_follow_up if self.treated_follow_up > 0 else 0.0

    @property
    def baseline_admissible(self) -> bool:
        """Whether arms may be taken as fixed at time zero, as far as the cohort says."""
        return self.later == 0

    def to_frame(self) -> pd.DataFrame:
        """Return one row."""
        return frame_of([{**record_of(self), "share": self.share, "baseline_admissible": self.baseline_admissible}])


@dataclass(frozen=True, kw_only=True)
class CloneFlowRow:
    """One arm of cloned strategies at one time.

    Parameters
    ----------
    time : float
    arm : str
    followed : int
        Clones still in the arm just after the time.
    adherent : int
        Of those, treated (in the treated arm) or beyond the grace period untreated (in the control arm):
        they can no longer depart from the strategy.
    deviated, events, lost : int
        Clones that have left by then: departed from the strategy and were taken out, had the event (or a
        competing one), were lost to follow-up.
    ess : float
        Effective sample size of those followed.
    mean_weight : float
        Sum of weights over all patients still under observation: about one within the grace period.
    largest_share : float
        Share of the arm's weight on one clone.
    quantiles : tuple of float
        Of the weights of those followed, at the shares that the flow names.
    """

    time: float
    arm: str
    followed: int
    adherent: int
    deviated: int
    events: int
    lost: int
    ess: float
    mean_weight: float
    largest_share: float
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CloneFlow:
    """Who is in which arm until when, why clones leave, and what those who stay count.

    Parameters
    ----------
    outcome : str
    grace_period : float
    unit : str
    n : int
        Patients, each with a clone in either arm.
    shares : tuple of float
        At which the weights' quantiles are given.
    rows : tuple of CloneFlowRow
        By time, the treated arm first.
    """

    outcome: str
    grace_period: float
    unit: str
    n: int
    shares: tuple[float, ...]
    rows: tuple[CloneFlowRow, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a time and arm, a column for each quantile of the weights."""
        records = []
        for row in self.rows:
            record = {key: value for key, value in record_of(row).items() if key != "quantiles"}
            named = {f"weight_{100 * q:g}": value for q, value in zip(self.shares, row.quantiles, strict=True)}
            records.append(record | named)
        return frame_of(records)


@dataclass(frozen=True, kw_only=True)
class TimedBalanceRow:
    """Balance of one term at one time: an arm's clones against everyone under observation then.

    Standardised mean differences are clones minus everyone, without and with the weights; in the
    comparison ``"treated against control"``, treated minus control.
    """

    time: float
    comparison: str
    term: str
    smd_before: float
    smd_after: float


@dataclass(frozen=True, kw_only=True)
class BalanceOverTime:
    """Whether the clones that stayed still look like everyone, at times within the grace period.

    ``denominator`` names the standard deviation that both SMD columns share.
    """

    unit: str
    denominator: str
    rows: tuple[TimedBalanceRow, ...]

    @property
    def worst(self) -> TimedBalanceRow | None:
        """The row with the largest absolute SMD under the weights."""
        return max(self.rows, key=lambda row: abs(row.smd_after), default=None)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a time, comparison and term."""
        names = [each.name for each in fields(TimedBalanceRow)]
        return frame_of([record_of(row) for row in self.rows], names)


@dataclass(frozen=True, kw_only=True)
class LadderRung:
    """One way to analyse the same cohort.

    Parameters
    ----------
    label : str
        In words.
    analysis : str
        Name of the contract.
    adjusts_for : str
        ``"nothing"``, ``"time zero"`` (covariates of time zero) or ``"time zero and changes"``.
    time : float or None
        The landmark or grace period.
    effects : EffectTable
        Of the outcome, on several scales.
    unadmitted : str
        Why the rung has no estimate, if it has none.
    """

    label: str
    analysis: str
    adjusts_for: str
    time: float | None
    effects: EffectTable
    unadmitted: str = ""


@dataclass(frozen=True, kw_only=True)
class BiasLadder:
    """The same cohort analysed from the most to the least biased way, and the truth where it is known."""

    outcome: str
    unit: str
    rungs: tuple[LadderRung, ...]

    def plot(self, measure: str = "hazard ratio", *, width: str | float = "double") -> Plot:
        """Return the rungs as a forest plot: ``ladder.plot().save("figure1.pdf")``.

        Parameters
        ----------
        measure : {"hazard ratio", "survival difference", "rmst difference"}
            What is drawn; differences are at the longest horizon.
        width : {"single", "middle", "double"} or float
            A journal's column, or inches.

        Raises
        ------
        UsageError
            When no rung has the measure.
        """
        from causal_s4.report.bias_ladder import bias_ladder_plot

        return bias_ladder_plot(self, measure, width)

    def rung(self, label: str) -> LadderRung:
        """Return a rung by its label.

        Raises
        ------
        UsageError
            When there is none.
        """
        for rung in self.rungs:
            if rung.label == label:
                return rung
        raise UsageError(f"no rung {label!r}; there are {', '.join(repr(rung.label) for rung in self.rungs)}")

    def to_frame(self) -> pd.DataFrame:
        """Return one row an estimate, with the rung's label and what it adjusts for; one row for a rung without any."""
        records: list[dict[str, Any]] = []
        for rung in self.rungs:
            about = {"rung": rung.label, "adjusts_for": rung.adjusts_for, "time": rung.time, "note": rung.unadmitted}
            found = [about | each.to_record() for each in rung.effects]
            records += found or [about | {"outcome": self.outcome, "analysis": rung.analysis}]
        return frame_of(records)
