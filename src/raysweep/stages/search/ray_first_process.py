"""Whether Ray gives a trial what it asks for: one process is started with it, and says where it is."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import ray
import ray.exceptions

from raysweep.config import SearchConfig
from raysweep.errors import RayUnavailable
from raysweep.stages.search.ray_nodes import count_slots

WAIT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class FirstProcess:
    """A process of Ray's that had the resources of a trial.

    Attributes:
        slots: how many trials can run at a time.
        node: the name of the machine that it ran on.
        gpus: what it could see of the machine's GPUs (`CUDA_VISIBLE_DEVICES`).
    """

    slots: int
    node: str
    python: str
    raysweep: str
    gpus: str


def start_first(config: SearchConfig, wait_seconds: float = WAIT_SECONDS) -> FirstProcess:
    """Start one process with the resources of a trial, on the Ray that runs.

    Raises:
        RayUnavailable: no node has them, they are not free in time, or what is installed there is too different.
    """
    slots = count_slots(config)
    trial = config.trial
    task = ray.remote(num_cpus=trial.cpus, num_gpus=trial.gpus, max_retries=0)(_look_around)
    answer = task.remote(slots)
    ready, _ = ray.wait([answer], timeout=wait_seconds)
    if not ready:
        ray.cancel(answer)
        raise RayUnavailable(
            f"no process with {trial.cpus} CPUs and {trial.gpus:g} GPUs was started within {wait_seconds:g} s: others "
            "use the cluster, or its nodes are still starting. `ray status` says who holds what"
        )
    try:
        found: FirstProcess = ray.get(answer)
    except ray.exceptions.RayError as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise RayUnavailable(
            f"a process of Ray's cannot load raysweep: {first}. Install the same raysweep on every node"
        ) from error
    return found


def _look_around(slots: int) -> FirstProcess:
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return FirstProcess(slots, os.uname().nodename, platform.python_version(), version("raysweep"), gpus)
