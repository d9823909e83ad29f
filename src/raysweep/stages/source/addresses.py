"""From what the user wrote (path, folder, glob, `s3://`, or a list) to the files that will be read."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.fs as pafs

from raysweep.config import S3Config
from raysweep.documents import suggest
from raysweep.errors import NotFound, RequestInvalid, StorageFailed
from raysweep.records.table import SourceFile

FORMATS = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".csv.gz", ".csv.bz2", ".csv.zst"),
    "jsonl": (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"),
}
_GLOB_CHARACTERS = frozenset("*?[")
S3_SCHEME = "s3://"
_MODIFIED = "modified:"


@dataclass(frozen=True, slots=True)
class FileReach:
    """How to open a file of the source from any process; holds no credentials.

    Attributes:
        endpoint: `http://host:port` of an S3-compatible server, or None for AWS itself.
    """

    endpoint: str | None = None
    region: str | None = None
    virtual_hosts: bool = False
    ca_bundle: str | None = None

    @classmethod
    def from_config(cls, s3: S3Config) -> FileReach:
        """Settings of the sweep file, completed from this process's AWS environment."""
        environment = os.environ
        return cls(
            endpoint=s3.endpoint_url or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"),
            region=s3.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"),
            virtual_hosts=s3.addressing_style == "virtual",
            ca_bundle=s3.ca_bundle or environment.get("AWS_CA_BUNDLE"),
        )

    def open(self, address: str) -> tuple[Any, str]:
        """The file system of `address`, and the path in it."""
        if not address.startswith(S3_SCHEME):
            return pafs.LocalFileSystem(), address
        options: dict[str, Any] = {"region": self.region or ("us-east-1" if self.endpoint else None)}
        if self.endpoint:
            parts = urlsplit(self.endpoint)
            options |= {"endpoint_override": parts.netloc + parts.path, "scheme": parts.scheme}
            options["force_virtual_addressing"] = self.virtual_hosts
        if self.ca_bundle:
            options["tls_ca_file_path"] = self.ca_bundle
        return pafs.S3FileSystem(**options), address.removeprefix(S3_SCHEME)


def find_files(sources: Sequence[str], reach: FileReach, declared: str | None = None) -> tuple[SourceFile, ...]:
    """Every file that the sources name, sorted by address.

    Args:
        sources: paths, folders, globs, `s3://` addresses.
        reach: how to open them.
        declared: `data.format`; of a folder only files of that format count, or those whose name tells none.

    Raises:
        NotFound: a source names nothing, or a folder without data files.
        StorageFailed: the S3 server refuses or does not answer.
        RequestInvalid: an address of a kind that raysweep does not read.
    """
    found: dict[str, SourceFile] = {}
    for source in sources:
        for file in _expand(source, reach, declared):
            found[file.address] = file
    return tuple(found[address] for address in sorted(found))


def infer_format(files: Sequence[SourceFile], declared: str | None) -> str:
    """The one format of all files, from their names.

    Raises:
        RequestInvalid: the names say nothing, or more than one thing.
    """
    if declared is not None:
        return declared
    by_format: dict[str | None, str] = {format_of(file.address): file.address for file in files}
    if None in by_format:
        known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
        raise RequestInvalid(
            f"data.source: the name of {by_format[None]} does not tell its format (known endings: {known}); "
            "set data.format to parquet, csv or jsonl"
        )
    if len(by_format) > 1:
        listed = "; ".join(f"{name}: {address}" for name, address in by_format.items())
        raise RequestInvalid(f"data.source names files of several formats ({listed}); set data.format or a glob")
    return str(next(iter(by_format)))


def format_of(address: str) -> str | None:
    """parquet, csv or jsonl, or None where the name's ending does not tell."""
    lowered = address.lower()
    for name, endings in FORMATS.items():
        if lowered.endswith(endings):
            return name
    return None


