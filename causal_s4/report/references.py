"""What the drafted text cites: one entry a source, numbered in the order of first mention."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

REFERENCES: Mapping[str, str] = MappingProxyType(
    {
        # --- design and reporting
        "hernan2016": "Hernán MA, Robins JM. Using big data to emulate a target trial when a randomized trial is not "
        "available. Am J Epidemiol 2016;183:758-764. doi:10.1093/aje/kwv254",
        "target": "Cashin AG, Hansford HJ, Hernán MA, et al. Transparent reporting of observational studies emulating "
        "a target trial: the TARGET statement. JAMA 2025;334:1084-1093. doi:10.1001/jama.2025.13350",
        "strobe": "von Elm E, Altman DG, Egger M, et al. Strengthening the reporting of observational studies in "
        "epidemiology (STROBE) statement. BMJ 2007;335:806-808. doi:10.1136/bmj.39335.541782.AD",
        "record": "Benchimol EI, Smeeth L, Guttmann A, et al. The reporting of studies conducted using observational "
        "routinely-collected health data (RECORD) statement. PLoS Med 2015;12:e1001885. "
        "doi:10.1371/journal.pmed.1001885",
        "robins": "Sterne JAC, Hernán MA, Reeves BC, et al. ROBINS-I: a tool for assessing risk of bias in "
        "non-randomised studies of interventions. BMJ 2016;355:i4919. doi:10.1136/bmj.i4919",
        "anderson1983": "Anderson JR, Cain KC, Gelber RD. Analysis of survival by tumor response. J Clin Oncol "
        "1983;1:710-719. doi:10.1200/JCO.1983.1.11.710",
        "mantel1974": "Mantel N, Byar DP. Evaluation of response-time data involving transient states: an illustration "
        "using heart-transplant data. J Am Stat Assoc 1974;69:81-86. doi:10.1080/01621459.1974.10480131",
        "maringe2020": "Maringe C, Benitez Majano S, Exarchakou A, et al. Reflections on modern methods: trial emulation "
        "in the presence of immortal-time bias. Int J Epidemiol 2020;49:1719-1729. doi:10.1093/ije/dyaa057",
        "hernan2018": "Hernán MA. How to estimate the effect of treatment duration on survival outcomes using "
        "observational data. BMJ 2018;360:k182. doi:10.1136/bmj.k182",
        "wanis2024": "Wanis KN, Sarvet AL, Wen L, et al. Grace periods in comparative effectiveness studies of sustained "
        "treatments. J R Stat Soc A 2024;187:796-810. doi:10.1093/jrsssa/qnae002",
        # --- adjustment
        "dagitty": "Textor J, Hardt J, Knüppel S. DAGitty: a graphical tool for analyzing causal diagrams. "
        "Epidemiology 2011;22:745. doi:10.1097/EDE.0b013e318225c2be",
        "shpitser2010": "Shpitser I, VanderWeele TJ, Robins JM. On the validity of covariate adjustment for estimating "
        "causal effects. Proc 26th Conf Uncertainty in Artificial Intelligence 2010:527-536. arXiv:1203.3515",
        "dowhy": "Sharma A, Kiciman E. DoWhy: an end-to-end library for causal inference. 2020. arXiv:2011.04216",
        "rosenbaum1983": "Rosenbaum PR, Rubin DB. The central role of the propensity score in observational studies for "
        "causal effects. Biometrika 1983;70:41-55. doi:10.1093/biomet/70.1.41",
        "firth1993": "Firth D. Bias reduction of maximum likelihood estimates. Biometrika 1993;80:27-38. "
        "doi:10.1093/biomet/80.1.27",
        "heinze2002": "Heinze G, Schemper M. A solution to the problem of separation in logistic regression. Stat Med "
        "2002;21:2409-2419. doi:10.1002/sim.1047",
        "li2018": "Li F, Morgan KL, Zaslavsky AM. Balancing covariates via propensity score weighting. J Am Stat Assoc "
        "2018;113:390-400. doi:10.1080/01621459.2016.1260466",
        "li2013": "Li L, Greene T. A weighting analogue to pair matching in propensity score analysis. Int J Biostat "
        "2013;9:215-234. doi:10.1515/ijb-2012-0030",
        "hainmueller2012": "Hainmueller J. Entropy balancing for causal effects: a multivariate reweighting method to "
        "produce balanced samples in observational studies. Polit Anal 2012;20:25-46. doi:10.1093/pan/mpr025",
        "cole2008": "Cole SR, Hernán MA. Constructing inverse probability weights for marginal structural models. "
        "Am J Epidemiol 2008;168:656-664. doi:10.1093/aje/kwn164",
        "crump2009": "Crump RK, Hotz VJ, Imbens GW, Mitnik OA. Dealing with limited overlap in estimation of average "
        "treatment effects. Biometrika 2009;96:187-199. doi:10.1093/biomet/asn055",
        "austin2015": "Austin PC, Stuart EA. Moving towards best practice when using inverse probability of treatment "
        "weighting (IPTW) using the propensity score to estimate causal treatment effects in observational studies. "
        "Stat Med 2015;34:3661-3679. doi:10.1002/sim.6607",
        "harrell2015": "Harrell FE. Regression modeling strategies. 2nd ed. Springer; 2015. "
        "doi:10.1007/978-3-319-19425-7",
        # --- estimation
        "kaplan1958": "Kaplan EL, Meier P. Nonparametric estimation from incomplete observations. J Am Stat Assoc "
        "1958;53:457-481. doi:10.1080/01621459.1958.10501452",
        "cole2004": "Cole SR, Hernán MA. Adjusted survival curves with inverse probability weights. Comput Methods Programs "
        "Biomed 2004;75:45-49. doi:10.1016/j.cmpb.2003.10.004",
        "royston2013": "Royston P, Parmar MKB. Restricted mean survival time: an alternative to the hazard ratio for the "
        "design and analysis of randomized trials with a time-to-event outcome. BMC Med Res Methodol 2013;13:152. "
        "doi:10.1186/1471-2288-13-152",
        "cox1972": "Cox DR. Regression models and life-tables. J R Stat Soc B 1972;34:187-220. "
        "doi:10.1111/j.2517-6161.1972.tb00899.x",
        "efron1977": "Efron B. The efficiency of Cox's likelihood function for censored data. J Am Stat Assoc "
        "1977;72:557-565. doi:10.1080/01621459.1977.10480613",
        "breslow1974": "Breslow N. Covariance analysis of censored survival data. Biometrics 1974;30:89-99. "
        "doi:10.2307/2529620",
        "shu2021": "Shu D, Young JG, Toh S, Wang R. Variance estimation in inverse probability weighted Cox models. "
        "Biometrics 2021;77:1101-1117. doi:10.1111/biom.13332",
        "austin2016": "Austin PC. Variance estimation when using inverse probability of treatment weighting (IPTW) with "
        "survival analysis. Stat Med 2016;35:5642-5655. doi:10.1002/sim.7084",
        "efron1981": "Efron B, Stein C. The jackknife estimate of variance. Ann Stat 1981;9:586-596. "
        "doi:10.1214/aos/1176345462",
        "barnard1999": "Barnard J, Rubin DB. Small-sample degrees of freedom with multiple imputation. Biometrika "
        "1999;86:948-955. doi:10.1093/biomet/86.4.948",
        "schemper1996": "Schemper M, Smith TL. A note on quantifying follow-up in studies of failure time. Control Clin "
        "Trials 1996;17:343-346. doi:10.1016/0197-2456(96)00075-X",
        # --- doubt
        "vanderweele2017": "VanderWeele TJ, Ding P. Sensitivity analysis in observational research: introducing the "
        "E-value. Ann Intern Med 2017;167:268-274. doi:10.7326/M16-2607",
        "ding2016": "Ding P, VanderWeele TJ. Sensitivity analysis without assumptions. Epidemiology 2016;27:368-377. "
        "doi:10.1097/EDE.0000000000000457",
        "lin1998": "Lin DY, Psaty BM, Kronmal RA. Assessing the sensitivity of regression results to unmeasured "
        "confounders in observational studies. Biometrics 1998;54:948-963. doi:10.2307/2533848",
        "rosenbaum2002": "Rosenbaum PR. Observational studies. 2nd ed. Springer; 2002. doi:10.1007/978-1-4757-3692-2",
        "lipsitch2010": "Lipsitch M, Tchetgen Tchetgen E, Cohen T. Negative controls: a tool for detecting confounding "
        "and bias in observational studies. Epidemiology 2010;21:383-388. doi:10.1097/EDE.0b013e3181d61eeb",
        "steegen2016": "Steegen S, Tuerlinckx F, Gelman A, Vanpaemel W. Increasing transparency through a multiverse "
        "analysis. Perspect Psychol Sci 2016;11:702-712. doi:10.1177/1745691616658637",
        # --- software
        "numpy": "Harris CR, Millman KJ, van der Walt SJ, et al. Array programming with NumPy. Nature 2020;585:357-362. "
        "doi:10.1038/s41586-020-2649-2",
        "scipy": "Virtanen P, Gommers R, Oliphant TE, et al. SciPy 1.0: fundamental algorithms for scientific computing "
        "in Python. Nat Methods 2020;17:261-272. doi:10.1038/s41592-019-0686-2",
        "pandas": "McKinney W. Data structures for statistical computing in Python. Proc 9th Python in Science Conf "
        "2010:56-61. doi:10.25080/Majora-92bf1922-00a",
        "scikit-learn": "Pedregosa F, Varoquaux G, Gramfort A, et al. Scikit-learn: machine learning in Python. J Mach "
        "Learn Res 2011;12:2825-2830",
        "statsmodels": "Seabold S, Perktold J. Statsmodels: econometric and statistical modeling with Python. Proc 9th "
        "Python in Science Conf 2010:92-96. doi:10.25080/Majora-92bf1922-011",
        "lifelines": "Davidson-Pilon C. lifelines: survival analysis in Python. J Open Source Softw 2019;4:1317. "
        "doi:10.21105/joss.01317",
        "matplotlib": "Hunter JD. Matplotlib: a 2D graphics environment. Comput Sci Eng 2007;9:90-95. "
        "doi:10.1109/MCSE.2007.55",
    }
)


def numbered(keys: Iterable[str]) -> dict[str, int]:
    """Return sources numbered in the order of their first mention.

    Parameters
    ----------
    keys : iterable of str
        Keys of :data:`REFERENCES`, as cited.

    Returns
    -------
    dict of str to int
        From 1.
    """
    return {key: number for number, key in enumerate(dict.fromkeys(keys), 1)}
