"""Figures for papers: ``result.plot.ladder().save("figure1.pdf")``.

Every figure of the report in a journal's column width, as vectors or at 300 dots an inch, in one palette.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causal_s4.background import begin
from causal_s4.errors import InputError, UsageError
from causal_s4.protocol.vocabulary import Measure
from causal_s4.report.diagram import diagram
from causal_s4.report.doubt_figures import clones_drawing, contour_drawing, specification_drawing
from causal_s4.report.drawing import DOUBLE_COLUMN, SINGLE_COLUMN, Drawing, figure_style
from causal_s4.report.figures import drawings, file_suffix
from causal_s4.report.flow_figure import flow_drawing
from causal_s4.report.reading import Reading, clean
from causal_s4.results import CloneFlow, StudyResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS: Mapping[str, float] = {"single": SINGLE_COLUMN, "middle": 5.5, "double": DOUBLE_COLUMN}
"""Journal column widths in inches: 89, 140 and 178 mm."""
# What would stamp the time or the maker into a file, by format.
_METADATA: Mapping[str, dict[str, Any]] = {
    "svg": {},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "png": {"Software": None},
}


def every_drawing(reading: Reading) -> dict[str, Drawing]:
    """Return every figure that a result has data for, by name, in the order a report shows them."""
    flow = getattr(reading.result, "clone_flow", None)
    found = (
        diagram(reading),
        flow_drawing(reading),
        *drawings(reading),
        clones_drawing(reading, flow) if isinstance(flow, CloneFlow) else None,
        contour_drawing(reading),
        specification_drawing(reading),
    )
    return {drawing.name: drawing for drawing in found if drawing is not None}


def draw_ahead(reading: Reading, drawn: Mapping[str, Drawing]) -> Callable[[], None]:
    """Begin to draw all figures of a report in a second process.

    Parameters
    ----------
    reading : Reading
    drawn : mapping of str to Drawing
        Its figures; what is drawn is put into them.

    Returns
    -------
    callable
        Draws those that were not begun, from the last one backwards, and waits for the others.
    """
    pending = [(drawn[name], begin(_draw, reading.result, name)) for name in drawn]

    def finish() -> None:
        for drawing, made in reversed(pending):
            drawing.made.update(made())

    return finish


def _draw(result: StudyResult, name: str) -> Mapping[tuple[str, float], bytes]:
    return every_drawing(Reading(result))[name].draw_all()


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure at a width, ready to be saved or shown in a notebook.

    Parameters
    ----------
    drawing : Drawing
        The figure with its title, its description in words and its note.
    width : float
        In inches.
    """

    drawing: Drawing
    width: float

    def figure(self) -> Figure:
        """Return it as a matplotlib figure, to be changed further."""
        with figure_style():
            return self.drawing.draw(self.width)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to a file; the ending says how.

        Parameters
        ----------
        path : path-like
            Ends in ``.svg`` or ``.pdf`` (vectors), or ``.png`` (300 dots an inch).

        Returns
        -------
        Path
            The file. The same figure gives the same bytes.

        Raises
        ------
        UsageError
            For another ending.
        InputError
            When the file cannot be written.
        """
        file = Path(path)
        kind = file.suffix.lower().lstrip(".")
        if kind not in _METADATA:
            endings = ", ".join(f".{name}" for name in _METADATA)
            raise UsageError(
                f"a figure is saved as one of {endings}; found {file.name!r}. Give it one of these endings"
            )
        content = self._bytes(kind)
        try:
            file.write_bytes(content)
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
        return file

    def _bytes(self, kind: str) -> bytes:
        if kind == "svg":
            return self.drawing.svg(self.width).encode()
        if kind == "png":
            return self.drawing.png(self.width)
        buffer = io.BytesIO()
        # Type 42 fonts stay text that an editor can take up.
        with figure_style({"pdf.fonttype": 42}):
            self.drawing.draw(self.width).savefig(buffer, format=kind, metadata=_METADATA[kind])
        return buffer.getvalue()

    def _repr_svg_(self) -> str:
        return self.drawing.svg(self.width)


class Plots:
    """The figures of one study result.

    Each method takes a ``width`` (``"single"``, ``"middle"`` or ``"double"`` column, or inches) and returns
    a :class:`Plot`. One that the result holds no data for raises a
    :class:`~causal_s4.errors.UsageError` saying why.

    Examples
    --------
    >>> result.plot.ladder(width="single").save("figure1.pdf")  # doctest: +SKIP
    """

    def __init__(self, result: StudyResult) -> None:
        self._reading = Reading(result)

    @cached_property
    def _drawn(self) -> dict[str, Drawing]:
        return every_drawing(self._reading)

    def ladder(
        self, outcome: str | None = None, *, measure: str = Measure.HAZARD_RATIO, width: str | float = "double"
    ) -> Plot:
        """Return every estimate of an outcome, from unadjusted to published, as a forest plot.

        Parameters
        ----------
        outcome : str, optional
            Its name; the primary outcome by default.
        measure : {"hazard ratio", "survival difference", "rmst difference"}
            What is drawn; differences are at the longest horizon.
        width : str or float
        """
        stems = {
            Measure.HAZARD_RATIO: "ladder",
            Measure.SURVIVAL_DIFFERENCE: "survival-difference",
            Measure.RMST_DIFFERENCE: "rmst-difference",
        }
        if measure not in stems:
            raise UsageError(f"a ladder is drawn of {', '.join(stems)}; found {measure!r}")
        name = stems[Measure(measure)] + self._suffix(outcome)
        return self._plot(name, width, f"there is no {measure} of this outcome that was estimated")

    def curves(self, outcome: str | None = None, *, width: str | float = "double") -> Plot:
        """Return the unadjusted and the adjusted survival curves of an outcome, with bands and patients at risk."""
        return self._plot(f"curves{self._suffix(outcome)}", width, "it holds no survival curves of this outcome")

    def love(self, *, width: str | float = "double") -> Plot:
        """Return the standardised mean differences before and after weighting."""
        return self._plot("love", width, "no covariates were weighted, so there is no balance to show")

    def overlap(self, *, width: str | float = "double") -> Plot:
        """Return the propensity scores of the arms as a mirrored histogram."""
        return self._plot("overlap", width, "no propensity score was estimated")

    def weights(self, *, width: str | float = "double") -> Plot:
        """Return the spread of the weights of each population and arm."""
        return self._plot("weights", width, "no weights were estimated")

    def dag(self, *, width: str | float = "double") -> Plot:
        """Return the causal diagram with the adjustment set marked in it."""
        return self._plot("dag", width, "it holds no drawing of the causal diagram")

    def flow(self, *, width: str | float = "double") -> Plot:
        """Return the flow of patients from the file to the arms."""
        return self._plot("flow", width, "it tells no steps of selection")

    def contour(self, *, width: str | float = "double") -> Plot:
        """Return what an unmeasured confounder of every pair of strengths could make of the estimate."""
        why = 'it holds no grid of bias factors; ask for [sensitivity."bias-factor"]'
        return self._plot("contour", width, why)

    def specifications(self, *, width: str | float = "double") -> Plot:
        """Return the estimates of every reasonable choice of analysis, in order, over their choices."""
        why = 'it holds no specification curve; ask for [sensitivity."specification-curve"]'
        return self._plot("specifications", width, why)

    def clones(self, flow: CloneFlow | None = None, *, width: str | float = "double") -> Plot:
        """Return what became of the clones of each arm.

        Parameters
        ----------
        flow : CloneFlow, optional
            Of a clone-censor-weight analysis; the result's own by default.
        width : str or float
        """
        drawing = self._drawn.get("clones") if flow is None else clones_drawing(self._reading, flow)
        return self._made(drawing, "clones", width, "no clones were made: its design is not clone-censor-weight")

    def _suffix(self, outcome: str | None) -> str:
        outcomes = self._reading.outcomes
        if outcome is not None and outcome not in outcomes:
            raise UsageError(
                f"there is no outcome {clean(outcome)!r}; expected one of {', '.join(map(repr, outcomes))}"
            )
        return file_suffix(self._reading, outcome or outcomes[0])

    def _plot(self, name: str, width: str | float, why: str) -> Plot:
        return self._made(self._drawn.get(name), name, width, why)

    @staticmethod
    def _made(drawing: Drawing | None, name: str, width: str | float, why: str) -> Plot:
        if drawing is None:
            raise UsageError(f"this result cannot draw {name}: {why}")
        return Plot(drawing=drawing, width=_inches(width))


def _inches(width: str | float) -> float:
    if isinstance(width, str) and width in WIDTHS:
        return WIDTHS[width]
    if isinstance(width, int | float) and not isinstance(width, bool) and 2.5 <= width <= 12:
        return float(width)
    raise UsageError(f"width is {', '.join(map(repr, WIDTHS))}, or 2.5 to 12 inches; found {width!r}")
