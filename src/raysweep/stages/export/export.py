"""Stage 7: write the files, describe them in the manifest, publish. Also for a sweep that ended without a model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from raysweep.documents import digest, plain_record, readable_json
from raysweep.prepare_rules import rule_documents
from raysweep.records.final_check import FinalCheck
from raysweep.records.manifest import (
    MODEL_FOLDER,
    SCHEMA_VERSION,
    Artifact,
    ColumnRecord,
    DataRecord,
    FileRecord,
    FinalCheckRecord,
    FormatRecord,
    GateRecord,
    Manifest,
    NodeRecord,
    SearchRecord,
    UsageRecord,
    WaivedFinding,
)
from raysweep.records.table import Severity
from raysweep.records.trial import SearchOutcome
from raysweep.stages.export.attestations import FOLDER, data_attestation, final_attestation
from raysweep.stages.export.contents import TRIALS_FILE, BundleContents, write_contents
from raysweep.stages.export.environment import environment
from raysweep.stages.export.model_record import model_record
from raysweep.stages.export.parity import NATIVE, Gate
from raysweep.stages.export.publish import Claim, list_artifacts, publish, seal
from raysweep.stages.export.signature import make_signature
from raysweep.stages.export.split_document import split_record
from raysweep.storage.store import Store
from raysweep.training.own_export import why_no_model
from raysweep.training.pipeline import pipeline_of


@dataclass(frozen=True, slots=True)
class Exported:
    """What was published.

    Attributes:
        url: the bundle's address.
        without_model: why it holds no model though one was checked finally; empty where it holds one.
        formats: the forms of the model that were asked for, and what the parity gate said of each.
    """

    url: str
    without_model: str = ""
    formats: tuple[FormatRecord, ...] = ()


def export_bundle(
    contents: BundleContents, folder: Path, store: Store, claim: Claim | None = None, gate: Gate | None = None
) -> Exported:
    """Publish what the sweep has.

    Args:
        contents: what there is.
        folder: an empty folder of the driver's.
        store: the run's own place.
        claim: as in `publish`.
        gate: the process that checks the forms of the model; None where there is no model.

    Raises:
        RunTakenOver: another driver goes on with the run, or has published it.
        StorageFailed: the store refuses; `folder` then holds the whole bundle.
    """
    if contents.shipped is not None:
        reason = why_no_model(pipeline_of(contents.shipped))
        contents = replace(contents, view=replace(contents.view, without_model=reason))
    contents = write_contents(contents, folder, None if contents.view.without_model else gate)
    artifacts = list_artifacts(folder)
    _write_attestations(contents, artifacts, folder)
    seal(make_manifest(contents, list_artifacts(folder, artifacts)), folder, contents.signer)
    publish(folder, store, claim)
    return Exported(store.address(), contents.view.without_model, contents.view.formats)


def _write_attestations(contents: BundleContents, artifacts: tuple[Artifact, ...], folder: Path) -> None:
    view = contents.view
    documents = {"data-checks.json": data_attestation(view.check, view.table, view.profile, artifacts)}
    if view.final_check is not None and contents.shipped is not None and not view.without_model:
        documents["final-check.json"] = final_attestation(view.final_check, artifacts)
    (folder / FOLDER).mkdir()
    for name, document in documents.items():
        (folder / FOLDER / name).write_bytes(readable_json(document))


def make_manifest(contents: BundleContents, artifacts: tuple[Artifact, ...]) -> Manifest:
    """The manifest of these files."""
    view = contents.view
    shipped = None if view.without_model else contents.shipped
    return Manifest(
        schema_version=SCHEMA_VERSION,
        raysweep=contents.packages["raysweep"],
        run_id=view.run_id,
        name=view.name,
        created=view.created,
        outcome=view.outcome,
        artifacts=_formatted(artifacts, view.formats),
        formats=view.formats,
        signature=None if contents.shipped is None or view.task is None else make_signature(view.task, contents.seen),
        model=None if shipped is None else model_record(shipped, _native(artifacts, view.formats)),
        without_model=view.without_model,
        data=_data(contents),
        split=None if view.split is None else split_record(view.split, view.task or view.aim),
        search=None if view.search is None else _search(view.search, contents, artifacts),
        final_check=None if view.final_check is None else _final_check(view.final_check),
        usage=None if view.usage is None else UsageRecord(**plain_record(view.usage)),
        config_sha256=digest(view.config),
        code=contents.code.record,
        environment=environment(contents.packages),
        signing=None if contents.signer is None else contents.signer.record,
        lineage=contents.lineage,
    )


def _formatted(artifacts: tuple[Artifact, ...], formats: tuple[FormatRecord, ...]) -> tuple[Artifact, ...]:
    """The artifacts, those of the model's forms with what the parity gate measured."""
    form = {path: one for one in formats for path in one.files}
    return tuple(
        artifact.model_copy(
            update={"format": form[artifact.path].name, "parity_difference": form[artifact.path].difference}
        )
        if artifact.path in form
        else artifact
        for artifact in artifacts
    )


