"""A card for a column: what it holds, how its values are spread, and the target against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from raysweep.config import TaskKind
from raysweep.documents import shorten
from raysweep.records.table import ColumnKind, ColumnProfile, Finding, Severity
from raysweep.report.data_drawings import draw_bars, draw_class_shares, draw_histogram, draw_spots
from raysweep.report.feature_bins import (
    FEW_VALUES,
    Bins,
    bins_of,
    frequent_values,
    histogram_of,
    label_text,
    numbers_of,
)
from raysweep.report.fragments import SHOWN_NAME, distinct_text, range_text
from raysweep.report.markup import Html, tag
from raysweep.report.target_bins import Target, class_shares, spots_of
from raysweep.report.wording import number_text, share_text
from raysweep.rows.canonical import type_name

COMES_BACK: Final = 3
ORDERED: Final = frozenset({ColumnKind.NUMBER, ColumnKind.DATETIME})


@dataclass(frozen=True, slots=True)
class Card:
    """What a card shows of a column.

    Attributes:
        meaning: what the column seems to be for, in a word.
        values: the Arrow column of the rows that may be shown.
        findings: those that name this column.
        anchor: its place on the page.
        is_target: the column is the target itself.
    """

    column: ColumnProfile
    meaning: str
    values: Any
    findings: Sequence[Finding]
    anchor: str
    is_target: bool = False


def name_of(column: str) -> Html:
    """A column's name on its own: its letters cannot change the direction of the text around it."""
    return tag("bdi", shorten(column, SHOWN_NAME) or "(no name)")


def card(shown: Card, target: Target | None) -> Html:
    """The card; without a target, or for the target itself, only what the column holds."""
    column = shown.column
    bins = bins_of(shown.values, column)
    badges = [tag("span", shown.meaning, class_="badge")] if shown.meaning else []
    loud = [one for one in shown.findings if one.severity is not Severity.SKIPPED]
    badges += [tag("span", one.check, class_=f"badge {one.severity.value}") for one in loud[:6]]
    panels = [_panel("how the values are spread", *_spread(shown, bins))]
    if target is not None and bins is not None and not shown.is_target and _has_something_to_tell(shown):
        panels.append(_panel(target.said, *_against(bins, target)))
    return tag(
        "article",
        tag("h3", name_of(column.name), *badges),
        tag("p", _facts(column), class_="soft"),
        tag("div", *panels, class_="panels"),
        class_="card",
        id=shown.anchor,
    )


def legend(labels: Sequence[str]) -> Html:
    """Which colour is which class."""
    entries = (tag("span", tag("i", class_=f"swatch c{code}"), tag("bdi", label)) for code, label in enumerate(labels))
    return tag("p", *entries, class_="legend")


def _facts(column: ColumnProfile) -> str:
    said = [
        f"{column.kind.value} ({shorten(type_name(column.kind, column.type))})"
        if column.type != column.kind.value
        else column.type,
        f"{distinct_text(column)} distinct",
        f"{share_text(column.missing_share)} missing" if column.nulls else "none missing",
    ]
    for count, words in ((column.empty_like, "look empty"), (column.infinite, "infinite")):
        said += [f"{count:,} {words}"] if count else []
    said += [range_text(column)] if range_text(column) else []
    if column.kind is ColumnKind.NUMBER and column.mean is not None:
        said.append(f"mean {number_text(column.mean)}")
        said += [f"std {number_text(column.std)}"] if column.std is not None else []
    return " · ".join(said)


def _panel(title: str, *content: Html) -> Html:
    return tag("div", tag("h4", title), *content, class_="panel")


def _spread(shown: Card, bins: Bins | None) -> list[Html]:
    column = shown.column
    if column.kind is ColumnKind.NESTED:
        return [tag("p", "Nested values are not drawn.")]
    if bins is None or column.nulls == column.count:
        return [tag("p", "There is no value.")]
    about = f"how the values of {shorten(column.name)} are spread"
    if column.kind in ORDERED and column.distinct > FEW_VALUES:
        numbers = numbers_of(shown.values, column.kind)
        histogram = histogram_of(numbers, whole=column.kind is ColumnKind.NUMBER and column.integral)
        if histogram is not None:
            said = ["The scale is logarithmic."] if histogram.logarithmic else []
            said += [f"{histogram.outside:,} values of the sample lie further out."] if histogram.outside else []
            return [draw_histogram(histogram, column.kind, about), tag("p", " ".join(said), class_="soft")]
    if column.kind in ORDERED:
        total = max(1, int(bins.counts.sum()))
        shares = [count / total for count in bins.counts.tolist()]
        return [draw_bars(bins.labels, shares, [share_text(share) for share in shares], about)]
    return _frequent(shown, about)


def _frequent(shown: Card, about: str) -> list[Html]:
    column = shown.column
    counted = frequent_values(shown.values, column)
    rows = column.count if column.values is not None else len(shown.values)
    if not _has_something_to_tell(shown):
        return [tag("p", "Hardly any value occurs twice.")]
    bars = [(label_text(value), count) for value, count in counted]
    missing = column.nulls if column.values is not None else int(shown.values.null_count)
    rest = rows - missing - sum(count for _, count in counted)
    bars += [("other values", rest)] if rest > 0 else []
    bars += [("missing", missing)] if missing else []
    shares = [count / max(1, rows) for _, count in bars]
    return [draw_bars([label for label, _ in bars], shares, [share_text(share) for share in shares], about)]


def _has_something_to_tell(shown: Card) -> bool:
    """Whether values come back, or are numbers: else each row would stand for itself."""
    column = shown.column
    if column.nulls == column.count:
        return False
    if column.kind in ORDERED or column.distinct <= FEW_VALUES:
        return True
    counted = frequent_values(shown.values, column)
    return bool(counted) and counted[0][1] >= COMES_BACK


def _against(bins: Bins, target: Target) -> list[Html]:
    about = f"{target.said} by the values of this column"
    if target.kind is TaskKind.MULTICLASS:
        return [draw_class_shares(bins, class_shares(bins, target), target, about), legend(target.labels)]
    is_share = target.kind is TaskKind.BINARY
    return [draw_spots(bins, spots_of(bins, target), target, shares=is_share, about=about)]
