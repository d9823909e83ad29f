"""Somebody who looks into a bucket all the while: does a manifest stand over files that are not there?"""

from __future__ import annotations

import json
import threading
from types import TracebackType
from typing import Self

from botocore.exceptions import ClientError

from s3_server import S3Server


class BundleWatch:
    """Looks into the bucket again and again, past any proxy.

    Attributes:
        looks: how often it has.
        seen: how often a manifest was there.
        problems: what a manifest named that was not there, or not as large.
    """

    def __init__(self, server: S3Server, bucket: str, prefix: str = "") -> None:
        self.looks = self.seen = 0
        self.problems: list[str] = []
        self._client, self._bucket, self._prefix = server.client(), bucket, prefix
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        self._client.close()

    def _watch(self) -> None:
        while not self._is_over.wait(0.02):
            self.look()

    def look(self) -> None:
        self.looks += 1
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        for key in (key for key in keys if key.endswith("manifest.json")):
            self.seen += 1
            manifest = json.loads(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())
            folder = key.removesuffix("manifest.json")
            for one in manifest["artifacts"]:
                self._check(f"{folder}{one['path']}", one["size_bytes"])

    def _check(self, key: str, size_bytes: int) -> None:
        try:
            found = self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]
        except ClientError:
            self.problems.append(f"{key} is not there")
            return
        if found != size_bytes:
            self.problems.append(f"{key} is {found} bytes large, not {size_bytes}")
