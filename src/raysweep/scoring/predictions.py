"""What a batch prediction came to: the files that were written, and what the rows held that the model had not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from raysweep.bundle.deviations import ColumnDeviation
from raysweep.documents import plain_record

_UNSEEN: Final = "a value that the model has never seen"
_OUT_OF_RANGE: Final = "a value out of the range that the model has seen"


@dataclass(frozen=True, slots=True)
class PredictedFile:
    """A file of predictions."""

    address: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Predictions:
    """What `raysweep.predict` has written.

    Attributes:
        bundle: the address of the model's bundle.
        manifest_sha256: of its manifest, by which the bundle can be told from any other.
        verdict: of the final check.
        out: the file, folder or prefix that was written.
        columns: of the files, in their order.
        files: in the order of their rows.
        deviations: column -> how many rows hold a category there that the model has never seen, or a value out of
            the range that it has seen.
        seconds: wall time.
    """

    bundle: str
    manifest_sha256: str
    verdict: str
    out: str
    format: str
    columns: tuple[str, ...]
    rows: int
    files: tuple[PredictedFile, ...]
    deviations: Mapping[str, ColumnDeviation] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def deviation_lines(self) -> tuple[str, ...]:
        """What deviates, a line for each column and kind."""
        return tuple(
            f"{name}: {count:,} of {self.rows:,} rows hold {what}"
            for name, one in self.deviations.items()
            for count, what in ((one.unseen, _UNSEEN), (one.out_of_range, _OUT_OF_RANGE))
            if count
        )

    def to_document(self) -> dict[str, Any]:
        """As `raysweep predict --json` prints it."""
        document: dict[str, Any] = plain_record(self)
        return document

    def __repr__(self) -> str:
        odd = "".join(f"; {line}" for line in self.deviation_lines)
        files = f"{len(self.files):,} {self.format} file{'s' if len(self.files) != 1 else ''}"
        return f"<Predictions: {self.rows:,} rows in {files}, {self.out}{odd}>"
