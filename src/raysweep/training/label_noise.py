"""Wrong labels: how many there probably are, and which score they still allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from raysweep.records.metric import Metric
from raysweep.training.learner import Floats
from raysweep.training.probes import label_errors

_FEWEST_ROWS: Final = 200
_SURER, _MOST = 0.25, 0.75  # shares of the rows, the surest first
_LEAST_KNOWN: Final = 0.3
_LEVEL: Final = 1.35


def mislabelled_rows(y: Floats, probability: Floats) -> npt.NDArray[np.bool_]:
    """Rows whose label is probably wrong, by confident learning (Northcutt, Jiang & Chuang 2021), shape (rows,).

    A row counts as a class where that class is at least as probable as it is on average among the rows labelled so; of
    several such classes as the most probable one. Its label is wrong where it counts as another class.

    Args:
        y: class codes as labelled, shape (rows,).
        probability: by a model that was not fitted on these rows, shape (rows, classes).
    """
    codes, classes = y.astype(np.int64), probability.shape[1]
    labelled = np.bincount(codes, minlength=classes)
    sums = np.bincount(codes, weights=probability[np.arange(len(codes)), codes], minlength=classes)
    usual = np.divide(sums, labelled, out=np.full(classes, np.inf), where=labelled > 0)
    candidate = np.where(probability >= usual, probability, -1.0)
    return np.asarray((candidate.max(axis=1) >= 0) & (candidate.argmax(axis=1) != codes), dtype=np.bool_)


def mislabelled_share(y: Floats, probability: Floats) -> float:
    """The share of rows whose label is probably wrong; 0 where classes that merely overlap explain what is seen.

    Confident learning counts rows between overlapping classes, too. So its share is held to the rate at which labels
    contradict even the surest predictions, which wrong labels do as often as they do elsewhere (`label_errors`). Where
    features say little, labels contradict any prediction; so a model has to know something, and of most rows about as
    much as of the surest (`is_level`).

    Args:
        y: class codes as labelled, shape (rows,).
        probability: by a model that was not fitted on these rows, shape (rows, classes).
    """
    if not is_level(y, probability):
        return 0.0
    surest = label_errors(y, probability)
    return min(float(mislabelled_rows(y, probability).mean()), surest.rate) if surest.low > 0 else 0.0


def is_level(y: Floats, probability: Floats) -> bool:
    """Whether a model knows something, and of most rows hardly less than of those that it is surest of.

    What is known of a row is how far its label is told, from 0 at the class's share to 1. Where classes overlap, or
    features say little, it falls from the surest rows on; where labels are wrong at random it is 1 less their share for
    all rows but those near the border.

    Args:
        y: class codes as labelled, shape (rows,).
        probability: by a model that was not fitted on these rows, shape (rows, classes).

    Returns:
        False with fewer than 200 rows, or one class.
    """
    codes, rows = y.astype(np.int64), np.arange(len(y))
    shares = np.bincount(codes, minlength=probability.shape[1]) / max(1, len(y))
    if len(y) < _FEWEST_ROWS or shares.max() == 1:
        return False
    lifts = (probability - shares) / (1 - shares)
    called = lifts.argmax(axis=1)
    known = ((called == codes) - shares[called]) / (1 - shares[called])
    order = np.argsort(-lifts[rows, called], kind="stable")
    surest, most = (float(known[order[: round(share * len(y))]].mean()) for share in (_SURER, _MOST))
    return surest >= _LEAST_KNOWN and surest <= _LEVEL * most


def noise_ceiling(metric: Metric, y: Floats, classes: int, share: float) -> float | None:
    """The score of a model that knows every true class, where this share of labels is wrong.

    Wrong labels are taken to be spread evenly: each row's with the same chance, and each other class as likely.

    Args:
        metric: the sweep's.
        y: class codes as labelled, shape (rows,).
        classes: how many; 0 for numbers.
        share: of wrong labels.

    Returns:
        None for numbers, and where so many wrong labels cannot be spread evenly: a class is rarer than they would make
        it, one does not occur at all, or a label says nothing any more.
    """
    if metric.name not in _CEILINGS or not len(y) or not 0 <= share < (classes - 1) / classes:
        return None
    labelled = np.bincount(y.astype(np.int64), minlength=classes) / len(y)
    slipped = share / (classes - 1)
    true = (labelled - slipped) / (1 - share - slipped)
    if (true < 0).any() or not labelled.all():
        return None
    return float(_CEILINGS[metric.name](_Noisy(share, classes, true, labelled)))


@dataclass(frozen=True, slots=True)
class _Noisy:
    """Wrong labels that are spread evenly.

    Attributes:
        true, labelled: share of each class, in truth and as labelled.
    """

    share: float
    classes: int
    true: Floats
    labelled: Floats

    @property
    def recall(self) -> Floats:
        """Of the rows labelled as a class: the share that are of it."""
        return self.true * (1 - self.share) / self.labelled

    @property
    def f1(self) -> Floats:
        """Of each class; the precision of a model that knows the truth is the share of right labels."""
        precision = 1 - self.share
        return 2 * precision * self.recall / (precision + self.recall)

    @property
    def area(self) -> Floats:
        """ROC AUC of each class against the others: rows of it before all others, ties counted half."""
        false_alarms = self.true * self.share / (1 - self.labelled)
        return (1 + self.recall - false_alarms) / 2

    @property
    def entropy(self) -> float:
        """Of a label, given the truth."""
        terms = ((1 - self.share, 1), (self.share / (self.classes - 1), self.classes - 1))
        return -sum(times * chance * math.log(chance) for chance, times in terms if chance > 0)

    def average_precision(self) -> float:
        """True positives first, at the precision of right labels; then the rest, at that of all rows."""
        recall, prior = float(self.recall[-1]), float(self.labelled[-1])
        return recall * (1 - self.share) + (1 - recall) * prior


_CEILINGS: Final[Mapping[str, Callable[[_Noisy], float]]] = {
    "roc_auc": lambda noisy: float(noisy.area.mean()),
    "roc_auc_ovr": lambda noisy: float(noisy.area.mean()),
    "average_precision": lambda noisy: noisy.average_precision(),
    "brier": lambda noisy: noisy.share * (1 - noisy.share),
    "log_loss": lambda noisy: noisy.entropy,
    "accuracy": lambda noisy: 1 - noisy.share,
    "balanced_accuracy": lambda noisy: float(noisy.recall.mean()),
    "f1": lambda noisy: float(noisy.f1[-1]),
    "f1_macro": lambda noisy: float(noisy.f1.mean()),
}
