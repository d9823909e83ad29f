"""One cluster of a head and two workers for all tests here, and the flights on an S3 server that it reaches by HTTP."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flights_sweep import FlightsSweep, put_flights
from node_cluster import NodeCluster, node_cluster
from s3_server import S3Server


@pytest.fixture(scope="session")
def flights(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> FlightsSweep:
    """Every thirtieth flight, and a search of a few seconds."""
    bucket = f"flights-{secrets.token_hex(4)}"
    client = s3_server.client()
    client.create_bucket(Bucket=bucket)
    client.close()
    folder = tmp_path_factory.mktemp("flights")
    return put_flights(folder, s3_server, bucket, every=30, trials=16, rounds=40)


@pytest.fixture(scope="module")
def cluster(s3_server: S3Server, flights: FlightsSweep) -> Iterator[NodeCluster]:
    port = int(urlsplit(s3_server.endpoint_url).port or 0)
    with (
        tempfile.TemporaryDirectory(prefix="rs-") as folder,
        node_cluster(Path(folder), port, flights.credentials) as started,
    ):
        yield started


@pytest.fixture(autouse=True)
def aws(flights: FlightsSweep, clean_aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process is somebody who may use the store, and has a home of its own."""
    for name, value in flights.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))
