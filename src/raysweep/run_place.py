"""Where a run lives: its place in the store, its journal, its private folder here; and how a run is gone on with."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from raysweep.bundle.locate import open_run, resume_command
from raysweep.config import S3Config, SweepConfig, load_config
from raysweep.errors import NotFound, RequestInvalid, StorageFailed
from raysweep.events import Listener, Said
from raysweep.history import (
    PUBLISHING,
    History,
    check_changes,
    check_same_request,
    differences,
    lineage_record,
    publishing_record,
    sweep_record,
)
from raysweep.records.manifest import MANIFEST_FILE
from raysweep.runtime.run_folder import RunFolder, check_run_id, new_run_id
from raysweep.runtime.run_note import RunNote, write_note
from raysweep.stages.export.publish import Claim
from raysweep.storage.abilities import check_abilities
from raysweep.storage.epochs import last_epoch, this_driver
from raysweep.storage.open_store import open_store
from raysweep.storage.retry import PATIENT
from raysweep.storage.run_journal import RunJournal, begin_epoch, read_run_journal
from raysweep.storage.store import Store


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run that is to be gone on with.

    Attributes:
        history: what it has recorded.
        lineage: its `<run id>@sha256:<of its manifest>` where it is published: a new run then starts from its records.
            Empty for a run that has not finished, which goes on in its own place.
    """

    history: History
    lineage: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A run's own place, known to be writable.

    Attributes:
        history: what the run, or the one that it starts from, has recorded so far.
        lineage: as in `Earlier`.
        lacks: what the place cannot do, but a sweep can do without; a sentence each.
    """

    store: Store
    run_id: str
    history: History = field(repr=False)
    lineage: str = ""
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What `resume` asks a sweep for."""

    config: SweepConfig
    run_id: str
    earlier: Earlier


def plan_resume(run: str | Path, overrides: Sequence[str], run_id: str | None, s3: S3Config | None) -> Plan:
    """What a run was asked, out of its journal, with what is to change.

    Args:
        run: a path, an address, or an id below `runs/`.
        overrides: `path=value` assignments.
        run_id: the id of the new run, where `run` is published; None makes one.
        s3: how to reach an `s3://` address; the AWS environment, and then what the run itself says, when None.

    Raises:
        NotFound: there is no such run, or it has recorded nothing.
        RequestInvalid: something would change that must not, or a run that goes on should get another id.
    """
    settings = S3Config() if s3 is None else s3
    store = open_store(open_run(run, s3).address(), settings, policy=PATIENT)
    history = read_history(store)
    recorded = history.config()
    place, _, name = store.address().rstrip("/").rpartition("/")
    if recorded is None:
        again = "start a new run with `raysweep run SWEEP`"
        if not store.exists(MANIFEST_FILE):
            again = f"start it again with `raysweep run SWEEP --run {name}`"
        raise NotFound(
            f"{store.address()} has no journal that says what was asked, so that nothing can be gone on with: {again}"
        )
    given = {} if s3 is None else {name: getattr(s3, name) for name in s3.model_dump(exclude_defaults=True)}
    export = recorded.export.model_copy(update={"to": place, "s3": recorded.export.s3.model_copy(update=given)})
    before = recorded.model_copy(update={"export": export})
    config = load_config(before, overrides=overrides)
    check_changes(before, config)
    if store.exists(MANIFEST_FILE):
        new_id = new_run_id(config.name, datetime.now(UTC)) if run_id is None else run_id
        sha256 = hashlib.sha256(store.get(MANIFEST_FILE)).hexdigest()
        return Plan(config, new_id, Earlier(history, lineage_record(name, sha256)["of"]))
    if run_id not in {None, name}:
        raise RequestInvalid(
            f"{store.address()} has not finished: it goes on in its own place, and keeps its id; leave --run out"
        )
    return Plan(config, name, Earlier(history))


def read_history(store: Store) -> History:
    """What a run has recorded so far."""
    return History(tuple(read_run_journal(store)), last_epoch(store))


def reserve(config: SweepConfig, run_id: str, earlier: Earlier | None) -> Place:
    """The run's place, known to be writable before anything is computed, and to hold nothing of another run.

    Raises:
        RequestInvalid: it is published already, or was asked something else.
        StorageFailed: it cannot be written.
    """
    check_run_id(run_id)
    try:
        lacks = check_abilities(open_store(config.export.to, config.export.s3))
    except StorageFailed as error:
        raise StorageFailed(f"export.to: {config.export.to} cannot be written: {error}") from error
    store = open_store(config.export.to, config.export.s3, policy=PATIENT).child(run_id)
    return replace(_place(store, config, run_id, earlier), lacks=lacks)


