"""The registry. Which combinations exist follows from the definitions cited in the records."""

import math

import pytest

from causal_s4.errors import UsageError
from causal_s4.protocol.methods import (
    DESIGNS,
    MEASURES,
    NOT_AVAILABLE_YET,
    SENSITIVITY_ANALYSES,
    TIMINGS,
    VARIANCES,
    WEIGHTING_METHODS,
    check_weighting,
    is_number,
    stabilised,
    weighting_method,
)
from causal_s4.protocol.vocabulary import Design, Estimand, Measure


@pytest.mark.parametrize("population", list(Estimand))
def test_a_propensity_score_serves_every_population(population: Estimand) -> None:
    assert check_weighting(population, "logistic", truncate=(0.01, 0.99), trim=0.05) == []


@pytest.mark.parametrize(
    ("arguments", "where", "words"),
    [
        ({"population": "ATO", "method": "entropy-balancing"}, "population", 'expected "ATE", "ATT" or "ATC"'),
        ({"population": "ATM", "method": "entropy-balancing"}, "population", "known only through a propensity score"),
        ({"population": "ATE", "method": "entropy-balancing", "trim": 0.1}, "trim", "no propensity score to trim on"),
        (
            {"population": "ATE", "method": "entropy-balancing", "truncate": (0.01, 0.99)},
            "truncate",
            "cutting them undoes that",
        ),
        ({"population": "ATO", "method": "logistic", "stabilise": True}, "stabilise", "would have no effect"),
        ({"population": "ATT", "method": "logistic", "stabilise": True}, "stabilise", "would have no effect"),
        ({"population": "ATC", "method": "logistic", "stabilise": True}, "stabilise", "would have no effect"),
        ({"population": "ATM", "method": "logistic", "stabilise": True}, "stabilise", "would have no effect"),
        ({"population": "ATE", "method": "logistic", "stabilise": 1}, "stabilise", "expected true or false"),
        ({"population": "ate", "method": "logistic"}, "population", 'Did you mean "ATE"?'),
        ({"population": None, "method": "logistic"}, "population", "nothing"),
        ({"population": "ATE", "method": "logit"}, "method", '"logistic", "firth" or "entropy-balancing"'),
        ({"population": "ATE", "method": "entropy_balancing"}, "method", 'Did you mean "entropy-balancing"?'),
        ({"population": "ATE", "method": "logistic", "truncate": (0.99, 0.01)}, "truncate", "lower then upper"),
        ({"population": "ATE", "method": "logistic", "truncate": (0.5, 0.5)}, "truncate", "lower then upper"),
        ({"population": "ATE", "method": "logistic", "truncate": (-0.1, 0.9)}, "truncate", "between 0 and 1"),
        ({"population": "ATE", "method": "logistic", "truncate": (1, 99)}, "truncate", "between 0 and 1"),
        ({"population": "ATE", "method": "logistic", "truncate": 0.99}, "truncate", "a pair of quantiles"),
        ({"population": "ATE", "method": "logistic", "truncate": (0, 1)}, "truncate", "cuts nothing"),
        ({"population": "ATE", "method": "logistic", "truncate": (0.1, math.nan)}, "truncate", "a pair of quantiles"),
        ({"population": "ATE", "method": "logistic", "trim": 0.5}, "trim", "below 0.5"),
        ({"population": "ATE", "method": "logistic", "trim": 0}, "trim", "above 0"),
        ({"population": "ATE", "method": "logistic", "trim": math.nan}, "trim", "above 0"),
        ({"population": "ATE", "method": "logistic", "trim": True}, "trim", "true"),
    ],
)
def test_each_wrong_option_is_named_with_its_reason(arguments: dict[str, object], where: str, words: str) -> None:
    problems = check_weighting(**arguments)  # type: ignore[arg-type]
    assert [problem.where for problem in problems] == [where]
    assert words in str(problems[0])


def test_several_wrong_options_are_told_together() -> None:
    problems = check_weighting("ATO", "entropy-balancing", stabilise=True, truncate=(0.9, 0.1), trim=7)
    assert {problem.where for problem in problems} == {"population", "stabilise", "truncate", "trim"}


def test_stabilising_is_possible_for_everybody_and_by_default_only_for_everybody() -> None:
    assert check_weighting("ATE", "logistic", stabilise=True) == []
    assert check_weighting("ATE", "entropy-balancing", stabilise=True) == []
    assert check_weighting("ATO", "logistic", stabilise=False) == []
    assert stabilised("ATE", None)
    assert stabilised("ATE", True)
    assert not stabilised("ATE", False)
    assert not any(stabilised(population, None) for population in Estimand if population != "ATE")


def test_an_unknown_method_is_refused_naming_the_nearest() -> None:
    assert weighting_method("logistic").propensity_score
    assert not weighting_method("entropy-balancing").propensity_score
    with pytest.raises(UsageError, match='Did you mean "logistic"'):
        weighting_method("logistics")


def test_every_word_of_the_vocabulary_has_its_record() -> None:
    assert set(DESIGNS) == set(Design)
    assert set(MEASURES) == set(Measure)
    for name, method in WEIGHTING_METHODS.items():
        assert name == method.name
        assert set(method.variances) <= set(VARIANCES)
        assert set(method.refuses) <= {"stabilise", "truncate", "trim"}
        assert bool(method.other_populations) == (set(method.populations) != set(Estimand))
        assert "10." in method.citation
    assert TIMINGS.keys() == {"density", "natural", "uniform", "maringe"}
    assert len(set(SENSITIVITY_ANALYSES)) == 24  # the contract's list, and other timings of cloned strategies


def test_ratios_have_null_one_and_differences_null_zero() -> None:
    assert MEASURES[Measure.HAZARD_RATIO].null == 1
    assert MEASURES[Measure.RMST_DIFFERENCE].null == 0
    assert MEASURES[Measure.SURVIVAL].null is None


def test_what_is_not_available_yet_names_a_way_out() -> None:
    assert all(todo for values in NOT_AVAILABLE_YET.values() for todo in values.values())


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (0.5, True), (True, False), ("1", False), (math.nan, False), (math.inf, False), (10**400, False)],
)
def test_numbers_are_finite_and_not_booleans(value: object, expected: bool) -> None:
    assert is_number(value) is expected
