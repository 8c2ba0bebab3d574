#!/usr/bin/env python3
"""Makes Tests/Goldens/neighbours.json: k-NN votes and principal components of small random sets, by scikit-learn.

Features are small whole numbers, so that both sides have the same ones: classes are clouds around random centres. For every
size: neighbours by cosine, predictions of KNeighborsClassifier with the weights of the protocol and with uniform ones, how
many labels stand among the five best of `predict_proba`, and PCA with `mean_`, `components_` and `explained_variance_`, each
component turned so that its largest entry is positive; spread and effective rank of the normalised features by NumPy's SVD,
also of features with a large common offset. Made with scikit-learn 1.9.1.
Usage: python3 tools/golden/neighbours.py
"""
import json
import pathlib

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

TEMPERATURE = 0.07
# bank, queries, width, classes, k
SIZES = [(40, 15, 5, 3, [1, 3, 40]), (300, 60, 24, 10, [1, 10, 20]), (500, 80, 40, 12, [5, 50, 200])]


def ints(values):
    return {"shape": list(np.shape(values)), "values": [int(value) for value in np.ravel(values)]}


def floats(values):
    return {"shape": list(np.shape(values)), "values": [float(f"{value:.9g}") for value in np.ravel(values)]}


def clouds(random, count, centres, spread):
    labels = random.integers(len(centres), size=count)
    rows = centres[labels] + spread * random.normal(size=(count, centres.shape[1]))
    return np.clip(np.rint(rows), -99, 99).astype(int), labels


def top5(classifier, queries, labels, k):
    probabilities = classifier.predict_proba(queries)
    hits = 0
    for row, label in zip(probabilities, labels):
        order = sorted((-value, number) for number, value in enumerate(row) if value > 0)
        hits += label in [classifier.classes_[number] for _, number in order[:min(5, k)]]
    return hits


def votes(golden, prefix, bank, bank_labels, queries, query_labels, ks):
    for k in ks:
        for vote, weights in [("weighted", lambda d: np.exp((1 - d) / TEMPERATURE)), ("uniform", "uniform")]:
            classifier = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights)
            classifier.fit(bank, bank_labels)
            golden[f"{prefix}.k{k}.{vote}"] = ints(classifier.predict(queries))
            golden[f"{prefix}.k{k}.{vote}.top5"] = top5(classifier, queries, query_labels, k)
        nearest = classifier.kneighbors(queries, return_distance=False)
        golden[f"{prefix}.k{k}.matching"] = int((bank_labels[nearest] == query_labels[:, None]).sum())


def health(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    shares = np.linalg.svd(unit, compute_uv=False)
    shares = shares / shares.sum()
    return [unit.std(axis=0).mean(), np.exp(-(shares * np.log(shares)).sum())]


def main():
    golden = {}
    for number, (bank_count, query_count, width, classes, ks) in enumerate(SIZES):
        random = np.random.default_rng(number)
        # Spreads that fall from dimension to dimension keep the components apart.
        centres = 9 * random.normal(size=(classes, width)) * np.linspace(1.5, 0.3, width) + 6
        bank, bank_labels = clouds(random, bank_count, centres, 20)
        queries, query_labels = clouds(random, query_count, centres, 20)
        prefix = f"set{number}"
        golden[f"{prefix}.k"] = ints(ks)
        for name, values in [("bank", bank), ("bank_labels", bank_labels), ("queries", queries),
                             ("query_labels", query_labels)]:
            golden[f"{prefix}.{name}"] = ints(values)
        votes(golden, prefix, bank.astype(float), bank_labels, queries.astype(float), query_labels, ks)
        # The protocol's deviation is unbiased and has 1e-5 added.
        scaler = StandardScaler().fit(bank)
        deviation = bank.std(axis=0, ddof=1) + 1e-5
        scaled = [(rows - scaler.mean_) / deviation for rows in (bank, queries)]
        votes(golden, f"{prefix}.standardised", scaled[0], bank_labels, scaled[1], query_labels, ks[:2])
        for name, offset in [("health", 0), ("health.offset", 300)]:
            golden[f"{prefix}.{name}"] = floats(health(bank + offset))
        pca = PCA(min(width, 6), svd_solver="full").fit(bank)
        signs = np.sign(np.take_along_axis(pca.components_, np.abs(pca.components_).argmax(1)[:, None], 1))
        golden[f"{prefix}.pca.mean"] = floats(pca.mean_)
        golden[f"{prefix}.pca.components"] = floats(pca.components_ * signs)
        golden[f"{prefix}.pca.variance"] = floats(pca.explained_variance_)
        golden[f"{prefix}.pca.ratio"] = floats(pca.explained_variance_ratio_)
        golden[f"{prefix}.pca.projected"] = floats(pca.transform(queries[:10]) * signs.T)
    target = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens/neighbours.json"
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in golden.items())
    target.write_text("{\n" + lines + "\n}\n")


main()
