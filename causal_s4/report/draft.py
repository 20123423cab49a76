"""The text of a paper as a value: sentences with the sources they cite, in passages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from causal_s4.report.reading import Reading
from causal_s4.report.references import REFERENCES, numbered


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence, and the keys of the sources it cites."""

    text: str
    cites: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A paragraph under its heading."""

    heading: str
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The text of a paper that a study supports.

    Parameters
    ----------
    title : str
        The protocol's.
    methods, results : tuple of Passage
        In the order of a paper.
    """

    title: str
    methods: tuple[Passage, ...]
    results: tuple[Passage, ...]

    @property
    def numbers(self) -> dict[str, int]:
        """Number of each source cited, by its key."""
        said = (each for passage in (*self.methods, *self.results) for each in passage.sentences)
        return numbered(key for sentence in said for key in sentence.cites)

    @property
    def references(self) -> tuple[str, ...]:
        """The sources, in the order of their numbers."""
        return tuple(REFERENCES[key] for key in self.numbers)

    @property
    def parts(self) -> tuple[tuple[str, tuple[Passage, ...]], ...]:
        """Both sections with their headings."""
        return (("Methods", self.methods), ("Results", self.results))


Said = Iterator[Sentence]


def say(text: str, *cites: str) -> Sentence:
    """Return a sentence that cites sources by their keys."""
    return Sentence(text=text, cites=cites)


def passages_of(reading: Reading, parts: Iterable[tuple[str, Callable[[Reading], Said]]]) -> tuple[Passage, ...]:
    """Return the passages that a study supports, each from a function that may have nothing to say."""
    made = (Passage(heading=heading, sentences=tuple(write(reading))) for heading, write in parts)
    return tuple(passage for passage in made if passage.sentences)
