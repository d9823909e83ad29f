"""Tables from generators that are known in full, so that fresh rows tell what a model is truly worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

GOOD: Final = range(200)
NOISE: Final = range(200, 400)
GROUP_COLUMN, WEIGHT_COLUMN = "customer", "importance"
_METRICS: Final = {"binary": ("roc_auc",), "regression": ("rmse", "r2"), "multiclass": ("log_loss",)}
_LETTERS: Final = np.array(list("abcdefgh"), dtype=object)
_PILOT_ROWS: Final = 40_000
_SWEPT, _PILOT = 1, 2
FRESH: Final = 3
_SHARED: Final = 0.3  # of the variance of features and noise, by the rows of a group


@dataclass(frozen=True, slots=True)
class World:
    """How the rows of one simulated sweep come about; all of it depends on the seed.

    Attributes:
        rows: of the table that is swept.
        signal: the share of the latent target's variance that the features explain; 0: there is nothing to learn.
        coefficients: of the numbers, shape (numbers,); some are 0.
        effects: for each text column, the effect of each of its values.
        gaps: the share of missing values in every second number.
        tails: of the noise: normal or laplace.
        group_rows: how many rows a group has on average; 0: rows stand for themselves.
        shares: of the classes; empty for regression.
        middle, spread: of what the features add up to, over many rows.
        cuts: of the latent target, between the classes.
    """

    seed: int
    task: str
    metric: str
    rows: int
    signal: float
    coefficients: Floats
    effects: tuple[Floats, ...]
    gaps: float
    tails: str
    group_rows: int
    is_weighted: bool
    shares: tuple[float, ...]
    middle: float = 0.0
    spread: float = 1.0
    cuts: tuple[float, ...] = ()

    def table(self) -> pd.DataFrame:
        """The rows that are swept."""
        return self.draw(self.rows, _SWEPT)

    def draw(self, rows: int, stream: int) -> pd.DataFrame:
        """Rows of this world; other streams have other rows, and other groups."""
        rng = np.random.default_rng([self.seed, stream])
        member = self._members(rows, rng)
        x, codes, latent = self._draw(member, rng)
        gone = rng.random(x.shape) < np.where(np.arange(x.shape[1]) % 2, self.gaps, 0.0)
        columns = {f"x{number}": np.where(gone, np.nan, x)[:, number] for number in range(x.shape[1])}
        columns |= {f"text{number}": _LETTERS[code] for number, code in enumerate(codes)}
        if self.group_rows:
            columns[GROUP_COLUMN] = np.array([f"{stream}-{one}" for one in member], dtype=object)
        if self.is_weighted:
            columns[WEIGHT_COLUMN] = rng.uniform(0.3, 3, rows)
        classes = _LETTERS[np.digitize(latent, self.cuts)] if self.task == "multiclass" else None
        numbers = 50 + 10 * latent if self.task == "regression" else np.digitize(latent, self.cuts)
        return pd.DataFrame({**columns, "target": numbers if classes is None else classes})

    def _members(self, rows: int, rng: np.random.Generator) -> Codes:
        """The group of each row, in no order."""
        if not self.group_rows:
            return np.arange(rows)
        sizes = rng.integers(1, 2 * self.group_rows, rows)
        return rng.permutation(np.repeat(np.arange(rows), sizes)[:rows])

    def _draw(self, member: Codes, rng: np.random.Generator) -> tuple[Floats, list[Codes], Floats]:
        """Numbers, codes of texts, and the target before it is cut into classes."""
        rows, groups = len(member), int(member.max()) + 1
        x = rng.normal(size=(rows, len(self.coefficients)))
        noise = rng.normal(size=rows) if self.tails == "normal" else rng.laplace(scale=np.sqrt(0.5), size=rows)
        if self.group_rows:
            own, shared = np.sqrt([1 - _SHARED, _SHARED])
            x = own * x + shared * rng.normal(size=(groups, x.shape[1]))[member]
            noise = own * noise + shared * rng.normal(size=groups)[member]
        codes = [rng.integers(0, len(effect), rows) for effect in self.effects]
        told = x @ self.coefficients + 0.7 * x[:, 0] * x[:, 1] + 0.9 * (x[:, 2] > 0.5)
        for effect, code in zip(self.effects, codes, strict=True):
            told += effect[code]
        told = (told - self.middle) / self.spread
        return x, codes, np.sqrt(self.signal) * told + np.sqrt(1 - self.signal) * noise

    def settled(self) -> World:
        """The same world with the middle and spread of many rows, and the cuts that give its classes their shares."""
        rng = np.random.default_rng([self.seed, _PILOT])
        member = self._members(_PILOT_ROWS, rng)
        told = replace(self, signal=1.0, middle=0.0, spread=1.0)._draw(member, rng)[2]
        scaled = replace(self, middle=float(told.mean()), spread=float(told.std()))
        latent = scaled._draw(member, rng)[2]
        return replace(scaled, cuts=tuple(np.quantile(latent, np.cumsum(self.shares)[:-1]).tolist()))


def make_world(seed: int) -> World:
    """The world of a seed: `GOOD` ones have something to learn, `NOISE` ones nothing."""
    rng = np.random.default_rng([seed, 0])
    task = str(rng.choice(["binary", "regression", "multiclass"], p=[0.4, 0.35, 0.25]))
    numbers = int(rng.integers(4, 11))
    told = int(rng.integers(3, min(numbers, 6) + 1))
    coefficients = np.concatenate([rng.uniform(0.4, 1.2, told) * rng.choice([-1, 1], told), np.zeros(numbers - told)])
    rarest = float(rng.uniform(0.15, 0.5))
    shares = {"binary": (1 - rarest, rarest), "multiclass": tuple(rng.dirichlet(np.full(int(rng.integers(3, 5)), 20)))}
    return World(
        seed=seed,
        task=task,
        metric=str(rng.choice(_METRICS[task])),
        rows=int(rng.integers(1_200, 4_001)),
        signal=float(rng.uniform(0.3, 0.8)) if seed in GOOD else 0.0,
        coefficients=coefficients,
        effects=tuple(rng.normal(0, 0.7, int(rng.integers(3, 8))) for _ in range(int(rng.integers(0, 3)))),
        gaps=float(rng.choice([0.0, 0.05])),
        tails=str(rng.choice(["normal", "laplace"])),
        group_rows=int(rng.integers(3, 9)) if rng.random() < 0.3 else 0,
        is_weighted=bool(rng.random() < 0.15),
        shares=shares.get(task, ()),
    ).settled()
