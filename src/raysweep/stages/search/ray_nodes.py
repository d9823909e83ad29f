"""The nodes of the cluster now, and how far an autoscaler may let it grow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

import ray
from ray._private.state import state

from raysweep.config import SearchConfig, TrialConfig
from raysweep.errors import RayUnavailable
from raysweep.records.cluster import Node, capacity_of
from raysweep.records.trial import Capacity
from raysweep.runtime.ray_vetting import Vetted
from raysweep.stages.search.autoscaling import Refusals, Refused, count_among, growth_of_groups, may_start_nodes
from raysweep.stages.search.slot_plan import Coming, Kind, Sizes, SlotPlan, plan_slots, sizes_for

_STATUS_KEY: Final = b"__autoscaling_status"
_RPC_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster at a moment.

    Attributes:
        nodes: that are alive, and known to have what the driver has.
        leaving: the ids of those that take no new trial: they are drained, or a notice of preemption has come.
        growth: how many more slots may come, by kind.
        asked: the ids of nodes that have come, but not told yet what they have.
        closed: the ids of nodes that take no trial at all: they have something else, or nothing can be started there.
    """

    nodes: tuple[Node, ...]
    leaving: frozenset[str]
    growth: Coming
    asked: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()

    @property
    def taking(self) -> tuple[Node, ...]:
        """The nodes that take new trials."""
        return tuple(node for node in self.nodes if node.id not in self.leaving | self.closed)

    def admitting(self, vetted: Vetted) -> Cluster:
        """The same without the nodes that are not, or not yet, a part of it."""
        nodes = tuple(node for node in self.nodes if node.id not in vetted.asked | vetted.unfit)
        growth = dict.fromkeys(self.growth, 0.0) if vetted.is_hopeless else self.growth
        return replace(self, nodes=nodes, growth=growth, asked=vetted.asked, closed=self.closed | vetted.unfit)

    def without(self, aside: Iterable[str]) -> Cluster:
        """The same where these nodes take no new trial."""
        return replace(self, closed=self.closed.union(aside))

    def name_of(self, node: str) -> str:
        """By which name the user knows a node: its machine's, with its id where several have it."""
        named = {one.id: one.name for one in self.nodes}
        name = named.get(node, node)
        return name if list(named.values()).count(name) <= 1 else f"{name} (node {node[:8]})"

    def plan(self, sizes: Sizes, limit: int | None) -> SlotPlan:
        """The slots that there should be on it."""
        return plan_slots(self.taking, sizes, limit, self.growth)


def see_cluster(sizes: Sizes, refusals: Refusals | None = None, asked: Mapping[Kind, int] | None = None) -> Cluster:
    """The nodes that are alive, and what may come.

    Args:
        sizes: of the slots.
        refusals: what an autoscaler has refused so far.
        asked: how many slots are asked for now beyond what fits.
    """
    nodes = tuple(_node(one) for one in ray.nodes() if one["Alive"])
    leaving: frozenset[str] = frozenset()
    with suppress(Exception):  # no public way; without it such a node is known when it is gone
        leaving = frozenset(state.get_draining_nodes())
    return Cluster(nodes, leaving, may_grow(sizes, nodes, refusals or Refusals(), asked or {}))


def cluster_capacity() -> Capacity:
    """The cores and GPUs of all nodes."""
    return capacity_of(_node(one) for one in ray.nodes() if one["Alive"])


def count_slots(config: SearchConfig) -> int:
    """How many trials can run at a time on this cluster, each on one node; 1 where an autoscaler may bring the first.

    Raises:
        RayUnavailable: not even one, now or ever.
    """
    sizes = sizes_for(("any",), config.trial, lambda _: True)
    cluster = see_cluster(sizes)
    plan = check_room(cluster, sizes, config)
    return max(1, plan.total)


