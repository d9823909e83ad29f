"""The sweep of the flights as clusters run it: table and bundle on S3, the same candidates wherever it runs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from raysweep.bundle.locate import open_run
from raysweep.config import S3Config
from raysweep.demo.flights import find_flights, write_tables
from raysweep.storage.run_journal import read_run_journal
from s3_server import S3Server
from sweep_builders import quick_space

TABLE = "flights.parquet"


@dataclass(frozen=True)
class FlightsSweep:
    """A sweep file, and a bucket with its table.

    Attributes:
        file: the sweep file; it names no endpoint, which is of the environment that it runs in.
        server: the store, as this process reaches it.
    """

    file: Path
    bucket: str
    server: S3Server

    @property
    def credentials(self) -> dict[str, str]:
        """For the environment of whoever runs it."""
        return {"AWS_ACCESS_KEY_ID": self.server.access_key, "AWS_SECRET_ACCESS_KEY": self.server.secret_key}

    @property
    def environment(self) -> dict[str, str]:
        """To reach the store from this process."""
        return {**self.credentials, "AWS_ENDPOINT_URL": self.server.endpoint_url}

    def address(self, run: str) -> str:
        return f"s3://{self.bucket}/runs/{run}"

    def store(self, run: str):
        """The place of a run; the credentials have to be in this process's environment."""
        return open_run(self.address(run), S3Config(endpoint_url=self.server.endpoint_url))

    def journal(self, run: str) -> list[dict[str, Any]]:
        return read_run_journal(self.store(run))


def put_flights(folder: Path, server: S3Server, bucket: str, *, every: int, trials: int, rounds: int) -> FlightsSweep:
    """Put the table into a bucket, and write the sweep file.

    Args:
        folder: for the sweep file.
        every: of the flights, this one is taken: 1 takes all of them.
        trials: `search.trials`.
        rounds: of a full fit.
    """
    with tempfile.TemporaryDirectory() as tables, tempfile.TemporaryFile() as sample:
        table = pq.read_table(write_tables(find_flights(), Path(tables)).cleaned)
        pq.write_table(table.take(list(range(0, table.num_rows, every))), sample)
        sample.seek(0)
        client = server.client()
        client.upload_fileobj(sample, bucket, TABLE)
        client.close()
    keys = {
        "version": 1,
        "name": "flights-late",
        "data": {"source": f"s3://{bucket}/{TABLE}", "target": "late"},
        "split": {"folds": 1},
        "search": {
            "space": quick_space(["xgboost", "logistic_regression"], rounds=rounds),
            "trials": trials,
            "scheduler": "asha",
            "deterministic": True,
        },
        "export": {"to": f"s3://{bucket}/runs", "top": 1},
    }
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump(keys))
    return FlightsSweep(file, bucket, server)
