"""Final checks of sweeps with one thing planted: tables by the fault that they hold, and a sweep without its processes.

A sweep here has the real stages but the search, whose trials are made in this process: what proposes, what evaluates
and what judges are those of a sweep.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import ray

from raysweep.config import SweepConfig, load_config
from raysweep.examine import Examined, examine
from raysweep.records.aims import ranked
from raysweep.records.final_check import FinalCheck, Gate
from raysweep.records.table import LearningTask, Split
from raysweep.records.trial import Capacity, Period, SearchOutcome, Trial, TrialState
from raysweep.space import SearchSpace, load_space
from raysweep.stages.confirm.confirm_request import Confirmed, ConfirmRequest
from raysweep.stages.confirm.ray_confirm import confirm_winner
from raysweep.stages.search.proposals import Proposer
from raysweep.stages.split.ray_split import cut_table
from raysweep.stages.validate.thresholds import resolve_thresholds
from raysweep.storage.open_store import open_store
from raysweep.training.evaluate import TrialRules, evaluate
from raysweep.training.families import families, fitting_space, full_rounds
from raysweep.training.sealed_rows import Seal
from raysweep.training.trial_data import PreparedRows

EFFORTS = (0.25, 0.5, 1.0)
LINE: Mapping[str, Any] = {"logistic_regression": {"params": {"C": {"float": [0.001, 100.0], "log": True}}}}


@dataclass(frozen=True)
class Cut:
    """A sweep up to its search: the table read, checked and cut."""

    config: SweepConfig
    space: SearchSpace
    examined: Examined
    task: LearningTask
    split: Split
    seal: Seal

    def search(self, trials: int | None = None, efforts: tuple[float, ...] = EFFORTS) -> SearchOutcome:
        """The families' defaults and random candidates, all of them to their end, in this process."""
        wanted = self.config.search.trials if trials is None else trials
        seed = self.config.search.seed
        rules = TrialRules(efforts, threads=1, further=self.task.aims.further)
        prepared = PreparedRows(self.task, ray.get(self.split.search_data), seed)
        proposer = Proposer(
            self.space,
            lambda family: families()[family].defaults,
            lambda family: full_rounds(family, self.space),
            algorithm="random",
            aims=self.task.aims,
            seed=seed,
        )
        began, found = time.perf_counter(), []
        for _ in range(wanted):
            candidate = proposer.propose()
            rungs = tuple(evaluate(candidate, prepared, rules))
            proposer.tell(candidate, TrialState.COMPLETE, rungs)
            found.append(Trial(candidate, TrialState.COMPLETE, rungs, slot_seconds=rungs[-1].seconds))
        periods = (Period(Capacity(2.0), 1.0, time.perf_counter() - began),)
        return SearchOutcome(tuple(found), "testing", f"search.trials: all {wanted} were tried", periods, 2)

    def confirm(self, search: SearchOutcome, run_id: str = "planted", opened: str = "2026-11-26T12:00:00") -> Confirmed:
        """The final check of the best trial."""
        request = ConfirmRequest(
            run_id=run_id,
            goes_on=False,
            ranking=tuple(ranked(search.trials, self.task.aims)),
            search=search,
            space=self.space,
            task=self.task,
            split=self.split,
            seal=self.seal,
            conflicts=self.examined.profile.conflicts,
            ledger=open_store(self.config.export.to, self.config.export.s3),
            clock=lambda: datetime.fromisoformat(opened),
            tell=lambda _: None,
        )
        return confirm_winner(request, self.config)


def cut(frame: pd.DataFrame, to: Path, families_: Mapping[str, Any] = LINE, **sections: Any) -> Cut:
    """The table, read, checked and cut.

    Args:
        frame: with the column `target`.
        to: an empty folder: ledger, and what is private to the driver.
        families_: the space's section for each family.
        sections: of the sweep file.
    """
    data = {"source": "memory:", "target": "target", **sections.pop("data", {})}
    search = {"space": {"version": 1, "families": families_}, "trials": 6, **sections.pop("search", {})}
    split = {"folds": 1, **sections.pop("split", {})}
    config = load_config(
        {
            "version": 1,
            "data": data,
            "search": search,
            "split": split,
            "export": {"to": str(to / "runs"), **sections.pop("export", {})},
            **sections,
        }
    )
    examined = examine(config, frame, lambda _: None, None)
    task = examined.check.task
    assert task is not None, examined.check.findings
    private = Path(tempfile.mkdtemp(prefix="driver-", dir=to))
    parts, seal = cut_table(
        examined.table, config, task, private, resolve_thresholds(config.checks), further=tuple(config.confirm.slices)
    )
    space, _ = fitting_space(load_space(config.search.space, base=Path()), task.kind)
    return Cut(config, space, examined, task, parts, seal)


