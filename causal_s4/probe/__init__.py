"""THE DOUBT of one study: its primary estimate against everything that a hostile reviewer would ask for.

The sensitivity room says what to change and how to read what comes back; this package knows how an estimate
of the study is made, which analyses apply to it, and which options a ``[sensitivity]`` block may carry.

==================  =========================================================================
``asking``          the primary estimate, made so that it can be asked again
``subject``         what the analyses of one study work on
``unmeasured``      analyses of a confounder that was not measured
``choices``         analyses that change one choice
``specifications``  all choices at once
``options``         how a block's options are read
``registry``        which analyses there are, and running them
==================  =========================================================================
"""

from causal_s4.probe.registry import ANALYSES, GRIDS, plan, probe, probe_strategies

__all__ = ["ANALYSES", "GRIDS", "plan", "probe", "probe_strategies"]
