"""Checks of numbers and dates: infinite, too large for float32, placeholders for a missing value, far outliers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from raysweep.records.table import ColumnKind, ColumnProfile, Finding, Profile, Severity
from raysweep.stages.validate.context import Context
from raysweep.stages.validate.sentinels import Sentinel, find_sentinels
from raysweep.stages.validate.single_feature import numbers_of
from raysweep.stages.validate.sweep_lines import prepare

_MIN_VALUES: Final = 100
_OF_DEVIATION: Final = (0.6745, 1.6449)  # median and 90 % quantile of the distance, in a normal distribution
_FLOAT32_WHOLE: Final = 2.0**24  # from here on float32 does not hold every whole number

Floats = npt.NDArray[np.float64]


def infinite(_profile: Profile, context: Context) -> list[Finding]:
    """col.infinite: they become missing values; many of them are a fault of the source."""
    findings = []
    for column in _numbers(context):
        share = column.infinite / column.count
        crossed = context.crossed("col.infinite", share)
        if crossed is None:
            continue
        findings.append(
            Finding(
                "col.infinite",
                crossed[0],
                f"{column.name} is infinite in {column.infinite:,} of {column.count:,} rows; they count as missing",
                "was something divided by zero? mend it in the source, or set them to null there",
                column=column.name,
                count=column.infinite,
                share=share,
                threshold=crossed[1],
                places=tuple(context.place_text(place) for place in column.odd_places),
            )
        )
    return findings


def overflow(_profile: Profile, context: Context) -> list[Finding]:
    """col.overflow: learners compute in float32, where such numbers are infinite."""
    return [
        Finding(
            "col.overflow",
            Severity.ERROR,
            f"{column.name} holds {column.beyond_float32:,} numbers beyond float32 (3.4e38), "
            f"from {column.minimum:.4g} to {column.maximum:.4g}: to a learner they are infinite",
            "are they real? take another unit or a logarithm in the source, or limit them: "
            + prepare("clip", column.name, low=-1e38, high=1e38),
            column=column.name,
            count=column.beyond_float32,
            share=column.beyond_float32 / column.count,
            places=tuple(context.place_text(place) for place in column.odd_places),
        )
        for column in _numbers(context)
        if column.beyond_float32
    ]


def sentinel(profile: Profile, context: Context) -> list[Finding]:
    """col.sentinel: -999, 1900-01-01 or a spike far from the rest, which may stand for a missing value."""
    spike, spread = context.limit("col.sentinel", "spike"), context.limit("col.sentinel", "spread")
    findings = []
    for column in context.columns:
        if column.kind not in {ColumnKind.NUMBER, ColumnKind.DATETIME}:
            continue
        values, counts = _value_counts(column, context)
        is_date = column.kind is ColumnKind.DATETIME
        suspicious = find_sentinels(values, counts, spike=spike, spread=spread, is_date=is_date)
        findings += [_sentinel(column, found, profile, context) for found in suspicious]
    return findings


def outliers(_profile: Profile, context: Context) -> list[Finding]:
    """col.outliers: far from the median, by the robust z of Iglewicz and Hoaglin (1993).

    A long tail is no outlier: the distance has to be large beside that of the farthest tenth of all values too.
    """
    findings = []
    limit, deviations = context.limit("col.outliers", "warn"), context.limit("col.outliers", "deviations")
    for column in _numbers(context):
        numbers = numbers_of(context.sampled(column.name))
        finite = numbers[np.isfinite(numbers)]
        far = _is_far(finite, deviations)
        share = float(far.mean()) if len(far) else 0.0
        is_clipped = context.config.data.is_fitted("clip", column.name)
        if len(finite) < _MIN_VALUES or share <= limit or is_clipped:
            continue
        low, high = finite[~far].min(), finite[~far].max()
        findings.append(
            Finding(
                "col.outliers",
                Severity.WARNING,
                f"{column.name} has {share:.1%} of its values more than {deviations:g} robust deviations from the "
                f"median (the others lie between {low:.6g} and {high:.6g})",
                "are they real, and of the same unit? if not, mend the source, or limit them: "
                + prepare("clip", column.name, low=float(low), high=float(high)),
                column=column.name,
                count=int(far.sum()),
                share=share,
                threshold=limit,
                examples=tuple(f"{value:.6g}" for value in np.unique(finite[far])[[0, -1]]),
                places=context.places_at(np.flatnonzero(np.isfinite(numbers))[far]),
            )
        )
    return findings


def float32_collapse(_profile: Profile, context: Context) -> list[Finding]:
    """col.float32_collapse: whole numbers (ids, epoch seconds) that are the same to a learner."""
    findings = []
    limit = context.limit("col.float32_collapse", "warn")
    for column in _numbers(context):
        if (
            not column.integral
            or max(abs(float(column.minimum or 0)), abs(float(column.maximum or 0))) < _FLOAT32_WHOLE
        ):
            continue
        numbers = numbers_of(context.sampled(column.name))
        different = np.unique(numbers[np.isfinite(numbers) & (np.abs(numbers) < np.finfo(np.float32).max)])
        _, rounded, occur = np.unique(different.astype(np.float32), return_inverse=True, return_counts=True)
        lost = len(different) - len(occur)
        if not lost or lost / len(different) <= limit:
            continue
        findings.append(
            Finding(
                "col.float32_collapse",
                Severity.WARNING,
                f"{column.name} loses {lost:,} of {len(different):,} different values of the sample in float32, "
                "in which learners compute",
                "if it is a code, make it text in the source; if it is a time, make it a date there",
                column=column.name,
                measured=lost / len(different),
                threshold=limit,
                places=context.places(np.isin(numbers, different[occur[rounded] > 1])),
            )
        )
    return findings


def _numbers(context: Context) -> list[ColumnProfile]:
    return [column for column in context.columns if column.kind is ColumnKind.NUMBER and column.nulls < column.count]


def _value_counts(column: ColumnProfile, context: Context) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Different finite values in rising order, as float64 (dates in microseconds), and how often each occurs."""
    if column.values is not None and column.kind is ColumnKind.NUMBER:
        values = np.array([float(value) for value, _ in column.values], dtype=np.float64)
        counts = np.array([count for _, count in column.values], dtype=np.int64)
        keep = np.isfinite(values)
        order = np.argsort(values[keep])
        return values[keep][order], counts[keep][order]
    numbers: Any = numbers_of(context.sampled(column.name))
    different, counted = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    return different, counted


