# Processor seconds a replicate of clone-censor-weight as published code does it, after its estimates from the data as
# they are: both arms' follow-up is split at every time, a Cox model of being censored artificially is fitted to the
# rows of each arm, and a row's weight is the inverse probability of not having been censored by its start.
suppressPackageStartupMessages(library(survival))
given <- commandArgs(trailingOnly = TRUE)
patients <- read.csv(given[1]); grace <- as.numeric(given[2]); horizon <- as.numeric(given[3])
replicates <- as.integer(given[4]); set.seed(1)
terms <- grep("^x", names(patients), value = TRUE)
area <- function(f, to) { k <- f$time < to; sum(diff(c(0, f$time[k], to)) * c(1, f$surv[k])) }

clones_of <- function(z, arm) {
  within <- z$start <= grace
  if (arm == 1) {
    leaves <- !within & z$time > grace
    transform(z, arm = 1, fup = ifelse(leaves, grace, time), outcome = ifelse(leaves, 0, event), censored = as.integer(leaves))
  } else {
    transform(z, arm = 0, fup = ifelse(within, start, time), outcome = ifelse(within, 0, event), censored = as.integer(within))
  }
}

weighted_rows <- function(z, arm) {
  clones <- clones_of(z, arm)
  cuts <- sort(unique(clones$fup))
  by_outcome <- survSplit(clones, cut = cuts, end = "fup", start = "Tstart", event = "outcome")
  by_censoring <- survSplit(clones, cut = cuts, end = "fup", start = "Tstart", event = "censored")
  by_outcome <- by_outcome[order(by_outcome$id, by_outcome$fup), ]
  by_censoring <- by_censoring[order(by_censoring$id, by_censoring$fup), ]
  by_outcome$censored <- by_censoring$censored
  model <- coxph(as.formula(paste("Surv(Tstart, fup, censored) ~", paste(terms, collapse = "+"))), data = by_outcome, ties = "efron")
  base <- basehaz(model, centered = FALSE)
  place <- findInterval(by_outcome$Tstart, base$time)
  hazard <- c(0, base$hazard)[place + 1]
  risk <- exp(as.matrix(by_outcome[, terms]) %*% coef(model))[, 1]
  by_outcome$weight <- 1 / exp(-hazard * risk)
  by_outcome
}

estimate <- function(z) {
  rows <- rbind(weighted_rows(z, 1), weighted_rows(z, 0))
  found <- coef(coxph(Surv(Tstart, fup, outcome) ~ arm, data = rows, weights = weight))
  for (a in 1:0) {
    f <- survfit(Surv(Tstart, fup, outcome) ~ 1, data = rows[rows$arm == a, ], weights = weight)
    found <- c(found, summary(f, times = horizon)$surv, area(f, horizon))
  }
  found
}

plain <- estimate(patients)
spent <- system.time(for (k in seq_len(replicates)) {
  z <- patients[sample.int(nrow(patients), replace = TRUE), ]
  z$id <- seq_len(nrow(z))
  estimate(z)
})
cat(format(c((spent[["user.self"]] + spent[["sys.self"]]) / replicates, plain), digits = 15))
