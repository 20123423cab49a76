"""The page: what it says, what it must not load or run, and that hostile labels stay labels."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fixtures import CONTROL, DRAWING, OS, RFS, TREATED, make_balance, make_protocol

from causal_s4.report.figures import drawings
from causal_s4.report.page import TEMPLATES, inline, render, report_html
from causal_s4.report.reading import Reading, clean
from causal_s4.results import EffectTable, Finding
from causal_s4.sensitivity.confounder import adjust_for_confounder

VOID = {"meta", "br", "input", "hr", "img", "link"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}$x^2$"


class Outline(HTMLParser):
    """Collects tags, ids and addresses, and checks that elements nest."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids, self.addresses, self.handlers = [], [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "action", "data", "poster"):
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(name)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def outline(page):
    return Outline(page)


def words(page):
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def first_outcome(result):
    """Return the page with the figures of the primary outcome and of the weights alone: half the drawing."""
    reading = Reading(result)
    return render(reading, {each.name: each for each in drawings(reading) if "-2-" not in each.name})


# --- what it says ---------------------------------------------------------------------------------


def test_the_page_opens_with_naive_and_adjusted_in_absolute_terms(page):
    opening = words(page[page.index('<section id="answer"') : page.index('<section id="explore"')])
    assert "Without adjustment, 49.6% with hormonal treatment and 56.3% with no hormonal treatment" in opening
    assert "−6.8 percentage points (95% CI −11.0 to −2.5)" in opening
    assert "Of 100 such patients, alive and recurrence-free at 5 years" in opening
    assert opening.index("Unadjusted association") < opening.index("Estimated effect under the stated assumptions")
    assert "−2.6 months 95% CI −4.3 to −0.9" in opening
    assert "Hazard ratio, whole follow-up 1.22 95% CI 1.09 to 1.37" in opening


def test_the_hundred_people_add_up(page):
    pictures = re.findall(r'<svg viewBox="0 0 120 120"[^>]*aria-label="([^"]+)">(.*?)</svg>', page, flags=re.DOTALL)
    assert [label for label, _ in pictures] == [
        f"{count} of 100 alive and recurrence-free with {arm}"
        for count, arm in (
            (50, "hormonal treatment"),
            (56, "no hormonal treatment"),
            (50, "hormonal treatment"),
            (40, "no hormonal treatment"),
        )
    ]
    for label, body in pictures:
        assert len(re.findall(r"<(?:circle|rect)", body)) == 100
        assert len(re.findall(r'fill="#(?:0b6fb8|c2410c)"', body)) == int(label.split()[0])


def test_every_finding_and_benchmark_is_there(page, result):
    text = words(page)
    for finding in result.findings:
        assert finding.message in text
    assert text.index("One serious finding") < text.index("Serious.") < text.index("Caution.") < text.rindex("Note.")
    assert "German Breast Cancer Study Group trial 2" in text
    assert "J Clin Oncol 1994;12:2086" in text


def test_contradicted_independencies_are_counted(page):
    assert "The diagram implies 3 independencies that this cohort can test; 1 of them is contradicted." in words(page)


def test_words_that_would_mislead_are_absent(page):
    text = words(page).lower()
    for word in ("robust", "significan", "log-rank", "proves", "nan", "none%", "undefined"):
        assert not re.search(rf"\b{word}", text), word


def test_an_association_is_never_called_an_effect(page):
    card = page[page.index('class="card card--association"') : page.index('class="card card--effect"')]
    assert "Unadjusted association" in card
    assert "effect" not in words(card).lower()


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("none needed", "nothing needs adjusting"),
        ("not identified", "neither number is an effect"),
    ],
)
def test_verdicts_are_not_confused(result, verdict, sentence):
    other = replace(result, adjustment=replace(result.adjustment, verdict=verdict, nodes=()))
    assert sentence in words(render(Reading(other), {}))


def test_the_style_of_the_protocol_is_used(result):
    lancet = replace(result, protocol=make_protocol('[report]\nstyle = "lancet"\n'))
    assert "1·22 (95% CI 1·09–1·37)" in words(render(Reading(lancet), {}))


# --- what it must not do --------------------------------------------------------------------------


