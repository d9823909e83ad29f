"""The records of a run's journal in the order in which things happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

RESUMED: Final = "resumed"


def as_it_happened(records: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The records, those that a driver has found unput of the one before it ahead of its own first one.

    An epoch of a journal begins with the record of whose it is; what was found on the machine stands behind that.
    """
    rest = iter(records)
    for record in rest:
        if record.get("event") == RESUMED:
            yield from islice(rest, int(record.get("unput", 0)))
        yield record
