"""Being on Ray: starting it here, joining a cluster, leaving it as it was found."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any, Final

# Read by Ray when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import ray.data  # here, since `ray.init` loads some of the same modules
import ray.exceptions

from raysweep.errors import RayUnavailable
from raysweep.runtime.cluster_address import Wanted, wanted_ray
from raysweep.runtime.ray_knock import knock
from raysweep.runtime.ray_private import loopback_only, token_of_its_own

_STORE_SHARE = 0.3
_STORE_LIMIT_BYTES = 8 * 1024**3
_OPTIONS: Final[dict[str, Any]] = {
    "include_dashboard": False,
    "log_to_driver": False,
    "logging_level": logging.ERROR,
}
_QUIET_LOGGERS = ("ray", "ray.data", "ray.tune", "ray.rllib", "ray.air")


@dataclass(frozen=True, slots=True)
class RaySession:
    """The Ray that the sweep runs on.

    Attributes:
        cpus, gpus: of all nodes.
        logs: the folder of Ray's own logs, on the driver's node.
        node: the name of the driver's node.
        is_ours: it was started here, for this.
        fit: the ids of the nodes that were found to have what this process has; None: nobody has looked.
    """

    cpus: int
    gpus: float
    logs: str
    node: str
    is_ours: bool
    fit: frozenset[str] | None = None


@contextmanager
def ray_session(
    address: str | None, loading: str = "", joined: Callable[[], None] | None = None
) -> Iterator[RaySession]:
    """Ray for the length of a `with` block; one that was running before is used and left running.

    Args:
        address: of a cluster, or `auto`; None is the one that RAY_ADDRESS names, else a Ray that is started here;
            `local` is one that is started here in any case.
        loading: a module that the block will import, loaded while Ray starts.
        joined: is called as soon as Ray is there, where it was not started by this process.

    Raises:
        RequestInvalid: no sweep can run through such an address.
        RayUnavailable: Ray does not start, or does not answer at the address.
    """
    wanted = None if ray.is_initialized() else wanted_ray(address, os.environ)
    is_ours = wanted is not None and wanted.address is None
    with ExitStack() as stack:
        with _loaded_meanwhile("" if wanted is None else loading):
            if wanted is not None:
                _begin(wanted, stack)
            if joined is not None and not is_ours and not _is_of_this_process():
                joined()
        stack.callback(_loud_again, _quiet())
        yield _describe(is_ours=is_ours)


def _begin(wanted: Wanted, stack: ExitStack) -> None:
    if wanted.address is None:
        stack.enter_context(token_of_its_own())
    stack.callback(ray.shutdown)
    if wanted.address is None:
        _start_here()
    else:
        _join(wanted)


def _is_of_this_process() -> bool:
    """Whether the Ray that runs was started here, by whoever called us: its processes have what this one has."""
    node = ray._private.worker.global_worker.node  # noqa: SLF001 - nothing public tells
    return node is not None and bool(node.is_head())


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


def _start_here() -> None:
    with _init_failures("on this machine", "Check free memory, /dev/shm and disk"), loopback_only():
        ray.init(address="local", object_store_memory=_store_bytes(), **_OPTIONS)


def _join(wanted: Wanted) -> None:
    found = knock(wanted)
    with _init_failures(
        f"as {wanted} says",
        "Run the sweep on a node of the cluster, with the versions that are installed there, or send it there by "
        "`raysweep submit`",
    ):
        ray.init(address=found, **_OPTIONS)


@contextmanager
def _init_failures(where: str, way_out: str) -> Iterator[None]:
    try:
        yield
    except (ConnectionError, ray.exceptions.RayError, RuntimeError, ValueError, OSError) as error:
        first = (str(error).strip().splitlines() or [repr(error)])[0]
        raise RayUnavailable(f"Ray does not start {where}: {first}. {way_out}") from error


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


def _loud_again(quieted: list[tuple[logging.Logger, int]]) -> None:
    for logger, level in quieted:
        logger.setLevel(level)


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
