"""Champion and challenger: the model in production, scored on the same sealed rows where that is fair."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from raysweep.bundle.inputs import features_of
from raysweep.bundle.load import open_model
from raysweep.bundle.locate import open_run, read_manifest
from raysweep.config import SweepConfig
from raysweep.errors import RequestInvalid
from raysweep.records.manifest import Manifest, Signature, SplitRecord
from raysweep.records.table import LearningTask, Part, Split
from raysweep.split_rules import RARE_CLASS_ROWS, Moment
from raysweep.stages.confirm.evidence import Champion
from raysweep.storage.store import Store
from raysweep.training.learner import Floats
from raysweep.training.sealed_rows import SealedRows

_BY_HASH = frozenset({"random", "stratified", "group"})


@dataclass(frozen=True, slots=True)
class ChampionModel:
    """The bundle of the model in production, not loaded yet."""

    store: Store = field(repr=False)
    manifest: Manifest = field(repr=False)
    signature: Signature = field(repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the source, that it wants."""
        return tuple(column.name for column in self.signature.inputs)


def find_champion(config: SweepConfig) -> ChampionModel | None:
    """What `confirm.production` names, known to hold a model of the same target; None where it names nothing.

    Raises:
        NotFound: there is no such bundle.
        BundleRefused: its manifest cannot be read.
        RequestInvalid: it holds no model, or one of another target.
    """
    if config.confirm.production is None:
        return None
    store = open_run(config.confirm.production, config.export.s3)
    manifest = read_manifest(store)
    if manifest.model is None or manifest.signature is None:
        why = manifest.without_model or f"its sweep ended with {manifest.outcome!r}"
        raise RequestInvalid(f"confirm.production: {store.address()} holds no model to be compared with: {why}")
    if manifest.signature.target != config.data.target:
        raise RequestInvalid(
            f"confirm.production: the model of {store.address()} predicts {manifest.signature.target!r}, and this "
            f"sweep is about {config.data.target!r}: name a bundle of the same target"
        )
    return ChampionModel(store, manifest, manifest.signature)


def score_champion(champion: ChampionModel, sealed: SealedRows, task: LearningTask, split: Split) -> Champion:
    """Its predictions on the validation rows, or why there is no fair comparison."""
    address = champion.store.address()
    unfair = _other_task(champion.signature, task) or why_unfair(champion.manifest.split, split)
    if unfair:
        return Champion(address, unfair=unfair)
    try:
        model = open_model(champion.store)
        table = sealed.block.features
        for name in sealed.further.column_names:
            table = table.append_column(name, sealed.further.column(name))
        predicted = model.raw_predictions(features_of(table, champion.signature))
    except Exception as error:  # noqa: BLE001 - whatever an old model makes of new rows must not cost the new one's score
        why = type(error).__name__  # its text may hold values of sealed rows, and this is published
        return Champion(address, unfair=f"it cannot be scored on these rows ({why})")
    if not np.isfinite(predicted).all():
        return Champion(address, unfair="it predicts values that are not numbers")
    return Champion(address, _in_our_order(predicted, champion.signature, task))


def why_unfair(theirs: SplitRecord | None, ours: Split) -> str:
    """Why the model in production may have been fitted on our validation rows; empty where it has not.

    It has not where its rows were dealt out by the same rule, so that our validation rows were its validation rows too;
    or where all that it was fitted on is older than them.
    """
    if theirs is None:
        return "its manifest does not say how its rows were split"
    if _is_older(theirs, ours):
        return ""
    differing = [
        name
        for name, mine, other in (
            ("kind", ours.kind, theirs.kind),
            ("key", ours.key, theirs.key),
            ("seed", ours.seed, theirs.seed),
            ("parts", None if ours.rule is None else ours.rule.parts, theirs.shares),
        )
        if mine != other
    ]
    if differing:
        verb = "differ" if len(differing) > 1 else "differs"
        return (
            f"its split.{' and split.'.join(differing)} {verb} from this sweep's, so that it may have been fitted on "
            "these validation rows; sweep with the same split, or validate on rows that are newer than all of its"
        )
    if ours.kind == "stratified" and _has_moved(theirs, ours):
        return (
            f"it has classes that had fewer than {RARE_CLASS_ROWS} rows, which are dealt out by quota: some of these "
            "validation rows may have been training rows to it"
        )
    if ours.kind not in _BY_HASH:
        return f"rows of a split by {ours.kind} are not the same in both, and its rows are not all older than these"
    return ""


def _has_moved(theirs: SplitRecord, ours: Split) -> bool:
    """Whether rows of a rare class may have stood in another part when the model in production was fitted."""
    validation = Part.VALIDATION
    if theirs.parts[validation.value].digest == ours.parts[validation].digest:
        return False
    counts = [sum(rows) for rows in zip(*(part.class_counts for part in ours.parts.values()), strict=True)]
    grown = sum(part.rows for part in ours.parts.values()) / max(1, sum(part.rows for part in theirs.parts.values()))
    return min(counts, default=RARE_CLASS_ROWS) < RARE_CLASS_ROWS * max(1.0, grown)


def _is_older(theirs: SplitRecord, ours: Split) -> bool:
    """Whether every row that it was fitted on is older than the validation rows, by the same column of times."""
    lasts = [theirs.parts[part.value].last for part in (Part.TRAINING, Part.TESTING) if part.value in theirs.parts]
    first, time = ours.parts[Part.VALIDATION].first, None if ours.rule is None else ours.rule.time
    if first is None or time is None or theirs.time != time or not lasts:
        return False
    if ours.rule is None or not ours.rule.is_by_time:  # validation rows without a time may be among its own
        return False
    return all(last is not None and _is_before(last, first) for last in lasts)


def _is_before(one: Moment, other: Moment) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str) and one < other  # ISO, in one form
    return one < other


def _other_task(signature: Signature, task: LearningTask) -> str:
    if signature.task is not task.kind:
        return f"it is a {signature.task.value} model, this sweep is about a {task.kind.value} task"
    if sorted(map(repr, signature.classes)) != sorted(map(repr, task.classes)):
        return f"its classes are {list(signature.classes)}, those of this table {list(task.classes)}"
    return ""


def _in_our_order(predicted: Floats, signature: Signature, task: LearningTask) -> Floats:
    if not task.kind.is_classification:
        return predicted
    places = [signature.classes.index(label) for label in task.classes]
    return np.ascontiguousarray(predicted[:, places])
