"""Publishing holds only a few pieces of its files in memory, however large they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from publishing_memory import publish_and_measure, write_bundle
from s3_server import S3Server

MIB = 1024 * 1024


@pytest.mark.s3
def test_300_mib_go_out_in_little_memory(s3_server: S3Server, s3_bucket: str, tmp_path: Path):
    write_bundle(tmp_path, {"model/model.ubj": 230 * MIB, "trials.parquet": 65 * MIB, "report.html": 6 * MIB})
    found = publish_and_measure(tmp_path, f"s3://{s3_bucket}/large", s3_server)
    assert found["bytes"] > 300 * MIB
    assert found["grew_bytes"] < 150 * MIB
