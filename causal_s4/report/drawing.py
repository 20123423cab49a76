"""How every figure looks, and a figure once drawn: pixels, vectors, and what it shows in words.

Every figure comes in two journal widths: double column (7 inches) and single column (3.5 inches),
which is also what a telephone shows. Arms are blue and orange and differ in more than colour;
unadjusted estimates are open, adjusted ones filled, published ones diamonds.

matplotlib is imported inside functions, so that nothing loads it until a figure is asked for.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from causal_s4.protocol.vocabulary import Arm
from causal_s4.report.reading import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DOUBLE_COLUMN, SINGLE_COLUMN = 7.0, 3.5  # inches
BLUE, ORANGE = "#0b6fb8", "#c2410c"
INK, MUTED, FAINT, LINE = "#14202b", "#52616f", "#8894a0", "#d9e0e6"
COLOUR = {Arm.TREATED: BLUE, Arm.CONTROL: ORANGE}

_DOTS = 300
"""An inch of a figure in pixels."""
_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "text.color": INK,
    # A dollar sign in a column's name is a dollar sign.
    "text.parse_math": False,
    "text.usetex": False,
    "text.hinting": "none",  # which takes time, and which nobody sees at so many dots an inch
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 8,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "causal-s4",
    "savefig.dpi": _DOTS,
    "path.simplify": True,
}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure ready to be shown.

    Parameters
    ----------
    name : str
        Stem of its file.
    title : str
        What it shows.
    description : str
        The same in words, for who does not see it.
    note : str
        What a reader must know to read it.
    draw : callable
        Makes the figure at a width in inches.
    """

    name: str
    title: str
    description: str
    note: str
    draw: Callable[[float], Figure]
    made: dict[tuple[str, float], bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was drawn already, by format and width."""

    def svg(self, width: float = DOUBLE_COLUMN) -> str:
        """Return the figure as the text of an SVG file; the same input gives the same bytes."""
        return self._saved("svg", width).decode()

    def png(self, width: float = DOUBLE_COLUMN) -> bytes:
        """Return the figure as the bytes of a PNG file at 300 dots an inch."""
        return self._saved("png", width)

    def _saved(self, kind: str, width: float) -> bytes:
        if (kind, width) not in self.made:
            self._save(width, (kind,))
        return self.made[kind, width]

    def draw_all(self) -> Mapping[tuple[str, float], bytes]:
        """Return what a report shows: SVG at two widths, and PNG. Each width is laid out once."""
        self._save(DOUBLE_COLUMN, ("svg", "png"))
        self._save(SINGLE_COLUMN, ("svg",))
        return self.made

    def _save(self, width: float, kinds: Sequence[str]) -> None:
        with figure_style():
            figure = self.draw(width)
            for kind in kinds:
                if kind == "png":
                    self.made[kind, width] = _pixels(figure)
                else:
                    self.made[kind, width] = _describe(_vectors(figure), self.title, self.description).encode()


@contextmanager
def figure_style(more: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Draw in the style of the report, whatever the reader's own settings are."""
    import matplotlib

    with matplotlib.rc_context(cast(Any, {**_STYLE, **(more or {})})), warnings.catch_warnings():
        # A label in a script the bundled font lacks is drawn by the reader's own font in the SVG.
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        yield


def _vectors(figure: Figure) -> str:
    """Return the text of an SVG file, without when and by what it was made."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue().decode()


def _pixels(figure: Figure) -> bytes:
    """Return the bytes of a PNG file at 300 dots an inch.

    Without transparency, which a white figure has not, and at half the usual effort of packing it is made in half the time
    and no larger.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(_DOTS)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    buffer = io.BytesIO()
    picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
    picture.convert("RGB").save(buffer, "png", compress_level=3, dpi=(_DOTS, _DOTS))
    return buffer.getvalue()


def _describe(svg: str, title: str, description: str) -> str:
    """Put a title and a description into an SVG, and take out what names its maker."""
    from xml.sax.saxutils import escape

    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    # The style sheet would reach beyond the figure on a page that holds it; its two rules are inherited just as well.
    svg = re.sub(r"\s*<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>", "", svg, count=1)
    svg = svg.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" ', 1)
    # A hundredth of a point is finer than any screen or press.
    svg = re.sub(r' d="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m.group()), svg)
    said = f"<title>{escape(title)}</title>\n <desc>{escape(description)}</desc>\n "
    return re.sub(r"(<svg [^>]*>\s*)", lambda m: m.group(1) + said, svg, count=1)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches that no window shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def figure_of(axes: Axes) -> Figure:
    """Return the figure that axes are in."""
    return cast("Figure", axes.figure)


def axes_in(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Add axes whose margins are given in inches, so that text has the room it needs at any width."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    )


def fit(figure: Figure, text: str, inches: float, points: float, weight: str = "normal") -> str:
    """Return the text, shortened by an ellipsis until it is no wider than asked."""
    from matplotlib.font_manager import FontProperties

    font, renderer = FontProperties(size=points, weight=weight), figure.canvas.get_renderer()  # type: ignore[attr-defined]

    def measure(trial: str) -> float:
        return float(renderer.get_text_width_height_descent(trial, font, False)[0]) / figure.dpi

    shown = clean(text)
    while len(shown) > 1 and measure(shown) > inches:
        shown = clean(shown.rstrip("…"), len(shown.rstrip("…")) - 1)
    return shown


def is_narrow(width: float) -> bool:
    """Tell whether a figure is of a single column."""
    return width < 5


def fixed_ticks(ticks: Sequence[float]) -> Any:
    """Return a locator of just these ticks."""
    from matplotlib.ticker import FixedLocator

    return FixedLocator(list(ticks))
