"""The kind of task, the classes, the features: declared, or inferred and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import clean_table, profile_of, sweep_config
from planted_faults import check_frame
from raysweep.config import TaskKind
from raysweep.errors import RequestInvalid
from raysweep.records.table import Severity, Suitability
from raysweep.stages.validate.learning_task import TargetReading, read_target

ROWS = 1_000
NAMES = ["amount", "age", "visits", "balance", "city", "plan", "member", "joined"]


def read_values(values: Any, **data: Any) -> TargetReading:
    frame = pd.DataFrame({"target": values})
    return read_target(profile_of(frame).column("target"), sweep_config(**data).data)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1] * 50, TaskKind.BINARY),
        ([True, False] * 50, TaskKind.BINARY),
        (["a", "b"] * 50, TaskKind.BINARY),
        ([0.5, 1.5] * 50, TaskKind.BINARY),
        (["a", "b", "c"] * 50, TaskKind.MULTICLASS),
        ([1, 2, 3] * 50, TaskKind.MULTICLASS),
        ([1.0, 2.0, 3.0, None] * 50, TaskKind.MULTICLASS),
        (list(range(20)) * 5, TaskKind.MULTICLASS),
        (list(range(21)) * 5, TaskKind.REGRESSION),
        ([0.5, 1.0, 2.0] * 50, TaskKind.REGRESSION),
    ],
)
def test_the_kind_is_inferred_and_said(values, kind):
    reading = read_values(values)
    assert reading.kind is kind
    assert reading.said[0].startswith(f"task: {kind.value} (inferred: ")
    assert "set data.task to change it" in reading.said[0]


def test_a_declared_kind_is_not_said():
    reading = read_values([1, 2, 3] * 50, task="regression")
    assert (reading.kind, reading.said, reading.classes) == (TaskKind.REGRESSION, (), ())


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([0, 1, 0], (0, 1)),
        ([1.0, 0.0, None], (0, 1)),
        ([True, False, None], (False, True)),
        (["no", "Yes", "no"], ("no", "Yes")),
        (["Y", "n", "n"], ("n", "Y")),
        (["b", "b", "a"], ("b", "a")),
        (["a", "b", "a"], ("a", "b")),
        (["a", "b"], ("a", "b")),
        ([10, 9, 10, 11], (9, 10, 11)),
        (["10", "9", "é"], ("10", "9", "é")),
    ],
)
def test_classes_are_sorted_and_the_positive_one_is_last(values, classes):
    reading = read_values(values)
    assert reading.classes == classes
    assert [type(label) for label in reading.classes] == [type(label) for label in classes]
    present = [value for value in values if value is not None]
    assert reading.class_counts == tuple(present.count(label) for label in classes)


@pytest.mark.parametrize(
    ("values", "positive", "last"),
    [
        ([0, 1], 0, 0),
        ([1.0, 0.0, None], "0", 0),
        (["x", "y"], "X", "x"),
        ([True, False], False, False),
        ([1, 2], 1.0, 1),
    ],
)
def test_a_declared_positive_class_is_last(values, positive, last):
    reading = read_values(values, positive=positive)
    assert reading.classes[-1] == last
    assert not any(sentence.startswith("positive") for sentence in reading.said)


def test_a_positive_class_that_is_no_value_is_refused():
    with pytest.raises(RequestInvalid, match=r"'maybe' is not a value of the target .values: 'no', 'yes'"):
        read_values(["yes", "no"], positive="maybe")
    with pytest.raises(RequestInvalid, match="regression task has no positive class"):
        read_values(np.arange(100) / 3, positive=1)


def test_the_task_of_a_clean_table():
    task = check_frame(clean_table(ROWS, 1), weight="amount").task
    assert (task.kind, task.metric.name, task.weight, task.positive) == (
        TaskKind.BINARY,
        "roc_auc",
        "amount",
        1,
    )
    assert [column.name for column in task.features] == NAMES[1:]
    assert task.said == (
        "task: binary (inferred: 2 values; set data.task to change it)",
        "positive class: 1 (inferred: beside 0; set data.positive to change it)",
    )


def test_an_absent_target_is_a_finding():
    check = check_frame(clean_table(ROWS, 1), target="Tagret")
    first, *others = check.findings
    assert (first.check, first.severity, check.task) == ("schema.missing_column", Severity.ERROR, None)
    assert "did you mean 'target'" in first.message
    assert {finding.severity for finding in others} == {Severity.SKIPPED, Severity.INFORMATION}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"features": {"include": ["amuont"]}}, "data.features.include: .*did you mean 'amount'"),
        ({"features": {"exclude": ["agge"]}}, "data.features.exclude: .*did you mean 'age'"),
        ({"features": {"include": ["age"], "exclude": ["age"]}}, "both included and excluded"),
        ({"weight": "amuont"}, "data.weight: .*did you mean 'amount'"),
        ({"weight": "city"}, "'city' holds values of kind string, not numbers"),
        ({"weight": "age", "features": {"include": ["age", "city"]}}, "holds the weight 'age'"),
        ({"split": {"key": ["idd"]}}, "split.key: there is no column 'idd'"),
        ({"search": {"metric": "rmse"}}, "rmse does not fit a binary task"),
    ],
)
def test_requests_for_what_is_not_there_are_refused(data, said):
    with pytest.raises(RequestInvalid, match=said):
        check_frame(clean_table(ROWS, 1), **data)


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (np.where(np.arange(ROWS) == 5, np.nan, 1.0), "missing in 1 of 1,000 rows"),
        (np.where(np.arange(ROWS) == 5, -2.0, 1.0), "negative in places (down to -2)"),
        (np.where(np.arange(ROWS) == 5, np.inf, 1.0), "infinite in 1 of"),
        (np.zeros(ROWS), "0 in every row"),
    ],
)
def test_weights_that_cannot_be_are_findings(weight, said):
    check = check_frame(clean_table(ROWS, 1).assign(w=weight), weight="w")
    assert check.suitability is Suitability.UNSUITABLE
    assert check.findings[0].check == "schema.weight"
    assert said in check.findings[0].message


def test_no_feature_left_is_a_finding():
    check = check_frame(clean_table(ROWS, 1).assign(one=1), features={"include": ["one"], "exclude": []})
    assert check.left_out == {}
    check = check_frame(clean_table(ROWS, 1).assign(one=1), features={"exclude": NAMES})
    assert (check.findings[0].check, check.findings[0].severity) == ("schema.no_features", Severity.ERROR)
    assert set(check.left_out) == {"one"}
