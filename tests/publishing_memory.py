"""How much memory publishing takes: a process of its own puts a made-up bundle, and says how far it grew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from s3_server import S3Server

PIECE_BYTES = 8 * 1024 * 1024

PUBLISH = """
import json, resource, sys, threading, time
from pathlib import Path
from raysweep.config import S3Config
from raysweep.stages.export.publish import is_whole, list_artifacts, publish, refuse_secrets
from raysweep.storage.open_store import open_store
from raysweep.storage.secret_values import process_secrets

def used():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

folder, store = Path(sys.argv[1]), open_store(sys.argv[2], S3Config.model_validate_json(sys.argv[3]))
store.put("ready", b"")
before, peak, over = used(), 0, threading.Event()

def watch():
    global peak
    while not over.wait(0.005):
        peak = max(peak, used())

watching = threading.Thread(target=watch)
watching.start()
began = time.monotonic()
artifacts = list_artifacts(folder)
(folder / "SHA256SUMS").write_text("".join(f"{one.sha256}  {one.path}\\n" for one in artifacts))
refuse_secrets(folder, process_secrets())
assert is_whole(folder)
publish(folder, store)
seconds = time.monotonic() - began
over.set()
watching.join()
print(json.dumps({"grew_bytes": peak - before, "seconds": seconds, "bytes": sum(one.size_bytes for one in artifacts)}))
"""


def write_bundle(folder: Path, sizes: dict[str, int]) -> None:
    """Files of these sizes in bytes, of bytes that nothing can make smaller, and a manifest."""
    piece = os.urandom(PIECE_BYTES)
    for name, size_bytes in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for number in range(-(-size_bytes // PIECE_BYTES)):
                file.write(number.to_bytes(8, "big") + piece[8 : min(PIECE_BYTES, size_bytes - number * PIECE_BYTES)])
    (folder / "manifest.json").write_text("{}")


def publish_and_measure(folder: Path, address: str, server: S3Server, **s3: object) -> dict[str, float]:
    """Bytes by which a fresh process grew while it hashed, looked through and put the bundle; seconds; bytes put."""
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    settings = json.dumps({"endpoint_url": server.endpoint_url, **s3})
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH, folder, address, settings],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)
