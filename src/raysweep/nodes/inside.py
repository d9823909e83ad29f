"""What is seen from within a node: its room, its GPUs, and whether it reaches the data and the store."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from raysweep.config import S3Config
from raysweep.errors import RaysweepError
from raysweep.stages.source.addresses import S3_SCHEME, FileReach
from raysweep.storage.open_store import open_store, split_s3_address
from raysweep.storage.retry import RetryPolicy
from raysweep.storage.store import LEDGER_FOLDER, Store
from raysweep.training.process_memory import available_bytes

# Somebody waits, and the driver has reached it a moment ago.
_POLICY: Final = RetryPolicy(3.0, least_attempts=1, answer_seconds=5.0)
_SMI: Final = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
_SMI_SECONDS: Final = 8.0
_SHARED: Final = Path("/dev/shm")  # noqa: S108 - where Ray keeps its objects


@dataclass(frozen=True, slots=True)
class NodeRoom:
    """What a node has to give, in bytes; None where that is not known.

    Attributes:
        shared: free in /dev/shm.
        disk: free where Ray spills objects and writes its logs.
        memory: that its processes may still take.
    """

    shared: int | None
    disk: int | None
    memory: int | None


def look_inside(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Look at the machine that this runs on.

    Args:
        asked: `folder` of Ray there; `data`, an address to be read, or None; `reach`, the fields of the driver's
            `FileReach`; `data_s3`; `store`, an address to be listed, or None; `store_s3`.

    Returns:
        `room`, the fields of `NodeRoom`; `gpus`, their names; `data` and `store`: what is wrong with reaching them,
        empty where nothing is, None where nothing was asked.
    """
    with ThreadPoolExecutor(3) as pool:  # each may have to wait for a server that does not answer
        gpus = pool.submit(_gpus)
        data = pool.submit(_data_problem, asked)
        store = pool.submit(_store_problem, asked)
        room = asdict(NodeRoom(_free(_SHARED), _free(Path(asked["folder"])), available_bytes()))
        return {"room": room, "gpus": gpus.result(), "data": data.result(), "store": store.result()}


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _gpus() -> tuple[str, ...]:
    if shutil.which(_SMI[0]) is None:
        return ()
    try:
        done = subprocess.run(_SMI, capture_output=True, text=True, check=True, timeout=_SMI_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())


def _data_problem(asked: Mapping[str, Any]) -> str | None:
    address = asked["data"]
    if address is None:
        return None
    if not address.startswith(S3_SCHEME):
        return "" if os.access(address, os.R_OK) else f"{address} is not there, or may not be read"
    bucket, key = split_s3_address(address)
    place, _, name = key.rpartition("/")
    store = open_store(f"{S3_SCHEME}{bucket}/{place}".rstrip("/"), S3Config(**asked["data_s3"]), policy=_POLICY)
    # Asked by boto3 first, which says what is wrong; a table is read by pyarrow, which waits long and says little.
    return _problem(lambda: _see(store, name)) or _problem(lambda: _read(address, FileReach(**asked["reach"])))


def _see(store: Store, name: str) -> None:
    if not store.exists(name):
        raise FileNotFoundError(f"{store.address(name)} is not there")


def _read(address: str, reach: FileReach) -> None:
    filesystem, path = reach.open(address)
    with filesystem.open_input_file(path) as file:
        file.read(1)


def _store_problem(asked: Mapping[str, Any]) -> str | None:
    address = asked["store"]
    if address is None or not address.startswith(S3_SCHEME):  # a folder is the driver's alone
        return None
    store = open_store(address, S3Config(**asked["store_s3"]), policy=_POLICY)
    return _problem(lambda: store.list(f"{LEDGER_FOLDER}probe-"))


def _problem(look: Callable[[], object]) -> str:
    try:
        look()
    except (RaysweepError, OSError) as error:
        return str(error).strip().split("\n", 1)[0]
    return ""
