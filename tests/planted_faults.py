"""Tables with one fault each, planted into a clean one, and the findings that must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from builders import arrow_of, check_means, clean_table, profile_of, sweep_config, table_of
from raysweep.config import TaskKind
from raysweep.records.metric import metric_for
from raysweep.records.table import DataCheck, Finding, LearningTask, Part, Severity
from raysweep.stages.split.part_checks import PartRows
from raysweep.stages.validate.gate import validate_table
from raysweep.training.targets import target_codes
from raysweep.training.trial_data import RowBlock

ROWS = 5_000
ERROR, WARNING = Severity.ERROR, Severity.WARNING
Plant = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def check_frame(
    frame: pd.DataFrame, target: str | None = "target", usable: Any = None, *, models: bool = False, **data: Any
) -> DataCheck:
    """What the gate says of a frame, without Ray; small models are fitted only where asked for."""
    means = check_means(profile_of(frame, target), usable, models=models)
    return validate_table(table_of(frame), profile_of(frame, target), sweep_config(target, **data), means)


def fired(check: DataCheck) -> dict[str, Severity]:
    return {finding.check: finding.severity for finding in loud(check)}


def loud(check: DataCheck) -> list[Finding]:
    return [finding for finding in check.findings if finding.severity in {ERROR, WARNING}]


def only(check: DataCheck, name: str) -> Finding:
    [finding] = [finding for finding in check.findings if finding.check == name]
    return finding


@dataclass(frozen=True)
class Fault:
    plant: Plant
    expected: dict[str, Severity]
    task: str = "binary"
    rows: int = ROWS
    data: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def null_where(frame: pd.DataFrame, column: str, where: Any) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].mask(where)})


def keep_classes(frame: pd.DataFrame, counts: dict[Any, int]) -> pd.DataFrame:
    kept = pd.concat([frame[frame["target"] == label].head(count) for label, count in counts.items()])
    return kept.sample(frac=1, random_state=0, ignore_index=True)


def uuids(rows: int) -> list[str]:
    return [f"{number * 7919:08x}-1234-4abc-8def-{number:012x}" for number in range(rows)]


FAULTS = {
    "few rows": Fault(lambda f, _: f, {"rows.too_few": WARNING}, task="regression", rows=450),
    "very few rows": Fault(lambda f, _: f, {"rows.too_few": ERROR}, task="regression", rows=90),
    "copies of rows": Fault(lambda f, _: pd.concat([f, f.head(100)]), {"rows.duplicates": WARNING}),
    "mostly copies": Fault(lambda f, _: pd.concat([f.head(900)] * 3), {"rows.duplicates": ERROR}),
    "no value": Fault(
        lambda f, _: f.assign(x=pd.Series([None] * len(f), dtype="float64")),
        {"col.all_missing": WARNING},
        left_out=("x",),
    ),
    "constant number": Fault(lambda f, _: f.assign(x=7), {"col.constant": WARNING}, left_out=("x",)),
    "constant text": Fault(lambda f, _: f.assign(x="a"), {"col.constant": WARNING}, left_out=("x",)),
    "many nulls": Fault(lambda f, rng: null_where(f, "amount", rng.random(len(f)) < 0.4), {"col.missing": WARNING}),
    "nearly all nulls": Fault(
        lambda f, rng: null_where(f, "amount", rng.random(len(f)) < 0.97),
        {"col.missing": WARNING},
        left_out=("amount",),
    ),
    "texts for nulls": Fault(
        lambda f, rng: f.assign(city=f["city"].mask(rng.random(len(f)) < 0.4, " N/A ")),
        {"col.missing": WARNING},
    ),
    "integer id": Fault(lambda f, rng: f.assign(x=rng.permutation(len(f))), {"col.id_like": WARNING}, left_out=("x",)),
    "integer id with nulls": Fault(
        lambda f, rng: null_where(f.assign(x=rng.permutation(len(f))), "x", rng.random(len(f)) < 0.1),
        {"col.id_like": WARNING},
        left_out=("x",),
    ),
    "uuid": Fault(lambda f, _: f.assign(x=uuids(len(f))), {"col.id_like": WARNING}, left_out=("x",)),
    "lists": Fault(
        lambda f, rng: f.assign(x=[[int(n)] for n in rng.integers(0, 50, len(f))]),
        {"col.nested": WARNING},
        left_out=("x",),
    ),
    "target null": Fault(
        lambda f, rng: null_where(f, "target", rng.random(len(f)) < 0.05), {"target.missing": WARNING}
    ),
    "target mostly null": Fault(
        lambda f, rng: null_where(f, "target", rng.random(len(f)) < 0.6), {"target.missing": ERROR}
    ),
    "target never there": Fault(
        lambda f, _: f.assign(target=pd.Series([None] * len(f), dtype="float64")),
        {"target.missing": ERROR, "rows.too_few": ERROR},
    ),
    "target constant": Fault(lambda f, _: f.assign(target=1), {"target.constant": ERROR}),
    "rare class": Fault(
        lambda f, _: keep_classes(f, {"low": 900, "middle": 900, "high": 150}),
        {"target.rare_class": WARNING},
        task="multiclass",
    ),
    "class of two rows": Fault(
        lambda f, _: keep_classes(f, {"low": 900, "middle": 900, "high": 2}),
        {"target.rare_class": ERROR, "rows.too_few": ERROR, "target.imbalance": WARNING},
        task="multiclass",
    ),
    "tiny minority": Fault(
        lambda f, _: keep_classes(f, {0: 35_000, 1: 300}), {"target.imbalance": WARNING}, rows=75_000
    ),
    "few numbers to regress": Fault(
        lambda f, _: f.assign(target=f["target"].clip(-2, 2).round().astype(int)),
        {"target.kind": WARNING},
        task="regression",
        data={"task": "regression"},
    ),
    "many classes": Fault(
        lambda f, rng: f.assign(target=rng.integers(0, 120, len(f))),
        {"target.kind": WARNING},
        rows=60_000,
        data={"task": "multiclass"},
    ),
    "three values for binary": Fault(
        lambda f, _: f, {"target.kind": ERROR}, task="multiclass", data={"task": "binary"}
    ),
    "text to regress": Fault(lambda f, _: f, {"target.kind": ERROR}, task="multiclass", data={"task": "regression"}),
    "infinite target": Fault(
        lambda f, _: f.assign(target=f["target"].mask(f.index < 3, np.inf)),
        {"target.kind": ERROR},
        task="regression",
    ),
    "date to predict": Fault(lambda f, _: f.assign(target=f["joined"]), {"target.kind": ERROR}),
    "copy": Fault(lambda f, _: f.assign(x=f["target"]), {"leak.copy": ERROR}),
    "copy as boolean": Fault(lambda f, _: f.assign(x=f["target"] == 1), {"leak.copy": ERROR}),
    "copy in words": Fault(
        lambda f, _: f.assign(x=np.where(f["target"] == 1, "late", "on time")), {"leak.copy": ERROR}
    ),
    "copy of classes": Fault(lambda f, _: f.assign(x=f["target"].str.upper()), {"leak.copy": ERROR}, task="multiclass"),
    "copy of numbers": Fault(lambda f, _: f.assign(x=f["target"]), {"leak.copy": ERROR}, task="regression"),
    "nearly the class": Fault(
        lambda f, rng: f.assign(x=10.0 * f["target"] + rng.normal(size=len(f))),
        {"leak.single_feature": ERROR},
    ),
    "strongly the class": Fault(
        lambda f, rng: f.assign(x=2.8 * f["target"] + rng.normal(size=len(f))),
        {"leak.single_feature": WARNING},
    ),
    "text that gives the class away": Fault(
        lambda f, rng: f.assign(x=[f"{t}-{n}" for t, n in zip(f["target"], rng.integers(0, 90, len(f)), strict=True)]),
        {"leak.single_feature": ERROR},
    ),
    "nulls that give the class away": Fault(
        lambda f, rng: f.assign(x=pd.Series(rng.normal(size=len(f))).mask(f["target"] == 1)),
        {"leak.missingness": ERROR, "col.missing": WARNING},
    ),
    "nearly the classes": Fault(
        lambda f, rng: f.assign(x=f["target"].map({"low": 0.0, "middle": 9.0, "high": 4.0}) + rng.random(len(f))),
        {"leak.single_feature": ERROR},
        task="multiclass",
    ),
    "nearly the number": Fault(
        lambda f, rng: f.assign(x=np.exp(f["target"] + rng.normal(0, 0.05, len(f)))),
        {"leak.single_feature": ERROR},
        task="regression",
    ),
    "the number in other units": Fault(
        lambda f, _: f.assign(target=np.exp(f["target"]), x=60 * np.exp(f["target"]) + 1),
        {"leak.single_feature": ERROR},
        task="regression",
    ),
    "strongly the number": Fault(
        lambda f, rng: f.assign(x=f["target"] + rng.normal(0, 0.45, len(f))),
        {"leak.single_feature": WARNING},
        task="regression",
    ),
    "one row says yes, its twin no": Fault(
        lambda f, _: pd.concat([f, f.head(60).assign(target=1 - f["target"])]), {"rows.conflicting_labels": WARNING}
    ),
    "half of the labels are at odds": Fault(
        lambda f, _: pd.concat([f, f.head(2_500).assign(target=1 - f["target"])]), {"rows.conflicting_labels": ERROR}
    ),
    "labels at odds beside an id": Fault(
        lambda f, rng: pd.concat([f, f.head(60).assign(target=1 - f["target"])]).assign(x=rng.permutation(ROWS + 60)),
        {"rows.conflicting_labels": WARNING, "col.id_like": WARNING},
        left_out=("x",),
    ),
    "some infinite": Fault(
        lambda f, _: f.assign(amount=f["amount"].mask(f.index < 20, np.inf)), {"col.infinite": WARNING}
    ),
    "many infinite": Fault(
        lambda f, _: f.assign(amount=f["amount"].mask(f.index < 200, -np.inf)), {"col.infinite": ERROR}
    ),
    "-999 for missing": Fault(
        lambda f, rng: f.assign(age=f["age"].mask(rng.random(len(f)) < 0.004, -999)), {"col.sentinel": WARNING}
    ),
    "9999 among floats": Fault(
        lambda f, rng: f.assign(amount=f["amount"].mask(rng.random(len(f)) < 0.004, 9999.0)), {"col.sentinel": WARNING}
    ),
    "1900-01-01 for missing": Fault(
        lambda f, rng: f.assign(joined=f["joined"].mask(rng.random(len(f)) < 0.01, pd.Timestamp("1900-01-01"))),
        {"col.sentinel": WARNING},
    ),
    "a spike far away": Fault(
        lambda f, rng: f.assign(amount=f["amount"].mask(rng.random(len(f)) < 0.015, 512.5)),
        {"col.sentinel": WARNING, "col.outliers": WARNING},
    ),
    "far outliers": Fault(
        lambda f, rng: f.assign(amount=f["amount"].mask(rng.random(len(f)) < 0.02, rng.normal(0, 5_000, len(f)))),
        {"col.outliers": WARNING},
    ),
    "beyond float32": Fault(
        lambda f, _: f.assign(amount=f["amount"].mask(f.index == 7, 1e39)), {"col.overflow": ERROR}
    ),
    "epoch seconds": Fault(
        lambda f, rng: f.assign(x=1_700_000_000 + rng.integers(0, 4_000, len(f))), {"col.float32_collapse": WARNING}
    ),
    "rows that count themselves": Fault(
        lambda f, _: f.assign(x=np.arange(len(f)) * 3.0), {"col.id_like": WARNING}, left_out=("x",)
    ),
    "many categories": Fault(
        lambda f, rng: f.assign(x=[f"part {n}" for n in rng.integers(0, 1_500, len(f))]),
        {"col.high_cardinality": WARNING},
    ),
    "numbers and words": Fault(
        lambda f, rng: f.assign(x=rng.choice(["10", "20", "30", "unknown", "many"], len(f))),
        {"col.mixed_types": WARNING},
    ),
    "numbers as text": Fault(
        lambda f, rng: f.assign(x=[f"{n:,}.50 €" for n in rng.integers(100, 1_300, len(f))]),
        {"col.numeric_as_text": WARNING},
    ),
    "spellings": Fault(
        lambda f, rng: f.assign(city=f["city"].mask(rng.random(len(f)) < 0.02, "bonn ")), {"col.variants": WARNING}
    ),
    "a column twice": Fault(lambda f, _: f.assign(x=f["balance"]), {"col.duplicate": WARNING}),
    "a text twice": Fault(lambda f, _: f.assign(x=f["city"]), {"col.duplicate": WARNING}),
    "other units": Fault(
        lambda f, rng: f.assign(x=f["amount"] * -2.54 + rng.normal(0, 0.5, len(f))), {"col.near_duplicate": WARNING}
    ),
    "free text": Fault(
        lambda f, rng: f.assign(
            x=[f"the customer said {n} things on day {m}" for n, m in rng.integers(0, 999, (len(f), 2))]
        ),
        {"col.text": WARNING},
        left_out=("x",),
    ),
    "dates as text": Fault(
        lambda f, _: f.assign(joined=f["joined"].dt.strftime("%d.%m.%Y")),
        {"col.datetime": WARNING},
        left_out=("joined",),
    ),
    "a target with a long tail": Fault(
        lambda f, _: f.assign(target=f["target"].mask(f.index < 3, 10_000.0)),
        {"target.outliers": WARNING},
        task="regression",
    ),
    "nulls that may give the class away": Fault(
        lambda f, rng: f.assign(
            x=pd.Series(rng.normal(size=len(f))).mask((f["target"] == 1) & (rng.random(len(f)) < 0.9))
        ),
        {"leak.missingness": WARNING, "col.missing": WARNING},
    ),
    "called like the target": Fault(
        lambda f, rng: f.assign(mean_target=rng.normal(size=len(f))), {"leak.name": WARNING}
    ),
    "sorted by the target": Fault(
        lambda f, _: f.sort_values("target", ignore_index=True), {"leak.order": WARNING}, task="regression"
    ),
    "null with the target": Fault(
        lambda f, _: null_where(null_where(f, "target", f.index < 150), "amount", f.index < 120),
        {"leak.missing_together": WARNING, "target.missing": WARNING},
    ),
}


def entities(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Customers with several rows each: what a customer is like tells the target, and nothing else does so well."""
    customers = rng.integers(0, 400, len(frame))
    liking, height = rng.normal(0, 2.5, 400), rng.normal(170, 10, 400)
    target = (liking[customers] + rng.normal(0, 1, len(frame)) > 0).astype(int)
    return frame.assign(customer_id=customers, height=height[customers].round(3), target=target)


