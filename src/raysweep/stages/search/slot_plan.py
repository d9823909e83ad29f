"""How many slots the nodes of a cluster have room for, and of which kind: with a GPU, or without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final

from raysweep.config import TrialConfig
from raysweep.records.cluster import Node
from raysweep.records.trial import SlotSize

# So many processes wait for nodes that an autoscaler may bring: it starts nodes for what waits, and for nothing else.
PENDING: Final = 4


class Kind(StrEnum):
    """What a slot is for: families that can use a GPU, where trials get one, or the others."""

    GPU = "gpu"
    CPU = "cpu"


Sizes = Mapping[Kind, SlotSize]
Coming = Mapping[Kind, float]  # how many more slots an autoscaler may bring; infinity where nobody knows
Place = tuple[Kind, str]  # a kind of slots and the node that they are held to; "" for any


def sizes_for(families: Iterable[str], trial: TrialConfig, uses_gpu: Callable[[str], bool]) -> Sizes:
    """The kinds of slots that these families need, and what a trial holds in each."""
    with_gpu = {family for family in families if uses_gpu(family)} if trial.gpus else set()
    sizes: dict[Kind, SlotSize] = {}
    if with_gpu:
        sizes[Kind.GPU] = SlotSize(trial.cpus, trial.gpus)
    if set(families) - with_gpu:
        sizes[Kind.CPU] = SlotSize(trial.cpus)
    return sizes


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """The slots that there should be.

    Attributes:
        here: how many fit on the nodes, by kind and node.
        pending: how many more are asked for, in case that nodes come.
        mixed: whether slots with a GPU take families that cannot use one: there is no room for slots without.
    """

    here: Mapping[Kind, Mapping[str, int]]
    pending: Mapping[Kind, int] = field(default_factory=dict)
    mixed: bool = False

    def count(self, kind: Kind) -> int:
        """Slots of a kind that fit on the nodes."""
        return sum(self.here.get(kind, {}).values())

    @property
    def total(self) -> int:
        """All that fit on the nodes."""
        return sum(self.count(kind) for kind in self.here)

    @property
    def places(self) -> Counter[Place]:
        """How many processes there should be, by kind and place.

        Where there are both kinds, those without a GPU are held to their nodes: anywhere else they would take the cores
        that belong to a GPU.
        """
        found: Counter[Place] = Counter()
        held = len(self.here) > 1
        for kind, nodes in self.here.items():
            for node, count in nodes.items():
                found[kind, node if held and kind is Kind.CPU else ""] += count
        for kind, count in self.pending.items():
            found[kind, ""] += count
        return +found


def plan_slots(nodes: Iterable[Node], sizes: Sizes, limit: int | None = None, growth: Coming | None = None) -> SlotPlan:
    """Pack slots onto nodes, those with a GPU first.

    Args:
        nodes: that take new trials.
        sizes: of the kinds that are needed.
        limit: how many slots there may be; None: as many as fit.
        growth: how many more an autoscaler may bring, by kind.
    """
    known = list(nodes)
    most = inf if limit is None else limit
    here = _pack(known, sizes, most)
    if len(sizes) > 1 and sum(here[Kind.GPU].values()) > 1 and not here[Kind.CPU]:
        fewer = _pack(known, sizes, most, spared=1)  # one GPU less, so that the others have a place at all
        here = fewer if fewer[Kind.CPU] else here
    may = {kind: 0.0 if growth is None else growth.get(kind, 0.0) for kind in sizes}
    left = most - sum(sum(nodes.values()) for nodes in here.values())
    alone = len(sizes) > 1 and bool(here[Kind.GPU]) and not here[Kind.CPU]
    mixed = alone and not (may[Kind.CPU] and left > 0)
    return SlotPlan(here, _pending(may, left, limited=limit is not None), mixed)


def _pack(nodes: list[Node], sizes: Sizes, most: float, spared: int = 0) -> dict[Kind, dict[str, int]]:
    """How many slots of each kind go where; `spared` slots with a GPU are left out."""
    here: dict[Kind, dict[str, int]] = {kind: {} for kind in sizes}
    gpu_most = most
    if len(sizes) > 1:
        with_gpu = sum(sizes[Kind.GPU].count_on(node.cpus, node.gpus) for node in nodes)
        gpu_most = min(with_gpu - spared, most - 1 if most > 1 else most)
    for node in sorted(nodes, key=lambda node: node.id):
        cpus = node.cpus
        for kind, size in sizes.items():
            left = most - sum(sum(placed.values()) for placed in here.values())
            if kind is Kind.GPU:
                left = min(left, gpu_most - sum(here[kind].values()))
            if kind is Kind.CPU and len(sizes) > 1:  # as many as the GPUs leave over, on whichever nodes
                left = min(left, most - gpu_most - sum(here[kind].values()))
            count = int(min(left, size.count_on(cpus, node.gpus)))
            if count > 0:
                here[kind][node.id] = count
                cpus -= count * size.cpus
    return here


def _pending(may: Mapping[Kind, float], left: float, *, limited: bool) -> dict[Kind, int]:
    """How many slots to ask for beyond what fits: all that are allowed where that is a number, else a few at a time."""
    pending: dict[Kind, int] = {}
    growing = [kind for kind, more in may.items() if more > 0]
    for position, kind in enumerate(growing):
        share = left if position == len(growing) - 1 or left == inf else -(-left // 2)
        wanted = share if limited else min(share, PENDING)
        pending[kind] = int(min(wanted, may[kind]))
        left -= pending[kind]
    return {kind: count for kind, count in pending.items() if count > 0}
