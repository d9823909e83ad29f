"""A finished bundle that could not be published, or whose driver died over it: found on this machine, and put."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from raysweep.config import S3Config
from raysweep.errors import NotFound, RequestInvalid, RunTakenOver, StorageFailed
from raysweep.events import Listener, Said
from raysweep.history import History
from raysweep.records.manifest import MANIFEST_FILE
from raysweep.run_place import claim_by
from raysweep.runtime.run_folder import RunFolder, runs_folder, take_left
from raysweep.runtime.run_note import NOTE_FILE, RunNote, read_note, write_note
from raysweep.stages.export.publish import is_whole, publish, refuse_secrets
from raysweep.storage.epochs import last_epoch, read_owner, this_driver
from raysweep.storage.open_store import open_beside
from raysweep.storage.retry import PATIENT
from raysweep.storage.run_journal import begin_epoch
from raysweep.storage.secret_values import process_secrets
from raysweep.storage.store import S3_SCHEME, Store


def publish_left(run: str | Path, s3: S3Config | None, tell: Listener) -> Store | None:
    """Publish the whole bundle of this run that is left on this machine; nothing is computed again.

    Args:
        run: a folder, an `s3://` address, or the id of the run.
        s3: how to reach the store, over what the run itself was told.
        tell: gets what is done.

    Returns:
        The run's place; None where no such bundle is left, or another driver has gone on with the run since.

    Raises:
        RequestInvalid: the id is that of bundles for more than one place.
        RunTakenOver: another driver goes on with the run meanwhile.
        StorageFailed: the store does not take it; it stays where it is.
    """
    for path in _meant(str(run)):
        folder = take_left(path)
        if folder is None:
            continue
        with _given_back(folder):
            note = read_note(path)
            if note is not None and note.counts_before and not is_whole(folder.outgoing):
                folder.take_back()
            if note is None or not is_whole(folder.outgoing):
                continue
            store = open_beside(note.address, _settings(note, s3), policy=PATIENT)
            with _kept(folder, note):
                if _publish(folder, note, store, tell):
                    folder.remove()
                    return store
            folder.remove_what_is_fenced_off()
    return None


def _meant(run: str) -> list[Path]:
    """The folders that `run` may name: by its place, or, where no folder has that name, by its id."""
    notes = {path.parent: read_note(path.parent) for path in sorted(runs_folder().glob(f"*/{NOTE_FILE}"))}
    found = {path: note for path, note in notes.items() if note is not None}
    text = run.rstrip("/")
    places = [Path(text).expanduser(), Path("runs") / text]
    addresses = {text} if text.startswith(S3_SCHEME) else {str(place.absolute()) for place in places}
    exactly = [path for path, note in found.items() if note.address in addresses]
    if exactly or any(place.is_dir() for place in places):
        return exactly
    by_id = {path: note.address for path, note in found.items() if note.run_id == text}
    if len(set(by_id.values())) > 1:
        raise RequestInvalid(
            f"{run} is the id of runs in {' and in '.join(sorted(set(by_id.values())))}: name one of them"
        )
    return list(by_id)


def _settings(note: RunNote, s3: S3Config | None) -> S3Config:
    before = S3Config.model_validate(dict(note.s3))
    given = {} if s3 is None else {name: getattr(s3, name) for name in s3.model_dump(exclude_defaults=True)}
    return before.model_copy(update=given)


def _publish(folder: RunFolder, note: RunNote, store: Store, tell: Listener) -> bool:
    """Put it; False where another driver has gone on with the run since."""
    if _stands_there(store, folder):  # only its driver did not live to hear of it
        return True
    last = last_epoch(store)
    owner = read_owner(store, last)
    is_ours = last == 0 or (owner is not None and owner.nonce in note.owners)
    if not is_ours or store.exists(MANIFEST_FILE):
        tell(Said(f"another driver has gone on with {note.address} since: the bundle left in {folder.path} is not put"))
        return False
    tell(Said(f"the finished bundle that was left in {folder.outgoing} is published; nothing is computed again"))
    me = this_driver(note.run_id, last + 1)
    write_note(folder.path, replace(note, owners=(*note.owners, me.nonce)))
    journal, records = begin_epoch(store, me, folder.path, say=lambda sentence: tell(Said(sentence)))
    with journal:
        refuse_secrets(folder.outgoing, process_secrets())
        publish(folder.outgoing, store, claim_by(journal, History(records, me.epoch).announced))
    return True


def _stands_there(store: Store, folder: RunFolder) -> bool:
    try:
        return store.get(MANIFEST_FILE) == (folder.outgoing / MANIFEST_FILE).read_bytes()
    except NotFound:
        return False


@contextlib.contextmanager
def _kept(folder: RunFolder, note: RunNote) -> Iterator[None]:
    """Say where the bundle is, and how it is published, where the store fails."""
    try:
        yield
    except RunTakenOver:
        folder.remove_what_is_fenced_off()
        raise
    except StorageFailed as error:
        raise StorageFailed(
            f"{error}. The finished bundle stays in {folder.outgoing}: `raysweep resume {note.address}` publishes it"
        ) from error


@contextlib.contextmanager
def _given_back(folder: RunFolder) -> Iterator[None]:
    try:
        yield
    finally:
        folder.remove_what_is_private()  # keeps a whole bundle
