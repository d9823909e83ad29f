"""What an S3-compatible server can do beside storing: tried once for each bucket and process, with one tiny object."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from typing import Final

from raysweep.config import EncryptionConfig
from raysweep.errors import NotFound, StorageFailed
from raysweep.storage.s3_answers import AccessDenied, ConditionNotMet, NoAnswer, NotOffered
from raysweep.storage.s3_upload import Target, Upload, measured, upload
from raysweep.storage.store import Traits, TransientStorageFailure

_CONTENT: Final = b"raysweep looks what can be done here; this may be deleted\n"
_WRONG_ETAG: Final = '"00000000000000000000000000000000"'
_TURNS: Final = 3

_Place = tuple[str, str, EncryptionConfig | None]
_known: dict[_Place, Traits] = {}
_locks: dict[_Place, threading.Lock] = {}  # one a place: a silent server keeps nobody from another one
_lock = threading.Lock()


def traits_at(target: Target) -> Traits:
    """The traits of the server and bucket of `target`, an object that is made for it and deleted.

    Raises:
        StorageFailed: nothing can be put there.
    """
    place = (target.client.meta.endpoint_url, target.bucket, target.connection.settings.encryption)
    with _lock:
        at_this_place = _locks.setdefault(place, threading.Lock())
    with at_this_place:
        if place not in _known:
            _known[place] = _find_out(target)
        return _known[place]


def forget() -> None:
    """Ask every server again, as a new process would."""
    with _lock:
        _known.clear()


def _find_out(target: Target) -> Traits:
    asked = target.connection.settings.encryption
    try:
        unencrypted = _put_first(target, asked)
    except (NoAnswer, AccessDenied):  # nothing was put, or nobody answers who could delete it
        raise
    except StorageFailed:
        _remove(target)
        raise
    try:
        used = None if unencrypted else asked
        return Traits(
            if_absent=_holds_to(target, {"IfNoneMatch": "*"}, used),
            if_match=_holds_to(target, {"IfMatch": _WRONG_ETAG}, used),
            encryption="" if asked is None else asked.kind,
            unencrypted=unencrypted,
        )
    finally:
        _remove(target)


def _remove(target: Target) -> None:
    with suppress(StorageFailed, NotFound), target.connection.translated(target.address):
        target.client.delete_object(Bucket=target.bucket, Key=target.name)


def _put_first(target: Target, asked: EncryptionConfig | None) -> str:
    """Put something at all; why the server does not encrypt as it was asked, empty where it does."""
    try:
        return _difference(asked, upload(_tiny(asked), target))
    except NoAnswer:
        raise
    except StorageFailed:
        if asked is None:
            raise
    upload(_tiny(None), target)  # what is wrong without it, too, is told as that
    return _try_for_long(target, asked)


def _try_for_long(target: Target, asked: EncryptionConfig) -> str:
    """Why an encrypted object is not taken while a plain one is: some servers answer 500 where they lack the key."""
    for turn in range(_TURNS):
        try:
            return _difference(asked, upload(_tiny(asked), target))
        except TransientStorageFailure as error:
            if turn == _TURNS - 1:
                return f"the server fails at it ({error})"
        except StorageFailed as error:
            return f"the server refuses it ({error})"
    raise AssertionError("the last turn returns")


def _difference(asked: EncryptionConfig | None, applied: str) -> str:
    if asked is None or applied == asked.kind or (asked.kind == "AES256" and applied.startswith("aws:kms")):
        return ""
    return f"the server ignores it, and says that it has applied {applied or 'none'}"


def _holds_to(target: Target, condition: dict[str, str], encryption: EncryptionConfig | None) -> bool:
    """Whether a condition that is not met makes the server refuse; some know none (501), and some overlook it."""
    try:
        upload(_tiny(encryption), target, condition)
    except ConditionNotMet:
        return True
    except NotOffered:
        return False
    return False


def _tiny(encryption: EncryptionConfig | None) -> Upload:
    return measured(io.BytesIO(_CONTENT), None, encryption)
