#!/usr/bin/env python3
"""Makes Tests/Goldens/cluster.json: clusterings and their scores, with scikit-learn 1.9.1 and SciPy.

Points are whole numbers over SCALE, exact in single precision; scikit-learn works on them in double precision.
Usage: python3 tools/golden/cluster.py
"""
import json
import pathlib

import numpy
import scipy
import sklearn
from scipy.optimize import linear_sum_assignment
from sklearn import metrics
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.preprocessing import StandardScaler

SCALE = 4096


def ints(values):
    values = numpy.asarray(values)
    return {"shape": list(values.shape), "values": [int(v) for v in values.flatten()]}


def reals(values):
    values = numpy.asarray(values, dtype=float)
    return {"shape": list(values.shape), "values": [float(f"{v:.13g}") for v in values.flatten()]}


def accuracy(labels, clusters):
    table = metrics.cluster.contingency_matrix(labels, clusters)
    return int(table[linear_sum_assignment(table, maximize=True)].sum())


def scores(golden, name, labels, clusters):
    golden[f"{name}.labels"] = ints(labels)
    golden[f"{name}.clusters"] = ints(clusters)
    golden[f"{name}.matches"] = accuracy(labels, clusters)
    table = metrics.cluster.contingency_matrix(labels, clusters, sparse=True)
    golden[f"{name}.scores"] = reals([
        metrics.mutual_info_score(labels, clusters),
        metrics.cluster.expected_mutual_information(table, len(labels)),
        metrics.normalized_mutual_info_score(labels, clusters),
        metrics.adjusted_mutual_info_score(labels, clusters),
        metrics.adjusted_rand_score(labels, clusters),
    ])


def blobs(random, count, width, classes, spread):
    labels = numpy.arange(count) % classes
    centres = random.normal(size=(classes, width))
    points = centres[labels] + spread * random.normal(size=(count, width))
    return numpy.round(points * SCALE), labels


def lloyd(golden, name, points, first):
    fit = KMeans(len(first), init=first / SCALE, n_init=1, algorithm="lloyd", tol=0, max_iter=1000).fit(points / SCALE)
    golden[f"{name}.points"] = ints(points)
    golden[f"{name}.first"] = ints(first)
    golden[f"{name}.clusters"] = ints(fit.labels_)
    golden[f"{name}.centroids"] = reals(fit.cluster_centers_)
    golden[f"{name}.inertia"] = float(f"{fit.inertia_:.13g}")


def mini_batches(golden, random):
    points, _ = blobs(random, 160, 6, 5, 0.6)
    fit = MiniBatchKMeans(5, init=points[:5] / SCALE, n_init=1, reassignment_ratio=0)
    order = random.integers(0, 160, size=(8, 32))
    for batch in order:
        fit.partial_fit(points[batch] / SCALE)
    golden["batches.points"] = ints(points)
    golden["batches.order"] = ints(order)
    golden["batches.centroids"] = reals(fit.cluster_centers_)


def stopping(golden, random):
    """The batch after which scikit-learn sees no more gain, for inertias that fall and then wander."""
    inertias = numpy.round(1000 * (1 + 3 * numpy.exp(-numpy.arange(200) / 9) + 0.2 * random.random(200)), 3)
    golden["stopping.inertias"] = reals(inertias)
    golden["stopping.points"] = 900
    golden["stopping.batch"] = 64
    fit = MiniBatchKMeans(2, max_no_improvement=10)
    fit._batch_size, fit._tol = 64, 0.0
    fit._ewa_inertia = fit._ewa_inertia_min = None
    fit._no_improvement = 0
    golden["stopping.after"] = next(
        step for step, inertia in enumerate(inertias)
        if fit._mini_batch_convergence(step, 200, 900, 0.0, inertia)
    )


def silhouette(golden, name, points, labels):
    golden[f"{name}.points"] = ints(points)
    golden[f"{name}.labels"] = ints(labels)
    golden[f"{name}.values"] = reals(metrics.silhouette_samples(points / SCALE, labels))


def main():
    random = numpy.random.default_rng(0)
    golden = {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__, "scale": SCALE}

    scores(golden, "hand", [0, 0, 0, 1, 1, 1, 2, 2, 2, 2], [1, 1, 0, 0, 0, 0, 2, 2, 2, 1])
    scores(golden, "hand4", [0, 0, 0, 1, 1, 1, 2, 2, 2, 2], [0, 0, 3, 1, 1, 1, 2, 2, 2, 3])
    for name, count, classes, clusters in [
        ("even", 60, 5, 5), ("fewer", 240, 10, 7), ("more", 300, 4, 12), ("many", 400, 40, 40),
    ]:
        labels = numpy.arange(count) % classes
        noise = random.integers(0, clusters, count)
        scores(golden, name, labels, numpy.where(random.random(count) < 0.5, labels % clusters, noise))
        scores(golden, f"{name}.chance", labels, noise)
    scores(golden, "constant", [0, 0, 0, 1, 1, 2], [0] * 6)
    scores(golden, "single", [0] * 5, [0] * 5)
    scores(golden, "singletons", range(7), range(7))

    tables = [random.integers(0, 6, size=shape) for shape in [(1, 1), (4, 4), (3, 7), (8, 5), (25, 25), (30, 41)]]
    for number, table in enumerate(tables):
        golden[f"table{number}"] = ints(table)
        golden[f"table{number}.sum"] = int(table[linear_sum_assignment(table, maximize=True)].sum())

    for name, count, width, classes, spread in [("small", 90, 3, 4, 0.7), ("wide", 200, 32, 10, 1.5), ("line", 80, 1, 6, 0.4)]:
        points, _ = blobs(random, count, width, classes, spread)
        lloyd(golden, name, points, points[:classes])
    points, _ = blobs(random, 60, 3, 4, 0.5)
    lloyd(golden, "empty", points, numpy.concatenate([points[:3], [[99 * SCALE] * 3]]))

    mini_batches(golden, random)
    stopping(golden, random)

    points, _ = blobs(random, 24, 4, 3, 1.0)
    points[:, 2] = 3 * SCALE
    golden["standard.points"] = ints(points)
    golden["standard.values"] = reals(StandardScaler().fit_transform(points / SCALE))

    golden["silhouette"] = 3
    silhouette(golden, "silhouette0", numpy.array([[0, 0], [1, 0], [0, 2], [4, 4], [5, 4], [9, 0]]) * SCALE, [0, 0, 0, 1, 1, 2])
    silhouette(golden, "silhouette1", *blobs(random, 70, 5, 4, 0.8))
    points, labels = blobs(random, 150, 24, 7, 2.0)
    labels[-1] = 7  # alone
    points[10] = points[3]  # the same point in the same and in another class
    points[11] = points[3] + 1  # almost the same
    silhouette(golden, "silhouette2", points, labels)

    path = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens/cluster.json"
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")


if __name__ == "__main__":
    main()
