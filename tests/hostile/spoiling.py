"""Ways to spoil what is valid: texts, values, bytes, tables. Everything follows from a random generator."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pandas as pd

HUGE = 10**400
LETTERS = [
    *'=[]{}()"\'\\\n\r\t#.,;:-+*/<>@$%&|~^_ 0a1xeE',
    "\0", "\x1b", "\ufeff", "\u202e", "\u2028", "é", "ß", "患", "🙂", "\u0301", "\ud7ff", "\uffff",
]  # fmt: skip
WORDS = [
    "../../../etc/passwd", "/dev/zero", "/dev/null", "C:\\cohort.csv", "~", "", " ", ".", "-", "--out", "NaN", "inf", "None", "null",
    "__import__('os').system('false')", "${HOME}", "{{ 7 * 7 }}", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "%s%n", "'; DROP TABLE x",
    "a" * 5_000, "é" * 300, "\0", "\ud800"[:0] + "\u0000x", "surgery", "death", "age", "os_months", "id", "pr_status", "1e999", "0x1F",
    "6 months", "0 days", "-1 years", "1e308 years", "1e-308 days", "999999999999 years", "ATO", "ATE", "landmark", "bootstrap", "clone-censor-weight",
    "time-dependent", "entropy-balancing", "hazard ratio", "impute", "half", "mean", "e-value", "days",
]  # fmt: skip
NUMBERS = [
    0, 1, -1, 2, 3, 7, 99, 2**31, 2**63, -(2**63), 2**64, 10**30, 0.0, -0.0, 0.5, 0.95, 1.0, 1e-320, 1e308, -1e308,
    float("inf"), float("-inf"), float("nan"), True, False,
]  # fmt: skip


def value(rng: Random, depth: int = 0) -> Any:
    """Make up a value of any kind that TOML or JSON has."""
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind < 2:
        return rng.choice(NUMBERS)
    if kind < 4:
        return rng.choice(WORDS)
    if kind == 4:
        return "".join(rng.choice(LETTERS) for _ in range(rng.randrange(12)))
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return {rng.choice(WORDS): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return [[value(rng, depth + 2)]]


def text(rng: Random, base: str, pieces: list[str]) -> str:
    """Spoil a text: letters put in, taken out or changed, lines doubled, moved, cut, or replaced by others."""
    spoilt = base
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at, kind = rng.randrange(len(spoilt) + 1), rng.randrange(9)
        if kind == 0:
            spoilt = spoilt[:at] + rng.choice(LETTERS) + spoilt[at:]
        elif kind == 1:
            spoilt = spoilt[:at] + spoilt[at + rng.choice((1, 1, 5, 40)) :]
        elif kind == 2:
            spoilt = spoilt[:at] + rng.choice(LETTERS) + spoilt[at + 1 :]
        elif kind == 3:
            spoilt = spoilt[:at] + rng.choice(WORDS) + spoilt[at:]
        elif kind == 4:
            spoilt = spoilt[:at]
        else:
            lines = spoilt.split("\n")
            row = rng.randrange(len(lines))
            if kind == 5:
                lines.insert(rng.randrange(len(lines) + 1), lines[row])
            elif kind == 6:
                lines.insert(rng.randrange(len(lines)), lines.pop(row))
            elif kind == 7:
                lines[row] = rng.choice(pieces)
            else:
                lines[row] = lines[row].partition("=")[0] + "= " + str(rng.choice(NUMBERS)).lower()
            spoilt = "\n".join(lines)
    return spoilt


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything inside lists and tables."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, item in items for place in ((*path, key), *places(item, (*path, key)))]


def structure(rng: Random, tree: Any, keys: list[str]) -> Any:
    """Spoil lists and tables: values replaced, taken out, put in under another key, nested deeper."""
    spoilt = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        found = places(spoilt)
        if not found:
            return spoilt
        *parents, last = rng.choice(found)
        holder = spoilt
        for key in parents:
            holder = holder[key]
        kind = rng.randrange(6)
        if kind == 0:
            del holder[last]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice(keys)] = value(rng)
        elif kind == 2:
            holder[last] = [holder[last]] * rng.choice((1, 2))
        elif kind == 3:
            holder[last] = {rng.choice(keys): holder[last]}
        else:
            holder[last] = value(rng)
    return spoilt


def raw(rng: Random, content: bytes) -> bytes:
    """Spoil bytes: some changed, cut out, doubled, or put in."""
    spoilt = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not spoilt:
            break
        at, kind = rng.randrange(len(spoilt)), rng.randrange(6)
        if kind < 3:
            spoilt[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, spoilt[at] ^ (1 << rng.randrange(8))))
        elif kind == 3:
            del spoilt[at : at + rng.choice((1, 4, 64, 10_000))]
        elif kind == 4:
            spoilt[at:at] = (
                spoilt[max(at - 32, 0) : at] if rng.random() < 0.5 else rng.randbytes(rng.choice((1, 4, 32)))
            )
        else:
            spoilt[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x80"))
    return bytes(spoilt)


def table(rng: Random, frame: pd.DataFrame) -> pd.DataFrame:
    """Spoil a table: cells of other values and kinds, columns and rows taken out, doubled, renamed or made constant."""
    spoilt = frame.astype(object)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if spoilt.empty:
            break
        column, kind = rng.randrange(spoilt.shape[1]), rng.randrange(9)
        rows = rng.sample(range(len(spoilt)), min(len(spoilt), rng.choice((1, 3, 50))))
        if kind < 4:
            spoilt.iloc[rows, column] = rng.choice((None, *NUMBERS, *WORDS))
        elif kind == 4:
            spoilt.iloc[:, column] = rng.choice((None, *NUMBERS, *WORDS))
        elif kind == 5:
            spoilt = spoilt.drop(columns=spoilt.columns[column])
        elif kind == 6:
            spoilt.columns = [rng.choice(WORDS) if k == column else name for k, name in enumerate(spoilt.columns)]
        elif kind == 7:
            spoilt = pd.concat([spoilt, spoilt.iloc[rows]], ignore_index=True)
        else:
            spoilt = spoilt.iloc[rows].reset_index(drop=True)
    return spoilt
