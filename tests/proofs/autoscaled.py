"""A search on a cluster without a node for a trial, whose autoscaler brings them: Ray's own, here on one machine.

    python tests/proofs/autoscaled.py

Starts a head without cores and with an autoscaler that may start three nodes of one core, and searches; then asks for
more cores than any node may have. Exits 1 where not every trial ended, the nodes did not come, or the refusal did not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import psutil
import ray
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from changing_cluster import search
from noop_family import FAMILY
from raysweep.errors import RayUnavailable
from raysweep.events import ClusterChanged, Said
from raysweep.training import families

PROVIDER = (
    "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"  # by its name its wheel lacks a file
)
PORT = 26_379
NODES = {"small": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 3}}


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The head with its autoscaler; ended by its own process, since `ray stop` would end every Ray of this machine."""
    head = {"ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}}
    config = {
        "cluster_name": "autoscaled",
        "max_workers": 3,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 1,
        "provider": {
            "type": "external",
            "module": PROVIDER,
            "launch_multiple": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": f"127.0.0.1:{PORT}",
        },
        "available_node_types": {**NODES, **head},
        "head_node_type": "ray.head.default",
        **{f"{who}setup_commands": [] for who in ("", "head_", "worker_")},
        **{f"{who}_start_ray_commands": [] for who in ("head", "worker")},
        **{name: [] for name in ("initialization_commands", "cluster_synced_files", "rsync_exclude", "rsync_filter")},
        "file_mounts": {},
    }
    path = folder / "autoscaler.json"
    path.write_text(json.dumps(config))
    ray_program = str(Path(sys.executable).parent / "ray")
    options = [
        f"--port={PORT}",
        "--num-cpus=0",
        "--node-ip-address=127.0.0.1",
        f"--temp-dir={folder}/ray",
        f"--autoscaling-config={path}",
    ]
    told = {
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    }
    return subprocess.Popen(
        [ray_program, "start", "--head", "--block", "--include-dashboard=false", *options],
        env={**os.environ, **told},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def connect() -> None:
    until = time.monotonic() + 90
    while True:
        try:
            ray.init(address=f"127.0.0.1:{PORT}", log_to_driver=False, logging_level="ERROR")
        except ConnectionError:
            if time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return


def problems() -> list[str]:
    """What went otherwise than it should."""
    found: list[str] = []
    outcome, _, told = search(["noop"], 2.0, lambda _: False, trials=24)
    print([one.words for one in told if isinstance(one, ClusterChanged)])
    if {trial.state.value for trial in outcome.trials} != {"complete"}:
        found.append("not every trial has ended well")
    if outcome.slots < 2:
        found.append(f"the cluster grew to {outcome.slots} slots")
    try:
        refused = search(["noop"], 0.1, lambda _: False, trials=1, trial={"cpus": 9})
        found.append(f"{refused[0].stopped_by}: nine cores were not refused")
    except RayUnavailable as error:
        print(f"refused: {error}")
    print([one.message for one in told if isinstance(one, Said)])
    return found


def main() -> int:
    families.register(FAMILY)
    with TemporaryDirectory(prefix="as-") as place:
        head = start(Path(place))
        found: list[Any] = []
        try:
            connect()
            found = problems()
        finally:
            ray.shutdown()
            for process in [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]:
                process.kill()
            head.wait()
    print(f"problems: {found or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
