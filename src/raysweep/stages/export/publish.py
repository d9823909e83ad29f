"""From a folder of files to a published bundle: hashed, scanned for secrets, the manifest last and only if absent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from raysweep.documents import canonical_json
from raysweep.errors import RaysweepError, RequestInvalid
from raysweep.records.manifest import JOURNAL_FOLDER, MANIFEST_FILE, SUMS_FILE, Artifact, Manifest
from raysweep.storage.store import Store

_MEDIA_TYPES: Final = {
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".parquet": "application/vnd.apache.parquet",
    ".html": "text/html",
    ".md": "text/markdown",
    ".ubj": "application/ubjson",
    ".skops": "application/zip",
    ".lock": "text/plain",
    ".patch": "text/x-diff",
}
_SECRET_NAMES: Final = ("SECRET", "TOKEN", "PASSWORD", "ACCESS_KEY", "API_KEY")
_MIN_SECRET_LENGTH: Final = 12
_CHUNK_BYTES: Final = 4 * 1024 * 1024


def list_artifacts(folder: Path) -> tuple[Artifact, ...]:
    """Every file below `folder`, with its hash, sorted by path; the journal is none."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    artifacts = [_artifact(path, path.relative_to(folder).as_posix()) for path in found]
    return tuple(artifact for artifact in artifacts if not artifact.path.startswith(JOURNAL_FOLDER))


def seal(manifest: Manifest, folder: Path) -> None:
    """Write the manifest and the sums beside the files that it names: the folder is then a whole bundle.

    Raises:
        RaysweepError: a file holds a secret of this process.
    """
    content = canonical_json(manifest.model_dump(mode="json"))
    sums = [(artifact.path, artifact.sha256) for artifact in manifest.artifacts]
    sums.append((MANIFEST_FILE, hashlib.sha256(content).hexdigest()))
    (folder / SUMS_FILE).write_text("".join(f"{digest}  {path}\n" for path, digest in sums), encoding="utf-8")
    (folder / MANIFEST_FILE).write_bytes(content)
    _refuse_secrets(folder.rglob("*"), os.environ)


def publish(folder: Path, store: Store, check_ours: Callable[[], None] = lambda: None) -> None:
    """Put every file of a whole bundle, the sums and the manifest last.

    Args:
        folder: the bundle.
        store: the run's own place.
        check_ours: raises once another driver goes on with the run; asked first, and before the manifest.

    Raises:
        RunTakenOver: by `check_ours`; what was put is no bundle.
        RequestInvalid: the run is published already; nothing was put.
        StorageFailed: the store refuses; without a manifest, what was put is no bundle.
    """
    check_ours()
    if store.exists(MANIFEST_FILE):
        raise _published_already(store)
    last = (SUMS_FILE, MANIFEST_FILE)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).as_posix() not in last:
            store.put(path.relative_to(folder).as_posix(), path)
    store.put(SUMS_FILE, folder / SUMS_FILE)
    check_ours()
    if not store.put_if_absent(MANIFEST_FILE, folder / MANIFEST_FILE):
        raise _published_already(store)


def _published_already(store: Store) -> RequestInvalid:
    return RequestInvalid(f"{store.address(MANIFEST_FILE)} is there already: choose another run id (--run)")


def _artifact(path: Path, name: str) -> Artifact:
    hashed = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            hashed.update(chunk)
    return Artifact(
        path=name,
        sha256=hashed.hexdigest(),
        size_bytes=path.stat().st_size,
        media_type=_MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
    )


def _refuse_secrets(paths: Iterable[Path], environment: Mapping[str, str]) -> None:
    secrets = {
        name: value.encode()
        for name, value in environment.items()
        if any(mark in name.upper() for mark in _SECRET_NAMES)
        and len(value) >= _MIN_SECRET_LENGTH
        and not Path(value).exists()  # MY_TOKEN_FOLDER names a place
    }
    for path in paths:
        if not path.is_file() or not secrets:
            continue
        content = path.read_bytes()
        for name, value in secrets.items():
            if value in content:
                raise RaysweepError(
                    f"the value of the environment variable {name} stands in {path.name}: nothing was "
                    "published. Take it out of the data, the sweep file or the uncommitted changes"
                )
