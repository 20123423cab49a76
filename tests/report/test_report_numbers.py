"""Numbers as journals write them; expected texts from the AMA Manual of Style (11th ed.) and by hand."""

import math

import pytest

from causal_s4.errors import UsageError
from causal_s4.report.numbers import convert, reading_unit, spell_about, spell_duration, style

JAMA = style("jama")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.615, 2, "0.62"),  # half away from zero on the decimal form, where binary rounding gives 0.61
        (-0.004, 2, "0.00"),  # no negative zero
        (-3.14159, 1, "\N{MINUS SIGN}3.1"),
        (9999, 0, "9999"),
        (10000, 0, "10,000"),
        (1234567.891, 1, "1,234,567.9"),
        (float("nan"), 2, "not estimable"),
        (None, 2, "not estimable"),
        (1e-12, 2, "0.00"),
    ],
)
def test_plain_numbers(value, digits, text):
    assert JAMA.number(value, digits) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "P < .001"),
        (0.00099, "P < .001"),
        (0.001, "P = .001"),
        (0.0094, "P = .009"),
        (0.012, "P = .01"),
        (0.046, "P = .046"),  # two digits would read .05
        (0.0451, "P = .045"),
        (0.04, "P = .04"),
        (0.051, "P = .05"),
        (0.996, "P > .99"),
        (0.5, "P = .50"),
    ],
)
def test_p_values(p, text):
    assert JAMA.p_value(p) == text


def test_a_limit_beside_one_is_never_rounded_onto_one():
    assert JAMA.hazard_ratio(0.8312, 0.6912, 0.9996, 0.95) == "0.831 (95% CI 0.691 to <1.000)"
    assert JAMA.hazard_ratio(0.619, 0.41, 0.94, 0.95) == "0.62 (95% CI 0.41 to 0.94)"
    assert JAMA.hazard_ratio(1.0, 1.0, 1.0, 0.9) == "1.00 (90% CI 1.00 to 1.00)"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jama", "0.62 (95% CI 0.41 to 0.94)"),
        ("lancet", "0·62 (95% CI 0·41\N{EN DASH}0·94)"),
        ("plain", "0.62 (95% CI 0.41 to 0.94)"),
    ],
)
def test_journal_styles(name, text):
    assert style(name).hazard_ratio(0.619, 0.41, 0.94, 0.95) == text


def test_a_dash_is_not_set_between_negative_limits():
    lancet = style("lancet")
    assert lancet.interval(lancet.number(-1.5, 1), lancet.number(2.5, 1)) == "\N{MINUS SIGN}1·5 to 2·5"


def test_unknown_style_is_refused():
    with pytest.raises(UsageError, match="no number style 'bmj'"):
        style("bmj")


def test_ratios_and_percentages():
    assert [JAMA.ratio(v) for v in (0.001, 0.5, 12.34, 1234.5)] == ["<0.01", "0.50", "12.3", "1235"]
    assert JAMA.ratio(math.inf) == "not estimable"
    assert JAMA.proportion(0.41234, of=339) == "41.2%"
    assert JAMA.proportion(0.41234, of=66) == "41%"
    assert JAMA.smd(-math.inf) == "infinite"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (365.25, "days", "1 year"),
        (1826.25, "days", "5 years"),
        (182.625, "days", "6 months"),
        (18, "months", "18 months"),
        (60, "months", "5 years"),
        (2.5, "years", "30 months"),
        (30, "days", "30 days"),
        (1825, "days", "1825 days"),  # not quite five years, so not called so
        (26, "weeks", "26 weeks"),
        (0.3, "months", "0.30 months"),
    ],
)
def test_horizons_are_spelled_as_a_clinician_says_them(value, unit, text):
    assert spell_duration(value, unit, JAMA) == text


def test_measured_times_are_rounded():
    assert spell_about(3390.0, "days", JAMA) == "9.3 years"
    assert spell_about(400.0, "days", JAMA) == "13.1 months"
    assert spell_about(45.0, "days", JAMA) == "45.0 days"


def test_months_are_the_unit_of_survival_time_except_for_short_horizons():
    assert reading_unit(1826.25, "days") == "months"
    assert reading_unit(60, "days") == "days"
    assert convert(30.4375, "days", reading_unit(None, "days")) == pytest.approx(1.0)
    assert convert(None, "days", reading_unit(None, "days")) is None
