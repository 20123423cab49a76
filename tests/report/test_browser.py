"""The page in a browser: the real reports, opened as a file, moved, read aloud, printed and held sideways.

What the sliders show is compared with the Python functions that the page repeats: a survival curve read at a
time, and the correction for an unmeasured confounder. Skipped where no Chromium is installed.
"""

import math
import os
import re
import shutil
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.vocabulary import TimeUnit
from causal_s4.report.numbers import style
from causal_s4.report.page import report_html
from causal_s4.report.reading import Reading
from causal_s4.sensitivity.confounder import adjust_for_confounder
from causal_s4.study import Study

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")

ANALYSES = Path(__file__).parents[2] / "analyses"
STUDIES = (
    "stage4_timeline",
    pytest.param("rotterdam_hormone", marks=pytest.mark.slow),
    pytest.param("stage4_surgery", marks=pytest.mark.slow),
)
# Sensitivity analyses that take no fitting: the page has the same parts with them as with all.
CHEAP = '\n[sensitivity."e-value"]\n'
WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
WRITE = style("jama")


def run(name):
    """Return the result of a committed study, with the sensitivity analyses that cost nothing."""
    text = (ANALYSES / name / "study.toml").read_text(encoding="utf-8")
    text = re.split(r"^\[sensitivity", text, maxsplit=1, flags=re.MULTILINE)[0]
    return Study(Protocol.parse(text + CHEAP, folder=ANALYSES / name)).run(jobs=1)


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Return what gives a study's reading and the file of its page, each made once."""
    folder = tmp_path_factory.mktemp("pages")

    @cache
    def made(name):
        result = run(name)
        file = folder / f"{name}.html"
        file.write_text(report_html(result), encoding="utf-8")
        return Reading(result), file

    return made


@pytest.fixture(scope="session")
def browser():
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def opened(browser, file, *, viewport=WIDE, **options):
    """Open a page; whatever it says on the console or asks for beyond itself is a fault."""
    context = browser.new_context(viewport=viewport, offline=True, **options)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    try:
        yield page
        assert said == []
        assert asked == [file.as_uri()]
    finally:
        context.close()


@pytest.fixture(params=STUDIES)
def study(request, reports):
    return reports(request.param)


def move(page, slider, value):
    """Put a slider at a value, as a hand would: the input event is fired."""
    page.locator(slider).evaluate(
        "(each, to) => { each.value = to; each.dispatchEvent(new Event('input', { bubbles: true })); }", str(value)
    )


# --- survival at any time -------------------------------------------------------------------------


def shown_curves(page):
    """Return the rows of the table beside the curves: title to cells."""
    rows = page.locator("#at-rows tr").all()
    return {row.locator("th").inner_text(): [cell.inner_text() for cell in row.locator("td").all()] for row in rows}


def expected_curves(reading, outcome, time, unit):
    """Return what the curves themselves say at a time of the axis' unit."""
    rows = {}
    for pair in dict.fromkeys((reading.naive, reading.front)):
        cells, values = [], []
        for arm in ("treated", "control"):
            curve = reading.curves(pair, outcome)[arm]
            # A slider's step of a month need not be a floating point number of days.
            at = time * TimeUnit(unit).in_days / TimeUnit(curve.unit).in_days * (1 + 1e-12)
            index = max(i for i, t in enumerate(curve.times) if t <= at)
            value, low, high = (100 * float(column[index]) for column in (curve.survival, curve.lower, curve.upper))
            values.append(curve.at(at))
            assert curve.at(at) == curve.survival[index]
            limits = [WRITE.number(0.0 if math.isnan(limit) else limit, 1) for limit in (low, high)]
            cells.append(f"{WRITE.number(value, 1)}% ({' to '.join(limits)})")
        rows[reading.analysis(pair)] = [*cells, 100 * (values[0] - values[1])]
    return rows


def same(shown, expected):
    assert list(shown) == list(expected)
    for title, cells in expected.items():
        numbers = [re.findall(r"−?\d+\.\d", text.replace(WRITE.minus, "−")) for text in shown[title]]
        for found, wanted in zip(numbers[:2], cells[:2], strict=True):
            for one, other in zip(found, re.findall(r"\d+\.\d", wanted), strict=True):
                # The page holds four decimals of a share: a hundredth of a point.
                assert abs(float(one) - float(other)) <= 0.1 + 1e-9
        assert abs(float(numbers[2][0].replace("−", "-")) - cells[2]) <= 0.1 + 1e-9


def test_the_time_slider_shows_the_curves(browser, study):
    reading, file = study
    with opened(browser, file) as page:
        unit = page.locator("#at-out").inner_text().split()[1]
        end = float(page.locator("#at").get_attribute("max"))
        step = float(page.locator("#at").get_attribute("step"))
        for share in (0.0, 0.13, 0.5, 0.77, 1.0):
            time = round(round(share * end / step) * step, 6)
            move(page, "#at", time)
            same(shown_curves(page), expected_curves(reading, reading.outcomes[0], time, unit))
            assert page.locator("#at-out").inner_text() == f"{WRITE.number(time, 1)} {unit}"
            assert page.locator("#at").get_attribute("aria-valuetext") == f"{WRITE.number(time, 1)} {unit}"


