"""A methods section and results paragraphs, drafted from the protocol and the result, and written down.

:func:`draft` gives the text as a value; :func:`markdown` and :func:`latex` write it down, the page and the Word
file do so in their own way.
"""

from __future__ import annotations

import re

from causal_s4.report.draft import Draft, Sentence, passages_of
from causal_s4.report.methods_text import METHODS
from causal_s4.report.reading import Reading, clean
from causal_s4.report.references import REFERENCES
from causal_s4.report.results_text import RESULTS, outcomes_told


def draft(reading: Reading) -> Draft:
    """Return the methods section and the results of a study, as far as it supports them.

    Parameters
    ----------
    reading : Reading
        The result and how its numbers are written.
    """
    return Draft(
        title=clean(reading.result.protocol.title),
        methods=passages_of(reading, METHODS),
        results=(*passages_of(reading, RESULTS[:2]), *outcomes_told(reading), *passages_of(reading, RESULTS[2:])),
    )


def markdown(text: Draft) -> str:
    """Return the draft as Markdown: CommonMark, with the sources as a numbered list."""
    numbers = text.numbers

    def sentence(each: Sentence) -> str:
        cited = ",".join(str(numbers[key]) for key in each.cites)
        return _markdown(each.text) + (f" \\[{cited}\\]" if cited else "")

    lines = [f"# {_markdown(text.title)}", ""]
    for heading, passages in text.parts:
        lines += [f"## {heading}", ""]
        for passage in passages:
            said = " ".join(sentence(each) for each in passage.sentences)
            lines += [f"**{_markdown(passage.heading)}.** {said}", ""]
    if numbers:
        lines += ["## References", ""]
        lines += [f"{number}. {_markdown(REFERENCES[key])}" for key, number in numbers.items()]
    return "\n".join(lines).rstrip("\n") + "\n"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|&~$!])", r"\\\1", clean(text))


_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\N{MINUS SIGN}": r"\ensuremath{-}",
    "\N{EN DASH}": "--",
    "\N{MIDDLE DOT}": r"\textperiodcentered{}",
    "\N{THIN SPACE}": r"\,",
    "\N{NO-BREAK SPACE}": "~",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{GREATER-THAN OR EQUAL TO}": r"\ensuremath{\geq}",
    "\N{LESS-THAN OR EQUAL TO}": r"\ensuremath{\leq}",
} | {
    letter: rf"\ensuremath{{\{name}}}"
    for letter, name in zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
            "Gamma",
            "Delta",
            "Theta",
            "Lambda",
            "Xi",
            "Pi",
            "Sigma",
            "Phi",
            "Psi",
            "Omega",
        ],
        strict=True,
    )
}
# Letters up to here, and these signs, are in the fonts that LaTeX has by itself.
_LAST_LATIN, _IN_FONTS = 0x17F, set("‘’“”‚„†‡•—")


def latex(text: Draft) -> str:
    """Return the draft as a LaTeX document.

    LuaLaTeX sets labels in another script, given a font that has it; pdfLaTeX sets their code points.
    """
    lines = [
        r"\documentclass[11pt]{article}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage[utf8]{inputenc}",
        *_other_scripts(text),
        rf"\title{{{_tex(text.title)}}}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
    ]

    def sentence(each: Sentence) -> str:
        cited = ",".join(each.cites)
        return _tex(each.text) + (rf"~\cite{{{cited}}}" if cited else "")

    for heading, passages in text.parts:
        lines += ["", rf"\section*{{{heading}}}"]
        for passage in passages:
            said = "\n".join(sentence(each) for each in passage.sentences)
            lines += ["", rf"\paragraph{{{_tex(passage.heading)}.}}", said]
    if text.numbers:
        lines += ["", r"\begin{thebibliography}{99}"]
        lines += [rf"\bibitem{{{key}}} {_tex(REFERENCES[key])}" for key in text.numbers]
        lines += [r"\end{thebibliography}"]
    return "\n".join([*lines, r"\end{document}", ""])


def _other_scripts(text: Draft) -> list[str]:
    """Return what lets pdfLaTeX pass letters it has no font for."""
    said = [text.title, *(p.heading for p in (*text.methods, *text.results))]
    said += [each.text for passage in (*text.methods, *text.results) for each in passage.sentences]
    letters = {letter for part in said for letter in clean(part) if ord(letter) > _LAST_LATIN}
    unknown = sorted(letters - set(_TEX) - _IN_FONTS)
    if not unknown:
        return []
    declared = [rf"\DeclareUnicodeCharacter{{{ord(letter):04X}}}{{[U+{ord(letter):04X}]}}" for letter in unknown]
    return [r"\ifdefined\directlua\else", *declared, r"\fi"]


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in clean(text))
