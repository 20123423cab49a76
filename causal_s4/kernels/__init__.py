"""THE ARITHMETIC: NumPy arrays in and out; nothing here knows a name, a unit or a word.

Every functional returns the estimate and its derivative in each row's weight, so that one rule
(:mod:`causal_s4.inference.influence`) gives every interval.
"""
