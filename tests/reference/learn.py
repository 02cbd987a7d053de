"""Writes learn.json: scikit-learn's coefficients and probabilities of logistic
regression, and the predictions of a decision tree, on small random tables.
Run: python3 tests/reference/learn.py  (needs python3-sklearn)"""
import json, os
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import roc_auc_score

def r(a):
    return np.round(np.asarray(a, dtype=np.float64), 9).tolist()

rng = np.random.default_rng(11)
cases = []
for classes, n, d, c in [(2, 60, 5, 1.0), (2, 40, 12, 0.01), (3, 90, 4, 1.0), (4, 50, 6, 10.0)]:
    x = rng.normal(size=(n, d)).astype(np.float32) * rng.uniform(.5, 20, d).astype(np.float32)
    z = x @ rng.normal(size=(d, classes)) / 10 + rng.normal(size=(n, classes))
    y = z.argmax(1)
    y[:classes] = range(classes)
    s = StandardScaler().fit_transform(x.astype(np.float64))
    m = LogisticRegression(C=c, solver="newton-cg", tol=1e-10, max_iter=100000).fit(s, y)
    cases.append({"classes": classes, "c": c, "x": x.tolist(), "y": (y + 1).tolist(),
                  "coef": r(np.column_stack([m.coef_, m.intercept_])), "proba": r(m.predict_proba(s))})
x = rng.normal(size=(300, 6)).astype(np.float32)
y = ((x[:, 0] * x[:, 1] > 0) ^ (x[:, 2] > .7)).astype(int) + (x[:, 3] > 1.2)
t = DecisionTreeClassifier(max_depth=4, min_samples_leaf=5, random_state=0).fit(x, y)
probe = rng.normal(size=(200, 6)).astype(np.float32)
tree = {"x": x.tolist(), "y": (y + 1).tolist(), "probe": probe.tolist(), "proba": r(t.predict_proba(probe))}
truth = ((probe[:, 0] * probe[:, 1] > 0) ^ (probe[:, 2] > .7)).astype(int)
binary = ((x[:, 0] * x[:, 1] > 0) ^ (x[:, 2] > .7)).astype(int)
aucs = [roc_auc_score(truth, RandomForestClassifier(200, random_state=s).fit(x, binary).predict_proba(probe)[:, 1])
        for s in range(5)]
forest = {"y": (binary + 1).tolist(), "truth": (truth + 1).tolist(), "auc": float(np.mean(aucs)), "spread": float(np.ptp(aucs))}
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "learn.json"), "w") as f:
    json.dump({"logistic": cases, "tree": tree, "forest": forest}, f, separators=(",", ":"))
    f.write("\n")
