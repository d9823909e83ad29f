"""Moving `candidate` and `production` from bundle to bundle: by compare-and-swap, only where the verdict allows it."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from raysweep.bundle.locate import FoundAlias, open_run, parent_of, read_alias, read_manifest
from raysweep.bundle.verify import verify_bundle
from raysweep.config import S3Config
from raysweep.documents import shorten, suggest
from raysweep.errors import AliasMoved, BundleRefused, NotFound, RequestInvalid
from raysweep.records.alias import ALIAS_NAMES, MAX_MOVES, MAX_REASON, Alias, AliasName, Move, alias_key
from raysweep.records.final_check import Verdict
from raysweep.records.manifest import MANIFEST_FILE, Manifest, SigningRecord
from raysweep.storage.secret_values import find_secrets, process_secrets
from raysweep.storage.store import Store

_UNCHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Promotion:
    """What came of a promotion.

    Attributes:
        bundle: its address.
        address: by which the alias is read, such as `runs@production`.
        before: where the alias was; None where it was nowhere.
        now: where it is.
        is_new: whether it was moved; False where it was there already.
    """

    alias: str
    bundle: str
    address: str
    before: Move | None
    now: Move
    is_new: bool

    def to_document(self) -> dict[str, object]:
        """As `--json` prints it."""
        return {
            "alias": self.alias,
            "bundle": self.bundle,
            "address": self.address,
            "moved": self.is_new,
            "before": None if self.before is None else self.before.model_dump(mode="json"),
            "now": self.now.model_dump(mode="json"),
        }


def promote_bundle(
    bundle: str | Path,
    alias: str,
    s3: S3Config | None = None,
    *,
    force: bool = False,
    reason: str | None = None,
    key: SigningRecord | None = None,
) -> Promotion:
    """Let an alias be this bundle, if nobody else moves it meanwhile.

    Args:
        bundle: as in `open_run`.
        alias: candidate or production.
        force: also where the verdict does not allow use; wants a reason.
        reason: why; it is written down.
        key: the public key that the bundle must be signed by.
        s3: how to reach an S3-compatible server.

    Raises:
        NotFound: there is no bundle.
        BundleRefused: it does not verify, holds no model, or its verdict does not allow use.
        RequestInvalid: there is no such alias, or no reason is given where one is wanted.
        AliasMoved: somebody else has moved the alias meanwhile; it stays where they put it.
        ConditionalWritesMissing: the store cannot move anything safely.
    """
    name = _known(alias)
    _check_reason(reason, force=force)
    store = open_run(bundle, s3)
    found = verify_bundle(store, key)
    if not found.ok:
        problems = found.problems
        raise BundleRefused(f"{found.url} is not as it was published: it cannot be {alias}", problems=problems)
    manifest = read_manifest(store)
    move = _move(store, manifest, force=force, reason=reason)
    beside = parent_of(store, s3)
    address = f"{beside.address().rstrip('/')}@{alias}"
    before = _find(beside, name)
    was = None if before is None else before.alias.now
    if was is not None and (was.run_id, was.manifest_sha256) == (move.run_id, move.manifest_sha256):
        return Promotion(alias, found.url, address, was, was, is_new=False)
    if not _put(beside, name, before, move):
        raise _moved(beside, name, move)
    return Promotion(alias, found.url, address, was, move, is_new=True)


def _find(beside: Store, alias: AliasName) -> FoundAlias | None:
    try:
        return read_alias(beside, alias)
    except NotFound:
        return None


def _put(beside: Store, alias: AliasName, before: FoundAlias | None, move: Move) -> bool:
    """Whether this move is the one that follows on what was read."""
    earlier = () if before is None else before.alias.moves
    content = Alias(alias=alias, moves=(*earlier, move)[-MAX_MOVES:]).to_bytes()
    if before is None:
        return beside.put_if_absent(alias_key(alias), content)
    return beside.put_if_match(alias_key(alias), content, before.etag)


def _known(alias: str) -> AliasName:
    for name in ALIAS_NAMES:
        if alias == name:
            return name
    known = " and ".join(ALIAS_NAMES)
    raise RequestInvalid(f"there is no alias {shorten(alias)!r}{suggest(alias, ALIAS_NAMES)}: there are {known}")


def _check_reason(reason: str | None, *, force: bool) -> None:
    if force and not (reason or "").strip():
        raise RequestInvalid("--force wants --reason: why may a model be used that the final check does not allow?")
    if reason is not None and len(reason) > MAX_REASON:
        raise RequestInvalid(f"--reason is {len(reason):,} characters long; {MAX_REASON:,} are kept: say it shorter")
    for _, name in find_secrets(reason, process_secrets()):
        raise RequestInvalid(f"--reason holds the value of the environment variable {name}, and would be written down")


def _move(store: Store, manifest: Manifest, *, force: bool, reason: str | None) -> Move:
    address = store.address()
    if manifest.model is None:
        why = manifest.without_model or f"its sweep ended with {manifest.outcome!r}"
        raise BundleRefused(f"{address} holds no model: {why}")
    check = manifest.final_check
    verdict = _UNCHECKED if check is None else check.verdict
    is_allowed = check is not None and Verdict(check.verdict).allows_use
    if not is_allowed and not force:
        reasons = () if check is None else check.reasons
        raise BundleRefused(
            f"{address}: the final check found the model {verdict}. If it shall be used all the same: --force --reason "
            "'why', which is recorded",
            problems=reasons,
        )
    return Move(
        run_id=address.rstrip("/").rpartition("/")[2],
        manifest_sha256=hashlib.sha256(store.get(MANIFEST_FILE)).hexdigest(),
        verdict=verdict,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        by=_who(),
        forced=not is_allowed,
        reason=reason,
    )


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without a user database
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _moved(beside: Store, alias: AliasName, move: Move) -> AliasMoved:
    found = _find(beside, alias)
    where = "it was deleted"
    if found is not None:
        now = found.alias.now
        where = f"it is {now.run_id} now, moved by {now.by} at {now.at}"
    return AliasMoved(
        f"{alias} of {beside.address()} was moved by somebody else at the same time: {where}. It was left there; if it "
        f"shall be {move.run_id}, promote again"
    )