def final_check(frame: pd.DataFrame, to: Path, families_: Mapping[str, Any] = LINE, **sections: Any) -> FinalCheck:
    """The final check of a whole sweep over the table; arguments as for `cut`."""
    prepared = cut(frame, to, families_, **sections)
    return prepared.confirm(prepared.search()).check


def gate(check: FinalCheck, name: str) -> Gate:
    """The gate of that name."""
    return next(one for one in check.gates if one.name == name)


def trees(rounds: int = 60, **params: Any) -> dict[str, Any]:
    """XGBoost with few rounds and these searched parameters."""
    return {"xgboost": {"params": params, "effort": {"rounds": rounds}}}


def neighbours(low: int, high: int, **params: Any) -> dict[str, Any]:
    """Nearest neighbours, from so many to so many."""
    return {"k_neighbors": {"params": {"n_neighbors": {"int": [low, high], "log": True}, **params}}}


def numbers(rows: int, seed: int, features: int = 6) -> tuple[pd.DataFrame, np.random.Generator]:
    """Independent normal features x0, x1, ..., and random numbers for what is made of them."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({f"x{place}": rng.normal(size=rows) for place in range(features)}), rng


def drawn(rng: np.random.Generator, logits: Any) -> Any:
    """Labels 0 and 1 with these log odds."""
    return (rng.random(len(logits)) < 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))).astype(int)


def linear_table(rows: int, seed: int = 0, strength: float = 1.5) -> pd.DataFrame:
    """A binary target that two features tell along a line, where a line's default parameters are as good as any."""
    frame, rng = numbers(rows, seed)
    return frame.assign(target=drawn(rng, strength * (frame["x0"] - frame["x1"])))


def noisy_plane(rows: int, seed: int = 1) -> pd.DataFrame:
    """A number on a plane with noise alike everywhere: many neighbours tell it, the five of the default badly."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{place}": rng.uniform(-1, 1, rows) for place in range(3)})
    return frame.assign(target=1.2 * (frame["x0"] - frame["x1"]) + rng.normal(size=rows))


def rare_table(rows: int, seed: int = 0) -> pd.DataFrame:
    """One row in seven is positive: a model with balanced classes ranks well, and calls far too many so."""
    frame, rng = numbers(rows, seed)
    return frame.assign(target=drawn(rng, -2.2 + 1.2 * (frame["x0"] - frame["x1"])))


def leaky_table(rows: int, seed: int = 0) -> pd.DataFrame:
    """`code` knows the target in the first four fifths of the rows by `t`, and is shuffled in the last: validation."""
    frame, rng = numbers(rows, seed)
    target = drawn(rng, 1.2 * (frame["x0"] - frame["x1"]))
    code = target + rng.normal(0, 0.6, rows)
    late = np.arange(rows) >= 0.8 * rows
    code[late] = rng.permutation(code[late])
    return frame.assign(code=code, target=target, t=np.arange(rows))


def shifted_table(rows: int, seed: int = 0) -> pd.DataFrame:
    """Two features move in the last fifth of the rows by `t`, to where the target falls with them."""
    frame, rng = numbers(rows, seed)
    late = np.arange(rows) >= 0.8 * rows
    frame.loc[late, ["x0", "x1"]] += [2.5, 1.5]
    return frame.assign(target=drawn(rng, 4 * np.sin(1.5 * frame["x0"]) + frame["x2"]), t=np.arange(rows))


def broken_region(rows: int, seed: int = 0) -> pd.DataFrame:
    """In the north the target is the other way round."""
    frame, rng = numbers(rows, seed)
    region = rng.choice(["north", "south", "east", "west"], rows, p=[0.2, 0.3, 0.3, 0.2])
    target = drawn(rng, 4 * (frame["x0"] - frame["x1"]))
    return frame.assign(region=region, target=np.where(region == "north", 1 - target, target))


def wrong_labels(rows: int, share: float, seed: int = 0) -> pd.DataFrame:
    """A target that a plane parts without overlap, with this share of the labels flipped."""
    frame, rng = numbers(rows, seed)
    target = (frame["x0"] - frame["x1"] + 0.3 * frame["x2"] > 0).to_numpy().astype(int)
    return frame.assign(target=np.where(rng.random(rows) < share, 1 - target, target))


def steep_steps(rows: int, seed: int = 0, steepness: float = 12.0) -> pd.DataFrame:
    """A target that jumps where two features change sign and swings with a third: trees want many rows for it."""
    frame, rng = numbers(rows, seed, 8)
    signal = np.sign(frame["x0"] * frame["x1"]) + 0.8 * np.sin(2 * frame["x2"]) + 0.5 * frame["x3"]
    return frame.assign(target=drawn(rng, steepness * signal))
