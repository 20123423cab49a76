"""REBALANCING: propensity models, weights with their estimating equations, balance, positivity."""
