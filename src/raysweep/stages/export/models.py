"""The model that ships, in every form that is asked for, and what the parity gate is asked about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from raysweep.records.manifest import GOLDEN_FILE, MODEL_FOLDER, Signature
from raysweep.records.served_model import ServedModel
from raysweep.records.table import LearningTask
from raysweep.records.trial import FittedModel
from raysweep.stages.export.golden import write_golden
from raysweep.stages.export.model_record import model_record
from raysweep.stages.export.parity import Gate, ParityRequest
from raysweep.stages.export.publish import list_artifacts
from raysweep.training.families import families, is_shipped
from raysweep.training.learner import FitSetting
from raysweep.training.pipeline import Pipeline, pipeline_of


def save_pipeline(pipeline: Pipeline, folder: Path) -> None:
    """Write the native form into a folder that does not exist yet."""
    folder.mkdir(parents=True)
    pipeline.save(folder)


def write_shipped(folder: Path, shipped: FittedModel, task: LearningTask, rows: pa.Table | None) -> None:
    """Write the native form, and golden.parquet.

    Args:
        folder: of the bundle.
        shipped: the fit.
        task: what it has learned.
        rows: training rows for golden.parquet; None: made-up ones.
    """
    pipeline = pipeline_of(shipped)
    save_pipeline(pipeline, folder / MODEL_FOLDER)
    write_golden(folder / GOLDEN_FILE, pipeline, task.inputs, rows)


def ask_gate(gate: Gate, folder: Path, shipped: FittedModel, task: LearningTask, said: Mapping[str, Any]) -> None:
    """Let the gate begin; the native form and golden.parquet are written.

    Args:
        gate: the process.
        folder: of the bundle.
        shipped: the fit.
        task: what it has learned.
        said: what the other forms say beside the model: `served`, `requirements` and `facts` of `ParityRequest`.
    """
    family = families()[pipeline_of(shipped).family]
    candidate = shipped.trial.candidate
    setting = FitSetting(
        task.kind, len(task.classes), candidate.seed, 1, pipeline_of(shipped).learner.rounds or 1, task.metric.name
    )
    gate.ask(
        ParityRequest(
            folder=str(folder),
            formats=gate.formats,
            family=family.name,
            added=() if is_shipped(family.name) else (family,),
            setting=setting,
            inputs=task.inputs,
            classes=task.classes,
            **said,
        )
    )


def served_document(folder: Path, shipped: FittedModel, signature: Signature, facts: Mapping[str, str]) -> str:
    """What a copy of the native form says of itself, as JSON.

    Args:
        folder: of the bundle; the native form is written.
        shipped: the fit.
        signature: of the model.
        facts: raysweep, run_id, bundle, verdict and metric.
    """
    files = list_artifacts(folder / MODEL_FOLDER)
    record = model_record(shipped, [one.path for one in files])
    document = ServedModel(schema_version=1, signature=signature, model=record, files=files, **facts)
    return document.model_dump_json()
