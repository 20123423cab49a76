"""Figures: what is drawn, that it is the same each time, and that small counts stay out of it."""

import re
import struct
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from fixtures import OS, RFS, make_balance, make_protocol, make_result

from causal_s4.errors import UsageError
from causal_s4.report import balance_figures, drawing, figures, forest_figures
from causal_s4.report.reading import Reading
from causal_s4.results import EffectTable

NAMES = [
    "curves",
    "ladder",
    "survival-difference",
    "rmst-difference",
    "curves-2-overall-survival",
    "ladder-2-overall-survival",
    "survival-difference-2-overall-survival",
    "rmst-difference-2-overall-survival",
    "love",
    "overlap",
    "weights",
    "independencies",
]


@pytest.fixture(scope="module")
def drawn(reading):
    return {each.name: each for each in figures.drawings(reading)}


def texts(svg):
    root = ElementTree.fromstring(svg)
    return ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_set_is_whole(drawn):
    assert list(drawn) == NAMES


@pytest.mark.parametrize("width", [drawing.DOUBLE_COLUMN, drawing.SINGLE_COLUMN])
@pytest.mark.parametrize("name", NAMES[:4] + NAMES[-3:])
def test_each_is_a_described_picture_inside_its_frame(drawn, name, width):
    svg = drawn[name].svg(width)
    root = ElementTree.fromstring(svg)
    assert root.find("{http://www.w3.org/2000/svg}title").text == drawn[name].title
    assert len(root.find("{http://www.w3.org/2000/svg}desc").text) > 40
    assert float(root.get("width").removesuffix("pt")) == pytest.approx(72 * width, abs=0.01)
    assert "<metadata" not in svg
    assert "<style" not in svg
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 10
    assert texts(svg)


def test_the_same_result_gives_the_same_bytes(drawn):
    again = {each.name: each for each in figures.drawings(Reading(make_result()))}
    for name in ("ladder", "weights"):
        assert again[name].svg() == drawn[name].svg()
        assert again[name].png(drawing.SINGLE_COLUMN) == drawn[name].png(drawing.SINGLE_COLUMN)


def test_pictures_have_print_resolution(drawn):
    data = drawn["weights"].png()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", data[16:20])[0] == 2100  # 7 inches at 300 dots
    assert len(data) > 20_000


def test_curves_count_patients_and_show_effective_numbers_apart(drawn, reading):
    shown = texts(drawn["curves"].svg())
    weighted = reading.curves(("weighted", "ATO"), RFS)
    for curve in weighted.values():
        for patients, effective in zip(curve.at_risk, curve.ess_at_risk, strict=True):
            assert str(patients) in shown
            assert f"({effective:.0f})" in shown
    assert "Unadjusted" in shown
    assert "Weighted: overlap population (ATO)" in shown


def test_the_ladder_holds_every_estimate_and_the_published_one(drawn, reading):
    shown = texts(drawn["ladder"].svg())
    rows = reading.ladder(RFS, "hazard ratio")
    assert [row.kind for row in rows] == ["association", "primary", "conditional", "effect", "effect", "benchmark"]
    for row in rows:
        assert row.text in shown
        assert row.label in shown
    assert "0.75 (0.54 to 1.04)" in shown


def test_the_love_plot_is_sorted_by_imbalance_before_weighting(reading):
    with drawing.figure_style():
        axes = balance_figures.love(reading).axes[0]
        labels = [text.get_text() for text in axes.get_yticklabels()]
        before, after = (scatter.get_offsets()[:, 0] for scatter in axes.collections[1::2])
    order = sorted(make_balance().rows, key=lambda row: -abs(row.smd_before))
    assert np.allclose(before, [abs(row.smd_before) for row in order])
    assert np.allclose(after, [abs(row.smd_after) for row in order])
    assert labels[0] == "Postmenopausal: 1"


def test_intervals_too_long_for_the_axis_end_in_an_arrow(result):
    wide = tuple(
        replace(each, lower=0.001, upper=900.0) if each.population == "ATE" and each.measure == "hazard ratio" else each
        for each in result.effects
    )
    reading = Reading(replace(result, effects=EffectTable(estimates=wide)))
    with drawing.figure_style():
        axes = forest_figures.ladder(reading, RFS).axes[0]
    low, high = axes.get_xlim()
    assert 0.3 < low < 1 < high < 3
    assert {"<", ">"} <= {line.get_marker() for line in axes.lines}


def test_infinite_imbalance_is_drawn_at_the_edge(result):
    rows = tuple(replace(row, smd_before=float("inf")) if row.term == "age" else row for row in result.balance.rows)
    reading = Reading(replace(result, balance=replace(result.balance, rows=rows)))
    svg = next(each for each in figures.drawings(reading) if each.name == "love").svg(3.5)
    assert "Age" in texts(svg)
    assert not re.search(r"\b(?:inf|nan)\b", svg)


def test_small_numbers_at_risk_are_not_written(result):
    curves = []
    for curve in result.curves:
        at_risk = curve.at_risk.copy()
        at_risk[-1] = 3
        curves.append(replace(curve, at_risk=at_risk))
    reading = Reading(replace(result, curves=tuple(curves), protocol=make_protocol("[report]\nsuppress_below = 5\n")))
    shown = texts(figures.drawings(reading)[0].svg())
    assert shown.count("<5") == 4
    assert "3" not in shown


def test_labels_are_not_read_as_mathematics(result):
    reading = Reading(replace(result, cohort=replace(result.cohort, treated_label="$5 & <b> $10")))
    shown = texts(next(each for each in figures.drawings(reading) if each.name == "weights").svg())
    assert "ATO, $5 & <b> $10" in shown


def test_what_is_not_there_is_not_drawn(result):
    bare = Reading(replace(result, weights=None, balance=None, curves=(), effects=EffectTable(estimates=())))
    assert [each.name for each in figures.drawings(bare)] == ["independencies"]  # needs the diagram only
    with pytest.raises(UsageError, match="no propensity scores"):
        balance_figures.overlap(bare)


def test_outcomes_whose_names_have_no_letters_still_have_files(result):
    protocol = make_protocol().model_copy(
        update={
            "outcomes": tuple(
                o.model_copy(update={"name": n}) for o, n in zip(make_protocol().outcomes, (RFS, "生存"), strict=True)
            )
        }
    )
    assert figures.file_suffix(Reading(replace(result, protocol=protocol)), "生存") == "-2"
    assert figures.file_suffix(Reading(result), OS) == "-2-overall-survival"
