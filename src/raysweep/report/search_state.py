"""What the events of a search add up to: counts, the best candidates, time left, busy cores."""

from __future__ import annotations

from collections import Counter

from raysweep.events import ClusterChanged, Event, RungReached, SearchPlanned, TrialEnded, TrialStarted
from raysweep.records.aims import Standing, ranked
from raysweep.records.trial import Trial, TrialState


class SearchState:
    """Follows a search by its events; `now` is seconds on any clock that does not run back."""

    def __init__(self, plan: SearchPlanned, now: float) -> None:
        self.plan = plan
        self.slots = plan.slots
        self._aims = plan.aims
        self._started = now - plan.spent_seconds
        self._trials: dict[int, Trial] = {trial.candidate.number: trial for trial in plan.known}
        self._best: Trial | None = next(iter(self.leaders(1)), None)

    def update(self, event: Event) -> bool:
        """Take in an event; True where it brought a new best score."""
        if isinstance(event, ClusterChanged):
            self.slots = event.slots
        if not isinstance(event, TrialStarted | RungReached | TrialEnded):
            return False
        trial = event.trial
        self._trials[trial.candidate.number] = trial
        if not self._beats_best(trial):
            return False
        self._best = trial
        return True

    @property
    def best(self) -> Trial | None:
        """The trial with the best score so far, as it was then."""
        return self._best

    def leaders(self, count: int) -> list[Trial]:
        """The `count` best trials so far, best first."""
        return ranked(filter(self._may_win, self._trials.values()), self._aims)[:count]

    def counts(self) -> str:
        """`12 of 100 done, 2 running, 5 pruned, 1 failed`: those that came to nothing are among the done."""
        states = Counter(trial.state for trial in self._trials.values())
        done = sum(count for state, count in states.items() if state.has_ended)
        said = [f"{done:,} of {self.plan.trials:,} done", f"{states[TrialState.RUNNING]:,} running"]
        said += [
            f"{states[state]:,} {state.value}"
            for state in (TrialState.PRUNED, TrialState.STOPPED, TrialState.FAILED)
            if states[state]
        ]
        return ", ".join(said)

    def state_counts(self) -> dict[str, int]:
        """How many trials are in each state, and `planned`."""
        states = Counter(trial.state.value for trial in self._trials.values())
        return {"planned": self.plan.trials, **states}

    def cores(self) -> str:
        """`2 of 4 cores busy`."""
        running = sum(trial.state is TrialState.RUNNING for trial in self._trials.values())
        each = self.plan.cpus_per_trial
        return f"{running * each:,} of {self.slots * each:,} cores busy"

    def time(self, now: float) -> str:
        """The time left where the search has a limit and trials to come, else the time gone."""
        gone = now - self._started
        if self.plan.seconds is None or self._ended() >= self.plan.trials:
            return f"{clock_text(gone)} gone"
        return f"{clock_text(max(0.0, self.plan.seconds - gone))} left"

    def share_done(self, now: float) -> float:
        """How much of the search is over, 0 to 1, by the limit that is closest."""
        by_trials = self._ended() / self.plan.trials
        by_time = 0.0 if self.plan.seconds is None else (now - self._started) / self.plan.seconds
        return min(1.0, max(by_trials, by_time))

    def score_text(self) -> str:
        """`best roc_auc 0.8123 on testing (xgboost, trial 7)`, or that there is none yet."""
        best = self._best
        if best is None or best.score is None:
            return f"no {self.plan.metric} on {self.plan.part} yet"
        who = f"{best.candidate.family}, trial {best.candidate.number}"
        return f"best {self.plan.metric} {best.score:.6g} on {self.plan.part} ({who})"

    def _ended(self) -> int:
        return sum(trial.state.has_ended for trial in self._trials.values())

    def _beats_best(self, trial: Trial) -> bool:
        if not self._may_win(trial):
            return False
        best = self._best
        return best is None or self._aims.metric.is_better(trial.rungs[-1].score, best.rungs[-1].score)

    def _may_win(self, trial: Trial) -> bool:
        standing = Standing.of(trial)
        return standing is not None and self._aims.may_win(standing)


def clock_text(seconds: float) -> str:
    """`1:05` for 65 seconds, `2:00:00` for two hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def cluster_text(change: ClusterChanged) -> str:
    """What has happened to the cluster, and what it has now."""
    gpus = f", {change.gpus:g} GPUs" if change.gpus else ""
    has = f"{change.nodes:,} nodes with {change.cores:g} cores{gpus}"
    return f"{change.words}: {has}, {change.slots:,} trials at a time"
