"""What the pass over the table is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from raysweep.prepare_rules import Rule


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """What one pass is to find out beside the statistics of every column.

    Attributes:
        target: the column whose nulls and conflicting values are counted; None, or one that the table lacks: neither.
        features: the columns over which conflicting targets are counted; none: they are not counted.
        key: the columns that identify a row, by which the split deals it out.
        prepare: rules that a block goes through before its statistics are taken, but for what is fitted. Hashes (of
            rows, of keys, of features) and the sample's order are always those of the source's own values.
    """

    target: str | None = None
    features: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    prepare: tuple[Rule, ...] = ()
