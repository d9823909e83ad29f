"""A simulated sweep through the stages, and what its model, the dummy and the default score on fresh rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import ray

from builders import arrow_of
from raysweep.config import SweepConfig, load_config
from raysweep.examine import examine
from raysweep.records.aims import ranked
from raysweep.records.final_check import FinalCheck
from raysweep.records.table import DataCheck, Severity, Suitability
from raysweep.space import load_space
from raysweep.stages.confirm.confirm_request import Confirmed, ConfirmRequest
from raysweep.stages.confirm.fits import Fit, FitRules, carry_out, default_of, fitted_rows
from raysweep.stages.confirm.ray_confirm import confirm_winner
from raysweep.stages.search.ray_processes import Processes
from raysweep.stages.search.ray_search import SearchRequest, run_search
from raysweep.stages.split.ray_split import cut_table
from raysweep.stages.validate.gate import with_findings
from raysweep.stages.validate.thresholds import resolve_thresholds
from raysweep.storage.open_store import open_store
from raysweep.training.dummy import dummy_predictions
from raysweep.training.evaluate import TrialRules
from raysweep.training.learner import Floats
from raysweep.training.metrics import all_scores
from raysweep.training.pipeline import pipeline_of
from raysweep.training.targets import target_codes
from raysweep.training.trial_data import SearchRows
from simulated_tables import FRESH, GOOD, GROUP_COLUMN, WEIGHT_COLUMN, World

FRESH_ROWS: Final = 50_000
_LINEAR: Final = {"binary": "logistic_regression", "multiclass": "logistic_regression", "regression": "ridge"}
_TREES: Final = "hist_gradient_boosting"
_SPACE: Final = {
    _TREES: {
        "params": {
            "learning_rate": {"float": [0.03, 0.3], "log": True},
            "max_leaf_nodes": {"int": [4, 31], "log": True},
            "min_samples_leaf": {"int": [5, 100], "log": True},
            "l2_regularization": {"float": [0.001, 100], "log": True},
            "encoding": {"choice": ["ordinal", "target"]},
        },
        "effort": {"rounds": 40},
    },
    "logistic_regression": {
        "params": {"C": {"float": [0.0001, 100], "log": True}, "encoding": {"choice": ["onehot", "target"]}}
    },
    "ridge": {
        "params": {"alpha": {"float": [0.0001, 10_000], "log": True}, "encoding": {"choice": ["onehot", "target"]}}
    },
}
# A model of noise explains less than nothing: what the check measures lies a little above 1.
_ACCEPT_NOISE: Final = {"accept": [{"check": "signal.none", "max": 1.2, "reason": "noise on purpose"}]}


@dataclass(frozen=True, slots=True)
class Truth:
    """Scores on fresh rows, by the metrics' names.

    Attributes:
        model: that ships.
        dummy: of the rows that the model was fitted on.
        default: the model's family with its default parameters, fitted like it; None where it is the model.
    """

    model: Mapping[str, float]
    dummy: Mapping[str, float]
    default: Mapping[str, float] | None


@dataclass(frozen=True, slots=True)
class Simulated:
    """What became of a simulated sweep.

    Attributes:
        check: None where the sweep was refused.
        refused: why the data were called unsuitable.
    """

    world: World
    folds: int
    check: FinalCheck | None = None
    truth: Truth | None = None
    refused: str = ""


def start_process() -> Processes:
    """The process of a sweep's trials: to start it takes as long as the rest of the sweep, so it is started before."""
    processes = Processes(_SPACE)
    processes.start_early(1)
    return processes


