"""Writes stats.json: SciPy's values of the functions in lua/luma/base/distributions.lua.
Run: python3 tests/reference/stats.py  (needs python3-scipy)"""
import json, os
import numpy as np
from scipy import special, stats

rng = np.random.default_rng(3)
rows = []
def add(name, args, value):
    rows.append({"name": name, "args": [float(a) for a in args], "value": float(value)})
for x in [1e-3, .3, .5, 1, 1.5, 2, 7.25, 60, 1234.5]:
    add("log_gamma", [x], special.gammaln(x))
for x in [-3, -1, -.1, 0, 1e-5, .2, .9, 1.7, 3, 5]:
    add("erf", [x], special.erf(x)); add("erfc", [x], special.erfc(x))
for z in [-8, -3, -1.96, -.5, 0, .3, 1.644853, 4]:
    add("normal_cdf", [z], stats.norm.cdf(z))
for p in [1e-12, 1e-4, .025, .2, .5, .8, .975, .9999]:
    add("normal_quantile", [p], stats.norm.ppf(p))
for _ in range(25):
    x, a, b = rng.random(), 10 ** rng.uniform(-1, 3), 10 ** rng.uniform(-1, 3)
    add("beta_cdf", [x, a, b], stats.beta.cdf(x, a, b))
    p = rng.uniform(.01, .99)
    add("beta_quantile", [p, a, b], stats.beta.ppf(p, a, b))
for x, k in [(.1, 1), (3.84, 1), (10, 3), (2, 7), (300, 200)]:
    add("chi2_sf", [x, k], stats.chi2.sf(x, k))
for k, n, p in [(0, 5, .2), (3, 9, .5), (30, 39, .82), (500, 1000, .47)]:
    add("binomial_cdf", [k, n, p], stats.binom.cdf(k, n, p))
for k, n in [(0, 10), (32, 39), (39, 39), (450, 900)]:
    ci = stats.binomtest(k, n).proportion_ci(method="exact")
    add("clopper_pearson", [k, n], ci.low); rows[-1]["second"] = float(ci.high)
for a, b in [(0, 0), (1, 5), (10, 3), (40, 41)]:
    add("mcnemar", [a, b], stats.binomtest(a, a + b, .5).pvalue if a + b else 1)
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "stats.json"), "w") as f:
    json.dump(rows, f, indent=0)
    f.write("\n")
