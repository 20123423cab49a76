"""The reader of dagitty text: all of the grammar, comments as an extension, no guessing."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from causal_s4.dag.graph import MAX_BYTES, TIERS, Dag, Node, printable
from causal_s4.errors import DagSyntaxError, Problem, UsageError

ROLES = {
    **dict.fromkeys(("exposure", "e", "source"), "exposure"),
    **dict.fromkeys(("outcome", "o", "target"), "outcome"),
    **dict.fromkeys(("latent", "l", "unobserved", "u"), "latent"),
    **dict.fromkeys(("adjusted", "a"), "adjusted"),
}
VALUED = ("pos", "label", "tier")
EDGE_ATTRIBUTES = ("pos", "label", "beta")
MAX_DEPTH = 50
MAX_PAIRS = 100_000
MAX_PROBLEMS = 20

_GRAPH_KINDS = {
    "graph": "undirected edges say nothing about cause",
    "pdag": "a partially directed graph leaves causes open",
    "mag": "a maximal ancestral graph hides its latent variables",
    "pag": "a partial ancestral graph leaves causes open",
}
_TOKEN = re.compile(
    r"""
    (?P<space>[^\S\n]+)
  | (?P<newline>\n)
  | (?P<comment>//[^\n]*|\#[^\n]*|/\*.*?\*/)
  | (?P<open_comment>/\*)
  | (?P<string>"(?:[^"\\\n]|\\[^\n])*")
  | (?P<open_string>"[^\n]*)
  | (?P<mark>(?<![\w.])o-(?:[->o@])+|(?:<-|--)o(?![\w.]))
  | (?P<edge>[-<>@]{2,}|=+>|<=+>?)
  | (?P<punctuation>[{}\[\],;=])
  | (?P<word>-?[\w.]+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ARROWS = {"->", "<-", "<->"}


class _Token(NamedTuple):
    kind: str
    text: str
    line: int
    column: int


class _Misread(Exception):
    """One statement that is not understood; reading goes on with the next."""


class _Hopeless(Exception):
    """Text that is not worth reading further."""


def parse_dagitty(text: str) -> Dag:
    """Read dagitty text; see :meth:`causal_s4.dag.graph.Dag.parse`.

    Raises
    ------
    DagSyntaxError
        Naming, with line and column, everything that is not understood.
    """
    if not isinstance(text, str):
        raise UsageError(f"expected dagitty text as a string; found {type(text).__name__}")
    if len(text) > MAX_BYTES:
        raise DagSyntaxError(f"the text has {len(text)} characters; expected a graph of at most {MAX_BYTES}")
    reader = _Reader(tokens=_tokens(text.replace("\r\n", "\n")))
    reader.read()
    problems = reader.problems
    if not reader.nodes and not problems and not reader.has_header:
        problems = [Problem(where="column 1", line=1, found="no text", expected="a graph such as dag { age -> death }")]
    try:
        dag = reader.dag()
    except DagSyntaxError as contradictions:
        problems = problems + list(contradictions.problems)
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        raise DagSyntaxError(f"the text is not a directed acyclic graph in dagitty syntax ({count})", problems)
    return dag


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    line, start = 1, 0
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match.group()
        if kind not in ("space", "newline", "comment"):
            found.append(_Token(kind, token, line, match.start() - start + 1))
        if kind == "open_comment":
            break
        if "\n" in token:
            line += token.count("\n")
            start = match.start() + token.rindex("\n") + 1
    found.append(_Token("end", "", line, len(text) - start + 1))
    return found


@dataclass
class _Reader:
    """Recursive descent over the tokens, collecting nodes, edges and problems."""

    tokens: list[_Token]
    at: int = 0
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: dict[tuple[str, str], None] = field(default_factory=dict)
    bidirected: dict[tuple[str, str], None] = field(default_factory=dict)
    edge_attributes: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    name: str = ""
    has_header: bool = False
    pairs: int = 0

    # --- tokens ---

    @property
    def here(self) -> _Token:
        return self.tokens[self.at]

    def ahead(self, count: int) -> _Token:
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def is_next(self, text: str, count: int = 0) -> bool:
        token = self.ahead(count)
        return token.kind in ("punctuation", "edge") and token.text == text

    def take(self) -> _Token:
        token = self.here
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def note(self, token: _Token, found: str, expected: str = "", todo: str = "") -> None:
        self.problems.append(
            Problem(where=f"column {token.column}", line=token.line, found=found, expected=expected, todo=todo)
        )
        if len(self.problems) >= MAX_PROBLEMS:
            self.problems.append(Problem(where="", found=f"reading stopped after {MAX_PROBLEMS} problems"))
            raise _Hopeless

    def misread(self, token: _Token, found: str, expected: str = "", todo: str = "") -> _Misread:
        self.note(token, found, expected, todo)
        return _Misread()

    # --- the whole ---

    def read(self) -> None:
        try:
            self.header()
            opening = self.tokens[self.at - 1] if self.has_header else None
            self.block(opening, depth=0)
            if self.here.kind != "end":
                self.note(
                    self.here, f"text after the closing brace: {_shown(self.here)}", todo="Remove it, or move it inside"
                )
        except _Hopeless:
            return

    def header(self) -> None:
        word = self.here
        named = self.ahead(1).kind in ("word", "string") and self.is_next("{", 2)
        if word.kind != "word" or not (named or self.is_next("{", 1)):
            return
        kind = word.text.lower()
        if kind not in ("dag", "digraph", *_GRAPH_KINDS):
            self.note(word, f"graph type {word.text!r}", expected="dag or digraph")
        elif kind in _GRAPH_KINDS:
            self.note(word, f"graph type {word.text!r}: {_GRAPH_KINDS[kind]}", expected="dag or digraph")
        self.take()
        if named:
            token = self.take()
            self.name = _unquoted(token)
            if not printable(self.name):
                self.note(token, "a graph name with control characters")
                self.name = ""
        self.take()
        self.has_header = True

    def block(self, opening: _Token | None, depth: int) -> list[str]:
        """Read statements up to the closing brace of ``opening`` (to the end, when there is none)."""
        if depth > MAX_DEPTH:
            self.note(self.here, f"groups nested more than {MAX_DEPTH} deep")
            raise _Hopeless
        mentioned: dict[str, None] = {}
        while self.here.kind != "end":
            if self.is_next(";"):
                self.take()
            elif self.is_next("}"):
                brace = self.take()
                if opening is not None:
                    return list(mentioned)
                self.note(brace, "a closing brace without an opening one")
            else:
                try:
                    mentioned.update(dict.fromkeys(self.statement(depth)))
                except _Misread:
                    self.skip()
        if opening is not None:
            self.note(opening, "a brace that is never closed", expected="a matching }")
        return list(mentioned)

    def skip(self) -> None:
        """Go on after the next semicolon, on the next line, or at a closing brace."""
        line = self.here.line
        while self.here.kind != "end" and self.here.line == line and not self.is_next("}"):
            if self.take().text == ";":
                return

    # --- statements ---

    def statement(self, depth: int) -> list[str]:
        if self.here.kind in ("word", "string") and self.is_next("=", 1):
            self.option()
            return []
        first = self.here
        left = self.operand(depth)
        mentioned = list(left)
        joined: list[tuple[str, str, str]] = []
        single = not first.text.startswith("{")
        while self.here.kind in ("edge", "mark"):
            arrow = self.arrow()
            right = self.operand(depth)
            joined += self.join(left, arrow, right)
            mentioned += right
            left = right
        if self.is_next("["):
            bracket = self.here
            attributes = self.attributes()
            if joined:
                self.describe_edges(joined, attributes)
            elif single:
                self.describe_node(left[0], attributes)
            else:
                self.note(bracket, "attributes after a group", todo="Write them after each node")
        return mentioned

    def option(self) -> None:
        key = self.take()
        self.take()
        if _unquoted(key) != "bb":
            raise self.misread(key, f"option {_shown(key)} is not understood", todo="The only option of a graph is bb")
        self.value()

    def arrow(self) -> str:
        token = self.take()
        if token.text in _ARROWS:
            return token.text
        if token.text == "--":
            raise self.misread(
                token,
                "the edge -- has no direction",
                expected="->, <- or <->",
                todo="State which of the two is the cause",
            )
        if token.kind == "mark" or "@" in token.text:
            raise self.misread(
                token,
                f"{_shown(token)} is a mark of a partial ancestral graph",
                expected="->, <- or <->",
                todo="If a node is called o, leave a space beside the arrow" if token.kind == "mark" else "",
            )
        raise self.misread(token, f"{_shown(token)} is not an edge", expected="->, <- or <->")

    def operand(self, depth: int) -> list[str]:
        token = self.here
        if self.is_next("{"):
            self.take()
            return self.block(token, depth + 1)
        if token.kind == "mark":
            self.arrow()
        if token.kind == "edge":
            after_attributes = self.at > 0 and self.tokens[self.at - 1].text == "]"
            raise self.misread(
                token,
                f"the edge {_shown(token)} has no node on its left",
                expected="a node or a group",
                todo="Attributes of a node stand in a statement of their own: name [latent]"
                if after_attributes
                else "",
            )
        name = self.node_name()
        self.nodes.setdefault(name, {})
        return [name]

    def node_name(self) -> str:
        token = self.here
        if token.kind == "end":
            raise self.misread(token, "the text ends", expected="a node or a group")
        if token.kind == "open_string":
            raise self.misread(token, "a quote that is not closed on its line", expected='a closing "')
        if token.kind == "open_comment":
            raise self.misread(token, "a comment that is never closed", expected="*/")
        if token.kind not in ("word", "string"):
            raise self.misread(token, f"{_shown(token)} is not understood", expected="a node or a group")
        if token.kind == "word" and token.text.startswith("-"):
            raise self.misread(
                token,
                f"{_shown(token)} begins with a minus sign",
                todo="Write -> for an edge, or put the name in quotes",
            )
        if token.kind == "word" and token.text.lower() in ("graph", "node", "edge"):
            raise self.misread(
                token,
                f"{_shown(token)} is a word of the language, not a node",
                todo="Put it in quotes if a node has that name",
            )
        name = _unquoted(token)
        if not name.strip() or not printable(name):
            raise self.misread(token, "a node name that is empty or holds control characters")
        self.take()
        return name

    def join(self, left: list[str], arrow: str, right: list[str]) -> list[tuple[str, str, str]]:
        self.pairs += len(left) * len(right)
        if self.pairs > MAX_PAIRS:
            self.note(self.here, f"groups that make more than {MAX_PAIRS} edges")
            raise _Hopeless
        joined = []
        for a in left:
            for b in right:
                source, target = (b, a) if arrow == "<-" else (a, b)
                if arrow == "<->":
                    source, target = min(a, b), max(a, b)
                    self.bidirected[source, target] = None
                else:
                    self.edges[source, target] = None
                joined.append((source, "<->" if arrow == "<->" else "->", target))
        return joined

    # --- attributes ---

    def attributes(self) -> list[tuple[_Token, str, str | None]]:
        """Read ``[key, key=value]``."""
        opening = self.take()
        found: list[tuple[_Token, str, str | None]] = []
        while not self.is_next("]"):
            key = self.here
            if key.kind == "end":
                raise self.misread(opening, "a bracket that is never closed", expected="a matching ]")
            if key.kind not in ("word", "string"):
                raise self.misread(key, f"{_shown(key)} among the attributes", expected="a name such as exposure, or ]")
            self.take()
            value = None
            if self.is_next("="):
                self.take()
                value = self.value()
            found.append((key, _unquoted(key), value))
            if self.is_next(","):
                self.take()
            elif not self.is_next("]"):
                raise self.misread(self.here, f"{_shown(self.here)} after an attribute", expected=", or ]")
        self.take()
        return found

    def value(self) -> str:
        token = self.here
        if token.kind not in ("word", "string"):
            raise self.misread(token, f"{_shown(token)} in place of a value", expected="a word or a quoted text")
        self.take()
        return _unquoted(token)

    def describe_node(self, name: str, attributes: list[tuple[_Token, str, str | None]]) -> None:
        for token, key, value in attributes:
            if key in ROLES:
                if value is not None:
                    self.note(
                        token, f"{key} with a value", expected=f"[{key}] alone", todo="Leave it out if it is not so"
                    )
                self.nodes[name][ROLES[key]] = True
            elif key in ("selected", "s"):
                self.note(
                    token,
                    "selected: selection nodes are not handled",
                    todo="State who is in the cohort as eligibility in the study file",
                )
            elif key not in VALUED:
                self.unknown(token, key, [*ROLES, *VALUED])
            elif value is None:
                self.note(token, f"{key} without a value", expected=_EXAMPLES[key])
            else:
                self.keep(token, name, key, value)

    def keep(self, token: _Token, name: str, key: str, value: str) -> None:
        meaning: Any = value
        if key == "pos":
            meaning = _position(value)
        elif (key == "tier" and value not in TIERS) or (key == "label" and not (value and printable(value))):
            meaning = None
        if meaning is None:
            self.note(token, f"{key}={value!r} is not understood", expected=_EXAMPLES[key])
        elif self.nodes[name].setdefault(key, meaning) != meaning:
            self.note(token, f"{key} of {name!r} is given twice, differently")

    def describe_edges(
        self, joined: list[tuple[str, str, str]], attributes: list[tuple[_Token, str, str | None]]
    ) -> None:
        for token, key, value in attributes:
            if key in ROLES and value is None:
                self.note(
                    token, f"the role {key} after an edge", todo="Write it in a statement of its own: name [exposure]"
                )
            elif key not in EDGE_ATTRIBUTES:
                self.unknown(token, key, list(EDGE_ATTRIBUTES))
            elif value is None or not printable(value):
                self.note(token, f"{key} without a readable value", expected=f'{key}="..."')
            else:
                for edge in joined:
                    self.edge_attributes.setdefault(edge, {})[key] = value

    def unknown(self, token: _Token, key: str, known: list[str]) -> None:
        near = difflib.get_close_matches(key[:40], [word for word in known if len(word) > 1], n=1, cutoff=0.7)
        hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(w for w in known if len(w) > 1)}"
        self.note(token, f"attribute {_shown(token)} is not understood", todo=hint)

    def dag(self) -> Dag:
        return Dag(
            members=tuple(
                Node(name=name, position=said.get("pos"), **{key: value for key, value in said.items() if key != "pos"})
                for name, said in self.nodes.items()
            ),
            edges=tuple(self.edges),
            bidirected=tuple(self.bidirected),
            edge_attributes=tuple((edge, tuple(sorted(said.items()))) for edge, said in self.edge_attributes.items()),
            name=self.name,
        )


_EXAMPLES = {"pos": 'pos="0.1,0.2"', "tier": "tier=baseline or tier=later", "label": 'label="Age, years"'}


def _position(value: str) -> tuple[float, float] | None:
    try:
        x, y = (float(part) for part in value.split(","))
    except ValueError:
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) < 1e9 else None


def _unquoted(token: _Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "string" else token.text


def _shown(token: _Token) -> str:
    text = token.text if len(token.text) <= 30 else token.text[:27] + "..."
    return repr(text) if token.kind != "end" else "the end of the text"
