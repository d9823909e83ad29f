"""trials.parquet: one row a trial and rung, nothing recorded by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

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
        ("node", pa.string()),
        ("attempt", pa.int64()),
        ("reason", pa.string()),
        ("error", pa.string()),
    ]
)


def write_trials(path: Path, trials: Sequence[Trial], *, metric: str, part: str, cpus: int, gpus: float) -> None:
    """Write every trial and every rung that it reported; a trial without a rung has one row with nulls."""
    rows = [
        _row(trial, report, metric=metric, part=part, cpus=cpus, gpus=gpus)
        for trial in trials
        for report in (trial.rungs or (None,))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), path)


def _row(trial: Trial, report: RungReport | None, *, metric: str, part: str, cpus: int, gpus: float) -> dict[str, Any]:
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
        "attempt": 1,
        "reason": trial.reason,
        "error": trial.error,
    }
    if report is None:
        return row
    return row | {
        "rung": report.rung,
        "effort": report.effort,
        "rounds": report.rounds,
        "is_whole": report.is_whole,
        "score": report.score,
        "metrics": canonical_json(dict(report.metrics)).decode(),
        "seconds": report.seconds,
        "core_seconds": report.seconds * cpus,
        "gpu_seconds": report.seconds * gpus,
    }
