"""The metrics by name: which task each fits, which direction is better. `training/metrics.py` computes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from raysweep.config import TaskKind
from raysweep.documents import suggest
from raysweep.errors import RequestInvalid

_CLASSES = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})
_BINARY = frozenset({TaskKind.BINARY})
_MULTICLASS = frozenset({TaskKind.MULTICLASS})
_NUMBERS = frozenset({TaskKind.REGRESSION})


class Direction(StrEnum):
    """Which end of a metric is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


@dataclass(frozen=True, slots=True)
class Metric:
    """A way of scoring predictions.

    Attributes:
        name: as in the sweep file.
        tasks: the tasks it fits.
        direction: which end is better.
        perfect: the score of a perfect model.
        needs_probability: whether it looks at probabilities, not at the predicted class.
    """

    name: str
    tasks: frozenset[TaskKind]
    direction: Direction
    perfect: float
    needs_probability: bool = False

    @property
    def sign(self) -> int:
        """+1 where more is better, -1 where less is better."""
        return 1 if self.direction is Direction.MAXIMIZE else -1

    def is_better(self, score: float, other: float) -> bool:
        """Whether `score` beats `other`."""
        return self.sign * score > self.sign * other


_ALL = (
    Metric("roc_auc", _BINARY, Direction.MAXIMIZE, 1.0, needs_probability=True),
    Metric("average_precision", _BINARY, Direction.MAXIMIZE, 1.0, needs_probability=True),
    Metric("brier", _BINARY, Direction.MINIMIZE, 0.0, needs_probability=True),
    Metric("roc_auc_ovr", _MULTICLASS, Direction.MAXIMIZE, 1.0, needs_probability=True),
    Metric("log_loss", _CLASSES, Direction.MINIMIZE, 0.0, needs_probability=True),
    Metric("accuracy", _CLASSES, Direction.MAXIMIZE, 1.0),
    Metric("balanced_accuracy", _CLASSES, Direction.MAXIMIZE, 1.0),
    Metric("f1", _BINARY, Direction.MAXIMIZE, 1.0),
    Metric("f1_macro", _CLASSES, Direction.MAXIMIZE, 1.0),
    Metric("rmse", _NUMBERS, Direction.MINIMIZE, 0.0),
    Metric("mae", _NUMBERS, Direction.MINIMIZE, 0.0),
    Metric("r2", _NUMBERS, Direction.MAXIMIZE, 1.0),
)
METRICS = {metric.name: metric for metric in _ALL}
# What using a model costs, which may be weighed against its score or bounded: `training/costs.py` measures it.
COSTS = {
    name: Metric(name, frozenset(TaskKind), Direction.MINIMIZE, 0.0) for name in ("prediction_seconds", "size_bytes")
}
DEFAULT_METRIC = {
    TaskKind.BINARY: "roc_auc",
    TaskKind.MULTICLASS: "log_loss",
    TaskKind.REGRESSION: "rmse",
}


def check_metric_name(name: str | None) -> None:
    """Refuse a metric that does not exist, which can be said before the data are read.

    Raises:
        RequestInvalid: naming the closest one.
    """
    if name is not None and name not in METRICS:
        raise RequestInvalid(_unknown(name, "search.metric", METRICS))


def metric_for(name: str | None, task: TaskKind) -> Metric:
    """The metric called `name`, or the default of the task.

    Raises:
        RequestInvalid: there is no such metric, or it does not fit the task.
    """
    check_metric_name(name)
    return fitting(METRICS[name or DEFAULT_METRIC[task]], task, "search.metric")


def find_metric(name: str, path: str) -> Metric:
    """The metric or cost called `name`.

    Args:
        name: of the metric or cost.
        path: in the sweep file, where the name stands.

    Raises:
        RequestInvalid: there is none, naming the closest one.
    """
    known = METRICS | COSTS
    if name not in known:
        raise RequestInvalid(_unknown(name, path, known))
    return known[name]


def fitting(metric: Metric, task: TaskKind, path: str) -> Metric:
    """The metric, if it fits the task.

    Raises:
        RequestInvalid: it does not; names those that do.
    """
    if task not in metric.tasks:
        fitting = ", ".join(other.name for other in metrics_for(task))
        raise RequestInvalid(
            f"{path}: {metric.name} does not fit a {task.value} task; use one of {fitting}, or set data.task"
        )
    return metric


def _unknown(name: str, path: str, known: Iterable[str]) -> str:
    return f"{path}: there is no metric {name!r} (known: {', '.join(known)}){suggest(name, known)}"


def metrics_for(task: TaskKind) -> tuple[Metric, ...]:
    """Every metric that fits the task."""
    return tuple(metric for metric in _ALL if task in metric.tasks)
