"""What may be asked for: the sweep file, one section a stage. Everything but source and target has a default."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from raysweep.documents import Document, expand_paths, parse_document, read_yaml_file, set_path
from raysweep.errors import RequestInvalid
from raysweep.prepare_rules import ColumnName, PrepareRule
from raysweep.space import load_space, shipped_spaces
from raysweep.split_rules import Seed, SplitConfig, contradiction

ChecksPreset = Literal["strict", "default", "lenient"]


IN_MEMORY = "memory:"  # the source of a table that was held in memory
_NO_CREDENTIALS = "an address holds a user name or password; credentials belong in the AWS environment or profile"


class TaskKind(StrEnum):
    """What is to be learned."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        """Whether the target holds classes."""
        return self is not TaskKind.REGRESSION


class EncryptionConfig(Document):
    """How an S3-compatible server is asked to encrypt what is put; `required`: else nothing is put."""

    kind: Literal["AES256", "aws:kms"]
    key_id: str | None = None
    required: bool = True

    @model_validator(mode="after")
    def _check(self) -> EncryptionConfig:
        if self.key_id is not None and self.kind != "aws:kms":
            raise ValueError(f"key_id names a key of aws:kms, but kind is {self.kind}: leave one of them out")
        return self


class S3Config(Document):
    """How to reach an S3-compatible server. Credentials come from the AWS chain, never from here."""

    endpoint_url: str | None = None
    region: str | None = None
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    ca_bundle: str | None = None
    encryption: EncryptionConfig | None = None

    @field_validator("endpoint_url")
    @classmethod
    def _is_plain_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if "@" in url:
            raise ValueError(_NO_CREDENTIALS)
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"write it as http://host:port or https://host, not {url}")
        return url.rstrip("/")


def _refuse_credentials(address: str) -> None:
    """Refuse an address such as `s3://key:secret@bucket`, without repeating it."""
    if "://" in address and "@" in address.partition("://")[2].split("/", 1)[0]:
        raise ValueError(_NO_CREDENTIALS)


class FeaturesConfig(Document):
    """Which columns may be learned from; all but the target where both are null."""

    include: tuple[ColumnName, ...] | None = None
    exclude: tuple[ColumnName, ...] = ()


class DataConfig(Document):
    """The table and what its columns mean."""

    source: str | Annotated[tuple[str, ...], Field(min_length=1)]
    target: ColumnName | None = None
    format: Literal["parquet", "csv", "jsonl"] | None = None
    task: TaskKind | None = None
    features: FeaturesConfig = FeaturesConfig()
    group: ColumnName | None = None
    time: ColumnName | None = None
    weight: ColumnName | None = None
    positive: bool | int | float | str | None = None
    s3: S3Config | None = None
    prepare: tuple[PrepareRule, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The addresses as a tuple, also where one was given."""
        return (self.source,) if isinstance(self.source, str) else self.source

    def is_fitted(self, rule: str, column: str) -> bool:
        """Whether the column goes through such a rule that learns from training rows, which no profile shows."""
        return any(one.rule == rule and one.is_fitted and column in one.columns for one in self.prepare)

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        for role, name in (("target", self.target), ("weight", self.weight)):
            touching = [position for position, rule in enumerate(self.prepare) if name in rule.columns]
            if name is not None and touching:
                what = "it is what the score is measured by" if role == "target" else "it is no feature"
                raise ValueError(f"prepare[{touching[0]}] changes the {role} {name!r}: {what}; mend it in the source")
        for source in self.sources:
            _refuse_credentials(source)
        if self.target is None:
            return self
        if self.weight == self.target:
            raise ValueError(f"weight and target are the same column, {self.target!r}")
        if self.features.include is not None and self.target in self.features.include:
            raise ValueError(f"features.include holds the target {self.target!r}: it cannot predict itself")
        return self


class Waiver(Document):
    """A finding that is accepted, while it is no worse than `max` and not after the day `until`.

    Attributes:
        check: the id of the check.
        column: the column whose finding is meant; any where absent.
        max: the bound: of the share of the rows, or of what the check measures, such as an AUC.
        reason: why; it is published in the manifest and on the model card.
    """

    check: str
    column: ColumnName | None = None
    max: Annotated[float, Field(ge=0)]
    reason: Annotated[str, Field(min_length=1)]
    until: date | None = None