def test_policy_forbids_everything_but_the_own_script(page, outline):
    metas = [attributes for tag, attributes in outline.tags if tag == "meta"]
    policy = next(each["content"] for each in metas if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in policy
    script = re.search(r"<script>(.*?)</script>", page, flags=re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert [attributes for tag, attributes in outline.tags if tag == "script"] == [
        {"type": "application/json", "id": "study"},
        {},
    ]


def test_nothing_is_loaded_and_nothing_is_handled_inline(page, outline):
    assert all(address.startswith("#") for address in outline.addresses)
    assert outline.handlers == []
    assert not re.search(r"https?://|@import|url\((?!#)", page)


def test_the_page_is_well_formed_with_unique_ids_and_live_links(outline):
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert {address[1:] for address in outline.addresses} <= set(outline.ids)


def test_the_page_is_small(page):
    assert len(page.encode()) < 3_000_000


def test_structure_for_screen_readers(page, outline):
    tags = [tag for tag, _ in outline.tags]
    assert dict(outline.tags)["html"]["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert tags.count(landmark) == 1
    assert tags.count("h1") == 1
    assert page.index('class="skip"') < page.index("<header")
    assert tags.count("caption") == tags.count("table")
    assert all("scope" in attributes for tag, attributes in outline.tags if tag == "th")
    pictures = [attributes for tag, attributes in outline.tags if tag == "svg"]
    assert all(each.get("role") == "img" for each in pictures)
    named = [each.get("aria-labelledby", "").split() for each in pictures if "aria-label" not in each]
    assert all(names and set(names) <= set(outline.ids) for names in named)


def test_hostile_labels_stay_labels(result):
    protocol = make_protocol()
    balance = make_balance()
    rows = tuple(replace(row, column=HOSTILE, term=HOSTILE) for row in balance.rows)
    hostile = replace(
        result,
        protocol=protocol.model_copy(update={"title": HOSTILE}),
        cohort=replace(result.cohort, treated_label=HOSTILE, control_label="\u202e=cmd()\x00\n"),
        balance=replace(balance, rows=rows, denominator=HOSTILE),
        adjustment=replace(result.adjustment, nodes=(HOSTILE,), dagitty=HOSTILE + "</pre>", reasons=(HOSTILE,)),
        findings=(Finding(code=HOSTILE, severity="serious", step=HOSTILE, message=HOSTILE),),
    )
    page = first_outcome(hostile)
    outline = Outline(page)
    assert outline.open == []
    assert [tag for tag, _ in outline.tags].count("script") == 2
    assert "img" not in [tag for tag, _ in outline.tags]
    assert outline.handlers == []
    assert "{{ 7*7 }}" in html.unescape(page)
    assert not re.search("[\x00\u202e]", page)
    data = json.loads(re.search(r'id="study">(.*?)</script>', page).group(1))
    assert data["arms"]["treated"] == clean(HOSTILE)


def test_a_drawing_that_could_run_something_is_left_out():
    assert inline(DRAWING, "dag")
    for bad in ('<svg onload="x()">', "<svg><script>1</script></svg>", "<svg><foreignObject/></svg>", "no drawing"):
        assert inline(bad, "dag") == ""


def test_ids_of_drawings_do_not_meet():
    both = inline(DRAWING, "one") + inline(DRAWING, "two")
    ids = re.findall(r'\bid="([^"]+)"', both)
    assert len(ids) == len(set(ids)) == 6
    assert set(re.findall(r"url\(#([^)]+)\)", both)) == {"one-a", "two-a"}


# --- results that lack a part ---------------------------------------------------------------------


def test_a_result_without_weights_curves_or_horizons_still_reads(result):
    bare = replace(
        result,
        weights=None,
        balance=None,
        positivity=None,
        curves=(),
        other_weights=(),
        other_balance=(),
        tests=(),
        hazards=(),
        regressions=(),
        benchmarks=(),
        sensitivity=(),
        findings=(),
        provenance=None,
        adjustment=replace(result.adjustment, drawing="", tests=()),
        effects=EffectTable(
            estimates=tuple(
                each
                for each in result.effects
                if each.measure == "hazard ratio" and each.analysis in ("naive", "multivariable")
            )
        ),
    )
    page = report_html(bare)
    assert Outline(page).open == []
    text = words(page)
    assert "No sensitivity analysis was part of this study." in text
    assert Reading(bare).front == ("multivariable", "conditional")


def test_estimates_that_could_not_be_made_are_said_so(result):
    estimates = tuple(
        replace(each, value=None, std_error=None, lower=None, upper=None, p_value=None)
        if each.analysis == "weighted"
        else replace(each, upper=None)
        if each.measure == "median survival"
        else each
        for each in result.effects
    )
    page = first_outcome(replace(result, effects=EffectTable(estimates=estimates)))
    text = words(page)
    assert Outline(page).open == []
    assert "not estimable" in text
    assert re.search(r"\(\d+\.\d to not reached\)", text)


def test_long_right_to_left_and_many_covariates(result):
    balance = make_balance()
    rows = tuple(
        replace(
            row,
            column=f"{'عمر المريض' if index % 2 else 'covariate_with_a_name_of_some_sixty_characters_or_so'}_{index}_{row.column}",
        )
        for index in range(4)
        for row in balance.rows
    )
    page = first_outcome(
        replace(
            result,
            balance=replace(balance, rows=rows),
            cohort=replace(result.cohort, treated_label="علاج هرموني", control_label="C" * 60),
        )
    )
    assert Outline(page).open == []
    assert "علاج هرموني" in page


# --- what can be moved ----------------------------------------------------------------------------


def test_data_of_the_sliders_are_the_estimates(page, reading):
    data = json.loads(re.search(r'id="study">(.*?)</script>', page).group(1))
    assert data["unit"] == "years"
    first = data["curves"][0]
    assert first["name"] == RFS
    assert [panel["title"] for panel in first["panels"]] == ["Unadjusted", "Weighted: overlap population (ATO)"]
    curve = first["panels"][1]["treated"]
    source = reading.curves(("weighted", "ATO"), RFS)["treated"]
    for time, survival in list(zip(curve["time"], curve["survival"], strict=True))[::17]:
        assert survival == pytest.approx(source.at(time * 365.25 * (1 + 1e-12)), abs=5e-5)
    assert data["confounder"]["value"] == reading.find(("weighted", "ATO"), RFS, "hazard ratio").value
    marks = {mark["label"]: mark for mark in data["confounder"]["marks"]}
    assert marks["Chemo: 1"] == {"label": "Chemo: 1", "treated": 0.07, "control": 0.21, "ratio": 1.05}


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize(("treated", "control", "strength"), [(0.15, 0.45, 2.0), (0.6, 0.3, 0.5), (0.0, 1.0, 3.0)])
def test_the_slider_and_the_python_function_agree(treated, control, strength):
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    source = "".join(re.findall(r"const (?:factor|needed) = .*;", script))
    answer = subprocess.run(
        [
            "node",
            "-e",
            f"{source} console.log(0.76 / factor({treated}, {control}, {strength}))"
            + f"; console.log(factor({treated}, {control}, needed(0.8, {treated}, {control})))",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    expected = adjust_for_confounder(
        effect=0.76,
        confounder_hazard_ratio=strength,
        prevalence_treated=treated,
        prevalence_control=control,
    )
    corrected, reached = map(float, answer.stdout.split())
    assert corrected == pytest.approx(expected.value, rel=1e-12)
    assert reached == pytest.approx(0.8, rel=1e-12)  # the contour is where the factor is what it should be


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium is installed to open the page with")
def test_the_page_comes_alive_in_a_browser(page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000", f"--user-data-dir={tmp_path}"]
    shown = subprocess.run(
        ["chromium", *flags, "--dump-dom", Path(file).as_uri()], capture_output=True, text=True, check=True, timeout=90
    ).stdout
    assert '<section id="explore" class="explore" aria-labelledby="explore-h">' in shown  # no longer hidden
    assert re.search(r'id="bias-value">0\.76 \(95% CI 0\.66 to 0\.88\)<', shown)
    assert re.search(r'id="at-when">5\.0 years<', shown)
    assert ">49.6% (" in shown
    assert OS in shown
    assert TREATED in shown
    assert CONTROL in shown
