# Processor seconds a repeat: bootstrap replicates, or weighted Cox models with sandwich variance or without.
suppressPackageStartupMessages(library(survival))
given <- commandArgs(trailingOnly = TRUE)
d <- read.csv(given[2]); repeats <- as.integer(given[3]); set.seed(1)
x <- as.matrix(d[grep("^x", names(d))])
area <- function(f, to) { k <- f$time <= to; sum(diff(c(0, f$time[k], to)) * c(1, f$surv[k])) }
tasks <- list(
  bootstrap = function() {
    i <- sample.int(nrow(d), replace = TRUE); z <- d[i, ]
    e <- suppressWarnings(glm.fit(cbind(1, x[i, ]), z$arm, family = binomial()))$fitted.values
    p <- mean(z$arm); w <- ifelse(z$arm == 1, p / e, (1 - p) / (1 - e))
    coef(coxph(Surv(time, event) ~ arm, data = z, weights = w, robust = TRUE))
    for (a in 0:1) { f <- survfit(Surv(time, event) ~ 1, data = z, weights = w, subset = arm == a, se.fit = FALSE); area(f, z$horizon[1]) }
  },
  cox = function() coxph(Surv(time, event) ~ x, data = d, weights = weight, robust = TRUE),
  cox_model_based = function() coxph(Surv(time, event) ~ x, data = d, weights = weight, robust = FALSE)
)
task <- tasks[[given[1]]]
if (repeats > 1) task()
spent <- system.time(for (k in seq_len(repeats)) task())
cat((spent[["user.self"]] + spent[["sys.self"]]) / repeats)