def simulate(world: World, folder: Path, processes: Processes) -> Simulated:
    """One sweep of a table of this world; Ray runs already.

    Args:
        world: that the table and the fresh rows come from.
        folder: private to this sweep; it holds the ledger, and the sealed rows for a while.
        processes: from `start_process`, for this sweep alone.
    """
    config = load_config(_keys(world, folder))
    space = load_space(config.search.space, base=Path())
    examined = examine(config, world.table(), _say_nothing, None, processes.help_out)
    check, task = examined.check, examined.check.task
    if task is None:
        return Simulated(world, 1, refused=_errors(check))
    split, seal = cut_table(examined.table, config, task, folder, resolve_thresholds(config.checks))
    check = with_findings(check, split.findings, config, datetime.now(UTC).date())
    if check.suitability is Suitability.UNSUITABLE:
        return Simulated(world, split.folds, refused=_errors(check))
    search = run_search(
        SearchRequest(task, split, space, _say_nothing, _say_nothing, lambda: False, processes=processes),
        config.search,
    )
    asked = ConfirmRequest(
        run_id=f"simulated-{world.seed}",
        goes_on=False,
        ranking=tuple(ranked(search.trials, task.aims)),
        search=search,
        space=space,
        task=task,
        split=split,
        seal=seal,
        conflicts=examined.profile.conflicts,
        ledger=open_store(config.export.to, config.export.s3),
        clock=lambda: datetime.now(UTC),
        tell=_say_nothing,
        crew=processes.crew(1),
    )
    confirmed = confirm_winner(asked, config)
    processes.end()
    return Simulated(world, split.folds, confirmed.check, _score_on_fresh_rows(world, asked, confirmed, config))


def _score_on_fresh_rows(world: World, asked: ConfirmRequest, confirmed: Confirmed, config: SweepConfig) -> Truth:
    task, shipped, winner = asked.task, confirmed.shipped, asked.ranking[0]
    rows: SearchRows = ray.get(asked.split.search_data)
    arrow, _ = arrow_of(world.draw(FRESH_ROWS, FRESH))
    features = arrow.select([column.name for column in task.inputs])
    y = target_codes(arrow.column(task.target), task)
    weight = None if task.weight is None else arrow.column(task.weight).to_numpy()

    def scores(predicted: Floats) -> dict[str, float]:
        return all_scores(task.kind, y, predicted, weight)

    fitted = fitted_rows(rows, shipped.fitted_on)
    default = default_of(winner, asked.search.trials, None)
    if default is None or default is winner:
        of_default = None
    else:
        rules = FitRules(task, TrialRules((1.0,), 1), config.search.seed)
        of_default = carry_out(Fit(default, shipped.fitted_on, to_its_end=True), rows, rules)
    return Truth(
        model=scores(pipeline_of(shipped).predict(features)),
        dummy=scores(dummy_predictions(task, fitted.y, fitted.weight, FRESH_ROWS)),
        default=None if of_default is None else scores(pipeline_of(of_default).predict(features)),
    )


def _errors(check: DataCheck) -> str:
    return "; ".join(one.message for one in check.findings if one.severity is Severity.ERROR)


def _say_nothing(_: object) -> None:
    """Nobody watches."""


def _keys(world: World, folder: Path) -> dict[str, Any]:
    """The keys of the sweep; what the world leaves open is drawn from its seed."""
    rng = np.random.default_rng([world.seed, 9])
    data = {"source": "memory:", "target": "target", "task": world.task}
    data |= {"group": GROUP_COLUMN} if world.group_rows else {}
    data |= {"weight": WEIGHT_COLUMN} if world.is_weighted else {}
    search = {
        "space": {"version": 1, "families": {name: _SPACE[name] for name in (_LINEAR[world.task], _TREES)}},
        "metric": world.metric,
        "algorithm": "random",
        "scheduler": "none",
        "trials": int(rng.integers(8, 13)),
        "concurrency": 1,
        "seed": world.seed,
    }
    return {
        "version": 1,
        "data": data,
        "checks": {} if world.seed in GOOD else _ACCEPT_NOISE,
        "split": {"folds": int(rng.choice([1, 1, 1, 3])), "seed": world.seed},
        "search": search,
        "confirm": {"refit": str(rng.choice(["training+testing", "training+testing", "training"]))},
        "export": {"to": str(folder / "runs")},
    }
