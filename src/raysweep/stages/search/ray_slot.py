"""A slot, and the rules for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from raysweep.config import TrialConfig
from raysweep.stages.search.attempts import Attempt
from raysweep.stages.search.ray_nodes import Cluster
from raysweep.stages.search.slot_plan import Kind, Place, Sizes, SlotPlan

# A machine that is started anew is there within this time, or somebody has to be asked for one.
LACK_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class SlotRules:
    """What slots there are.

    Attributes:
        sizes: the kinds of slots.
        kind_of: which kind the candidates of a family need.
        trial: the longest time of a trial, and what it asks for.
        look: gives the cluster as it is now, where so many slots are asked for beyond what fits; about once a second.
        plan: how many slots there should be on a cluster.
        say: gets a sentence that the user should know.
        saw: is told of the cluster and its plan after each look.
        lack_seconds: how long the candidates of a kind wait while no node has room for one and none is to come.
        may_lack: whether they fail after that time, so that the search goes on with the others; else it ends.
    """

    sizes: Sizes
    kind_of: Callable[[str], Kind]
    trial: TrialConfig
    look: Callable[[Mapping[Kind, int]], Cluster]
    plan: Callable[[Cluster], SlotPlan]
    say: Callable[[str], None]
    saw: Callable[[Cluster, SlotPlan], None]
    lack_seconds: float = LACK_SECONDS
    may_lack: bool = True


@dataclass(slots=True, eq=False)
class Slot:
    """A process, and what it does.

    Attributes:
        place: the kind of slot that it is, and where it may be.
        pending: what it was asked for last; None while it waits.
        node: the id of its node; empty while it starts.
        deadline: until when its trial may go on, by `time.monotonic`.
        spoiled: as in `Answer`.
        apart_from: the ids of nodes where it may not be.
        failed_starts: how often one has died in its place before it had started, by node.
    """

    place: Place
    actor: Any
    pending: Any
    node: str = ""
    attempt: Attempt | None = None
    deadline: float = float("inf")
    spoiled: tuple[str, ...] = ()
    apart_from: frozenset[str] = frozenset()
    failed_starts: Counter[str] = field(default_factory=Counter)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a candidate."""
        return self.pending is None and self.attempt is None
