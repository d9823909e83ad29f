"""Sweeps that end-to-end tests run: small spaces, rough tables, and the bundle's files as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from raysweep.config import load_config
from raysweep.launch import run
from raysweep.records.manifest import JOURNAL_FOLDER
from raysweep.request import SweepRequest
from raysweep.space import shipped_spaces
from raysweep.sweep import Sweep

RANDOM_ONE_SLOT: Mapping[str, Any] = {"algorithm": "random", "concurrency": 1, "scheduler": "none"}


def quick_space(families: Iterable[str] | None = None, *, rounds: int = 12) -> dict[str, Any]:
    """The shipped space `auto` with few rounds, so that a trial takes no time."""
    space = yaml.safe_load(shipped_spaces()["auto"].read_text(encoding="utf-8"))
    chosen = {
        name: {**section, "effort": {"rounds": rounds}}
        for name, section in space["families"].items()
        if families is None or name in families
    }
    return {"version": 1, "families": chosen}


def sweep_keys(to: Path | str, *, source: Path | str = "memory:", **sections: Any) -> dict[str, Any]:
    """The keys of a sweep of `source` that exports to `to`."""
    data = {"source": str(source), "target": "target", **sections.pop("data", {})}
    search = {"space": quick_space(), "scheduler": "none", **sections.pop("search", {})}
    export = {"to": str(to), **sections.pop("export", {})}
    return {"version": 1, "data": data, "search": search, "export": export, **sections}


def run_quietly(
    keys: Mapping[str, Any], data: object = None, *, run_id: str | None = None, answer_repeats: bool = True
) -> Sweep:
    """The whole sweep, with what it found in memory."""
    return run(
        SweepRequest(
            config=load_config(keys),
            data=data,
            run_id=run_id,
            tell=lambda _: None,
            interrupted=lambda: False,
            answer_repeats=answer_repeats,
        )
    )


def roughen(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same rows with gaps in the numbers, and columns of text, flags and dates that hold hard values."""
    rng = np.random.default_rng(seed)
    rows = len(frame)
    numbers = [name for name in frame.select_dtypes("number").columns if name != "target"]
    rough = frame.assign(**{name: frame[name].mask(rng.random(rows) < 0.08) for name in numbers[:4]})
    words = pd.Series(rng.choice(["Zürich", "東京", "<b>bold</b>", "a,b", 'say "hi"', "plain"], rows), dtype=object)
    flags = pd.Series(rng.random(rows) < 0.3).astype("boolean").mask(rng.random(rows) < 0.1)
    days = pd.Series(pd.Timestamp("2021-03-01") + pd.to_timedelta(rng.integers(0, 900, rows), unit="D"))
    counts = pd.Series(rng.integers(0, 9, rows)).astype("Int64").mask(rng.random(rows) < 0.1)
    return rough.assign(
        words=words.where(rng.random(rows) < 0.9, None),
        flags=flags,
        days=days.mask(rng.random(rows) < 0.1),
        counts=counts,
    )


def bundle_files(folder: Path) -> dict[str, bytes]:
    """Path below `folder` -> content, the journal aside."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith(JOURNAL_FOLDER)}


def read_document(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a bundle."""
    return json.loads((folder / name).read_text(encoding="utf-8"))


def lasting_check(content: bytes) -> dict[str, Any]:
    """final_check.json but for what holds seconds and places."""
    document = json.loads(content)
    return {name: value for name, value in document.items() if name not in {"behaviour", "opened"}}


ACCEPT_NOISE = {"accept": [{"check": "signal.none", "max": 1, "reason": "noise on purpose"}]}


def noise_table(seed: int, rows: int = 2_000, features: int = 10) -> pd.DataFrame:
    """Features that have nothing to do with the target."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{number}": rng.normal(size=rows) for number in range(features)})
    return frame.assign(target=rng.integers(0, 2, rows))