def _expand(source: str, reach: FileReach, declared: str | None) -> list[SourceFile]:
    if "://" in source and not source.startswith(S3_SCHEME):
        raise RequestInvalid(f"data.source: {source} is not a local path and not s3://; copy the data to one of them")
    filesystem, path = reach.open(source)
    prefix = S3_SCHEME if source.startswith(S3_SCHEME) else ""
    try:
        if not prefix and _GLOB_CHARACTERS & set(path) and not Path(path).exists():
            return _match_glob(filesystem, path, prefix)
        if prefix and _GLOB_CHARACTERS & set(path):
            return _match_glob(filesystem, path, prefix)
        info = filesystem.get_file_info(path)
        if info.type == pafs.FileType.File:
            return [_record(info, prefix)]
        if info.type == pafs.FileType.NotFound:
            raise NotFound(f"data.source: there is no {source}{_nearby(path) if not prefix else ''}")
        return [_record(e, prefix) for e in _list_folder(filesystem, path, source, declared)]
    except OSError as error:
        if isinstance(error, NotFound):
            raise
        raise _refused(source, error, reach) from error


def _refused(source: str, error: OSError, reach: FileReach) -> Exception:
    if source.startswith(S3_SCHEME):
        where = reach.endpoint or "AWS"
        return StorageFailed(
            f"data.source: {source} cannot be listed at {where}: {_first_line(error)}. Check the bucket's name, "
            "data.s3.endpoint_url and the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or a profile)"
        )
    return NotFound(f"data.source: {source} cannot be read: {_first_line(error)}")


def _list_folder(filesystem: Any, path: str, source: str, declared: str | None) -> list[Any]:
    entries = filesystem.get_file_info(pafs.FileSelector(path, recursive=True))
    files = [entry for entry in entries if entry.type == pafs.FileType.File]
    visible = [entry for entry in files if not _is_hidden(entry.path[len(path) :])]
    data = [entry for entry in visible if _counts(entry.path, declared)]
    if not data and declared is not None:
        data = [entry for entry in visible if format_of(entry.path) is None]
    if not data:
        wanted = declared or "parquet, csv or jsonl"
        seen = f"; it holds {', '.join(sorted(e.base_name for e in visible)[:3])}" if visible else "; it is empty"
        raise NotFound(f"data.source: the folder {source} holds no {wanted} files{seen}")
    return data


def _counts(path: str, declared: str | None) -> bool:
    found = format_of(path)
    return found is not None and declared in {None, found}


def _match_glob(filesystem: Any, pattern: str, prefix: str) -> list[SourceFile]:
    fixed: list[str] = []
    for part in pattern.split("/"):
        if _GLOB_CHARACTERS & set(part):
            break
        fixed.append(part)
    base = "/".join(fixed) or ("/" if pattern.startswith("/") else ".")
    selector = pafs.FileSelector(base, recursive=True, allow_not_found=True)
    entries = [e for e in filesystem.get_file_info(selector) if e.type == pafs.FileType.File]
    matching = [entry for entry in entries if matches(entry.path.removeprefix("./"), pattern.removeprefix("./"))]
    if not matching:
        raise NotFound(f"data.source: nothing matches {prefix}{pattern}")
    return [_record(entry, prefix) for entry in matching]


def matches(path: str, pattern: str) -> bool:
    """Whether a shell would find `path` by `pattern`: `*` within a folder, `**` in any below."""
    return _parts_match(path.split("/"), pattern.split("/"))


def _parts_match(parts: list[str], wanted: list[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        goes_on = bool(parts) and not parts[0].startswith(".") and _parts_match(parts[1:], wanted)
        return goes_on or _parts_match(parts, wanted[1:])
    if not parts or (parts[0].startswith(".") and not wanted[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(parts[0], wanted[0]) and _parts_match(parts[1:], wanted[1:])


def _is_hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in relative.strip("/").split("/"))


def is_unchanged(file: SourceFile, reach: FileReach) -> bool:
    """Whether the file is still what was found: by its size, and the second in which it was modified.

    (S3 servers tell fractions of a second when they list objects, but not when they are asked for one.)
    """
    filesystem, path = reach.open(file.address)
    now = _record(filesystem.get_file_info(path), "")
    return now.size_bytes == file.size_bytes and _second(now) == _second(file)


def _record(info: Any, prefix: str) -> SourceFile:
    modified = info.mtime_ns if info.mtime_ns is not None else 0
    return SourceFile(prefix + info.path, int(info.size or 0), f"{_MODIFIED}{modified}")


def _second(file: SourceFile) -> int:
    return int(file.version.removeprefix(_MODIFIED)) // 10**9


def _nearby(path: str) -> str:
    parent = Path(path).parent
    if not parent.is_dir():
        return f" (nor a folder {parent})"
    return suggest(Path(path).name, [entry.name for entry in parent.iterdir()])


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
