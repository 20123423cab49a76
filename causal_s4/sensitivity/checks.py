"""Refuse numbers that make no sense, all of them in one message."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from causal_s4.errors import Problem, UsageError
from causal_s4.results import Floats, Ints


def _range_in_words(what: str, above: float, at_least: float, below: float, at_most: float) -> str:
    named = (("above", above), ("at least", at_least), ("below", below), ("at most", at_most))
    asked = " and ".join(f"{word} {limit:g}" for word, limit in named if math.isfinite(limit))
    return f"{what} {asked}".strip()


def name_rows(index: Ints, most: int = 5) -> str:
    """Name up to ``most`` rows, counted from 1."""
    shown = ", ".join(str(int(row) + 1) for row in index[:most])
    return f"row{'' if len(index) == 1 else 's'} {shown}{', ...' if len(index) > most else ''}"


class Checker:
    """Collects what is wrong with the arguments of one call.

    Parameters
    ----------
    subject : str
        What was asked for; opens the message.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.problems: list[Problem] = []

    def refuse(self, where: str, found: str, *, expected: str = "", todo: str = "") -> None:
        """Add a problem."""
        self.problems.append(Problem(where=where, found=found, expected=expected, todo=todo))

    def number(
        self,
        where: str,
        value: Any,
        *,
        above: float = -math.inf,
        at_least: float = -math.inf,
        below: float = math.inf,
        at_most: float = math.inf,
    ) -> bool:
        """Return whether a value is a finite number inside its range; add a problem if not."""
        expected = _range_in_words("a finite number", above, at_least, below, at_most)
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
            self.refuse(where, f"found {type(value).__name__}", expected=expected)
            return False
        if isinstance(value, int) and abs(value) >= 2**64:
            self.refuse(where, "found a number beyond what is computed with", expected=expected)
            return False
        fits = bool(math.isfinite(value) and above < value < below and at_least <= value <= at_most)
        if not fits:
            self.refuse(where, f"found {value:g}", expected=expected)
        return fits

    def numbers(self, where: str, values: Any, **limits: float) -> bool:
        """Return whether a sequence holds at least one number and only numbers inside the range."""
        if isinstance(values, str) or not isinstance(values, Iterable):
            self.refuse(where, f"found {type(values).__name__}", expected="a sequence of numbers")
            return False
        listed = list(values)
        if not listed:
            self.refuse(where, "found an empty sequence", expected="at least one number")
            return False
        before = len(self.problems)
        for place, each in enumerate(listed):
            self.number(f"{where}[{place}]", each, **limits)
        return len(self.problems) == before

    def interval(self, lower: float | None, upper: float | None, *, around: float | None, **limits: float) -> None:
        """Check the limits of an interval around an estimate; either limit may be missing."""
        sound = [
            value is not None and self.number(name, value, **limits)
            for name, value in (("lower", lower), ("upper", upper))
        ]
        if all(sound) and lower is not None and upper is not None and lower > upper:
            self.refuse("lower", f"found {lower:g}, above upper, {upper:g}", todo="Swap them.")
            return
        if around is None:
            return
        if sound[0] and lower is not None and lower > around:
            self.refuse("lower", f"found {lower:g}", expected=f"at most the estimate, {around:g}")
        if sound[1] and upper is not None and upper < around:
            self.refuse("upper", f"found {upper:g}", expected=f"at least the estimate, {around:g}")

    def choice(self, where: str, value: Any, allowed: Sequence[str]) -> bool:
        """Return whether a word is one of those allowed."""
        is_text = isinstance(value, str)
        if is_text and value in allowed:
            return True
        self.refuse(
            where,
            f"found {value if is_text else type(value).__name__!r}",
            expected=" or ".join(repr(each) for each in allowed),
        )
        return False

    def array(
        self,
        where: str,
        values: ArrayLike,
        shape: tuple[int | None, ...],
        *,
        at_least: float = -math.inf,
        at_most: float = math.inf,
        above: float = -math.inf,
        below: float = math.inf,
    ) -> Floats:
        """Return an array of floats; add a problem when its shape or its values are wrong.

        ``None`` in ``shape`` stands for any length. Row numbers are named, values are not.
        """
        array = np.asarray(values, dtype=float)
        matches = array.ndim == len(shape) and all(
            want is None or want == have for want, have in zip(shape, array.shape, strict=True)
        )
        if not matches:
            wanted = ", ".join("any" if each is None else str(each) for each in shape)
            self.refuse(where, f"found shape {array.shape}", expected=f"shape ({wanted})")
            return array
        good = np.isfinite(array) & (array >= at_least) & (array <= at_most) & (array > above) & (array < below)
        if not good.all():
            self.refuse(
                where,
                f"{int((~good).sum())} values do not fit ({name_rows(np.unique(np.nonzero(~good)[0]))})",
                expected=_range_in_words("finite numbers", above, at_least, below, at_most),
            )
        return array

    def raise_if_any(self) -> None:
        """Raise a :class:`UsageError` with everything collected."""
        if self.problems:
            raise UsageError(f"{self.subject} cannot be computed from these numbers", self.problems)
