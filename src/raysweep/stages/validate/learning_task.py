"""What is to be learned: the kind of task, the classes and their order, declared or inferred and said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from raysweep.config import DataConfig, SweepConfig, TaskKind
from raysweep.documents import shorten
from raysweep.errors import RequestInvalid
from raysweep.records.aims import aims_for
from raysweep.records.table import (
    Column,
    ColumnKind,
    ColumnProfile,
    Finding,
    Label,
    LearningTask,
    Preparation,
    Severity,
    Table,
)
from raysweep.rows.prepare_columns import needed_for

MAX_SHOWN: Final = 5
_MAX_CLASSES_OF_INTEGERS: Final = 20
_AFFIRMATIVE: Final = frozenset({"1", "true", "yes", "y", "t"})


@dataclass(frozen=True, slots=True)
class TargetReading:
    """What the target's values say.

    Attributes:
        kind: None where there are too few values to tell, or they cannot be learned.
        classes: in the order of their codes, the positive one last; empty for regression.
        said: how what was not declared has been inferred.
        findings: why the values cannot be learned as asked.
    """

    column: ColumnProfile
    kind: TaskKind | None = None
    classes: tuple[Label, ...] = ()
    class_counts: tuple[int, ...] = ()
    said: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def rows(self) -> int:
        """Rows that have a target."""
        return self.column.count - self.column.nulls


def read_target(column: ColumnProfile, data: DataConfig) -> TargetReading:
    """Decide the kind of task and the classes from the target's values.

    Raises:
        RequestInvalid: `data.positive` is not one of the classes, or the task has no positive class.
    """
    if column.distinct < 2:  # noqa: PLR2004 - target.constant and target.missing say so
        return TargetReading(column)
    kind = data.task or infer_kind(column)
    problem = _contradiction(column, kind)
    if problem is not None:
        return TargetReading(column, findings=(problem,))
    if data.positive is not None and kind is not TaskKind.BINARY:
        raise RequestInvalid(f"data.positive: a {kind.value} task has no positive class; leave it out")
    said = [] if data.task else [_say_kind(column, kind)]
    counts = _class_counts(column) if kind.is_classification else {}
    classes = _sorted_labels(counts)
    if kind is TaskKind.BINARY:
        positive, reason = _positive_of(classes, counts, data)
        classes = [*(label for label in classes if label != positive), positive]
        if reason:
            said.append(f"positive class: {label_text(positive)} (inferred: {reason}; set data.positive to change it)")
    return TargetReading(column, kind, tuple(classes), tuple(counts[label] for label in classes), tuple(said))


def learning_task(reading: TargetReading, features: tuple[Column, ...], config: SweepConfig) -> LearningTask:
    """The learning task of a target that can be learned, from rows that hold its features as they are.

    Raises:
        RequestInvalid: the metric does not fit the kind of task.
        ValueError: the target cannot be learned.
    """
    kind = reading.kind
    if kind is None:
        raise ValueError(f"the target {reading.column.name} cannot be learned")
    aims = aims_for(config.search, kind)
    return LearningTask(
        kind=kind,
        target=reading.column.name,
        metric=aims.metric,
        features=features,
        classes=reading.classes,
        class_counts=reading.class_counts,
        weight=config.data.weight,
        said=reading.said,
        objectives=aims.objectives,
        constraints=aims.constraints,
    )


def prepared_task(task: LearningTask, table: Table, config: SweepConfig) -> LearningTask:
    """The same task for rows of the table, whose columns become the features by the rules of `data.prepare`."""
    if not config.data.prepare:
        return task
    return replace(task, preparation=Preparation(*needed_for(task.features, table.columns, config.data.prepare)))


def infer_kind(column: ColumnProfile) -> TaskKind:
    """The kind of task that values like these usually mean."""
    if column.distinct <= 2:  # noqa: PLR2004
        return TaskKind.BINARY
    if column.kind is not ColumnKind.NUMBER:
        return TaskKind.MULTICLASS
    is_few = column.integral and column.distinct <= _MAX_CLASSES_OF_INTEGERS
    return TaskKind.MULTICLASS if is_few else TaskKind.REGRESSION


def label_text(label: Label) -> str:
    """A label as it is shown: text in quotes, numbers and booleans plain."""
    return shorten(repr(label))


def _say_kind(column: ColumnProfile, kind: TaskKind) -> str:
    if column.kind is ColumnKind.NUMBER and kind is TaskKind.REGRESSION:
        why = f"{column.distinct:,} different numbers"
    else:
        why = f"{column.distinct:,} values"
    return f"task: {kind.value} (inferred: {why}; set data.task to change it)"


def _contradiction(column: ColumnProfile, kind: TaskKind) -> Finding | None:
    """Why this column cannot be learned as this kind of task, if so."""
    name = column.name
    if column.kind in {ColumnKind.DATETIME, ColumnKind.NESTED}:
        what = "dates" if column.kind is ColumnKind.DATETIME else "lists or structs"
        return _refusal(
            column, f"the target {name} holds {what}, which cannot be predicted", "choose another data.target"
        )
    if column.infinite:
        message = f"the target {name} is infinite in {column.infinite:,} rows"
        return _refusal(column, message, "set them to null or to the right number in the source")
    if kind is TaskKind.REGRESSION and column.kind is not ColumnKind.NUMBER:
        message = f"data.task is regression, but the target {name} holds {column.kind.value} values, not numbers"
        return _refusal(column, message, f"set data.task: {infer_kind(column).value}")
    if kind is TaskKind.BINARY and column.distinct != 2:  # noqa: PLR2004
        message = f"data.task is binary, but the target {name} has {column.distinct:,} values"
        return _refusal(column, message, f"set data.task: {infer_kind(column).value}, or mend the values")
    if kind.is_classification and column.values is None:
        message = f"the target {name} has about {column.distinct:,} classes, too many to tell apart"
        return _refusal(column, message, "group rare classes, or set data.task: regression where they are numbers")
    return None


def _refusal(column: ColumnProfile, message: str, advice: str) -> Finding:
    examples = tuple(label_text(label) for label, _ in (column.values or ())[:MAX_SHOWN])
    shown = f" (such as {', '.join(examples)})" if examples else ""
    return Finding("target.kind", Severity.ERROR, message + shown, advice, column=column.name, examples=examples)


def _class_counts(column: ColumnProfile) -> dict[Label, int]:
    """Rows by label; whole numbers as int, so that 1 and 1.0 (a column with nulls) are one label."""
    return {
        int(label) if isinstance(label, float) and _is_whole(label) else label: count
        for label, count in column.values or ()
    }


def _is_whole(number: float) -> bool:
    return number.is_integer() and abs(number) < 2.0**53


def _sorted_labels(labels: dict[Label, int]) -> list[Label]:
    return sorted(labels, key=lambda label: (label, "") if not isinstance(label, str) else (0, label))


def _positive_of(classes: Sequence[Label], counts: dict[Label, int], data: DataConfig) -> tuple[Label, str]:
    """The positive class, and why it was chosen ("" where it was declared)."""
    if data.positive is not None:
        return _declared_positive(classes, data.positive), ""
    affirmative = [label for label in classes if str(label).strip().lower() in _AFFIRMATIVE]
    if len(affirmative) == 1:
        return affirmative[0], f"beside {label_text(next(label for label in classes if label != affirmative[0]))}"
    first, last = classes
    if counts[first] < counts[last]:
        return first, f"the rarer, {counts[first]:,} rows"
    reason = "the rarer" if counts[last] < counts[first] else "the last in order, both have"
    return last, f"{reason}, {counts[last]:,} rows"


def _declared_positive(classes: Sequence[Label], wanted: Label) -> Label:
    exact = [label for label in classes if label == wanted]
    alike = [label for label in classes if str(label).casefold() == str(wanted).casefold()]
    for found in (exact, alike):
        if len(found) == 1:
            return found[0]
    known = ", ".join(label_text(label) for label in classes)
    raise RequestInvalid(f"data.positive: {label_text(wanted)} is not a value of the target (values: {known})")
