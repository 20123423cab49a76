"""THE EFFECT: weighted curves, effects on several scales, and the regression that papers report."""
