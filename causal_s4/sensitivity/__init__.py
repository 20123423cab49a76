"""THE DOUBT: what would have to be true for the effect to vanish, one file a question.

========================  =================================================================================
``e_value``               How strong would an unmeasured confounder have to be?
``bias_factor``           How far could a confounder of given strength move the estimate?
``confounder``            What would adjusting for a confounder of a known kind do?
``tipping_point``         What would a confounder have to be for the effect to vanish?
``probabilistic``         Where would the effect lie, not knowing exactly what the confounder is like?
``simulated_confounder``  What would the effect be, had a confounder of given strength been recorded?
``marginal_model``        What if patients with the same covariates were not equally likely to be treated?
``weight_bounds``         What could weights alone say if the odds of treatment were off?
``matched_pairs``         How unlike could two matched patients be in what was not measured?
``measured_strength``     How strong are the confounders that were measured?
``leave_one_out``         What did each measured covariate do to the estimate?
``arm_models``            The models behind the bounds, and the bounds of one study
``pair_matching``         The pairs behind the matched bounds
``negative_control``      Does treatment seem to do what it cannot do?
``weighting_grids``       Does the answer hang on the weights?
``follow_up``             Does the answer hang on who was followed?
``not_at_random``         What if values are missing because of what they would have been?
``misclassification``     What if a covariate was recorded wrongly?
``refuters``              Does the machinery find what it should?
``specification_curve``   Does the answer hang on one choice?
``trial_benchmark``       Does the answer agree with the randomised trials?
========================  =================================================================================

From ``measured_strength`` on, an estimate is made again: by a :class:`~causal_s4.sensitivity.question.Question`,
which is handed in.
"""

from causal_s4.sensitivity.bias_factor import bias_contour, bias_factor, bias_factor_array
from causal_s4.sensitivity.confounder import adjust_for_confounder, confounder_array
from causal_s4.sensitivity.e_value import evalue, evalue_risk_difference, observed_covariate_evalue
from causal_s4.sensitivity.marginal_model import (
    ArmModels,
    augmented_outcome,
    marginal_curves,
    marginal_sensitivity,
    marginal_tipping,
    odds_factor_benchmarks,
)
from causal_s4.sensitivity.matched_pairs import rosenbaum_bounds
from causal_s4.sensitivity.probabilistic import (
    STAGE4_PRIORS,
    ConfounderPrior,
    PrevalencePrior,
    RatioPrior,
    probabilistic_bias_analysis,
)
from causal_s4.sensitivity.simulated_confounder import (
    RecordedCohort,
    simulated_confounder,
    simulated_confounder_estimates,
    simulated_confounder_grid,
)
from causal_s4.sensitivity.tipping_point import tipping_grid, tipping_point
from causal_s4.sensitivity.weight_bounds import weight_box, weighted_bounds

__all__ = [
    "STAGE4_PRIORS",
    "ArmModels",
    "ConfounderPrior",
    "PrevalencePrior",
    "RatioPrior",
    "RecordedCohort",
    "adjust_for_confounder",
    "augmented_outcome",
    "bias_contour",
    "bias_factor",
    "bias_factor_array",
    "confounder_array",
    "evalue",
    "evalue_risk_difference",
    "marginal_curves",
    "marginal_sensitivity",
    "marginal_tipping",
    "observed_covariate_evalue",
    "odds_factor_benchmarks",
    "probabilistic_bias_analysis",
    "rosenbaum_bounds",
    "simulated_confounder",
    "simulated_confounder_estimates",
    "simulated_confounder_grid",
    "tipping_grid",
    "tipping_point",
    "weight_box",
    "weighted_bounds",
]
