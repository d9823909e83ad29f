"""The table and what is known of it: columns, profile, findings, the learning task, the split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from raysweep.config import TaskKind
from raysweep.prepare_rules import Rule
from raysweep.records.aims import Aims
from raysweep.records.metric import Metric
from raysweep.records.split_rule import SplitRule
from raysweep.split_rules import Moment

Label = bool | int | float | str

# Beside the table's own columns every block says where its rows come from: the position of the file in `Table.files`
# (int32, -1 for a table in memory), and the row's number in it, from 0 (int64). No column can be called so.
FILE_OF_ROW: Final = "\x00file"
NUMBER_OF_ROW: Final = "\x00row"


class ColumnKind(StrEnum):
    """What the values of a column are, whatever they were stored as."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    STRING = "string"
    DATETIME = "datetime"
    NESTED = "nested"  # lists, structs, binary: cannot be learned from directly


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, what its values are, and the Arrow type that it was read as."""

    name: str
    kind: ColumnKind
    type: str


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the source: address without credentials, size, and what identifies its content."""

    address: str
    size_bytes: int
    version: str


@dataclass(frozen=True, slots=True)
class Table:
    """The source as it will be read.

    Attributes:
        scan: `scan(count, names=None)` yields the tables that `count(blocks)` yields; it is called wherever rows lie or
            are read, with an iterator over the blocks there, which hold at least these columns (all, where none are
            named) in canonical types (see `raysweep.rows.canonical`), then `FILE_OF_ROW` and `NUMBER_OF_ROW`. Rows may
            be read anew each time; where a block is empty, a table without columns may come back.
        rows: how many, where that is known before the rows are read.
    """

    address: str
    format: str
    columns: tuple[Column, ...]
    files: tuple[SourceFile, ...]
    scan: Any = field(repr=False, compare=False)
    rows: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in the source's order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands: the position of its file in `Table.files` (-1: in memory), and its number there, from 0."""

    file: int
    row: int


@dataclass(frozen=True, slots=True)
class LabelConflicts:
    """Rows that the features cannot tell apart though their targets differ; counted over all rows with a target.

    Attributes:
        combinations: different combinations of feature values.
        rows: rows whose combination occurs with more than one value of the target.
        minority_rows: of these, the rows that do not have their combination's most frequent value: no model that
            sees these features alone can be right about them.
    """

    combinations: int
    rows: int
    minority_rows: int


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """Statistics of one column over the rows of one class; exact.

    Attributes:
        nulls, minimum, maximum, mean, std: as in `ColumnProfile`.
    """

    nulls: int
    minimum: float | str | None = None
    maximum: float | str | None = None
    mean: float | None = None
    std: float | None = None


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """Statistics of one column over the whole table; exact unless said.

    Attributes:
        nulls: missing values: null and NaN.
        empty_like: strings that look like a missing value ("", "NA", "?", "null", "none"), not counted in `nulls`.
        infinite: infinite values (numbers).
        distinct: number of distinct values without nulls; an estimate where `distinct_exact` is false.
        values: value -> count, most frequent first; None where there are more than 10,000 distinct values.
        minimum, maximum: of the finite values; dates as ISO text; None for text, and where there is no value.
        mean, std: of the finite values (numbers, booleans); std with n - 1; rounded once from exact sums.
        quantiles: 1, 5, 25, 50, 75, 95, 99 % of the numbers in the sample.
        beyond_float32: finite numbers that float32 cannot hold (they would become infinite).
        nulls_with_target_missing: rows in which this column and the target are both null.
        odd_places: the first five rows with an infinite value or one beyond float32; not published.
        by_class: one for each of the profile's classes; empty for the target itself, and where there are no classes.
        values_by_class: how often each of `values` occurs in each class; None where there are more than 1,000
            combinations.
    """

    name: str
    kind: ColumnKind
    type: str
    count: int
    nulls: int
    empty_like: int = 0
    infinite: int = 0
    zeros: int = 0
    distinct: int = 0
    distinct_exact: bool = True
    values: tuple[tuple[Label, int], ...] | None = None
    minimum: float | str | None = None
    maximum: float | str | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: Mapping[str, float] | None = None
    integral: bool = False
    beyond_float32: int = 0
    nulls_with_target_missing: int | None = None
    odd_places: tuple[Place, ...] = field(default=(), compare=False)
    by_class: tuple[ClassStatistics, ...] = ()
    values_by_class: tuple[tuple[int, ...], ...] | None = None

    @property
    def missing_share(self) -> float:
        """Nulls over rows, 0 for an empty table."""
        return self.nulls / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What one pass over the table found.

    Attributes:
        rows: number of rows.
        duplicate_rows: rows that repeat an earlier one exactly.
        row_digest: sha256 over the sorted hashes of all rows: the table's content, whatever the order of rows.
        sample: an Arrow table of up to 100,000 rows, the same for the same rows in any order; rows with equal features
            stand together; not published.
        sample_keys: the key hash of each row of the sample (uint64), by which the split deals it out.
        sample_places: where each row of the sample stands: an Arrow table of `FILE_OF_ROW` and `NUMBER_OF_ROW`.
        conflicts: equal features with different targets; None without a target.
        classes: the values of the target by which the columns' statistics were taken too, each with its rows; None
            where they are more than 20, or instants.
        increasing: columns whose values grow (or fall) strictly from row to row, without a null. That depends on the
            order of the rows, so it is no part of the published profile.
    """

    rows: int
    duplicate_rows: int
    row_digest: str
    columns: tuple[ColumnProfile, ...]
    target: str | None
    sample: Any = field(repr=False, compare=False)
    sample_keys: Any = field(default=None, repr=False, compare=False)
    sample_places: Any = field(default=None, repr=False, compare=False)
    conflicts: LabelConflicts | None = None
    classes: tuple[tuple[Label, int], ...] | None = None
    increasing: tuple[str, ...] = field(default=(), compare=False)

    def column(self, name: str) -> ColumnProfile:
        """The profile of the column called `name`; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"  # the data are unsuitable, no trial is started
    WARNING = "warning"  # recorded, shown, in the manifest and on the model card
    WAIVED = "waived"  # accepted by the sweep file, with a reason and a bound
    INFORMATION = "information"
    SKIPPED = "skipped"  # the check had nothing to look at


