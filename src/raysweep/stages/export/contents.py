"""What there is to publish, and the files that it becomes in a folder of the driver's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from raysweep.bundle.signing import Signer
from raysweep.config import SweepConfig
from raysweep.documents import plain_record, plain_yaml, readable_json, to_yaml
from raysweep.records.manifest import GOLDEN_FILE, MODEL_FOLDER
from raysweep.records.published_check import final_check_document
from raysweep.records.trial import FittedModel, Trial
from raysweep.report.data_page import data_page
from raysweep.report.html_report import DATA_PAGE, html_report
from raysweep.report.model_card import model_card
from raysweep.report.view import ReportInput
from raysweep.stages.export.code_state import CodeState
from raysweep.stages.export.environment import environment, lock
from raysweep.stages.export.models import ask_gate, save_pipeline, served_document, write_shipped
from raysweep.stages.export.parity import NATIVE, Gate
from raysweep.stages.export.serving import SERVING_FILE, requirement_lines, serving_lines
from raysweep.stages.export.signature import make_signature
from raysweep.stages.export.split_document import split_document
from raysweep.stages.export.trials_table import write_trials
from raysweep.training.own_export import why_no_model
from raysweep.training.pipeline import pipeline_of
from raysweep.training.trial_data import RowBlock

TRIALS_FILE: Final = "trials.parquet"
SCHEMA_FILE: Final = "schema.yaml"


@dataclass(frozen=True, slots=True)
class BundleContents:
    """Everything that a sweep has to publish.

    Attributes:
        view: what the report shows; its empty fields say how far the sweep came.
        config: the resolved sweep.
        data_documents: path in the bundle -> document, such as `data/profile.json`.
        shipped: the fit that ships; None where there is no model.
        best: the best trials, fitted on training rows, the winner first.
        training: the training rows, for the golden file; None where there is no model.
        seen: the inputs of the rows that the shipped model was fitted on, an Arrow table; None where there is no model.
        signer: of the manifest; None where it is not signed.
        schema: the file of the user's own schema (`checks.schema`); None where there is none.
        lineage: the published runs that this one goes on from, oldest first.
    """

    view: ReportInput
    config: SweepConfig
    data_documents: Mapping[str, Any]
    shipped: FittedModel | None
    best: Sequence[FittedModel]
    training: RowBlock | None
    code: CodeState
    packages: Mapping[str, str]
    schema: bytes | None = None
    lineage: tuple[str, ...] = ()
    seen: Any = field(default=None, repr=False)
    signer: Signer | None = None


def write_contents(contents: BundleContents, folder: Path, gate: Gate | None = None) -> BundleContents:
    """Write every file of the bundle but the sums and the manifest.

    Args:
        contents: what there is.
        folder: an empty one.
        gate: the process that checks the forms of the model; None where no model is published.

    Returns:
        The contents, with what the gate has said, as the pages show it.
    """
    if gate is not None:
        _write_shipped(contents, folder, gate)
    _write_config(contents, folder)
    for path, document in contents.data_documents.items():
        _write(folder / path, readable_json(document))
    view, config = contents.view, contents.config
    if view.split is not None:
        document = split_document(view.split, view.task or view.aim)
        _write(folder / "data/split.json", readable_json(document))
    if view.search is not None and view.task is not None:
        write_trials(
            folder / TRIALS_FILE,
            view.search.trials,
            metric=view.task.metric.name,
            part=view.search.part,
            price=config.cluster.price_per_hour,
        )
    if view.final_check is not None:
        _write(folder / "final_check.json", readable_json(final_check_document(view.final_check)))
    _write_best(contents, folder)
    _write(folder / DATA_PAGE, data_page(view.data).encode())
    _write_code(contents.code, folder)
    contents = contents if gate is None else _judged(contents, folder, gate)
    _write(folder / "report.html", html_report(contents.view).encode())
    _write(folder / "MODEL_CARD.md", model_card(contents.view).encode())
    return contents


def trial_document(trial: Trial, metric: str, part: str) -> dict[str, Any]:
    """params.json: a candidate, and the score that its trial ended with."""
    candidate = trial.candidate
    return {
        "schema_version": 1,
        "trial": candidate.number,
        "family": candidate.family,
        "params": dict(candidate.params),
        "params_digest": candidate.digest,
        "seed": candidate.seed,
        "origin": candidate.origin,
        "rounds": trial.rungs[-1].rounds if trial.rungs else None,
        "state": trial.state.value,
        "scores": {"part": part, "metric": metric, **(plain_record(trial.rungs[-1].metrics) if trial.rungs else {})},
    }


def _write_config(contents: BundleContents, folder: Path) -> None:
    config = contents.config
    _write(folder / "config/sweep.yaml", to_yaml(standing_alone(config)).encode())
    if contents.schema is not None:
        _write(folder / "config" / SCHEMA_FILE, contents.schema)
    _write(folder / "config/space.yaml", plain_yaml(contents.view.config["search"]["space"]).encode())
    _write(folder / "config/environment.json", readable_json(plain_record(environment(contents.packages))))
    _write(folder / "config/requirements.lock", lock().encode())
    if contents.shipped is not None:
        metric, part = _scale(contents)
        document = trial_document(contents.shipped.trial, metric, part)
        _write(folder / "config/params.json", readable_json(document))


def standing_alone(config: SweepConfig) -> SweepConfig:
    """The config that reads the space and the user's schema from the files beside it, where it has its own."""
    if not isinstance(config.search.space, str):
        config = config.model_copy(update={"search": config.search.model_copy(update={"space": "space.yaml"})})
    if config.checks.schema_file is not None:
        config = config.model_copy(update={"checks": config.checks.model_copy(update={"schema_file": SCHEMA_FILE})})
    return config


