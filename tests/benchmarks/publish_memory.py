"""Publish 5 GiB to a SeaweedFS server on loopback, and say how far memory grew (less than 300 MiB is asked for).

    python tests/benchmarks/publish_memory.py [--gib 5] [--https]

Needs three times that room below the temporary folder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from publishing_memory import publish_and_measure, write_bundle
from s3_server import run_s3_server

GIB = 1024**3
MIB = 1024**2
MOST_MIB = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=5.0)
    parser.add_argument("--https", action="store_true")
    asked = parser.parse_args()
    whole = int(asked.gib * GIB)
    sizes = {"model/model.ubj": whole // 2, "trials.parquet": whole // 4, "data/profile.json": whole - 3 * (whole // 4)}
    with tempfile.TemporaryDirectory() as folder, run_s3_server(Path(folder) / "server") as server:
        client = server.client()
        client.create_bucket(Bucket="memory")
        client.close()
        bundle = Path(folder) / "bundle"
        write_bundle(bundle, sizes)
        s3 = {"endpoint_url": server.https_url, "ca_bundle": str(server.tls.ca)} if asked.https else {}
        found = publish_and_measure(bundle, "s3://memory/large", server, **s3)
    grew = found["grew_bytes"] / MIB
    print(f"{found['bytes'] / GIB:.2f} GiB went out in {found['seconds']:.0f} s; memory grew by {grew:.0f} MiB")
    return int(grew >= MOST_MIB)


if __name__ == "__main__":
    sys.exit(main())
