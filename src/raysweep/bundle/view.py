"""What a run left behind, for people: from its bundle, or from its journal while it has none. Imports no learner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from raysweep.bundle.bounded import MAX_TRIAL_ROWS, read_document, read_table
from raysweep.bundle.locate import read_manifest
from raysweep.bundle.unfinished import Progress, read_unfinished
from raysweep.errors import BundleRefused, NotFound, RequestInvalid
from raysweep.records.aims import Aims, Standing
from raysweep.records.manifest import MANIFEST_FILE
from raysweep.storage.epoch_records import holds_records
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
        aims: what the trials were after; None where the search has not begun, or this version does not know them.
        progress: of a run that has not been published; None for any other.
    """

    run_id: str
    url: str
    finished: bool
    manifest: Mapping[str, Any]
    final_check: Mapping[str, Any] | None
    trials: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]] = field(default=())
    proposals: Sequence[Mapping[str, str]] = field(default=())
    aims: Aims | None = None
    progress: Progress | None = None

    @property
    def ranking(self) -> list[Mapping[str, Any]]:
        """The trials with a score, best first."""
        return [trial for trial in self.trials if _standing(trial) is not None]

    @property
    def front(self) -> frozenset[int]:
        """The numbers of the trials on the Pareto front."""
        return frozenset() if self.aims is None else self.aims.front(_standings(self.trials))

    def to_document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "run_id": self.run_id,
            "url": self.url,
            "finished": self.finished,
            "progress": None if self.progress is None else self.progress.to_document(),
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
    read_manifest(store)
    manifest = json.loads(store.get(MANIFEST_FILE))
    final = read_document(store, "final_check.json") if "final_check.json" in present else None
    findings = read_document(store, "data/findings.json") if "data/findings.json" in present else {}
    trials = _trials(store) if "trials.parquet" in present else []
    aims = _aims(manifest["search"] or {})
    return RunView(
        manifest["run_id"],
        store.address(),
        finished=True,
        manifest=manifest,
        final_check=final,
        trials=_ordered(trials, aims),
        findings=_listed(store, findings, "findings"),
        proposals=_listed(store, findings, "proposals"),
        aims=aims,
    )


def _listed(store: Store, findings: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = findings.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise BundleRefused(f"{store.address('data/findings.json')}: {name} is no list of objects")
    return found


def _trials(store: Store) -> list[dict[str, Any]]:
    rows = read_table(store, "trials.parquet", MAX_TRIAL_ROWS).to_pylist()
    rungs: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        rungs.setdefault(row["trial"], []).append(row)
    return [_shown(reports[-1], len(reports)) for reports in rungs.values()]


def _aims(said: Mapping[str, Any]) -> Aims | None:
    """What a search was after, as its record in the manifest or in the journal says."""
    try:
        return Aims.named(said["metric"], said.get("objectives", ()), said.get("constraints", {}))
    except (KeyError, RequestInvalid):
        return None


def _ordered(trials: Sequence[Mapping[str, Any]], aims: Aims | None) -> list[Mapping[str, Any]]:
    """Best first, as the leaderboard has them, then those without a score."""
    order = [] if aims is None else aims.ordered(_standings(trials))
    places = {number: place for place, number in enumerate(order)}
    return sorted(trials, key=lambda trial: (places.get(trial["trial"], len(order)), trial["trial"]))


def _standings(trials: Sequence[Mapping[str, Any]]) -> list[Standing]:
    return [standing for trial in trials if (standing := _standing(trial)) is not None]


def _standing(trial: Mapping[str, Any]) -> Standing | None:
    if trial["score"] is None or trial["state"] == "failed":
        return None
    return Standing(trial["trial"], trial["score"], trial["is_whole"], trial["effort"], trial["metrics"])


def _shown(row: dict[str, Any], rungs: int) -> dict[str, Any]:
    shown = {name: row[name] for name in _SHOWN}
    params, metrics = json.loads(row["params"]), json.loads(row["metrics"] or "{}")
    return shown | {"rungs": rungs if row["rung"] is not None else 0, "params": params, "metrics": metrics}


def _unfinished(store: Store, present: set[str]) -> RunView:
    if not holds_records(present):
        raise NotFound(f"{store.address()} holds neither a bundle ({MANIFEST_FILE}) nor a journal of a run")
    view, progress = read_unfinished(store)
    run_id = store.address().rstrip("/").rpartition("/")[2]
    aims = _aims(view.search)
    return RunView(
        run_id,
        store.address(),
        finished=False,
        manifest={},
        final_check=None,
        trials=_ordered(list(view.trials.values()), aims),
        aims=aims,
        progress=progress,
    )
