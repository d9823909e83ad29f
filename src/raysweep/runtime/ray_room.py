"""How much memory the nodes of the cluster have for rows and trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray

from raysweep.config import SearchConfig
from raysweep.errors import RayUnavailable
from raysweep.records.room import ASSUMED, Room
from raysweep.records.trial import SlotSize


def find_room(config: SearchConfig, driver: int | None) -> Room:
    """What there is now; what is assumed of any cluster where the search is to be the same on all of them.

    Args:
        config: how many trials share a node.
        driver: memory that this process can still take, in bytes; None: not known.
    """
    if config.deterministic:
        return ASSUMED
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    shares = [int(node["memory"] / slots) for node in nodes if (slots := _slots_on(node, config)) and "memory" in node]
    stores = [int(node["object_store_memory"]) for node in nodes if "object_store_memory" in node]
    return Room(
        driver=ASSUMED.driver if driver is None else driver,
        trial=min(shares, default=ASSUMED.trial),
        store=min(stores, default=ASSUMED.store),
    )


def check_workers(config: SearchConfig) -> None:
    """Refuse more workers of a fit than this cluster, which does not grow, can run at a time.

    Raises:
        RayUnavailable: with the numbers.
    """
    trial = config.trial
    free = config.model_copy(update={"concurrency": "auto"})
    most = sum(_slots_on(node["Resources"], free) for node in ray.nodes() if node["Alive"])
    if trial.workers > max(1, most):
        raise RayUnavailable(
            f"search.trial.workers is {trial.workers}, with {trial.cpus} CPUs and {trial.gpus:g} GPUs each: there is "
            f"room for {most} at a time. Lower search.trial.workers or search.trial.cpus, or join a larger cluster "
            "(cluster.address)"
        )


def _slots_on(node: Mapping[str, Any], config: SearchConfig) -> int:
    """How many trials may run on it at a time."""
    slots = SlotSize(config.trial.cpus, config.trial.gpus).count_on(node.get("CPU", 0.0), node.get("GPU", 0.0))
    return slots if config.concurrency == "auto" else min(slots, config.concurrency)
