"""What a batch prediction came to: the files that were written, and what the rows held that the model had not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raysweep.documents import plain_record


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
        deviations: column -> how many rows hold a value there that the model has never seen.
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
    deviations: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def to_document(self) -> dict[str, Any]:
        """As `raysweep predict --json` prints it."""
        document: dict[str, Any] = plain_record(self)
        return document

    def __repr__(self) -> str:
        unseen = "".join(f"; {count:,} rows with an unseen {name!r}" for name, count in self.deviations.items())
        files = f"{len(self.files):,} {self.format} file{'s' if len(self.files) != 1 else ''}"
        return f"<Predictions: {self.rows:,} rows in {files}, {self.out}{unseen}>"
