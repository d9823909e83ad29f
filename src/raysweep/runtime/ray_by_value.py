"""Tasks for one node, in code that travels there: what is installed on it may be another raysweep, or none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import ray
import ray.cloudpickle
from ray.util.placement_group import NODE_ID_LABEL_KEY
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@contextmanager
def by_value(*modules: ModuleType) -> Iterator[None]:
    """Functions of these modules that are sent in the block travel as they are, not by their names."""
    for module in modules:
        ray.cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            ray.cloudpickle.unregister_pickle_by_value(module)


def pinned(work: Callable[..., Any], node: str) -> Any:
    """A remote function that runs on this node or nowhere, and holds nothing of it."""
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(work)


def apart_from(nodes: Collection[str]) -> dict[str, Any]:
    """The options of what may run on any node but these, by their ids."""
    if not nodes:
        return {}
    return {"label_selector": {NODE_ID_LABEL_KEY: f"!in({','.join(sorted(nodes))})"}}
