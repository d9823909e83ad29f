"""Nodes that join a cluster while it is used: none gets a trial before it is known to have what the driver has."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import ray
import ray.exceptions

from raysweep.runtime import versions
from raysweep.runtime.ray_by_value import by_value, pinned

_ANSWER_SECONDS: Final = 20.0
_FAILED_SECONDS: Final = 2.0
_LONGEST_SECONDS: Final = 300.0
_HOPELESS: Final = 3
_PATIENT_TIMES: Final = 3  # so often a node is asked before nobody counts on it any more


@dataclass(frozen=True, slots=True)
class Vetted:
    """What is known of the nodes at a moment, by their ids; all others are fit.

    Attributes:
        asked: that have not answered yet.
        unfit: that have something else installed, or have been silent for long.
        is_hopeless: the last ones that came were all unfit: further ones would be, too.
    """

    asked: frozenset[str] = frozenset()
    unfit: frozenset[str] = frozenset()
    is_hopeless: bool = False


@dataclass(slots=True)
class _Asked:
    """A node that is waited for.

    Attributes:
        answers: to all tasks that were sent there: any one will do. None is cancelled: Ray 2.60 aborts the driver where
            a task ends just as it is cancelled by force.
        times: how often it was asked.
        again: when it is asked once more, by `time.monotonic`.
        why: it has not told.
        said: whether the user knows.
    """

    answers: list[Any] = field(default_factory=list)
    times: int = 0
    again: float = 0.0
    why: str = ""
    said: bool = False


class Vetting:
    """Asks each node that comes what is installed there, and never waits for the answer.

    Args:
        say: gets a sentence for each node that is unfit, or that does not answer.
        fit: the ids of nodes that are known to be fit; the driver's own is.
    """

    def __init__(self, say: Callable[[str], None], fit: Collection[str]) -> None:
        self._say = say
        self._fit = {str(ray.get_runtime_context().get_node_id()), *fit}
        self._unfit: set[str] = set()
        self._unfit_in_a_row = 0
        self._asked: dict[str, _Asked] = {}

    def look(self, nodes: Mapping[str, str]) -> Vetted:
        """Take the answers that have come, and ask who has to be asked.

        Args:
            nodes: that are alive, the names of their machines by their ids.
        """
        for gone in self._asked.keys() - nodes.keys():
            del self._asked[gone]
        for node in nodes.keys() - self._fit - self._unfit:
            asked = self._asked.setdefault(node, _Asked())
            found = _answer_of(asked)
            if found is not None:
                del self._asked[node]
                self._judge(node, nodes[node], found)
            elif time.monotonic() >= asked.again:
                self._ask(node, nodes[node], asked)
        silent = {node for node, asked in self._asked.items() if asked.times > _PATIENT_TIMES}
        asked_now = frozenset(self._asked.keys() - silent)
        return Vetted(asked_now, frozenset(self._unfit | silent), self._unfit_in_a_row >= _HOPELESS)

    @cached_property
    def _here(self) -> dict[str, str]:
        """What the driver has, read when the first other node has answered."""
        return versions.installed_versions()

    def _ask(self, node: str, name: str, asked: _Asked) -> None:
        if asked.times and not asked.said:
            asked.said = True
            why = asked.why or f"no answer within {_ANSWER_SECONDS:g} s"
            self._say(f"{name} has joined, but gets no trial before it tells what is installed there: {why}")
        with by_value(versions):
            asked.answers.append(pinned(versions.installed_versions, node).remote())
        asked.again = time.monotonic() + min(_LONGEST_SECONDS, _ANSWER_SECONDS * 2**asked.times)
        asked.times += 1

    def _judge(self, node: str, name: str, found: Mapping[str, str]) -> None:
        wrong = versions.unlike(self._here, found)
        if not wrong:
            self._fit.add(node)
            self._unfit_in_a_row = 0
            return
        self._unfit.add(node)
        self._unfit_in_a_row += 1
        self._say(
            f"{name} has joined, but gets no trials: it has {versions.listed(wrong, 2)}, the driver "
            f"{versions.listed(wrong, 1)}. Install the same on every node, such as by one image"
        )


def _answer_of(asked: _Asked) -> dict[str, str] | None:
    """What the node has told; None where it has not, yet."""
    if not asked.answers:
        return None
    ready, asked.answers = ray.wait(asked.answers, num_returns=len(asked.answers), timeout=0)
    for answer in ready:
        try:
            found: dict[str, str] = ray.get(answer)
        except ray.exceptions.RayError as error:
            last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            asked.why = f"nothing can be run there ({last})"
            soon = time.monotonic() + min(_LONGEST_SECONDS, _FAILED_SECONDS * 2 ** (asked.times - 1))
            asked.again = min(asked.again, soon)
        else:
            return found
    return None