@dataclass(frozen=True, slots=True)
class Finding:
    """What a data check says.

    Attributes:
        check: the id of the check, such as `col.missing`.
        message: one sentence with the numbers.
        advice: what the owner of the data can do.
        column: the column it is about.
        count: rows concerned.
        share: of the rows, 0 to 1.
        threshold: the one that was crossed.
        measured: how bad it is, where that is not `share`; more is worse.
        examples: at most five, each shortened.
        places: where example rows stand, such as `flights.csv row 1,204`; at most five.
        leaves_out: the column is not learned from because of this finding.
        waived: why it was accepted (`checks.accept`); None where it was not.
    """

    check: str
    severity: Severity
    message: str
    advice: str = ""
    column: str | None = None
    count: int | None = None
    share: float | None = None
    threshold: float | None = None
    measured: float | None = None
    examples: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    leaves_out: bool = False
    waived: str | None = None

    @property
    def amount(self) -> float:
        """What a waiver's bound is held against; 1 for a finding that only is or is not."""
        if self.measured is not None:
            return self.measured
        return 1.0 if self.share is None else self.share


@dataclass(frozen=True, slots=True)
class Preparation:
    """From the source's columns to the features: the columns that are read, in the source's order, and the rules."""

    inputs: tuple[Column, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class LearningTask:
    """What is to be learned from what.

    Attributes:
        classes: the labels in the order of their codes 0, 1, ...; for a binary task the last one is positive.
        class_counts: rows of each class.
        features: the columns that are learned from, after the preparation, in the source's order.
        said: how what was not declared has been inferred, one sentence each.
        preparation: how the features come about; None where they are the source's own columns.
        objectives, constraints: as in `raysweep.records.aims.Aims`.
    """

    kind: TaskKind
    target: str
    metric: Metric
    features: tuple[Column, ...]
    classes: tuple[Label, ...] = ()
    class_counts: tuple[int, ...] = ()
    weight: str | None = None
    said: tuple[str, ...] = ()
    preparation: Preparation | None = None
    objectives: tuple[Metric, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)

    @property
    def aims(self) -> Aims:
        """What makes one candidate better than another."""
        return Aims(self.metric, self.objectives, self.constraints)

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The source's columns that a model wants."""
        return self.features if self.preparation is None else self.preparation.inputs

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What is done to the inputs before anything is learned."""
        return () if self.preparation is None else self.preparation.rules

    @property
    def positive(self) -> Label | None:
        """The class that counts as positive, for a binary task."""
        return self.classes[1] if self.kind is TaskKind.BINARY else None


class Suitability(StrEnum):
    """What the data gate decides."""

    SUITABLE = "suitable"
    WITH_WARNINGS = "suitable with warnings"
    UNSUITABLE = "unsuitable"


class Meaning(StrEnum):
    """What a column seems to be for, whatever its values were stored as."""

    IDENTIFIER = "identifier"
    CATEGORY = "category"
    NUMBER = "number"
    MONEY = "money"
    BOOLEAN = "boolean"
    TIME = "date or time"
    TEXT = "free text"
    NESTED = "nested"
    TARGET = "like a target"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Structure:
    """How columns hang together, by the sample.

    Attributes:
        groups: columns that may say which rows belong together (a customer, a patient), the likeliest first.
        times: columns that may order the rows in time, the finest first.
        dependencies: a column and those that it determines: equal values of the one, equal values of the others.
    """

    groups: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    dependencies: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A line for the sweep file, and why; never applied by itself."""

    line: str
    why: str


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The outcome of the data gate; `task` is None where the data are unsuitable or no target was named.

    Attributes:
        findings: worst first.
        left_out: column -> the finding because of which it is not learned from.
        meanings: column -> what it seems to be for.
        unused_waivers: what `checks.accept` holds that met no finding, one sentence each.
        passed: the checks that looked and found nothing.
    """

    suitability: Suitability
    findings: tuple[Finding, ...]
    task: LearningTask | None
    left_out: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    structure: Structure = Structure()
    proposals: tuple[Proposal, ...] = ()
    unused_waivers: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()


class Part(StrEnum):
    """The three parts of the data."""

    TRAINING = "training"
    TESTING = "testing"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True)
class PartSummary:
    """Size and identity of a part.

    Attributes:
        digest: the sha256 over its sorted row keys.
        first, last: the earliest and the latest `data.time`; None where that is not given, or missing in all rows.
        groups: how many different `data.group`; None where that is not given.
    """

    rows: int
    digest: str
    class_counts: tuple[int, ...] = ()
    first: Moment | None = None
    last: Moment | None = None
    groups: int | None = None


@dataclass(frozen=True, slots=True)
class RowSample:
    """The rows that a search gets of a table that is too large for it.

    Attributes:
        wanted: how many were asked for: the same number gives the same rows.
        rows: of training and of testing.
        of: how many rows these parts have.
        raised: a class that is rare, how many of its rows are in the sample, and of how many.
        blocks: references to all rows of training and of testing in Ray's object store, in blocks ordered by key;
            opaque.
        bins_bytes: what a fit on all rows may hold of them in memory; None: as much as they take.
    """

    wanted: int
    rows: Mapping[Part, int]
    of: Mapping[Part, int]
    raised: tuple[tuple[Label, int, int], ...] = ()
    blocks: Any = field(default=None, repr=False, compare=False)
    bins_bytes: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.words(*self.rows)

    def words(self, *parts: Part) -> str:
        """`a sample of 200,000 of 8,000,000 rows`, of these parts together."""
        return f"a sample of {sum(self.rows[one] for one in parts):,} of {sum(self.of[one] for one in parts):,} rows"


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows belong where.

    Attributes:
        parts: a summary of each part.
        folds: 1: candidates are compared on the testing part; more: by cross-validation over training and testing.
        keys_shared: row keys that stand in more than one part, counted over all rows; the proof says 0.
        left_out_rows: rows without a target.
        search_data: references to the training and testing rows in Ray's object store; opaque.
        findings: what the parts said of one another before the validation rows were sealed.
        sketch: the 1,024 smallest hashes of whole validation rows, uint64: for the ledger of openings.
        cuts: kinds by time: when testing and validation begin, in microseconds since 1970 (or the column's numbers).
        rule: all by which the rows were dealt out, with the cuts that were found.
        left_out: rows that are in no part, by the reason (`raysweep.records.split_rule`).
        sample: what the search gets instead of all training and testing rows; None where it gets all of them.
    """

    kind: str
    seed: int
    key: tuple[str, ...]
    parts: Mapping[Part, PartSummary]
    folds: int
    keys_shared: int
    left_out_rows: int
    search_data: Any = field(repr=False, compare=False)
    sketch: Any = field(repr=False, compare=False, default=None)
    cuts: tuple[float, ...] = ()
    findings: tuple[Finding, ...] = ()
    rule: SplitRule | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    sample: RowSample | None = None

    @property
    def scored_on(self) -> str:
        """What search scores are measured on, in words."""
        if self.folds > 1:
            sample = "" if self.sample is None else f" ({self.sample})"
            return f"training+testing{sample}, cross-validated in {self.folds} folds"
        return "testing" if self.sample is None else f"testing ({self.sample.words(Part.TESTING)})"
