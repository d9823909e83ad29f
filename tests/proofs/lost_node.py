"""A search on two nodes, of which one is killed in the middle: every trial ends, and no score differs.

    python tests/proofs/lost_node.py [--trials 60]

The nodes are raylets on this machine. Exits 1 where a trial is lost, failed, or has another score than on one node.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.cluster_utils import Cluster

from builders import arrow_of, clean_table
from raysweep.config import SearchConfig, TaskKind
from raysweep.records.metric import METRICS
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import SearchOutcome, TrialState
from raysweep.space import load_space
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.training.trial_data import RowBlock, SearchRows

FEATURES = ("amount", "age", "visits")
SPACE = {
    "version": 1,
    "families": {"random_forest": {"params": {"min_samples_leaf": {"int": [1, 2_000]}}, "effort": {"rounds": 60}}},
}


def search(trials: int, records: list[dict[str, object]], after_each_look) -> SearchOutcome:
    frame = clean_table(6_000, 3)
    arrow, columns = arrow_of(frame)
    features = tuple(column for column in columns if column.name in FEATURES)
    table, y = arrow.select([column.name for column in features]), frame["target"].to_numpy(float)
    training, testing = (RowBlock(table.slice(a, n), y[a : a + n], None) for a, n in ((0, 4_000), (4_000, 2_000)))
    rows = SearchRows(training, testing, y[:0].astype(int), 1)
    request = SearchRequest(
        task=LearningTask(TaskKind.BINARY, "target", METRICS["roc_auc"], features, (0, 1), (3_000, 3_000)),
        split=Split("random", 0, (), {}, 1, 0, 0, search_data=ray.put(rows)),
        space=load_space(SPACE, base=Path()),
        tell=lambda _: None,
        record=records.append,
        interrupted=after_each_look,
    )
    config = SearchConfig(trials=trials, scheduler="asha", deterministic=True)
    return run_search(request, config)


def outcome_of(found: SearchOutcome) -> list[tuple[object, ...]]:
    return [(one.candidate.digest, one.state, tuple(rung.score for rung in one.rungs)) for one in found.trials]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=60)
    options = parser.parse_args()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 200_000_000})
    second = cluster.add_node(num_cpus=1, object_store_memory=200_000_000)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    records: list[dict[str, object]] = []
    killed_at: list[float] = []

    def kill_in_the_middle() -> bool:
        ended = sum(one["event"] == "ended" for one in records)
        if not killed_at and ended >= options.trials // 3:
            second.kill_raylet()
            killed_at.append(time.monotonic())
        return False

    disturbed = search(options.trials, records, kill_in_the_middle)
    after = time.monotonic() - killed_at[0] if killed_at else 0.0
    undisturbed = search(options.trials, [], lambda: False)
    lost = [one for one in records if one["event"] == "lost"]
    problems = []
    if not killed_at:
        problems.append("the node was never killed")
    if outcome_of(disturbed) != outcome_of(undisturbed):
        problems.append("candidates, states or scores differ")
    if any(trial.state is TrialState.FAILED for trial in disturbed.trials):
        problems.append("a trial has failed")
    print(f"{len(disturbed.trials)} trials; a node killed after a third of them, {after:.0f} s before the end;")
    print(
        f"moved: {[(one['candidate'], one['reason'], one['counts']) for one in lost]}; problems: {problems or 'none'}"
    )
    ray.shutdown()
    cluster.shutdown()
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
