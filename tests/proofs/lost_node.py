"""A search on two nodes, of which one is killed in the middle: every trial ends, and no score differs.

    python tests/proofs/lost_node.py [--trials 60] [--store folder|s3]

The nodes are raylets on this machine. Exits 1 where a trial is lost, failed, or has another score than on one node, or
where the journal tells of something else.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from crashes import problems_of
from ray.cluster_utils import Cluster

from builders import arrow_of, clean_table
from raysweep.config import S3Config, SearchConfig, TaskKind
from raysweep.documents import plain_record
from raysweep.records.metric import METRICS
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import SearchOutcome, TrialState
from raysweep.space import load_space
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.storage.epochs import this_driver
from raysweep.storage.open_store import open_store
from raysweep.storage.run_journal import begin_epoch, read_run_journal
from raysweep.training.trial_data import RowBlock, SearchRows
from s3_server import run_s3_server

FEATURES = ("amount", "age", "visits")
SPACE = {
    "version": 1,
    "families": {"random_forest": {"params": {"min_samples_leaf": {"int": [1, 2_000]}}, "effort": {"rounds": 60}}},
}


def search(trials: int, record, after_each_look) -> SearchOutcome:
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
        record=record,
        interrupted=after_each_look,
    )
    config = SearchConfig(trials=trials, scheduler="asha", deterministic=True)
    return run_search(request, config)


def outcome_of(found: SearchOutcome) -> list[tuple[object, ...]]:
    return [(one.candidate.digest, one.state, tuple(rung.score for rung in one.rungs)) for one in found.trials]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--store", choices=["folder", "s3"], default="folder")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        place = store_in(Path(folder), options.store, stack).child("lost-node")
        journal, _ = begin_epoch(place, this_driver("lost-node", 1), Path(folder) / "work")
        with journal:
            outcomes = disturb(options.trials, lambda one: journal.append(plain_record(one)))
        return report(options.trials, *outcomes, read_run_journal(place))


def store_in(folder: Path, kind: str, stack: ExitStack):
    """A folder, or a bucket of an S3 server that is started for it."""
    if kind == "folder":
        return open_store(str(folder / "runs"), S3Config())
    server = stack.enter_context(run_s3_server(folder / "s3"))
    os.environ |= {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    server.client().create_bucket(Bucket="proofs")
    return open_store("s3://proofs/runs", S3Config(endpoint_url=server.endpoint_url))


def disturb(trials: int, record) -> tuple[SearchOutcome, SearchOutcome, bool]:
    """The search with a node killed after a third of its trials, an undisturbed one, and whether it was killed."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 200_000_000})
    second = cluster.add_node(num_cpus=1, object_store_memory=200_000_000)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    ended, killed = [0], []

    def written(one: dict[str, object]) -> None:
        record(one)
        ended[0] += one["event"] == "ended"

    def kill_in_the_middle() -> bool:
        if not killed and ended[0] >= trials // 3:
            second.kill_raylet()
            killed.append(True)
        return False

    disturbed = search(trials, written, kill_in_the_middle)
    undisturbed = search(trials, lambda _: None, lambda: False)
    ray.shutdown()
    cluster.shutdown()
    return disturbed, undisturbed, bool(killed)


def report(
    trials: int,
    disturbed: SearchOutcome,
    undisturbed: SearchOutcome,
    was_killed: bool,
    records: list[dict[str, object]],
) -> int:
    """Print what became of it; 1 where something is wrong."""
    lost = [one for one in records if one["event"] == "lost"]
    problems = problems_of(records, trials)
    if not was_killed:
        problems.append("the node was never killed")
    if outcome_of(disturbed) != outcome_of(undisturbed):
        problems.append("candidates, states or scores differ")
    if any(trial.state is TrialState.FAILED for trial in disturbed.trials):
        problems.append("a trial has failed")
    print(f"{len(disturbed.trials)} trials; a node killed after a third of them;")
    print(
        f"moved: {[(one['candidate'], one['reason'], one['counts']) for one in lost]}; problems: {problems or 'none'}"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
