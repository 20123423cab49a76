"""The page that sets our results next to R's, and to those of other software."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from docs.make.comparisons import SOURCES, Pair
from docs.make.markdown import table, write

SHOWN = 10  # numbers of a function in the table; all are counted


def write_against_r(folder: Path, *, only: Sequence[str] = tuple(SOURCES)) -> None:
    """Write the summary, and the numbers themselves.

    Parameters
    ----------
    folder : Path
    only : sequence of str
        Which comparisons to make; all by default.
    """
    pairs = [pair for name in only for pair in SOURCES[name]()]
    write(folder / "summary.md", summary(pairs))
    write(folder / "numbers.md", numbers(pairs))
    write(folder / "functions.json", json.dumps(sorted(by_function(pairs))) + "\n")


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
            f"{max(pair.difference for pair in own):.0e}",
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
            (*each[1:3], digits(each.ours), digits(each.theirs), each.software, f"{each.difference:.0e}")
            for each in chosen
        ]
        parts.append(f"### `{function}`\n\n{table(headings, rows, right=(2, 3, 5))}")
    return "\n".join(parts)


def digits(value: float) -> str:
    """Return a number to ten significant digits; what is zero up to rounding as zero."""
    return "0" if abs(value) < 1e-9 else f"{value:.10g}"
