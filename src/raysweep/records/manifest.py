"""The manifest: what is published, written last. Version 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field

from raysweep.config import TaskKind
from raysweep.documents import Document
from raysweep.records.table import ColumnKind, Label
from raysweep.split_rules import Moment, PartsConfig

MANIFEST_FILE: Final = "manifest.json"
SUMS_FILE: Final = "SHA256SUMS"
JOURNAL_FOLDER: Final = "journal/"
MODEL_FOLDER: Final = "model"
GOLDEN_FILE: Final = "golden.parquet"

Outcome = Literal["done", "data unsuitable", "no trial finished"]


class Artifact(Document):
    """A file of the bundle."""

    path: str
    sha256: str
    size_bytes: int
    media_type: str


class InputColumn(Document):
    """A column of the source that the model wants, before any preparation."""

    name: str
    kind: ColumnKind
    type: str


class Signature(Document):
    """What the model takes and gives; `classes` in the order of the probabilities' columns."""

    inputs: tuple[InputColumn, ...]
    target: str
    task: TaskKind
    classes: tuple[Label, ...] = ()


class ModelRecord(Document):
    """The fit that ships.

    Attributes:
        fitted_on: training, or training+testing.
        rounds: trees or boosting rounds, for a family that grows in rounds.
        prepare_sha256: over the canonical JSON of `model/prepare.json`; None where the columns are not prepared.
        trusted_types: what its skops files may hold.
        estimator: the dotted name of a user's own class that loading needs; None for the families of raysweep.
        package: name and version of the package that it was in; None where it was in none.
    """

    family: str
    params: Mapping[str, Any]
    seed: int
    fitted_on: str
    fitted_rows: int
    rounds: int | None
    trial: int
    files: tuple[str, ...]
    trusted_types: tuple[str, ...]
    prepare_sha256: str | None = None
    estimator: str | None = None
    package: str | None = None


class WaivedFinding(Document):
    """A finding that the sweep accepts; `reason` holds the bound and the last day too."""

    check: str
    column: str | None
    message: str
    reason: str


class DataRecord(Document):
    """The table: where it was, what identifies it, what was accepted of it, and the rules of `data.prepare`."""

    address: str
    format: str
    rows: int
    columns: int
    row_digest: str
    files: tuple[Mapping[str, Any], ...]
    suitability: str
    warnings: tuple[str, ...]
    waived: tuple[WaivedFinding, ...] = ()
    prepare: tuple[Mapping[str, Any], ...] = ()


class PartRecord(Document):
    """A part's size, and the sha256 over its sorted row keys; see `raysweep.records.table.PartSummary`."""

    rows: int
    digest: str
    first: Moment | None = None
    last: Moment | None = None
    groups: int | None = None


class SplitRecord(Document):
    """How the rows were cut, so that anybody who has them can cut them again; see `raysweep.records.split_rule`.

    Attributes:
        keys_shared: row keys that stand in more than one part: 0 is the proof of disjointness.
        shares: None where raysweep was too old to record them, and all below.
        cuts: as they can stand in `split.cuts`.
        left_out: rows that are in no part, by the reason.
        target, task, classes: by which it is told whether a row has a target, and of which class.
    """

    kind: str
    seed: int
    key: tuple[str, ...]
    parts: Mapping[str, PartRecord]
    folds: int
    keys_shared: int
    shares: PartsConfig | None = None
    group: str | None = None
    time: str | None = None
    column: str | None = None
    embargo: Moment | None = None
    cuts: tuple[Moment, ...] = ()
    left_out: Mapping[str, int] = Field(default_factory=dict)
    target: str | None = None
    task: TaskKind | None = None
    classes: tuple[Label, ...] = ()


class SearchRecord(Document):
    """What was tried, and why it ended."""

    metric: str
    objectives: tuple[str, ...] = ()
    constraints: Mapping[str, float] = Field(default_factory=dict)
    part: str
    algorithm: str
    scheduler: str
    seed: int
    trials_by_state: Mapping[str, int]
    stopped_by: str
    seconds: float
    slots: int
    trials_sha256: str


class SecondsRecord(Document):
    """Seconds of all cores or GPUs of the cluster, by what they were for; see `raysweep.records.usage.Seconds`."""

    total: float
    preparation: float
    trials: float
    failed: float
    idle: float
    final_check: float


class UsageRecord(Document):
    """What the sweep took of its cluster; see `raysweep.records.usage.Usage`."""

    core_seconds: SecondsRecord
    gpu_seconds: SecondsRecord
    fitting: float
    cost: float | None


class FinalCheckRecord(Document):
    """The final check in short; the whole is in final_check.json.

    Attributes:
        score: of the fit that ships; None where the metric is not defined on the validation rows.
        low, high: of its interval at `level`.
        checked: the rows that the fit which was scored, and ships, was fitted on.
        use: which use of these validation rows it was, by the ledger of openings.
        production: what the comparison with the model in production says: promote, keep or inconclusive; None where
            none was named.
    """

    verdict: str
    metric: str
    part: Literal["validation"] = "validation"
    score: float | None
    low: float | None
    high: float | None
    rows: int
    reasons: tuple[str, ...]
    level: float = 0.95
    checked: str | None = None
    use: int | None = None
    production: str | None = None


class Manifest(Document):
    """What stands in manifest.json.

    Attributes:
        without_model: why there is no model though one was checked finally; its parameters are in config/params.json.
        lineage: the published runs whose trials this one started from, oldest first, each as
            `<run id>@sha256:<of its manifest>`.
    """

    schema_version: Literal[1]
    raysweep: str
    run_id: str
    name: str
    created: str
    outcome: Outcome
    artifacts: tuple[Artifact, ...]
    signature: Signature | None = None
    model: ModelRecord | None = None
    without_model: str = ""
    data: DataRecord
    split: SplitRecord | None = None
    search: SearchRecord | None = None
    final_check: FinalCheckRecord | None = None
    usage: UsageRecord | None = None
    config_sha256: str
    code: Mapping[str, Any]
    environment: Mapping[str, Any]
    lineage: tuple[str, ...] = ()
