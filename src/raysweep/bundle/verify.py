"""Is a bundle whole, unchanged, signed, and does its model still predict what it did?"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from raysweep.bundle.bounded import MAX_GOLDEN_ROWS, read_table
from raysweep.bundle.folder_entries import strange_entries
from raysweep.bundle.locate import MAX_MANIFEST_BYTES, read_manifest
from raysweep.bundle.signing import SIGNATURE_BYTES, is_signed_by
from raysweep.bundle.versions import other_versions
from raysweep.documents import canonical_json, plain_record
from raysweep.errors import BundleRefused, NotFound, RequestInvalid
from raysweep.records.manifest import (
    GOLDEN_FILE,
    JOURNAL_FOLDER,
    MANIFEST_FILE,
    SIGNATURE_FILE,
    SUMS_FILE,
    Artifact,
    Manifest,
    SigningRecord,
)
from raysweep.records.sums import parse_sums
from raysweep.storage.store import Store
from raysweep.training.agreement import gap, ordinary_rows

TOLERANCE: Final = 1e-6
SHARED_KEYS: Final = "split: keys"
PREDICTIONS: Final = f"{GOLDEN_FILE} (predictions)"


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """One thing that was looked at.

    Attributes:
        problem: empty where it is as it should be.
        said: what is worth knowing where it is.
    """

    path: str
    ok: bool
    problem: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found.

    Attributes:
        rows: a line for each file of the bundle.
        split: a line for the table that was compared, and for each part of it; nothing where none was given.
        notes: what is no fault of the bundle: other versions of packages here, a signature that could not be checked.
    """

    url: str
    rows: tuple[VerifiedFile, ...]
    split: tuple[VerifiedFile, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """A line for each thing that is wrong."""
        return tuple(f"{row.path}: {row.problem}" for row in (*self.rows, *self.split) if not row.ok)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def is_whole(self) -> bool:
        """Whether the bundle itself is as it was published, whatever the table is."""
        return all(row.ok for row in self.rows)

    @property
    def is_other_table(self) -> bool:
        """Whether the table is not the one that the sweep was about."""
        return any(not row.ok and row.path != SHARED_KEYS for row in self.split)

    def to_document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "url": self.url,
            "ok": self.ok,
            "files": plain_record(self.rows),
            "split": plain_record(self.split),
            "notes": list(self.notes),
            "problems": list(self.problems),
        }


def verify_bundle(store: Store, key: SigningRecord | None = None) -> Verification:
    """Check every hash and size, that nothing is missing or added, the signature and the golden predictions.

    Args:
        store: of the bundle.
        key: the public key that the manifest must be signed by; None: any, or none.

    Raises:
        NotFound: there is no bundle.
    """
    try:
        manifest = read_manifest(store)
    except BundleRefused as error:
        return Verification(store.address(), (VerifiedFile(MANIFEST_FILE, ok=False, problem=str(error)),))
    present = {one.key: one.size_bytes for one in store.list()}
    rows = [_check_file(store, artifact, present) for artifact in manifest.artifacts]
    are_files_whole = all(row.ok for row in rows)
    content = store.get(MANIFEST_FILE)
    rows += _check_sums(store, manifest, content, present)
    rows += _find_strangers(store, manifest, present)
    signature, notes = _check_signature(store, manifest, content, present, key)
    rows += signature
    if manifest.model is not None and GOLDEN_FILE not in {artifact.path for artifact in manifest.artifacts}:
        rows.append(_bad(GOLDEN_FILE, "is not in the manifest, though there is a model"))
    elif are_files_whole and manifest.model is not None:
        rows.append(_check_golden(store))
    return Verification(store.address(), tuple(rows), notes=(*notes, *other_versions(manifest)))


def _check_signature(
    store: Store, manifest: Manifest, content: bytes, present: dict[str, int], key: SigningRecord | None
) -> tuple[list[VerifiedFile], list[str]]:
    """A line about the signature, where there is or must be one; and what keeps it from being checked."""
    record, wanted = manifest.signing, "" if key is None else f"; --key wants sha256:{key.public_key_sha256}"
    if record is None:
        return ([] if key is None else [_bad(SIGNATURE_FILE, f"is not there: the manifest is not signed{wanted}")]), []
    if present.get(SIGNATURE_FILE) != SIGNATURE_BYTES:
        size = f"is {present.get(SIGNATURE_FILE, 0):,} bytes large: no signature"
        return [_bad(SIGNATURE_FILE, size if SIGNATURE_FILE in present else "is missing")], []
    name = f"sha256:{record.public_key_sha256}"
    try:
        is_good = is_signed_by(record, content, store.get(SIGNATURE_FILE))
    except RequestInvalid as error:
        return [], [f"the signature by the key {name} was not checked: {error}"]
    if not is_good:
        return [_bad(SIGNATURE_FILE, f"is no signature of this manifest by the key that it names, {name}")], []
    if key not in {None, record}:
        return [_bad(SIGNATURE_FILE, f"was made by another key, {name}{wanted}")], []
    return [VerifiedFile(SIGNATURE_FILE, ok=True, said=f"by the key {name}")], []


