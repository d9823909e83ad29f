"""The files of a model, taken from where they were published: each of the size and with the hash that it must have."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from raysweep.errors import BundleRefused
from raysweep.records.manifest import MODEL_FOLDER, Artifact
from raysweep.storage.store import S3_SCHEME, Store
from raysweep.training.preparation import PREPARE_FILE

# What is read as a whole, or parsed: no honest one comes near.
_LARGEST: Final[Mapping[str, int]] = {PREPARE_FILE: 64 * 1024 * 1024}


def fetch_model(store: Store, files: Sequence[str], artifacts: Sequence[Artifact], folder: Path) -> None:
    """Put the files of the native form into `folder`.

    Args:
        store: of the bundle.
        files: their paths there.
        artifacts: the manifest's.
        folder: an empty one of ours.

    Raises:
        BundleRefused: a file is missing, of another size or content, a link, or not described by the manifest.
    """
    described = {artifact.path: artifact for artifact in artifacts}
    for key in files:
        name = key.removeprefix(f"{MODEL_FOLDER}/")
        if key not in described or "/" in name or name in {"", ".", ".."}:
            raise BundleRefused(f"{store.address()}: the manifest names a model file {key!r} that it does not describe")
        _refuse_link(store, key)
    sizes = {one.key: one.size_bytes for one in store.list(f"{MODEL_FOLDER}/")}
    for key in files:
        name = key.removeprefix(f"{MODEL_FOLDER}/")
        check_size(described[key], sizes.get(key), store.address(key))
        store.download(key, folder / name)
        check_content(described[key], folder / name, store.address(key))


def check_size(artifact: Artifact, found: int | None, address: str) -> None:
    """Refuse a file by its size, before it is read.

    Raises:
        BundleRefused: it is missing, of another size than it must have, or larger than such a file can be.
    """
    if found is None:
        raise BundleRefused(f"{address} is missing", problems=[artifact.path])
    if found != artifact.size_bytes:
        raise BundleRefused(
            f"{address} is {found:,} bytes large, the manifest says {artifact.size_bytes:,}: it was changed",
            problems=[artifact.path],
        )
    largest = _LARGEST.get(Path(artifact.path).name)
    if largest is not None and found > largest:
        raise BundleRefused(
            f"{address} is {found:,} bytes large; raysweep reads up to {largest:,}", problems=[artifact.path]
        )


def check_content(artifact: Artifact, path: Path, address: str) -> None:
    """Refuse a file by its content.

    Raises:
        BundleRefused: its hash is not the one that it must have.
    """
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != artifact.sha256:
        raise BundleRefused(f"{address} was changed: its sha256 is not the manifest's", problems=[artifact.path])


def _refuse_link(store: Store, key: str) -> None:
    """A published bundle holds no link: one was put in place of a file, or of the folder."""
    address = store.address(key)
    if address.startswith(S3_SCHEME):
        return
    place = Path(store.address())
    for part in Path(key).parts:
        place /= part
        if os.path.islink(place):  # noqa: PTH114 - does not follow what it looks at
            raise BundleRefused(f"{place} is a symbolic link: a bundle holds none. Get it from its source again")
