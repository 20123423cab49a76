"""Does treatment start at time zero? If not, ever against never treated is no comparison.

A patient has to survive until treatment to count as treated; the time before it is immortal. Suissa 2008,
10.1093/aje/kwm324; Hernán et al. 2016, 10.1016/j.jclinepi.2016.04.014.
"""

from __future__ import annotations

import numpy as np

from causal_s4.arguments import checked_arguments
from causal_s4.cohort import Cohort
from causal_s4.errors import ImmortalTimeError, Problem
from causal_s4.protocol.vocabulary import Duration, TimeUnit
from causal_s4.results import Alignment, Finding


@checked_arguments
def check_alignment(cohort: Cohort, outcome: str | None = None) -> Alignment:
    """Find treatment that starts after time zero, and count the follow-up before it.

    Parameters
    ----------
    cohort : Cohort
    outcome : str, optional
        Whose follow-up is counted; the primary one by default.

    Returns
    -------
    Alignment
    """
    end, treated = cohort.outcome(outcome).time, cohort.treatment == 1
    if cohort.treatment_start is None:
        start = np.zeros(len(cohort))
    else:
        start = np.where(treated, cohort.treatment_start, np.inf)
    own = start[treated]
    return Alignment(
        treated=int(treated.sum()),
        later=int((own > 0).sum()),
        misplaced=float(np.minimum(own, end[treated]).sum()),
        treated_follow_up=float(end[treated].sum()),
        median_start=float(np.median(own)) if own.size and cohort.treatment_start is not None else None,
        unit=str(cohort.time_unit),
        known=cohort.treatment_start is not None,
    )


def alignment_findings(alignment: Alignment) -> tuple[Finding, ...]:
    """Say what of the alignment a reader has to know."""
    numbers = {
        "treated": alignment.treated,
        "treated_later": alignment.later,
        "person_time": alignment.misplaced,
        "share": alignment.share,
    }
    if not alignment.known:
        message = (
            "The study does not say when treatment started. The arms are taken as fixed at time zero; if treatment "
            "started later, the treated had to survive until then and look better for it."
        )
        return (Finding(code="start-of-treatment-unknown", severity="caution", step="time zero", message=message),)
    if alignment.baseline_admissible:
        return ()
    return (
        Finding(
            code="treatment-after-time-zero",
            severity="serious",
            step="time zero",
            message=f"{_sentence(alignment)} A comparison of ever with never treated credits that time to treatment.",
            numbers=numbers,
        ),
    )


def refuse_immortal_time(cohort: Cohort, naive_hr: float | None = None, outcome: str | None = None) -> Alignment:
    """Refuse to take arms as fixed at time zero when treatment starts later.

    Parameters
    ----------
    cohort : Cohort
    naive_hr : float, optional
        The hazard ratio that ever against never treated would give, to show what is refused.
    outcome : str, optional
        Whose follow-up is counted; the primary one by default.

    Returns
    -------
    Alignment
        When the arms may be taken as fixed.

    Raises
    ------
    ImmortalTimeError
        With the number of patients, the person-time and three designs that handle it.
    """
    alignment = check_alignment(cohort, outcome)
    if alignment.baseline_admissible:
        return alignment
    naive = "" if naive_hr is None else f" Ever against never treated would give a hazard ratio of {naive_hr:.2f}."
    within = _round_duration(alignment, cohort.time_unit)
    designs = (
        (f'design = "clone-censor-weight", grace_period = "{within}"', "strategies compared from time zero on"),
        (f'design = "landmark", landmark = "{within}"', "those still at risk then, compared from then on"),
        ('design = "time-dependent"', "time before treatment counted as untreated; a hazard ratio only"),
    )
    raise ImmortalTimeError(
        f'treatment starts after time zero, and design = "baseline" ignores it. {_sentence(alignment)}{naive} '
        "Choose another design:",
        [Problem(where=what, found=f"time_zero = {{ {line} }}") for line, what in designs],
    )


def _sentence(alignment: Alignment) -> str:
    return (
        f"{alignment.later:,} of {alignment.treated:,} treated patients were treated later, half of all by "
        f"{alignment.median_start:.3g} {alignment.unit}; {alignment.misplaced:,.0f} patient-{alignment.unit} "
        f"({100 * alignment.share:.0f}% of the follow-up of the treated) lie before treatment, where a treated patient could not die."
    )


def _round_duration(alignment: Alignment, unit: TimeUnit) -> str:
    """Return a whole number of months by which most of the treated had been treated, as a study file writes it."""
    months = (alignment.median_start or 0.0) * unit.in_days / TimeUnit.MONTHS.in_days
    return str(Duration(float(max(1, int(np.ceil(1.5 * months)))), TimeUnit.MONTHS))
