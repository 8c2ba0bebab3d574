#!/usr/bin/env python3
"""Compares k-NN classification with scikit-learn's brute force on the same features, in turns in one run.

usage: knn_sklearn.py [--rounds N] [--queries N] [--bank N] [--width N] [--top-k K] [--threads T]
                      [--program .build/release/sslmpi] DIR

`sslmpi bench knn --keep-in DIR` makes the features. scikit-learn classifies them in two ways, both in single precision with
T threads and the votes of the protocol: by cosine, as the protocol is written, and by Euclidean distance between vectors that
are normalised in the measured time, which has the same neighbours and is its fastest way. Every round is one turn of each
program; ratios are seconds of scikit-learn over those of sslmpi, by the clock and by the work of the cores, which suffers less
from other processes; the median over rounds counts, and the cores that others used stand beside it. Needs scikit-learn.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

TEMPERATURE = 0.07


def arguments():
    parser = argparse.ArgumentParser()
    for name, value in [("rounds", 3), ("queries", 10_000), ("bank", 100_000), ("width", 768), ("top-k", 20), ("threads", 2)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--program", default=".build/release/sslmpi")
    parser.add_argument("directory", type=pathlib.Path)
    return parser.parse_args()


def ours(options, keep):
    command = [options.program, "bench", "knn", "--json", "--rounds", "1"]
    for name in ["queries", "bank", "width", "top_k", "threads"]:
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    if keep:
        command += ["--keep-in", str(options.directory)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1])


def main():
    options = arguments()
    options.directory.mkdir(parents=True, exist_ok=True)
    # Before NumPy loads its BLAS.
    for name in ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"]:
        os.environ[name] = str(options.threads)
    import numpy as np
    import sklearn
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import normalize
    from turns import machine_seconds

    ours(options, keep=True)
    rows = {name: np.fromfile(options.directory / f"{name}.f32", np.float32).reshape(-1, options.width)
            for name in ["bank", "queries"]}
    labels, predictions = (np.fromfile(options.directory / f"{name}.i32", np.int32) for name in ["labels", "predictions"])

    def cosine():
        classifier = KNeighborsClassifier(
            options.top_k, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / TEMPERATURE))
        return classifier.fit(rows["bank"], labels).predict(rows["queries"])

    def euclidean():
        # |a - b|^2 = 2 - 2 cos
        classifier = KNeighborsClassifier(
            options.top_k, algorithm="brute", weights=lambda d: np.exp((1 - d * d / 2) / TEMPERATURE))
        return classifier.fit(normalize(rows["bank"]), labels).predict(normalize(rows["queries"]))

    def turn(work):
        """The answer, its seconds by the clock and of all cores, and how many cores others used meanwhile."""
        used, all_own, own, start = machine_seconds()[0], sum(os.times()[:4]), time.process_time(), time.monotonic()
        answer = work()
        wall = time.monotonic() - start
        foreign = (machine_seconds()[0] - used - (sum(os.times()[:4]) - all_own)) / wall
        return answer, (wall, time.process_time() - own), max(0.0, foreign)

    sides = {"sslmpi": lambda: ours(options, keep=False), "cosine": cosine, "euclidean": euclidean}
    seconds, foreign, agreeing = {name: [] for name in sides}, {name: [] for name in sides}, {}
    for number in range(options.rounds):
        for name, work in sides.items():
            answer, taken, others = turn(work)
            if name == "sslmpi":
                taken = (answer["seconds"], answer["core_seconds"])
            else:
                agreeing[name] = int((answer == predictions).sum())
            seconds[name].append(taken)
            foreign[name].append(others)
        latest = {name: [round(value, 2) for value in values[-1]] for name, values in seconds.items()}
        print(f"round {number + 1}: seconds by the clock, of all cores {latest}", file=sys.stderr)
    report = {"scikit_learn": sklearn.__version__, "queries": options.queries, "bank": options.bank, "width": options.width,
              "top_k": options.top_k, "threads": options.threads}

    def spread(values):
        return {"median": statistics.median(values), "range": [min(values), max(values)]}

    for name in sides:
        report[name] = {"seconds": spread([wall for wall, _ in seconds[name]]),
                        "core_seconds": spread([cores for _, cores in seconds[name]]),
                        "foreign_cores": spread(foreign[name])}
    for name, same in agreeing.items():
        pairs = list(zip(seconds[name], seconds["sslmpi"]))
        report[name] |= {"ratio": spread([theirs[0] / mine[0] for theirs, mine in pairs]),
                         "core_ratio": spread([theirs[1] / mine[1] for theirs, mine in pairs]), "same_classes": same}
    print(json.dumps(report))


main()
