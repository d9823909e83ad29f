"""The manifest: what is published, written last. Version 2; `read` takes version 1 as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from raysweep.config import TaskKind
from raysweep.documents import Document, canonical_json, problems_in
from raysweep.records.table import ColumnKind, Label
from raysweep.split_rules import Moment, PartsConfig

MANIFEST_FILE: Final = "manifest.json"
SUMS_FILE: Final = "SHA256SUMS"
SCHEMA_VERSION: Final = 2
SIGNATURE_FILE: Final = "manifest.sig"
JOURNAL_FOLDER: Final = "journal/"
MODEL_FOLDER: Final = "model"
GOLDEN_FILE: Final = "golden.parquet"

ModelFormat = Literal["native", "onnx", "mlflow"]
Outcome = Literal["done", "data unsuitable", "no trial finished"]


class Artifact(Document):
    """A file of the bundle.

    Attributes:
        sha256: of its bytes, in hex.
        format: which form of the model it belongs to; None for a file that is none of the model that ships.
        parity_difference: the largest difference of that form's predictions for golden.parquet from those of the model
            in memory, when it was published: of probabilities as it is, of numbers over the standard deviation of
            the predictions for its ordinary rows (`raysweep.training.agreement`).
    """

    path: str
    sha256: str
    size_bytes: int
    media_type: str
    format: ModelFormat | None = None
    parity_difference: float | None = None


class FormatRecord(Document):
    """A form of the model that was asked for, and what the parity gate said of it.

    Attributes:
        published: whether its files are in the bundle.
        files: their paths; empty where it is not published.
        difference: as `Artifact.parity_difference`; None where it could not be measured.
        tolerance: the largest difference with which it is published.
        reason: why it is not published; empty where it is.
    """

    name: ModelFormat
    published: bool
    files: tuple[str, ...] = ()
    difference: float | None = None
    tolerance: float = 0.0
    reason: str = ""


class InputColumn(Document):
    """A column of the source that the model wants, before any preparation.

    What follows the type was seen in the rows that the model was fitted on; None where raysweep did not record it yet.

    Attributes:
        nullable: whether a value was missing there.
        categories: the different texts, sorted; None where they are more than 10,000, and for other kinds.
        low, high: the smallest and the largest finite number, or instant as ISO text; None where there was none.
    """

    name: str
    kind: ColumnKind
    type: str
    nullable: bool | None = None
    categories: tuple[str, ...] | None = None
    low: float | str | None = None
    high: float | str | None = None


class OutputColumn(Document):
    """What the model gives for a row: `prediction`, and for classes a `probability` of each, in their order."""

    name: str
    type: str
    classes: tuple[Label, ...] = ()


class Signature(Document):
    """What the model takes and gives; `classes` in the order of the probabilities' columns."""

    inputs: tuple[InputColumn, ...]
    target: str
    task: TaskKind
    classes: tuple[Label, ...] = ()
    outputs: tuple[OutputColumn, ...] = ()


class ModelRecord(Document):
    """The fit that ships.

    Attributes:
        fitted_on: training, or training+testing; where the search had a sample of these rows, with `all` or `sampled`
            before it.
        rounds: trees or boosting rounds, for a family that grows in rounds.
        prepare_sha256: over the canonical JSON of `model/prepare.json`; None where the columns are not prepared.
        params_digest: the candidate's, by which it is found in trials.parquet.
        seed: of everything random in its fit.
        trusted_types: what its skops files may hold, beyond what skops itself trusts.
        estimator: the dotted name of a user's own class that loading needs; None for the families of raysweep.
        package: name and version of the package that it was in; None where it was in none.
    """

    family: str
    params: Mapping[str, Any]
    params_digest: str | None = None
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


class FileRecord(Document):
    """A file of the source; `version` is what identifies its content there: an ETag, or size and time."""

    address: str
    size_bytes: int
    version: str


class ColumnRecord(Document):
    """A column of the source, and the Arrow type that it was read as."""

    name: str
    kind: ColumnKind
    type: str


class DataRecord(Document):
    """The table: where it was, what identifies it, what was accepted of it, and the rules of `data.prepare`.

    Attributes:
        row_digest: the sha256 over the sorted hashes of all rows.
        schema_columns: every column of the source, in its order; empty where raysweep was too old to record them.
    """

    address: str
    format: str
    rows: int
    columns: int
    schema_columns: tuple[ColumnRecord, ...] = ()
    row_digest: str
    files: tuple[FileRecord, ...]
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
        sample_rows: how many training and testing rows the search was to get; None where it got all.
        sampled: how many it got, of each of the two.
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
    sample_rows: int | None = None
    sampled: Mapping[str, int] = Field(default_factory=dict)


