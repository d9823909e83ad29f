"""Times with a zone stay the instants that they are, whatever else is imported beside us."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

# Where it is set to anything, Arrow takes the clock of a single Python value for UTC, whatever its zone.
_FORGETS: Final = "PYARROW_IGNORE_TIMEZONE"
# What importing pandera leaves set in a process, for a pyspark that need not be there.
_OF_PANDERA: Final = (_FORGETS, "SPARK_LOCAL_IP")


def arrow_of(values: pd.Series[Any] | Sequence[Any]) -> pa.ChunkedArray:
    """What Arrow makes of values of pandas or Python; a time with a zone is that instant, one without is UTC.

    Raises:
        pa.ArrowException, TypeError, OverflowError: Arrow has no one type for them.
    """
    found = pa.array(values, from_pandas=True)
    single = str(getattr(values, "dtype", "object")) == "object"
    if single and os.environ.get(_FORGETS) and pa.types.is_timestamp(found.type):
        zoned = [isinstance(one, datetime) and one.tzinfo is not None for one in values]
        if any(zoned):
            utc = [one.astimezone(UTC) if has else one for one, has in zip(values, zoned, strict=True)]
            found = pa.array(utc, pa.timestamp(found.type.unit, "UTC"), from_pandas=True)
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


@contextmanager
def environment_kept() -> Iterator[None]:
    """Import pandera in here: the process's environment is afterwards what it was."""
    before = {name: os.environ.get(name) for name in _OF_PANDERA}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