def _sentinel(column: ColumnProfile, found: Sentinel, profile: Profile, context: Context) -> Finding:
    is_date = column.kind is ColumnKind.DATETIME
    shown = str(np.datetime64(int(found.value), "us")).split("T", 1)[0] if is_date else f"{found.value:.10g}"
    numbers = numbers_of(profile.sample.column(column.name))
    return Finding(
        "col.sentinel",
        Severity.WARNING,
        f"{column.name} is {shown} in {found.share:.2%} of its values, far from all others: "
        "does it stand for a missing value?",
        "if it does, make it one: " + prepare("to_null", column.name, values=[shown if is_date else found.value]),
        column=column.name,
        count=found.count if column.values is not None or context.is_whole else None,
        share=found.share,
        threshold=context.limit("col.sentinel", "spike"),
        examples=(shown,),
        places=context.places(numbers == found.value),
    )


def _is_far(finite: Floats, deviations: float) -> npt.NDArray[np.bool_]:
    """Which values are so far from the median; what is never negative has to be so on a logarithmic scale too."""
    far = _is_far_in(finite, deviations)
    if not far.any() or finite.min() < 0:
        return far
    positive = finite[finite > 0]
    return far & _is_far_in(np.log1p(finite / np.median(positive)), deviations)


def _is_far_in(values: Floats, deviations: float) -> npt.NDArray[np.bool_]:
    distance = np.abs(values - np.median(values)) if len(values) else values
    middle, wide = np.quantile(distance, [0.5, 0.9]) if len(values) else (0.0, 0.0)
    deviation = max(middle / _OF_DEVIATION[0], wide / _OF_DEVIATION[1])
    # Where half of all values are equal there is no scale to measure a distance by.
    return np.asarray(distance > deviations * deviation) if middle else np.zeros(len(values), np.bool_)
