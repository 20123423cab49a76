"""A study file and a graph to begin with, for the columns of a data file: nothing in them is guessed.

What only the reader knows is left empty and marked, with what the file holds beside it: names of columns, their
levels with counts, never the values of a patient. Until the marked places are filled in, the study is refused and
each of them is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_s4.cohort import read_table
from causal_s4.cohort.columns import counted, holds_dates, is_missing, named_codes, numbers_of, tally
from causal_s4.dag import Dag, Node
from causal_s4.errors import DagSyntaxError, InputError, Problem
from causal_s4.protocol.vocabulary import Estimand
from causal_s4.protocol.words import quoted
from causal_s4.protocol.writer import write_toml

if TYPE_CHECKING:
    import pandas as pd

STUDY, GRAPH = "study.toml", "assumptions.dag"
MARK = "# <-"
"""Stands at each place that has to be filled in."""
TREATMENT, OUTCOME = "TREATMENT", "OUTCOME"
"""Names in the graph that stand for the columns the reader chooses."""
MOST_LEVELS = 20
_WIDTH = 100


def scaffold(folder: str | os.PathLike[str], data: str | os.PathLike[str]) -> list[Path]:
    """Write a commented study file and a first graph for the columns of a data file.

    Parameters
    ----------
    folder : path-like
        Where ``study.toml`` and ``assumptions.dag`` go; made if missing.
    data : path-like
        The cohort's file, one row a patient.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        When the data file cannot be read, either file is there already, or the folder cannot be written.
        Nothing is written then.
    """
    target, source = Path(folder), Path(data)
    names = [column for column in ()]
    columns = [_Column.of(str(name), series) for name, series in read_table(source).items()]
    _refuse_existing(target)
    texts = {STUDY: _study(columns, source, _path_from(target, source)), GRAPH: _graph(columns, source)}
    return _write(target, texts)
