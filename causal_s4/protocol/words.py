"""Plain words for what was found in a study file, and the nearest known word to a mistyped one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

_LONGEST_SHOWN = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def quoted(value: Any) -> str:
    """Return a value as a study file would write it, cut when long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}..."
        return '"' + "".join(_printable(letter) for letter in shown) + '"'
    if isinstance(value, int) and value.bit_length() > 64:
        return f"{'-' if value < 0 else ''}2^{value.bit_length() - 1} or more"
    return str(value)


def _printable(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")


def found(value: Any) -> str:
    """Say in plain words what a value is."""
    if isinstance(value, bool):
        return quoted(value)
    if isinstance(value, int | float):
        return f"the number {quoted(value)}"
    if isinstance(value, str):
        return f"the text {quoted(value)}" if value.strip() else "empty text"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, datetime | date | time):
        return "a date or time"
    if isinstance(value, Sequence):
        return "an empty list" if not value else f"a list of {len(value)} value{'s' if len(value) > 1 else ''}"
    return "nothing" if value is None else f"a {type(value).__name__}"


def one_of(known: Iterable[Any]) -> str:
    """Return ``"a", "b" or "c"``."""
    names = [quoted(str(name)) for name in dict.fromkeys(known)]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word closest to a mistyped one, or None when none is close.

    Examples
    --------
    >>> nearest("treatmnt", ["treatment", "time_zero"])
    'treatment'
    """
    plain = {_plain(name): name for name in known}
    close = difflib.get_close_matches(_plain(word[:_LONGEST_SHOWN]), plain, n=1, cutoff=0.6)
    return plain[close[0]] if close else None


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """Return a sentence naming the nearest known word, or nothing."""
    close = nearest(word, known) if isinstance(word, str) else None
    return f"Did you mean {quoted(close)}?" if close else ""


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")


def key_path(path: Iterable[str | int]) -> str:
    """Write a key path, the items of a list counted from 1.

    Examples
    --------
    >>> key_path(("outcome", 0, "horizons"))
    'outcome[1].horizons'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            name = part if _BARE_KEY.fullmatch(part) else quoted(part)
            text += f".{name}" if text else name
    return text
