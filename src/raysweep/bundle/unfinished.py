"""A run that is not published, by its journal: its trials, who works on it, and when that was last heard of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from raysweep.records.journal_order import as_it_happened
from raysweep.records.trial import TrialState
from raysweep.storage.epochs import Owner, last_epoch, read_owner
from raysweep.storage.run_journal import read_run_journal
from raysweep.storage.store import Store

_HAS_ENDED: Final = frozenset(state.value for state in TrialState if state.has_ended)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come that is not published.

    Attributes:
        driver: who claimed it last; None where that cannot be read.
        heard: when it last wrote something down, in UTC. A trial may run for long, or the driver may be dead.
        ended: how many trials have ended.
        asked: how many trials were asked for; None where nothing says so.
    """

    driver: Owner | None
    heard: datetime | None
    ended: int
    asked: int | None

    def to_document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        driver = None if self.driver is None else {name: getattr(self.driver, name) for name in ("host", "pid", "at")}
        heard = None if self.heard is None else self.heard.isoformat(timespec="seconds")
        return {"driver": driver, "last_heard": heard, "trials_ended": self.ended, "trials_asked": self.asked}


class JournalView:
    """What the records of a run say, in the form that `RunView` has."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self.trials: dict[int, dict[str, Any]] = {}
        self.search: Mapping[str, Any] = {}
        self.sweep: Mapping[str, Any] = {}
        self.heard = 0.0
        for record in as_it_happened(records):
            self._take(record)

    def _take(self, record: Mapping[str, Any]) -> None:
        self.heard = max(self.heard, float(record.get("at", 0.0)))
        match record.get("event"):
            case "sweep":
                self.sweep = record
            case "search":
                self.search = record
                self._cut_off()
            case "proposed":
                self._propose(record["candidate"])
            case "resumed":
                self._cut_off()
            case "started" | "rung" | "lost" | "ended" if record["candidate"] in self.trials:
                self._change(self.trials[record["candidate"]], record)
            case _:
                pass

    def _cut_off(self) -> None:
        """What ran has died with its driver, and is run again."""
        for trial in self.trials.values():
            if trial["state"] == "running":
                trial["state"] = "waiting"

    def _propose(self, candidate: Mapping[str, Any]) -> None:
        self.trials[candidate["number"]] = {
            "trial": candidate["number"],
            "family": candidate["family"],
            "origin": candidate["origin"],
            "params": candidate["params"],
            "state": "waiting",
            "score": None,
            "rungs": 0,
            "seconds": None,
            "reason": "",
            "metrics": {},
            "metric": self.search.get("metric"),
            "part": self.search.get("part"),
        }

    @staticmethod
    def _change(trial: dict[str, Any], record: Mapping[str, Any]) -> None:
        match record["event"]:
            case "started":
                trial["state"] = "running"
            case "rung":
                report = record["report"]
                trial |= {name: report[name] for name in ("score", "effort", "rounds", "is_whole", "metrics")}
                trial |= {"seconds": report["seconds"], "rungs": report["rung"]}
            case "lost":
                trial["state"] = "waiting"
            case "ended":
                trial |= {"state": record["state"], "reason": record["reason"]}
            case _:
                pass


def read_unfinished(store: Store) -> tuple[JournalView, Progress]:
    """What the journal of a run says, and how far the run has come.

    Raises:
        RaysweepError: the journal is damaged.
    """
    view = JournalView(read_run_journal(store))
    driver = read_owner(store, last_epoch(store))
    heard = max(view.heard, 0.0 if driver is None else driver.claimed)
    ended = sum(trial["state"] in _HAS_ENDED for trial in view.trials.values())
    asked = view.sweep.get("config", {}).get("search", {}).get("trials")
    return view, Progress(driver, datetime.fromtimestamp(heard, UTC) if heard else None, ended, asked)
