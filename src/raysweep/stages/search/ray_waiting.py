"""Which kinds of slots are waited for: that is said, and does not last for ever."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from raysweep.errors import RayUnavailable
from raysweep.stages.search.ray_nodes import Cluster, no_room
from raysweep.stages.search.ray_slot import Slot, SlotRules
from raysweep.stages.search.slot_plan import Kind, SlotPlan

_SAID_TO_WAIT_SECONDS: Final = 30.0


class Waiting:
    """Follows the kinds of which there is no slot.

    Args:
        rules: which slots there are.

    Attributes:
        given_up: kinds that are not waited for any more.
    """

    def __init__(self, rules: SlotRules) -> None:
        self._rules = rules
        self._has_started = False
        self._said: float | None = time.monotonic()
        self._lacking: dict[Kind, float] = {}  # since when no node has had room, and none was to come
        self.given_up: frozenset[Kind] = frozenset()

    def look(self, slots: Iterable[Slot], plan: SlotPlan, cluster: Cluster, now: float) -> None:
        """Say what is waited for, from time to time, and give up what does not come.

        Args:
            slots: all that there are.
            plan: how many there should be.
            cluster: as it is.
            now: by `time.monotonic`.

        Raises:
            RayUnavailable: nothing can go on without what does not come.
        """
        known = list(slots)
        self._has_started = self._has_started or any(slot.node for slot in known)
        self._give_up(known, plan, cluster, now)
        started = {slot.place[0] for slot in known if slot.node}
        absent = [kind for kind in self._rules.sizes if kind not in started | self.given_up]
        if not absent or (started and plan.mixed):
            self._said = None
        elif self._said is None:
            self._said = now
        elif now - self._said > _SAID_TO_WAIT_SECONDS:
            self._said = None
            self._say(absent[0], plan, cluster)

    def words(self, kind: Kind) -> str:
        """Why the candidates of a kind that was given up fail."""
        minutes = self._rules.lack_seconds / 60
        return f"no node has had {self._size(kind)} for a trial in {minutes:.3g} minutes, and none is to come"

    def _give_up(self, slots: list[Slot], plan: SlotPlan, cluster: Cluster, now: float) -> None:
        for kind in self._rules.sizes:
            runs = any(slot.place[0] is kind and slot.attempt is not None for slot in slots)
            if runs or plan.count(kind) or plan.pending.get(kind) or plan.mixed or cluster.asked:
                self._lacking.pop(kind, None)
            else:
                self._lacking.setdefault(kind, now)
        late = frozenset(kind for kind, since in self._lacking.items() if now - since >= self._rules.lack_seconds)
        new, self.given_up = late - self.given_up, late
        if late == set(self._rules.sizes):
            raise RayUnavailable(f"{self.words(next(iter(late)))}: add one, and go on with the run")
        if late and not self._rules.may_lack:
            self.given_up = frozenset()
            if all(slot.attempt is None for slot in slots):
                raise RayUnavailable(
                    f"{self.words(next(iter(late)))}: with search.deterministic no candidate is passed over. Add one, "
                    "and go on with the run"
                )
            return
        for kind in sorted(new):
            self._rules.say(f"{self.words(kind)}: candidates that need it end without, until one comes")

    def _size(self, kind: Kind) -> str:
        size = self._rules.sizes[kind]
        return f"{size.cpus} CPUs and {size.gpus:g} GPUs"

    def _say(self, kind: Kind, plan: SlotPlan, cluster: Cluster) -> None:
        """Say what is waited for.

        Raises:
            RayUnavailable: it can never come.
        """
        asked = self._size(kind)
        if plan.count(kind):
            self._rules.say(f"still waiting for the cluster to give a trial {asked}")
        elif plan.pending.get(kind):
            self._rules.say(f"still waiting for the autoscaler to bring a node with {asked}")
        elif cluster.asked:
            self._rules.say(f"still waiting for a node that has joined to tell whether a trial gets {asked} there")
        elif self._has_started or plan.total:
            self._rules.say(f"no node has {asked} for a trial now: waiting for one to join the cluster")
        else:  # the autoscaler has said so meanwhile
            raise RayUnavailable(no_room(cluster.nodes, self._rules.trial))
