"""What a sweep starts anew each time and what takes seconds to load: kept ready for sweeps that are about other things.

The clean process of the parity gate is forked from one that has loaded its libraries (`fork_server.py`), and a slot's
process, once its search has ended well, is handed to the next sweep of the same families. Tests of these processes
themselves, and sweeps that start a Ray of their own, do without.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raysweep.stages.export import parity
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_slot import Slot
from raysweep.stages.search.ray_slot_set import SlotSet
from raysweep.training.families import added_families

TESTS = Path(__file__).parent
_LOADED = (
    "raysweep.stages.export.parity_process",
    "raysweep.training.xgboost_family",
    "raysweep.training.sklearn_family",
    "skops.io",
)


@contextmanager
def forked_gates(folder: Path) -> Iterator[tuple[str, ...]]:
    """The command that stands for `parity.COMMAND`; `folder` holds the socket."""
    address = folder / "forks"
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)  # noqa: PTH100
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    server = subprocess.Popen(
        [sys.executable, "-P", TESTS / "fork_server.py", address, *_LOADED],
        stdin=subprocess.PIPE,
        env={**os.environ, **threads, "PYTHONPATH": places, "MLFLOW_DISABLE_TELEMETRY": "true"},
        start_new_session=True,
    )
    while not address.exists():
        if server.poll() is not None:
            raise RuntimeError("the server of forks does not start")
        time.sleep(0.02)
    client = (sys.executable, "-I", "-S", str(TESTS / "fork_client.py"), str(address))
    try:
        yield (*client, parity.PROCESS)
    finally:
        if server.stdin is not None:
            server.stdin.close()
        server.wait()


class WarmSlots:
    """Processes of slots that have ended a search well, for the next one.

    They hold no core of Ray's, as those do that a sweep on its own Ray starts early.
    """

    def __init__(self) -> None:
        self._idle: defaultdict[tuple[Any, ...], list[Any]] = defaultdict(list)
        self._kinds: dict[Any, tuple[Any, ...]] = {}

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Let searches take them, and give them back."""
        take, end = Processes.take, SlotSet.end

        def take_warm(processes: Processes, size: Any, node: str = "", kept_off: Collection[str] = ()) -> Any:
            added = added_families()
            if size.gpus or node or kept_off or processes._early or any(family.own for family in added):
                return take(processes, size, node, kept_off)
            learners = tuple((family.name, family.learner) for family in added)
            kind = (_cluster(), processes._arguments[0], learners)
            actor = self._idle[kind].pop() if self._idle[kind] else None
            if actor is None:
                actor = processes._class.options(num_cpus=0).remote(*processes._arguments)
                self._kinds[actor] = kind
            return actor

        def give_back(slots: SlotSet) -> None:
            kept = [one for one in slots.slots if one.actor in self._kinds and _is_well(one)]
            slots.slots[:] = [one for one in slots.slots if one not in kept]
            end(slots)
            for slot in kept:
                self._idle[self._kinds[slot.actor]].append(slot.actor)

        patch.setattr(Processes, "take", take_warm)
        patch.setattr(SlotSet, "end", give_back)

    def end(self) -> None:
        """End those that wait."""
        import ray

        for actors in self._idle.values():
            for actor in actors:
                ray.kill(actor)
        self._idle.clear()
        self._kinds.clear()


def _cluster() -> str:
    import ray

    return str(ray.get_runtime_context().gcs_address)


def _is_well(slot: Slot) -> bool:
    return slot.is_idle and bool(slot.node) and not slot.spoiled