def check_room(cluster: Cluster, sizes: Sizes, config: SearchConfig) -> SlotPlan:
    """The slots on this cluster.

    Raises:
        RayUnavailable: there is no room for one, now or ever.
    """
    plan = cluster.plan(sizes, limit_of(config))
    if plan.total < 1 and not plan.pending:
        raise RayUnavailable(no_room(cluster.nodes, config.trial))
    return plan


def limit_of(config: SearchConfig) -> int | None:
    """How many slots there may be; None: as many as fit."""
    return None if config.concurrency == "auto" else config.concurrency


def no_room(nodes: Iterable[Node], trial: TrialConfig) -> str:
    """What is wrong where no node can run a trial, and what helps."""
    known = list(nodes)
    largest = max((node.cpus for node in known), default=0.0), max((node.gpus for node in known), default=0.0)
    return (
        f"one trial asks for {trial.cpus} CPUs and {trial.gpus:g} GPUs, but of {len(known)} nodes none has both; "
        f"the most on one are {largest[0]:g} CPUs and {largest[1]:g} GPUs. Lower search.trial.cpus or "
        "search.trial.gpus, or use larger nodes"
    )


def may_grow(sizes: Sizes, nodes: Iterable[Node], refusals: Refusals, asked: Mapping[Kind, int]) -> Coming:
    """How many more slots of each kind an autoscaler may bring; infinity where it does not say how far it may go.

    Args:
        sizes: of the slots.
        nodes: that are alive.
        refusals: what it has refused so far.
        asked: how many slots are asked for now beyond what fits.
    """
    with suppress(Exception):  # none of this is public: where it changes, a cluster grows when nodes are there
        config = state.get_cluster_config()
        if config is not None and config.node_group_configs:
            groups = [(dict(one.resources), int(one.max_count)) for one in config.node_group_configs]
            return growth_of_groups(groups, sizes, nodes)
        if _has_new_autoscaler():
            (version, bundles), now = _infeasible(), time.monotonic()
            return {
                kind: refusals.growth(kind, asked.get(kind, 0), Refused(count_among(size, bundles), version), now)
                for kind, size in sizes.items()
            }
        if _has_old_autoscaler():
            return dict.fromkeys(sizes, inf)
    return dict.fromkeys(sizes, 0.0)


def _node(document: Mapping[str, Any]) -> Node:
    resources = document["Resources"]
    name = str(document["NodeManagerHostname"])
    return Node(str(document["NodeID"]), name, float(resources.get("CPU", 0.0)), float(resources.get("GPU", 0.0)))


def _gcs() -> Any:
    return ray._private.worker.global_worker.gcs_client  # noqa: SLF001 - no public way


def _has_new_autoscaler() -> bool:
    """Whether the cluster was started with Ray's autoscaler v2: KubeRay's, and that of `ray up`."""
    raylet: Any = ray._raylet  # noqa: SLF001 - no public way
    key, namespace = raylet.GCS_AUTOSCALER_V2_ENABLED_KEY, raylet.GCS_AUTOSCALER_STATE_NAMESPACE
    found: bytes | None = _gcs().internal_kv_get(key.encode(), namespace.encode(), _RPC_SECONDS)
    return found == b"1"


def _infeasible() -> tuple[int, list[Mapping[str, float]]]:
    """What is waited for that the autoscaler says it can never bring, and the version of what it says."""
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    reply = GetClusterStatusReply()
    reply.ParseFromString(_gcs().get_cluster_status(timeout_s=_RPC_SECONDS))
    said = reply.autoscaling_state
    return int(said.autoscaler_state_version), [dict(one.resources_bundle) for one in said.infeasible_resource_requests]


def _has_old_autoscaler() -> bool:
    """Whether Ray's autoscaler v1 runs and may start nodes; one runs on every cluster, only to look on."""
    found = _gcs().internal_kv_get(_STATUS_KEY, None, _RPC_SECONDS)
    return found is not None and may_start_nodes(json.loads(found))