def _native(artifacts: tuple[Artifact, ...], formats: tuple[FormatRecord, ...]) -> tuple[str, ...]:
    """The files of the native form."""
    others = {path for one in formats if one.name != NATIVE for path in one.files}
    return tuple(one.path for one in artifacts if one.path.startswith(f"{MODEL_FOLDER}/") and one.path not in others)


def _data(contents: BundleContents) -> DataRecord:
    view = contents.view
    warnings = [one for one in view.check.findings if one.severity in {Severity.WARNING, Severity.ERROR}]
    return DataRecord(
        address=view.table.address,
        format=view.table.format,
        rows=view.profile.rows,
        columns=len(view.table.columns),
        schema_columns=tuple(ColumnRecord(name=one.name, kind=one.kind, type=one.type) for one in view.table.columns),
        row_digest=view.profile.row_digest,
        files=tuple(FileRecord(**plain_record(file)) for file in view.table.files),
        suitability=view.check.suitability.value,
        prepare=rule_documents(contents.config.data.prepare),
        waived=tuple(
            WaivedFinding(check=one.check, column=one.column, message=one.message, reason=one.waived or "")
            for one in view.check.findings
            if one.severity is Severity.WAIVED
        ),
        warnings=tuple(f"{one.severity.value} {one.check}: {one.message}" for one in warnings),
    )


def _search(search: SearchOutcome, contents: BundleContents, artifacts: tuple[Artifact, ...]) -> SearchRecord:
    config, task = contents.config, contents.view.task
    return SearchRecord(
        metric=task.metric.name if task is not None else "",
        objectives=config.search.objectives,
        constraints=config.search.constraints,
        part=search.part,
        algorithm=config.search.algorithm,
        scheduler=config.search.pruning,
        seed=config.search.seed,
        space=contents.view.config["search"]["space"],
        budget={
            "trials": config.search.trials,
            **plain_record(config.search.stop),
            "trial": plain_record(config.search.trial),
        },
        trials_by_state=dict(sorted(Counter(trial.state.value for trial in search.trials).items())),
        stopped_by=search.stopped_by,
        seconds=search.seconds,
        slots=search.slots,
        nodes=tuple(NodeRecord(**plain_record(node)) for node in search.nodes),
        trials_sha256=next(one.sha256 for one in artifacts if one.path == TRIALS_FILE),
    )


def _final_check(check: FinalCheck) -> FinalCheckRecord:
    plain = plain_record(check.score)
    return FinalCheckRecord(
        verdict=check.verdict.value,
        metric=check.metric,
        score=plain["value"],
        low=plain["low"],
        high=plain["high"],
        rows=check.rows,
        reasons=check.reasons,
        level=check.level,
        checked=check.fitted_on,
        use=None if check.opened is None else check.opened.use,
        production=None if check.production is None else check.production.promotion.value,
        gates=tuple(GateRecord(name=one.name, outcome=one.outcome.value, reason=one.reason) for one in check.gates),
    )
