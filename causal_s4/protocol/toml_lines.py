"""Where each key of a TOML text stands, so that a message can say which line to look at.

The standard library's reader returns values without their places. This scanner reads the same text
once more, only for places. It expects text the reader has accepted, and never raises.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""Keys and, for items of a list, positions from 0: ``("outcome", 0, "time")``."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_LITERAL = re.compile(r"'([^'\n]*)'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\[\s\S])*?"{3,5}')
_LONG_LITERAL = re.compile(r"'''[\s\S]*?'{3,5}")
_BLANK = re.compile(r"(?:[ \t]|#[^\n]*)*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}\n#]*")
_VALUES = (_LONG_BASIC, _LONG_LITERAL, _BASIC, _LITERAL, _SCALAR)
_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([btnfr"\\]))')
_SHORT = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


class TomlLines:
    """Line numbers of the keys of a TOML text.

    Parameters
    ----------
    text : str
        The text, already accepted by a TOML reader.
    """

    def __init__(self, text: str) -> None:
        self._lines: Mapping[KeyPath, int] = _Scanner(text.replace("\r\n", "\n")).scan()

    def exact(self, path: KeyPath) -> int | None:
        """Return the line of a key, counted from 1; None when the text does not have it."""
        return self._lines.get(path)

    def nearest(self, path: KeyPath) -> int | None:
        """Return the line of a key, or of the closest table around it that the text has."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None


class _Scanner:
    """One pass over the text, keeping the line on which each key path first appears."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: dict[KeyPath, int] = {}
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.last_item: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        """Return the line of every key path."""
        table: KeyPath = ()
        try:
            while self._skip(_BLANK_LINES) < len(self.text):
                table = self._statement(table)
        except (RecursionError, _Lost):
            pass  # places are a courtesy: what was found so far still helps
        return self.lines

    def _statement(self, table: KeyPath) -> KeyPath:
        """Read a header or a pair; return the table that the next pair belongs to."""
        if self._take("[["):
            return self._header(item=True)
        if self._take("["):
            return self._header(item=False)
        self._pair(table)
        return table

    def _header(self, *, item: bool) -> KeyPath:
        line = self._line()
        *parents, name = self._dotted_key()
        path: KeyPath = ()
        for part in parents:
            path = self._inside((*path, part), line)
        path = (*path, name)
        self._note(path, line)
        if item:
            self.last_item[path] = self.last_item.get(path, -1) + 1
        path = self._inside(path, line)
        self._expect("]]" if item else "]")
        return path

    def _inside(self, path: KeyPath, line: int) -> KeyPath:
        """Step into a table; into the latest one where there are several."""
        self._note(path, line)
        if path in self.last_item:
            path = (*path, self.last_item[path])
            self._note(path, line)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for part in self._dotted_key():
            path = (*path, part)
            self._note(path, line)
        self._expect("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        """Skip a value, noting the places of what is inside it."""
        self._skip(_BLANK)
        if self._take("["):
            index = 0
            while not self._take("]", after=_BLANK_LINES):
                self._note((*path, index), self._line())
                self._value((*path, index))
                index += 1
                self._take(",", after=_BLANK_LINES)
        elif self._take("{"):
            while not self._take("}", after=_BLANK_LINES):
                self._pair(path)
                self._take(",", after=_BLANK_LINES)
        elif not any(self._match(form) for form in _VALUES):
            raise _Lost

    def _dotted_key(self) -> list[str]:
        parts = [self._simple_key()]
        while self._take(".", after=_BLANK):
            parts.append(self._simple_key())
        return parts

    def _simple_key(self) -> str:
        self._skip(_BLANK)
        if match := _BARE_KEY.match(self.text, self.position):
            key = match.group()
        elif match := _BASIC.match(self.text, self.position):
            key = _ESCAPE.sub(_unescape, match.group(1))
        elif match := _LITERAL.match(self.text, self.position):
            key = match.group(1)
        else:
            raise _Lost
        self.position = match.end()
        return key

    def _note(self, path: KeyPath, line: int) -> None:
        self.lines.setdefault(path, line)

    def _line(self) -> int:
        return bisect_right(self.newlines, self.position - 1) + 1

    def _skip(self, blank: re.Pattern[str]) -> int:
        match = blank.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return self.position

    def _match(self, form: re.Pattern[str]) -> bool:
        """Step over a form; False when it is not there or is empty."""
        match = form.match(self.text, self.position)
        if not match or match.end() == self.position:
            return False
        self.position = match.end()
        return True

    def _take(self, token: str, *, after: re.Pattern[str] = _BLANK) -> bool:
        """Step over a token if it comes next; stay put if not, but for what is blank."""
        self._skip(after)
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise _Lost


class _Lost(Exception):
    """The text is not what a TOML reader would have accepted."""


def _unescape(match: re.Match[str]) -> str:
    short, wide, letter = match.group(1), match.group(2), match.group(3)
    return _SHORT[letter] if letter else chr(int(short or wide, 16))
