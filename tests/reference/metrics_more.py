"""Writes metrics_more.json: scikit-learn's values of the metrics in
lua/luma/metrics/{agreement,calibration,roc}.lua on random cases with ties.
Run: python3 tests/reference/metrics_more.py  (needs python3-sklearn)"""
import json, os
import numpy as np
from sklearn import metrics as m

rng = np.random.default_rng(5)
cases = []
for n, k in [(12, 2), (39, 2), (60, 3), (200, 4), (25, 5), (40, 2)]:
    z = np.round(rng.normal(size=(n, k)), 1)          # rounded: ties
    y = (z + rng.normal(size=(n, k))).argmax(1)
    y[:k] = range(k)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    said = p.argmax(1)
    c = {"y": (y + 1).tolist(), "said": (said + 1).tolist(), "p": p.tolist(),
         "balanced_accuracy": m.balanced_accuracy_score(y, said),
         "matthews_corrcoef": m.matthews_corrcoef(y, said),
         "cohen_kappa": m.cohen_kappa_score(y, said),
         "log_loss": m.log_loss(y, p, labels=list(range(k)))}
    if k == 2:
        c["brier"] = m.brier_score_loss(y, p[:, 1])
        c["auc"] = m.roc_auc_score(y, p[:, 1])
        c["average_precision"] = m.average_precision_score(y, p[:, 1])
    cases.append({a: float(b) if isinstance(b, (float, np.floating)) else b for a, b in c.items()})
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "metrics_more.json"), "w") as f:
    json.dump(cases, f, separators=(",", ":"))
    f.write("\n")