def _place(store: Store, config: SweepConfig, run_id: str, earlier: Earlier | None) -> Place:
    if store.exists(MANIFEST_FILE):
        raise _published(store, config)
    if earlier is not None and not earlier.lineage:
        return Place(store, run_id, earlier.history)
    found = read_history(store)
    if earlier is not None:
        if not found.records:
            return Place(store, run_id, History(earlier.history.records, found.epochs), earlier.lineage)
        if found.lineage[-1:] != (earlier.lineage,):
            raise RequestInvalid(
                f"{store.address()} belongs to another run: choose another run id (--run), or go on with that one: "
                f"`{resume_command(store.address(), config)}`"
            )
    before = found.config()
    if before is not None:
        check_same_request(before, config, store.address())
    return Place(store, run_id, found)


def begin(place: Place, config: SweepConfig, folder: RunFolder, tell: Listener) -> tuple[RunJournal, History]:
    """Claim the run for this driver, and write down what is asked.

    Returns:
        The journal to write to, and all that is in it so far.

    Raises:
        RequestInvalid: another run has begun here, or the run was published meanwhile.
        RunTakenOver: another driver has gone on with it meanwhile.
    """
    store, owner = place.store, this_driver(place.run_id, place.history.epochs + 1)

    def say(sentence: str) -> None:
        tell(Said(sentence))

    for sentence in place.lacks:
        say(sentence)
    s3 = config.export.s3.model_dump(mode="json", exclude_defaults=True)
    write_note(folder.path, RunNote(place.run_id, store.address(), s3, (owner.nonce,), counts_before=False))
    journal, records = begin_epoch(store, owner, folder.path, _beginning(place, config), say=say)
    with _closed_on_error(journal):
        if store.exists(MANIFEST_FILE):
            raise _published(store, config)
        history = History(records, owner.epoch)
        if _is_news(history, place.run_id, config):
            journal.append(sweep_record(place.run_id, config))
        journal.flush()  # from now on `resume` knows what was asked
        say(_what_it_is(place, history, config))
    return journal, history


def claim_by(journal: RunJournal, leftovers: Collection[str]) -> Claim:
    """By which a driver publishes: the whole journal is put, and nobody has taken the run over."""

    def check_ours() -> None:
        journal.flush()
        journal.check_ours()

    def announce(files: Collection[str]) -> None:
        journal.append(publishing_record(files))

    return Claim(check_ours, announce, leftovers)


def _what_it_is(place: Place, history: History, config: SweepConfig) -> str:
    address, now = place.store.address(), version("raysweep")
    if history.asked is not None and not place.lineage:
        begun = history.asked["raysweep"]
        other = f", which raysweep {begun} began: this is {now}" if begun != now else ""
        return f"goes on with the run {address}{other}"
    from_what = f"starts from what {place.lineage.partition('@')[0]} has tried; " if place.lineage else ""
    return f"{from_what}after a crash, `{resume_command(address, config)}` goes on with this run"


def _beginning(place: Place, config: SweepConfig) -> list[Mapping[str, Any]]:
    """What the journal of a run begins with that starts from the records of another one; nothing for any other."""
    if not place.lineage:
        return []
    theirs = (record for record in place.history.records if record.get("event") != PUBLISHING)
    return [{"event": "lineage", "of": place.lineage}, *theirs, sweep_record(place.run_id, config)]


@contextlib.contextmanager
def _closed_on_error(journal: RunJournal) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        journal.__exit__(type(error), error, None)
        raise


def _is_news(history: History, run_id: str, config: SweepConfig) -> bool:
    """Whether this is not what the journal says already."""
    before = history.config()
    if before is None or history.asked is None or history.asked["run_id"] != run_id:
        return True
    return bool(differences(before, config))


def _published(store: Store, config: SweepConfig) -> RequestInvalid:
    more = resume_command(store.address(), config, "search.trials=...")
    return RequestInvalid(
        f"{store.address()} is published already: choose another run id (--run), or start from what it has tried, with "
        f"more budget or a wider space, by `{more}`"
    )
