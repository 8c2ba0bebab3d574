#!/usr/bin/env python3
"""Makes Tests/Goldens/lowshot.json: L2-regularised multinomial logistic regression without intercept.

scikit-learn's LogisticRegression(C=1/lambda, lbfgs, tol 1e-10) on random clusters of several sizes and preparations
(made with scikit-learn 1.9.1): the minimum of F(W) = mean CE + lambda / 2n |W|^2, the weights, and the classes that are
predicted for held-out rows. Features are whole numbers over 1024, exact in single precision.
Usage: python3 tools/golden/lowshot.py
"""
import json
import pathlib
import warnings

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression

SCALE = 1024
CASES = [  # rows, width, classes, rows to predict, preparation
    (12, 4, 3, 30, "none"),
    (60, 16, 10, 100, "l2"),
    (150, 24, 7, 120, "centre-l2"),
    (330, 8, 5, 100, "none"),
]
LAMBDAS = [2.5e-4, 1e-2, 1e-1, 1.0]


def prepared(x, how):
    if how == "centre-l2":
        x = x - x.mean(1, keepdims=True)
    return x if how == "none" else x / np.linalg.norm(x, axis=1, keepdims=True)


def objective(w, x, y, weight):
    logits = x @ w.T
    top = logits.max(1, keepdims=True)
    losses = np.log(np.exp(logits - top).sum(1)) + top[:, 0] - logits[np.arange(len(y)), y]
    return losses.mean() + weight / (2 * len(y)) * (w**2).sum()


def integers(x):
    return {"shape": list(x.shape), "values": np.asarray(x).reshape(-1).tolist()}


def main():
    golden = {"sklearn": sklearn.__version__, "scale": SCALE, "cases": len(CASES), "lambdas": integers(np.array(LAMBDAS))}
    for number, (rows, width, classes, tests, how) in enumerate(CASES):
        random = np.random.default_rng(number)
        centres = random.normal(size=(classes, width))
        y, z = np.arange(rows) % classes, np.arange(tests) % classes
        x, t = (centres[labels] + 1.2 * random.normal(size=(len(labels), width)) + 0.3 for labels in (y, z))
        x, t = np.round(x * SCALE).astype(int), np.round(t * SCALE).astype(int)
        name = f"case{number}"
        golden |= {
            f"{name}/classes": classes, f"{name}/preprocess": how, f"{name}/x": integers(x), f"{name}/y": integers(y),
            f"{name}/test": integers(t), f"{name}/test_y": integers(z),
        }
        px, pt = prepared(x / SCALE, how), prepared(t / SCALE, how)
        for place, weight in enumerate(LAMBDAS):
            model = LogisticRegression(C=1 / weight, fit_intercept=False, solver="lbfgs", tol=1e-10, max_iter=100000)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                model.fit(px, y)
            golden[f"{name}/{place}/objective"] = float(objective(model.coef_, px, y, weight))
            golden[f"{name}/{place}/norm"] = float(np.linalg.norm(model.coef_))
            golden[f"{name}/{place}/predicted"] = integers(model.predict(pt))
            scores = np.sort(pt @ model.coef_.T, axis=1)
            print(name, weight, "smallest gap", (scores[:, -1] - scores[:, -2]).min())
    path = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens/lowshot.json"
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
