"""A protocol back to TOML text: the same protocol always gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from causal_s4.protocol.vocabulary import Duration

_ESCAPED = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def write_toml(content: Mapping[str, Any]) -> str:
    """Write top-level values, tables and lists of tables.

    Parameters
    ----------
    content : mapping
        Values are text, numbers, true and false, durations, tuples and mappings. A mapping at the
        top becomes a table, a tuple of mappings a list of tables; deeper ones stay on their line.

    Returns
    -------
    str
        TOML text that ends with a line break.
    """
    values = [f"{_key(name)} = {_value(value)}" for name, value in content.items() if not _is_table(value)]
    blocks = ["\n".join(values)] if values else []
    for name, value in content.items():
        if isinstance(value, Mapping):
            blocks.append(_block(f"[{_key(name)}]", value))
        elif _is_table(value):
            blocks += [_block(f"[[{_key(name)}]]", item) for item in value]
    return "\n\n".join(blocks) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )


def _block(header: str, table: Mapping[str, Any]) -> str:
    return "\n".join([header, *(f"{_key(name)} = {_value(value)}" for name, value in table.items())])


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str | Duration):
        return _quote(str(value))
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return f"[{', '.join(_value(item) for item in value)}]"


def _key(name: str) -> str:
    return name if name and _BARE.issuperset(name) else _quote(name)


def _quote(text: str) -> str:
    return '"' + "".join(_ESCAPED.get(letter) or _control(letter) for letter in text) + '"'


def _control(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x20 or ord(letter) == 0x7F else letter
