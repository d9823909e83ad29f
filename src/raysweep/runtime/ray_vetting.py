"""Nodes that join a cluster while it is used: none gets a trial before it is known to have what the driver has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ray
import ray.exceptions

from raysweep.runtime import versions
from raysweep.runtime.ray_by_value import by_value, pinned


class Vetting:
    """Asks each node once what is installed there, without waiting for the answer.

    The nodes that are there at the beginning were looked at before, and are used until they answer otherwise.

    Args:
        say: gets a sentence for each node that is shut out.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._here = versions.installed_versions()
        self._asked: dict[str, Any] = {}
        self._fit = {str(ray.get_runtime_context().get_node_id())}  # the driver's own
        self._unfit: set[str] = set()
        self._first: frozenset[str] | None = None

    def shut(self, nodes: Mapping[str, str]) -> frozenset[str]:
        """The nodes that may get no trial: not yet, since they have come and have not answered, or never.

        Args:
            nodes: that are alive, the names of their machines by their ids.
        """
        if self._first is None:
            self._first = frozenset(nodes)
        for gone in self._asked.keys() - nodes.keys():
            del self._asked[gone]
        for node in nodes.keys() - self._fit - self._unfit - self._asked.keys():
            self._asked[node] = _ask(node)
        for node, answer in list(self._asked.items()):
            if ray.wait([answer], timeout=0)[0]:
                del self._asked[node]
                self._take(node, nodes[node], answer)
        return frozenset(nodes.keys() - self._fit - (self._first - self._unfit))

    def _take(self, node: str, name: str, answer: Any) -> None:
        try:
            found = versions.differences(self._here, ray.get(answer))
        except ray.exceptions.RayError:  # it is asked again while it is there
            return
        wrong = [one for one in found if versions.must_be_equal(*one)]
        if not wrong:
            self._fit.add(node)
            return
        self._unfit.add(node)
        there, here = (", ".join(f"{one[0]} {one[side]}" for one in wrong) for side in (2, 1))
        self._say(f"{name} gets no trials: it has {there}, the driver {here}. Install the same on every node")


def _ask(node: str) -> Any:
    with by_value(versions):
        return pinned(versions.installed_versions, node).remote()
