"""Estimators against known truth, with Monte Carlo errors: ``python -m analyses.validation``."""
