"""From the address of a place to the store there: a folder, or a bucket on an S3-compatible server."""

from __future__ import annotations

from pathlib import Path

from raysweep.config import S3Config
from raysweep.documents import shorten
from raysweep.errors import RequestInvalid
from raysweep.storage.local import LocalStore
from raysweep.storage.retry import HASTY, RetryingStore, RetryPolicy
from raysweep.storage.store import S3_SCHEME, Store, check_key


def open_store(address: str, s3: S3Config, *, policy: RetryPolicy = HASTY) -> Store:
    """The store at `address`, with retries; nothing is touched before its first use.

    Args:
        address: a folder, or `s3://bucket/prefix`.
        s3: how to reach an S3-compatible server; not looked at for a folder.
        policy: how long a place is waited for that does not answer.

    Raises:
        RequestInvalid: the address is neither.
    """
    if address.startswith(S3_SCHEME):
        from raysweep.storage.s3 import S3Store  # boto3 is not loaded for a folder
        from raysweep.storage.s3_connection import Connection

        bucket, prefix = split_s3_address(address)
        return RetryingStore(S3Store(bucket, prefix, connection=Connection(s3, policy)), policy=policy)
    if not address.strip():
        raise RequestInvalid("the address of the store is empty: give a folder or s3://bucket/prefix")
    if "://" in address:
        raise RequestInvalid(f"{shorten(address)} is no place to store: give a folder or s3://bucket/prefix")
    return RetryingStore(LocalStore(Path(address).expanduser()), policy=policy)


def open_beside(address: str, s3: S3Config, *, policy: RetryPolicy = HASTY) -> Store:
    """The store of a run that is to be written to: what is tried out there is put beside it, in the place of all runs.

    Where nothing may be deleted, what was put below the run would stay, and be no part of its bundle.

    Args:
        address: of the run.
        s3: as in `open_store`.
        policy: as in `open_store`.

    Raises:
        RequestInvalid: the address is no place.
    """
    place, _, name = address.rstrip("/").rpartition("/")
    if not address.startswith(S3_SCHEME) or not place.startswith(S3_SCHEME):
        return open_store(address, s3, policy=policy)
    return open_store(place, s3, policy=policy).child(name)


def split_s3_address(address: str) -> tuple[str, str]:
    """The bucket and the prefix (without slashes at its ends, maybe empty) of `s3://bucket/prefix`.

    Raises:
        RequestInvalid: there is no bucket in it, it holds credentials, or the prefix is no possible key.
    """
    bucket, _, prefix = address.removeprefix(S3_SCHEME).partition("/")
    if "@" in bucket:
        raise RequestInvalid("an s3:// address holds credentials: put them into the AWS environment or profile")
    if not bucket or any(character.isspace() for character in bucket):
        raise RequestInvalid(f"{shorten(address)!r} names no bucket: write it as s3://bucket/prefix")
    prefix = prefix.strip("/")
    if prefix:
        check_key(prefix)
    return bucket, prefix
