# Overlap of propensity scores, groups that one arm does not reach, time before treatment, and a truth by quadrature.
# Base R and survival only; run from the root of the repository:
#   Rscript tests/reference/scripts/overlap_alignment_truth.R > tests/reference/overlap_alignment_truth.json
library(survival)
out <- character()
put <- function(name, value) out[[length(out) + 1]] <<- sprintf('  "%s": %s', name, value)
number <- function(x) if (length(x) == 1) sprintf("%.15g", x) else sprintf("[%s]", paste(sprintf("%.15g", x), collapse = ", "))
put("_meta", sprintf('{"R": "%s", "packages": {"survival": "%s"}}', R.version.string, packageVersion("survival")))

# --- overlap: Rotterdam, formula F1 -----------------------------------------------------------------
d <- read.csv("data/rotterdam.csv")
d$size <- factor(d$size, levels = c("<=20", "20-50", ">50"))
score <- fitted(glm(hormon ~ age + meno + size + grade + nodes + pgr + er, binomial, d, control = list(epsilon = 1e-14)))
bins <- seq(0, 1, length.out = 21)
arm <- list(treated = score[d$hormon == 1], control = score[d$hormon == 0])
share <- lapply(arm, function(e) hist(e, bins, right = FALSE, plot = FALSE)$counts / length(e))
put("overlap_coefficient", number(sum(pmin(share$treated, share$control))))
for (name in names(arm)) {
  put(paste0("quantiles_", name), number(unname(quantile(arm[[name]], c(0, .05, .25, .5, .75, .95, 1)))))
  put(paste0("tails_", name), number(c(mean(arm[[name]] < .05), mean(arm[[name]] > .95), mean(arm[[name]] < .1), mean(arm[[name]] > .9))))
}
# quarters of a number, levels of a factor, values of what has few; one arm empty, ten patients or more
groups <- lapply(d[c("age", "meno", "size", "grade", "nodes", "pgr", "er")], function(x) {
  if (is.factor(x) || length(unique(x)) <= 4) return(factor(x))
  cut(x, unique(c(-Inf, quantile(x, c(.25, .5, .75)), Inf)))
})
empty <- function(g) { n <- table(g); t <- table(g[d$hormon == 1]); names(n)[n >= 10 & (t == 0 | t == n)] }
single <- lapply(groups, empty)
put("empty_single", number(sum(lengths(single))))
put("empty_single_largest", number(max(mapply(function(g, e) max(0, table(g)[e]), groups, single))))
pairs <- combn(names(groups), 2)
put("empty_pairs", number(sum(apply(pairs, 2, function(p) {
  one <- groups[[p[1]]]; two <- groups[[p[2]]]
  found <- table(one, two); treated <- table(one[d$hormon == 1], two[d$hormon == 1])
  lonely <- found >= 10 & (treated == 0 | treated == found)
  lonely[rownames(found) %in% single[[p[1]]], ] <- FALSE
  lonely[, colnames(found) %in% single[[p[2]]]] <- FALSE
  sum(lonely)
}))))

# --- time before treatment: Stanford heart transplants ----------------------------------------------
h <- read.csv("tests/reference/heart_patients.csv")
ever <- !is.na(h$wt)
rows <- tmerge(h, h, id = sid, death = event(ft, fustat), transplant = tdc(wt))
before <- rows$transplant == 0 & rows$sid %in% h$sid[ever]
years <- pyears(Surv(tstart, tstop, death) ~ transplant, rows[rows$sid %in% h$sid[ever], ], scale = 1)
put("heart_treated", number(sum(ever)))
put("heart_later", number(sum(h$wt > 0, na.rm = TRUE)))
put("heart_misplaced_days", number(years$pyears[["0"]]))
put("heart_follow_up_of_treated_days", number(sum(years$pyears)))
put("heart_median_start_days", number(median(h$wt, na.rm = TRUE)))

# --- the closed-form world (hazard ratio 0.7, 60 months), written down again ------------------------------
kinds <- expand.grid(x1 = 0:1, x2 = 0:1, x3 = 0:2)
p <- with(kinds, .5 * ifelse(x2 == 1, .4, .6) * c(.3, .4, .3)[x3 + 1])
rate <- with(kinds, .012 * exp(-.6 * x1 + .7 * x2 + .35 * (x3 - 1)))
e <- with(kinds, plogis(-.5 + .9 * x1 - .8 * x2 - .4 * (x3 - 1)))
tilts <- list(ATE = 1, ATT = e, ATC = 1 - e, ATO = e * (1 - e), ATM = pmin(e, 1 - e))
alive <- function(t, w, r) sapply(t, function(u) sum(w * exp(-r * u)))
seen <- function(t) ifelse(t < 24, 1, (96 - t) / 72)
for (name in names(tilts)) {
  w <- p * tilts[[name]]; w <- w / sum(w)
  s1 <- function(t) alive(t, w, .7 * rate); s0 <- function(t) alive(t, w, rate)
  area <- function(s) integrate(s, 0, 60, rel.tol = 1e-12)$value
  score_of <- function(b) {
    density <- function(t) {
      dying1 <- alive(t, w * .7 * rate, .7 * rate); dying0 <- alive(t, w * rate, rate)
      seen(t) * (dying1 - (dying1 + dying0) * exp(b) * s1(t) / (exp(b) * s1(t) + s0(t)))
    }
    integrate(density, 0, 24, rel.tol = 1e-12)$value + integrate(density, 24, 96, rel.tol = 1e-12)$value
  }
  b <- uniroot(score_of, c(-2, 2), tol = 1e-13)$root
  put(paste0("truth_", name), number(c(s1(60), s0(60), area(s1), area(s0), b)))
}
cat("{\n", paste(out, collapse = ",\n"), "\n}\n", sep = "")
