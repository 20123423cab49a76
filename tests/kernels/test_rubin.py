"""Rubin's rules on numbers small enough for paper."""

from __future__ import annotations

import numpy as np
import pytest

from causal_s4.kernels.rubin import rubin


def test_three_completed_data_sets_of_twenty_patients() -> None:
    found = rubin([1.0, 2.0, 3.0], [0.5, 1.0, 1.5], 20)
    # W = 1, B = 1 and (1 + 1/3) B = 4/3, so that T = 7/3 and 4/7 of it is missing information.
    assert found.theta == pytest.approx(2.0)
    assert found.std_error == pytest.approx(np.sqrt(7 / 3))
    assert found.missing_information == pytest.approx(4 / 7)
    # Barnard & Rubin 1999: 2 (7/4)^2 = 6.125, and 21/23 20 (1 - 4/7) = 180/23.
    assert found.freedom == pytest.approx(1 / (1 / 6.125 + 23 / 180))


def test_estimates_that_agree_are_one_of_infinite_freedom() -> None:
    found = rubin([2.0, 2.0], [0.25, 0.25], 20)
    assert (found.theta, found.std_error, found.missing_information) == (2.0, 0.5, 0.0)
    assert np.isinf(found.freedom)
