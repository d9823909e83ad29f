"""Our `Searcher` for Ray Tune: hands out candidates, keeps the trial log, tells Optuna how each trial really ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from raysweep.records.trial import Candidate, RungReport, Trial, TrialState
from raysweep.stages.search.proposals import MAX_REPEATS, Asked, Proposer
from raysweep.stages.search.trial_log import TrialLog


class StaysHere:
    """For what Ray Tune is given and pickles into files that nobody reads: a search is not restored from those."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()


class CandidateSearcher(StaysHere, Searcher):  # type: ignore[misc]
    """Between Tune, which runs trials, and the proposer, which knows nothing of Tune.

    Args:
        limit: how many candidates may be tried.
        answer_repeats: a candidate that has been tried to its end gets its score from the log, not from another trial.
        must_stop: says why the search has to end, or None.
    """

    def __init__(
        self,
        proposer: Proposer,
        log: TrialLog,
        *,
        limit: int,
        answer_repeats: bool,
        must_stop: Callable[[], str | None],
    ) -> None:
        super().__init__(metric="score", mode="max")
        self._proposer = proposer
        self._log = log
        self._limit = limit
        self._answer_repeats = answer_repeats
        self._must_stop = must_stop
        self._running: dict[str, Asked] = {}
        self._done: dict[str, Trial] = {}
        self._started = 0
        self.exhausted = False

    def suggest(self, trial_id: str) -> Any:
        """The next candidate as a Tune config, or FINISHED (never None: Tune would wait for it)."""
        if self._started >= self._limit or self._must_stop() is not None:
            return Searcher.FINISHED
        asked = self._propose_new()
        if asked is None:
            self.exhausted = True
            return Searcher.FINISHED
        self._started += 1
        self._running[trial_id] = asked
        self._log.start(asked.candidate, time.time())
        return {"candidate": asked.candidate}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A rung that the trial goes on from."""
        self._note(self._running[trial_id].candidate, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The trial is over: it ran out of rungs, the scheduler stopped it, or its process died."""
        asked = self._running.pop(trial_id, None)
        if asked is None:
            return
        if result is not None:
            self._note(asked.candidate, result)
        trial = self._end(asked.candidate, result or {}, died=error)
        self._proposer.tell(asked, trial.state, trial.rungs)
        if trial.state is TrialState.COMPLETE:
            self._done[asked.candidate.digest] = trial

    def stop_running(self, reason: str) -> None:
        """The search is over: what still ran is stopped, and keeps the rungs that it reached."""
        for asked in self._running.values():
            trial = self._log.end(asked.candidate.number, TrialState.STOPPED, reason)
            self._proposer.tell(asked, trial.state, trial.rungs)
        self._running.clear()

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the record of a search, not Tune's snapshot."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing; see `save`."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing; see `save`."""

    def _propose_new(self) -> Asked | None:
        for _ in range(MAX_REPEATS):
            asked = self._proposer.propose()
            known = self._done.get(asked.candidate.digest)
            if known is None or not self._answer_repeats:
                return asked
            self._proposer.tell(asked, known.state, known.rungs)
        return None

    def _note(self, candidate: Candidate, result: dict[str, Any]) -> None:
        report = result.get("report")
        if isinstance(report, RungReport) and self._log.is_new(candidate.number, report):
            self._log.report(candidate.number, report, str(result.get("node", "")))

    def _end(self, candidate: Candidate, result: dict[str, Any], *, died: bool) -> Trial:
        if "failed" in result:
            text = str(result["failed"])
            return self._log.end(candidate.number, TrialState.FAILED, text.strip().splitlines()[-1], text)
        if died:
            reason = "its process died (a crash in native code, or out of memory); see Ray's logs"
            return self._log.end(candidate.number, TrialState.FAILED, reason)
        report = result.get("report")
        if isinstance(report, RungReport) and report.is_last:
            return self._log.end(candidate.number, TrialState.COMPLETE, "ran to its end")
        # Tune marks the result of a trial that its scheduler stops as done, so that only our own report tells.
        return self._log.end(candidate.number, TrialState.PRUNED, "stopped by the scheduler at this rung")
