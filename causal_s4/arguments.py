"""What public functions are given, held against what their signatures say that they take.

A wrong kind of value is refused at the door, by name and all at once, instead of failing somewhere inside.
The hints are read as they stand in the source, so that nothing has to be imported for them; of values
only the kind is looked at, and never told.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from causal_s4.errors import Problem, UsageError

P = ParamSpec("P")
R = TypeVar("R")

_OURS = ("Cohort", "RiskTable", "Weights", "Protocol", "DataFrame")
_SEVERAL = ("Sequence", "Iterable", "Collection", "tuple", "list")
_WORDS = {
    "str": "text",
    "float": "a number",
    "int": "a whole number",
    "bool": "True or False",
    "PathLike": "a path",
    "Path": "a path",
    "Callable": "a function",
    "None": "None",
}
_OF = {"str": "texts", "float": "numbers", "int": "whole numbers"}


def checked_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function refuse arguments of another kind than its signature says.

    Parameters
    ----------
    function : callable
        Annotated with hints as text (``from __future__ import annotations``). Of the hints, those for
        numbers, text, paths, sequences, mappings and the values of this package are held against what
        is given; any other takes everything.

    Returns
    -------
    callable
        Raises :class:`~causal_s4.errors.UsageError` naming every argument of a wrong kind.
    """
    signature = inspect.signature(function)
    hints = {
        name: ast.parse(parameter.annotation, mode="eval").body
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.annotation, str) and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # Python names what is missing or unknown
        problems = [
            Problem(where=name, found=_kind(given[name]), expected=_words(hint))
            for name, hint in hints.items()
            if name in given and not _fits(given[name], hint)
        ]
        if problems:
            raise UsageError(f"{function.__name__} was given what it cannot take", problems)
        return function(*args, **kwargs)

    return call


def _fits(value: Any, hint: ast.expr) -> bool:
    """Whether a value is of the kind that a hint says; True for hints that are not held against anything."""
    match hint:
        case ast.BinOp(left=left, right=right):
            return _fits(value, left) or _fits(value, right)
        case ast.Constant(value=None):
            return value is None
        case ast.Subscript(value=ast.Name(id=name), slice=inner) if name in _SEVERAL:
            return _is_several(value) and all(_fits(each, _item(inner)) for each in value)
        case ast.Subscript(value=ast.Name(id="Mapping"), slice=ast.Tuple(elts=[key, item])):
            return isinstance(value, Mapping) and all(_fits(k, key) and _fits(v, item) for k, v in value.items())
        case ast.Subscript(value=outer):
            return _fits(value, outer)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _is_one(value, name)
    return True


def _is_one(value: Any, name: str) -> bool:
    is_flag = isinstance(value, bool) or type(value).__name__ == "bool"
    match name:
        case "str":
            return isinstance(value, str)
        case "float":
            return isinstance(value, Real) and not is_flag and not _is_huge(value)
        case "int":
            return isinstance(value, Integral) and not is_flag and not _is_huge(value)
        case "bool":
            return is_flag
        case "PathLike" | "Path":
            return hasattr(value, "__fspath__")
        case "Callable":
            return callable(value)
    return name not in _OURS or name in {each.__name__ for each in type(value).__mro__}


def _is_huge(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= 2**64


def _is_several(value: Any) -> bool:
    """Whether values come one after another: text, tables and arrays of several dimensions do not."""
    flat = getattr(value, "ndim", 1) == 1
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) and flat


def _item(inner: ast.expr) -> ast.expr:
    return inner.elts[0] if isinstance(inner, ast.Tuple) else inner


def _words(hint: ast.expr) -> str:
    match hint:
        case ast.BinOp(left=left, right=right):
            return " or ".join(dict.fromkeys((_words(left), _words(right))))
        case ast.Subscript(value=ast.Name(id=name), slice=inner) if name in _SEVERAL:
            item = _item(inner)
            return f"a list of {_OF.get(item.id, 'values') if isinstance(item, ast.Name) else 'lists'}"
        case ast.Subscript(value=ast.Name(id="Mapping")):
            return "a mapping"
        case ast.Subscript(value=outer):
            return _words(outer)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _WORDS.get(name, f"a {name}")
    return "None"


def _kind(value: Any) -> str:
    """Name the kind of a value, and of the values in a list, without telling them."""
    if value is None:
        return "None"
    if _is_huge(value):
        return "a number beyond what is computed with"
    if inspect.isclass(value):
        return "a class"
    if _is_several(value):
        kinds = sorted({"None" if each is None else type(each).__name__ for each in value})
        return f"a {type(value).__name__} of {', '.join(kinds)}" if kinds else f"an empty {type(value).__name__}"
    return f"a {type(value).__name__}"
