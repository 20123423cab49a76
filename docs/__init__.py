"""The documentation site; ``python -m docs.make`` writes what its pages include."""