def _write_shipped(contents: BundleContents, folder: Path, gate: Gate) -> None:
    """The model, its golden rows, and what serves it; the gate begins to look at them."""
    view, shipped = contents.view, contents.shipped
    if shipped is None or contents.training is None or view.task is None:
        raise ValueError("a gate without a model")
    rows = None if contents.config.export.rows == "none" else contents.training.features
    write_shipped(folder, shipped, view.task, rows)
    check = view.final_check
    facts = {
        "raysweep": contents.packages["raysweep"],
        "run_id": view.run_id,
        "bundle": view.bundle_address,
        "verdict": check.verdict.value if check is not None else "not checked",
        "metric": view.task.metric.name,
    }
    own = {"target": view.task.target, "run_id": view.run_id, "verdict": facts["verdict"], "version": facts["raysweep"]}
    said: dict[str, Any] = {"facts": tuple((f"raysweep.{key}", value) for key, value in own.items())}
    serving = serving_lines(shipped, view.task.rules)
    if "mlflow" in gate.formats:
        signature = make_signature(view.task, contents.seen)
        said["served"] = served_document(folder, shipped, signature, facts)
        said["requirements"] = requirement_lines(serving, contents.packages["raysweep"])
    ask_gate(gate, folder, shipped, view.task, said)
    _write(folder / "config" / SERVING_FILE, serving.encode())


def _judged(contents: BundleContents, folder: Path, gate: Gate) -> BundleContents:
    """The contents with what the gate has said; a model that is not published leaves nothing behind."""
    formats = gate.answers(folder)
    native = next(one for one in formats if one.name == NATIVE)
    if not native.published:
        (folder / GOLDEN_FILE).unlink()
        (folder / "config" / SERVING_FILE).unlink()
    why = "" if native.published else f"the parity gate refused it: {native.reason}"
    return replace(contents, view=replace(contents.view, formats=formats, without_model=why))


def _write_best(contents: BundleContents, folder: Path) -> None:
    if contents.shipped is None:
        return
    metric, part = _scale(contents)
    for rank, model in enumerate(contents.best, start=1):
        own = folder / f"best/{rank:02d}"
        without_model = why_no_model(pipeline_of(model))
        if not without_model:
            save_pipeline(pipeline_of(model), own / MODEL_FOLDER)
        document = {
            **trial_document(model.trial, metric, part),
            "fitted_on": model.fitted_on,
            "fitted_rows": model.rows,
            "without_model": without_model or None,
        }
        _write(own / "params.json", readable_json(document))


def _scale(contents: BundleContents) -> tuple[str, str]:
    view = contents.view
    if view.task is None or view.search is None:
        raise ValueError("a model without a task and a search")
    return view.task.metric.name, view.search.part


def _write_code(code: CodeState, folder: Path) -> None:
    _write(folder / "code/commit.json", readable_json(plain_record(code.record)))
    if code.diff:
        _write(folder / "code/diff.patch", code.diff)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
