"""What a sweep names on this machine: a cluster does not see it, so it is refused, or put where the bundle goes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from raysweep.config import IN_MEMORY, SweepConfig
from raysweep.errors import RequestInvalid, StorageFailed
from raysweep.storage.open_store import open_store
from raysweep.storage.retry import PATIENT
from raysweep.storage.store import S3_SCHEME, Store

UPLOADS: Final = ".raysweep/data/"
_SHARED: Final = "where every node sees this path, say --shared-paths"


def check_addresses(config: SweepConfig, *, shared: bool, upload: bool) -> None:
    """Refuse what only this machine has.

    Args:
        config: the resolved sweep.
        shared: the user says that local paths are on a file system which every node sees.
        upload: local data will be put into the store.

    Raises:
        RequestInvalid: with every such path.
    """
    problems = []
    if IN_MEMORY in config.data.sources:
        problems.append(f"data.source: {IN_MEMORY} is a table in this process: write it to a file first")
    if not shared:
        problems += list(_local_problems(config, upload=upload))
    if problems:
        raise RequestInvalid(
            "the cluster does not see this machine's files: " + "; ".join(problems), problems=tuple(problems)
        )


def uploaded(config: SweepConfig, say: Callable[[str], None]) -> SweepConfig:
    """The sweep over copies of its local data in the store, by their content: the same files have the same addresses.

    Args:
        config: whose `export.to` is an `s3://` address.
        say: gets a sentence for each file that is put.

    Raises:
        RequestInvalid: two files cannot be told apart, or data lie on another server besides.
        StorageFailed: the store does not take them.
    """
    local = [source for source in config.data.sources if not source.startswith(S3_SCHEME)]
    if not local:
        return config
    elsewhere = len(local) < len(config.data.sources) and config.data_s3 != config.export.s3
    if elsewhere:
        raise RequestInvalid(
            "--upload-data: data.source names files here and on the server of data.s3, but what is uploaded lies on "
            "that of export.s3: name all files here, or all there"
        )
    store = open_store(config.export.to, config.export.s3, policy=PATIENT)
    files = {path: _key_of(path) for path in _files(local, config.data.format)}
    addresses = [store.address(key) for key in files.values()]
    _refuse_twice(addresses)
    for path, key in files.items():
        _put(store, path, key, say)
    kept = [source for source in config.data.sources if source.startswith(S3_SCHEME)]
    every = (*kept, *sorted(addresses))
    data = config.data.model_copy(update={"source": every[0] if len(every) == 1 else every, "s3": None})
    return config.model_copy(update={"data": data})


def absolute(config: SweepConfig) -> SweepConfig:
    """The sweep with its local paths as they are from any folder; addresses stay."""
    confirm, export = config.confirm, config.export
    production = confirm.production
    if production is not None and not production.startswith(S3_SCHEME):
        confirm = confirm.model_copy(update={"production": str(Path(production).absolute())})
    if not export.to.startswith(S3_SCHEME):
        export = export.model_copy(update={"to": str(Path(export.to).absolute())})
    return config.model_copy(update={"confirm": confirm, "export": export})


def _local_problems(config: SweepConfig, *, upload: bool) -> Iterable[str]:
    if not config.export.to.startswith(S3_SCHEME):
        yield (
            f"export.to: {config.export.to} would be lost with the node that it is on: give s3://bucket/prefix, or "
            f"{_SHARED}"
        )
    for source in config.data.sources:
        if not upload and source != IN_MEMORY and not source.startswith(S3_SCHEME):
            yield (
                f"data.source: {source} is on this machine: copy it to s3://, let --upload-data put it below "
                f"export.to, or {_SHARED}"
            )
    production = config.confirm.production
    if production is not None and not production.startswith(S3_SCHEME):
        yield f"confirm.production: {production} is on this machine: give the s3:// address of the bundle, or {_SHARED}"
    if config.export.sign is not None:
        yield (
            f"export.sign: {config.export.sign} is on this machine, and a key is never sent: where every node has it "
            "under this path, such as from a Kubernetes Secret, say --shared-paths"
        )
    for section, s3 in (("data.s3", config.data_s3), ("export.s3", config.export.s3)):
        if s3.ca_bundle is not None and (section == "export.s3" or s3 != config.export.s3):
            yield (
                f"{section}.ca_bundle: {s3.ca_bundle} is on this machine: set AWS_CA_BUNDLE here and on the nodes "
                f"instead, or {_SHARED}"
            )


def _files(sources: Iterable[str], declared: str | None) -> list[Path]:
    from raysweep.stages.source.addresses import FileReach, find_files

    return [Path(file.address) for file in find_files(tuple(sources), FileReach(), declared)]


def _key_of(path: Path) -> str:
    """Where a file is put: the same content under the same name has the same place."""
    try:
        with path.open("rb") as file:
            return f"{UPLOADS}{hashlib.file_digest(file, 'sha256').hexdigest()}/{path.name}"
    except OSError as error:
        raise StorageFailed(f"data.source: {path} cannot be read: {error.strerror}") from error


def _put(store: Store, path: Path, key: str, say: Callable[[str], None]) -> None:
    size = path.stat().st_size
    if any(one.key == key and one.size_bytes == size for one in store.list(key)):
        say(f"{path} is in the store already: {store.address(key)}")
        return
    say(f"{path} ({size:,} bytes) is put to {store.address(key)}")
    store.put_if_absent(key, path)


def _refuse_twice(addresses: list[str]) -> None:
    twice = sorted({one for one in addresses if addresses.count(one) > 1})
    if twice:
        raise RequestInvalid(
            f"--upload-data: two files of data.source have the same name and content ({twice[0]}): their rows would be "
            "read once only; rename one, or leave it out"
        )
