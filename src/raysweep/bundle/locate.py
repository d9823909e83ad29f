"""From what a user calls a run or bundle to the store it is in, and back."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.config import IN_MEMORY, S3Config, SweepConfig
from raysweep.documents import suggest
from raysweep.errors import BundleRefused, NotFound, RequestInvalid
from raysweep.records.alias import ALIAS_NAMES, Alias, AliasName, alias_key, read_alias_bytes
from raysweep.records.manifest import JOURNAL_FOLDER, MANIFEST_FILE, Manifest, read_manifest_bytes
from raysweep.storage.open_store import open_store
from raysweep.storage.store import Store

SUBMITTED = "RAYSWEEP_SUBMITTED"  # in the environment of a job that `raysweep submit` has sent
SUBMIT_AGAIN = ("submit", "--resume")
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_MAX_ALIAS_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FoundAlias:
    """An alias as it was read; `etag` as in `Store.fetch`."""

    alias: Alias
    etag: str


def open_run(run: str | Path, s3: S3Config | None = None, *, home: str = "runs") -> Store:
    """The store of a run: a path, an `s3://` address, an id below `runs/`, or an alias such as `runs@production`.

    Raises:
        NotFound: there is nothing.
        BundleRefused: the bundle that an alias names is another one by now.
    """
    text = str(run)
    place, _, alias = text.rpartition("@")
    for name in ALIAS_NAMES:
        if alias == name and (text.startswith("s3://") or not Path(text).exists()):
            return _follow(open_store(place.rstrip("/") or home, s3 or S3Config()), name)
    if text.startswith("s3://"):
        return open_store(text.rstrip("/"), s3 or S3Config())
    folder = Path(text)
    if folder.name == MANIFEST_FILE:
        folder = folder.parent
    if not folder.is_dir() and (Path(home) / text).is_dir():
        folder = Path(home) / text
    if not folder.is_dir():
        siblings = folder.parent if len(folder.parts) > 1 else Path(home)
        known = [entry.name for entry in siblings.iterdir()] if siblings.is_dir() else []
        raise NotFound(f"there is no run {text}{suggest(folder.name, known)}")
    if any(part in {"..", "."} for part in folder.parts) or not folder.name:  # the run's id is the folder's name
        folder = folder.resolve()
    return open_store(str(folder), S3Config())


def parent_of(store: Store, s3: S3Config | None) -> Store:
    """Where the bundles stand beside one another of which `store` is one.

    Raises:
        RequestInvalid: it stands beside none: at the root of a bucket, or within another bundle.
    """
    address = store.address().rstrip("/")
    place = address.rpartition("/")[0]
    beside = None if place in {"", "s3:/", "s3:"} else open_store(place, s3 or S3Config())
    if beside is None or beside.exists(MANIFEST_FILE):
        raise RequestInvalid(f"{address} is no folder of a bundle: aliases stand beside the folders of bundles")
    return beside


def read_alias(beside: Store, alias: AliasName) -> FoundAlias:
    """An alias of the bundles below `beside`.

    Raises:
        NotFound: it was never moved anywhere.
        BundleRefused: it cannot be read.
    """
    key = alias_key(alias)
    sizes = {one.key: one.size_bytes for one in beside.list(key)}
    if key not in sizes:
        raise NotFound(
            f"nothing in {beside.address()} is {alias} yet: `raysweep promote BUNDLE --alias {alias}` changes that"
        )
    address, way_out = beside.address(key), "restore it from a copy, or delete it and promote again"
    if sizes[key] > _MAX_ALIAS_BYTES:
        raise BundleRefused(f"{address} is {sizes[key]:,} bytes large, and no alias: {way_out}")
    found = beside.fetch(key)
    try:
        document = read_alias_bytes(found.content, alias)
    except ValueError as error:
        raise BundleRefused(f"{address} cannot be read: {error}; {way_out}") from error
    return FoundAlias(document, found.etag)


def _follow(beside: Store, alias: AliasName) -> Store:
    now = read_alias(beside, alias).alias.now
    store = beside.child(now.run_id)
    if not store.exists(MANIFEST_FILE):
        raise NotFound(f"{alias} of {beside.address()} is {store.address()}, which is no bundle any more")
    if hashlib.sha256(store.get(MANIFEST_FILE)).hexdigest() != now.manifest_sha256:
        raise BundleRefused(
            f"{store.address()} is not the bundle that became {alias} at {now.at}: its manifest is another. Look at it "
            f"by `raysweep verify {store.address()}`, and promote the one that is meant"
        )
    return store


def resume_command(address: str, config: SweepConfig, *changes: str, command: Sequence[str] | None = None) -> str:
    """What a user types to go on with the run at this address, from wherever that is.

    In a submitted job that is the submission again: typed anywhere else, a resume would run there.

    Args:
        address: of the run.
        config: what it was asked.
        changes: `path=value` assignments.
        command: that takes the address; None: as it is where this process runs.
    """
    if config.data.source == IN_MEMORY:
        more = f", overrides={list(changes)}" if changes else ""
        return f"raysweep.resume({address!r}, data=frame{more})"
    endpoint = config.export.s3.endpoint_url if address.startswith("s3://") else None
    here = SUBMIT_AGAIN if os.environ.get(SUBMITTED) else ("resume",)
    words = ["raysweep", *(command or here), address, *(["--s3-endpoint", endpoint] if endpoint else [])]
    return shlex.join([*words, *(word for change in changes for word in ("--set", change))])


def read_manifest(store: Store) -> Manifest:
    """The manifest of a published bundle.

    Raises:
        NotFound: the folder holds no bundle, or one that is not finished.
        BundleRefused: the manifest cannot be read.
    """
    sizes = {one.key: one.size_bytes for one in store.list(MANIFEST_FILE)}
    if MANIFEST_FILE not in sizes:
        begun = store.list(JOURNAL_FOLDER)
        hint = ": the run has not finished" if begun else ""
        raise NotFound(f"{store.address()} holds no {MANIFEST_FILE}{hint}; it is not a published bundle")
    if sizes[MANIFEST_FILE] > MAX_MANIFEST_BYTES:
        raise BundleRefused(f"{store.address(MANIFEST_FILE)} is {sizes[MANIFEST_FILE]:,} bytes large: not a manifest")
    try:
        return read_manifest_bytes(store.get(MANIFEST_FILE))
    except ValueError as error:
        raise BundleRefused(f"{store.address(MANIFEST_FILE)} cannot be read: {error}") from error