def test_a_curve_can_be_taken_away_and_another_outcome_chosen(browser, study):
    reading, file = study
    with opened(browser, file) as page:
        boxes = page.locator("[data-panel]").all()
        titles = list(shown_curves(page))
        assert len(boxes) == len(titles) == 2
        for index, box in enumerate(boxes):
            box.uncheck()
            assert list(shown_curves(page)) == [title for number, title in enumerate(titles) if number != index]
            box.check()
        if len(reading.outcomes) > 1:
            page.locator("#at-outcome").select_option(label=reading.outcomes[1])
            time = float(page.locator("#at").input_value())
            unit = page.locator("#at-out").inner_text().split()[1]
            same(shown_curves(page), expected_curves(reading, reading.outcomes[1], time, unit))


def test_the_slider_moves_with_the_keyboard(browser, study):
    _, file = study
    with opened(browser, file) as page:
        page.locator("#at").focus()
        page.keyboard.press("Home")
        begin = page.locator("#at-out").inner_text()
        assert begin.startswith("0.0 ")
        step = float(page.locator("#at").get_attribute("step"))
        for _ in range(math.ceil(0.1 / step)):
            page.keyboard.press("ArrowRight")
        assert page.locator("#at-out").inner_text() != begin
        page.keyboard.press("End")
        assert page.locator("#at-out").inner_text().split()[0] == WRITE.number(
            float(page.locator("#at").get_attribute("max")), 1
        )


# --- an unmeasured confounder ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("treated", "control", "strength"),
    [(0.2, 0.2, 1.0), (0.6, 0.1, 0.5), (0.1, 0.6, 2.0), (1.0, 0.0, 0.3), (0.0, 1.0, 3.0), (0.35, 0.85, 4.2)],
)
def test_the_confounder_sliders_show_the_correction(browser, study, treated, control, strength):
    reading, file = study
    estimate = reading.find(reading.front, reading.outcomes[0], "hazard ratio")
    with opened(browser, file) as page:
        move(page, "#bias-treated", treated)
        move(page, "#bias-control", control)
        move(page, "#bias-ratio", round(math.log(strength), 2))
        at = math.exp(float(page.locator("#bias-ratio").input_value()))
        expected = adjust_for_confounder(
            effect=estimate.value,
            lower=estimate.lower,
            upper=estimate.upper,
            confounder_hazard_ratio=at,
            prevalence_treated=treated,
            prevalence_control=control,
        )
        limits = [WRITE.ratio(limit) for limit in (expected.lower, expected.upper)]
        assert (
            page.locator("#bias-value").inner_text() == f"{WRITE.ratio(expected.value)} (95% CI {' to '.join(limits)})"
        )
        sentence = page.locator("#bias-sentence").inner_text()
        assert (f"would be {WRITE.ratio(expected.value)} (95% CI" in sentence) == (abs(math.log(at)) > 1e-9)
        assert page.locator("#bias-treated-out").inner_text() == f"{round(100 * treated)}%"


@pytest.mark.slow
def test_a_measured_covariate_can_be_taken_and_put_back(browser, reports):
    reading, file = reports("rotterdam_hormone")
    with opened(browser, file) as page:
        before = page.locator("#bias-value").inner_text()
        button = page.locator("[data-mark]").first
        button.focus()
        page.keyboard.press("Enter")
        assert page.locator("#bias-value").inner_text() != before
        page.locator("#bias-reset").click()
        assert page.locator("#bias-value").inner_text() == before
        assert page.locator("#bias-plane path").count() > len(reading.result.balance.rows) / 10


def test_the_sentence_can_be_copied(browser, reports):
    _, file = reports("stage4_timeline")
    with opened(browser, file) as page:
        page.locator("#bias-copy").click()
        assert page.locator("#bias-copied").inner_text() in ("Copied.", "Selected; copy it with your keyboard.")


# --- for everyone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_an_accessibility_audit_finds_nothing_serious(browser, study, viewport):
    _, file = study
    # The audit's own script is put into the page, which its policy rightly forbids to all but the browser.
    context = browser.new_context(viewport=viewport, offline=True, bypass_csp=True)
    page = context.new_page()
    page.goto(file.as_uri())
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = axe.Axe().run(page).response["violations"]
    context.close()
    grave = [
        (each["id"], each["impact"], [node["target"] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert grave == []


def test_every_control_is_reached_by_the_tab_key(browser, reports):
    _, file = reports("stage4_timeline")
    with opened(browser, file) as page:
        wanted = {"at", "bias-treated", "bias-control", "bias-ratio", "bias-reset", "bias-copy"}
        reached = []
        for _ in range(80):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        assert reached[0] == "skip"
        assert wanted <= set(reached)


def test_a_phone_needs_no_sideways_scrolling(browser, study):
    _, file = study
    with opened(browser, file, viewport=PHONE, is_mobile=True) as page:
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_without_javascript_the_report_is_whole(browser, study):
    reading, file = study
    with opened(browser, file, java_script_enabled=False) as page:
        text = page.locator("body").inner_text()
        assert reading.with_interval(reading.find(reading.front, reading.outcomes[0], "hazard ratio")) in text
        headings = [each.inner_text() for each in page.locator("h2").all() if each.is_visible()]
        assert {"The answer", "The patients", "Survival and effects", "Findings"} <= set(headings)
        # What needs a script is not offered.
        assert not page.locator("#explore").is_visible()
        assert page.locator("figure svg").count() > 5


def test_it_prints(browser, study):
    _, file = study
    with opened(browser, file) as page:
        printed = page.pdf(format="A4")
        assert printed.startswith(b"%PDF-")
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 8
        assert page.evaluate("[...document.querySelectorAll('details')].every((each) => each.open)")
