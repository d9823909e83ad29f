"""Searches on raylets that come and go, told in a JSON document; started as a process of its own by a test.

python tests/changing_cluster.py DOCUMENT [SCENE ...]
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import numpy as np
import pyarrow as pa
import ray
from ray.cluster_utils import Cluster

from node_cluster import other_raysweep
from noop_family import BROKEN, FAMILY, GPU_FAMILY, BrittleRows
from raysweep.config import SearchConfig, TaskKind
from raysweep.documents import plain_record
from raysweep.events import ClusterChanged, Said, TrialEnded
from raysweep.records.metric import METRICS
from raysweep.records.table import Column, ColumnKind, LearningTask, Split
from raysweep.records.trial import SearchOutcome
from raysweep.space import load_space
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.stages.search.ray_slot import LACK_SECONDS
from raysweep.training import families
from raysweep.training.trial_data import RowBlock

STORE_BYTES = 100_000_000
DRAINED_SECONDS = 4.0
BLOCK = RowBlock(pa.table({"x": [0.0, 1.0]}), np.array([0.0, 1.0]), None)
ROWS = BrittleRows(BLOCK, BLOCK, np.zeros(0, int), 1)
TASK = LearningTask(TaskKind.REGRESSION, "y", METRICS["rmse"], (Column("x", ColumnKind.NUMBER, "double"),))


@dataclass
class Course:
    """How a search goes: its journal, its events, and what it came to."""

    records: list[dict[str, Any]] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    outcome: SearchOutcome | None = None

    @property
    def said(self) -> list[str]:
        return [one.message for one in self.told if isinstance(one, Said)]

    def count(self, event: str) -> int:
        return sum(one["event"] == event for one in self.records)


def search(
    names: list[str],
    sleep: float,
    look: Callable[[Course], bool] = lambda _: False,
    lack_seconds: float = LACK_SECONDS,
    **config: Any,
) -> Course:
    """A search of trials that sleep; `look` sees its course from time to time, and says when it is enough."""
    course = Course()
    family = {"params": {"x": {"float": [0.0, 1.0]}}, "fixed": {"sleep": sleep}}
    request = SearchRequest(
        task=TASK,
        split=Split("random", 0, (), {}, 1, 0, 0, search_data=ray.put(ROWS)),
        space=load_space({"version": 1, "families": dict.fromkeys(names, family)}, base=Path()),
        tell=course.told.append,
        record=lambda one: course.records.append(plain_record(one)),
        interrupted=lambda: look(course),
        lack_seconds=lack_seconds,
    )
    course.outcome = run_search(request, SearchConfig(algorithm="random", scheduler="none", **config))
    return course


def refusal(names: list[str], sleep: float, **config: Any) -> tuple[str, str]:
    """With which error such a search ends."""
    try:
        search(names, sleep, **config)
    except Exception as error:  # noqa: BLE001 - which one it is, is told
        return type(error).__name__, str(error)
    raise AssertionError("the search went through")


def drain(node: Any) -> None:
    """As a notice of preemption does."""
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    gcs = ray._private.worker.global_worker.gcs_client
    gcs.drain_node(node.node_id, reason, "a spot notice", int(1000 * (time.time() + 60)))


def is_settled(records: list[dict[str, Any]]) -> bool:
    """Whether both nodes are gone, and what they ran has ended elsewhere."""
    left = sum(len(one["left"]) for one in records if one["event"] == "cluster")
    lost = {one["candidate"] for one in records if one["event"] == "lost"}
    return left == 2 and bool(lost) and lost <= {one["candidate"] for one in records if one["event"] == "ended"}


def is_shut_out(course: Course) -> bool:
    """Whether it was told of a node that it gets no trials, and some trials have run since."""
    told = [isinstance(one, Said) and "gets no trials" in one.message for one in course.told]
    return any(told) and sum(isinstance(one, TrialEnded) for one in course.told[told.index(True) :]) >= 2


def joined_and_left(cluster: Cluster) -> dict[str, Any]:
    """One slot; a node of another raysweep joins, then one with two slots, which is drained and killed, then another.

    That one is killed without a word.
    """
    nodes: list[Any] = []
    others: list[Any] = []
    steps: list[float] = []

    def look(course: Course) -> bool:
        ended = course.count("ended")
        running = course.count("started") - ended - course.count("lost")
        gone = time.time() - steps[-1] if steps else 0.0
        if not others:
            others.append(cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES, env_vars=other))
        elif len(steps) == 0 and ended >= 2 and is_shut_out(course):
            nodes.append(cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES))
        elif len(steps) == 1 and running == 3:
            drain(nodes[0])
        elif len(steps) == 2 and gone > DRAINED_SECONDS:
            with suppress(RuntimeError):  # a node that is drained goes by itself once nothing runs there
                nodes[0].kill_raylet()
            nodes.append(cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES))
        elif len(steps) == 3 and running == 3:
            nodes[1].kill_raylet()
        else:
            return len(steps) == 4 and is_settled(course.records)
        if nodes:
            steps.append(time.time())
        return False

    with TemporaryDirectory() as folder:
        other = other_raysweep(Path(folder))
        course = search(["noop"], 0.4, look, trials=1_000)
    cluster.remove_node(others[0])
    outcome = course.outcome
    return {
        "steps": steps,
        "states": [(trial.state, trial.reason) for trial in outcome.trials],
        "slots": outcome.slots,
        "nodes": [plain_record(one) for one in outcome.nodes],
        "changes": [plain_record(one) for one in course.told if isinstance(one, ClusterChanged)],
        "records": course.records,
        "said": course.said,
        "period": plain_record(outcome.periods[-1]),
    }


def two_kinds(cluster: Cluster) -> dict[str, Any]:
    """A node with a GPU that two trials share, and families of which one can use it."""
    node = cluster.add_node(num_cpus=3, num_gpus=1, object_store_memory=STORE_BYTES)
    config = {"trials": 24, "trial": {"gpus": 0.5}, "concurrency": 4}
    course = search(["noop", "noop_gpu"], 0.3, **config)
    outcome = course.outcome
    _, refused = refusal(["noop_gpu"], 0.3, trials=1, trial={"gpus": 2})
    cluster.remove_node(node)
    return {
        "families": [trial.candidate.family for trial in outcome.trials],
        "states": [trial.state for trial in outcome.trials],
        "devices": [trial.rungs[-1].metrics["rmse"] for trial in outcome.trials],
        "gpu_seconds": [trial.gpu_seconds for trial in outcome.trials],
        "records": course.records,
        "refused": refused,
    }


def broken_nodes(cluster: Cluster) -> dict[str, Any]:
    """A node where every process dies, one that cannot read the rows, and one that is fine."""
    broken = [
        cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES, env_vars={BROKEN: how})
        for how in ("dies", "rows")
    ]
    course = search(["noop"], 0.5, lambda course: sum("is set aside" in one for one in course.said) == len(broken))
    rest = search(["noop"], 0.1, trials=3)
    cluster.remove_node(broken[0])
    error = refusal(["noop"], 0.1, trials=3, trial={"cpus": 2})
    cluster.remove_node(broken[1])
    return {
        "said": course.said,
        "stopped_by": course.outcome.stopped_by,
        "states": [trial.state for trial in (*course.outcome.trials, *rest.outcome.trials)],
        "error": error,
    }


def lost_kind(cluster: Cluster) -> dict[str, Any]:
    """The only node with a GPU goes, and does not come back."""
    node = cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE_BYTES)
    killed: list[float] = []

    def look(course: Course) -> bool:
        if not killed and course.count("ended") >= 4:
            killed.append(time.time())
            node.kill_raylet()
        return False

    families = ["noop", "noop_gpu"]
    course = search(families, 0.3, look, lack_seconds=2, trials=20, trial={"gpus": 1})
    refused = refusal(families, 0.1, lack_seconds=2, trials=16, trial={"gpus": 1}, deterministic=True)
    return {
        "trials": [(trial.candidate.family, trial.state, trial.reason) for trial in course.outcome.trials],
        "said": course.said,
        "refused": refused,
    }


def main() -> None:
    families.register(FAMILY)
    families.register(GPU_FAMILY)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE_BYTES})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        told = {one.__name__: one(cluster) for one in SCENES if one.__name__ in sys.argv[2:] or not sys.argv[2:]}
    finally:
        ray.shutdown()
        cluster.shutdown()
    Path(sys.argv[1]).write_text(json.dumps(told))


SCENES = (two_kinds, joined_and_left, broken_nodes, lost_kind)


if __name__ == "__main__":
    main()
