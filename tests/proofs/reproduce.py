"""`reproduce` says identical for every family and task, and names another version of a package: `make proofs`.

Each family that can learn a task: a small table that is cross-validated, and a larger one with a testing part whose
model is fitted with two threads. Then a deterministic search again, trial by trial; and one bundle with another version
of skops before the installed one, as `pip install --target` leaves it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"})

import raysweep
from builders import clean_table
from raysweep.config import TaskKind
from raysweep.training.families import families
from sweep_builders import RANDOM_ONE_SLOT, quick_space, roughen, run_quietly, sweep_keys

SMALL, LARGE = 450, 4_000
OTHER = "skops==0.15.0"
# Trees of a forest are summed up in the order in which threads end: with two, the last digit is nobody's.
LAST_DIGIT_VARIES = {"random_forest", "extra_trees"}


def cases() -> Iterator[tuple[str, TaskKind, dict[str, Any], int]]:
    """Family, task, sections of the sweep, rows."""
    for family, about in families().items():
        if family not in quick_space()["families"]:
            continue
        for task in sorted(about.tasks):
            yield family, task, {}, SMALL
        yield family, max(about.tasks), {"split": {"folds": 1}, "trial": {"cpus": 2}}, LARGE


def sweep(folder: Path, family: str, task: TaskKind, sections: dict[str, Any], rows: int) -> str:
    """The address of a bundle."""
    table = folder / f"{task.value}-{rows}.parquet"
    if not table.exists():
        roughen(clean_table(rows, 4, task.value), 3).to_parquet(table)
    search = {**RANDOM_ONE_SLOT, "trials": 2, "space": quick_space([family]), "trial": sections.get("trial", {})}
    keys = sweep_keys(folder / "runs", source=table, search=search, split=sections.get("split", {}))
    return run_quietly(keys).bundle_url


def reproduced(folder: Path) -> tuple[int, str]:
    """How many bundles were not reproduced, and the last of them."""
    from raysweep.runtime.ray_session import ray_session

    wrong, bundle = 0, ""
    print("family                  task        rows   outcome      first difference  seconds", flush=True)
    with ray_session(None):
        for family, task, sections, rows in cases():
            bundle = sweep(folder, family, task, sections, rows)
            started = time.perf_counter()
            found = raysweep.reproduce(bundle)
            good = {"identical", "equivalent"} if family in LAST_DIGIT_VARIES and sections else {"identical"}
            wrong += found.outcome not in good
            line = f"{family:<22}  {task.value:<10}  {rows:>5}  {found.outcome:<11}  {found.first_difference!s:<16}"
            print(f"{line}  {time.perf_counter() - started:.1f}", flush=True)
    return wrong, bundle


def searched_again(folder: Path) -> str | None:
    """The first difference where a deterministic search is repeated, too."""
    from raysweep.runtime.ray_session import ray_session

    table = folder / "searched.parquet"
    clean_table(LARGE, 4).to_parquet(table)
    search = {"deterministic": True, "algorithm": "tpe", "scheduler": "asha", "trials": 24, "space": quick_space()}
    with ray_session(None):
        bundle = run_quietly(sweep_keys(folder / "runs", source=table, search=search, split={"folds": 1})).bundle_url
        found = raysweep.reproduce(bundle, search=True)
    print(f"24 trials of a deterministic search: {found.sentence}")
    return found.first_difference


def with_other_package(folder: Path, bundle: str) -> str | None:
    """The first difference with another version of a package, really installed, before the usual one."""
    overlay = folder / "overlay"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(overlay), OTHER]
    subprocess.run(pip, check=True)
    paths = os.pathsep.join([str(overlay), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "raysweep", "reproduce", bundle, "--json"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    print(done.stderr[-2000:] if done.returncode else "", end="")
    document = json.loads(done.stdout)
    print(f"with {OTHER}: {document.get('sentence')}")
    return document.get("first_difference")


def main() -> int:
    """Print a line for each bundle, and give 1 where one is not the same, or a package is not named."""
    with tempfile.TemporaryDirectory(prefix="raysweep-reproduce-") as name:
        folder = Path(name)
        os.environ["RAYSWEEP_HOME"] = str(folder / "home")
        os.chdir(folder)
        wrong, bundle = reproduced(folder)
        other_search = searched_again(folder)
        named = with_other_package(folder, bundle)
    print(f"not identical: {wrong}; the first difference with another package: {named}")
    return int(wrong > 0 or other_search is not None or named != "environment")


if __name__ == "__main__":
    sys.exit(main())
