"""Where predictions go: a file, a folder, an `s3://` address; and where they must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from raysweep.config import S3Config
from raysweep.errors import RequestInvalid
from raysweep.stages.source.addresses import FORMATS, S3_SCHEME, format_of, matches
from raysweep.storage.open_store import open_store

SUCCESS_FILE: Final = "_SUCCESS.json"
PART_PREFIX: Final = "part-"


@dataclass(frozen=True, slots=True)
class Out:
    """A place for predictions.

    Attributes:
        address: an absolute path, or an `s3://` address, without a slash at its end.
        format: parquet, csv or jsonl.
        is_file: one file; else a folder (or prefix) of parts.
    """

    address: str
    format: str
    is_file: bool
    s3: S3Config = field(default_factory=S3Config, repr=False)

    @property
    def is_remote(self) -> bool:
        """Whether it is on an S3-compatible server."""
        return self.address.startswith(S3_SCHEME)


def plan_out(out: str, wanted: str | None, source_format: str, s3: S3Config) -> Out:
    """What an address means: a file where its name has the ending of a format, else a folder.

    Args:
        out: as the user has written it.
        wanted: the format, where the user names one.
        source_format: that of the table, for a folder for which none is named.
        s3: how to reach an `s3://` address.

    Raises:
        RequestInvalid: the format is none, or not that of the name; or the address is no place.
    """
    if wanted is not None and wanted not in FORMATS:
        raise RequestInvalid(f"--format {wanted}: it is one of {', '.join(FORMATS)}")
    if "://" in out and not out.startswith(S3_SCHEME):
        raise RequestInvalid(f"{out} is no place to write to: give a file, a folder or s3://bucket/prefix")
    named = None if out.endswith("/") else format_of(out)
    if named is not None and wanted is not None and named != wanted:
        raise RequestInvalid(f"{out} is called as a {named} file, and --format asks for {wanted}: change one of them")
    address = out.rstrip("/") if out.startswith(S3_SCHEME) else _local(out)
    if "/" not in address.removeprefix(S3_SCHEME):
        raise RequestInvalid(f"{out} is a whole bucket: name a prefix in it, such as {out.rstrip('/')}/predictions")
    source = source_format if source_format in FORMATS else "parquet"
    return Out(address, named or wanted or source, named is not None, s3)


def check_out(out: Out, sources: Sequence[str], files: Sequence[str], bundle: str, *, overwrite: bool) -> None:
    """Refuse a place that holds something, or that would be read as part of the table, or is in the bundle.

    Args:
        out: the place.
        sources: as the user has named the table.
        files: those that are read.
        bundle: its address.
        overwrite: what an earlier prediction has left there may be replaced.

    Raises:
        RequestInvalid: saying what to do.
        StorageFailed: the place cannot be looked at.
    """
    target = _resolved(out.address)
    for one in (*files, *sources):
        place = _resolved(one)
        if target == place or _is_in(place, target) or _is_in(target, place) or matches(target, place):
            raise RequestInvalid(
                f"{out.address} lies in the table that is read, or holds it ({one}): write the predictions elsewhere"
            )
    if _is_in(target, _resolved(bundle)) or _is_in(_resolved(bundle), target) or target == _resolved(bundle):
        raise RequestInvalid(f"{out.address} lies in the bundle, or holds it ({bundle}): write them elsewhere")
    _check_free(out, overwrite=overwrite)


def _check_free(out: Out, *, overwrite: bool) -> None:
    present = names_in(out)
    if not present:
        return
    if not overwrite:
        raise RequestInvalid(f"{out.address} exists: name another place, or replace it with --overwrite")
    if out.is_file:
        return
    others = [name for name in present if not _is_ours(name)]
    if others:
        raise RequestInvalid(f"{out.address} holds {others[0]!r}, which no prediction has written: name another place")


def names_in(out: Out) -> list[str]:
    """What stands in the place: names below a folder or prefix; of a file, its own."""
    if out.is_remote:
        store = open_store(out.address.rpartition("/")[0] if out.is_file else out.address, out.s3)
        name = out.address.rpartition("/")[2]
        return [name] if out.is_file and store.exists(name) else [] if out.is_file else [o.key for o in store.list()]
    path = Path(out.address)
    if out.is_file and path.is_dir():
        raise RequestInvalid(f"{out.address} is a folder, and is called as a file: name another one")
    if not out.is_file and path.exists() and not path.is_dir():
        raise RequestInvalid(f"{out.address} is a file whose name tells no format: name another place")
    if out.is_file:
        return [path.name] if path.exists() else []
    return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []


def _is_ours(name: str) -> bool:
    is_part = name.startswith(PART_PREFIX) and "/" not in name and format_of(name) is not None
    return is_part or name == SUCCESS_FILE


def _local(out: str) -> str:
    """An absolute path; of a link, what it leads to, since what stands there is replaced."""
    path = Path(out).expanduser()
    return str(path.resolve() if path.is_symlink() else path.absolute())


def _resolved(address: str) -> str:
    return address.rstrip("/") if "://" in address else str(Path(address).expanduser().resolve())


def _is_in(inner: str, outer: str) -> bool:
    return inner.startswith(f"{outer.rstrip('/')}/")
