"""A Ray of our own: nobody beyond loopback reaches it, nothing of it is left in the home or the environment."""

import json
import os
import subprocess
import sys

SCRIPT = """
import ipaddress, json, os, sys
import psutil, ray
from raysweep.runtime.ray_session import ray_session

before = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
with ray_session(None) as session:
    worker = ray.remote(lambda: os.environ.get("RAY_AUTH_MODE"))
    mode = ray.get(worker.remote())
    this = psutil.Process()
    processes = [this, *this.children(recursive=True)]
    listening = {
        (one.laddr.ip, one.laddr.port)
        for process in processes for one in process.net_connections()
        if one.status == psutil.CONN_LISTEN or (one.type == 2 and not one.raddr)
    }
after = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
print(json.dumps({"mode": mode, "processes": len(processes), "listening": sorted(listening), "same": before == after}))
"""


def test_nothing_of_a_local_run_listens_beyond_loopback_and_its_token_is_in_no_file(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=kept | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)

    assert found["mode"] == "token"
    assert found["same"]
    assert found["processes"] > 5
    assert len(found["listening"]) > 5
    beyond = [place for place in found["listening"] if place[0] not in {"127.0.0.1", "::1", "::ffff:127.0.0.1"}]
    assert beyond == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
