"""What a run left behind, for people: from its bundle, or from its journal while it has none. Imports no learner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.bundle.locate import read_manifest
from raysweep.errors import NotFound
from raysweep.records.manifest import MANIFEST_FILE
from raysweep.records.metric import METRICS
from raysweep.storage.epoch_records import holds_records
from raysweep.storage.run_journal import read_run_journal
from raysweep.storage.store import Store

_SHOWN: Final = (
    *("trial", "family", "origin", "state", "score", "metric", "part"),
    *("effort", "rounds", "is_whole", "seconds", "reason"),
)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as `show` prints it.

    Attributes:
        finished: whether it has been published.
        trials: one dict a trial, best first where the run is finished.
        findings, proposals: of the data gate, as in findings.json.
    """

    run_id: str
    url: str
    finished: bool
    manifest: Mapping[str, Any]
    final_check: Mapping[str, Any] | None
    trials: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]] = field(default=())
    proposals: Sequence[Mapping[str, str]] = field(default=())

    def to_document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "run_id": self.run_id,
            "url": self.url,
            "finished": self.finished,
            "manifest": dict(self.manifest),
            "final_check": self.final_check,
            "trials": [dict(trial) for trial in self.trials],
            "findings": [dict(finding) for finding in self.findings],
            "proposals": [dict(proposal) for proposal in self.proposals],
        }


def view_run(store: Store) -> RunView:
    """Everything that can be shown of a run.

    Raises:
        NotFound: the place holds neither a bundle nor a journal.
        BundleRefused: the manifest cannot be read.
        RaysweepError: the journal of a run that has not finished is damaged.
    """
    present = {one.key for one in store.list()}
    if MANIFEST_FILE not in present:
        return _unfinished(store, present)
    manifest = json.loads(store.get(MANIFEST_FILE))
    read_manifest(store)
    final = json.loads(store.get("final_check.json")) if "final_check.json" in present else None
    findings = json.loads(store.get("data/findings.json")) if "data/findings.json" in present else {}
    trials = _trials(store) if "trials.parquet" in present else []
    return RunView(
        manifest["run_id"],
        store.address(),
        finished=True,
        manifest=manifest,
        final_check=final,
        trials=trials,
        findings=findings.get("findings", ()),
        proposals=findings.get("proposals", ()),
    )


def _trials(store: Store) -> list[dict[str, Any]]:
    rows = pq.read_table(pa.BufferReader(store.get("trials.parquet"))).to_pylist()
    rungs: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        rungs.setdefault(row["trial"], []).append(row)
    shown = [_shown(reports[-1], len(reports)) for reports in rungs.values()]
    return sorted(shown, key=_rank)


def _rank(trial: Mapping[str, Any]) -> tuple[int, float, float, int]:
    """Best first, as the leaderboard has it: whole scores, then others by effort, then trials without a score."""
    if trial["score"] is None or trial["state"] == "failed" or trial["metric"] not in METRICS:
        return 2, 0.0, 0.0, trial["trial"]
    score = -METRICS[trial["metric"]].sign * trial["score"]
    return (0, 0.0, score, trial["trial"]) if trial["is_whole"] else (1, -trial["effort"], score, trial["trial"])


def _shown(row: dict[str, Any], rungs: int) -> dict[str, Any]:
    shown = {name: row[name] for name in _SHOWN}
    return shown | {"rungs": rungs if row["rung"] is not None else 0, "params": json.loads(row["params"])}


def _unfinished(store: Store, present: set[str]) -> RunView:
    if not holds_records(present):
        raise NotFound(f"{store.address()} holds neither a bundle ({MANIFEST_FILE}) nor a journal of a run")
    trials: dict[int, dict[str, Any]] = {}
    measured: dict[str, str] = {}
    for record in read_run_journal(store):
        _replay(record, trials, measured)
    run_id = store.address().rstrip("/").rpartition("/")[2]
    ordered = sorted(trials.values(), key=_rank)
    return RunView(run_id, store.address(), finished=False, manifest={}, final_check=None, trials=ordered)


def _replay(record: Mapping[str, Any], trials: dict[int, dict[str, Any]], measured: dict[str, str]) -> None:
    kind = record.get("event")
    if kind == "search":
        measured.update(metric=record["metric"], part=record["part"])
    elif kind == "proposed":
        candidate = record["candidate"]
        trials[candidate["number"]] = {
            "trial": candidate["number"],
            "family": candidate["family"],
            "origin": candidate["origin"],
            "params": candidate["params"],
            "state": "waiting",
            "score": None,
            "rungs": 0,
            "seconds": None,
            "reason": "",
            **measured,
        }
    elif kind == "started" and record["candidate"] in trials:
        trials[record["candidate"]]["state"] = "running"
    elif kind == "rung" and record["candidate"] in trials:
        report = record["report"]
        trial = trials[record["candidate"]]
        trial |= {name: report[name] for name in ("score", "effort", "rounds", "is_whole")}
        trial |= {"seconds": report["seconds"], "rungs": report["rung"]}
    elif kind == "ended" and record["candidate"] in trials:
        trials[record["candidate"]] |= {"state": record["state"], "reason": record["reason"]}
