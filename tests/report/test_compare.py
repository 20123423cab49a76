"""Two results held against each other: what differs is told, what does not is not."""

from dataclasses import replace

import pytest
from fixtures import RFS, make_protocol, make_result

from causal_s4.report.compare import compare
from causal_s4.results import EffectTable, Finding


@pytest.fixture(scope="module")
def first():
    return make_result()


@pytest.fixture(scope="module")
def second(first):
    weighted = first.effects.one(outcome=RFS, analysis="weighted", population="ATO", measure="hazard ratio")
    moved = replace(weighted, value=weighted.value * 1.25)
    difference = first.effects.one(
        outcome=RFS, analysis="weighted", population="ATO", measure="survival difference", horizon=5 * 365.25
    )
    wider = replace(difference, value=difference.value - 0.05)
    estimates = tuple({weighted: moved, difference: wider}.get(each, each) for each in first.effects.estimates[:-1])
    new = Finding(code="new", severity="caution", step="weigh", message="Something new.")
    return replace(
        first,
        protocol=make_protocol('[inference]\nties = "breslow"\n'),
        cohort=replace(first.cohort, n=first.cohort.n - 12, control=first.cohort.control - 12),
        effects=EffectTable(estimates=estimates),
        findings=(*first.findings[1:], new),
    )


def test_a_result_does_not_differ_from_itself(first):
    found = compare(first, first)
    assert found.differences == ()
    assert found.equal_estimates == len(first.effects)
    assert found.text() == "The two results are the same.\n"


def test_each_difference_is_told_once(first, second):
    found = compare(first, second)
    said = {(each.part, each.what): each for each in found.differences}
    assert said["protocol", "inference.ties"].second == "breslow"
    assert said["cohort", "patients"].change == "-12"
    assert ("cohort", "treated") not in said
    moved = [each for each in found.differences if each.part == "estimate"]
    # 1.25 times the hazard ratio, 5 points less, and the one that is left out.
    assert [each.change for each in moved] == ["×1.250", "\N{MINUS SIGN}5.00", ""]
    assert moved[-1].second == "absent"
    assert found.equal_estimates == len(first.effects) - 3
    gone, new = (each for each in found.differences if each.part == "finding")
    assert (gone.first, gone.second) == ("present", "absent")
    assert new.what == "caution: Something new."


def test_the_text_has_a_table_for_each_part(first, second):
    text = compare(first, second).text("a", "b")
    for heading in ("Protocol", "Patients and events", "Estimates", "Findings"):
        assert f"\n{heading}" in f"\n{text}"
    assert "Adjustment" not in text
    assert len(compare(first, second).to_frame()) == len(compare(first, second).differences)
