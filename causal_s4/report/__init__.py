"""The words: tables, figures and the page. Reads a :class:`~causal_s4.results.StudyResult`, estimates nothing."""
