"""What the final check costs once its predictions are made, against the plain loop over resampled rows in scikit-learn.

    python tests/benchmarks/final_check_cost.py [ROWS [POSITIVE_SHARE]]

Both run in one process on one thread, one after the other, so that the ratio means something on a noisy machine. The
plain loop is measured on a few resamples and taken times 1,000 / that many: its cost does not depend on how many came
before. Ours draws all 1,000. The whole check is all that follows the opening but fits and predictions: every metric,
paired gains over dummy, default and a model in production, gaps over three parts, three seeds, calibration, threshold,
slices named and found, gates.
"""

import sys
import time

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from raysweep.config import TaskKind, load_config
from raysweep.records.metric import METRICS, metrics_for
from raysweep.records.model_facts import Behaviour, Opened
from raysweep.records.table import Column, ColumnKind, LearningTask
from raysweep.records.trial import Candidate, Trial, TrialState
from raysweep.stages.confirm.evidence import Champion, Evidence, FinalistEvidence
from raysweep.stages.confirm.facts import FactRows, calibration_of, slices_of, threshold_of
from raysweep.stages.confirm.final_check import check_finally
from raysweep.training.metrics import score
from raysweep.training.resampling import RESAMPLES, resampled_scores
from raysweep.training.sealed_rows import SealedRows
from raysweep.training.trial_data import RowBlock

PLAIN_RESAMPLES = 20


def rows_and_predictions(rows, share, seed):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(float)

    def model(noise):
        positive = 1 / (1 + np.exp(-(y - share + noise * rng.normal(size=rows))))
        return np.column_stack([1 - positive, positive])

    return y, model(1.0), model(1.2)


def block(y, seed):
    """The rows with ten numbers and two texts beside the target."""
    rng = np.random.default_rng(seed)
    numbers = {f"x{number}": rng.normal(size=len(y)) for number in range(10)}
    texts = {f"t{number}": rng.choice([f"value {one}" for one in range(30)], len(y)) for number in range(2)}
    features = pa.table({name: pa.array(values) for name, values in (numbers | texts).items()})
    features = features.cast(
        pa.schema([(name, pa.large_string() if name in texts else pa.float64()) for name in features.column_names])
    )
    return RowBlock(features, y, None)


def whole_check(rows, share):
    """A function that carries out the whole check over rows of all three parts."""
    parts = [rows_and_predictions(rows, share, seed) for seed in range(3)]
    training, testing, validation = (block(y, seed) for seed, (y, _, _) in enumerate(parts))
    kinds = [
        (name, ColumnKind.STRING if name.startswith("t") else ColumnKind.NUMBER)
        for name in training.features.column_names
    ]
    columns = tuple(Column(name, kind, kind.value) for name, kind in kinds)
    task = LearningTask(TaskKind.BINARY, "y", METRICS["roc_auc"], columns, (0, 1), (1, 1))
    dummy = np.tile([1 - share, share], (rows, 1))
    candidate = Candidate(0, "xgboost", {}, "d", "tpe", 0)
    finalist = FinalistEvidence(
        Trial(candidate, TrialState.COMPLETE),
        "training+testing",
        parts[2][1],
        parts[2][2],
        None,
        parts[0][1],
        parts[1][1],
        parts[2][1].copy(),
    )
    config = load_config({"version": 1, "data": {"source": "memory:", "target": "y"}, "confirm": {"slices": ["t0"]}})
    seeds = tuple((parts[1][2], parts[2][2]) for _ in range(2))
    opened = Opened("digest", 1, (), "ledger", 0.95)

    def check():
        scored = FactRows(testing, SealedRows(validation, pa.table({})), parts[1][1], parts[2][1], dummy)
        evidence = Evidence(
            training,
            testing,
            validation,
            (finalist,),
            dummy,
            seeds,
            0,
            opened,
            Behaviour((), 0.001, 0.0, 1_000),
            calibration=calibration_of(scored, task, 0.95),
            threshold=threshold_of(scored, task),
            slices=slices_of(scored, task, config, print),
            champion=Champion("bundle", parts[2][2].copy()),
        )
        check_finally(evidence, task, config.confirm, draw)

    return check


def draw(rows, scored, resamples):
    return resampled_scores(rows.y, rows.weight, scored, seed=0, resamples=resamples, group=rows.group)


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

    check = whole_check(rows, share)
    with threadpool_limits(1):
        whole_seconds = seconds(check)
        everything, one = seconds(ours), seconds(lambda: resampled_scores(y, None, whole[:1], seed=0))
        plain_one, plain_all = (plain_loop(y, model, asked) for asked in (["roc_auc"], names))
    print(f"{rows:,} validation rows, {share:.0%} positive, {RESAMPLES:,} resamples, one thread")
    print(f"(plain loop: {PLAIN_RESAMPLES} resamples measured, taken times {RESAMPLES // PLAIN_RESAMPLES})\n")
    print(f"{'':62}{'seconds':>9}")
    print(f"{'raysweep: ROC AUC alone':62}{one:9.2f}")
    print(f"{'raysweep: all metrics, dummy, default, the testing part':62}{everything:9.2f}")
    print(f"{'raysweep: the whole check, but for fits and predictions':62}{whole_seconds:9.2f}")
    print(f"{'plain loop: ROC AUC alone':62}{plain_one:9.2f}")
    print(f"{'plain loop: all metrics of the model, nothing else':62}{plain_all:9.2f}\n")
    print(f"ROC AUC alone:                      1/{plain_one / one:.0f} of the plain loop")
    print(f"everything against ROC AUC alone:   1/{plain_one / everything:.1f} of the plain loop")
    print(f"the whole check against ROC AUC:    1/{plain_one / whole_seconds:.1f} of the plain loop (target: 1/5)")
    print(f"everything against all metrics:     1/{plain_all / everything:.0f} of the plain loop")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, float(sys.argv[2]) if len(sys.argv) > 2 else 0.3)
