"""The family `xgboost`: histogram trees that grow in rounds and stop when the testing rows say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import xgboost as xgb

from raysweep.config import TaskKind
from raysweep.space import ParamValue
from raysweep.training.devices import CPU, check_gpu_memory, fit_bytes, gpu_memory
from raysweep.training.kept_state import LearnerState
from raysweep.training.learner import Blocks, FitSetting, Floats, Matrix
from raysweep.training.rounds import best_rounds, has_stalled, look_every
from raysweep.training.ubjson import check_ubjson
from raysweep.training.xgboost_blocks import BlockIterator, binned_blocks

MODEL_FILE: Final = "model.ubj"

# XGBoost's own metric that is closest to the sweep's: it only chooses the number of rounds.
_WATCHED_METRIC: Final = {
    "roc_auc": "auc",
    "average_precision": "aucpr",
    "accuracy": "error",
    "rmse": "rmse",
    "r2": "rmse",
    "mae": "mae",
}
_DEFAULT_METRIC: Final = {
    TaskKind.BINARY: "logloss",
    TaskKind.MULTICLASS: "mlogloss",
    TaskKind.REGRESSION: "rmse",
}
_MAX_BINNED: Final = 4
# What draws rows and columns begins anew after so many rounds, so that a fit can go on there in another process: for
# columns XGBoost keeps a generator that no file holds, whatever `seed_per_iteration` says.
_DRAWS_ANEW: Final = 10
_DRAWING: Final = ("subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode")
_GROWING_METRICS: Final = frozenset({"auc", "aucpr"})
_OBJECTIVE: Final = {
    TaskKind.BINARY: "binary:logistic",
    TaskKind.MULTICLASS: "multi:softprob",
    TaskKind.REGRESSION: "reg:squarederror",
}


class XGBoostLearner:
    """One XGBoost fit; see `raysweep.training.learner.Learner`."""

    def __init__(self, params: Mapping[str, ParamValue], setting: FitSetting) -> None:
        self.rounds: int | None = 0
        self.finished = False
        self._setting = setting
        self._booster: xgb.Booster | None = None
        self._grown = 0
        self._was_taken_up = False
        self.curve: list[float] = []
        self.look_every = look_every(setting.rounds)
        self._native = params.get("encoding") == "native"
        self._max_bin = int(params.get("max_bin") or 256)
        own = {name: value for name, value in params.items() if name not in {"encoding", "max_cat_to_onehot"}}
        if self._native and "max_cat_to_onehot" in params:
            own["max_cat_to_onehot"] = params["max_cat_to_onehot"]
        if setting.task is TaskKind.MULTICLASS:
            own["num_class"] = setting.classes
        self._draws = any(float(own.get(name) or 1.0) < 1 for name in _DRAWING)
        self._params = own | {
            "objective": _OBJECTIVE[setting.task],
            "eval_metric": self._metric(),
            "seed": setting.seed % 2**31,
            "seed_per_iteration": True,
            "nthread": setting.threads,
            "device": setting.device,
            "verbosity": 0,
        }

    def grow(self, training: Matrix, share: float, watched: Matrix | None = None) -> None:
        """Add rounds up to `share` of the full effort; 50 rounds without gain on the watched rows end it."""
        train = self._prepare(training)
        if self._was_taken_up and not self.finished:
            self._go_back()
        self._grow(train, None if watched is None else self._prepare(watched, reference=train), share)

    def grow_on_blocks(self, blocks: Blocks, watched: Matrix | None = None, cache: Path | None = None) -> None:
        """Grow to full effort on rows of which only the bins are held; see `raysweep.training.learner.BlockLearner`."""
        iterator = BlockIterator(blocks, self._types, cache)
        threads = self._setting.threads
        train = binned_blocks(iterator, max_bin=self._max_bin, threads=threads, categorical=self._native)
        self._check_room(train.num_row(), train.num_col())
        self._grow(train, None if watched is None else self._bin(watched, train), 1.0)

    def _grow(self, train: xgb.DMatrix, test: xgb.DMatrix | None, share: float) -> None:
        if self._booster is None:
            self._booster = xgb.Booster(self._params, [train] if test is None else [train, test])
        target = max(1, round(self._setting.rounds * share))
        while self._grown < target and not self.finished:
            if self._draws and self._grown and self._grown % _DRAWS_ANEW == 0:
                self._draw_anew(self._booster)
            self._booster.update(train, self._grown)
            self._grown += 1
            if test is None:
                self.rounds = self._grown
            elif self._grown % self.look_every == 0:
                self._watch(test)
        if self._grown >= self._setting.rounds:
            self.finished = True

    def keep(self) -> LearnerState:
        """What it has come to, for `take_up` in another process."""
        if self._booster is None:
            raise ValueError("nothing has been fitted yet")
        model = bytes(self._booster.save_raw("ubj"))
        return LearnerState(model, self._grown, self.rounds or 0, tuple(self.curve), self.finished)

    def take_up(self, state: LearnerState) -> None:
        """Go on from there: the rounds that follow are those that would have followed there, bit for bit.

        Where rows or columns are drawn, `grow` goes back to the last round at which the draws began anew.
        """
        self._booster = xgb.Booster(self._params)
        self._booster.load_model(bytearray(state.model))
        self._booster.set_param(self._params)
        self._grown, self.rounds, self.curve = state.grown, state.rounds, list(state.curve)
        self.finished, self._was_taken_up = state.finished, True

    def leave_gpu(self) -> None:
        """Predict on the CPU from now on, as a loaded model does."""
        self._setting = replace(self._setting, device=CPU)
        self._params["device"] = CPU
        if self._booster is not None:
            self._booster.set_param({"device": CPU})

    def predict(self, matrix: Matrix) -> Floats:
        """Predictions of the best number of rounds."""
        if self._booster is None:
            raise ValueError("nothing has been fitted yet")
        # The watched matrix keeps its predictions round by round, but a plain one is exact for any range of rounds.
        key = ("plain", self._native)
        if key not in matrix.cache:
            matrix.cache[key] = self._plain(matrix)
        data = matrix.cache[key]
        raw = np.asarray(self._booster.predict(data, iteration_range=(0, self.rounds or 0)), dtype=np.float64)
        if self._setting.task is TaskKind.BINARY:
            return np.column_stack([1 - raw, raw])
        return raw

    def save(self, folder: Path) -> list[str]:
        """Write the rounds that are used as UBJSON, which loads back exactly."""
        self.fitted.save_model(folder / MODEL_FILE)
        return [MODEL_FILE]

    @property
    def fitted(self) -> xgb.Booster:
        """The booster with the rounds that are used."""
        if self._booster is None:
            raise ValueError("nothing has been fitted yet")
        return self._booster[: self.rounds] if (self.rounds or 0) < self._grown else self._booster

    @classmethod
    def load(cls, folder: Path, setting: FitSetting) -> XGBoostLearner:
        """Read a model that `save` wrote.

        Raises:
            BundleRefused: the file is no whole model.
        """
        check_ubjson(folder / MODEL_FILE)
        learner = cls({}, setting)
        booster = xgb.Booster({"nthread": setting.threads, "device": setting.device})
        booster.load_model(folder / MODEL_FILE)
        learner._booster = booster
        learner._grown = learner.rounds = booster.num_boosted_rounds()
        learner._native = "c" in (booster.feature_types or [])
        learner.finished = True
        return learner

    def _draw_anew(self, booster: xgb.Booster) -> None:
        """Let what draws begin anew, as it does in a booster that was loaded: for another method it is made anew."""
        booster.set_param("tree_method", "approx")
        booster.save_config()  # settings are taken up when something is asked for
        booster.set_param("tree_method", "hist")

    def _go_back(self) -> None:
        """Let go of the rounds since the draws began anew: this process cannot know where they stand."""
        self._was_taken_up = False
        kept = self._grown - self._grown % _DRAWS_ANEW
        if not self._draws or kept == self._grown or self._booster is None:
            return
        if not kept:
            self._booster, self._grown, self.rounds, self.curve = None, 0, 0, []
            return
        self._booster = self._booster[:kept]
        self._booster.set_param(self._params)
        self._grown, self.curve = kept, self.curve[: kept // self.look_every]
        self.rounds = best_rounds(self.curve, self.look_every) if self.curve else 0

    def _metric(self) -> str:
        if self._setting.task is TaskKind.MULTICLASS:
            return "merror" if self._setting.metric == "accuracy" else "mlogloss"
        return _WATCHED_METRIC.get(self._setting.metric, _DEFAULT_METRIC[self._setting.task])

    def _watch(self, test: xgb.DMatrix) -> None:
        assert self._booster is not None  # noqa: S101 - grow() made it
        text = str(self._booster.eval_set([(test, "testing")], self._grown - 1))
        value = float(text.rsplit(":", 1)[1])
        self.curve.append(value if self._params["eval_metric"] in _GROWING_METRICS else -value)
        self.rounds = best_rounds(self.curve, self.look_every)
        self.finished = has_stalled(self.curve, self.look_every)

    def _prepare(self, matrix: Matrix, reference: xgb.DMatrix | None = None) -> xgb.DMatrix:
        """The binned form of a matrix, kept beside it: building it costs as much as several rounds."""
        key = ("binned", self._native, self._max_bin, reference is None)
        if key not in matrix.cache:
            kept = [other for other in matrix.cache if other[0] == "binned"]
            if len(kept) >= _MAX_BINNED:  # where max_bin is searched
                del matrix.cache[kept[0]]
            self._check_room(matrix.values.shape[0], matrix.values.shape[1])
            matrix.cache[key] = self._bin(matrix, reference)
        return matrix.cache[key]

    def _bin(self, matrix: Matrix, reference: xgb.DMatrix | None) -> xgb.QuantileDMatrix:
        return xgb.QuantileDMatrix(
            matrix.values,
            matrix.y,
            weight=matrix.weight,
            ref=reference,
            max_bin=self._max_bin,
            nthread=self._setting.threads,
            **self._types(matrix),
        )

    def _check_room(self, rows: int, columns: int) -> None:
        """Refuse what the GPU has no room for: it would fail in the middle, or let a trial beside it fail."""
        if self._setting.device != CPU:
            outputs = self._setting.classes if self._setting.task is TaskKind.MULTICLASS else 1
            check_gpu_memory(fit_bytes(rows, columns, self._max_bin, outputs), self._setting.sharing, gpu_memory())

    def _plain(self, matrix: Matrix) -> xgb.DMatrix:
        return xgb.DMatrix(matrix.values, nthread=self._setting.threads, **self._types(matrix))

    def _types(self, matrix: Matrix) -> dict[str, Any]:
        if not self._native:
            return {}
        return {
            "enable_categorical": True,
            "feature_types": ["c" if flag else "q" for flag in matrix.categorical],
        }
