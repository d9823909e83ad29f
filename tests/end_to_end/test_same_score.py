"""A candidate's score depends on neither the actor that tried it nor on what was tried before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from builders import clean_table
from raysweep.records.trial import TrialState
from raysweep.sweep import Sweep
from sweep_builders import quick_space, run_quietly, sweep_keys

FAMILIES = ("xgboost", "hist_gradient_boosting", "extra_trees", "k_neighbors", "logistic_regression")
ONE_CHOICE = {
    "version": 1,
    "families": {family: {"effort": {"rounds": 15}} for family in FAMILIES},
}


def sweep(folder: Path, name: str, *, slots: int, **search: object) -> Sweep:
    keys = sweep_keys(folder, search={"algorithm": "random", "concurrency": slots, **search}, split={"folds": 1})
    return run_quietly(keys, clean_table(450, 9), run_id=name, answer_repeats=False)


@pytest.fixture(scope="module")
def repeated(ray_session: None, tmp_path_factory: pytest.TempPathFactory, plain_folder: Path) -> Mapping[int, Sweep]:
    """Sweeps by slots, in which every candidate of a family is the same one."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        slots: sweep(folder, f"slots-{slots}", slots=slots, space=ONE_CHOICE, trials=16, seed=3) for slots in (1, 2)
    }


def scores_of(done: Sweep) -> dict[str, list[tuple[str, ...]]]:
    found = defaultdict(list)
    for trial in done.search.trials:
        assert trial.state is TrialState.COMPLETE, trial.error
        found[trial.candidate.family].append(tuple(rung.score.hex() for rung in trial.rungs))
    return found


@pytest.mark.parametrize("slots", [1, 2])
def test_a_repeated_candidate_scores_the_same_bit_for_bit(repeated: Mapping[int, Sweep], slots: int):
    found = scores_of(repeated[slots])
    assert set(found) == set(FAMILIES)
    assert all(len(set(scores)) == 1 for scores in found.values())
    assert max(len(scores) for scores in found.values()) >= 4


def test_slots_do_not_change_a_score(repeated: Mapping[int, Sweep]):
    one, two = (scores_of(repeated[slots]) for slots in (1, 2))
    assert {family: set(scores) for family, scores in one.items()} == {
        family: set(scores) for family, scores in two.items()
    }


def test_the_same_sweep_twice_is_the_same(ray_session: None, tmp_path: Path):
    space = quick_space(["xgboost", "extra_trees"])
    twice = [sweep(tmp_path, f"run-{number}", slots=1, space=space, trials=6) for number in (1, 2)]
    first, second = (
        [(dict(trial.candidate.params), trial.candidate.seed, trial.score.hex()) for trial in done.search.trials]
        for done in twice
    )
    assert first == second
    assert len({score for _, _, score in first}) > 1
