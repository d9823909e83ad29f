"""What an S3-compatible server can do beside storing: tried once for each bucket and process, with one tiny object."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from typing import Final

from raysweep.config import EncryptionConfig
from raysweep.errors import NotFound, StorageFailed
from raysweep.storage.s3_answers import ConditionNotMet, NotOffered
from raysweep.storage.s3_upload import Target, Upload, measured, upload
from raysweep.storage.store import Traits, TransientStorageFailure

_CONTENT: Final = b"raysweep looks what can be done here; this may be deleted\n"
_WRONG_ETAG: Final = '"00000000000000000000000000000000"'

_Place = tuple[str, str, EncryptionConfig | None]
_known: dict[_Place, Traits] = {}
_lock = threading.Lock()


def traits_at(target: Target) -> Traits:
    """The traits of the server and bucket of `target`, an object that is made for it and deleted.

    Raises:
        StorageFailed: nothing can be put there.
    """
    place = (target.client.meta.endpoint_url, target.bucket, target.connection.settings.encryption)
    with _lock:
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
        wants_md5, unencrypted = _put_first(target, asked)
        used = None if unencrypted else asked
        return Traits(
            if_absent=_holds_to(target, {"IfNoneMatch": "*"}, used, with_md5=wants_md5),
            if_match=_holds_to(target, {"IfMatch": _WRONG_ETAG}, used, with_md5=wants_md5),
            encryption="" if asked is None else asked.kind,
            unencrypted=unencrypted,
            wants_md5=wants_md5,
        )
    finally:
        with suppress(StorageFailed, NotFound), target.connection.translated(target.address):
            target.client.delete_object(Bucket=target.bucket, Key=target.name)


def _put_first(target: Target, asked: EncryptionConfig | None) -> tuple[bool, str]:
    """Whether the server wants an MD5 with every put, and why it does not encrypt as it was asked."""
    try:
        return False, _difference(asked, upload(_tiny(asked), target))
    except TransientStorageFailure:
        raise
    except StorageFailed as error:
        if "content-md5" in str(error).lower():
            return True, _difference(asked, upload(_tiny(asked, with_md5=True), target))
        if asked is None:
            raise
        upload(_tiny(None), target)  # what is wrong otherwise is told as that
        return False, f"the server refuses it ({error})"


def _difference(asked: EncryptionConfig | None, applied: str) -> str:
    if asked is None or applied == asked.kind or (asked.kind == "AES256" and applied.startswith("aws:kms")):
        return ""
    return f"the server ignores it, and says that it has applied {applied or 'none'}"


def _holds_to(
    target: Target, condition: dict[str, str], encryption: EncryptionConfig | None, *, with_md5: bool
) -> bool:
    """Whether a condition that is not met makes the server refuse; some know none (501), and some overlook it."""
    try:
        upload(_tiny(encryption, with_md5=with_md5), target, condition)
    except ConditionNotMet:
        return True
    except NotOffered:
        return False
    return False


def _tiny(encryption: EncryptionConfig | None, *, with_md5: bool = False) -> Upload:
    return measured(io.BytesIO(_CONTENT), None, encryption, with_md5=with_md5)
