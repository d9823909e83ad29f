"""The cluster of a search, followed as it changes: who may have trials, how many at a time, and what is told of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from raysweep.config import PriceConfig, SearchConfig
from raysweep.events import ClusterChanged, Listener, Said
from raysweep.runtime.ray_vetting import Vetting
from raysweep.stages.search.autoscaling import Refusals
from raysweep.stages.search.cluster_watch import Change, ClusterWatch
from raysweep.stages.search.earlier import Slots
from raysweep.stages.search.ray_nodes import Cluster, check_room, limit_of, see_cluster
from raysweep.stages.search.ray_slot import SlotRules
from raysweep.stages.search.slot_plan import Kind, Sizes, SlotPlan
from raysweep.stages.search.trial_log import TrialLog
from raysweep.training.families import families


class Following:
    """Sees the cluster for one search.

    Args:
        sizes: of the slots.
        config: of the search.
        price: of cores and GPUs, where it is known.
        tell: gets the events.
        fit: the ids of the nodes that are known to have what the driver has; None: all that are there.

    Attributes:
        first: the cluster as it is at the beginning.

    Raises:
        RayUnavailable: no node has room for one trial, now or ever.
    """

    def __init__(
        self,
        sizes: Sizes,
        config: SearchConfig,
        price: PriceConfig | None,
        tell: Listener,
        fit: Collection[str] | None,
    ) -> None:
        self._sizes = sizes
        self._config = config
        self._tell = tell
        self._watch = ClusterWatch(sizes, price)
        self._refusals = Refusals()
        self._is_mixed = False
        there = see_cluster(sizes)
        check_room(there, sizes, config)
        known = {node.id for node in there.nodes} if fit is None else fit
        self._vetting = Vetting(self.say, known)
        cluster = self._vetted(there)
        change = self._watch.see(cluster.nodes, cluster.leaving, self.plan(cluster))
        self.first = change or Change((), self._watch.slots)

    @property
    def slots(self) -> Slots:
        """Those that fit on the nodes now."""
        return self._watch.slots

    @property
    def cost_per_second(self) -> float:
        """Of these slots; 0 where no price is known."""
        return self._watch.cost_per_second

    def say(self, sentence: str) -> None:
        """Tell the user."""
        self._tell(Said(sentence))

    def look(self, asked: Mapping[Kind, int]) -> Cluster:
        """The cluster as it is now, where so many slots are asked for beyond what fits."""
        return self._vetted(see_cluster(self._sizes, self._refusals, asked))

    def plan(self, cluster: Cluster) -> SlotPlan:
        """How many slots there should be on it."""
        return cluster.plan(self._sizes, limit_of(self._config))

    def kind_of(self, family: str) -> Kind:
        """Which kind of slots the candidates of a family need."""
        return Kind.GPU if Kind.GPU in self._sizes and families()[family].uses_gpu else Kind.CPU

    def rules(self, log: TrialLog, lack_seconds: float) -> SlotRules:
        """What slots there are.

        Args:
            log: is told of each change of the cluster.
            lack_seconds: as in `SlotRules`.
        """

        def saw(cluster: Cluster, plan: SlotPlan) -> None:
            change = self._watch.see(cluster.nodes, cluster.leaving, plan)
            if change is not None:
                log.change_cluster(change.document, self.cost_per_second)
                self._tell(_changed(change))
            if plan.mixed and not self._is_mixed:
                self._is_mixed = True
                self.say("there is room for slots with a GPU alone: families that cannot use one hold it, too")

        return SlotRules(
            self._sizes,
            self.kind_of,
            self._config.trial,
            look=self.look,
            plan=self.plan,
            say=self.say,
            saw=saw,
            lack_seconds=lack_seconds,
            may_lack=not self._config.deterministic,
        )

    def _vetted(self, cluster: Cluster) -> Cluster:
        return cluster.admitting(self._vetting.look({node.id: node.name for node in cluster.nodes}))


def _changed(change: Change) -> ClusterChanged:
    capacity = change.capacity
    return ClusterChanged(
        slots=change.slots.count,
        nodes=len(change.nodes),
        cores=capacity.cores,
        gpus=capacity.gpus,
        words=change.words,
    )
