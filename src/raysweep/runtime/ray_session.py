"""Being on Ray: starting it here, joining a cluster, leaving it as it was found."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread

# Read by Ray when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import ray.data  # here, since `ray.init` loads some of the same modules
import ray.exceptions

from raysweep.errors import RayUnavailable

_STORE_SHARE = 0.3
_STORE_LIMIT_BYTES = 8 * 1024**3
_QUIET_LOGGERS = ("ray", "ray.data", "ray.tune", "ray.rllib", "ray.air")


@dataclass(frozen=True, slots=True)
class RaySession:
    """The Ray that the sweep runs on.

    Attributes:
        cpus, gpus: of all nodes.
        logs: the folder of Ray's own logs, on the driver's node.
        node: the name of the driver's node.
        is_ours: it was started here, for this.
    """

    cpus: int
    gpus: float
    logs: str
    node: str
    is_ours: bool


@contextmanager
def ray_session(address: str | None, loading: str = "") -> Iterator[RaySession]:
    """Ray for the length of a `with` block; one that was running before is used and left running.

    Args:
        address: None starts Ray on this machine; `auto` or an address joins a cluster.
        loading: a module that the block will import, loaded while Ray starts.

    Raises:
        RayUnavailable: Ray does not start, or does not answer at the address.
    """
    started_here = not ray.is_initialized()
    if started_here:
        with _loaded_meanwhile(loading):
            _start(address)
    quieted = _quiet()
    try:
        yield _describe(is_ours=started_here and address is None)
    finally:
        for logger, level in quieted:
            logger.setLevel(level)
        if started_here:
            ray.shutdown()


@contextmanager
def _loaded_meanwhile(module: str) -> Iterator[None]:
    """Load a module in a thread beside what the block does, which is mostly waiting for other processes."""

    def load() -> None:
        with suppress(Exception):  # whoever imports it after this will hear of it
            importlib.import_module(module)

    if not module:
        yield
        return
    thread = Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _start(address: str | None) -> None:
    options: dict[str, object] = {
        "address": address or "local",
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if address is None:
        options["object_store_memory"] = _store_bytes()
    try:
        ray.init(**options)
    except (ConnectionError, ray.exceptions.RayError, RuntimeError, ValueError, OSError) as error:
        where = f"at {address}" if address else "on this machine"
        raise RayUnavailable(
            f"Ray does not start {where}: {str(error).strip().splitlines()[0] if str(error).strip() else error!r}. "
            + ("Check cluster.address and that the cluster runs" if address else "Check free memory, /dev/shm and disk")
        ) from error


def _store_bytes() -> int:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    shared = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108 - Ray's own place
    room = shared.f_bavail * shared.f_frsize if shared is not None else free
    return int(max(128 * 1024**2, min(free * _STORE_SHARE, room * 0.8, _STORE_LIMIT_BYTES)))


def _quiet() -> list[tuple[logging.Logger, int]]:
    """Ray's loggers speak up for errors only; everything stays in Ray's log files."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    changed = []
    for name in _QUIET_LOGGERS:
        logger = logging.getLogger(name)
        changed.append((logger, logger.level))
        logger.setLevel(logging.CRITICAL)
    return changed


def _describe(*, is_ours: bool) -> RaySession:
    resources = ray.cluster_resources()
    node = ray._private.worker.global_worker.node  # noqa: SLF001 - the only way to the folder of the logs
    logs = node.get_logs_dir_path() if node is not None else "/tmp/ray/session_latest/logs"  # noqa: S108
    return RaySession(
        cpus=int(resources.get("CPU", 0)),
        gpus=float(resources.get("GPU", 0)),
        logs=str(logs),
        node=os.uname().nodename,
        is_ours=is_ours,
    )