def _bad(path: str, problem: str) -> VerifiedFile:
    return VerifiedFile(path, ok=False, problem=problem)


def _check_file(store: Store, artifact: Artifact, present: dict[str, int]) -> VerifiedFile:
    path = artifact.path
    if path not in present:
        return VerifiedFile(path, ok=False, problem="is missing")
    if present[path] != artifact.size_bytes:
        words = f"is {present[path]:,} bytes large, the manifest says {artifact.size_bytes:,}"
        return VerifiedFile(path, ok=False, problem=words)
    try:
        found = sha256_of(store, path)
    except NotFound:
        return VerifiedFile(path, ok=False, problem="is missing")
    if found != artifact.sha256:
        return VerifiedFile(path, ok=False, problem="was changed: its sha256 is not the manifest's")
    return VerifiedFile(path, ok=True)


def sha256_of(store: Store, key: str) -> str:
    """The sha256 of an object, read through a file so that large ones fit."""
    with tempfile.TemporaryDirectory(prefix="raysweep-verify-") as folder:
        path = Path(folder) / "object"
        store.download(key, path)
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_sums(store: Store, manifest: Manifest, content: bytes, present: dict[str, int]) -> list[VerifiedFile]:
    if SUMS_FILE not in present:
        return [VerifiedFile(SUMS_FILE, ok=False, problem="is missing")]
    if present[SUMS_FILE] > MAX_MANIFEST_BYTES:
        return [_bad(SUMS_FILE, f"is {present[SUMS_FILE]:,} bytes large: no list of sums")]
    wanted = {artifact.path: artifact.sha256 for artifact in manifest.artifacts}
    wanted[MANIFEST_FILE] = hashlib.sha256(content).hexdigest()
    if manifest.signing is not None and SIGNATURE_FILE in present:
        wanted[SIGNATURE_FILE] = sha256_of(store, SIGNATURE_FILE)
    sums = store.get(SUMS_FILE)
    try:
        lines = parse_sums(sums)
    except ValueError:
        return [_bad(SUMS_FILE, "is not a text file")]
    listed = dict(lines)
    rows = []
    if listed.get(MANIFEST_FILE) != wanted[MANIFEST_FILE]:
        words = f"was changed: {SUMS_FILE} has another sha256 for it"
        rows.append(VerifiedFile(MANIFEST_FILE, ok=False, problem=words))
    elif canonical_json(json.loads(content)) != content:
        rows.append(_bad(MANIFEST_FILE, "is not in the form in which raysweep writes it: it was edited"))
    else:
        rows.append(VerifiedFile(MANIFEST_FILE, ok=True, said=f"written by raysweep {manifest.raysweep}"))
    wrong = sorted(path for path in wanted.keys() | listed.keys() if listed.get(path) != wanted.get(path))
    others = [path for path in wrong if path not in {MANIFEST_FILE, SIGNATURE_FILE} or path not in listed]
    problem = f"does not agree with the manifest about {', '.join(others[:5])}" if others else ""
    if len(lines) != len(listed) or not sums.endswith(b"\n"):
        problem = problem or "was changed: it has a line twice, or its end is missing"
    return [*rows, VerifiedFile(SUMS_FILE, ok=not problem, problem=problem)]


def _find_strangers(store: Store, manifest: Manifest, present: dict[str, int]) -> list[VerifiedFile]:
    known = {artifact.path for artifact in manifest.artifacts} | {MANIFEST_FILE, SUMS_FILE}
    known |= set() if manifest.signing is None else {SIGNATURE_FILE}
    strangers = sorted(key for key in present if key not in known and not key.startswith(JOURNAL_FOLDER))
    found = dict.fromkeys(strangers, "is not in the manifest: it was added later") | dict(strange_entries(store))
    return [_bad(key, problem) for key, problem in sorted(found.items())]


def _check_golden(store: Store) -> VerifiedFile:
    """The model on golden.parquet, in this environment."""
    from raysweep.bundle.load import open_model

    try:
        model = open_model(store)
        table = read_table(store, GOLDEN_FILE, MAX_GOLDEN_ROWS)
        features = pa.Table.from_struct_array(table.column("features").combine_chunks())
        wanted = np.asarray(table.column("prediction").to_pylist(), dtype=np.float64)
        found = model.raw_predictions(features)
        ordinary = ordinary_rows(table.column("row").to_pylist()) if "row" in table.column_names else None
        if not len(wanted):
            return _bad(GOLDEN_FILE, "holds no row")
        worst = float(np.max(gap(found, wanted, ordinary), initial=0.0))
    except (BundleRefused, NotFound, pa.ArrowException, ValueError, TypeError, LookupError, MemoryError) as error:
        return VerifiedFile(GOLDEN_FILE, ok=False, problem=f"cannot be predicted again: {error}")
    if not worst <= TOLERANCE:
        return _bad(GOLDEN_FILE, f"the model predicts otherwise than when it was published (by up to {worst:.3g})")
    said = f"{len(wanted):,} golden rows: {'identical' if worst == 0 else f'alike to {worst:.1g}'}"
    return VerifiedFile(PREDICTIONS, ok=True, said=said)
