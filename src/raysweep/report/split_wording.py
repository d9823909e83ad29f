"""How the rows were cut, as the report and the model card tell it: size, time, groups and classes of each part."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.documents import shorten
from raysweep.records.split_rule import WITHOUT_TARGET
from raysweep.records.table import Label, Split
from raysweep.report.wording import share_text
from raysweep.split_rules import Moment

SHOWN_CLASSES = 10
SHOWN_LABEL = 40
SHOWN_KEYS = 20


def split_facts(split: Split) -> list[tuple[str, str]]:
    """What decided the part of a row, and the rows that are in none, by name."""
    rule = split.rule
    facts = [("kind", split.kind), ("seed", str(split.seed)), ("row key", _listed(split.key))]
    if rule is not None:
        named = (("group", rule.group), ("time", rule.time), ("part said by", rule.column))
        facts += [(name, column) for name, column in named if column is not None]
        facts += [("testing and validation begin", ", ".join(map(moment_text, rule.cuts)))] if rule.cuts else []
        facts += [("embargo before each", moment_text(rule.embargo))] if rule.embargo is not None else []
    facts += [("proof", f"{split.keys_shared:,} row keys stand in more than one part, counted over all rows")]
    facts += [("rows without a target", f"{split.left_out_rows:,}")]
    left_out = ((why, rows) for why, rows in split.left_out.items() if rows and why != WITHOUT_TARGET)
    return facts + [(f"rows left out: {why}", f"{rows:,}") for why, rows in left_out]


def split_table(split: Split, classes: Sequence[Label]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A heading, and a row a part, its digest last; columns that no part has anything in are left out."""
    rows = [
        (
            part.value,
            f"{one.rows:,}",
            _classes_text(one.class_counts, classes),
            "" if one.groups is None else f"{one.groups:,}",
            *("" if moment is None else moment_text(moment) for moment in (one.first, one.last)),
            one.digest,
        )
        for part, one in split.parts.items()
    ]
    head = ("part", "rows", "classes", "groups", "first time", "last time", "digest")
    filled = [place for place in range(len(head)) if any(row[place] for row in rows)]
    return tuple(head[place] for place in filled), [tuple(row[place] for place in filled) for row in rows]


def moment_text(moment: Moment) -> str:
    """A date in ISO 8601 without an idle midnight, or a number as it is written."""
    return moment.removesuffix("T00:00:00") if isinstance(moment, str) else str(moment).removesuffix(".0")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_KEYS
    return ", ".join(names[:SHOWN_KEYS]) + (f", {more:,} more in data/split.json" if more > 0 else "")


def _classes_text(counts: Sequence[int], classes: Sequence[Label]) -> str:
    """`no: 310 (62 %), yes: 190 (38 %)`; nothing where the classes are not known."""
    if not counts or len(counts) != len(classes):
        return ""
    total = sum(counts) or 1
    said = [
        f"{shorten(str(label), SHOWN_LABEL)}: {count:,} ({share_text(count / total)})"
        for label, count in zip(classes, counts, strict=True)
    ]
    more = len(said) - SHOWN_CLASSES
    return ", ".join(said[:SHOWN_CLASSES]) + (f", {more:,} more in data/split.json" if more > 0 else "")