def days(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every day has a level of its own, which rows of the same day give away and rows of earlier days do not."""
    day = rng.integers(0, 200, len(frame))
    level = rng.normal(0, 2.5, 200)
    target = (level[day] + (frame["amount"] - 100) / 40 + rng.normal(0, 1, len(frame)) > 0).astype(int)
    return frame.assign(joined=pd.Timestamp("2020-01-01") + pd.to_timedelta(day, unit="D"), target=target)


def separable(frame: pd.DataFrame, rng: np.random.Generator, wrong: float = 0.0) -> pd.DataFrame:
    """A target that several columns tell together without a doubt, but for a share of wrong labels."""
    told = (frame["amount"] - 100) / 20 + (frame["age"] - 49) / 18 + np.where(frame["member"], 1.0, -1.0)
    kept = frame[(told.abs() > 0.3)].reset_index(drop=True)
    label = (told[told.abs() > 0.3].reset_index(drop=True) > 0).astype(int)
    return kept.assign(target=np.where(rng.random(len(kept)) < wrong, 1 - label, label))


MODEL_FAULTS = {
    "no signal in many rows": Fault(
        lambda f, rng: f.assign(target=rng.integers(0, 2, len(f))), {"signal.none": ERROR}, rows=40_000
    ),
    "no signal in few rows": Fault(
        lambda f, rng: f.assign(target=rng.integers(0, 2, len(f))), {"signal.none": WARNING}, rows=1_000
    ),
    "no signal for a number": Fault(
        lambda f, rng: f.assign(target=rng.normal(size=len(f))), {"signal.none": ERROR}, task="regression"
    ),
    "two columns that give the class away together": Fault(
        lambda f, rng: f.assign(
            p=(noise := rng.normal(0, 3, len(f))), q=f["target"] * 4.0 - noise + rng.normal(0, 0.05, len(f))
        ),
        {"signal.too_good": WARNING},
    ),
    "a tenth of the labels wrong": Fault(lambda f, rng: separable(f, rng, 0.1), {"label.noise": WARNING}),
    "customers in every part": Fault(entities, {"leak.group": WARNING}),
    "days in every part": Fault(days, {"leak.time": WARNING}),
}


@dataclass(frozen=True)
class SplitFault:
    """A fault between the parts: what becomes of the frame of a part, and the findings that must come of it."""

    plant: Callable[[pd.DataFrame, Part, np.random.Generator], pd.DataFrame]
    expected: dict[str, Severity]
    kind: str = "stratified"
    keys_shared: int = 0
    left_out: int = 0

    def rows(self, sizes: tuple[int, int, int] = (1_800, 600, 600)) -> PartRows:
        """The parts, with the fault in them."""
        rng = np.random.default_rng(12)
        blocks = {}
        for seed, (part, size) in enumerate(zip(Part, sizes, strict=True)):
            frame = self.plant(clean_table(size, seed, "multiclass"), part, rng)
            arrow, _ = arrow_of(frame)
            y = target_codes(arrow.column("target"), parts_task())
            blocks[part] = RowBlock(arrow.drop_columns(["target"]), y, None)
        return PartRows(self.kind, blocks, self.keys_shared, left_out=self.left_out)


def parts_task() -> LearningTask:
    """The task of the parts of `SplitFault`."""
    columns = tuple(column for column in arrow_of(clean_table(50, 0))[1] if column.name != "target")
    kind, classes = TaskKind.MULTICLASS, ("high", "low", "middle")
    return LearningTask(kind, "target", metric_for(None, kind), columns, classes)


SPLIT_FAULTS = {
    "a key in two parts": SplitFault(lambda f, _p, _r: f, {"split.overlap": ERROR}, keys_shared=3),
    "groups that go on for long": SplitFault(
        lambda f, _p, _r: f, {"split.left_out": WARNING}, kind="group+time", left_out=1_000
    ),
    "a random part that differs": SplitFault(
        lambda f, p, _: f.assign(amount=f["amount"] + (40 if p is Part.VALIDATION else 0)), {"split.drift": ERROR}
    ),
    "later rows that differ": SplitFault(
        lambda f, p, _: f.assign(amount=f["amount"] + (40 if p is Part.VALIDATION else 0)),
        {"split.drift": WARNING},
        kind="time",
    ),
    "categories of later rows": SplitFault(
        lambda f, p, rng: f.assign(city=f["city"].mask((p is Part.TESTING) & (rng.random(len(f)) < 0.07), "Oslo")),
        {"split.new_category": WARNING},
    ),
    "a class that training lacks": SplitFault(
        lambda f, p, _: f.assign(target=f["target"].replace("low", "high")) if p is Part.TRAINING else f,
        {"split.new_label": ERROR},
    ),
}
