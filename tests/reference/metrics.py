#!/usr/bin/python3
"""Writes metrics.json: what scikit-learn and SciPy say, for tests/metrics_spec.lua.

Run from the repository's top: tests/reference/metrics.py > tests/reference/metrics.json
"""
import json
import warnings

import numpy as np
from scipy import stats
from sklearn import metrics

warnings.filterwarnings("ignore")
rng = np.random.default_rng(5)


def pairs(tp, fn, fp, tn):  # the published tables: class 0 is COVID-19
    return [0] * (tp + fn) + [1] * (fp + tn), [0] * tp + [1] * fn + [0] * fp + [1] * tn


def delong(y, s):  # plain double loops, straight from the paper
    pos, neg = s[y == 1], s[y == 0]
    psi = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
    v10, v01 = psi.mean(1), psi.mean(0)
    var = v10.var(ddof=1) / len(pos) + v01.var(ddof=1) / len(neg)
    half = stats.norm.ppf(0.975) * np.sqrt(var)
    return {"value": psi.mean(), "lo": max(0.0, psi.mean() - half), "hi": min(1.0, psi.mean() + half)}


def report(y, p, **kw):
    y, p = [int(v) for v in y], [int(v) for v in p]
    labels = kw.get("labels") or sorted(set(y) | set(p))
    out = {"y": y, "p": p, "text": metrics.classification_report(
        y, p, labels=kw.get("labels"), target_names=kw.get("names"), digits=kw.get("digits", 2))}
    out.update(kw)
    out["confusion"] = metrics.confusion_matrix(y, p, labels=labels).tolist()
    return out


reports = [report(*pairs(18, 1, 6, 14)), report(*pairs(17, 2, 0, 20)), report(*pairs(17, 2, 6, 14)),
           report(*pairs(17, 2, 6, 14), names=["COVID-19", "Normal"], digits=4),
           report([0, 0, 1], [0, 0, 0]), report([1, 1], [1, 1]), report([0, 1, 2], [0, 1, 1], labels=[0, 1]),
           report([0, 1], [0, 1], labels=[0, 1, 2]), report([0, 0], [1, 1]),
           report([0, 1, 1], [1, 1, 0], names=["Lungenentzündung größer", "正常"], digits=3)]
for k, n, digits in [(2, 39, 2), (3, 7, 2), (5, 60, 3), (9, 300, 4), (12, 500, 6), (26, 1000, 1), (4, 40, 15),
                     (20, 400, 0)]:
    y, p = rng.integers(0, k, n), rng.integers(0, k, n)
    y = np.where(rng.random(n) < 0.6, p, y)
    reports.append(report(y, p, digits=digits))

aucs = []
for m, n, step in [(19, 20, 0), (1, 5, 0), (30, 300, 0.1), (200, 150, 0.25), (46, 50, 0.01)]:
    y = np.array([1] * m + [0] * n)
    s = rng.normal(size=m + n) + y
    if step:
        s = np.round(s / step) * step
    aucs.append({"y": y.tolist(), "s": s.tolist(), "sklearn": metrics.roc_auc_score(y, s),
                 "ap": metrics.average_precision_score(y, s), "delong": delong(y, s) if m > 1 else None})

ovr = []
for k, n in [(3, 30), (5, 200)]:
    y = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    z = rng.normal(size=(n, k)) + 1.2 * np.eye(k)[y]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    # The variance by delete-nothing influence: each sample's placements averaged over the classes.
    infl = np.zeros(n)
    for c in range(k):
        pos, neg = np.where(y == c)[0], np.where(y != c)[0]
        psi = (p[pos, c][:, None] > p[neg, c][None, :]) * 1.0
        a = psi.mean()
        infl[pos] += (psi.mean(1) - a) / np.sqrt(len(pos) * (len(pos) - 1)) / k
        infl[neg] += (psi.mean(0) - a) / np.sqrt(len(neg) * (len(neg) - 1)) / k
    ovr.append({"y": y.tolist(), "p": p.tolist(), "sd": float(np.sqrt((infl ** 2).sum())),
                "value": metrics.roc_auc_score(y, p, multi_class="ovr", average="macro")})

wilson = []
for x, n in [(32, 39), (0, 10), (10, 10), (1, 3), (820, 1000), (5, 9)]:
    for level in (0.95, 0.9):
        ci = stats.binomtest(x, n).proportion_ci(level, method="wilson")
        wilson.append([x, n, level, float(ci.low), float(ci.high)])

print(json.dumps({"reports": reports, "aucs": aucs, "ovr": ovr, "wilson": wilson},
                 ensure_ascii=False, separators=(",", ":")))
