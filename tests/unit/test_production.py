"""When the model in production may be compared on the validation rows: it must not have been fitted on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from raysweep.records.manifest import PartRecord, SplitRecord
from raysweep.records.split_rule import SplitRule
from raysweep.records.table import Part, PartSummary, Split
from raysweep.split_rules import PartsConfig
from raysweep.stages.confirm.production import why_unfair

SHARES = PartsConfig()


def ours(kind: str = "stratified", **rule: Any) -> Split:
    first = "2026-03-01T00:00:00" if rule.get("time") else None
    parts = {part: PartSummary(100, part.value) for part in Part}
    parts[Part.VALIDATION] = replace(parts[Part.VALIDATION], first=first)
    return Split(
        kind, 0, ("a", "b"), parts, 1, 0, 0, search_data=None, rule=SplitRule(kind, 0, ("a", "b"), SHARES, **rule)
    )


def theirs(kind: str = "stratified", last: str | float | None = None, **changes: Any) -> SplitRecord:
    parts = {part.value: PartRecord(rows=100, digest="d", last=last) for part in Part}
    known: dict[str, Any] = {"kind": kind, "seed": 0, "key": ("a", "b"), "shares": SHARES, "parts": parts}
    return SplitRecord(**(known | {"folds": 1, "keys_shared": 0} | changes))


@pytest.mark.parametrize("kind", ["stratified", "random", "group"])
def test_rows_that_were_dealt_out_alike_are_validation_rows_to_both(kind):
    assert why_unfair(theirs(kind), ours(kind)) == ""


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (theirs(seed=1), "split.seed"),
        (theirs(key=("a",)), "split.key"),
        (theirs("random"), "split.kind"),
        (theirs(shares=PartsConfig(training=0.7, testing=0.1, validation=0.2)), "split.parts"),
        (theirs(shares=None), "split.parts"),
        (None, "does not say"),
    ],
)
def test_any_other_rule_may_have_fitted_on_them(record, word):
    assert word in why_unfair(record, ours())


@pytest.mark.parametrize(
    ("record", "is_fair"),
    [
        (theirs("time", "2026-02-28T23:00:00", time="day"), True),
        (theirs("random", "2026-02-28T23:00:00", time="day", seed=5), True),
        (theirs("time", "2026-03-01T00:00:00", time="day"), False),
        (theirs("time", "2026-02-28T23:00:00", time="other"), False),
        (theirs("time", 12.0, time="day"), False),
        (theirs("time", None, time="day"), False),
        (theirs("time"), False),
    ],
)
def test_what_was_fitted_on_older_rows_is_fair(record, is_fair):
    assert (why_unfair(record, ours("time", time="day")) == "") == is_fair


def test_rare_classes_may_have_moved():
    """A class that grew from 60 to 180 rows is dealt out anew by quota; one that never was rare is not."""
    old = theirs()
    counts = {Part.TRAINING: (1_000, 110), Part.TESTING: (300, 35), Part.VALIDATION: (300, 35)}
    rare = ours()
    rare = replace(rare, parts={part: replace(one, class_counts=counts[part]) for part, one in rare.parts.items()})
    assert "dealt out by quota" in why_unfair(old, rare)
    same = {**old.parts, "validation": PartRecord(rows=100, digest="validation")}
    assert why_unfair(old.model_copy(update={"parts": same}), rare) == ""
    many = {part: tuple(10 * count for count in rows) for part, rows in counts.items()}
    common = replace(rare, parts={part: replace(one, class_counts=many[part]) for part, one in rare.parts.items()})
    assert why_unfair(old, common) == ""


def test_parts_that_users_name_are_not_known_to_be_the_same():
    assert "split by column" in why_unfair(theirs("column"), ours("column", column="part"))
