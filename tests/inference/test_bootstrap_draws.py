"""The generator behind resamples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from causal_s4.kernels.draws import count_draws, exponential_draws, philox


@pytest.mark.parametrize(
    "counter, key, words",
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(counter, key, words):
    """Philox4x32-10 of the authors' Random123 library (its file kat_vectors)."""
    found = np.empty((4, 1), np.uint64)
    low, high = np.uint64(counter[0] | counter[1] << 32), np.uint64(counter[2] | counter[3] << 32)
    philox(np.array(key, np.uint64), high, low, found)
    assert tuple(int(word) for word in found[:, 0]) == words


def drawn(draw, n, replicates, first=0, strata=None):
    counts = np.empty((replicates, n))
    draw(np.array([7, 9], np.uint64), first, np.array([0, n] if strata is None else strata), counts)
    return counts


@pytest.mark.parametrize("n", [3, 157, 1000])
def test_counts_are_multinomial(n):
    """Totals, marginal means, and the pooled distribution of counts against Binomial(n, 1/n)."""
    counts = drawn(count_draws, n, 60_000 // n)
    assert (counts.sum(axis=1) == n).all()
    seen = np.bincount(counts.astype(int).ravel(), minlength=6)[:6]
    expected = stats.binom.pmf(np.arange(6), n, 1 / n) * counts.size
    used = expected > 5
    assert stats.chisquare(seen[used], expected[used] * seen[used].sum() / expected[used].sum()).pvalue > 1e-3
    assert np.abs(counts.mean(axis=0) - 1).max() < 5 / np.sqrt(len(counts))


@pytest.mark.parametrize("draw", [count_draws, exponential_draws])
def test_a_replicate_is_the_same_in_any_company(draw):
    many, few = drawn(draw, 100, 40), drawn(draw, 100, 5, first=17)
    np.testing.assert_array_equal(many[17:22], few)
    assert len(np.unique(many, axis=0)) == 40


def test_strata_are_drawn_among_themselves():
    counts = drawn(count_draws, 50, 30, strata=[0, 20, 50])
    assert (counts[:, :20].sum(axis=1) == 20).all()
    parts = drawn(exponential_draws, 50, 30, strata=[0, 20, 50])
    np.testing.assert_allclose(parts[:, 20:].sum(axis=1), 30)


def test_exponential_weights():
    """Before scaling they are standard exponential, so pooled weights of many patients nearly are."""
    assert stats.kstest(drawn(exponential_draws, 5000, 4).ravel(), "expon").pvalue > 1e-3