class ChecksConfig(Document):
    """The data gate: thresholds by the id of the check, such as `{col.missing: {warn: 0.4}}`, and what is accepted.

    Attributes:
        schema_file: a YAML file with rules of your own, which pandera reads.
    """

    preset: ChecksPreset = "default"
    set: Mapping[str, Mapping[str, Annotated[float, Field(ge=0)]]] = {}
    accept: tuple[Waiver, ...] = ()
    schema_file: str | None = Field(default=None, alias="schema")


class StopConfig(Document):
    """When the search ends; the first limit that is met.

    Attributes:
        cost: of all slots while the search runs, by `cluster.price_per_hour`.
    """

    seconds: Annotated[float, Field(gt=0)] | None = None
    cost: Annotated[float, Field(gt=0)] | None = None
    score: float | None = None
    patience: Annotated[int, Field(ge=1)] | None = None


class TrialConfig(Document):
    """What one trial gets.

    Attributes:
        seconds: the longest that it may take; then its process is killed. It keeps the rungs that it has reached.
        workers: processes, with `cpus` and `gpus` each, over which the fit that ships is spread, for a family that can
            be: xgboost. Trials of the search keep to one: slots are a better use of cores.
        device: what a family that can use a GPU fits on. `auto`: cuda where `gpus` is more than 0, and the CPU, which
            is said, where a process finds no GPU that works. With `cuda` that is an error.
    """

    cpus: Annotated[int, Field(ge=1)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    seconds: Annotated[float, Field(gt=0)] | None = None
    workers: Annotated[int, Field(ge=1)] = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def wanted_device(self) -> Literal["auto", "cpu", "cuda"]:
        """Where a fit runs; `auto`: on a GPU, if there is one."""
        return "cpu" if self.device == "auto" and not self.gpus else self.device

    @model_validator(mode="after")
    def _check_device(self) -> TrialConfig:
        if self.device == "cuda" and not self.gpus:
            raise ValueError(
                "search.trial.device is cuda, but search.trial.gpus is 0: set search.trial.gpus (1, or a share of one "
                "such as 0.25)"
            )
        return self


class SearchConfig(Document):
    """How candidates are proposed, compared and stopped.

    Attributes:
        objectives: metrics, prediction_seconds (of one row alone, preprocessing included, by `trial.cpus` threads) or
            size_bytes (of the model's files), weighed against `metric`: trials that nothing beats in all of them are
            the Pareto front. Nothing is stopped early then.
        constraints: bounds that the winner keeps, such as `{prediction_seconds: 0.01}`; of a metric, the worst value.
            A candidate that has grown beyond a bound on prediction_seconds or size_bytes is stopped there.
        scheduler: auto: asha, or none where there are objectives.
        deterministic: propose and decide in batches, so that any number of slots gives the same candidates, decisions
            and winner. Slots wait for the slowest trial of a batch, and the first batch is not pruned.
        rows: how many training and testing rows candidates are compared on. `auto`: all of them, or a sample where they
            are more than a trial's share of the smallest node's memory, or than Ray's object store, can hold; a number:
            a sample of about so many, where there are more. A sample is dealt out by the hash of the rows' keys, so
            that it is the same on any cluster; what ships is fitted on all rows, where its family can take them in a
            stream. With `deterministic`, `auto` counts with 2 GiB a trial, whatever the cluster has.
    """

    space: str | Mapping[str, Any] = "auto"
    metric: str | None = None
    objectives: Annotated[tuple[str, ...], Field(max_length=2)] = ()
    constraints: Mapping[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(default_factory=dict)
    algorithm: Literal["tpe", "random", "grid"] = "tpe"
    scheduler: Literal["auto", "asha", "hyperband", "median", "none"] = "auto"
    deterministic: bool = False
    trials: Annotated[int, Field(ge=1)] = 100
    seed: Seed = 0
    stop: StopConfig = StopConfig()
    trial: TrialConfig = TrialConfig()
    concurrency: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    rows: Literal["auto", "all"] | Annotated[int, Field(ge=100)] = "auto"

    @property
    def pruning(self) -> str:
        """The scheduler that decides. Each of them stops trials by one score: with further objectives there is none."""
        if self.scheduler != "auto":
            return self.scheduler
        return "none" if self.objectives else "asha"

    @model_validator(mode="after")
    def _check_aims(self) -> SearchConfig:
        if self.objectives and self.pruning != "none":
            raise ValueError(
                f"search.scheduler is {self.scheduler}, which stops trials by one score, but search.objectives wants "
                "trials that are good in several ways: say scheduler: none, or leave it out"
            )
        twice = [name for name in self.objectives if self.objectives.count(name) > 1 or name == self.metric]
        if twice:
            raise ValueError(f"search.objectives: {twice[0]} stands there twice, or is the metric already")
        return self

    @model_validator(mode="after")
    def _check_deterministic(self) -> SearchConfig:
        limits = {
            **{f"search.stop.{name}": value for name, value in self.stop.model_dump().items()},
            "search.trial.seconds": self.trial.seconds,
        }
        given = [name for name, value in limits.items() if value is not None]
        if self.deterministic and given:
            raise ValueError(
                f"search.deterministic is true, and {', '.join(given)} would stop it where it depends on the machine: "
                "only search.trials may stop such a search"
            )
        if self.deterministic and "prediction_seconds" in {*self.objectives, *self.constraints}:
            raise ValueError(
                "search.deterministic is true, but prediction_seconds is never measured twice alike: leave one of them "
                "out"
            )
        return self


class GatesConfig(Document):
    """What the model has to reach in the final check.

    Attributes:
        score: of the sweep's metric, on validation rows.
        calibration: whether bad calibration warns, or makes the model not adequate.
        production_margin: by how much the model may be worse than the one in production, in units of the metric.
    """

    score: Annotated[float, Field(allow_inf_nan=False)] | None = None
    calibration: Literal["warn", "required"] = "warn"
    production_margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class ConfirmConfig(Document):
    """The final check.

    Attributes:
        finalists: how many of the best are scored on validation rows; the first one ships.
        slices: columns of the source by whose values the model is judged apart, each with the score that it has to
            reach there, or null for no worse than the dummy; a list of names stands for null.
        production: the bundle of the model in production, which is scored on the same validation rows.
    """

    finalists: Annotated[int, Field(ge=1, le=3)] = 1
    refit: Literal["training", "training+testing"] = "training+testing"
    gates: GatesConfig = GatesConfig()
    slices: Mapping[ColumnName, Annotated[float, Field(allow_inf_nan=False)] | None] = Field(default_factory=dict)
    production: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("slices", mode="before")
    @classmethod
    def _names_alone(cls, slices: object) -> object:
        if isinstance(slices, str):
            return {slices: None}
        return dict.fromkeys(slices) if isinstance(slices, list | tuple) else slices

    @field_validator("production")
    @classmethod
    def _has_no_credentials(cls, address: str | None) -> str | None:
        if address is not None:
            _refuse_credentials(address)
        return address


class ExportConfig(Document):
    """Where the bundle goes and what is in it.

    Attributes:
        top: how many of the best trials are fitted and published beside the winner.
        formats: of the model. `native` is what raysweep loads, and never left out; `onnx` and `mlflow` stand beside it,
            and want the extras raysweep[onnx] and raysweep[mlflow].
        rows: whether rows of the table may be published. With `none` the golden rows are made up, the examples of what
            the checks found are left out, and so are families whose models hold rows; extremes, quantiles, frequent
            values, and the categories that the model knows, are published all the same.
        sign: path of an Ed25519 private key (PEM) to sign the manifest with; wants raysweep[sign]. The key itself is
            published nowhere.
    """

    to: Annotated[str, Field(min_length=1)] = "runs/"
    top: Annotated[int, Field(ge=1, le=20)] = 3
    formats: Annotated[tuple[Literal["native", "onnx", "mlflow"], ...], Field(min_length=1)] = ("native",)
    rows: Literal["real", "none"] = "real"
    sign: Annotated[str, Field(min_length=1)] | None = None
    s3: S3Config = S3Config()

    @field_validator("formats")
    @classmethod
    def _hold_native(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if "native" not in formats:
            raise ValueError(
                f"native is missing: it is what raysweep itself loads; write [native, {', '.join(formats)}]"
            )
        return tuple(dict.fromkeys(formats))

    @field_validator("to")
    @classmethod
    def _has_no_credentials(cls, address: str) -> str:
        _refuse_credentials(address)
        return address


class PriceConfig(Document):
    """What an hour of one core and of one GPU costs, in any currency."""

    cpu: Annotated[float, Field(ge=0)] = 0
    gpu: Annotated[float, Field(ge=0)] = 0


class ClusterConfig(Document):
    """Which Ray to use: null starts one here, `auto` or an address joins one."""

    address: str | None = None
    price_per_hour: PriceConfig | None = None


class SweepConfig(Document):
    """A whole sweep: the sweep file, version 1."""

    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] = "sweep"
    data: DataConfig
    checks: ChecksConfig = ChecksConfig()
    split: SplitConfig = SplitConfig()
    search: SearchConfig = SearchConfig()
    confirm: ConfirmConfig = ConfirmConfig()
    export: ExportConfig = ExportConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _check_cost(self) -> SweepConfig:
        price = self.cluster.price_per_hour
        if self.search.stop.cost is not None and (price is None or price.cpu + price.gpu == 0):
            raise ValueError("search.stop.cost wants to know what an hour costs: set cluster.price_per_hour")
        return self

    @model_validator(mode="after")
    def _check_split(self) -> SweepConfig:
        data = self.data
        problem = contradiction(self.split, group=data.group, time=data.time)
        if problem is not None:
            raise ValueError(problem)
        if data.time is not None and any(data.time in rule.columns for rule in data.prepare):
            raise ValueError(
                f"data.prepare names {data.time!r}, which is data.time: rows are split by it as it is in the source; "
                "prepare a copy of it there, or leave it out by data.features.exclude"
            )
        wrong = [name for name in self.confirm.slices if name in {data.target, data.weight}]
        if wrong:
            raise ValueError(f"confirm.slices holds {wrong[0]!r}, which is the target or the weight")
        for name, column in (("data.group", data.group), ("data.time", data.time)):
            if column is not None and column in {data.target, data.weight}:
                raise ValueError(f"{name} is {column!r}, which is the target or the weight")
        self._check_split_column()
        return self

    def _check_split_column(self) -> None:
        column, data = self.split.column, self.data
        if column is None:
            return
        if column in {data.target, data.weight, data.group, data.time}:
            raise ValueError(f"split.column is {column!r}, which has another role in data")
        if column in (data.features.include or ()):
            raise ValueError(f"data.features.include holds {column!r}, which is split.column: it is no feature")
        if any(column in rule.columns for rule in data.prepare):
            raise ValueError(f"data.prepare names {column!r}, which is split.column: it is read as it is in the source")

    @property
    def data_s3(self) -> S3Config:
        """How to reach `s3://` sources: `data.s3`, else `export.s3`."""
        return self.data.s3 or self.export.s3


def load_config(sweep: SweepConfig | Mapping[str, Any] | str | Path, *, overrides: Sequence[str] = ()) -> SweepConfig:
    """Read a sweep file, or the same keys from a dict, and resolve what it names.

    Relative data addresses and the space's path start from the sweep file's folder; `export.to` starts from the
    current folder. The space is read here, so that the result stands alone.

    Args:
        sweep: the path of a sweep file, its keys, or a finished config.
        overrides: `a.b=value` assignments, applied in order.

    Raises:
        RequestInvalid: with every problem of the sweep file, or of the space.
        NotFound: there is no such file or space.
    """
    base, place = Path(), "the sweep"
    if isinstance(sweep, SweepConfig):
        values: dict[str, Any] = sweep.model_dump(mode="json", by_alias=True)
    elif isinstance(sweep, Mapping):
        values = dict(sweep)
    else:
        path = Path(sweep)
        base, place = path.parent, str(path)
        values = read_yaml_file(path)
    values = expand_paths(values, place=place)
    for assignment in overrides:
        values = set_path(values, assignment)
    config = parse_document(SweepConfig, values, place=place)
    space = load_space(config.search.space, base=base)
    resolved = config.model_dump(mode="json", by_alias=True)
    resolved["data"]["source"] = _resolve_source(config.data.source, base)
    if config.checks.schema_file is not None:
        resolved["checks"]["schema"] = str((base / config.checks.schema_file).absolute())
    if config.export.sign is not None:
        resolved["export"]["sign"] = str((base / Path(config.export.sign).expanduser()).absolute())
    if "://" not in config.export.to:
        resolved["export"]["to"] = os.path.expanduser(config.export.to)  # noqa: PTH111 - Path drops a last /
    if not isinstance(config.search.space, str) or config.search.space not in shipped_spaces():
        resolved["search"]["space"] = space.model_dump(mode="json", by_alias=True)
    return parse_document(SweepConfig, resolved, place=place)


def require_target(config: SweepConfig) -> str:
    """The name of the target column.

    Raises:
        RequestInvalid: the sweep names none.
    """
    if config.data.target is None:
        raise RequestInvalid("data.target is missing: name the column that is to be predicted")
    return config.data.target


def _resolve_source(source: str | Sequence[str], base: Path) -> str | list[str]:
    if isinstance(source, str):
        return source if "://" in source or source.startswith("memory:") else str((base / source).absolute())
    return [str(_resolve_source(one, base)) for one in source]
