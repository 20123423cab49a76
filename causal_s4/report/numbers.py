"""The one place that rounds: every number a reader sees is written here.

Rounding is half away from zero on the shortest decimal form of the number, so that what
``results.json`` prints as 0.615 becomes 0.62 and never 0.61.

Conventions
-----------
P values follow the AMA Manual of Style (11th ed., 19.5): two digits, three below .01 or where two
would hide which side of .05 the value lies on, ``<.001`` and ``>.99`` at the ends. Percentages
carry one decimal when the denominator is 200 or more, none below. Negative numbers take a minus
sign (U+2212). Thousands are separated from 10 000 upwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from causal_s4.errors import UsageError
from causal_s4.protocol.vocabulary import Duration, TimeUnit

MINUS = "\N{MINUS SIGN}"
NOT_REACHED = "not reached"
NOT_ESTIMABLE = "not estimable"

# What the largest float needs before its decimal mark, and as much behind it as anyone asks for.
_MOST_DIGITS = 350
# From here on digits say nothing but that an estimate has run away.
_HUGE = 1e9
# A percentage of fewer patients than this would pretend to a precision it has not got.
_PERCENT_DECIMAL_FROM = 200


@dataclass(frozen=True, kw_only=True)
class NumberStyle:
    """How a journal writes numbers.

    Parameters
    ----------
    name : str
        The journal family.
    decimal : str
        Decimal mark.
    thousands : str
        Separator of groups of three digits, from 10 000 upwards.
    minus : str
        Sign of a negative number.
    p_leading_zero : bool
        Whether a P value is written 0.04 rather than .04.
    to : str
        What stands between two limits when both are positive.
    """

    name: str
    decimal: str = "."
    thousands: str = ","
    minus: str = MINUS
    p_leading_zero: bool = False
    to: str = " to "

    # --- plain numbers ---------------------------------------------------------------------------

    def number(self, value: float | None, digits: int = 2, *, signed: bool = False) -> str:
        """Write a number with a fixed count of decimals.

        Parameters
        ----------
        value : float or None
            None, NaN and infinity are written as ``"not estimable"``.
        digits : int
            Decimals.
        signed : bool
            Write a plus sign before a positive number.

        Examples
        --------
        >>> style("jama").number(-0.615)
        '−0.62'
        """
        if value is None or not math.isfinite(value):
            return NOT_ESTIMABLE
        if abs(value) >= _HUGE:
            mantissa, _, exponent = f"{abs(value):.1e}".partition("e+")
            return (
                f"{self.minus if value < 0 else '+' if signed else ''}{mantissa.replace('.', self.decimal)}e{exponent}"
            )
        rounded = round_half_up(value, digits)
        sign = self.minus if rounded < 0 else "+" if signed and rounded > 0 else ""
        whole, _, fraction = f"{abs(rounded):.{digits}f}".partition(".")
        if len(whole) > 4:
            whole = f"{int(whole):,}".replace(",", self.thousands)
        return sign + whole + (self.decimal + fraction if fraction else "")

    def general(self, value: float | None, digits: int = 3) -> str:
        """Write a number that is nobody's estimate with the significant digits it needs.

        Examples
        --------
        >>> style("jama").general(0.05), style("jama").general(12.0), style("jama").general(0.98765)
        ('0.05', '12', '0.988')
        """
        if value is None or not math.isfinite(value):
            return NOT_ESTIMABLE
        if value == 0:
            return "0"
        places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        shortest = next(p for p in range(places + 1) if round_half_up(value, p) == round_half_up(value, places))
        return self.number(value, shortest)

    def count(self, value: int | None) -> str:
        """Write a number of patients or events.

        Examples
        --------
        >>> style("jama").count(2982), style("jama").count(12345)
        ('2982', '12,345')
        """
        return NOT_ESTIMABLE if value is None else self.number(value, 0)

    def ratio(self, value: float | None, digits: int = 2) -> str:
        """Write a ratio: two decimals, fewer once it has two digits before the mark.

        Examples
        --------
        >>> style("jama").ratio(0.619), style("jama").ratio(123.4)
        ('0.62', '123')
        """
        if value is None or not math.isfinite(value):
            return NOT_ESTIMABLE
        if 0 < value < 0.005:
            return "<0" + self.decimal + "01"
        return self.number(value, digits if value < 10 else 1 if value < 100 else 0)

    @staticmethod
    def ratio_digits(*limits: float | None) -> int:
        """Decimals a ratio and its limits need so that none is rounded onto 1 from beside it.

        Examples
        --------
        >>> style("jama").ratio_digits(0.41, 0.94), style("jama").ratio_digits(0.41, 0.9984)
        (2, 3)
        """
        given = [limit for limit in limits if limit is not None and math.isfinite(limit) and limit != 1]
        return 2 if all(round_half_up(limit, 2) != 1 for limit in given) else 3

    def smd(self, value: float | None) -> str:
        """Write a standardised mean difference."""
        if value is not None and math.isinf(value):
            return "infinite"
        return self.number(value, 2)

    def proportion(self, value: float | None, of: float = _PERCENT_DECIMAL_FROM, *, sign: bool = True) -> str:
        """Write a proportion as a percentage.

        Parameters
        ----------
        value : float or None
            Between 0 and 1.
        of : float
            How many patients it is a share of; decides on a decimal.
        sign : bool
            Whether to write the per cent sign.

        Examples
        --------
        >>> style("jama").proportion(0.1234), style("jama").proportion(0.1234, of=66)
        ('12.3%', '12%')
        """
        if value is None or not math.isfinite(value):
            return NOT_ESTIMABLE
        return self.number(100 * value, self.percent_digits(of)) + ("%" if sign else "")

    @staticmethod
    def percent_digits(of: float) -> int:
        """Decimals a percentage of ``of`` patients deserves."""
        return 1 if of >= _PERCENT_DECIMAL_FROM else 0

    def p_value(self, p: float | None, *, symbol: bool = True) -> str:
        """Write a P value by the rules of the AMA Manual of Style.

        Parameters
        ----------
        p : float or None
            The P value.
        symbol : bool
            Whether to write ``P = `` (or ``P < ``) before it.

        Examples
        --------
        >>> s = style("jama")
        >>> [s.p_value(p) for p in (0.0004, 0.0042, 0.048, 0.27, 0.996)]
        ['P < .001', 'P = .004', 'P = .048', 'P = .27', 'P > .99']
        """
        if p is None or not math.isfinite(p):
            return NOT_ESTIMABLE
        if p < 0.001:
            relation, value, digits = "<", 0.001, 3
        elif p > 0.99:
            relation, value, digits = ">", 0.99, 2
        else:
            hides_the_side = (p < 0.05) != (round_half_up(p, 2) < Decimal("0.05"))
            relation, value, digits = "=", p, 3 if p < 0.01 or hides_the_side else 2
        text = self.number(value, digits)
        if not self.p_leading_zero:
            text = text.removeprefix("0")
        if symbol:
            return f"P {relation} {text}"
        return text if relation == "=" else relation + text

    # --- intervals -------------------------------------------------------------------------------

    def interval(self, lower: str, upper: str) -> str:
        """Join two limits that are already written.

        A dash would read as a sign beside a negative limit, so those are joined by "to" in every style.
        """
        plain = self.to if not (lower.startswith(self.minus) or upper.startswith(self.minus)) else " to "
        return f"{lower}{plain}{upper}"

    def ratio_interval(self, lower: float | None, upper: float | None) -> str:
        """Write the limits of a ratio; a limit that only rounding puts at 1 keeps the digits that tell.

        Examples
        --------
        >>> style("jama").ratio_interval(0.41, 0.9984)
        '0.410 to 0.998'
        >>> style("jama").ratio_interval(1.00003, 1.8)
        '>1.000 to 1.800'
        """
        digits = self.ratio_digits(lower, upper)
        return self.interval(self._limit(lower, digits), self._limit(upper, digits))

    def _limit(self, limit: float | None, digits: int) -> str:
        text = self.ratio(limit, digits)
        if limit is None or not math.isfinite(limit) or limit == 1 or round_half_up(limit, digits) != 1:
            return text
        return ("<" if limit < 1 else ">") + text

    def level(self, level: float) -> str:
        """Write a confidence level.

        Examples
        --------
        >>> style("jama").level(0.95), style("jama").level(0.975)
        ('95% CI', '97.5% CI')
        """
        percent = round_half_up(100 * level, 1)
        return f"{self.number(float(percent), 0 if percent == percent.to_integral_value() else 1)}% CI"

    def hazard_ratio(self, value: float | None, lower: float | None, upper: float | None, level: float) -> str:
        """Write a ratio with its interval.

        Examples
        --------
        >>> style("jama").hazard_ratio(0.619, 0.41, 0.94, 0.95)
        '0.62 (95% CI 0.41 to 0.94)'
        """
        if value is None or not math.isfinite(value):
            return NOT_ESTIMABLE
        shown = self.ratio(value, self.ratio_digits(lower, upper))
        return f"{shown} ({self.level(level)} {self.ratio_interval(lower, upper)})"


STYLES = {
    each.name: each
    for each in (
        NumberStyle(name="jama"),
        NumberStyle(
            name="lancet", decimal="\N{MIDDLE DOT}", thousands="\N{THIN SPACE}", p_leading_zero=True, to="\N{EN DASH}"
        ),
        NumberStyle(name="nejm", p_leading_zero=True),
        NumberStyle(name="plain", thousands="", minus="-", p_leading_zero=True),
    )
}


def style(name: str) -> NumberStyle:
    """Return the number style of a journal family.

    Parameters
    ----------
    name : {"jama", "lancet", "nejm", "plain"}
        The family.

    Raises
    ------
    UsageError
        When there is no such style.
    """
    try:
        return STYLES[name]
    except KeyError:
        raise UsageError(f"no number style {name!r}; expected one of {', '.join(STYLES)}") from None


def round_half_up(value: float, digits: int = 0) -> Decimal:
    """Return a number rounded half away from zero, as it is written out in decimals.

    Examples
    --------
    >>> round_half_up(0.615, 2), round_half_up(2.5)
    (Decimal('0.62'), Decimal('3'))
    """
    exact = Context(prec=_MOST_DIGITS)
    return Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP, context=exact)


# --- time ---------------------------------------------------------------------------------------


def spell_duration(value: float, unit: str, numbers: NumberStyle) -> str:
    """Write a length of time the way a clinician says it: whole years, else months, else the data's unit.

    Parameters
    ----------
    value : float
        The length.
    unit : str
        Unit of ``value``.
    numbers : NumberStyle
        How to write a fraction, should there be one.

    Examples
    --------
    >>> spell_duration(1826.25, "days", style("jama")), spell_duration(182.625, "days", style("jama"))
    ('5 years', '6 months')
    """
    length = Duration(value, TimeUnit(unit))
    for name in (TimeUnit.YEARS, TimeUnit.MONTHS, TimeUnit.WEEKS, TimeUnit.DAYS):
        amount = length.to(name)
        if (
            amount >= 1
            and abs(amount - round(amount)) < 1e-6 * amount
            and (name is not TimeUnit.WEEKS or unit == "weeks")
        ):
            return str(Duration(round(amount), name))
    digits = 1 if value >= 10 else 2
    return f"{numbers.number(value, digits)} {unit}"


def spell_about(value: float, unit: str, numbers: NumberStyle) -> str:
    """Write a length of time that was measured: years from two years on, else months, else days.

    Examples
    --------
    >>> spell_about(3390.0, "days", style("jama"))
    '9.3 years'
    """
    length = Duration(value, TimeUnit(unit))
    for name, least in ((TimeUnit.YEARS, 2), (TimeUnit.MONTHS, 3), (TimeUnit.DAYS, 0)):
        if length.to(name) >= least:
            break
    return f"{numbers.number(length.to(name), 1)} {name.value}"


def reading_unit(horizon: float | None, unit: str) -> TimeUnit:
    """Return the unit a length of survival is read in: months, or days when the horizon is under three months."""
    if horizon is not None and Duration(horizon, TimeUnit(unit)).to(TimeUnit.MONTHS) < 3:
        return TimeUnit.DAYS
    return TimeUnit.MONTHS


def convert(value: float | None, unit: str, to: TimeUnit) -> float | None:
    """Return a length of time in another unit; None and NaN stay what they are."""
    if value is None or not math.isfinite(value):
        return value
    return Duration(value, TimeUnit(unit)).to(to)
