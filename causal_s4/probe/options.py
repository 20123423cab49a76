"""How the options of a ``[sensitivity]`` block are read: a value in, the same value checked out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from causal_s4.errors import UsageError
from causal_s4.protocol.vocabulary import Duration

Reader = Callable[[Any], Any]
"""Reads a value of the study file, or raises ValueError with what it expects."""


def number(low: float, high: float) -> Reader:
    """Return a reader of a number within limits."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return read


def whole(low: int, high: int) -> Reader:
    """Return a reader of a whole number within limits."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return read


def several(one: Reader, least: int = 1) -> Reader:
    """Return a reader of a list, each item by a reader."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) < least:
            raise ValueError(f"a list of at least {least}")
        return tuple(one(each) for each in value)

    return read


def pair(one: Reader) -> Reader:
    """Return a reader of two values, each by a reader."""

    def read(value: Any) -> tuple[Any, Any]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ValueError("pairs of two numbers")
        return one(value[0]), one(value[1])

    return read


def text(value: Any) -> str:
    """Read text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("text")
    return value


def flag(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def length(value: Any) -> str:
    """Read a duration."""
    try:
        Duration.parse(value)
    except UsageError as error:
        raise ValueError('a duration such as "30 days"') from error
    return str(value)


def one_of(*words: str) -> Reader:
    """Return a reader of one of some words."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return read


def columns(value: Any) -> dict[str, tuple[str, ...]]:
    """Read a table of names, each with a list of covariates."""
    if not isinstance(value, Mapping) or not value:
        raise ValueError("a table of names, each with a list of covariates")
    return {str(name): several(text)(each) for name, each in value.items()}


def table(value: Any) -> dict[str, Any]:
    """Read a table."""
    if not isinstance(value, Mapping):
        raise ValueError("a table")
    return dict(value)
