"""What a notebook shows: small, whole, escaped, and nothing that loads."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from fixtures import make_protocol, make_result

from causal_s4.results import EffectTable

EVIL = "<script>alert(1)</script>"


class Balanced(HTMLParser):
    """Holds the tags that are open, and every tag that was met."""

    def __init__(self):
        super().__init__()
        self.open, self.met = [], set()

    def handle_starttag(self, tag, attrs):
        self.met.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def evil():
    made = make_result()
    protocol = make_protocol()
    return replace(
        made,
        protocol=protocol.model_copy(update={"title": EVIL}),
        cohort=replace(made.cohort, treated_label=EVIL),
        effects=EffectTable(estimates=tuple(replace(each, population=EVIL) for each in made.effects.estimates[:3])),
        balance=replace(made.balance, rows=(replace(made.balance.rows[0], term=EVIL),)),
        findings=tuple(replace(each, message=EVIL, severity="serious") for each in made.findings),
    )


def shown(result):
    return {
        "study": result._repr_html_(),
        "effects": result.effects._repr_html_(),
        "balance": result.balance._repr_html_(),
    }


@pytest.mark.parametrize("part", ["study", "effects", "balance"])
def test_it_is_small_whole_and_loads_nothing(result, part):
    html = shown(result)[part]
    reader = Balanced()
    reader.feed(html)
    assert reader.open == []
    assert reader.met <= {"div", "p", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td", "bdi"}
    assert len(html) < 20_000
    assert not re.search(r"https?:|src=|href=", html)


@pytest.mark.parametrize("part", ["study", "effects", "balance"])
def test_labels_are_escaped(evil, part):
    html = shown(evil)[part]
    assert EVIL not in html
    assert "&lt;script&gt;" in html


def test_the_answer_is_there(result):
    html = result._repr_html_()
    assert (
        "The hazard ratio was 1.22 (95% CI 1.09 to 1.37) unadjusted and 0.76 (95% CI 0.66 to 0.88) after weighting."
        in html
    )
    assert "2 further findings." in html


def test_a_long_table_says_what_it_leaves_out(result):
    html = result.effects._repr_html_()
    assert html.count("<tr>") == 41
    assert f"{len(result.effects) - 40} more rows; to_frame() has all." in html
    assert "percentage points" in html
