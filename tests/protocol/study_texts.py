"""Study files that the tests start from."""

MINIMAL = """title = "Surgery"

[data]
file = "cohort.csv"
time_unit = "days"

[dag]
file = "assumptions.dag"

[treatment]
column = "surgery"
treated = 1
control = 0

[[outcome]]
time = "days"
event = "died"
event_value = 1
"""
"""Without the [estimand] that a baseline design needs."""

BASELINE = (
    MINIMAL
    + """
[estimand]
population = "ATO"
"""
)

CLONES = (
    MINIMAL.replace("control = 0", 'control = 0\nstart = "day_of_surgery"')
    + """
[time_zero]
design = "clone-censor-weight"
grace_period = "6 months"
"""
)

CONTRACT = """title = "Hormonal treatment in node-positive breast cancer (Rotterdam)"
seed  = 20260118

[data]
file      = "../../data/rotterdam.csv"   # csv, parquet, Stata, SAS, SPSS, Excel: by its ending
id        = "pid"
time_unit = "days"                       # of every time column: days | weeks | months | years
missing   = "refuse"                     # refuse | complete-case | impute

[dag]
file = "rotterdam.dag"                   # dagitty syntax, both ways
adjust_for = []                          # optional: a set of nodes; refused unless the DAG says it is sufficient
[dag.columns]                            # nodes measured by columns of another name or by several
nodes = ["nodes"]
oestrogen_receptor = ["er"]

[eligibility]                            # each line one condition, counted in the flow chart, in order
nodes = { at_least = 1 }

[treatment]
column  = "hormon"
treated = 1                              # values are named, never guessed
control = 0
name    = "Hormonal treatment"           # labels for reports
control_name = "None"
start   = "months_to_surgery"            # optional: time from time zero to treatment; empty = never treated

[time_zero]
design   = "baseline"                    # baseline | landmark | time-dependent | clone-censor-weight
landmark = "6 months"                    # design = landmark; a list runs several
grace_period = "6 months"                # design = clone-censor-weight
timing   = "density"                     # density | natural | uniform | maringe
history  = "visits.csv"                  # optional long table: id, time, and the covariates that change
time_varying = ["response", "ecog"]      # columns of the history that drive treatment and outcome

[[outcome]]                              # one or more; the first is primary
name     = "Recurrence-free survival"
time     = "rfs_days"
event    = "rfs_event"
event_value = 1                          # values are named, never guessed
competing_value = 2                      # optional
horizons = ["1 years", "3 years", "5 years"]

[estimand]
population = "ATO"                       # ATE | ATT | ATC | ATO | ATM

[propensity]
method   = "logistic"                    # logistic | entropy-balancing
splines  = { age = 4, nodes = 4 }        # column = number of knots, restricted cubic, Harrell's quantiles
log1p    = ["pgr", "er"]
interactions = [["age", "grade"]]
stabilise = true
truncate = [0.01, 0.99]                  # optional, weight quantiles
trim     = 0.05                          # optional, symmetric on the propensity score

[inference]
method = "influence"                     # influence | bootstrap
replicates = 1000
level  = 0.95
ties   = "efron"                         # efron | breslow

[sensitivity]                            # each block runs if present; sensible default: all that apply
"""
"""Every key of the contract at once: each is well formed, but they do not all go together."""

NO_EFFECT_IN_CONTRACT = ("landmark", "grace_period", "timing", "history", "time_varying", "stabilise", "replicates")
"""Keys of CONTRACT that would have no effect beside its others."""

CONSISTENT = "\n".join(line for line in CONTRACT.splitlines() if not line.startswith(NO_EFFECT_IN_CONTRACT))
"""CONTRACT without them."""
