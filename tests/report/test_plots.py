"""The figures for papers: widths, formats, equal bytes, and why one cannot be drawn."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from fixtures import OS, RFS, make_result

from causal_s4.errors import InputError, UsageError
from causal_s4.report.diagram import draw_diagram
from causal_s4.report.plots import WIDTHS, Plots
from causal_s4.results import CloneFlow, CloneFlowRow, SensitivityResult

STRENGTHS = (1.25, 1.5, 2.0, 3.0, 4.0, 5.0)


def bias_grid(estimate=0.8, upper=0.92):
    """Return a grid of bias factors, each a * b / (a + b - 1) (Ding & VanderWeele 2016, 10.1097/EDE.0000000000000457)."""
    rows = []
    for a in STRENGTHS:
        for b in STRENGTHS:
            factor = a * b / (a + b - 1)
            rows.append(
                {"rr_eu": a, "rr_ud": b, "estimate": estimate * factor, "lower": 0.6 * factor, "upper": upper * factor}
            )
    return SensitivityResult(
        method="bias factor",
        parameters={"measure": "risk ratio", "estimate": estimate, "risk_ratio": estimate, "true": 1.0},
        value=1 / estimate,
        unit="risk ratio",
        table=tuple(rows),
    )


def specification_table():
    rows = [
        {
            "population": p,
            "method": m,
            "value": v,
            "lower": v * 0.8,
            "upper": v * 1.25,
            "excludes_one": x,
            "admissible": a,
        }
        for p, m, v, x, a in (
            ("ATO", "logistic", 0.7, True, True),
            ("ATT", "logistic", 0.74, True, True),
            ("ATE", "entropy-balancing", 0.9, False, True),
            ("ATE", "logistic", 0.95, False, False),
        )
    ]
    failed = {**dict.fromkeys(rows[0]), "population": "ATE", "admissible": False}
    return SensitivityResult(method="specification curve", unit="hazard ratio", table=(*rows, failed))


def clone_flow():
    rows = [
        CloneFlowRow(
            time=float(t),
            arm=arm,
            followed=100 - 5 * t,
            adherent=0,
            deviated=3 * t,
            events=t,
            lost=t,
            ess=50.0,
            mean_weight=1.0,
            largest_share=0.1,
        )
        for arm in ("treated", "control")
        for t in range(7)
    ]
    return CloneFlow(outcome=RFS, grace_period=3.0, unit="months", n=100, shares=(), rows=tuple(rows))


@pytest.fixture(scope="module")
def plots():
    probed = (*make_result().sensitivity, bias_grid(), specification_table())
    return make_result(sensitivity=probed).plot


DRAWN = ("ladder", "curves", "love", "overlap", "weights", "dag", "contour", "specifications")


@pytest.mark.parametrize("name", DRAWN)
def test_each_figure_is_drawn_in_a_column_width(plots, name):
    plot = getattr(plots, name)(width="single")
    assert plot.width == WIDTHS["single"] == 3.5
    assert plot.figure().get_size_inches()[0] == pytest.approx(3.5)
    assert plot.drawing.title
    assert plot.drawing.description


def test_each_figure_that_has_no_data_says_why():
    bare = make_result(
        weights=None,
        balance=None,
        other_weights=(),
        sensitivity=(),
        curves=(),
        adjustment=replace(make_result().adjustment, drawing=""),
    ).plot
    for name in (*DRAWN[1:], "clones"):
        with pytest.raises(UsageError, match=f"cannot draw {name}: "):
            getattr(bare, name)()


def test_ladders_and_curves_are_of_the_outcome_and_measure_asked(plots):
    assert plots.ladder().drawing.name == "ladder"
    assert plots.ladder(OS).drawing.name == "ladder-2-overall-survival"
    assert plots.ladder(measure="rmst difference").drawing.name == "rmst-difference"
    assert OS in plots.curves(OS).drawing.title
    with pytest.raises(UsageError, match="no outcome 'Relapse'; expected one of"):
        plots.curves("Relapse")
    with pytest.raises(UsageError, match="found 'p-value'"):
        plots.ladder(measure="p-value")


@pytest.mark.parametrize("width", ["broad", 1.0, 40, True])
def test_other_widths_are_refused(plots, width):
    with pytest.raises(UsageError, match=r"width is 'single', 'middle', 'double', or 2\.5 to 12 inches"):
        plots.love(width=width)


def test_vectors_are_vectors_and_equal_each_time(plots, tmp_path):
    plot = plots.ladder(width="middle")
    svg = plot.save(tmp_path / "ladder.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(svg)
    assert "<image" not in svg
    first, second = (plot.save(tmp_path / f"{i}.pdf").read_bytes() for i in range(2))
    assert first == second
    assert first.startswith(b"%PDF")
    assert b"CreationDate" not in first
    # 5.5 inches are 396 points.
    assert b"MediaBox [ 0 0 396 " in first


def test_other_endings_and_folders_that_are_not_there_are_refused(plots, tmp_path):
    with pytest.raises(UsageError, match=r"\.svg, \.pdf, \.png; found 'ladder.jpg'"):
        plots.love().save(tmp_path / "ladder.jpg")
    with pytest.raises(InputError, match="cannot be written"):
        plots.love(width="single").save(tmp_path / "no" / "love.svg")


def test_a_notebook_shows_the_figure(plots):
    assert plots.love()._repr_svg_().lstrip().startswith("<?xml")


def test_the_contour_of_no_effect_is_where_the_bias_factor_undoes_the_estimate(plots):
    # 1 / 0.8 = 1.25: along the thickest line a * b / (a + b - 1) is that, and on it lies the E-value, 1.25 + sqrt(1.25 / 4)
    axes = plots.contour().figure().axes[0]
    a, b = max(axes.lines, key=lambda line: line.get_linewidth()).get_xydata().T
    assert a * b / (a + b - 1) == pytest.approx(1.25)
    (diamond,) = (line.get_xydata()[0] for line in axes.lines if line.get_marker() == "D")
    assert diamond == pytest.approx([1.25 + 0.3125**0.5] * 2)


def test_the_specification_curve_counts_what_crosses_1(plots):
    said = plots.specifications().drawing.description
    assert said == (
        "4 specifications in the order of their estimates, 3 of them admissible; the interval of 1 of these includes 1."
    )


def test_clones_are_drawn_from_their_flow(plots):
    with pytest.raises(UsageError, match="no clones were made"):
        plots.clones()
    plot = plots.clones(clone_flow())
    figure = plot.figure()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Hormonal treatment", "No hormonal treatment"]
    assert "100 patients, each cloned into both arms, with a grace period of 3 months" in plot.drawing.description


def test_the_diagram_for_print_shows_the_labels_of_the_drawing():
    figure = draw_diagram(make_result().adjustment.drawing, 7.0)
    assert [text.get_text() for text in figure.axes[0].texts] == ["age", "nodes", "hormon", "rfs"]
    assert len(figure.axes[0].patches) == 4 + 5 + 5  # nodes, arrows, their heads
    with pytest.raises(UsageError, match="no drawing of its causal diagram"):
        draw_diagram("<svg", 7.0)


def test_plots_of_a_result_are_its_own():
    assert isinstance(make_result().plot, Plots)
