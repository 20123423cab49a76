"""The words of the field, spelled once: estimands, measures, analyses, designs, units of time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from causal_s4.errors import UsageError

DAYS_PER_YEAR = 365.25
DAYS_PER_MONTH = DAYS_PER_YEAR / 12  # 30.4375


class TimeUnit(StrEnum):
    """The unit of every time column of a cohort."""

    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"
    YEARS = "years"

    @property
    def in_days(self) -> float:
        """Length of one unit, in days (a month is 30.4375 days, a year 365.25)."""
        return _DAYS[self.value]


_DAYS = {"days": 1.0, "weeks": 7.0, "months": DAYS_PER_MONTH, "years": DAYS_PER_YEAR}
_DURATION = re.compile(r"^\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(day|week|month|year)s?\s*$")


@dataclass(frozen=True, order=False)
class Duration:
    """A length of time that carries its unit.

    Parameters
    ----------
    value : float
        How many units.
    unit : TimeUnit
        The unit.
    """

    value: float
    unit: TimeUnit

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read ``"6 months"``.

        Raises
        ------
        UsageError
            When the text is not a number followed by days, weeks, months or years.
        """
        match = _DURATION.match(text) if isinstance(text, str) else None
        if match is None:
            raise UsageError(
                f"{text!r} is not a duration; expected a number and a unit, such as "
                '"6 months" or "5 years" (days, weeks, months or years)'
            )
        return cls(float(match.group(1)), TimeUnit(match.group(2) + "s"))

    def to(self, unit: TimeUnit) -> float:
        """Return the length in another unit.

        Examples
        --------
        >>> Duration.parse("1 year").to(TimeUnit.DAYS)
        365.25
        """
        if unit is self.unit:
            return self.value
        return self.value * self.unit.in_days / unit.in_days

    def __str__(self) -> str:
        """Return the text form, ``"6 months"``."""
        number = int(self.value) if self.value == int(self.value) else self.value
        unit = self.unit.value[:-1] if number == 1 else self.unit.value
        return f"{number} {unit}"


class Estimand(StrEnum):
    """The population an effect speaks about.

    Notes
    -----
    Tilting functions of the propensity score e: 1 (ATE), e (ATT), 1 - e (ATC), e(1 - e) (ATO),
    min(e, 1 - e) (ATM). Li, Morgan & Zaslavsky 2018, 10.1080/01621459.2016.1260466.
    """

    ATE = "ATE"
    ATT = "ATT"
    ATC = "ATC"
    ATO = "ATO"
    ATM = "ATM"

    @property
    def describes(self) -> str:
        """Whom the effect is about, in words."""
        return _DESCRIBES[self.value]


_DESCRIBES = {
    "ATE": "all eligible patients",
    "ATT": "patients like those who were treated",
    "ATC": "patients like those who were not treated",
    "ATO": "patients for whom both options were real (overlap population)",
    "ATM": "patients who could be matched one to one (matching weights)",
}


class Analysis(StrEnum):
    """How an estimate was made."""

    NAIVE = "naive"
    MULTIVARIABLE = "multivariable"
    WEIGHTED = "weighted"
    LANDMARK = "landmark"
    TIME_DEPENDENT = "time-dependent"
    IMMORTAL_TIME_EXCLUDED = "immortal-time-excluded"
    CLONE_CENSOR_UNWEIGHTED = "clone-censor-unweighted"
    CLONE_CENSOR_WEIGHT = "clone-censor-weight"


class Measure(StrEnum):
    """What an estimate measures. Differences are treated minus control, ratios treated over control."""

    HAZARD_RATIO = "hazard ratio"
    SURVIVAL = "survival"
    SURVIVAL_DIFFERENCE = "survival difference"
    SURVIVAL_RATIO = "survival ratio"
    RMST = "rmst"
    RMST_DIFFERENCE = "rmst difference"
    RMST_RATIO = "rmst ratio"
    MEDIAN_SURVIVAL = "median survival"
    CUMULATIVE_INCIDENCE = "cumulative incidence"
    CUMULATIVE_INCIDENCE_DIFFERENCE = "cumulative incidence difference"
    CUMULATIVE_INCIDENCE_RATIO = "cumulative incidence ratio"


class Design(StrEnum):
    """How follow-up and treatment are aligned at time zero."""

    BASELINE = "baseline"
    LANDMARK = "landmark"
    TIME_DEPENDENT = "time-dependent"
    CLONE_CENSOR_WEIGHT = "clone-censor-weight"


class Arm(StrEnum):
    """The two arms; their labels belong to reports."""

    TREATED = "treated"
    CONTROL = "control"


class Severity(StrEnum):
    """How much a finding matters."""

    NOTE = "note"
    CAUTION = "caution"
    SERIOUS = "serious"


UNADJUSTED = "unadjusted"
"""Population label of an estimate that compares the arms as they are: no estimand is claimed."""
CONDITIONAL = "conditional"
"""Population label of a hazard ratio conditional on covariates: not the same quantity as a marginal one."""
