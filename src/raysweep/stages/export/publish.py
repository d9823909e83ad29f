"""From a folder of files to a published bundle: hashed, scanned for secrets, the manifest last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raysweep.bundle.signing import Signer
from raysweep.errors import RaysweepError, RunTakenOver, StorageFailed
from raysweep.records.manifest import JOURNAL_FOLDER, MANIFEST_FILE, SIGNATURE_FILE, SUMS_FILE, Artifact, Manifest
from raysweep.records.sums import format_sums, parse_sums
from raysweep.storage.local import write_whole
from raysweep.storage.secret_values import described, process_secrets, secret_in, secret_in_file
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
    ".txt": "text/plain",
    ".onnx": "application/onnx",
    "MLmodel": "application/yaml",
}
_CHUNK_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Claim:
    """What a driver's right to publish rests on.

    Attributes:
        check_ours: raises once another driver goes on with the run; asked before each thing that is put.
        announce: writes down, so that it outlives this driver, which files are about to be put.
        leftovers: what earlier drivers of the run have announced, and may have put before they died.
    """

    check_ours: Callable[[], None] = lambda: None
    announce: Callable[[Collection[str]], None] = lambda _: None
    leftovers: Collection[str] = ()


def list_artifacts(folder: Path, known: Iterable[Artifact] = ()) -> tuple[Artifact, ...]:
    """Every file below `folder`, with its hash, sorted by path; no journal. Those known are not hashed again."""
    hashed = {one.path: one for one in known}
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return tuple(
        hashed.get(name) or _artifact(path, name) for name, path in found.items() if not name.startswith(JOURNAL_FOLDER)
    )


def seal(manifest: Manifest, folder: Path, signer: Signer | None = None) -> None:
    """Write the manifest, its signature and the sums beside the files that it names: the folder is then a whole bundle.

    Raises:
        RaysweepError: a file holds a secret of this process; there is no manifest then.
    """
    content = manifest.to_bytes()
    sums = [(artifact.path, artifact.sha256) for artifact in manifest.artifacts]
    if signer is not None:
        signature = signer.sign(content)
        (folder / SIGNATURE_FILE).write_bytes(signature)
        sums.append((SIGNATURE_FILE, hashlib.sha256(signature).hexdigest()))
    sums.append((MANIFEST_FILE, hashlib.sha256(content).hexdigest()))
    with write_whole(folder / SUMS_FILE) as file:
        file.write(format_sums(sums))
    secrets = process_secrets()
    refuse_secrets(folder, secrets)
    if (name := secret_in([content], secrets)) is not None:
        raise _with_secret(name, MANIFEST_FILE)
    with write_whole(folder / MANIFEST_FILE) as file:
        file.write(content)


def is_whole(folder: Path) -> bool:
    """Whether the folder holds a whole bundle: exactly the files that its sums name, each as it was."""
    try:
        sums = dict(parse_sums((folder / SUMS_FILE).read_bytes()))
    except (OSError, ValueError):
        return False
    there = {artifact.path: artifact.sha256 for artifact in list_artifacts(folder) if artifact.path != SUMS_FILE}
    return MANIFEST_FILE in sums and there == sums


def refuse_secrets(folder: Path, secrets: Mapping[str, str]) -> None:
    """Look through every file below the folder, a few MiB at a time.

    Raises:
        RaysweepError: one of them holds a secret; the message names the file and where the secret is from.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (name := secret_in_file(path, secrets)) is not None:
            raise _with_secret(name, path.relative_to(folder).as_posix())


def publish(folder: Path, store: Store, claim: Claim | None = None) -> None:
    """Put every file of a whole bundle, the sums and the manifest last.

    A driver that was taken over may have one more request under way: it takes no place that is taken, and what it
    took itself is replaced.

    Args:
        folder: the bundle.
        store: the run's own place.
        claim: this driver's; None for a place that nobody else writes to.

    Raises:
        RunTakenOver: another driver owns the run, or has published it; what was put is no bundle.
        StorageFailed: the store refuses; without a manifest, what was put is no bundle.
    """
    claim = claim or Claim()
    claim.check_ours()
    if store.exists(MANIFEST_FILE):
        raise RunTakenOver(
            f"{store.address(MANIFEST_FILE)} is there already: a driver that this one had taken the run over from has "
            f"published it. This one has put nothing; `raysweep verify {store.address()}` looks at what is there"
        )
    for key in sorted(claim.leftovers):
        claim.check_ours()
        store.delete(key)
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    last = {name: found.pop(name) for name in (SUMS_FILE, MANIFEST_FILE)}
    claim.announce([*found, SUMS_FILE])
    for key, path in found.items():
        _put(store, key, path, claim)
    _put(store, SUMS_FILE, last[SUMS_FILE], claim)
    _check_there(store, {**found, SUMS_FILE: last[SUMS_FILE]})
    _put(store, MANIFEST_FILE, last[MANIFEST_FILE], claim)


def _put(store: Store, key: str, path: Path, claim: Claim) -> None:
    claim.check_ours()
    if not store.put_if_absent(key, path):
        claim.check_ours()
        store.put(key, path)


def _check_there(store: Store, files: Mapping[str, Path]) -> None:
    """Look at what stands there before the manifest says that it does.

    Raises:
        StorageFailed: a file is missing or has another size.
    """
    there = {one.key: one.size_bytes for one in store.list()}
    for key, path in files.items():
        if there.get(key) != path.stat().st_size:
            what = "is not there" if key not in there else f"is {there[key]:,} bytes large"
            raise StorageFailed(
                f"{store.address(key)} was put with {path.stat().st_size:,} bytes, but {what}: somebody deletes or "
                "writes there, or the place loses data. No manifest was put"
            )


def _artifact(path: Path, name: str) -> Artifact:
    hashed = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            hashed.update(chunk)
    return Artifact(
        path=name,
        sha256=hashed.hexdigest(),
        size_bytes=path.stat().st_size,
        media_type=_MEDIA_TYPES.get(path.suffix or path.name, "application/octet-stream"),
    )


def _with_secret(name: str, path: str) -> RaysweepError:
    return RaysweepError(
        f"{described(name)} stands in {path}: the bundle was not published. Take it out of the data or the uncommitted "
        "changes, and go on with the run"
    )
