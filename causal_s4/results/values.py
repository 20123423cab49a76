"""What the result types are made of: arrays that nobody changes, records, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOT_SHOWN = -1
"""Stands for a number of patients that is too small to show; ``null`` in ``results.json``."""


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array with writing switched off."""
    array.flags.writeable = False
    return array


def frame_of(records: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return records as a table, with its columns even where there is no record."""
    import pandas as pd

    return pd.DataFrame(list(records), columns=list(columns) if columns else None)


def record_of(value: Any) -> dict[str, Any]:
    """Return the fields of a result, by name."""
    return {each.name: getattr(value, each.name) for each in fields(value)}
