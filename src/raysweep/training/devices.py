"""Where a fit runs: whether this process finds a GPU that works, how much memory it has, and what wants more."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import xgboost as xgb

from raysweep.errors import RayUnavailable

CPU, CUDA = "cpu", "cuda"
_MIB: Final = 1024**2
_CONTEXT_BYTES: Final = 500 * _MIB  # what CUDA takes for a process before any row is there
_MARGIN: Final = 1.25
_ASK: Final = ("--query-gpu=index,uuid,memory.total,memory.free", "--format=csv,noheader,nounits")
_ASK_SECONDS: Final = 10
_MEMORY_WORDS: Final = ("cudaErrorMemoryAllocation", "CUDA out of memory", "cuda out of memory", "NVML_ERROR_MEMORY")


@dataclass(frozen=True, slots=True)
class Device:
    """Where the fits of a process run.

    Attributes:
        name: `cpu` or `cuda`.
        said: why that is not what was asked for; empty where it is.
    """

    name: str
    said: str = ""


def find_device(asked: str) -> Device:
    """Where fits run in this process.

    Args:
        asked: `cpu`; `cuda`; or `auto`: on a GPU, if there is one that works.

    Raises:
        RayUnavailable: `cuda` was asked for, and there is none.
    """
    if asked == CPU:
        return Device(CPU)
    why = why_no_gpu()
    if not why:
        return Device(CUDA)
    if asked == CUDA:
        raise RayUnavailable(
            f"search.trial.device is cuda, but {why}. Use nodes with a GPU and its driver, or search.trial.device: cpu "
            "with search.trial.gpus: 0"
        )
    return Device(CPU, f"fits run on the CPU although search.trial.gpus asks for a GPU: {why}")


@cache
def why_no_gpu() -> str:
    """Why XGBoost does not train on a GPU in this process, found by a fit of four rows; empty where it does.

    Without a GPU XGBoost trains on the CPU without an error: where it was is read back from its configuration.
    """
    rows = xgb.DMatrix(np.arange(4.0).reshape(-1, 1), np.array([0.0, 1.0, 0.0, 1.0]), nthread=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            booster = xgb.train({"device": CUDA, "verbosity": 0, "nthread": 1}, rows, 1)
    except xgb.core.XGBoostError as error:
        return f"a fit on the GPU of {os.uname().nodename} fails: {str(error).strip().splitlines()[-1]}"
    used = str(json.loads(booster.save_config())["learner"]["generic_param"]["device"])
    if used.startswith(CUDA):
        return ""
    build = "" if xgb.build_info().get("USE_CUDA") else ", and this XGBoost was built without CUDA"
    return f"XGBoost finds no GPU in a process on {os.uname().nodename}{build}"


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Of one GPU, in bytes."""

    total: int
    free: int


def gpu_memory() -> GpuMemory | None:
    """The memory of this process's GPU, by `nvidia-smi`; None where that is not there, or does not know it."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    try:
        asked = subprocess.run(  # noqa: S603 - the driver's own tool
            [command, *_ASK], capture_output=True, text=True, check=True, timeout=_ASK_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    mine = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    for line in asked.stdout.splitlines():
        index, uuid, *amounts = (part.strip() for part in line.split(","))
        if mine in {"", index} or (mine.startswith("GPU-") and uuid.startswith(mine)):
            known = [int(amount) for amount in amounts if amount.isdigit()]
            return GpuMemory(known[0] * _MIB, known[1] * _MIB) if len(known) == len(("total", "free")) else None
    return None


def fit_bytes(rows: int, columns: int, max_bin: int, outputs: int = 1) -> int:
    """About what a fit takes of a GPU's memory: the bins of its matrix, gradients and predictions, CUDA itself.

    Args:
        rows: to fit on, and to watch.
        columns: of the matrix.
        max_bin: of the histograms.
        outputs: trees a round: the classes, where they are more than two.
    """
    bits = math.ceil(math.log2(max_bin * columns + 1))  # as where values are missing; without gaps it is less
    binned = rows * columns * bits / 8
    beside = rows * (
        outputs * (8 + 4) + 2 * 4 + 4 + 4
    )  # gradient pairs, predictions, rows in their nodes, target, weight
    return int(_MARGIN * (binned + beside)) + _CONTEXT_BYTES


def check_gpu_memory(needed: int, sharing: int, memory: GpuMemory | None) -> None:
    """Refuse a fit for which the GPU has no room.

    Args:
        needed: bytes of the fit.
        sharing: fits that may be on the same GPU: Ray shares it in name only.
        memory: of the GPU; None: not known, and nothing is refused.

    Raises:
        MemoryError: with the numbers.
    """
    if memory is None or (needed <= memory.free and needed * sharing <= memory.total):
        return
    shared = f", times {sharing} that share it by search.trial.gpus" if sharing > 1 else ""
    raise MemoryError(
        f"the fit needs about {needed / _MIB:,.0f} MiB of the GPU{shared}; {memory.free / _MIB:,.0f} MiB are free "
        f"of {memory.total / _MIB:,.0f}. Raise search.trial.gpus, so that fewer trials share one, or lower search.rows"
    )


def sharing_of(gpus: float) -> int:
    """How many fits may be on one GPU, where each asks for so much of it."""
    return max(1, int(1 / gpus + 1e-9)) if gpus else 1


def lacks_gpu_memory(text: str) -> bool:
    """Whether an error's text says that a GPU's memory was not enough."""
    return any(word in text for word in _MEMORY_WORDS)
