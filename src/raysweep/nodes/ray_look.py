"""Looking at every node of a cluster at once: one task pinned to each, while the driver loads its own code."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import ray
import ray.exceptions

from raysweep.config import SweepConfig
from raysweep.nodes import errand
from raysweep.nodes.judgement import Judged, NodeSeen, judge
from raysweep.runtime import versions
from raysweep.runtime.ray_by_value import by_value, pinned
from raysweep.stages.source.addresses import S3_SCHEME, FileReach

WAIT_SECONDS: Final = 20.0
_LOSSES: Final = (
    ray.exceptions.TaskUnschedulableError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.WorkerCrashedError,
)


@dataclass(frozen=True, slots=True)
class Errand:
    """What the nodes are to reach.

    Attributes:
        data: a file of the source; None where the table is held in memory, or no sweep is asked for.
        store: where the sweep exports to.
        reach: how the driver opens a file.
        data_s3, store_s3: the settings of the sweep file.
    """

    data: str | None = None
    store: str | None = None
    reach: FileReach = field(default_factory=FileReach)
    data_s3: Mapping[str, Any] | None = None
    store_s3: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, config: SweepConfig, first_file: str | None) -> Errand:
        """What a sweep needs to reach; `first_file` is of its source, None where the table is held in memory."""
        local = first_file is not None and not first_file.startswith(S3_SCHEME)
        return cls(
            str(Path(first_file).absolute()) if first_file is not None and local else first_file,
            config.export.to,
            FileReach.from_config(config.data_s3),
            config.data_s3.model_dump(mode="json"),
            config.export.s3.model_dump(mode="json"),
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    node: Mapping[str, Any]
    answer: Any
    sent: float


class Looking:
    """A look at every node, begun and ended apart, since it takes a second or two.

    Args:
        asked: what the nodes are to reach.

    Attributes:
        fit: the ids of the nodes that were found to have what the driver has; None before the end, or without a look.
    """

    def __init__(self, asked: Errand) -> None:
        self._errand = asked
        self._asked: list[_Asked] = []
        self.fit: frozenset[str] | None = None

    def begin(self) -> None:
        """Send a task to each node that Ray takes for alive."""
        folder = ray._private.worker.global_worker.node.get_session_dir_path()  # noqa: SLF001 - nothing public tells
        what = asdict(self._errand) | {"folder": str(folder)}
        code = versions.installed_versions().get(versions.CODE, "")
        with by_value(errand, versions):
            for node in ray.nodes():
                if node["Alive"]:
                    answer = pinned(errand.run_errand, node["NodeID"]).remote(what, code)
                    self._asked.append(_Asked(node, answer, time.time()))

    def end(self) -> tuple[Judged, ...]:
        """Wait for the answers, not for long, and judge them; nothing where no look was begun."""
        if not self._asked:
            return ()
        names = Counter(str(one.node["NodeManagerHostname"]) for one in self._asked)
        waiting = {one.answer: one for one in self._asked}
        until, seen = time.monotonic() + WAIT_SECONDS, dict[str, NodeSeen]()
        while waiting:
            ready, _ = ray.wait(list(waiting), num_returns=1, timeout=max(0.0, until - time.monotonic()))
            if not ready:
                break
            one = waiting.pop(ready[0])
            seen[str(one.node["NodeID"])] = _seen(one, names)
        for one in waiting.values():
            ray.cancel(one.answer)  # by force, Ray 2.60 aborts this process where a task ends at that moment
            lost = f"no answer within {WAIT_SECONDS:g} s: it hangs, or is being lost"
            seen[str(one.node["NodeID"])] = NodeSeen(_name(one.node, names), lost=lost)
        here = versions.installed_versions()
        self.fit = frozenset(
            node for node, one in seen.items() if one.versions and not versions.unlike(here, one.versions)
        )
        in_order = [seen[str(one.node["NodeID"])] for one in self._asked]
        is_local = self._errand.data is not None and not self._errand.data.startswith(S3_SCHEME)
        return judge(in_order, here, is_local=is_local)


def _name(node: Mapping[str, Any], names: Counter[str]) -> str:
    name = str(node["NodeManagerHostname"])
    return name if names[name] == 1 else f"{name} {node['NodeID'][:8]}"


def _seen(asked: _Asked, names: Counter[str]) -> NodeSeen:
    node, now = asked.node, time.time()
    name = _name(node, names)
    try:
        found = ray.get(asked.answer)
    except _LOSSES:
        return NodeSeen(name, lost="it was lost just now")
    except ray.exceptions.RayError as error:
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        return NodeSeen(name, failed=f"nothing can be run there: {last}")
    resources, inside = node["Resources"], found.get("inside", {})
    return NodeSeen(
        name,
        gpus=float(resources.get("GPU", 0.0)),
        store_bytes=int(resources.get("object_store_memory", 0)),
        versions=found["versions"],
        room=inside.get("room", {}),
        devices=tuple(inside.get("gpus", ())),
        reach={what: inside[what] for what in ("data", "store") if inside.get(what) is not None},
        clock=(found["clock"] - now, found["clock"] - asked.sent),
        failed=found.get("failed", ""),
    )
