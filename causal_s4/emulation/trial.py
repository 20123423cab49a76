"""From a protocol to the trial it emulates: who is compared, from when on, and in which rows."""

from __future__ import annotations

from dataclasses import dataclass

from causal_s4.cohort import Cohort, RiskTable
from causal_s4.emulation.alignment import alignment_findings, check_alignment
from causal_s4.emulation.clone_censor import clone_censor, clone_unweighted
from causal_s4.emulation.landmark import landmark_cohort
from causal_s4.emulation.time_dependent import time_dependent_findings, time_dependent_table
from causal_s4.errors import UsageError
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.vocabulary import Design, Duration
from causal_s4.results import Finding


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One outcome of an emulated trial.

    Parameters
    ----------
    cohort : Cohort
        Whom it is about: under a landmark, those at risk then, with arms as of then.
    table : RiskTable
        Rows of the outcome; of cloned strategies, with their weights.
    unweighted : RiskTable or None
        The same clones without weights.
    length : Duration or None
        The landmark or the grace period.
    findings : tuple of Finding
        What the design found, beyond those of the cohort.
    """

    cohort: Cohort
    table: RiskTable
    unweighted: RiskTable | None = None
    length: Duration | None = None
    findings: tuple[Finding, ...] = ()


def lengths(protocol: Protocol) -> tuple[Duration | None, ...]:
    """Return the landmarks or grace periods of a protocol, the primary one first; one None where there are none."""
    return protocol.time_zero.landmark or protocol.time_zero.grace_period or (None,)


def emulate(cohort: Cohort, protocol: Protocol, outcome: str, length: Duration | None = None) -> Trial:
    """Return the trial that a protocol emulates.

    Parameters
    ----------
    cohort : Cohort
        From time zero of the file.
    protocol : Protocol
    outcome : str
        Which of its outcomes.
    length : Duration, optional
        The landmark or grace period; the protocol's first by default.

    Raises
    ------
    InputError, QuestionError
        When the cohort does not allow the design.
    """
    time_zero = protocol.time_zero
    chosen = length if length is not None else lengths(protocol)[0]
    carry = None if time_zero.max_carry is None else time_zero.max_carry.to(cohort.time_unit)
    if time_zero.design is Design.BASELINE:
        findings = alignment_findings(check_alignment(cohort, outcome))
        return Trial(cohort=cohort, table=cohort.risk_table(outcome), findings=findings)
    if time_zero.design is Design.TIME_DEPENDENT:
        table = time_dependent_table(cohort, outcome)
        return Trial(cohort=cohort, table=table, findings=time_dependent_findings(table))
    if chosen is None:
        raise UsageError(f"the design {time_zero.design} needs its length of time")
    at = chosen.to(cohort.time_unit)
    if time_zero.design is Design.LANDMARK:
        later = landmark_cohort(cohort, at, time_varying=time_zero.time_varying, max_carry=carry, outcome=outcome)
        return Trial(cohort=later, table=later.risk_table(), length=chosen)
    return Trial(
        cohort=cohort,
        table=_clones(cohort, protocol, outcome, at, carry),
        unweighted=clone_unweighted(
            cohort, grace_period=at, never=bool(time_zero.never), unless=time_zero.unless, outcome=outcome
        ),
        length=chosen,
    )


def _clones(cohort: Cohort, protocol: Protocol, outcome: str, grace: float, carry: float | None) -> RiskTable:
    time_zero, model = protocol.time_zero, protocol.initiation
    assert model is not None
    until, interval = time_zero.natural_until, model.interval
    return clone_censor(
        cohort,
        grace_period=grace,
        timing=time_zero.timing or "density",
        natural_until=None if until is None else until.to(cohort.time_unit),
        time_varying=time_zero.time_varying,
        splines=model.splines,
        log1p=model.log1p,
        interactions=model.interactions,
        interval=None if interval is None else interval.to(cohort.time_unit),
        loss_weights=model.loss_weights,
        truncate=model.truncate,
        max_carry=carry,
        never=bool(time_zero.never),
        unless=time_zero.unless,
        outcome=outcome,
    )
