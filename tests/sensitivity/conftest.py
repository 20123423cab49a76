"""Fixtures of the sensitivity tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """R's numbers (EValue 4.1.4, tipr 1.0.2, rbounds 2.2); see tests/reference/README.md."""
    text = (Path(__file__).parents[1] / "reference" / "sensitivity.json").read_text(encoding="utf-8")
    numbers: dict[str, Any] = json.loads(text)
    return numbers
