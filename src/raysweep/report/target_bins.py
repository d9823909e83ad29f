"""The target against a feature: what is seen of the target in each bin of the feature."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from raysweep.config import TaskKind
from raysweep.records.table import LearningTask
from raysweep.report.feature_bins import Bins, Floats, label_text

SHOWN_CLASSES: Final = 7
_Z: Final = 1.96  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Spot:
    """A value with an interval around it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Target:
    """The target of the rows that may be shown.

    Attributes:
        values: 0 and 1, codes of classes, or numbers; NaN where missing.
        labels: of the classes.
        overall: the share of the positive class, or the mean.
    """

    name: str
    kind: TaskKind
    values: Floats
    labels: tuple[str, ...]
    overall: float

    @property
    def said(self) -> str:
        """What is drawn of it."""
        if self.kind is TaskKind.BINARY:
            return f"share of {self.name} = {self.labels[-1]}"
        return (
            f"share of each {self.name}" if self.kind is TaskKind.MULTICLASS else f"mean and quartiles of {self.name}"
        )


def target_of(task: LearningTask, values: Any, name: str) -> Target | None:
    """The target's values as numbers; None where none is known.

    Args:
        task: what the target can be learned as.
        values: the Arrow column of the rows that may be shown.
        name: what to call it.
    """
    if task.kind.is_classification:
        numbers, labels = _class_codes(task, values)
    else:
        numbers, labels = np.asarray(values.cast("float64", safe=False), np.float64), ()
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        overall = float(known.mean())
    return Target(name, task.kind, numbers, labels, overall) if np.isfinite(overall) else None


def _class_codes(task: LearningTask, values: Any) -> tuple[Floats, tuple[str, ...]]:
    """The classes by their code; where they are many, the most frequent ones and all others together."""
    shown = list(task.classes)
    if len(shown) > SHOWN_CLASSES:
        frequent = sorted(range(len(shown)), key=lambda code: -task.class_counts[code])[: SHOWN_CLASSES - 1]
        shown = [shown[code] for code in sorted(frequent)]
    others = len(shown) < len(task.classes)
    codes = {label: code for code, label in enumerate(shown)}
    unknown = len(shown) if others else np.nan
    numbers = [np.nan if value is None else codes.get(value, unknown) for value in values.to_pylist()]
    labels = [label_text(label) for label in shown] + (["other classes"] if others else [])
    return np.asarray(numbers, np.float64), tuple(labels)


def spots_of(bins: Bins, target: Target) -> list[Spot | None]:
    """For each bin the share of the positive class with its 95 % interval (Wilson), or the mean with the quartiles."""
    known = (bins.codes >= 0) & ~np.isnan(target.values)
    order = np.argsort(bins.codes[known], kind="stable")
    codes, values = bins.codes[known][order], target.values[known][order]
    ends = np.searchsorted(codes, np.arange(len(bins.labels) + 1))
    each = [values[begin:end] for begin, end in pairwise(ends)]
    spot = _share if target.kind is TaskKind.BINARY else _mean
    return [spot(one) if len(one) else None for one in each]


def class_shares(bins: Bins, target: Target) -> npt.NDArray[np.float64]:
    """The share of each class in each bin; shape (bins, classes), NaN for a bin without a known target."""
    classes = len(target.labels)
    known = (bins.codes >= 0) & ~np.isnan(target.values)
    cells = bins.codes[known] * classes + target.values[known].astype(np.int64)
    counts = np.bincount(cells, minlength=len(bins.labels) * classes).reshape(-1, classes)
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0), np.float64)


def _share(values: Floats) -> Spot | None:
    rows, share = len(values), float(values.mean())
    middle = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z / (1 + _Z**2 / rows) * float(np.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2)))
    return Spot(share, max(0.0, middle - half), min(1.0, middle + half))


def _mean(values: Floats) -> Spot | None:
    with np.errstate(over="ignore", invalid="ignore"):
        found = Spot(float(values.mean()), *(float(one) for one in np.quantile(values, [0.25, 0.75])))
    return found if np.isfinite([found.value, found.low, found.high]).all() else None
