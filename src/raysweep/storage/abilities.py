"""What a place lets a sweep do: each action tried once, with what is missing, what follows, and what to ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from raysweep.errors import NotFound, StorageFailed
from raysweep.storage.store import DENIED, LEDGER_FOLDER, S3_SCHEME, EncryptionMissing, Store, Traits, probe_key

_CONTENT: Final = b"raysweep looks whether it can write here; this may be deleted\n"


class Action(StrEnum):
    """What is tried, in this order."""

    PUT = "put"
    ENCRYPT = "encrypt"
    PUT_IF_ABSENT = "put if absent"
    PUT_IF_MATCH = "put if match"
    GET = "get"
    LIST = "list"
    DELETE = "delete"


NEEDED: Final = frozenset({Action.PUT, Action.GET, Action.LIST})
_PERMISSIONS: Final = {
    Action.PUT: "s3:PutObject and s3:AbortMultipartUpload on {objects}; with aws:kms kms:GenerateDataKey on the key",
    Action.ENCRYPT: "with aws:kms kms:GenerateDataKey and kms:Decrypt on the key",
    Action.PUT_IF_ABSENT: "s3:PutObject on {objects}",
    Action.PUT_IF_MATCH: "s3:PutObject and s3:GetObject on {objects}",
    Action.GET: "s3:GetObject on {objects}",
    Action.LIST: "s3:ListBucket on {bucket}",
    Action.DELETE: "s3:DeleteObject on {objects}",
}
_NO_IF_ABSENT: Final = (
    "the server does not hold to If-None-Match: it is looked before and after instead, which two writers at the very "
    "same moment may both do. Run ids that raysweep makes are unique; do not start two sweeps under one --run at once"
)
_NO_IF_MATCH: Final = (
    "the server does not hold to If-Match: aliases such as production cannot be moved here; everything else works"
)
_NO_DELETE: Final = "what a driver had begun to put before it died cannot be removed, and tiny probes stay: "


@dataclass(frozen=True, slots=True)
class Ability:
    """One action, as it went.

    Attributes:
        missing: what is missing, and what follows; empty where nothing is.
        permission: what it takes, in the words of the owner of a bucket; empty for a folder.
        is_needed: whether a sweep cannot do without.
        failure: what was raised.
        is_tried: whether it was, since it cannot be where nothing can be put.
    """

    action: Action
    missing: str = ""
    permission: str = ""
    is_needed: bool = True
    failure: StorageFailed | None = field(default=None, repr=False, compare=False)
    is_tried: bool = True

    @property
    def ok(self) -> bool:
        """Whether it can be done."""
        return not self.missing

    @property
    def to_ask_for(self) -> str:
        """The permission, where the server has denied it: it helps against nothing else."""
        return self.permission if DENIED in self.missing else ""


def probe_abilities(store: Store) -> tuple[Ability, ...]:
    """Try each action with a tiny object below `.raysweep/`, which is removed.

    Args:
        store: the place; its own retries come first, so that what may pass is waited out as long as they last.

    Returns:
        One record an action, in the order of `Action`; encryption only where it is asked for.
    """
    key = probe_key()
    first = _try_put(store, key)
    if any(one.failure for one in first):
        return (*first, *(_untried(store, action) for action in Action if action not in {Action.PUT, Action.ENCRYPT}))
    traits = store.traits()
    return (
        *first,
        _ability(store, Action.PUT_IF_ABSENT, "" if traits.if_absent else _NO_IF_ABSENT),
        _ability(store, Action.PUT_IF_MATCH, "" if traits.if_match else _NO_IF_MATCH),
        _try(store, Action.GET, lambda: _check_read(store, key)),
        _try(store, Action.LIST, lambda: _check_listed(store, key)),
        _try(store, Action.DELETE, lambda: store.delete(key)),
    )


def check_abilities(store: Store) -> tuple[str, ...]:
    """Refuse a place that a sweep cannot use.

    Returns:
        What is missing but can be done without, a sentence each.

    Raises:
        StorageFailed: what is needed is missing; says what to do, and what to ask for.
    """
    abilities = probe_abilities(store)
    for one in abilities:
        if one.failure is not None and one.is_needed and not one.ok:
            raise one.failure
    return tuple(f"{store.address()}: {one.missing}" for one in abilities if not one.ok)


def _try_put(store: Store, key: str) -> list[Ability]:
    try:
        store.put(key, _CONTENT)
    except EncryptionMissing as error:
        return [Ability(Action.PUT), _ability(store, Action.ENCRYPT, str(error), error)]
    except StorageFailed as error:
        return [_ability(store, Action.PUT, str(error), error)]
    traits, put = store.traits(), _ability(store, Action.PUT, "")
    if not traits.encryption:
        return [put]
    return [put, _ability(store, Action.ENCRYPT, _unencrypted(traits), needed=False)]


def _unencrypted(traits: Traits) -> str:
    if not traits.unencrypted:
        return ""
    return f"export.s3.encryption asks for {traits.encryption}, but {traits.unencrypted}: what is put is not encrypted"


def _try(store: Store, action: Action, call: Callable[[], None]) -> Ability:
    try:
        call()
    except (StorageFailed, NotFound) as error:
        failure = error if isinstance(error, StorageFailed) else StorageFailed(f"{error}, right after it was put")
        what = _NO_DELETE if action is Action.DELETE else ""
        return _ability(store, action, f"{what}{failure}", failure)
    return _ability(store, action, "")


def _check_read(store: Store, key: str) -> None:
    if store.get(key) != _CONTENT:
        raise StorageFailed(f"{store.address(key)} does not come back as it was put: use another server")


def _check_listed(store: Store, key: str) -> None:
    if key not in {one.key for one in store.list(f"{LEDGER_FOLDER}probe-")}:
        raise StorageFailed(f"{store.address(key)} was put, but is not listed: use a server that lists at once")


def _untried(store: Store, action: Action) -> Ability:
    return replace(_ability(store, action, "not tried, since nothing can be put"), is_tried=False)


def _ability(
    store: Store, action: Action, missing: str, failure: StorageFailed | None = None, *, needed: bool | None = None
) -> Ability:
    is_needed = action in NEEDED or action is Action.ENCRYPT if needed is None else needed
    return Ability(action, missing, _permission(store.address(), action), is_needed, failure)


def _permission(address: str, action: Action) -> str:
    if not address.startswith(S3_SCHEME):
        return ""
    path = address.removeprefix(S3_SCHEME)
    bucket = path.partition("/")[0]
    return _PERMISSIONS[action].format(objects=f"arn:aws:s3:::{path}/*", bucket=f"arn:aws:s3:::{bucket}")
