"""trials.parquet: one row a trial and rung, nothing recorded by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.config import PriceConfig
from raysweep.documents import canonical_json
from raysweep.records.trial import RungReport, Trial

_SCHEMA: Final = pa.schema(
    [
        ("trial", pa.int64()),
        ("rung", pa.int64()),
        ("effort", pa.float64()),
        ("rounds", pa.int64()),
        ("is_whole", pa.bool_()),
        ("family", pa.string()),
        ("params", pa.string()),
        ("params_digest", pa.string()),
        ("origin", pa.string()),
        ("seed", pa.int64()),
        ("state", pa.string()),
        ("score", pa.float64()),
        ("metric", pa.string()),
        ("metrics", pa.string()),
        ("part", pa.string()),
        ("started", pa.timestamp("us", "UTC")),
        ("seconds", pa.float64()),
        ("core_seconds", pa.float64()),
        ("gpu_seconds", pa.float64()),
        ("cost", pa.float64()),
        ("memory_bytes", pa.int64()),
        ("node", pa.string()),
        ("attempt", pa.int64()),
        ("reason", pa.string()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Slot:
    """What a trial holds while it runs.

    Attributes:
        price: of an hour of a core and of a GPU; None where it is not known.
    """

    cpus: int
    gpus: float
    price: PriceConfig | None


def write_trials(path: Path, trials: Sequence[Trial], *, metric: str, part: str, slot: Slot) -> None:
    """Write every trial and every rung that it reported; a trial without a rung has one row without scores.

    Core-seconds, GPU-seconds and cost are those until the rung; in a trial's last row all that it took, with attempts
    that came to nothing, so that the last rows add up to what all trials took.
    """
    rows = [
        _row(trial, report, metric=metric, part=part, slot=slot)
        for trial in trials
        for report in (trial.rungs or (None,))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), path)


def _row(trial: Trial, report: RungReport | None, *, metric: str, part: str, slot: Slot) -> dict[str, Any]:
    candidate = trial.candidate
    row: dict[str, Any] = {
        "trial": candidate.number,
        "family": candidate.family,
        "params": canonical_json(dict(candidate.params)).decode(),
        "params_digest": candidate.digest,
        "origin": candidate.origin,
        "seed": candidate.seed,
        "state": trial.state.value,
        "metric": metric,
        "part": part,
        "started": datetime.fromtimestamp(trial.started, UTC),
        "node": trial.node,
        "attempt": trial.attempts,
        "reason": trial.reason,
        "error": trial.error,
    }
    if report is None:
        return row | _used(trial.slot_seconds, slot)
    is_last = report is trial.rungs[-1]
    row |= _used(trial.slot_seconds if is_last else report.seconds, slot)
    return row | {
        "rung": report.rung,
        "effort": report.effort,
        "rounds": report.rounds,
        "is_whole": report.is_whole,
        "score": report.score,
        "metrics": canonical_json(dict(report.metrics)).decode(),
        "seconds": report.seconds,
        "memory_bytes": report.memory_bytes,
    }


def _used(seconds: float, slot: Slot) -> dict[str, float | None]:
    """What a slot takes in so many seconds."""
    price = slot.price
    per_hour = None if price is None else slot.cpus * price.cpu + slot.gpus * price.gpu
    return {
        "core_seconds": seconds * slot.cpus,
        "gpu_seconds": seconds * slot.gpus,
        "cost": None if per_hour is None else seconds * per_hour / 3600,
    }
