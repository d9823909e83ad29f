"""Fitted pipelines of every family on a small table, and the models that loading them would give: without a sweep."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa

from builders import arrow_of, clean_table
from raysweep.bundle.load import Model
from raysweep.config import TaskKind
from raysweep.records.metric import metric_for
from raysweep.records.table import LearningTask
from raysweep.stages.export.signature import make_signature
from raysweep.training.families import families
from raysweep.training.learner import FitSetting
from raysweep.training.pipeline import Pipeline
from raysweep.training.trial_data import RowBlock, encode

ROWS, FITTED, ROUNDS = 300, 240, 30


@cache
def source_frame(kind: TaskKind) -> pd.DataFrame:
    """The clean table with gaps of every kind, and a category that only the last rows have."""
    frame = clean_table(ROWS, seed=1, task=kind.value)
    frame["city"] = frame["city"].astype(object)
    frame.loc[ROWS - 10 :, "city"] = "Ōsaka"
    frame.loc[::7, "joined"] = pd.NaT
    frame["member"] = frame["member"].astype(object).where(frame.index % 9 != 0, None)
    return frame


@cache
def task_and_rows(kind: TaskKind) -> tuple[LearningTask, RowBlock]:
    """The task, and the rows that are fitted on."""
    frame = source_frame(kind)
    arrow, columns = arrow_of(frame)
    features = tuple(column for column in columns if column.name != "target")
    target = frame["target"].to_numpy()
    classes = () if kind is TaskKind.REGRESSION else tuple(np.unique(target).tolist())
    y = np.searchsorted(classes, target).astype(float) if classes else target.astype(float)
    task = LearningTask(kind, "target", metric_for(None, kind), features, classes, (1,) * len(classes))
    block = RowBlock(arrow.select([column.name for column in features]), y, None)
    return task, block.take(slice(0, FITTED))


@cache
def fitted_pipeline(name: str, kind: TaskKind, encoding: str | None = None, rounds: int = ROUNDS) -> Pipeline:
    """A family with its defaults."""
    family = families()[name]
    task, block = task_and_rows(kind)
    params = {**family.defaults, **({} if encoding is None else {"encoding": encoding})}
    encoded = encode(task, block, None, str(params["encoding"]), scaled=family.scaled, seed=0)
    learner = family.load_learner()(params, FitSetting(kind, len(task.classes), 1, 1, rounds, task.metric.name))
    learner.grow(encoded.fit, 1.0)
    return Pipeline(name, encoded.preparation, encoded.preprocessor, learner)


def fitted_model(name: str, kind: TaskKind) -> Model:
    """A new model of a fitted pipeline, as loading gives it."""
    task, block = task_and_rows(kind)
    return Model("memory:", make_signature(task, block.features), "adequate", fitted_pipeline(name, kind))


def every_input(kind: TaskKind) -> pa.Table:
    """All rows, those that were not fitted on too, as a loaded model gets them: numbers are float64."""
    arrow = arrow_of(source_frame(kind))[0].select([one.name for one in task_and_rows(kind)[0].inputs])
    wide = [pa.field(one.name, pa.float64() if pa.types.is_integer(one.type) else one.type) for one in arrow.schema]
    return arrow.cast(pa.schema(wide))
