"""What the columns of a file are, and one answer for many files: names equal, types reconciled or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from raysweep.documents import shorten
from raysweep.errors import DataUnsuitable, NotFound, RequestInvalid
from raysweep.records.table import FILE_OF_ROW, NUMBER_OF_ROW, Column, ColumnKind, Finding, Severity

MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class FileSchema:
    """The columns of one file; a column of type `null` fits every other type.

    Attributes:
        from_text: the types were found by reading text, so that what fits no common type is text.
    """

    address: str
    columns: tuple[Column, ...]
    from_text: bool = False


def refuse(check: str, message: str, advice: str, *, column: str | None = None) -> DataUnsuitable:
    """The error for a source that cannot be read as one table, carrying its finding."""
    finding = Finding(check, Severity.ERROR, message, advice, column=column)
    return DataUnsuitable(f"{message}. {advice}", findings=[finding])


@contextmanager
def said_of(name: str) -> Iterator[None]:
    """Inside the block, what is said of a sweep file's `data.source` is said of what the user has named as `name`."""
    try:
        yield
    except (NotFound, RequestInvalid, DataUnsuitable) as error:
        message = str(error).replace("set data.format to parquet, csv or jsonl", "rename it")
        error.args = (message.replace("data.source", name), *error.args[1:])
        raise


def check_names(names: Sequence[str], address: str) -> None:
    """Refuse column names that cannot be told apart, or are empty.

    Raises:
        DataUnsuitable: naming the columns.
    """
    if not names:
        raise refuse("schema.unreadable", f"{address} has no columns", "Is it the right file?")
    if {FILE_OF_ROW, NUMBER_OF_ROW} & set(names):
        raise refuse(
            "schema.unreadable",
            f"{address} has a column called {FILE_OF_ROW!r} or {NUMBER_OF_ROW!r}: these names are taken",
            "Rename it",
        )
    empty = [number + 1 for number, name in enumerate(names) if not name.strip()]
    if empty:
        raise refuse(
            "schema.empty_name",
            f"{address}: column {', '.join(map(str, empty[:MAX_LISTED]))} of {len(names)} has no name",
            "Name it; if it is the index that pandas writes, use to_csv(..., index=False)",
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        listed = ", ".join(repr(shorten(name)) for name in twice[:MAX_LISTED])
        raise refuse(
            "schema.duplicate_name",
            f"{address}: the column name {listed} stands there more than once",
            "Rename one of them: a name must mean one column",
            column=twice[0],
        )


def reconcile(schemas: Sequence[FileSchema]) -> tuple[Column, ...]:
    """The columns of the table, in the order of the first file.

    Integers beside floats become floats; dates of different units are dates; nothing else is mixed, but columns of
    text files: they get the type that one file with all rows would have.

    Raises:
        DataUnsuitable: files have different columns, or a column of different types; both files are named.
    """
    first = schemas[0]
    merged = {column.name: (column, first.address) for column in first.columns}
    for schema in schemas[1:]:
        _check_same_names(first, schema)
        for column in schema.columns:
            known, address = merged[column.name]
            if first.from_text and schema.from_text:
                merged[column.name] = _merge_texts(known, column), address
            else:
                merged[column.name] = _merge(known, address, column, schema.address)
    return tuple(_settle(column) for column, _ in merged.values())


def _check_same_names(first: FileSchema, other: FileSchema) -> None:
    wanted = {column.name for column in first.columns}
    found = {column.name for column in other.columns}
    lacking, extra = sorted(wanted - found), sorted(found - wanted)
    if lacking or extra:
        parts = [f"lacks {_listed(lacking)}"] if lacking else []
        parts += [f"has {_listed(extra)} more"] if extra else []
        raise refuse(
            "schema.mismatch",
            f"{other.address} {' and '.join(parts)}, compared with {first.address}",
            "Files of one table need the same columns; name only files that belong together in data.source",
            column=(lacking or extra)[0],
        )


def _merge(known: Column, known_at: str, column: Column, at: str) -> tuple[Column, str]:
    if column.type == "null" or column == known:
        return known, known_at
    if known.type == "null":
        return column, at
    if column.kind is not known.kind:
        raise refuse(
            "schema.mismatch",
            f"the column {shorten(known.name)!r} is {known.kind} ({known.type}) in {known_at}, "
            f"but {column.kind} ({column.type}) in {at}",
            "Write it with one type in all files",
            column=known.name,
        )
    if known.kind is ColumnKind.NUMBER:
        return (known if known.type == "double" else column), known_at
    return known, known_at


def _merge_texts(known: Column, column: Column) -> Column:
    if column.type in {"null", known.type}:
        return known
    if known.type == "null":
        return column
    if known.kind is column.kind is ColumnKind.NUMBER:
        return Column(known.name, ColumnKind.NUMBER, "double")
    return Column(known.name, ColumnKind.STRING, "string")


def _settle(column: Column) -> Column:
    """A column without a single value is a number, as pandas has it."""
    return Column(column.name, ColumnKind.NUMBER, "double") if column.type == "null" else column


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(shorten(name)) for name in names[:MAX_LISTED])
    return shown if len(names) <= MAX_LISTED else f"{shown} and {len(names) - MAX_LISTED} columns more"
