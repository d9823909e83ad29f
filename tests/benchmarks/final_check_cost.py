"""What the intervals of the final check cost, against the plain loop over resampled rows through scikit-learn.

    python tests/benchmarks/final_check_cost.py [ROWS [POSITIVE_SHARE]]

Both run in one process on one thread, one after the other, so that the ratio means something on a noisy machine. The
plain loop is measured on a few resamples and taken times 1,000 / that many: its cost does not depend on how many came
before. Ours draws all 1,000.
"""

import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from raysweep.config import TaskKind
from raysweep.records.metric import metrics_for
from raysweep.training.metrics import score
from raysweep.training.resampling import RESAMPLES, resampled_scores

PLAIN_RESAMPLES = 20


def rows_and_predictions(rows, share, seed):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(float)

    def model(noise):
        positive = 1 / (1 + np.exp(-(y - share + noise * rng.normal(size=rows))))
        return np.column_stack([1 - positive, positive])

    return y, model(1.0), model(1.2)


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def plain_loop(y, predicted, names):
    """Seconds that 1,000 resamples would take, by a few of them."""
    rng = np.random.default_rng(0)

    def loop():
        for _ in range(PLAIN_RESAMPLES):
            chosen = rng.integers(len(y), size=len(y))
            for name in names:
                score(name, y[chosen], predicted[chosen])

    return seconds(loop) * RESAMPLES / PLAIN_RESAMPLES


def main(rows, share):
    y, model, default = rows_and_predictions(rows, share, 0)
    testing, on_testing, _ = rows_and_predictions(rows, share, 1)
    dummy = np.tile([1 - share, share], (rows, 1))
    names = [metric.name for metric in metrics_for(TaskKind.BINARY)]
    whole = [(name, model) for name in names] + [("roc_auc", dummy), ("roc_auc", default)]

    def ours():
        resampled_scores(y, None, whole, seed=0)
        resampled_scores(testing, None, [("roc_auc", on_testing)], seed=0)

    with threadpool_limits(1):
        everything, one = seconds(ours), seconds(lambda: resampled_scores(y, None, whole[:1], seed=0))
        plain_one, plain_all = (plain_loop(y, model, asked) for asked in (["roc_auc"], names))
    print(f"{rows:,} validation rows, {share:.0%} positive, {RESAMPLES:,} resamples, one thread")
    print(f"(plain loop: {PLAIN_RESAMPLES} resamples measured, taken times {RESAMPLES // PLAIN_RESAMPLES})\n")
    print(f"{'':62}{'seconds':>9}")
    print(f"{'raysweep: ROC AUC alone':62}{one:9.2f}")
    print(f"{'raysweep: all metrics, dummy, default, the testing part':62}{everything:9.2f}")
    print(f"{'plain loop: ROC AUC alone':62}{plain_one:9.2f}")
    print(f"{'plain loop: all metrics of the model, nothing else':62}{plain_all:9.2f}\n")
    print(f"ROC AUC alone:                      1/{plain_one / one:.0f} of the plain loop")
    print(f"everything against ROC AUC alone:   1/{plain_one / everything:.0f} of the plain loop (target: 1/5)")
    print(f"everything against all metrics:     1/{plain_all / everything:.0f} of the plain loop")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, float(sys.argv[2]) if len(sys.argv) > 2 else 0.3)
