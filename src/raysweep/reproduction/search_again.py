"""The whole search again, where it was deterministic: the same candidates, the same decisions, the same scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raysweep.bundle.bounded import MAX_TRIAL_ROWS, read_table
from raysweep.documents import shorten
from raysweep.errors import RequestInvalid
from raysweep.events import Listener
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import Trial
from raysweep.reproduction.outcome import Compared, StageCompared, StageName
from raysweep.reproduction.recorded import Recorded
from raysweep.space import load_space
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.training.families import fitting_space

_Known = Mapping[int, tuple[Any, ...]]


def check_repeatable(recorded: Recorded) -> None:
    """Refuse to search again where another search would be no less right.

    Raises:
        RequestInvalid: saying why.
    """
    manifest = recorded.manifest
    if manifest.search is None:
        raise RequestInvalid(f"--search: {recorded.store.address()} has no search, it ended with {manifest.outcome!r}")
    if not recorded.config.search.deterministic:
        raise RequestInvalid(
            "--search: the sweep was not asked for search.deterministic, so that its candidates depended on which "
            "trials ended first; leave --search out: the winner is fitted again all the same"
        )
    if manifest.lineage:
        raise RequestInvalid(
            f"--search: the sweep went on from {manifest.lineage[-1]}, whose trials it knew from the beginning; "
            "leave --search out"
        )


def search_again(recorded: Recorded, task: LearningTask, split: Split, tell: Listener) -> StageCompared:
    """Search with the same seed, and compare every trial."""
    config = recorded.asked.search
    space, _ = fitting_space(load_space(config.space, base=Path()), task.kind)
    asked = SearchRequest(task, split, space, tell, record=lambda _: None, interrupted=lambda: False)
    now = {trial.candidate.number: _of_trial(trial) for trial in run_search(asked, config).trials}
    table = read_table(recorded.store, "trials.parquet", MAX_TRIAL_ROWS)
    return StageCompared(StageName.SEARCH, compare_trials(_of_table(table.to_pylist()), now))


def compare_trials(then: _Known, now: _Known) -> tuple[Compared, ...]:
    """Number by number: which candidate it was, how it ended, and the scores of its rungs.

    Args:
        then: by the trial's number: digest of the params, seed, state, and its scores in a tuple.
        now: the same.
    """
    differing = [number for number in sorted(then.keys() & now.keys()) if then[number] != now[number]]
    compared = [Compared.of("trials", len(then), len(now))]
    if differing:
        first = differing[0]
        what = f"trial {first}, the first of {len(differing)} that differ"
        before, after = (shorten(str(one[first]), 200) for one in (then, now))
        compared.append(Compared(what, before, after, same=False))
    else:
        compared.append(Compared("candidates, decisions and scores", "as published", "as published", same=True))
    return tuple(compared)


def _of_trial(trial: Trial) -> tuple[Any, ...]:
    candidate = trial.candidate
    return candidate.digest, candidate.seed, trial.state.value, tuple(one.score for one in trial.rungs)


def _of_table(rows: Sequence[Mapping[str, Any]]) -> _Known:
    known: dict[int, tuple[Any, ...]] = {}
    for row in rows:
        number = row["trial"]
        scores = known[number][3] if number in known else ()
        more = () if row["rung"] is None else (row["score"],)
        known[number] = (row["params_digest"], row["seed"], row["state"], (*scores, *more))
    return known
