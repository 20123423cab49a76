"""Resampling counts, each replicate from its own stream: replicate 17 is the same in any order and company.

The generator is Philox4x32-10 (Salmon et al. 2011, 10.1145/2063384.2063405). It is counter-based: the
words of a replicate are a function of (key, replicate, position), so a stream needs no set-up. Making one
``numpy.random.Generator`` a replicate would cost more than the whole replicate of a small cohort does.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from causal_s4.kernels.risk_sets import Floats, Ints

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLY = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_ROUNDS = 10
_BATCH = 64  # counters at once, which the compiler does side by side
_UNIT = 2.0**-53


@njit(cache=True, nogil=True)
def philox(key: NDArray[np.uint64], replicate: int, begin: int, words: NDArray[np.uint64]) -> None:
    """Fill 32-bit words, four a counter, for counters from ``begin`` of a replicate.

    Parameters
    ----------
    key : ndarray of uint64, shape (2,)
        Two 32-bit words.
    replicate, begin : int
        The upper and the lower half of the first counter, 64 bits each.
    words : ndarray of uint64, shape (4, counters)
        Overwritten.
    """
    low, high = np.uint64(replicate) & _MASK, np.uint64(replicate) >> _HALF
    for i in range(words.shape[1]):
        place = np.uint64(begin + i)
        a, b, c, d = place & _MASK, place >> _HALF, low, high
        k, l = key[0], key[1]  # noqa: E741
        for _ in range(_ROUNDS):
            left, right = _MULTIPLY[0] * a, _MULTIPLY[1] * c
            a, b, c, d = (right >> _HALF) ^ b ^ k, right & _MASK, (left >> _HALF) ^ d ^ l, left & _MASK
            k, l = (k + _WEYL[0]) & _MASK, (l + _WEYL[1]) & _MASK  # noqa: E741
        words[0, i], words[1, i], words[2, i], words[3, i] = a, b, c, d


@njit(cache=True, nogil=True)
def count_draws(key: NDArray[np.uint64], first: int, strata: Ints, counts: Floats) -> None:
    """Count how often each unit is drawn, with replacement, in each replicate.

    Parameters
    ----------
    key : ndarray of uint64, shape (2,)
    first : int
        Number of the first replicate; one a row of ``counts`` follows.
    strata : ndarray of int, shape (s + 1,)
        Units ``strata[k]`` to ``strata[k + 1] - 1`` are drawn among themselves, as many as they are.
    counts : ndarray, shape (replicates, units)
        Overwritten.
    """
    words = np.empty((4, _BATCH), np.uint64)
    for row in range(counts.shape[0]):
        counts[row] = 0.0
        batch, used = 0, 4 * _BATCH
        for stratum in range(strata.size - 1):
            begin = strata[stratum]
            size = np.uint64(strata[stratum + 1] - begin)
            # Lemire 2019, 10.1145/3230636: the upper half of word x size is uniform once a few words are refused
            refused = (np.uint64(0x100000000) - size) % size
            left = np.int64(size)
            while left > 0:
                if used == 4 * _BATCH:
                    philox(key, first + row, batch * _BATCH, words)
                    batch, used = batch + 1, 0
                product = words[used // _BATCH, used % _BATCH] * size
                used += 1
                if product & _MASK >= refused:
                    counts[row, begin + np.int64(product >> _HALF)] += 1.0
                    left -= 1


@njit(cache=True, nogil=True)
def exponential_draws(key: NDArray[np.uint64], first: int, strata: Ints, counts: Floats) -> None:
    """Draw standard exponential weights and scale them to mean one within each stratum.

    Uniform Dirichlet weights: the Bayesian bootstrap (Rubin 1981, 10.1214/aos/1176345338). Parameters as
    in :func:`count_draws`.
    """
    words = np.empty((4, _BATCH), np.uint64)
    for row in range(counts.shape[0]):
        for stratum in range(strata.size - 1):
            begin, end = strata[stratum], strata[stratum + 1]
            total = 0.0
            for unit in range(begin, end):
                place = unit % _BATCH
                if place == 0 or unit == begin:
                    philox(key, first + row, unit - place, words)
                # 53 bits in (0, 1]
                bits = (words[0, place] << np.uint64(21)) ^ (words[1, place] >> np.uint64(11))
                counts[row, unit] = -np.log((np.float64(bits) + 1.0) * _UNIT)
                total += counts[row, unit]
            for unit in range(begin, end):
                counts[row, unit] *= (end - begin) / total
