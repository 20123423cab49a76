"""The page that sets our results next to R's, and to those of other software."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from docs.make.comparisons import SOURCES, Pair
from docs.make.markdown import table, write

SHOWN = 10  # numbers of a function in the table; all are counted


def write_against_r(folder: Path, pairs: Sequence[Pair] = ()) -> None:
    """Write the summary, and the numbers themselves.

    Parameters
    ----------
    folder : Path
    pairs : sequence of Pair
        What is compared; everything by default.
    """
    pairs = pairs or [pair for source in SOURCES.values() for pair in source()]
    write(folder / "summary.md", summary(pairs))
    write(folder / "numbers.md", numbers(pairs))


def by_function(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Return the pairs of each function."""
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(pair.function, []).append(pair)
    return found


def summary(pairs: Sequence[Pair]) -> str:
    """Return one row a function: how many numbers, how far apart at most, whose."""
    rows = [
        (
            f"`{function}`",
            f"{len(own):,}",
            distance(max(pair.difference for pair in own)),
            "; ".join(dict.fromkeys(pair.software for pair in own)),
        )
        for function, own in by_function(pairs).items()
    ]
    return table(("Function", "Numbers compared", "Largest difference", "Software"), rows, right=(1, 2))


def numbers(pairs: Sequence[Pair]) -> str:
    """Return some numbers of each function, evenly spread over what is compared."""
    headings = ("Quantity", "Data", "Ours", "Theirs", "Software", "Difference")
    parts = []
    for function, own in by_function(pairs).items():
        chosen = [own[int(k)] for k in np.linspace(0, len(own) - 1, min(SHOWN, len(own)))]
        rows = [
            (*each[1:3], digits(each.ours), digits(each.theirs), each.software, distance(each.difference))
            for each in chosen
        ]
        parts.append(f"### `{function}`\n\n{table(headings, rows, right=(2, 3, 5))}")
    return "\n".join(parts)


def distance(value: float) -> str:
    """Return a difference to one digit."""
    return f"{value:.0e}" if value else "0"


def digits(value: float) -> str:
    """Return a number to ten significant digits; what is zero up to rounding as zero."""
    return "0" if abs(value) < 1e-9 else f"{value:.10g}"