class NodeRecord(Document):
    """A machine that the search ran on; see `raysweep.records.cluster.NodeUse`."""

    name: str
    cpus: float
    gpus: float
    trials: int


class SearchRecord(Document):
    """What was tried, and why it ended.

    Attributes:
        space: the whole search space.
        budget: what might have ended it: `search.trials`, and what `search.stop` and `search.trial` say.
        trials_sha256: of trials.parquet.
    """

    metric: str
    objectives: tuple[str, ...] = ()
    constraints: Mapping[str, float] = Field(default_factory=dict)
    part: str
    algorithm: str
    scheduler: str
    seed: int
    space: Mapping[str, Any] = Field(default_factory=dict)
    budget: Mapping[str, Any] = Field(default_factory=dict)
    trials_by_state: Mapping[str, int]
    stopped_by: str
    seconds: float
    slots: int
    trials_sha256: str
    nodes: tuple[NodeRecord, ...] = ()


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
    lost: float = 0.0


class GateRecord(Document):
    """A requirement of the final check, and what came of it: passed, warning, inconclusive or failed."""

    name: str
    outcome: str
    reason: str


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

    verdict: Literal["adequate", "adequate with warnings", "inconclusive", "not adequate"]
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
    gates: tuple[GateRecord, ...] = ()


class CodeRecord(Document):
    """The git checkout that the sweep was started in; all None where it was in none.

    Attributes:
        repository: its address, without credentials.
        dirty: whether anything was changed or added since the commit; None where git did not say.
        diff_bytes, diff_sha256: of code/diff.patch, which holds the changes of files that git knows.
        diff_is_whole: whether it holds all of them: git has answered, and nothing was cut off at 1 MiB.
    """

    repository: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    diff_bytes: int = 0
    diff_is_whole: bool = True
    diff_sha256: str | None = None


class EnvironmentRecord(Document):
    """Interpreter, machine, and the packages that decide about scores; all packages are in config/requirements.lock."""

    python: str
    implementation: str
    platform: str
    machine: str
    cpus: int | None
    cpu: str | None = None
    memory_bytes: int | None = None
    gpus: tuple[str, ...] = ()
    packages: Mapping[str, str]


class SigningRecord(Document):
    """By which key manifest.sig signs the manifest: an Ed25519 signature (RFC 8032) of its bytes.

    Attributes:
        public_key: its 32 bytes in base64. Whoever signs can name any key: trust comes from `verify --key`.
        public_key_sha256: of the public key in DER (SubjectPublicKeyInfo), in hex.
    """

    algorithm: Literal["ed25519"]
    public_key: str
    public_key_sha256: str


class Manifest(Document):
    """What stands in manifest.json, in the bytes of `raysweep.documents.canonical_json`.

    Attributes:
        formats: the forms of the model that were asked for, also those that are not published, and why.
        without_model: why there is no model though one was checked finally; its parameters are in config/params.json.
        lineage: the published runs whose trials this one started from, oldest first, each as
            `<run id>@sha256:<of its manifest>`.
    """

    schema_version: Literal[2]
    raysweep: str
    run_id: str
    name: str
    created: str
    outcome: Outcome
    artifacts: tuple[Artifact, ...]
    formats: tuple[FormatRecord, ...] = ()
    signature: Signature | None = None
    model: ModelRecord | None = None
    without_model: str = ""
    data: DataRecord
    split: SplitRecord | None = None
    search: SearchRecord | None = None
    final_check: FinalCheckRecord | None = None
    usage: UsageRecord | None = None
    config_sha256: str
    code: CodeRecord
    environment: EnvironmentRecord
    signing: SigningRecord | None = None
    lineage: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The one form in which it is written."""
        return canonical_json(self.model_dump(mode="json"))


def read_manifest_bytes(content: bytes) -> Manifest:
    """A manifest of this version or an older one.

    Raises:
        ValueError: it is none, or of a newer version, or says what it must not.
    """
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_without_doubles)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if type(version) is int and version > SCHEMA_VERSION:
        raise ValueError(
            f"its schema_version is {version}, and this raysweep knows {SCHEMA_VERSION} and before: it was written by "
            f"raysweep {document.get('raysweep')}; install that, or a newer one"
        )
    if (
        type(version) is int and version == 1
    ):  # what came with version 2 has defaults, which say that it was not recorded
        content = json.dumps({**document, "schema_version": SCHEMA_VERSION}).encode()
    try:
        return Manifest.model_validate_json(content, strict=True)
    except ValidationError as error:
        problems = problems_in(error, Manifest)
        more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise ValueError(f"{problems[0]}{more}") from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
