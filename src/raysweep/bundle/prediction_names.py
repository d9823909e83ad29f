"""How the columns of predictions are called, wherever they are written."""

from __future__ import annotations

from raysweep.records.table import Label


def probability_name(label: Label) -> str:
    """The column of a class's probability."""
    return f"probability_{str(label).lower() if isinstance(label, bool) else label}"
